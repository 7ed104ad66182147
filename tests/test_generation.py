"""Texts equal those of a naive loop over transformers' own model, whatever they share a batch with."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from creativity_lens import generation, prefix, sampling
from creativity_lens.errors import InputError
from creativity_lens.files import data_folder
from creativity_lens.generation import Row, batch_size, generate, generate_rows
from creativity_lens.models import Model
from creativity_lens.prompts import Prompt
from creativity_lens.sampling import gumbel_noise
from creativity_lens.scores import Generation
from creativity_lens.steering import Steering

PROMPTS = [
    Prompt("rain", None, "Write about rain."),
    Prompt("ship", None, "Tell me of an old ship that comes home after forty years, and of who waits for it."),
    Prompt("key", None, "Describe a key."),
    Prompt("long", None, "Write a short text about a town at the sea. " * 4),
]
NEW = 6
NORMS = (230, 340, 450, 540, 620, 730, 880, 1080)  # of the residual stream, roughly


@pytest.fixture(scope="module")
def plain():
    """The same weights in transformers' own class, with its own attention: no bridge, no hook points."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(data_folder() / "pocket" / "chat", dtype=torch.float32).eval()


def unit(model: Model, seed: int) -> Tensor:
    return torch.nn.functional.normalize(
        torch.randn(model.d_model, generator=torch.Generator().manual_seed(seed)), dim=0
    )


def edit(model: Model, layer: int, strength: float, method: str = "mean_difference") -> Steering:
    return Steering(layer, strength * NORMS[layer] * unit(model, layer), strength, method)


def mixed_rows(model: Model, temperature: float = 1.0, count: int = 9) -> list[Row]:
    """No two alike in prompt, luck and edit; layers, strengths, methods and signs mixed."""
    edits = [
        None,
        edit(model, 0, 0.2),
        edit(model, 2, 0.3, "first_component"),
        edit(model, 5, -0.3),
        edit(model, 7, 0.5, "flip"),
    ]
    return [Row(PROMPTS[(number * 3) % 4], number % 3, edits[number % 5], temperature) for number in range(count)]


def plain_rows(made: Sequence[Generation]) -> list[Generation]:
    """Without the probe, which is NaN and so equals nothing."""
    return [replace(text, probe=0.0) for text in made]


def texts(made: Sequence[Generation]) -> list[tuple[int, ...]]:
    return [text.token_ids for text in made]


# ---- an independent reference ----


def sorted_support(logits: Tensor, top_p: float, top_k: int, min_p: float) -> Tensor:
    """Which ids a row's truncations leave, by sorting it."""
    order = logits.sort(descending=True).indices
    if top_k:
        order = order[:top_k]
    p = logits[order].double().softmax(-1)
    if top_p < 1.0:
        order = order[: int((p.cumsum(-1) < top_p).sum()) + 1]
    kept = torch.zeros_like(logits, dtype=torch.bool)
    kept[order] = True
    return kept & (logits.softmax(-1) >= min_p * logits.softmax(-1).max())


@torch.inference_mode()
def naive(
    plain, model: Model, row: Row, *, scope: str = "generated", ends: Sequence[int] = (), least: int = 0,
    top_p: float = 1.0, top_k: int = 0, min_p: float = 0.0,
) -> tuple[int, ...]:  # fmt: skip
    """One row: no cache, no padding, no batch; the whole sequence is run again for every token."""
    prompt = model.encode_prompt(row.prompt.text).ids
    ids = list(prompt)
    first = 0 if scope == "all" else len(prompt)

    def add(module, args, output):
        hidden = output[0] if isinstance(output, tuple) else output
        hidden = hidden.clone()
        hidden[:, first:] += row.steering.vector
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    handles = [plain.model.layers[row.steering.layer].register_forward_hook(add)] if row.steering else []
    for step in range(NEW):
        logits = plain(torch.tensor([ids]), use_cache=False).logits[0, -1]
        if step < least:
            logits[list(ends)] = -math.inf
        if row.temperature > 0:
            logits = logits / row.temperature
            logits[~sorted_support(logits, top_p, top_k, min_p)] = -math.inf
            logits = logits + torch.from_numpy(gumbel_noise(row.prompt.id, row.seed, step, model.vocabulary))
        token = int(logits.argmax())
        if token in ends:
            break
        ids.append(token)
    for handle in handles:
        handle.remove()
    return tuple(ids[len(prompt) :])


@pytest.mark.parametrize("scope", ["generated", "all"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_equals_a_naive_loop_without_cache(chat, plain, temperature, scope):
    rows = mixed_rows(chat, temperature)
    made = generate_rows(chat, rows, max_new_tokens=NEW, scope=scope)
    expected = [naive(plain, chat, row, scope=scope, ends=chat.end_ids) for row in rows]
    assert texts(made) == expected
    assert len(set(expected)) > 6


@pytest.mark.parametrize(
    "truncation", [{"top_p": 0.8}, {"top_k": 15}, {"min_p": 0.1}, {"top_p": 0.9, "top_k": 100, "min_p": 0.01}]
)
def test_truncated_sampling_equals_a_naive_loop(chat, plain, truncation):
    rows = [replace(row, temperature=0.9) for row in mixed_rows(chat, count=5)]
    made = generate_rows(chat, rows, max_new_tokens=NEW, **truncation)
    assert texts(made) == [naive(plain, chat, row, ends=chat.end_ids, **truncation) for row in rows]
    assert texts(made) != texts(generate_rows(chat, rows, max_new_tokens=NEW))


def test_the_scopes_differ_and_edits_change_texts(chat):
    rows = [row for row in mixed_rows(chat, 0.0) if row.steering and row.steering.layer in (2, 5)]
    generated, everywhere = (
        texts(generate_rows(chat, rows, max_new_tokens=NEW, scope=s)) for s in ("generated", "all")
    )
    bare = texts(generate_rows(chat, [replace(row, steering=None) for row in rows], max_new_tokens=NEW))
    assert generated != everywhere
    assert generated != bare
    assert [text[0] for text in generated] == [text[0] for text in bare]  # the first token follows the bare prompt


# ---- batches ----


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_text_does_not_depend_on_its_batch(chat, temperature):
    rows = mixed_rows(chat, temperature)
    together = texts(generate_rows(chat, rows, max_new_tokens=NEW, batch_rows=64))
    for batch_rows in (1, 3, 7, "auto"):
        assert texts(generate_rows(chat, rows, max_new_tokens=NEW, batch_rows=batch_rows)) == together
    assert [generate_rows(chat, [row], max_new_tokens=NEW)[0].token_ids for row in rows[:2]] == together[:2]
    assert len(set(together)) > 6


def test_the_order_of_rows_does_not_matter(chat):
    rows = mixed_rows(chat)
    together = plain_rows(generate_rows(chat, rows, max_new_tokens=NEW, batch_rows=7))
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).tolist()
    shuffled = generate_rows(chat, [rows[i] for i in order], max_new_tokens=NEW, batch_rows=7)
    assert plain_rows(shuffled) == [together[i] for i in order]


@pytest.mark.parametrize("scope", ["generated", "all"])
def test_rows_of_one_batch_may_differ_in_temperature_too(chat, scope):
    rows = [
        replace(row, temperature=(0.0, 0.7, 1.3)[number % 3]) for number, row in enumerate(mixed_rows(chat, count=5))
    ]
    together = texts(generate_rows(chat, rows, max_new_tokens=NEW, scope=scope))
    assert [generate_rows(chat, [row], max_new_tokens=NEW, scope=scope)[0].token_ids for row in rows] == together


def test_a_prompt_runs_once_however_many_rows_continue_it(chat, monkeypatch):
    prefilled = []
    prefill = generation.prefill
    monkeypatch.setattr(
        generation,
        "prefill",
        lambda model, prompts, **how: prefilled.append(len(prompts)) or prefill(model, prompts, **how),
    )
    generate_rows(chat, mixed_rows(chat), max_new_tokens=2, batch_rows=64)
    assert prefilled == [4]
    prefilled.clear()
    generate_rows(chat, mixed_rows(chat), max_new_tokens=2, batch_rows=64, scope="all")
    assert prefilled == [9]


@pytest.mark.parametrize("scope", ["generated", "all"])
def test_prompts_in_several_passes_are_as_in_one(chat, monkeypatch, scope):
    rows = mixed_rows(chat)
    together = texts(generate_rows(chat, rows, max_new_tokens=NEW, scope=scope))
    passes = []
    forward = Model.forward
    monkeypatch.setattr(
        Model, "forward", lambda self, ids, **how: passes.append(ids.shape) or forward(self, ids, **how)
    )
    monkeypatch.setattr(prefix, "tokens_a_pass", lambda model: 130)  # two rows of the longest prompt
    assert texts(generate_rows(chat, rows, max_new_tokens=NEW, scope=scope)) == together
    read = [shape[0] for shape in passes if shape[1] > 1]
    assert len(read) > 1
    assert sum(read) == (9 if scope == "all" else 4)


def test_noise_is_drawn_once_for_all_rows_that_share_it(chat, monkeypatch):
    drawn = []
    monkeypatch.setattr(sampling, "gumbel_noise", lambda *key: drawn.append(key) or gumbel_noise(*key))
    generate(chat, PROMPTS[:2], steering=[None, edit(chat, 2, 0.3), edit(chat, 5, 0.3)], samples=2, max_new_tokens=3)
    assert len(drawn) == len(set(drawn)) == 2 * 2 * 3  # prompts, samples, steps
    drawn.clear()
    generate(chat, PROMPTS[:2], temperature=0.0, max_new_tokens=3)
    assert drawn == []


def test_equal_luck_gives_equal_texts_without_an_edit(chat):
    same = Prompt("rain", None, PROMPTS[1].text)  # the luck goes by the prompt's id
    rows = [Row(PROMPTS[1], 5), Row(replace(PROMPTS[1]), 5), Row(PROMPTS[1], 6), Row(same, 5)]
    first, second, other_seed, other_id = texts(generate_rows(chat, rows, max_new_tokens=NEW))
    assert first == second
    assert len({first, other_seed, other_id}) == 3


# ---- ends ----


def with_ends(monkeypatch, ids: Sequence[int]) -> None:
    monkeypatch.setattr(Model, "end_ids", property(lambda self: tuple(ids)))


def cut(ids: tuple[int, ...], ends: Sequence[int]) -> tuple[int, ...]:
    return next((ids[:place] for place, token in enumerate(ids) if token in ends), ids)


@pytest.mark.parametrize(("temperature", "leave_share"), [(0.0, 8), (1.0, 8), (1.0, 2)])
def test_finished_rows_leave_and_the_others_do_not_notice(chat, monkeypatch, temperature, leave_share):
    monkeypatch.setattr(generation, "LEAVE_SHARE", leave_share)  # 2: they ride along until they are half of the batch
    rows = mixed_rows(chat, temperature)
    with_ends(monkeypatch, [])
    endless = texts(generate_rows(chat, rows, max_new_tokens=NEW))
    assert {len(text) for text in endless} == {NEW}
    early = {token for text in endless for token in text[:2]}
    ends = sorted({text[3 + number % 3] for number, text in enumerate(endless[:5])} - early | {endless[5][0]})
    with_ends(monkeypatch, ends)
    sizes = []
    forward = Model.forward
    monkeypatch.setattr(
        Model, "forward", lambda self, ids, **options: sizes.append(len(ids)) or forward(self, ids, **options)
    )
    for batch_rows in (64, 4):
        sizes.clear()
        made = generate_rows(chat, rows, max_new_tokens=NEW, batch_rows=batch_rows)
        assert texts(made) == [cut(text, ends) for text in endless]
        if batch_rows == 64:
            in_batch = sizes[1:]  # the first one was the prompts
            assert in_batch == sorted(in_batch, reverse=True)
            assert in_batch[0] <= 9
            assert leave_share < 8 or in_batch[-1] < in_batch[0]
    assert len({len(text.token_ids) for text in made}) > 2


def test_a_batch_stops_when_all_its_rows_have_ended(chat, monkeypatch):
    rows = mixed_rows(chat, 0.0, 3)
    with_ends(monkeypatch, range(chat.vocabulary))
    calls = []
    forward = Model.forward
    monkeypatch.setattr(Model, "forward", lambda self, ids, **options: calls.append(1) or forward(self, ids, **options))
    made = generate_rows(chat, rows, max_new_tokens=NEW)
    assert [text.token_ids for text in made] == [()] * 3
    assert [text.text for text in made] == [""] * 3
    assert len(calls) == 1  # the prompts and nothing else


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_ends_are_not_drawn_before_min_new_tokens(chat, plain, monkeypatch, temperature):
    rows = mixed_rows(chat, temperature, 6)
    with_ends(monkeypatch, [])
    endless = texts(generate_rows(chat, rows, max_new_tokens=NEW))
    ends = sorted({text[0] for text in endless})  # every row would end at once
    with_ends(monkeypatch, ends)
    assert texts(generate_rows(chat, rows, max_new_tokens=NEW)) == [()] * 6
    made = texts(generate_rows(chat, rows, max_new_tokens=NEW, min_new_tokens=5))
    assert made == [naive(plain, chat, row, ends=ends, least=5) for row in rows]
    assert min(map(len, made)) >= 5
    with_ends(monkeypatch, range(0, chat.vocabulary, 2))  # every other token would end a text
    odd = texts(generate_rows(chat, rows, max_new_tokens=NEW, min_new_tokens=3))
    assert 3 == min(map(len, odd)) < max(map(len, odd))
    assert all(token % 2 for text in odd for token in text)
    everything = texts(generate_rows(chat, rows, max_new_tokens=NEW, min_new_tokens=NEW))
    assert {len(text) for text in everything} == {NEW}


def test_an_end_id_that_the_model_has_no_logit_for_is_no_trouble(chat, monkeypatch):
    with_ends(monkeypatch, [0, chat.vocabulary + 7])
    assert generate_rows(chat, mixed_rows(chat, count=2), max_new_tokens=2, min_new_tokens=2)


# ---- memory ----


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_batch_that_does_not_fit_is_halved_and_texts_stay(chat, monkeypatch, error):
    rows = mixed_rows(chat)
    expected = texts(generate_rows(chat, rows, max_new_tokens=NEW))
    write, done, told = generation._write, [], []

    def tight(model, settings, some):
        if len(some) > 3:
            raise error
        done.append(len(some))
        return write(model, settings, some)

    monkeypatch.setattr(generation, "_write", tight)
    made = generate_rows(chat, rows, max_new_tokens=NEW, batch_rows=8, on_halved=told.append)
    assert texts(made) == expected
    assert told == [4, 2, 2]
    assert done == [2, 2, 2, 2, 1]


def test_other_errors_and_a_single_row_without_room_are_not_swallowed(chat, monkeypatch):
    def fail(error, *_):
        raise error

    for error, kind, said in (
        (RuntimeError("shapes differ"), RuntimeError, "shapes differ"),
        (torch.OutOfMemoryError("CUDA out of memory"), InputError, "ran out of memory on a batch of one row"),
    ):
        monkeypatch.setattr(generation, "_write", partial(fail, error))
        with pytest.raises(kind, match=said):
            generate_rows(chat, mixed_rows(chat, count=4), batch_rows=4)


def test_a_batch_is_as_large_as_memory_allows(chat, monkeypatch):
    monkeypatch.setattr(generation, "free_memory", lambda *_: 1 << 40)
    rows = batch_size(chat, 500)
    cache = 2 * chat.n_layers * chat.d_model * 500 * 4  # float32 keys and values of a row
    assert 0.7 * generation.CPU_CACHE_BYTES < rows * cache <= generation.CPU_CACHE_BYTES
    assert rows < batch_size(chat, 400) < batch_size(chat, 100) == generation.CPU_ROWS, "short ones: as many as help"
    monkeypatch.setattr(generation, "free_memory", lambda *_: 1 << 30)
    assert 1 < batch_size(chat, 500) < rows
    monkeypatch.setattr(generation, "free_memory", lambda *_: 1000)
    assert batch_size(chat, 100) == 1


# ---- the probe ----


@pytest.mark.parametrize(("layer", "leave_share"), [(1, 8), (5, 1)])
def test_the_probe_equals_a_hand_computation(chat, plain, monkeypatch, layer, leave_share):
    monkeypatch.setattr(generation, "LEAVE_SHARE", leave_share)  # 1: finished rows ride along to the end, not counted
    direction = unit(chat, 99)
    rows = [row for row in mixed_rows(chat) if not row.steering or row.steering.layer in (0, 5)]
    with_ends(monkeypatch, [])
    endless = texts(generate_rows(chat, rows, max_new_tokens=NEW))
    ends = sorted({endless[0][4], endless[3][5]})
    with_ends(monkeypatch, ends)
    made = generate_rows(chat, rows, max_new_tokens=NEW, probe=(layer, direction))
    assert len({len(text.token_ids) for text in made}) > 1
    for row, text in zip(rows, made, strict=True):
        prompt = chat.encode_prompt(row.prompt.text).ids
        read = text.token_ids if len(text.token_ids) < NEW else text.token_ids[:-1]  # the last one is never read
        seen = []

        def add(module, args, output, row=row, prompt=prompt):
            hidden = (output[0] if isinstance(output, tuple) else output).clone()
            hidden[:, len(prompt) :] += row.steering.vector
            return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

        def look(module, args, output, seen=seen):
            seen.append(output[0] if isinstance(output, tuple) else output)

        handles = [plain.model.layers[row.steering.layer].register_forward_hook(add)] if row.steering else []
        handles.append(plain.model.layers[layer].register_forward_hook(look))
        with torch.inference_mode():
            plain(torch.tensor([prompt + read]), use_cache=False)
        for handle in handles:
            handle.remove()
        by_hand = seen[0].reshape(-1, chat.d_model)[len(prompt) :] @ direction
        assert len(by_hand) == len(read)
        assert text.probe == pytest.approx(float(by_hand.mean()), abs=1e-4)


def test_the_probe_at_the_edit_rises_by_exactly_the_dose(chat):
    vector = unit(chat, 3)
    rows = [Row(PROMPTS[1], 0, None, 0.0), Row(PROMPTS[1], 0, Steering(4, 2.5 * vector, 0.1), 0.0)]
    clean, edited = generate_rows(chat, rows, max_new_tokens=2, min_new_tokens=2, probe=(4, vector))
    assert edited.token_ids[0] == clean.token_ids[0]  # so that both read the same token back
    assert edited.probe - clean.probe == pytest.approx(2.5, abs=1e-4)


def test_without_a_probe_or_a_token_to_read_the_projection_is_not_a_number(chat):
    assert math.isnan(generate_rows(chat, [Row(PROMPTS[0], 0)], max_new_tokens=3)[0].probe)
    one = generate_rows(chat, [Row(PROMPTS[0], 0)], max_new_tokens=1, probe=(2, unit(chat, 0)))[0]
    assert math.isnan(one.probe)


# ---- the front door, and bad input ----


def test_generate_gives_prompts_by_edits_by_samples_in_order(chat):
    edits = [None, edit(chat, 2, 0.4, "flip")]
    made = generate(chat, [PROMPTS[0], "Say something kind."], steering=edits, samples=3, max_new_tokens=4, seed=10)
    assert [(g.prompt_id, g.layers, g.seed) for g in made] == [
        (prompt, layers, seed)
        for prompt in ("rain", "Say something kind.")
        for layers in ((), (2,))
        for seed in (10, 11, 12)
    ]
    assert {(g.method, g.strength, g.temperature) for g in made} == {("none", 0.0, 1.0), ("flip", 0.4, 1.0)}
    assert all(g.text == chat.decode(g.token_ids) and not set(g.token_ids) & set(chat.end_ids) for g in made)
    again = generate(chat, [PROMPTS[0], "Say something kind."], steering=edits, samples=3, max_new_tokens=4, seed=10)
    assert plain_rows(made) == plain_rows(again)
    assert generate(chat, []) == []


def test_a_text_whose_numbers_overflow_ends_there_and_the_others_go_on(chat, monkeypatch):
    rows = mixed_rows(chat, 0.0, 3)
    with_ends(monkeypatch, [])
    expected = texts(generate_rows(chat, rows, max_new_tokens=NEW))
    forward = Model.forward

    def overflow(self, ids, **options):
        logits = forward(self, ids, **options)
        if len(ids) == 3 and options["mask"].shape[1] - start == 4:  # while the fourth new token is read
            logits[place] = torch.nan
        return logits

    start = max(len(chat.encode_prompt(row.prompt.text).ids) for row in rows)
    place = sorted(range(3), key=lambda i: len(chat.encode_prompt(rows[i].prompt.text).ids)).index(1)
    monkeypatch.setattr(Model, "forward", overflow)
    made = texts(generate_rows(chat, rows, max_new_tokens=NEW))
    assert made == [expected[0], expected[1][:4], expected[2]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens: expected 1 or more, got 0"),
        ({"max_new_tokens": 600}, "expected at most the context of 512"),
        ({"batch_rows": 0}, "batch_rows: expected 'auto' or a whole number of at least 1, got '0'"),
        ({"batch_rows": "many"}, "batch_rows: expected 'auto'"),
        ({"batch_rows": -3}, "batch_rows: expected 'auto'"),
        ({"samples": 0}, "samples: expected 1 or more"),
        ({"temperature": -0.5}, "temperature: expected 0 .greedy. or a positive number, got -0.5"),
        ({"temperature": math.nan}, "temperature: expected"),
        ({"temperature": math.inf}, "temperature: expected"),
        ({"top_p": 0.0}, "top_p: expected"),
        ({"scope": "generate"}, "scope: expected one of generated, all; got 'generate'. Did you mean 'generated'?"),
    ],
)
def test_bad_options_are_refused_in_one_line(chat, options, said):
    with pytest.raises(InputError, match=f"^[^\n]*{said}[^\n]*$"):
        generate(chat, PROMPTS[:1], **options)


@pytest.mark.parametrize("words", [90, 2_000])
def test_a_prompt_longer_than_the_context_is_refused_in_one_line(chat, words):
    with pytest.raises(InputError, match=r"^prompt of \d+ tokens[^\n]*expected[^\n]*context of 512[^\n]*$"):
        generate(chat, ["an old\nship " * words], max_new_tokens=100)


def test_one_string_is_not_taken_for_a_list_of_letters(chat):
    with pytest.raises(InputError, match="expected a list of prompts"):
        generate(chat, "Write about rain.")
