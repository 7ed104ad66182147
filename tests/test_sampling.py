"""Luck is a function of its arguments, of the right distribution, shared; truncations leave what a full sort leaves."""

from functools import cache

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from creativity_lens import sampling
from creativity_lens.errors import InputError
from creativity_lens.sampling import gumbel_noise, next_tokens, support

P = torch.tensor([0.45, 0.25, 0.15, 0.1, 0.04, 0.01])


@cache
def noise_of_seeds(first: int, lucks: int) -> Tensor:
    return torch.from_numpy(np.stack([gumbel_noise("p", first + n, 0, len(P)) for n in range(lucks)]))


def draw(logits: Tensor, lucks: int = 10_000, *, temperature: float = 1.0, first: int = 0, **truncation) -> np.ndarray:
    rows = logits.expand(lucks, -1)
    return next_tokens(rows, noise_of_seeds(first, lucks), torch.full((lucks,), temperature), **truncation).numpy()


def test_noise_is_a_function_of_its_arguments_alone():
    again = gumbel_noise("p", 3, 7, 4096)
    np.random.default_rng(0).random(10)
    torch.manual_seed(1)
    assert (gumbel_noise("p", 3, 7, 4096) == again).all()
    assert again.dtype == np.float32
    for other in (gumbel_noise("q", 3, 7, 4096), gumbel_noise("p", 4, 7, 4096), gumbel_noise("p", 3, 8, 4096)):
        assert (other != again).mean() > 0.99


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 4095])
def test_noise_of_fewer_ids_is_the_beginning_of_noise_of_more(size):
    assert (gumbel_noise("p", 0, 5, 4096)[:size] == gumbel_noise("p", 0, 5, size)).all()


def test_noise_is_standard_gumbel():
    assert stats.kstest(gumbel_noise("p", 0, 0, 200_000), "gumbel_r").pvalue > 0.01


@pytest.mark.parametrize("along", ["steps", "seeds", "prompts"])
def test_noise_of_one_id_is_standard_gumbel_and_uncorrelated(along):
    arguments = {
        "steps": lambda n: ("p", 0, n),
        "seeds": lambda n: ("p", n, 0),
        "prompts": lambda n: (f"p{n}", 0, 0),
    }[along]
    values = np.array([gumbel_noise(*arguments(n), 2)[1] for n in range(4_000)])
    assert stats.kstest(values, "gumbel_r").pvalue > 0.01
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 4 / np.sqrt(len(values))


def test_noise_is_finite_at_the_unluckiest_bits():
    # these draws hold 24 set bits in a row: with a half step more they round to a probability of 1 and infinite noise
    for step, token in ((1795, 3987), (2189, 1595), (4608, 2206)):
        noise = gumbel_noise("p", 0, step, 4096)
        assert np.isfinite(noise).all()
        assert noise.argmax() == token
        assert noise[token] == pytest.approx(24 * np.log(2), abs=0.01)  # -log(2 ** -24)


def test_frequencies_are_the_softmax():
    drawn = draw(P.log())
    assert stats.chisquare(np.bincount(drawn, minlength=6), 10_000 * P.double().numpy()).pvalue > 0.01


def test_frequencies_at_a_temperature_are_the_softmax_at_that_temperature():
    wanted = (P.log() / 0.5).softmax(-1).double().numpy()
    drawn = draw(P.log(), temperature=0.5)
    assert stats.chisquare(np.bincount(drawn, minlength=6), 10_000 * wanted / wanted.sum()).pvalue > 0.01
    untempered = stats.chisquare(np.bincount(drawn, minlength=6), 10_000 * P.double().numpy()).pvalue
    assert untempered < 1e-9  # the test could tell


def test_frequencies_after_a_nucleus_are_renormalised():
    drawn = draw(P.log(), top_p=0.8)  # 0.45 + 0.25 + 0.15
    assert set(drawn) == {0, 1, 2}
    wanted = P[:3].double().numpy() / P[:3].double().sum().item()
    assert stats.chisquare(np.bincount(drawn), 10_000 * wanted).pvalue > 0.01


def test_temperature_zero_is_greedy_whatever_the_luck():
    logits = torch.randn(50, 100, generator=torch.Generator().manual_seed(0))
    noise = torch.from_numpy(np.stack([gumbel_noise("p", n, 0, 100) for n in range(50)]))
    cold = torch.zeros(50)
    for truncation in ({}, {"top_k": 5}, {"top_p": 0.5}, {"min_p": 0.2}):
        assert torch.equal(next_tokens(logits, noise, cold, **truncation), logits.argmax(-1))
        assert torch.equal(next_tokens(logits, None, cold, **truncation), logits.argmax(-1))


def test_rows_have_their_own_temperature():
    logits = torch.randn(1, 100, generator=torch.Generator().manual_seed(0)).expand(3, -1)
    noise = torch.from_numpy(gumbel_noise("p", 0, 0, 100)).expand(3, -1)
    temperature = torch.tensor([0.0, 1.0, 3.0])
    drawn = next_tokens(logits, noise, temperature)
    assert drawn.tolist() == [int((logits[i] + temperature[i] * noise[i]).argmax()) for i in range(3)]
    assert len(set(drawn.tolist())) > 1


def test_equal_luck_draws_alike_under_like_conditions():
    other = torch.tensor([0.35, 0.3, 0.2, 0.1, 0.04, 0.01])
    distance = float((P - other).abs().sum()) / 2
    coupled = (draw(P.log()) != draw(other.log())).mean()
    independent = (draw(P.log()) != draw(other.log(), first=10_000)).mean()
    assert distance - 0.02 < coupled < 2 * distance / (1 + distance) + 0.02  # the bound of the Gumbel coupling
    assert independent > 0.6
    assert (draw(P.log()) == draw(P.log() + 3.0)).all()  # a constant shift of logits is no change at all


def full_sort(logits: Tensor, top_p: float, top_k: int, min_p: float) -> Tensor:
    """The same truncations by sorting every row, in float64, one row at a time."""
    kept = torch.zeros_like(logits, dtype=torch.bool)
    for row, values in enumerate(logits.double()):
        floor = values.sort(descending=True).values[top_k - 1] if top_k else -torch.inf
        values = values.where(values >= floor, -torch.inf)
        p = values.softmax(-1)
        descending = p.sort(descending=True).values
        reached = (descending.cumsum(-1) >= top_p - 1e-9).nonzero()
        nucleus = descending[reached[0, 0]] if top_p < 1.0 else 0.0
        kept[row] = (values > -torch.inf) & (p >= nucleus) & (p >= min_p * p.max())
    return kept


def shapes() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    random = torch.randn(6, 3000, generator=generator)
    peaked = random * 8
    nearly_flat = random * 1e-3
    one_hot = torch.full((2, 3000), -30.0)
    one_hot[:, 17] = 10.0
    tied = torch.randint(0, 4, (6, 3000), generator=generator).float()
    return {"random": random, "peaked": peaked, "nearly flat": nearly_flat, "one-hot": one_hot, "tied": tied}


@pytest.mark.parametrize("shape", list(shapes()))
@pytest.mark.parametrize(
    "truncation",
    [(0.9, 0, 0.0), (0.3, 0, 0.0), (0.999, 0, 0.0), (1.0, 1, 0.0), (1.0, 40, 0.0), (1.0, 5000, 0.0), (1.0, 0, 0.1),
     (0.8, 50, 0.0), (0.95, 200, 0.02), (1e-9, 0, 0.0)],
)  # fmt: skip
def test_truncations_equal_a_full_sort(shape, truncation):
    logits = shapes()[shape]
    top_p, top_k, min_p = truncation
    kept = support(logits, top_p=top_p, top_k=top_k, min_p=min_p)
    wanted = full_sort(logits, top_p, min(top_k, 3000), min_p)
    if shape == "nearly flat" and top_p < 1.0:  # float32 sums of 3,000 like shares end a few ids apart
        assert (kept.sum(-1) - wanted.sum(-1)).abs().max() <= 3
    else:
        assert torch.equal(kept, wanted)
    assert kept.gather(-1, logits.argmax(-1, keepdim=True)).all()


def test_a_flat_distribution_keeps_all_that_is_tied():
    flat = torch.zeros(2, 500)
    for truncation in ({"top_k": 3}, {"top_p": 0.1}, {"min_p": 0.9}):
        assert support(flat, **truncation).all()


def test_truncation_of_a_row_does_not_depend_on_the_others():
    logits = torch.cat(list(shapes().values()))
    together = support(logits, top_p=0.9, top_k=700, min_p=0.001)
    alone = torch.cat([support(row[None], top_p=0.9, top_k=700, min_p=0.001) for row in logits])
    assert torch.equal(together, alone)


def test_the_nucleus_of_a_peaked_distribution_is_found_without_sorting_the_vocabulary(monkeypatch):
    widths = []
    topk = Tensor.topk
    monkeypatch.setattr(Tensor, "topk", lambda self, k, **options: widths.append(k) or topk(self, k, **options))
    support(shapes()["peaked"], top_p=0.9)
    assert max(widths) <= 256


def test_banned_ids_are_never_drawn_and_the_rest_is_renormalised():
    drawn = draw(P.log(), banned=(0, 4))
    wanted = P[[1, 2, 3, 5]].double().numpy()
    assert set(drawn) == {1, 2, 3, 5}
    counts = np.bincount(drawn, minlength=6)[[1, 2, 3, 5]]
    assert stats.chisquare(counts, 10_000 * wanted / wanted.sum()).pvalue > 0.01
    assert set(draw(P.log(), banned=(0, 4), top_k=1)) == {1}
    assert set(draw(P.log(), banned=(0, 1, 2, 3, 4), top_k=3, top_p=0.9, min_p=0.1)) == {5}
    assert next_tokens(P.log()[None], None, torch.zeros(1), banned=(0,)).tolist() == [1]


def test_ids_that_the_model_masks_are_never_drawn():
    logits = P.log().clone()
    logits[[0, 2]] = -torch.inf
    for truncation in ({}, {"top_p": 0.9}, {"top_k": 5}, {"min_p": 0.01}):
        assert not set(draw(logits, **truncation)) & {0, 2}
        assert set(draw(logits, temperature=0.0, **truncation)) == {1}


def test_bfloat16_logits_are_drawn_from_as_float32():
    logits = torch.randn(4, 1000, generator=torch.Generator().manual_seed(0)).bfloat16()
    noise = torch.from_numpy(np.stack([gumbel_noise("p", n, 0, 1000) for n in range(4)]))
    assert torch.equal(next_tokens(logits, noise, torch.ones(4)), (logits.float() + noise).argmax(-1))


@pytest.mark.parametrize(
    ("truncation", "said"),
    [((0.0, 0, 0.0), "top_p"), ((1.1, 0, 0.0), "top_p"), ((float("nan"), 0, 0.0), "top_p"), ((1.0, -1, 0.0), "top_k"),
     ((1.0, 0, 1.0), "min_p"), ((1.0, 0, -0.1), "min_p")],
)  # fmt: skip
def test_truncations_out_of_range_are_refused(truncation, said):
    with pytest.raises(InputError, match=f"^{said}: expected [^\n]*$"):
        sampling.check_truncation(*truncation)
