"""Mixtures of two distributions: the published formula in float64, its identities, and what is drawn from them."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats

from creativity_lens.errors import InputError
from creativity_lens.sampling import MIXES, TRUNCATES, Mixing, check_gamma, gumbel_noise, mixed, next_tokens, support

TRUNCATIONS = [{}, {"top_p": 0.8}, {"top_k": 5}, {"min_p": 0.15}, {"top_p": 0.9, "top_k": 9, "min_p": 0.02}]


def drawn_logits(rows: int, vocabulary: int, seed: int, spread: float = 2.0) -> torch.Tensor:
    return spread * torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed))


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def left_by(p: np.ndarray, top_p: float = 1.0, top_k: int = 0, min_p: float = 0.0) -> np.ndarray:
    """Which ids a truncation leaves, from sorted probabilities without ties."""
    order = np.argsort(-p, kind="stable")
    order = order[:top_k] if top_k else order
    head = p[order] / p[order].sum()
    order = order[: int((head.cumsum() < top_p).sum()) + 1] if top_p < 1 else order
    kept = np.zeros(len(p), dtype=bool)
    kept[order] = True
    return kept & (p >= min_p * p.max())


def by_hand(own, other, gamma, temperature, other_temperature, mixing: Mixing, **truncation) -> np.ndarray:
    """METHODS.md, arXiv 2507.20956, in float64: q = (1 - g) p + g b on T, 0 elsewhere, renormalised; and its kin."""
    p = softmax(np.asarray(own, dtype=float) / temperature)
    b = softmax(np.asarray(other, dtype=float) / other_temperature)
    q = {
        "prob": lambda: (1 - gamma) * p + gamma * b,
        "logprob": lambda: p ** (1 - gamma) * b**gamma,
        "contrast": lambda: p * (p / b) ** gamma,
    }[mixing.mix]()
    q = q * left_by(p if mixing.truncate == "instruct-first" else q / q.sum(), **truncation)
    return q / q.sum()


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("truncate", TRUNCATES)
def test_equals_the_published_formula_in_float64(mix, truncate):
    rows = 60
    own, other = drawn_logits(rows, 40, 1), drawn_logits(rows, 40, 2)
    generator = np.random.default_rng(0)
    gamma = torch.tensor(generator.uniform(0, 1, rows), dtype=torch.float32)
    gamma[0], gamma[1] = 0.0, 1.0
    heat, other_heat = (torch.tensor(generator.uniform(0.5, 2, rows), dtype=torch.float32) for _ in range(2))
    mixing = Mixing(mix, truncate)
    for truncation in TRUNCATIONS:
        found = mixed(own, other, gamma, heat, other_heat, mixing=mixing, **truncation).exp().numpy()
        assert found.sum(1) == pytest.approx(np.ones(rows), abs=1e-5)
        for row in range(rows):
            numbers = (float(gamma[row]), float(heat[row]), float(other_heat[row]))
            expected = by_hand(own[row], other[row], *numbers, mixing, **truncation)
            assert found[row] == pytest.approx(expected, abs=1e-5), (row, truncation)


@pytest.mark.parametrize("truncate", TRUNCATES)
def test_gamma_0_is_the_aligned_model_and_gamma_1_its_base(truncate):
    own, other = drawn_logits(8, 30, 3), drawn_logits(8, 30, 4)
    heat, other_heat = torch.full((8,), 0.8), torch.full((8,), 1.4)
    for mix, truncation in product(("prob", "logprob"), TRUNCATIONS):
        mixing = Mixing(mix, truncate)
        kept = support(own / 0.8, **truncation)
        expected = (own / 0.8).masked_fill(~kept, -math.inf).softmax(-1)
        found = mixed(own, other, torch.zeros(8), heat, other_heat, mixing=mixing, **truncation)
        assert torch.allclose(found.exp(), expected, atol=1e-6)
        found = mixed(own, other, torch.ones(8), heat, other_heat, mixing=mixing, **truncation)
        if truncate == "after-mix":
            kept = support(other / 1.4, **truncation)
        expected = (other / 1.4).masked_fill(~kept, -math.inf).softmax(-1)
        assert torch.allclose(found.exp(), expected, atol=1e-6)


@pytest.mark.parametrize("truncate", TRUNCATES)
def test_a_model_mixed_with_itself_is_its_truncated_distribution(truncate):
    own = drawn_logits(50, 200, 5, spread=4.0)
    own[3, :20] = own[3].max()  # ties
    own[4, 50:] = -math.inf
    gamma = torch.linspace(0, 1, 50)
    for mix, truncation in product(MIXES, TRUNCATIONS):
        mixing = Mixing(mix, truncate)
        found = mixed(own, own, gamma, *torch.ones(2, 50), mixing=mixing, **truncation).exp()
        expected = own.masked_fill(~support(own, **truncation), -math.inf).softmax(-1)
        # rounding of the mixture may move an id across the border of its truncation; the border has little mass
        borders = 0 if truncate == "instruct-first" else 2
        differing = ((found - expected).abs() > 1e-6).any(-1)
        assert int(differing.sum()) <= borders, (mix, truncation)


def extreme_logits(generator: torch.Generator, rows: int, vocabulary: int) -> torch.Tensor:
    """Random logits with -inf, ties, and sizes from 0 to 1e5; every row has a finite one."""
    sizes = 10.0 ** (7 * torch.rand(rows, 1, generator=generator) - 2)
    logits = sizes * torch.randn(rows, vocabulary, generator=generator)
    logits = torch.where(torch.rand(rows, vocabulary, generator=generator) < 0.2, -math.inf, logits)
    tied = torch.rand(rows, 1, generator=generator) < 0.3
    logits = torch.where(tied, logits.round(decimals=-1), logits)
    logits[torch.arange(rows), torch.randint(vocabulary, (rows,), generator=generator)] = 1.0
    return logits


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("truncate", TRUNCATES)
def test_any_two_distributions_mix_to_one_that_lies_where_it_may(mix, truncate):
    generator = torch.Generator().manual_seed(6)
    for truncation in TRUNCATIONS:
        own, other = extreme_logits(generator, 300, 24), extreme_logits(generator, 300, 24)
        gamma = torch.rand(300, generator=generator)
        gamma[:20], gamma[20:40] = 0.0, 1.0
        heat, other_heat = 0.2 + 2 * torch.rand(2, 300, generator=generator)
        logs = mixed(own, other, gamma, heat, other_heat, mixing=Mixing(mix, truncate), **truncation)
        q = logs.exp()
        assert not q.isnan().any()
        assert torch.allclose(q.sum(-1), torch.ones(300), atol=1e-5)
        if truncate == "instruct-first":
            assert not q[~support(own / heat[:, None], **truncation)].any()
        if mix == "contrast":
            assert not q[own == -math.inf].any()


def test_zero_probabilities_in_log_mixing():
    """p^(1-g) b^g is 0 where either is; where that leaves nothing, the aligned model goes on alone."""
    nothing = -math.inf
    own = torch.tensor([[0.0, 0.0, nothing], [0.0, nothing, nothing], [0.0, 1.0, nothing]])
    other = torch.tensor([[nothing, 0.0, 0.0], [nothing, 0.0, 0.0], [nothing, nothing, 0.0]])
    half, ones = torch.full((3,), 0.5), torch.ones(3)
    found = mixed(own, other, half, ones, ones, mixing=Mixing("logprob")).exp()
    assert found[0].tolist() == pytest.approx([0, 1, 0])
    assert found[1].tolist() == pytest.approx([1, 0, 0])
    assert found[2].tolist() == pytest.approx([1 / (1 + math.e), math.e / (1 + math.e), 0])
    for truncate in TRUNCATES:  # also where a truncation is asked for of what was left
        found = mixed(own, other, ones, ones, ones, mixing=Mixing("logprob", truncate), top_k=1).exp()
        assert found.sum(-1).tolist() == pytest.approx([1, 1, 1])
    restricted = mixed(own, other, ones, ones, ones, mixing=Mixing("prob"), top_p=0.99).exp()
    assert restricted[0].tolist() == pytest.approx([0, 1, 0])  # all that the base has on T
    assert restricted[1].tolist() == pytest.approx([1, 0, 0])  # the base has nothing on T
    contrast = mixed(own, other, half, ones, ones, mixing=Mixing("contrast")).exp()
    assert contrast[1].tolist() == pytest.approx([1, 0, 0])
    assert not contrast.isnan().any()


def test_a_contrast_moves_away_from_the_base_and_a_mixture_towards_it():
    own, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    first = [
        float(mixed(own, other, torch.tensor([0.5]), torch.ones(1), torch.ones(1), mixing=Mixing(mix)).exp()[0, 0])
        for mix in ("contrast", "prob", "logprob")
    ]
    alone = float(own.softmax(-1)[0, 0])
    assert first == pytest.approx([1 / (1 + math.exp(-2)), 0.5, 0.5])
    assert first[0] > alone > first[1]


def test_each_temperature_acts_before_mixing():
    own, other = torch.tensor([[2.0, 0.0, 1.0]]), torch.tensor([[0.0, 3.0, 1.0]])
    found = mixed(own, other, torch.tensor([0.25]), torch.tensor([0.5]), torch.tensor([2.0])).exp()
    assert torch.allclose(found, 0.75 * (own / 0.5).softmax(-1) + 0.25 * (other / 2).softmax(-1))
    cold = mixed(own, other, torch.tensor([0.25]), torch.tensor([1.0]), torch.tensor([0.0])).exp()
    assert torch.allclose(cold, 0.75 * own.softmax(-1) + 0.25 * torch.tensor([[0.0, 1.0, 0.0]]), atol=1e-6)
    greedy = mixed(own, other, torch.tensor([0.25]), torch.tensor([0.0]), torch.tensor([0.0])).exp()
    assert torch.allclose(greedy, 0.75 * own.softmax(-1) + 0.25 * other.softmax(-1))


def test_vocabularies_of_different_length():
    own, other = torch.zeros(1, 3), torch.zeros(1, 5)
    ones = torch.ones(1)
    found = mixed(own, other, torch.tensor([0.5]), ones, ones).exp()
    assert found.shape == (1, 3)
    assert found[0].tolist() == pytest.approx([1 / 3] * 3)
    found = mixed(other, own, torch.tensor([0.5]), ones, ones).exp()
    assert found[0].tolist() == pytest.approx([0.1 + 1 / 6] * 3 + [0.1] * 2)
    found = mixed(other, own, torch.tensor([0.5]), ones, ones, banned=(0, 4)).exp()
    assert found[0].tolist() == pytest.approx([0, 1 / 6 + 1 / 4, 1 / 6 + 1 / 4, 1 / 6, 0])


def test_what_is_no_number_stays_none_and_spares_the_other_rows():
    own, other = drawn_logits(4, 6, 7), drawn_logits(4, 6, 8)
    own[1, 2], other[2, 3] = math.nan, math.nan
    for mix, truncation in product(MIXES, ({}, {"top_p": 0.7})):
        found = mixed(own, other, torch.full((4,), 0.5), *torch.ones(2, 4), mixing=Mixing(mix), **truncation)
        assert found.isnan().all(-1).tolist() == [False, True, True, False]
        assert found.isnan().any(-1).tolist() == [False, True, True, False]


def test_half_precision_is_mixed_in_float32():
    own, other = drawn_logits(3, 50, 9).half(), drawn_logits(3, 50, 10).half()
    found = mixed(own, other, torch.full((3,), 0.3), *torch.ones(2, 3))
    assert found.dtype == torch.float32
    assert torch.equal(found, mixed(own.float(), other.float(), torch.full((3,), 0.3), *torch.ones(2, 3)))


@pytest.mark.parametrize("mixing", [Mixing("prob"), Mixing("logprob", "after-mix"), Mixing("contrast")])
def test_what_is_drawn_has_the_frequencies_of_the_mixture(mixing):
    own, other = drawn_logits(1, 9, 11, 1.0), drawn_logits(1, 9, 12, 1.0)
    q = mixed(own, other, torch.tensor([0.4]), torch.tensor([0.9]), torch.tensor([1.2]), mixing=mixing, top_p=0.85)
    n = 4000
    noise = torch.from_numpy(np.stack([gumbel_noise("p", seed, 3, 9) for seed in range(n)]))
    drawn = next_tokens(q.expand(n, -1), noise, torch.ones(n))
    counts = np.bincount(drawn.numpy(), minlength=9)
    expected = n * q.exp()[0].double().numpy()
    possible = expected > 0
    assert 2 < possible.sum() < 9
    assert not counts[~possible].any()
    expected = expected[possible] / expected.sum() * n
    assert stats.chisquare(counts[possible], expected).pvalue > 0.001
    control = n * by_hand(own[0], other[0], 0.0, 0.9, 1.2, Mixing())[possible]
    assert stats.chisquare(counts[possible], control / control.sum() * n).pvalue < 1e-6, "the test could fail"


def test_which_models_a_row_needs():
    own, both, other = (True, False), (True, True), (False, True)
    assert Mixing().needs(None, truncated=True) == Mixing().needs(0.0, truncated=False) == own
    assert Mixing().needs(0.5, truncated=False) == both
    assert Mixing().needs(1.0, truncated=False) == other
    assert Mixing().needs(1.0, truncated=True) == both
    assert Mixing("prob", "after-mix").needs(1.0, truncated=True) == other
    assert Mixing("contrast").needs(1.0, truncated=False) == both


def test_bad_settings_are_refused():
    for gamma in (-0.1, 1.1, math.nan, math.inf):
        with pytest.raises(InputError, match="gamma: expected a number from 0"):
            check_gamma(gamma)
    with pytest.raises(InputError, match="Did you mean 'logprob'"):
        Mixing("logprobs")
    with pytest.raises(InputError, match="Did you mean 'instruct-first'"):
        Mixing("prob", "instruct_first")
