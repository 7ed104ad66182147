"""vLLM behind `generate`: what it draws is what the model's own bridge draws, or it is refused.

TransformerLens's part is the real one; vLLM is `fake_vllm`, which computes the same models on the CPU.
"""

import inspect
import math
import sys
from dataclasses import replace

import fake_vllm
import pytest
import torch
from fake_vllm import Faults
from tiny_models import CHATML, save_model

from creativity_lens.backends import Writer, boot_writer, by_edit, check_writable
from creativity_lens.backends.edits import seed_of
from creativity_lens.backends.served import waves
from creativity_lens.backends.vllm import VERSIONS
from creativity_lens.drawing import Decoding, Row
from creativity_lens.errors import InputError
from creativity_lens.generation import generate_rows
from creativity_lens.models import Model, load_model
from creativity_lens.prompts import Prompt
from creativity_lens.steering import Steering

NEW = 5
TEXTS = ("Write about rain.", "Tell me of an old ship that comes home after forty years.", "Describe a key.")
PROMPTS = [Prompt(str(number), None, text) for number, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Model:
    return load_model(save_model(tmp_path_factory.mktemp("tiny") / "model", template=CHATML))


@pytest.fixture
def vllm(monkeypatch) -> type[fake_vllm.LLM]:
    return fake_vllm.install(monkeypatch)


@pytest.fixture(scope="module")
def writer(tiny) -> Writer:
    """One for all tests that leave it as it was; `vllm` is there only while it starts."""
    with pytest.MonkeyPatch.context() as patch:
        fake_vllm.install(patch)
        return boot_writer(tiny)


def engine(writer: Writer) -> fake_vllm.LLM:
    return writer.served._llm


def edit(model: Model, layer: int, size: float = 3.0) -> Steering:
    vector = torch.randn(model.d_model, generator=torch.Generator().manual_seed(layer))
    return Steering(layer, size * vector, size)


def mixed_rows(model: Model, temperature: float = 0.0) -> list[Row]:
    """Edits, prompts and seeds in no order; no two alike."""
    edits = [None, edit(model, 0), [edit(model, 1), edit(model, 2, -2.0)], edit(model, 1)]
    return [Row(PROMPTS[(2 * n) % 3], n % 2, edits[(3 * n) % 4], temperature) for n in range(8)]


def ids_of(model: Model, rows: list[Row]) -> list[tuple[int, ...]]:
    return [model.encode_prompt(row.prompt.text).ids for row in rows]


def write(writer: Writer, model: Model, rows: list[Row], **decoding) -> list[tuple[int, ...]]:
    return writer.write(model, Decoding(**{"max_new_tokens": NEW, **decoding}), rows, ids_of(model, rows))


def refused(call, *args, **options) -> str:
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("backend vllm: ")
    return str(caught.value)


# ---- texts ----


@pytest.mark.parametrize("scope", ["generated", "all"])
def test_texts_are_those_of_the_models_own_bridge(writer, tiny, scope):
    rows = mixed_rows(tiny)
    own = [text.token_ids for text in generate_rows(tiny, rows, max_new_tokens=NEW, scope=scope)]
    assert write(writer, tiny, rows, scope=scope) == own
    assert len(set(own)) > 5, "a control: edits and prompts make a difference"
    other = {"generated": "all", "all": "generated"}[scope]
    assert write(writer, tiny, rows, scope=other) != own, "a control: scopes make a difference"


def test_it_stands_behind_the_same_generate(writer, tiny):
    rows = mixed_rows(tiny)
    own = generate_rows(tiny, rows, max_new_tokens=NEW)
    made = generate_rows(replace(tiny, writer=writer), rows, max_new_tokens=NEW, probe=(1, torch.ones(32)))
    assert all(math.isnan(text.probe) for text in made), "nothing of a probe is measured, and nothing is made up"
    assert [replace(text, probe=0.0) for text in made] == [replace(text, probe=0.0) for text in own]


def test_texts_of_the_built_in_model_too(vllm, chat):
    """Eight layers, tied embeddings, its own template and ends."""
    with_vllm = boot_writer(chat)
    rows = [Row(prompt, 0, steering, 0.0) for prompt in PROMPTS for steering in (None, edit(chat, 4, 40.0))]
    own = [text.token_ids for text in generate_rows(chat, rows, max_new_tokens=NEW)]
    assert write(with_vllm, chat, rows) == own


def test_the_template_goes_in_and_the_text_comes_out(writer, tiny):
    rows = mixed_rows(tiny)
    before = len(engine(writer).asked)
    write(writer, tiny, rows)
    asked = [tuple(request.prompt_token_ids) for request in engine(writer).asked[before:]]
    assert sorted(asked) == sorted(ids_of(tiny, rows))
    assert tiny.template == "chat"


@pytest.mark.parametrize("scope", ["generated", "all"])
def test_texts_end_where_they_do_on_the_bridge(writer, tiny, scope):
    """Any token may be an end: the most frequent first ones are made to be."""
    rows = mixed_rows(tiny)
    free = write(writer, tiny, rows, scope=scope)
    ends = tuple(sorted({text[place] for place, text in enumerate(free[:4])}))
    ending = replace(tiny, shape=replace(tiny.shape, end_ids=ends))
    for shortest in (0, 3, NEW + 5):
        own = generate_rows(ending, rows, max_new_tokens=NEW, min_new_tokens=shortest, scope=scope)
        texts = write(writer, ending, rows, scope=scope, min_new_tokens=shortest)
        assert texts == [text.token_ids for text in own]
    assert () in write(writer, ending, rows, scope=scope), "a control: some end at once"
    given = engine(writer).asked[-1].params
    assert (given.stop_token_ids, given.ignore_eos) == (list(ends), True), "these ends, and none of vLLM's own"


def test_a_text_ends_where_its_logits_are_no_numbers(writer, tiny):
    """Edits that are finite, and together are not; the other rows go on. What it draws then, id 0, is no end here."""
    endless = replace(tiny, shape=replace(tiny.shape, end_ids=(5,)))
    broken = [Steering(layer, torch.full((tiny.d_model,), 3e38), 1.0) for layer in (1, 2)]
    rows = [Row(PROMPTS[0], 0, broken, 0.0), Row(PROMPTS[0], 0, None, 0.0)]
    own = [text.token_ids for text in generate_rows(endless, rows, max_new_tokens=NEW)]
    assert write(writer, endless, rows) == own
    assert [len(text) for text in own] == [1, NEW]


def test_small_steps_and_a_full_cache_change_nothing_and_a_closed_one_writes_no_more(vllm, tiny):
    rows = mixed_rows(tiny)
    longest = max(map(len, ids_of(tiny, rows)))
    own = [text.token_ids for text in generate_rows(tiny, rows, max_new_tokens=NEW)]
    small = boot_writer(tiny, step_tokens=longest)
    assert write(small, tiny, rows) == own
    in_pieces = write(small, tiny, rows, scope="all")
    small.close()
    small.close()
    assert "it was closed" in refused(write, small, tiny, rows)
    vllm.faults = Faults(cache_tokens=3 * longest)
    full = boot_writer(tiny)
    assert write(full, tiny, rows, scope="all") == in_pieces
    before = len(engine(full).asked)
    edited = [Row(PROMPTS[1], 0, edit(tiny, 0), 0.0)] * 3
    texts = [text.token_ids for text in generate_rows(tiny, edited, max_new_tokens=NEW)]
    assert write(full, tiny, edited) == texts
    assert any(request.num_preemptions for request in engine(full).asked[before:]), "a control: a row lost its place"


def test_a_row_that_has_no_room_alone_is_refused(writer, tiny, monkeypatch):
    tokens = len(ids_of(tiny, [Row(PROMPTS[1], 0)])[0]) - 1
    monkeypatch.setattr(engine(writer).faults, "cache_tokens", tokens)
    assert "no room in its cache for one text" in refused(write, writer, tiny, [Row(PROMPTS[1], 0, None, 0.0)])
    assert not engine(writer).scheduler.waiting


# ---- luck ----


def test_luck_is_the_prompts_and_the_seeds(writer, tiny):
    rows = mixed_rows(tiny, temperature=0.7)
    before = len(engine(writer).asked)
    texts = write(writer, tiny, rows, top_p=0.9, top_k=50)
    asked = [request.params for request in engine(writer).asked[before:]]
    order = [number for group in by_edit(rows) for number in group]
    assert [each.seed for each in asked] == [seed_of(rows[n].prompt.id, rows[n].seed) for n in order]
    assert {(each.temperature, each.top_p, each.top_k, each.min_p) for each in asked} == {(0.7, 0.9, 50, 0.0)}
    assert write(writer, tiny, rows, top_p=0.9, top_k=50) == texts, "the same call, the same texts"
    others = [replace(row, seed=row.seed + 10) for row in rows]
    assert write(writer, tiny, others, top_p=0.9, top_k=50) != texts
    mixed = [replace(rows[0], temperature=0.0), replace(rows[0], temperature=1.5)]
    assert write(writer, tiny, mixed)[0] == write(writer, tiny, mixed[:1])[0]


def test_seeds_are_apart_and_fit_the_generator():
    seeds = {seed_of(prompt, seed) for prompt in ("a", "b", "\ud800") for seed in range(1000)}
    assert len(seeds) == 3000
    assert 0 <= min(seeds) <= max(seeds) < 2**63
    assert seed_of("1:a", 0) != seed_of("a", 1)


def test_log_probabilities_are_the_models(writer, tiny):
    row = Row(PROMPTS[0], 0, None, 0.0)
    (drawn,) = writer.draw(tiny, Decoding(NEW), [row], ids_of(tiny, [row]))
    tokens = torch.tensor([ids_of(tiny, [row])[0] + drawn.ids])
    own = tiny.forward(tokens, keep=NEW + 1)[0, :-1].log_softmax(-1).amax(-1)
    assert drawn.logs == pytest.approx(own.tolist(), abs=1e-3)


# ---- groups and waves ----


def test_rows_of_one_edit_go_together():
    vector = torch.arange(4.0)
    one, twin = Steering(1, vector, 0.2, "first_component"), Steering(1, vector.clone(), 0.1)
    other, elsewhere = Steering(1, -vector, 0.2), Steering(2, vector, 0.2)
    edits = [None, one, other, twin, (one, elsewhere), [twin, elsewhere], elsewhere, None, ()]
    rows = [Row(PROMPTS[0], number, each) for number, each in enumerate(edits)]
    assert by_edit(rows) == [[0, 7, 8], [1, 3], [2], [4, 5], [6]]
    assert by_edit([]) == []


def test_waves_fit_a_step():
    assert [list(wave) for wave in waves([3, 3, 3, 1], 6, 8)] == [[0, 1], [2, 3]]
    assert [list(wave) for wave in waves([1] * 5, 100, 2)] == [[0, 1], [2, 3], [4]]
    assert [list(wave) for wave in waves([9, 1, 9], 5, 8)] == [[0], [1], [2]]
    assert list(waves([], 5, 8)) == []


def test_nothing_is_left_when_a_batch_breaks_off(writer, tiny):
    rows = mixed_rows(tiny)
    texts = write(writer, tiny, rows)
    for step in (1, 2, 3):
        engine(writer).faults.breaks_at_step = len(engine(writer).scheduler.steps) + step
        with pytest.raises(KeyboardInterrupt):
            write(writer, tiny, rows[1:])
        assert not engine(writer).scheduler.running + engine(writer).scheduler.waiting
        assert not engine(writer).edits
    assert write(writer, tiny, rows) == texts


# ---- the start ----


def test_what_vllm_is_started_with(writer, tiny):
    given = engine(writer).given
    assert given["model"] == tiny.id
    assert (given["dtype"], given["tensor_parallel_size"]) == ("float32", 1)
    assert given["enable_prefix_caching"] is False
    assert given["async_scheduling"] is False
    assert given["max_model_len"] == min(4096, tiny.context)
    assert not engine(writer).edits
    assert str(writer) == "vllm 0.20.2, 1 GPU, 2048 tokens a step"


def test_transformer_lens_is_as_it_was_read(writer):
    """The calls that go past `RemoteBridge`'s own interface, and why: it gives one next token and no text."""
    from transformer_lens.model_bridge import RemoteBridge
    from transformer_lens.model_bridge.sources.vllm import boot_vllm, source
    from transformer_lens.model_bridge.sources.vllm.driver import VLLMDriver
    from transformer_lens.model_bridge.sources.vllm.worker_extension import TLWorkerExtension

    bridge = writer.served._bridge
    assert type(bridge) is RemoteBridge
    assert isinstance(bridge._driver, VLLMDriver)
    assert not hasattr(RemoteBridge, "generate")
    with pytest.raises(NotImplementedError, match="max_new_tokens=1 only"):
        bridge._driver.forward([1, 2], max_new_tokens=2)
    options = {"dtype", "gpu_memory_utilization", "max_model_len", "max_num_batched_tokens", "tensor_parallel_size"}
    assert options <= set(inspect.signature(boot_vllm).parameters)
    assert list(inspect.signature(TLWorkerExtension.tl_set_interventions).parameters) == ["self", "specs"]
    assert source._LOCKED_KWARGS["enable_prefix_caching"] is False


def test_the_fake_has_the_interface_of_vllm():
    vllm = pytest.importorskip("vllm", reason="vLLM runs on NVIDIA GPUs alone")
    for real, fake in ((vllm.LLM, fake_vllm.LLM), (vllm.SamplingParams, fake_vllm.SamplingParams)):
        known = inspect.signature(real).parameters
        if not any(each.kind is each.VAR_KEYWORD for each in known.values()):
            assert set(inspect.signature(fake).parameters) <= set(known)
    for name in ("collective_rpc", "generate", "enqueue", "wait_for_completion"):
        there = list(inspect.signature(getattr(vllm.LLM, name)).parameters)
        assert list(inspect.signature(getattr(fake_vllm.LLM, name)).parameters) == there


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"ignores_edits": True}, "got it 96% of the stream off at layer 1"),
        ({"ignores_edits": True, "reads_well": True}, "a large strength to change tokens"),
        ({"edits_at_zero": True, "reads_well": True}, "strength 0 to change nothing"),
        ({"edits_stay": 10}, "no edit after an edited batch"),
        ({"edits_late": True, "reads_well": True}, "act on prompts too at scope 'all'"),
        ({"says_caching": True}, "its cache of prefixes to be off"),
        ({"serves_cached": True}, "every prompt to be read"),
        ({"factor": -1.0}, "got it 192% of the stream off at layer 1"),
        ({"factor": 0.5}, "got it 48% of the stream off at layer 1"),
        ({"shift": 1}, "got it 96% of the stream off at layer 1"),
        ({"shift": -1}, "of the stream off at layer 0"),
        ({"factor": -1.0, "reads_well": True}, "under a moderate edit within 0.1"),
        ({"shift": 1, "reads_well": True}, "under a moderate edit within 0.1"),
        ({"swaps_hooks": True}, "after block 0 of TransformerLens's own bridge, got one nearest to its block 1"),
        ({"other_weights": True}, "without steering within 0.1"),
        ({"runs_ahead": True}, "an engine that waits between steps"),
        ({"reverses": True}, "each for its own prompt"),
        ({"moved": True}, "the engine of its vLLM bridge where TransformerLens 4.3"),
    ],
)
def test_the_self_test_refuses_an_engine_that(vllm, tiny, faults, said):
    vllm.faults = Faults(**faults)
    assert said in refused(boot_writer, tiny)


def test_an_engine_that_hides_that_it_runs_ahead_writes_nothing(vllm, tiny):
    """Its second step comes before the edit; the scheduler shows it each time."""
    vllm.faults = Faults(runs_ahead=True, says_nothing_of_it=True)
    assert "no room in its cache" in refused(boot_writer, tiny)


def test_one_prompt_a_step_is_seen(vllm, tiny):
    """Prompts read while other rows are being written: waves of one row are all that is left."""
    vllm.faults = Faults(reads_at_once=False)
    slow = boot_writer(tiny)
    rows = mixed_rows(tiny)
    own = [text.token_ids for text in generate_rows(tiny, rows, max_new_tokens=NEW)]
    assert write(slow, tiny, rows) == own


def test_several_gpus_have_scope_all_alone(monkeypatch, tiny):
    fake_vllm.install(monkeypatch, gpus=4)
    rows = mixed_rows(tiny)
    two = boot_writer(tiny, gpus=2)
    own = [text.token_ids for text in generate_rows(tiny, rows, max_new_tokens=NEW, scope="all")]
    assert write(two, tiny, rows, scope="all") == own
    assert "expected scope 'all' over 2 GPUs" in refused(write, two, tiny, rows)
    assert str(two).startswith("vllm 0.20.2, 2 GPUs")
    assert "1 to 4 GPUs, for so many are there, got 5" in refused(boot_writer, tiny, gpus=5)


# ---- refusals ----


def test_refused_without_a_gpu(tiny, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "expected an NVIDIA GPU with CUDA, found none" in refused(boot_writer, tiny)


def test_refused_without_vllm(monkeypatch, tiny):
    monkeypatch.setitem(sys.modules, "vllm", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert "pip install 'transformer-lens[vllm]'" in refused(boot_writer, tiny)


@pytest.mark.parametrize("version", ["0.19.1", "0.20.1", "0.21.0", "1.0"])
def test_refused_in_another_version(monkeypatch, tiny, version):
    fake_vllm.install(monkeypatch, version=version)
    assert f"got {version};" in refused(boot_writer, tiny)


def test_taken_in_its_version():
    assert all(VERSIONS.match(version) for version in ("0.20.2", "0.20.2+cu129", "0.20.2.post1", "0.20.13"))


def test_refused_by_what_can_be_known_before(vllm, tiny):
    assert "a share of memory above 0" in refused(boot_writer, tiny, memory=0.0)
    assert "a share of memory above 0" in refused(boot_writer, tiny, memory=math.nan)
    assert "got 0." in refused(boot_writer, tiny, gpus=0)
    assert "got quantize '4bit'" in refused(boot_writer, replace(tiny, quantize="4bit"))
    assert not vllm.made


def test_a_self_test_that_breaks_is_one_line(vllm, tiny, monkeypatch):
    def broken(self, *args, **options):
        raise RuntimeError("TP replication check failed\nand so on")

    monkeypatch.setattr(fake_vllm.LLM, "enqueue", broken)
    assert "its self-test broke off (RuntimeError: TP replication check failed)" in refused(boot_writer, tiny)


def test_a_start_that_fails_is_one_line(vllm, tiny, monkeypatch):
    def broken(self, *args, **options):
        raise ValueError("Free memory on device (3.1/79.2 GiB) is less than desired\n" + "and so on\n" * 40)

    monkeypatch.setattr(fake_vllm.LLM, "__init__", broken)
    said = refused(boot_writer, tiny)
    assert "cannot start with" in said
    assert "Free memory on device (3.1/79.2 GiB)" in said


@pytest.mark.parametrize(
    ("row", "decoding", "said"),
    [
        ({"steering": Steering(1, torch.eye(32)[0], 0.0, mode="ablate")}, {}, "expected mode 'add', got 'ablate'"),
        ({"steering": Steering(1, torch.eye(32)[0], 0.0, mode="clamp")}, {}, "expected mode 'add', got 'clamp'"),
        ({"gamma": 0.5}, {}, "got a mixture of two"),
        ({"temperature": 0.005}, {}, "temperature 0 or at least 0.01, got 0.005"),
        ({}, {"top_p": 0.9, "min_p": 0.1}, "top-p or min-p, got both"),
        ({}, {"max_new_tokens": 200}, "expected at most the 128 that it was started for"),
    ],
)
def test_rows_that_cannot_be_are_refused_before_any_runs(writer, tiny, row, decoding, said):
    rows = [Row(PROMPTS[0], 0), Row(PROMPTS[0], 0, **row)]
    before = len(engine(writer).asked)
    assert said in refused(write, writer, tiny, rows, **decoding)
    assert len(engine(writer).asked) == before


def test_edits_that_the_model_cannot_take_are_refused_as_on_the_bridge(writer, tiny):
    for steering in (Steering(3, torch.zeros(32), 0.0), Steering(0, torch.zeros(31), 0.0)):
        with pytest.raises(InputError, match=r"layer 3|width \(31,\)"):
            write(writer, tiny, [Row(PROMPTS[0], 0, steering)])


def test_a_prompt_that_no_step_holds(vllm, tiny):
    small = boot_writer(tiny, step_tokens=32)
    rows = [Row(Prompt("long", None, "Write about rain. " * 9), 0, None, 0.0)]
    assert "which one step reads, at scope 'generated'" in refused(write, small, tiny, rows)
    own = [text.token_ids for text in generate_rows(tiny, rows, max_new_tokens=NEW, scope="all")]
    assert write(small, tiny, rows, scope="all") == own, "read in pieces"


def test_a_sweep_learns_it_before_it_runs():
    rows = [Row(PROMPTS[0], 0, Steering(1, torch.eye(32)[0], 0.0, mode="ablate"))]
    assert "expected mode 'add'" in refused(check_writable, Decoding(), rows)
    assert "over 8 GPUs" in refused(check_writable, Decoding(), [Row(PROMPTS[0], 0)], gpus=8)
    check_writable(Decoding(scope="all"), [Row(PROMPTS[0], 0)], gpus=8)
