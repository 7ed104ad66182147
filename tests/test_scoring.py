"""Scores and surprisals equal what is computed by hand, text by text; the score finds the side it was fitted to."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from creativity_lens import scoring
from creativity_lens.activations import Activations, Source, collect_activations
from creativity_lens.directions import mean_difference
from creativity_lens.errors import InputError
from creativity_lens.files import data_folder
from creativity_lens.prompts import ContrastivePair, load_control
from creativity_lens.scoring import Scorer, fit_scorer, read_texts, surprisals

TEXTS = [
    "The tide came in over the sand and took the small boats one by one.",
    "Rain.",
    "",
    "An old key lay in the grass, and nobody knew what door it had been made for, nor who had lost it there.",
    "It was dark. The lamp was out.",
]
PROMPTS = [
    "Write about rain.",
    "Tell me of an old ship that comes home after forty years, and who waits for it.",
    "Describe.",
]
LAYER = 3


@pytest.fixture(scope="module")
def plain():
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(data_folder() / "pocket" / "chat", dtype=torch.float32).eval()


def made_activations(creative: Tensor, boring: Tensor, layer: int = LAYER) -> Activations:
    source = Source("made", None, "", "", "float32", "", "", creative.shape[0], "text")
    topics = tuple(f"t{n}" for n in range(len(creative)))
    return Activations(creative[None], boring[None], torch.ones(1, len(creative)), (layer,), topics, 8, source)


def random_unit(seed: int, *shape: int) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def planted(seed: int, concept: Tensor, nuisance: Tensor, *, pairs: int = 40) -> Activations:
    """Sides that differ by 2 along the concept and by 3 along the nuisance."""
    noise = torch.randn(2, pairs, len(concept), generator=torch.Generator().manual_seed(seed)) * 0.3
    shift = concept + 1.5 * nuisance
    return made_activations(5.0 + shift + noise[0], 5.0 - shift + noise[1])


@torch.inference_mode()
def by_hand(chat, text: str, length: int | None = None) -> Tensor:
    """Residual stream at the text's own tokens, through TransformerLens's own cache, one text without padding."""
    ids = chat.start_ids + chat.encode_text(text)[:length]
    _, cache = chat.bridge.run_with_cache(torch.tensor([ids]))
    return cache[f"blocks.{LAYER}.hook_out"][0, len(chat.start_ids) :]


# ---- reading ----


@pytest.mark.parametrize("length", [None, 6])
def test_means_and_token_scores_equal_a_hand_computation(chat, length):
    scorer = Scorer(LAYER, random_unit(0, chat.d_model), torch.ones(chat.d_model), 2.5, length)
    ids = [chat.encode_text(text) for text in TEXTS]
    readings = read_texts(chat, ids, LAYER, length=length, scorer=scorer)
    for text, mean, tokens in zip(TEXTS, readings.means, readings.tokens, strict=True):
        own = by_hand(chat, text, length)
        if not text:
            assert mean.isnan().all()
            assert tokens.shape == (0,)
            continue
        assert torch.allclose(mean, own.mean(0), atol=1e-3, rtol=1e-5)
        assert torch.allclose(tokens, (own - 1.0) @ scorer.vector / 2.5, atol=1e-3)
        assert len(tokens) == len(own) == len(chat.encode_text(text)[:length])


@pytest.mark.parametrize("cosine", [False, True])
def test_token_scores_average_to_the_score(chat, cosine):
    scorer = Scorer(LAYER, random_unit(1, chat.d_model), torch.ones(chat.d_model), 0.7, None, cosine)
    readings = read_texts(chat, [chat.encode_text(text) for text in TEXTS], LAYER, scorer=scorer)
    scores = scorer.score(readings.means)
    assert scores.isnan().tolist() == [not text for text in TEXTS]
    for score, tokens in zip(scores, readings.tokens, strict=True):
        assert math.isnan(score) or tokens.mean() == pytest.approx(float(score), abs=1e-3)


def test_texts_are_cut_to_equal_length(chat):
    ids = [chat.encode_text(text) for text in TEXTS]
    cut = read_texts(chat, ids, LAYER, length=5).means
    assert torch.allclose(cut, read_texts(chat, [text[:5] for text in ids], LAYER).means, atol=1e-3, equal_nan=True)
    assert not torch.allclose(cut[0], read_texts(chat, ids[:1], LAYER).means[0], atol=1e-1)


def test_readings_do_not_depend_on_what_else_is_read(chat):
    ids = [chat.encode_text(text) for text in TEXTS]
    together = read_texts(chat, ids, LAYER).means
    alone = torch.cat([read_texts(chat, [text], LAYER).means for text in ids])
    assert torch.allclose(together, alone, atol=1e-3, equal_nan=True)
    assert read_texts(chat, [], LAYER).means.shape == (0, chat.d_model)


def test_a_text_longer_than_the_context_is_refused(chat):
    long = chat.encode_text("an old ship " * 300)
    with pytest.raises(InputError, match=r"^text of [^\n]*expected at most the context of 512"):
        read_texts(chat, [long], LAYER)
    assert read_texts(chat, [long], LAYER, length=50).means.isfinite().all()
    with pytest.raises(InputError, match=r"^prompt and text of [^\n]*expected at most the context of 512"):
        surprisals(chat, PROMPTS[:1], [long[:505]])


# ---- the score ----


def test_a_projection_in_gaps():
    scorer = Scorer(LAYER, torch.tensor([0.6, 0.8]), torch.tensor([1.0, 1.0]), 2.0, None)
    assert scorer.score(torch.tensor([[1.0, 1.0], [6.0, 1.0], [1.0, -4.0]])).tolist() == pytest.approx([0, 1.5, -2])
    moved = replace(scorer, center=torch.zeros(2))
    assert moved.score(torch.tensor([[3.0, 4.0]])).tolist() == pytest.approx([2.5])
    assert replace(moved, cosine=True).score(torch.tensor([[30.0, 40.0]])).tolist() == pytest.approx([0.5])


@pytest.mark.parametrize("cosine", [False, True])
def test_the_unit_is_the_dev_pairs_mean_difference(cosine):
    concept, nuisance = random_unit(2, 2, 64)
    fitted, dev = (planted(seed, concept, nuisance) for seed in (0, 1))
    scorer = fit_scorer(mean_difference(fitted), dev, LAYER, length=48, cosine=cosine)
    margins = scorer.score(dev.creative[0]) - scorer.score(dev.boring[0])
    assert margins.mean() == pytest.approx(1.0, abs=1e-5)
    assert scorer.length == 48
    backwards = replace(dev, creative=dev.boring, boring=dev.creative)
    with pytest.raises(InputError, match=f"^layer {LAYER}: the direction does not separate the dev pairs [^\n]*$"):
        fit_scorer(mean_difference(fitted), backwards, LAYER, length=48, cosine=cosine)


def test_without_makes_the_score_blind_to_the_nuisance_and_to_nothing_else():
    concept, nuisance = torch.linalg.qr(random_unit(3, 64, 2)).Q.T
    fitted, dev = (planted(seed, concept, nuisance) for seed in (0, 1))
    scorer = fit_scorer(mean_difference(fitted), dev, LAYER, length=None)
    blind = scorer.without(nuisance[None], dev)
    texts = 5.0 + torch.randn(10, 64, generator=torch.Generator().manual_seed(4))
    assert (scorer.score(texts + nuisance) - scorer.score(texts)).min() > 0.1  # it did look at the nuisance
    assert torch.allclose(blind.score(texts + 10 * nuisance), blind.score(texts), atol=1e-4)
    assert (blind.score(texts + concept) - blind.score(texts)).mean() == pytest.approx(0.5, abs=0.03)  # a gap is 2
    assert blind.vector.norm() == pytest.approx(1.0)
    assert (blind.score(dev.creative[0]) - blind.score(dev.boring[0])).mean() == pytest.approx(1.0, abs=1e-5)
    # however the nuisances' span is spelt
    for same in (
        7 * nuisance[None], torch.stack([nuisance, -2 * nuisance]), torch.stack([nuisance, torch.zeros(64)]),
    ):  # fmt: skip
        assert torch.allclose(scorer.without(same, dev).vector, blind.vector, atol=1e-5)


def test_without_all_of_the_direction_nothing_is_scored():
    concept, nuisance = random_unit(5, 2, 64)
    fitted, dev = (planted(seed, concept, nuisance) for seed in (0, 1))
    scorer = fit_scorer(mean_difference(fitted), dev, LAYER, length=None)
    with pytest.raises(InputError, match=f"^layer {LAYER}: the nuisances span the score's direction[^\n]*$"):
        scorer.without(torch.stack([random_unit(6, 64), scorer.vector]), dev)


def test_texts_of_one_side_score_higher(chat):
    pairs = [
        replace(pair, creative_response=pair.creative_response[:160], boring_response=pair.boring_response[:160])
        for pair in load_control("register")
    ]
    fitted, dev, held = pairs[0::3], pairs[1::3], pairs[2::3]

    def read(some: list[ContrastivePair]) -> Activations:
        return collect_activations(chat, some, layers=[4], position="text", max_tokens=24, cache=False)

    scorer = fit_scorer(mean_difference(read(fitted)), read(dev), 4, length=24)
    creative, boring = (
        scorer.score(read_texts(chat, [chat.encode_text(text) for text in side], 4, length=24).means)
        for side in ([pair.creative_response for pair in held], [pair.boring_response for pair in held])
    )
    assert (creative > boring).float().mean() > 0.8
    assert 0.4 < (creative - boring).mean() < 1.6  # about a gap
    shuffled = mean_difference(read([*fitted[::2], *(swap(pair) for pair in fitted[1::2])]))
    assert (
        abs(float(shuffled.vectors[0] @ scorer.vector)) < 0.8
    )  # sides swapped in half of the pairs: not that direction


def swap(pair: ContrastivePair) -> ContrastivePair:
    return replace(pair, creative_response=pair.boring_response, boring_response=pair.creative_response)


# ---- surprisal ----


@torch.inference_mode()
def loss_by_hand(chat, plain, prompt: str, text: str) -> float:
    front, ids = chat.encode_prompt(prompt).ids, chat.encode_text(text)
    labels = torch.tensor([[-100] * len(front) + list(ids)])
    return float(plain(torch.tensor([front + ids]), labels=labels).loss) if ids else math.nan


@pytest.mark.parametrize("batch_bytes", [1 << 30, 1])
def test_surprisals_equal_the_loss_of_transformers(chat, plain, monkeypatch, batch_bytes):
    monkeypatch.setattr(scoring, "LOGIT_BYTES", batch_bytes)  # all in one batch, then one by one
    cases = [(prompt, text) for text in TEXTS for prompt in PROMPTS]  # not in the order of prompts
    values = surprisals(chat, [prompt for prompt, _ in cases], [chat.encode_text(text) for _, text in cases])
    expected = [loss_by_hand(chat, plain, prompt, text) for prompt, text in cases]
    assert values.tolist() == pytest.approx(expected, abs=1e-4, nan_ok=True)
    assert sum(map(math.isnan, expected)) == len(PROMPTS)
    assert len({round(value, 3) for value in expected if value == value}) == 4 * len(PROMPTS)


def test_the_surprisal_of_one_token_comes_from_the_prompt_alone(chat):
    first = chat.encode_text(TEXTS[0])[0]
    prompt = torch.tensor([chat.encode_prompt(PROMPTS[0]).ids])
    with torch.inference_mode():
        expected = -chat.forward(prompt)[0, -1].log_softmax(-1)[first]
    assert surprisals(chat, PROMPTS[:1], [[first]]).tolist() == pytest.approx([float(expected)], abs=1e-4)


def test_a_prompt_runs_once_for_all_of_its_texts(chat, monkeypatch):
    prefilled = []
    prefill = scoring.prefill
    monkeypatch.setattr(
        scoring, "prefill", lambda model, prompts: prefilled.append(len(prompts)) or prefill(model, prompts)
    )
    cases = [PROMPTS[0], PROMPTS[1]] * 4, [chat.encode_text(text) for text in (TEXTS[0], TEXTS[3])] * 4
    together = surprisals(chat, *cases)
    assert prefilled == [2]
    longest = max(map(len, cases[1]))
    monkeypatch.setattr(scoring, "LOGIT_BYTES", 4 * longest * chat.vocabulary * 4)  # four rows' logits
    apart = surprisals(chat, *cases)
    assert prefilled[1:] == [1] * (len(prefilled) - 1)  # no batch holds rows of two prompts
    assert torch.allclose(together, apart, atol=1e-4)


def test_prompts_and_texts_must_be_as_many(chat):
    with pytest.raises(ValueError, match="zip"):
        surprisals(chat, PROMPTS, [[5]])
    assert surprisals(chat, [], []).shape == (0,)
    assert surprisals(chat, PROMPTS[:1], [[]]).isnan().tolist() == [True]
