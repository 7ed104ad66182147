"""Two models side by side: texts equal those of a naive loop over transformers' own models, whatever the batch."""

import math
from dataclasses import replace

import pytest
import torch
from tiny_models import CHATML, plain_model, save_model, save_other_model

from creativity_lens import drawing, generation, streams
from creativity_lens.errors import InputError
from creativity_lens.files import data_folder
from creativity_lens.generation import Row, generate, generate_rows
from creativity_lens.models import Model, load_model
from creativity_lens.prompts import Prompt
from creativity_lens.sampling import Mixing, gumbel_noise, mixed
from creativity_lens.steering import Steering
from creativity_lens.vocabulary import as_asked_by

PROMPTS = [
    Prompt("rain", None, "Write about rain."),
    Prompt("ship", None, "Tell me of an old ship that comes home after forty years, and of who waits for it."),
    Prompt("key", None, "Describe a key."),
]
NEW = 4


@pytest.fixture(scope="module")
def plain():
    """The same weights in transformers' own class: no bridge, no hook points, no cache."""
    return [plain_model(data_folder() / "pocket" / name) for name in ("chat", "base")]


def push(model: Model, layer: int, size: float = 120.0) -> Steering:
    vector = torch.randn(model.d_model, generator=torch.Generator().manual_seed(layer))
    return Steering(layer, size * vector / vector.norm(), 0.2)


def rows_of(model: Model, count: int = 12) -> list[Row]:
    """No two alike: gammas, prompts, luck, edits and both temperatures mixed."""
    gammas, edits = (0.5, 0.0, 1.0, 0.2, None, 0.8), (None, push(model, 2), push(model, 5))
    return [
        Row(
            PROMPTS[number % 3], number // 2, edits[(number // 3) % 3], (1.0, 0.7, 0.0, 1.2)[number % 4],
            gamma=gammas[number % 6], partner_temperature=(None, 1.3, 0.6, None, 0.9)[number % 5],
        )
        for number in range(count)
    ]  # fmt: skip


def texts(made) -> list[tuple[int, ...]]:
    return [text.token_ids for text in made]


@torch.inference_mode()
def naive(plain, model, partner, row, mixing, *, new=NEW, **truncation) -> tuple[int, ...]:
    """One row: both whole sequences run again for every token, and no row at gamma 0 or 1 is treated apart."""
    prompts = [model.encode_prompt(row.prompt.text).ids, partner.encode_prompt(row.prompt.text).ids]
    ids: list[int] = []

    def add(module, args, output):
        hidden = output[0].clone() if isinstance(output, tuple) else output.clone()
        hidden[:, len(prompts[0]) :] += row.steering.vector
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    handles = [plain[0].model.layers[row.steering.layer].register_forward_hook(add)] if row.steering else []
    gamma = torch.tensor([row.gamma or 0.0])
    heat = torch.tensor([row.temperature])
    other = heat if row.partner_temperature is None else torch.tensor([row.partner_temperature])
    for step in range(new):
        logits = [
            each(torch.tensor([[*prompt, *ids]]), use_cache=False).logits[:, -1]
            for each, prompt in zip(plain, prompts, strict=True)
        ]
        logs = mixed(*logits, gamma, heat, other, mixing=mixing, **truncation)[0]
        if row.temperature > 0:
            logs = logs + torch.from_numpy(gumbel_noise(row.prompt.id, row.seed, step, model.vocabulary))
        token = int(logs.argmax())
        if token in (*model.end_ids, *partner.end_ids):
            break
        ids.append(token)
    for handle in handles:
        handle.remove()
    return tuple(ids)


@pytest.mark.parametrize(
    ("mixing", "truncation"),
    [
        (Mixing(), {"top_p": 0.9}),
        (Mixing("logprob"), {}),
        pytest.param(Mixing("prob", "after-mix"), {"top_k": 30}, marks=pytest.mark.slow),
        pytest.param(Mixing("contrast"), {"min_p": 0.02}, marks=pytest.mark.slow),
    ],
)
def test_equals_a_naive_loop_without_cache(chat, base, plain, mixing, truncation):
    rows = rows_of(chat, 8 if mixing == Mixing() else 4)
    made = texts(generate_rows(chat, rows, partner=base, mixing=mixing, max_new_tokens=NEW, **truncation))
    assert made == [naive(plain, chat, base, row, mixing, **truncation) for row in rows]
    assert len(set(made)) > len(rows) // 2 + 1


def test_a_text_does_not_depend_on_its_batch(chat, base):
    """Prompts of different length, so of different padding in the two models; rows of one model and of two."""
    rows = rows_of(chat, 7)
    together = texts(generate_rows(chat, rows, partner=base, max_new_tokens=NEW, top_p=0.9, batch_rows=64))
    options = {"partner": base, "max_new_tokens": NEW, "top_p": 0.9}
    assert texts(generate_rows(chat, rows, batch_rows=3, **options)) == together
    shuffled = generate_rows(chat, rows[::-1], batch_rows=3, **options)
    assert texts(shuffled)[::-1] == together


# ---- identities ----


def calls(monkeypatch) -> list[Model]:
    seen: list[Model] = []
    forward = Model.forward
    monkeypatch.setattr(
        Model, "forward", lambda self, ids, **options: seen.append(self) or forward(self, ids, **options)
    )
    return seen


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_gamma_0_is_the_aligned_model_and_its_base_is_not_run(chat, base, monkeypatch, temperature):
    options = {"steering": [None, push(chat, 3)], "max_new_tokens": NEW, "temperature": temperature}
    for truncation in ({}, {"top_p": 0.8}) if temperature else ({"top_p": 0.8},):
        alone = texts(generate(chat, PROMPTS, **options, **truncation))
        seen = calls(monkeypatch)
        for mix in ("prob", "logprob", "contrast"):
            mixing = Mixing(mix)
            both = generate(chat, PROMPTS, partner=base, gamma=0.0, mixing=mixing, **options, **truncation)
            assert texts(both) == alone
        assert set(map(id, seen)) == {id(chat)}
        monkeypatch.undo()


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_gamma_1_without_truncation_is_the_base_model_and_the_aligned_one_is_not_run(
    chat, base, monkeypatch, temperature
):
    options = {"samples": 2, "max_new_tokens": NEW, "temperature": temperature}
    alone = generate(base, PROMPTS, **options)
    seen = calls(monkeypatch)
    for mix in ("prob", "logprob"):
        both = generate(chat, PROMPTS, partner=base, gamma=1.0, mixing=Mixing(mix), **options)
        assert texts(both) == texts(alone)
        assert [text.text for text in both] == [text.text for text in alone]
    after = generate(chat, PROMPTS, partner=base, gamma=1.0, mixing=Mixing("prob", "after-mix"), top_p=0.7, **options)
    assert set(map(id, seen)) == {id(base)}
    monkeypatch.undo()
    assert texts(after) == texts(generate(base, PROMPTS, top_p=0.7, **options))


def test_gamma_1_on_the_aligned_models_support_runs_both(chat, base, monkeypatch):
    seen = calls(monkeypatch)
    made = generate(chat, PROMPTS[:1], partner=base, gamma=1.0, top_k=3, max_new_tokens=2)
    assert {id(chat), id(base)} == set(map(id, seen))
    prompt = chat.encode_prompt(PROMPTS[0].text).ids
    likeliest = chat.forward(torch.tensor([prompt]))[0, -1].topk(3).indices
    assert made[0].token_ids[0] in likeliest.tolist()


def test_a_model_mixed_with_itself_writes_its_own_texts(chat):
    options = {"samples": 2, "max_new_tokens": NEW, "top_p": 0.9}
    mixtures = generate(chat, PROMPTS, partner=chat, gamma=[0.3, 0.7], **options)
    alone = texts(generate(chat, PROMPTS, **options))
    assert texts(mixtures) == [text for first in (0, 2, 4) for text in alone[first : first + 2] * 2]


def test_gammas_stand_between_steering_and_samples_and_share_their_luck(chat, base):
    made = generate(chat, PROMPTS[:1], steering=[None, push(chat, 2)], partner=base, gamma=[0.0, 0.5], samples=2,
                    max_new_tokens=NEW)  # fmt: skip
    assert [(text.layers, text.seed) for text in made] == [((), 0), ((), 1)] * 2 + [((2,), 0), ((2,), 1)] * 2
    alone = texts(generate(chat, PROMPTS[:1], samples=2, max_new_tokens=NEW))
    assert texts(made)[:2] == alone
    assert texts(made)[2:4] != alone


def test_the_partner_has_a_temperature_and_a_form_of_its_own(chat, base):
    options = {"max_new_tokens": NEW, "samples": 3, "gamma": 1.0}
    hot = generate(chat, PROMPTS, partner=base, temperature=0.5, partner_temperature=1.5, **options)
    assert texts(hot) == texts(generate(base, PROMPTS, temperature=1.5, max_new_tokens=NEW, samples=3))
    asked = as_asked_by(base, chat)
    templated = texts(generate(chat, PROMPTS, partner=asked, **options))
    assert templated == texts(generate(asked, PROMPTS, max_new_tokens=NEW, samples=3)) != texts(hot)
    ids = base.encode_text("Once upon a time")
    rows = [Row(PROMPTS[0], 0, ids=chat.encode_turns(["Hello"]), gamma=1.0, partner_ids=ids)]
    (given,) = generate_rows(chat, rows, partner=base, max_new_tokens=NEW)
    (alone,) = generate_rows(base, [Row(PROMPTS[0], 0, ids=ids)], max_new_tokens=NEW)
    assert given.token_ids == alone.token_ids


# ---- ends ----


def with_ends(monkeypatch, model: Model, ends) -> None:
    monkeypatch.setitem(model.__dict__, "shape", replace(model.shape, end_ids=tuple(ends)))


@pytest.mark.parametrize("leave_share", [1, 8])
def test_rows_that_finish_leave_both_caches_and_the_others_do_not_notice(chat, base, monkeypatch, leave_share):
    monkeypatch.setattr(generation, "LEAVE_SHARE", leave_share)
    rows = rows_of(chat)
    options = {"partner": base, "max_new_tokens": NEW, "top_p": 0.9}
    for model in (chat, base):
        with_ends(monkeypatch, model, [])
    endless = texts(generate_rows(chat, rows, **options))
    assert {len(text) for text in endless} == {NEW}
    own_ends, other_ends = [endless[0][2], endless[1][3]], [endless[3][1], endless[5][3], endless[2][2]]
    with_ends(monkeypatch, chat, own_ends)
    with_ends(monkeypatch, base, other_ends)

    def cut(row: Row, ids: tuple[int, ...]) -> tuple[int, ...]:
        """A text ends where one of the models that write it would."""
        ends = own_ends + other_ends if row.gamma else own_ends
        return next((ids[:place] for place, token in enumerate(ids) if token in ends), ids)

    sizes: dict[int, list[int]] = {id(chat): [], id(base): []}
    forward = Model.forward

    def counted(self, ids, **options):
        sizes[id(self)].append(len(ids))
        return forward(self, ids, **options)

    monkeypatch.setattr(Model, "forward", counted)
    made = texts(generate_rows(chat, rows, **options))
    # at gamma 1 both write, for the aligned model says where the base is cut
    assert made == [cut(row, ids) for row, ids in zip(rows, endless, strict=True)]
    assert len({len(text) for text in made}) > 2
    for counts in sizes.values():
        assert counts[1:] == sorted(counts[1:], reverse=True)
        assert leave_share < 8 or counts[-1] < counts[1]


def test_ends_are_not_drawn_before_min_new_tokens(chat, base, monkeypatch):
    with_ends(monkeypatch, chat, range(0, chat.vocabulary, 2))
    with_ends(monkeypatch, base, range(1, chat.vocabulary, 4))
    rows = rows_of(chat)
    for truncation in ({}, {"top_p": 0.9}):
        made = texts(generate_rows(chat, rows, partner=base, max_new_tokens=NEW, min_new_tokens=3, **truncation))
        assert min(map(len, made)) >= 3
        mixtures = [ids for ids, row in zip(made, rows, strict=True) if row.gamma not in (None, 0.0, 1.0)]
        assert all(token % 4 == 3 for ids in mixtures for token in ids)


def test_a_base_that_is_no_number_ends_the_mixtures_alone(chat, base, monkeypatch):
    rows = [Row(PROMPTS[0], seed, gamma=gamma) for gamma in (0.0, 0.5) for seed in range(2)]
    forward = Model.forward

    def overflow(self, ids, **options):
        logits = forward(self, ids, **options)
        return (
            logits * math.nan
            if self is base and options["mask"].shape[1] > len(base.encode_prompt(PROMPTS[0].text).ids) + 1
            else logits
        )

    monkeypatch.setattr(Model, "forward", overflow)
    lengths = [len(ids) for ids in texts(generate_rows(chat, rows, partner=base, max_new_tokens=NEW))]
    assert lengths == [NEW, NEW, 2, 2]


def test_every_token_is_told_as_it_is_drawn(chat, base):
    rows, told = rows_of(chat), [[] for _ in range(12)]

    def see(numbers, ids):
        for number, index in zip(numbers, ids, strict=True):
            told[number].append(index)

    made = texts(generate_rows(chat, rows, partner=base, max_new_tokens=NEW, batch_rows=5, on_step=see))
    assert [tuple(ids) for ids in told] == made


def test_the_probe_reads_the_aligned_model_alone(chat, base):
    vector = torch.nn.functional.normalize(torch.ones(chat.d_model), dim=0)
    rows = [Row(PROMPTS[0], 0, gamma=gamma) for gamma in (0.0, 0.5, 1.0)]
    options = {"max_new_tokens": NEW, "min_new_tokens": NEW, "probe": (4, vector)}
    own, both, other = generate_rows(chat, rows, partner=base, **options)
    assert own.probe == pytest.approx(generate_rows(chat, rows[:1], **options)[0].probe, abs=1e-4)
    assert math.isfinite(both.probe)
    assert math.isnan(other.probe)


# ---- memory and context ----


def test_a_batch_that_does_not_fit_is_halved_and_texts_stay(chat, base, monkeypatch):
    rows = rows_of(chat)
    expected = texts(generate_rows(chat, rows, partner=base, max_new_tokens=NEW))
    feed, told = streams.Stream.feed, []

    def tight(self, tokens, watch=None):
        if len(tokens) > 3 and self.is_partner:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return feed(self, tokens, watch)

    monkeypatch.setattr(streams.Stream, "feed", tight)
    made = generate_rows(chat, rows, partner=base, max_new_tokens=NEW, batch_rows=12, on_halved=told.append)
    assert texts(made) == expected
    assert told[0] == 6


def test_two_caches_take_the_room_of_two(chat, base, monkeypatch):
    monkeypatch.setattr(generation, "free_memory", lambda *_: 1 << 40)
    alone, both = generation.batch_size(chat, 500), generation.batch_size(chat, 500, base)
    assert both == pytest.approx(alone / 2, abs=1)


def test_the_context_of_each_model_that_reads_is_checked_before_any_runs(chat, base, monkeypatch):
    seen = calls(monkeypatch)
    monkeypatch.setitem(base.__dict__, "shape", replace(base.shape, context=10))
    with pytest.raises(InputError, match=r"at most the context of 10 of pocket-base; shorten 'Write about rain\.'"):
        generate(chat, PROMPTS[:1], partner=base, gamma=[0.0, 0.5], max_new_tokens=NEW)
    generate_rows(chat, [Row(PROMPTS[0], 0, gamma=0.0)], partner=base, max_new_tokens=2)
    monkeypatch.setitem(chat.__dict__, "shape", replace(chat.shape, context=10))
    monkeypatch.setitem(base.__dict__, "shape", replace(base.shape, context=512))
    seen.clear()
    with pytest.raises(InputError, match="context of 10 of pocket-chat"):
        generate(chat, PROMPTS[:1], partner=base, gamma=0.5, max_new_tokens=NEW)
    assert seen == []


# ---- bad input ----


def test_what_cannot_be_mixed_is_refused(chat, base, tmp_path, monkeypatch):
    seen = calls(monkeypatch)
    with pytest.raises(InputError, match=r"gamma 0\.5: expected partner="):
        generate(chat, PROMPTS, gamma=0.5)
    for gamma in (1.5, -0.1, math.nan):
        with pytest.raises(InputError, match="gamma: expected a number from 0"):
            generate(chat, PROMPTS, partner=base, gamma=gamma)
    with pytest.raises(InputError, match="temperature: expected 0"):
        generate(chat, PROMPTS, partner=base, gamma=0.5, partner_temperature=-1.0)
    monkeypatch.setattr(drawing, "check_same_vocabulary", lambda *_: (_ for _ in ()).throw(InputError("id 7 differs")))
    with pytest.raises(InputError, match="id 7 differs"):
        generate(chat, PROMPTS, partner=base, gamma=0.5)
    assert seen == []


def test_a_partner_of_fewer_ids_reads_what_it_can_and_one_of_more_offers_no_more(tmp_path):
    whole = load_model(save_model(tmp_path / "whole", template=CHATML))
    save_other_model(tmp_path / "fewer", "LlamaConfig", vocab_size=3000, num_key_value_heads=2)
    fewer = load_model(tmp_path / "fewer")
    assert (whole.vocabulary, fewer.vocabulary) == (4096, 3000)
    prompt = ["Write about a lighthouse."]  # of ids that both can read
    options = {"samples": 12, "max_new_tokens": 12, "gamma": 0.2}
    drawn = {token for ids in texts(generate(whole, prompt, partner=fewer, **options)) for token in ids}
    assert max(drawn) >= 3000, "drawn from the model that has it, though its partner cannot read it"
    other = {token for ids in texts(generate(fewer, prompt, partner=whole, **options)) for token in ids}
    assert max(other) < 3000
    alone = texts(generate(whole, prompt, samples=2, max_new_tokens=12))
    assert texts(generate(fewer, prompt, partner=whole, gamma=1.0, samples=2, max_new_tokens=12)) == alone
