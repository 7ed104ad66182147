"""How often a scorer prefers, of two texts, the one that people preferred, and whether oftener than another scorer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy import stats

from creativity_lens.errors import InputError
from creativity_lens.ranks import check_labels
from creativity_lens.statistics import Estimate, cluster_bootstrap, paired_accuracy

Clusters = Sequence[str] | Shaped[np.ndarray, " _"]


@dataclass(frozen=True)
class Lead:
    """By how much one scorer's share of right pairs exceeds another's, with 95 % interval and two-sided p."""

    value: float
    low: float
    high: float
    p: float
    n: int  # clusters of pairs
    pairs: int
    note: str = ""


def preference(
    scores: Float[np.ndarray, "scorer pair 2"],
    ratings: Float[np.ndarray, "rated 2"],
    clusters: Clusters | None = None,
    *,
    draws: int = 1999,
    seed: int = 0,
) -> list[Estimate]:
    """Share of pairs in which each scorer prefers the text that people rated higher, with its interval over clusters.

    A tie in the score counts half; pairs that people rated alike are left out, and so are pairs without a score. By
    default every pair is a cluster of its own. A scorer that is right by chance reaches 0.5; a trivial one such as "the
    shorter text" may reach more, and is the one to compare with (`preference_difference`).

    >>> ratings = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 3.0]])
    >>> preference(np.array([[[0.1, 0.2], [0.1, 0.1], [0.0, 1.0]]]), ratings)[0].value  # right, a tie, left out
    0.75
    """
    right = [_right(each, ratings) for each in scores]
    labels = _labels(ratings, clusters)
    return [paired_accuracy(each - 0.5, labels, draws=draws, seed=seed) for each in right]


def preference_difference(
    a: Float[np.ndarray, "pair 2"],
    b: Float[np.ndarray, "other 2"],
    ratings: Float[np.ndarray, "rated 2"],
    clusters: Clusters | None = None,
    *,
    draws: int = 1999,
    seed: int = 0,
) -> Lead:
    """Share of right pairs of scorer `a` less that of `b`, on the pairs that both have scored.

    The interval is the bootstrap over clusters; p is the exact sign test on the clusters in which one of the two is
    right oftener than the other (McNemar's, exact, where every pair is its own cluster).

    >>> ratings = np.array([[1.0, 2.0]] * 3)
    >>> preference_difference(np.array([[0.1, 0.2]] * 3), np.array([[0.1, 0.2], [0.2, 0.1], [0.2, 0.1]]), ratings).p
    0.5
    """
    lead = _right(a, ratings) - _right(b, ratings)
    kept = np.isfinite(lead)
    lead = lead[kept]
    if not len(lead):
        nan = float("nan")
        return Lead(nan, nan, nan, nan, 0, 0, "no pair with a preference and both scores")
    numbers = np.unique(_labels(ratings, clusters)[kept], return_inverse=True)[1]
    n = int(numbers.max()) + 1
    won, size = np.bincount(numbers, weights=lead), np.bincount(numbers).astype(float)
    found = cluster_bootstrap(
        lambda weights: (weights @ won) / (weights @ size), n, draws=draws, seed=seed, bounds=(-1.0, 1.0)
    )
    low, high = found.low, found.high
    if not won.any() and found.has_interval:  # no cluster tells them apart: how often one could all the same
        low, high = -(1 - 0.025 ** (1 / n)), 1 - 0.025 ** (1 / n)
    better, worse = int(np.sum(won > 1e-9)), int(np.sum(won < -1e-9))
    p = float(stats.binomtest(better, better + worse).pvalue) if better + worse else 1.0
    return Lead(found.value, low, high, p, n, len(lead))


def _right(scores: Float[np.ndarray, "pair 2"], ratings: Float[np.ndarray, "rated 2"]) -> Float[np.ndarray, " pair"]:
    """1 where the scorer prefers what people preferred, 0.5 for a tie, 0 else; NaN where a pair does not count."""
    if len(scores) != len(ratings):
        raise InputError(f"pairs: expected scores of {len(ratings)} pairs, as many as are rated; got {len(scores)}.")
    if not np.isfinite(ratings).all():
        raise InputError("pairs: expected a finite rating of both texts of every pair; leave unrated pairs out.")
    wanted = np.sign(ratings[:, 1] - ratings[:, 0])
    got = scores[:, 1] - scores[:, 0]
    with np.errstate(invalid="ignore"):
        right = (1 + wanted * np.sign(got)) / 2
    return np.where((wanted != 0) & np.isfinite(got), right, np.nan)


def _labels(ratings: Float[np.ndarray, "pair 2"], clusters: Clusters | None) -> Int[np.ndarray, " pair"]:
    if clusters is None:
        return np.arange(len(ratings))
    check_labels("clusters", clusters, len(ratings))
    return np.unique(np.asarray(clusters), return_inverse=True)[1]
