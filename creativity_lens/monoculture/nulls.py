"""What "narrower in so many items" is held against: labels swapped within the item, and people against people.

For each item, narrower is 1, 0, or 1/2 for a tie, at equal numbers of texts; with unequal numbers it is the mean over
`INNER` draws of as many texts from the larger side as the smaller has. The share is the mean over items. Swapping deals
an item's texts out again to "generated" and "source" in all possible ways, or in `draws` random ones, and counts how
often the share is as far out: p is exact where generated and source texts are exchangeable. All items are dealt out
independently of each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Float, Int

from creativity_lens.monoculture.dispersion import Pool

INNER = 20  # draws of the larger side's texts, where the sides are unequal
_TIE = 1e-9


@dataclass(frozen=True)
class SwapTest:
    """The share of items narrower than their source, and what swapped labels give."""

    each: Float[np.ndarray, " item"]  # 0 to 1
    share: float
    p: float  # two-sided
    null: float  # mean share under swapped labels
    null_low: float  # where 95 % of the swapped shares lie
    null_high: float
    exact: bool  # all ways of swapping were looked at


@dataclass(frozen=True)
class SplitTest:
    """The share of items whose first random half of the source is narrower than the second."""

    share: float  # mean over splits
    low: float  # where 95 % of the splits lie
    high: float
    n: int  # items with at least 4 source texts


def swap_test(pools: Sequence[Pool], sizes: Sequence[tuple[int, int]], *, draws: int = 1999, seed: int = 0) -> SwapTest:
    """Test the share of items narrower than their source; `sizes` are the generated and source texts of each pool.

    >>> pool = Pool(codes=np.array([0, 0, 0, 1]))  # generated: both 0; source: 0 and 1
    >>> found = swap_test([pool] * 4, [(2, 2)] * 4)  # every way of dealing puts the odd one here or there
    >>> found.share, found.p  # 4 of 4, and 2 of 2 ** 4 ways are as far out
    (1.0, 0.125)
    """
    rng = np.random.default_rng(seed)
    dealt = {size: _deals(*size, draws, rng) for size in sorted(set(sizes))}
    values = []  # of each item, for each way of dealing its texts; the first way is the one that was seen
    for pool, size in zip(pools, sizes, strict=True):
        values.append(_narrower(pool, *dealt[size].sides))
    each = np.array([one[0] for one in values])
    share = float(each.mean())
    if all(dealt[size].complete for size in sizes) and all(a == b for a, b in sizes):
        points, chances = _convolved(values)
        shares = points / len(values)
        up, down = chances[shares >= share - _TIE].sum(), chances[shares <= share + _TIE].sum()
        order = np.cumsum(chances)
        low, high = (float(shares[min(int(np.searchsorted(order, q)), len(shares) - 1)]) for q in (0.025, 0.975))
        return SwapTest(each, share, float(min(1.0, 2 * min(up, down))), float(chances @ shares), low, high, exact=True)
    total = np.zeros(draws)
    for one, size in zip(values, sizes, strict=True):
        complete = dealt[size].complete
        total += rng.choice(one, draws) if complete else rng.permutation(one[1:])
    shares = total / len(values)
    up = (1 + np.sum(shares >= share - _TIE)) / (1 + draws)
    down = (1 + np.sum(shares <= share + _TIE)) / (1 + draws)
    low, high = (float(end) for end in np.quantile(shares, [0.025, 0.975]))
    return SwapTest(each, share, float(min(1.0, 2 * min(up, down))), float(shares.mean()), low, high, exact=False)


def split_test(
    pools: Sequence[Pool], sizes: Sequence[tuple[int, int]], *, draws: int = 1999, seed: int = 0
) -> SplitTest:
    """Human against human: two random halves of each item's source, equal in number, compared as the sides are.

    Items with fewer than four source texts have no two halves of two, and are left out. The mean over splits is 1/2 by
    construction; what it tells is how far from 1/2 so few texts of so few items stray.
    """
    rng = np.random.default_rng(seed)
    split: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
    total, n = np.zeros(draws), 0
    for pool, (first, second) in zip(pools, sizes, strict=True):
        half = second // 2
        if half < 2:
            continue
        if (first, second) not in split:
            order = rng.permuted(np.tile(np.arange(first, first + second), (draws, 1)), axis=1)
            split[first, second] = (order[:, :half], order[:, half : 2 * half])
        one, other = split[first, second]
        total += rng.permutation(_halves(pool.of(one), pool.of(other)))
        n += 1
    if not n:
        return SplitTest(np.nan, np.nan, np.nan, 0)
    shares = np.concatenate([total / n, 1 - total / n])  # each split the other way round as well
    low, high = np.quantile(shares, [0.025, 0.975])
    return SplitTest(float(shares.mean()), float(low), float(high), n)


@dataclass(frozen=True, eq=False)
class _Deals:
    """Ways of dealing texts out to the two sides; the first is the one that was seen."""

    sides: tuple[Int[np.ndarray, "deal one member"], Int[np.ndarray, "deal other member"]]
    complete: bool


def _deals(first: int, second: int, draws: int, rng: np.random.Generator) -> _Deals:
    everyone = np.arange(first + second)
    complete = comb(first + second, first) <= draws + 1
    if complete:
        one = np.array(list(combinations(range(first + second), first)))
        left = np.ones((len(one), len(everyone)), dtype=bool)
        left[np.arange(len(one))[:, None], one] = False
        other = np.nonzero(left)[1].reshape(len(one), second)
    else:
        order = rng.permuted(np.tile(everyone, (draws + 1, 1)), axis=1)
        order[0] = everyone
        one, other = order[:, :first], order[:, first:]
    size = min(first, second)
    return _Deals((_some(one, size, rng), _some(other, size, rng)), complete)


def _some(
    rows: Int[np.ndarray, "deal member"], size: int, rng: np.random.Generator
) -> Int[np.ndarray, "deal inner size"]:
    """All of the rows where they are `size`, else `INNER` random choices of so many of them."""
    if rows.shape[1] == size:
        return rows[:, None, :]
    return np.stack([rng.permuted(rows, axis=1)[:, :size] for _ in range(INNER)], axis=1)


def _narrower(
    pool: Pool, one: Int[np.ndarray, "deal one member"], other: Int[np.ndarray, "deal other member"]
) -> Float[np.ndarray, " deal"]:
    """How often the first side is narrower than the second, ties half, for each way of dealing."""
    spreads = [pool.of(side.reshape(-1, side.shape[2])).reshape(side.shape[:2]) for side in (one, other)]
    return _halves(spreads[0], spreads[1]).mean(axis=1)


def _halves(one: Float[np.ndarray, "..."], other: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    return np.where(np.abs(one - other) <= _TIE, 0.5, (one < other).astype(float))


def _convolved(values: Sequence[Float[np.ndarray, " _"]]) -> tuple[np.ndarray, np.ndarray]:
    """The law of the sum over items of values 0, 1/2 and 1, each item dealt out in all ways: points and chances."""
    chances = np.ones(1)
    for one in values:
        steps = np.bincount(np.rint(2 * one).astype(int), minlength=3) / len(one)
        chances = np.convolve(chances, steps)
    return np.arange(len(chances)) / 2, chances
