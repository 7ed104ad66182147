"""Entropies equal a plain softmax in float64, text by text; tiny distributions equal what is computed by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as some
from tiny_models import plain_model

from creativity_lens import scoring, token_entropy
from creativity_lens.errors import InputError
from creativity_lens.files import data_folder
from creativity_lens.generation import generate
from creativity_lens.prefix import continue_rows, prefill
from creativity_lens.sampling import support
from creativity_lens.scoring import surprisals
from creativity_lens.steering import Steering, edit_table
from creativity_lens.steering import steered as steered_by
from creativity_lens.token_entropy import TokenEntropies, entropies_of, token_entropies

TEXTS = [
    "The tide came in over the sand and took the small boats one by one.",
    "Rain.",
    "",
    "An old key lay in the grass, and nobody knew what door it had been made for, nor who had lost it there.",
    "A",
]
PROMPTS = ["Write about rain.", "Tell me of an old ship that comes home after forty years, and who waits for it."]
NAMES = ("full", "truncated", "top_k", "surprisal")


@pytest.fixture(scope="module")
def plain():
    return plain_model(data_folder() / "pocket" / "base")


def entropy(probabilities) -> float:
    kept = np.asarray(probabilities, dtype=float)
    kept = kept[kept > 0] / kept.sum()
    return float(-(kept * np.log(kept)).sum())


def by_hand(logits, token: int, top_p: float, top_k: int) -> list[float]:
    """In float64, from every id sorted."""
    probabilities = np.exp(logits.astype(float) - logits.max())
    probabilities /= probabilities.sum()
    ordered = np.sort(probabilities)[::-1]
    nucleus = ordered[: int(np.searchsorted(np.cumsum(ordered), top_p)) + 1]
    return [entropy(ordered), entropy(nucleus), entropy(ordered[:top_k]), -math.log(probabilities[token])]


def cases(model):
    pairs = [(prompt, text) for text in TEXTS for prompt in PROMPTS]  # not in the order of starts
    return [model.encode_prompt(prompt).ids for prompt, _ in pairs], [model.encode_text(text) for _, text in pairs]


# ---- a model's distributions ----


@pytest.mark.parametrize(("top_p", "top_k", "batch_bytes"), [(0.9, 50, 1 << 30), (0.7, 3, 1)])
def test_entropies_equal_a_plain_softmax_of_transformers(base, plain, monkeypatch, top_p, top_k, batch_bytes):
    monkeypatch.setattr(scoring, "LOGIT_BYTES", batch_bytes)  # all in one batch, then one by one
    starts, texts = cases(base)
    read = token_entropies(base, starts, texts, top_p=top_p, top_k=top_k)
    assert read.full.shape == (len(texts), max(map(len, texts)))
    checked = 0
    for row, (start, text) in enumerate(zip(starts, texts, strict=True)):
        with torch.inference_mode():
            logits = plain(torch.tensor([start + text])).logits[0, len(start) - 1 : -1].numpy()
        expected = np.array([by_hand(at, token, top_p, top_k) for at, token in zip(logits, text, strict=True)])
        for name, wanted, tolerance in zip(NAMES, expected.reshape(-1, 4).T, (1e-4, 2e-3, 1e-4, 1e-4), strict=True):
            found = getattr(read, name)[row]
            assert found[: len(text)] == pytest.approx(wanted, abs=tolerance), name  # the nucleus's border may move
            assert np.isnan(found[len(text) :]).all()
        checked += len(text)
    assert checked == np.isfinite(read.full).sum() > 80
    kept = np.isfinite(read.full)
    assert (read.truncated[kept] < read.full[kept]).all()
    assert (read.top_k[kept] < read.full[kept]).all()
    assert (read.full[kept] < math.log(base.vocabulary)).all()


def test_surprisals_average_to_what_scoring_says(base):
    starts, texts = cases(base)
    read = token_entropies(base, starts, texts)
    expected = surprisals(base, PROMPTS * len(TEXTS), texts).numpy()
    empty = np.array([not text for text in texts])
    assert np.isnan(expected[empty]).all()
    assert np.isnan(read.surprisal[empty]).all()
    assert np.nanmean(read.surprisal[~empty], axis=1) == pytest.approx(expected[~empty], abs=1e-4)


def test_values_do_not_depend_on_what_else_is_read(base):
    starts, texts = cases(base)
    together = token_entropies(base, starts, texts)
    order = np.random.default_rng(0).permutation(len(texts))
    moved = token_entropies(base, [starts[i] for i in order], [texts[i] for i in order])
    alone = [token_entropies(base, [start], [text]) for start, text in zip(starts, texts, strict=True)]
    for name in ("full", "top_k", "surprisal"):
        whole = getattr(together, name)
        assert np.allclose(getattr(moved, name), whole[order], atol=1e-4, equal_nan=True)
        for row, one in zip(whole, alone, strict=True):
            assert np.allclose(getattr(one, name)[0], row[: one.full.shape[1]], atol=1e-4, equal_nan=True)


def test_a_start_runs_once_for_all_of_its_texts(base, monkeypatch):
    prefilled = []
    prefill = scoring.prefill
    monkeypatch.setattr(
        token_entropy, "prefill", lambda model, starts: prefilled.append(len(starts)) or prefill(model, starts)
    )
    starts, texts = cases(base)
    token_entropies(base, starts, texts)
    assert prefilled == [2]


def test_what_cannot_be_read_is_refused(base):
    start, text = base.encode_prompt(PROMPTS[0]).ids, base.encode_text(TEXTS[0])
    long = text * 40
    with pytest.raises(InputError, match=r"^start and text of \d+ tokens: expected at most the context of 512"):
        token_entropies(base, [start], [long])
    with pytest.raises(InputError, match=r"^start of 0 tokens: expected at least one"):
        token_entropies(base, [()], [text])
    with pytest.raises(InputError, match=r"^starts: expected one for each of 2 texts, got 1"):
        token_entropies(base, [start], [text, text])
    with pytest.raises(InputError, match=r"^token id 4096: expected ids from 0 to 4095"):
        token_entropies(base, [start], [(5, 4096)])
    with pytest.raises(InputError, match=r"^token id -1: "):
        token_entropies(base, [(-1, 5)], [text])
    with pytest.raises(InputError, match=r"^top_p: "):
        token_entropies(base, [start], [text], top_p=0.0)
    assert token_entropies(base, [], []).full.shape == (0, 0)
    assert token_entropies(base, [start], [()]).surprisal.shape == (1, 0)
    assert isinstance(token_entropies(base, [start], [text[:1]]), TokenEntropies)


# ---- tiny distributions ----


def test_distributions_computed_by_hand():
    probabilities = torch.tensor([[0.4, 0.1, 0.3, 0.2], [0.05, 0.9, 0.03, 0.02]])
    full, nucleus, head, surprisal = entropies_of(probabilities.log(), torch.tensor([1, 1]), 0.65, 3)
    assert full.tolist() == pytest.approx([1.2799, 0.4280], abs=1e-4)
    assert nucleus.tolist() == pytest.approx([0.6829, 0.0], abs=1e-4)  # 4 : 3; one id alone
    assert head.tolist() == pytest.approx([1.0609, 0.3367], abs=1e-4)  # 4 : 3 : 2; 90 : 5 : 3
    assert surprisal.tolist() == pytest.approx([math.log(10), -math.log(0.9)], abs=1e-6)


@pytest.mark.parametrize("size", [1, 2, 50, 4096])
def test_uniform_logits_have_the_largest_entropy_and_one_hot_ones_none(size):
    ids = torch.tensor([0, 0, 0])
    uniform = entropies_of(torch.full((3, size), 7.0), ids, 0.5, 2)
    assert uniform.flatten().tolist() == [np.float32(math.log(size))] * 12  # ids tied with the last one are kept
    one_hot = torch.full((3, size), -math.inf)
    one_hot[:, 0] = -3.0
    assert entropies_of(one_hot, ids).flatten().tolist() == [0.0] * 12


def test_impossible_ids_have_probability_0_and_an_infinite_surprisal():
    logits = torch.tensor([[0.0, -math.inf, 0.0, -math.inf]] * 2)
    full, nucleus, head, surprisal = entropies_of(logits, torch.tensor([0, 1]), 0.9, 3)
    for values in (full, nucleus, head):
        assert values.tolist() == pytest.approx([math.log(2)] * 2)
    assert surprisal.tolist() == [pytest.approx(math.log(2)), math.inf]
    broken = entropies_of(torch.tensor([[0.0, math.nan, 1.0], [-math.inf] * 3, [1.0, 1.0, 1.0]]), torch.tensor([0] * 3))
    assert broken[:, :2].isnan().all()
    assert broken[:, 2].tolist() == pytest.approx([math.log(3)] * 4)  # NaN stays in its row


def test_without_truncation_all_three_are_one_and_the_logits_stay_as_they_were():
    logits = torch.randn(700, 300, generator=torch.Generator().manual_seed(0)) * 3
    before, ids = logits.clone(), torch.zeros(700, dtype=torch.long)
    for top_k in (0, 300, 1000):
        full, nucleus, head, _ = entropies_of(logits, ids, 1.0, top_k)
        assert torch.equal(full, nucleus)
        assert torch.equal(full, head)
    assert torch.equal(logits, before)
    shifted = entropies_of(logits + 50, ids)
    assert torch.allclose(shifted, entropies_of(logits, ids), atol=1e-3)
    assert torch.allclose(entropies_of(logits.double(), ids), entropies_of(logits, ids), atol=1e-4)
    assert entropies_of(logits[:0], ids[:0]).shape == (4, 0)


@settings(max_examples=60, deadline=None)
@given(
    some.lists(some.integers(-12, 6), min_size=2, max_size=40),
    some.floats(0.05, 0.999),
    some.integers(1, 12),
)
def test_the_supports_are_those_that_sampling_draws_from(levels, top_p, top_k):
    """Logits with ties, which both must keep."""
    logits = torch.tensor([levels], dtype=torch.float32)
    probabilities = logits.double().softmax(-1)
    ordered = probabilities.sort(descending=True).values.cumsum(-1)
    assume((ordered - top_p).abs().min() > 1e-6)  # else the border's own rounding decides
    _, nucleus, head, _ = entropies_of(logits, torch.tensor([0]), top_p, top_k)
    for found, kept in ((nucleus, support(logits, top_p=top_p)), (head, support(logits, top_k=top_k))):
        assert float(found[0]) == pytest.approx(entropy(probabilities[kept].numpy()), abs=2e-5)


def test_a_distribution_cut_is_never_wider_than_the_whole():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(200, 500, generator=generator) * torch.rand(200, 1, generator=generator) * 8
    ids = torch.zeros(200, dtype=torch.long)
    full = entropies_of(logits, ids)[0]
    before = torch.zeros(200)
    for top_p, top_k in ((0.1, 1), (0.5, 5), (0.9, 50), (0.99, 400)):
        _, nucleus, head, _ = entropies_of(logits, ids, top_p, top_k)
        assert (nucleus <= full + 1e-5).all()
        assert (head <= full + 1e-5).all()
        assert (head >= before - 1e-5).all()  # a longer head of a sorted distribution spreads it
        before = head


def test_of_a_steered_model_the_text_is_read_as_it_was_written(chat):
    """Greedy steered texts are the likeliest tokens where they are read with the same push, and only there."""
    push = (Steering(4, 60.0 * torch.nn.functional.normalize(torch.ones(chat.d_model), dim=0), 0.3),)
    (text,) = generate(chat, ["Write about rain."], steering=[push], temperature=0.0, max_new_tokens=12)
    start = chat.encode_prompt("Write about rain.").ids
    steered = token_entropies(chat, [start], [text.token_ids], push=push, top_k=1)
    clean = token_entropies(chat, [start], [text.token_ids], top_k=1)
    assert steered.surprisal[0, 0] == clean.surprisal[0, 0], "the first token follows the clean prompt"
    assert not np.allclose(steered.surprisal[0, 1:], clean.surprisal[0, 1:], atol=0.1)
    ids = torch.tensor([[*start, *text.token_ids]])
    table = edit_table([push], chat)
    cache, mask = continue_rows(prefill(chat, [start]), torch.tensor([0]), 12)
    with steered_by(chat, table):
        logits = chat.forward(
            ids[:, len(start) : -1],
            mask=mask[:, :-1],
            positions=torch.arange(len(start), ids.shape[1] - 1)[None],
            cache=cache,
        )
    own = -torch.log_softmax(logits.double(), -1)[0].gather(-1, ids[0, len(start) + 1 :, None])[:, 0]
    assert np.allclose(steered.surprisal[0, 1:], own.numpy(), atol=1e-4)
    assert (logits[0].argmax(-1) == ids[0, len(start) + 1 :]).all()
