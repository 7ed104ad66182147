"""Statistics on tables of numbers: every estimate carries its 95 % interval and its number of independent clusters.

A *cluster* is a prompt with all its samples, or a topic with all its pairs: ten samples of one prompt are one
observation. Means over clusters get Student's t; everything else (AUC, ratios, harmonic means) the studentised cluster
bootstrap: whole clusters are drawn again, and every draw is scaled by its own jackknife error (Davison and Hinkley
1997, section 5.2). Percentile intervals are too short below some thirty clusters; below `FEWEST` no interval is given.

A statistic is a function of *weights* `[draw, cluster]`: how often each cluster occurs in each draw. All ones is the
sample itself, a zero leaves a cluster out, so one function serves estimate, resampling and jackknife.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy import optimize, stats

from creativity_lens.errors import InputError

FEWEST = 8  # clusters; below it an interval would promise more than the data can keep
LEVEL = 0.95
AT_ONCE = 2**20  # numbers in one block of weights: 8 MB, so that memory does not grow with the draws
DEGENERATE = 0.005  # share of draws without a jackknife error above which the outer t quantiles mean nothing

Weights = Float[np.ndarray, "draw cluster"]
Statistic = Callable[[Any], Any]  # Weights -> Float[draw], or Float[draw, candidate] for those that compare candidates
Pairs = Float[np.ndarray, " pair"]
Clusters = Sequence[str] | Shaped[np.ndarray, " pair"]  # which cluster each pair belongs to


@dataclass(frozen=True)
class Estimate:
    """A number, its 95 % interval, and what it rests on. `low` and `high` are NaN where no interval is defined."""

    value: float
    low: float
    high: float
    n: int  # clusters: prompts or topics, never samples
    unit: str = ""

    @property
    def has_interval(self) -> bool:
        """Whether both ends are known."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))


def t_interval(means: Float[np.ndarray, " cluster"], *, unit: str = "") -> Estimate:
    """Mean of the clusters' means with Student's t interval; NaN clusters are dropped, and `n` says so.

    Clusters that are all equal give an interval of no width. Below 8 clusters the interval is NaN.

    >>> t_interval(np.array([0.1, 0.3, 0.2, 0.4, 0.3, 0.1, 0.2, 0.4]), unit="gaps")  # mean 0.25, 0.15 to 0.35
    Estimate(value=0.25, low=0.1487..., high=0.3512..., n=8, unit='gaps')
    """
    kept = means[np.isfinite(means)].astype(float)
    n = len(kept)
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0, unit)
    value = float(kept.mean())
    if n < FEWEST:
        return Estimate(value, np.nan, np.nan, n, unit)
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1) * stats.sem(kept))
    return Estimate(value, value - half, value + half, n, unit)


def cluster_bootstrap(
    statistic: Statistic,
    n_clusters: int,
    *,
    draws: int = 1999,
    seed: int = 0,
    unit: str = "",
    bounds: tuple[float, float] | None = None,
) -> Estimate:
    """Estimate of `statistic(weights) -> [draw]` with a studentised (jackknife) cluster bootstrap interval.

    The ends are `value - q * error`, q being the outer quantiles of `(drawn - value) / error of that draw`.

    Guarantees in the awkward cases:
    - fewer than 8 clusters, or a statistic that is not finite on the sample: no interval (NaN);
    - more than 1 in 200 draws without a jackknife error of their own (they sit on a boundary: an AUC of 1), so that the
      outer quantiles do not exist: with `bounds`, Wilson's score interval on them, with t for z, at the number of
      clusters that would give the jackknife error seen (all of them when that is 0): 20 of 20 clusters right is 0.82
      to 1, not 1 to 1. Without bounds, the quantiles of the draws: no width when no draw differs from the sample;
    - draws on which the statistic is not finite are left out;
    - `bounds` clip the ends of the interval and nothing else; without them nothing is clipped.

    >>> gains = np.array([0.1, 0.3, 0.2, 0.4, 0.3, 0.1, 0.2, 0.4])
    >>> cluster_bootstrap(lambda weights: weights @ gains / weights.sum(axis=1), 8)  # a mean, as a check on t
    """
    sample = np.ones((1, n_clusters))
    value = float(statistic(sample)[0]) if n_clusters else np.nan
    if n_clusters < FEWEST or not np.isfinite(value):
        return Estimate(value, np.nan, np.nan, n_clusters, unit)
    error = float(_error(statistic, sample)[0])
    blocks = [(statistic(block), _error(statistic, block)) for block in _resampled(n_clusters, draws, seed)]
    drawn, errors = (np.concatenate(part) for part in zip(*blocks, strict=True))
    usable = np.isfinite(drawn) & np.isfinite(errors)
    drawn, errors = drawn[usable], errors[usable]
    tiny = 1e-9 * max(abs(value), error, 1e-3)  # below this an error is rounding
    if error <= tiny or len(drawn) == 0 or np.mean(errors <= tiny) > DEGENERATE:
        low, high = _degenerate(value, error if error > tiny else 0.0, drawn, n_clusters, bounds)
    else:
        t_values = (drawn - value) / np.maximum(errors, 0.1 * error)  # the floor only meets the few degenerate draws
        top, bottom = np.quantile(t_values, [(1 + LEVEL) / 2, (1 - LEVEL) / 2], method="weibull")
        low, high = value - top * error, value - bottom * error
    if bounds is not None:
        low, high = (float(np.clip(end, *bounds)) for end in (low, high))
    return Estimate(value, float(low), float(high), n_clusters, unit)


def auc(high: Float[np.ndarray, " high"], low: Float[np.ndarray, " low"]) -> float:
    """Share of (high, low) couples in which high is the larger, ties counting half: Mann-Whitney's U / (n m).

    >>> auc(np.array([3.0, 2.0]), np.array([1.0, 2.0]))
    0.875
    """
    if len(high) == 0 or len(low) == 0:
        return float("nan")
    ranks = stats.rankdata(np.concatenate([high, low]))
    return float((ranks[: len(high)].sum() - len(high) * (len(high) + 1) / 2) / (len(high) * len(low)))


def auc_interval(high: Pairs, low: Pairs, clusters: Clusters, *, draws: int = 1999, seed: int = 0) -> Estimate:
    """AUC of two aligned columns of scores with an interval over clusters (the pairs' topics); NaN pairs are dropped.

    Two copies of one cluster in a draw are never compared with each other: such couples do not exist in the sample, and
    with topics that differ they would pull every draw towards the within-topic AUC.
    """
    kept, labels, n = _clusters(high + low, clusters)
    high, low = high[kept], low[kept]
    wins = np.zeros((n, n))  # [cluster of high, cluster of low]
    for cluster in range(n):
        others = np.sort(low[labels == cluster])
        below = (np.searchsorted(others, high, "left") + np.searchsorted(others, high, "right")) / 2
        wins[:, cluster] = np.bincount(labels, weights=below, minlength=n)
    size = np.bincount(labels, minlength=n).astype(float)
    within = np.diag(wins).copy()
    np.fill_diagonal(wins, 0)

    def statistic(weights: np.ndarray) -> np.ndarray:
        won = np.einsum("bc,bc->b", weights @ wins, weights) + weights @ within
        return won / ((weights @ size) ** 2 - weights**2 @ size**2 + weights @ size**2)

    return cluster_bootstrap(statistic, n, draws=draws, seed=seed, unit="share", bounds=(0.0, 1.0))


def paired_accuracy(margins: Pairs, clusters: Clusters, *, draws: int = 1999, seed: int = 0) -> Estimate:
    """Share of pairs with a margin above 0 (0 counts half); clusters weigh by their pairs; NaN pairs are dropped.

    >>> paired_accuracy(np.array([0.2, 0.1, -0.3, 0.0]), ["sea", "sea", "bread", "tax"]).value
    0.625
    """
    kept, labels, n = _clusters(margins, clusters)
    right = np.bincount(labels, weights=np.heaviside(margins[kept], 0.5), minlength=n)
    size = np.bincount(labels, minlength=n).astype(float)
    return cluster_bootstrap(
        lambda weights: (weights @ right) / (weights @ size), n, draws=draws, seed=seed, unit="share", bounds=(0.0, 1.0)
    )


def rank_p(value: float, controls: Float[np.ndarray, " control"]) -> float:
    """(1 + number of controls >= value) / (K + 1): exact when the value is exchangeable with the K controls.

    NaN controls are dropped; a NaN value gives NaN. The smallest possible p is 1 / (K + 1).
    """
    kept = controls[np.isfinite(controls)]
    return float((1 + np.sum(kept >= value)) / (len(kept) + 1)) if np.isfinite(value) else np.nan


def smallest_detectable(means: Float[np.ndarray, " cluster"], *, power: float = 0.8, level: float = 0.05) -> float:
    """The mean that a two-sided t test on as many clusters, as noisy as these, finds with probability `power`.

    From the noncentral t distribution and the clusters' standard error; in the units of `means`, NaN below 8 clusters.
    It says what the run could have seen, and is not a statement about the mean that was seen.
    """
    kept = means[np.isfinite(means)].astype(float)
    if len(kept) < FEWEST:
        return float("nan")
    df = len(kept) - 1
    critical = float(stats.t.ppf(1 - level / 2, df))
    furthest = 2 * (critical + max(float(stats.t.ppf(power, df)), 1.0))  # scipy's noncentral t is NaN further out
    shift = optimize.brentq(lambda d: stats.nct.sf(critical, df, d) - power, 0.0, furthest)
    return float(shift * stats.sem(kept))


def confidence_set(
    statistic: Statistic, n_clusters: int, *, draws: int = 1999, seed: int = 0, level: float = LEVEL
) -> Bool[np.ndarray, " candidate"]:
    """Which candidates cannot be told apart from the best: the set holds the truly best one with probability `level`.

    `statistic(weights) -> [draw, candidate]`, larger being better. Candidate l is dropped when some i beats it: the
    largest (value_i - value_l) / error exceeds the `level` quantile of the same maximum, centred, over draws, each
    difference scaled by the jackknife error of its own draw (Hsu's multiple comparisons with the best, studentised
    bootstrap). Comparing l with *any* i, not with the one that happened to come out best, keeps the promise after
    looking. The one that came out best is always kept, a NaN value never; below 8 clusters nothing is told apart.
    """
    sample = np.ones((1, n_clusters))
    values = statistic(sample)[0]
    known = np.isfinite(values)
    keep = known.copy()
    if n_clusters < FEWEST or known.sum() < 2:
        return keep

    def known_only(weights: np.ndarray) -> np.ndarray:
        return statistic(weights)[:, known]

    lead = values[known][:, None] - values[known]  # [i, l]: value_i - value_l
    error = _difference_errors(known_only, sample)[0]
    vary = error > 1e-12  # two candidates without any spread between them are compared as they are
    highest = []
    for block in _resampled(n_clusters, draws, seed, per_row=int(known.sum())):
        errors = np.maximum(_difference_errors(known_only, block), 0.5 * error)  # a floor for draws on a boundary
        drawn = known_only(block)
        moved = (drawn[:, :, None] - drawn[:, None, :] - lead) / np.where(vary, errors, np.inf)
        highest.append(moved.max(axis=1))
    limit = np.nanquantile(np.concatenate(highest), level, axis=0)  # one for each l
    scaled = np.divide(lead, error, out=np.where(lead > 0, np.inf, 0.0), where=vary)
    keep[known] = scaled.max(axis=0) <= limit
    return keep


def selection_share(
    statistic: Statistic, n_clusters: int, *, draws: int = 1999, seed: int = 0
) -> Float[np.ndarray, " candidate"]:
    """How often each candidate has the largest value when clusters are drawn again; ties are shared, NaN never wins."""
    won: np.ndarray = np.zeros(1)
    for block in _resampled(n_clusters, draws, seed):
        values = statistic(block)
        values = np.where(np.isfinite(values), values, -np.inf)
        first = (values == values.max(axis=1, keepdims=True)) & (values > -np.inf)
        won = won + (first / np.maximum(first.sum(axis=1, keepdims=True), 1)).sum(axis=0)
    return won / max(won.sum(), 1)


def _clusters(values: Pairs, clusters: Clusters) -> tuple[Bool[np.ndarray, " pair"], Int[np.ndarray, " kept"], int]:
    """Which pairs have a value, the cluster number of each of those, and the number of clusters."""
    if len(clusters) != len(values):
        raise InputError(
            f"clusters: expected one label for each of {len(values)} pairs; got {len(clusters)}; give both columns."
        )
    kept = np.isfinite(values)
    names, labels = np.unique(np.asarray(clusters)[kept], return_inverse=True)
    return kept, labels, len(names)


def _resampled(n: int, draws: int, seed: int, per_row: int = 1) -> Iterator[Weights]:
    """Blocks of bootstrap weights, small enough that the jackknife inside them fits in memory."""
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws).astype(float)
    step = max(1, AT_ONCE // (n * (n + per_row * per_row)))
    return (weights[start : start + step] for start in range(0, draws, step))


def _deviations(statistic: Statistic, weights: Weights) -> Float[np.ndarray, "draw cluster *candidate"]:
    """Jackknife inside each draw: the deviations whose sum of squares over clusters is the squared standard error."""
    n = weights.shape[1]
    draw, cluster = np.nonzero(weights)
    left_out = weights[draw]
    left_out[np.arange(len(draw)), cluster] -= 1
    found = statistic(left_out)
    values = np.zeros(weights.shape + found.shape[1:])
    values[draw, cluster] = found
    copies = weights.reshape(weights.shape + (1,) * (found.ndim - 1))
    mean = (copies * values).sum(axis=1, keepdims=True) / n
    return np.sqrt(copies * (n - 1) / n) * (values - mean)


def _error(statistic: Statistic, weights: Weights) -> Float[np.ndarray, " draw"]:
    return np.sqrt((_deviations(statistic, weights) ** 2).sum(axis=1))


def _difference_errors(statistic: Statistic, weights: Weights) -> Float[np.ndarray, "draw candidate candidate"]:
    deviations = _deviations(statistic, weights)
    shared = np.einsum("bci,bcl->bil", deviations, deviations)
    own = np.einsum("bii->bi", shared)
    return np.sqrt(np.maximum(own[:, :, None] + own[:, None, :] - 2 * shared, 0))


def _degenerate(
    value: float, error: float, drawn: Float[np.ndarray, " draw"], n: int, bounds: tuple[float, float] | None
) -> tuple[float, float]:
    """The interval where studentising fails: Wilson's on the bounds, else the draws' own quantiles."""
    if bounds is None:
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(drawn) else (value, value)
        return min(value, float(low)), max(value, float(high))
    width = bounds[1] - bounds[0]
    share = float(np.clip((value - bounds[0]) / width, 0, 1))
    spread = share * (1 - share)  # the largest variance that values within the bounds can have
    effective = spread / (error / width) ** 2 if error > 0 and spread > 0 else float(n)
    pull = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) ** 2 / effective
    middle = (share + pull / 2) / (1 + pull)
    half = np.sqrt(pull * spread + pull**2 / 4) / (1 + pull)
    return bounds[0] + width * (middle - half), bounds[0] + width * (middle + half)
