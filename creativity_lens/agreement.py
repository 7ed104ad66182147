"""How far the raters of a set agree with each other, on given texts and at a given level.

Agreement is the ceiling of every scorer: nothing can be expected to correlate with mean ratings beyond the square root
of their reliability. It belongs to texts and to a level: the same raters can agree very well on all stories, where
amateurs stand beside magazines, and not at all among the stories of one author. So it is computed on exactly the texts,
and within exactly the groups, of the correlation that is printed beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy import stats

from creativity_lens.errors import InputError
from creativity_lens.ranks import check_labels
from creativity_lens.statistics import LEVEL

UNDEFINED = "agreement is not defined"
Groups = Sequence[str] | Shaped[np.ndarray, " _"]


@dataclass(frozen=True)
class Agreement:
    """How reliable ratings are. A number that is not defined is NaN, and `note` says why.

    `icc1` is the reliability of one rating and `icck` that of a text's mean rating, with its 95 % interval; both are
    one-way, for raters who differ from text to text. `alpha` is Krippendorff's, interval level. `k` is the number of
    ratings per text (k0 where it varies).
    """

    icc1: float
    icck: float
    icck_low: float
    icck_high: float
    alpha: float
    k: float
    n_items: int
    n_ratings: int
    note: str = ""

    @property
    def ceiling(self) -> float:
        """Square root of ICC(k), the correlation of mean ratings with what they measure; NaN unless it is above 0."""
        return float(np.sqrt(self.icck)) if self.icck_low > 0 else float("nan")


def agreement(values: Float[np.ndarray, "item rater"], groups: Groups | None = None) -> Agreement:
    """One-way ICC(1) and ICC(k) with its F interval (Shrout and Fleiss 1979), and Krippendorff's alpha.

    `values` are NaN where a rater did not rate an item. With `groups` (one label per item) items are compared within
    their group only: the spread between items is that around their group's mean, with sum(n_g - 1) degrees of freedom,
    and alpha expects the disagreement of two values of one group. One group gives the plain statistics. Groups of one
    item are left out, and `n_items` counts what is left.

    Numbers of raters may differ between items: k0 = (N - sum(k_i^2 / N_g)) / sum(n_g - 1) stands for k. With one rater
    only, or where every value is the same, agreement is not defined: NaN, and the note says so. Raises `InputError`
    for a number of labels that does not fit and for infinite values.

    >>> ratings = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7.0]])
    >>> found = agreement(ratings)
    >>> round(found.icc1, 2), round(found.icck, 2)  # Shrout and Fleiss, table 4
    (0.17, 0.44)
    """
    labels = _labels(values, groups)
    rated = np.isfinite(values).any(axis=1)
    members = np.bincount(labels[rated], minlength=labels.max(initial=0) + 1)
    kept = rated & (members[labels] > 1)
    alone = int(np.sum(members == 1)) if groups is not None else 0
    note = f"left out: {alone} group{'s' * (alone > 1)} of one text" if alone else ""
    values, labels = values[kept], labels[kept]
    counts = np.isfinite(values).sum(axis=1)
    n_items, n_ratings = len(values), int(counts.sum())

    def undefined(why: str) -> Agreement:
        nan = float("nan")
        return Agreement(nan, nan, nan, nan, nan, nan, n_items, n_ratings, "; ".join(filter(None, [why, note])))

    if n_items == 0:
        return undefined("no two rated texts to compare" + (" in any group" if groups is not None else ""))
    if counts.max() < 2:
        return undefined(f"{UNDEFINED}: no text has two ratings")
    if _spread(values, labels, counts)[0] <= _rounding(values):
        return undefined(f"{UNDEFINED}: the ratings are all equal" + (" in each group" * (groups is not None)))
    (icc1, icck, low, high), k, why = _one_way(values, labels, counts)
    return Agreement(
        icc1,
        icck,
        low,
        high,
        _alpha(values, labels, counts),
        k,
        n_items,
        n_ratings,
        "; ".join(filter(None, [why, note])),
    )


def agreement_two_way(values: Float[np.ndarray, "item rater"], first: Groups, second: Groups) -> Agreement:
    """The same with two factors held fixed (prompt and author): the spread between items is what both leave of it.

    Items' means are regressed on both factors, each mean with the weight of its ratings; what is left has n_items less
    rank degrees of freedom, and k0 = (N - tr(P W)) / df, P being the projection on the factors, W the ratings' counts.
    With a `second` that is the same for all it is `agreement` within `first`. Not defined where the factors leave
    nothing to compare, or where `agreement` is not. Raises `InputError` like it.
    """
    labels = [_labels(values, each) for each in (first, second)]
    rated = np.isfinite(values).any(axis=1)
    values, labels = values[rated], [each[rated] for each in labels]
    counts = np.isfinite(values).sum(axis=1)
    n_items, n_ratings = len(values), int(counts.sum())
    nan = float("nan")
    if n_items == 0 or counts.max() < 2:
        return Agreement(nan, nan, nan, nan, nan, nan, n_items, n_ratings, f"{UNDEFINED}: no text has two ratings")
    root = np.sqrt(counts)
    factors = np.concatenate([np.eye(int(each.max()) + 1)[each] for each in labels], axis=1)
    left, lengths, _ = np.linalg.svd(root[:, None] * factors, full_matrices=False)
    basis = left[:, lengths > 1e-9 * lengths.max()]
    df = n_items - basis.shape[1]
    means = root * np.nanmean(values - np.nanmean(values), axis=1)
    between = float(np.sum((means - basis @ (basis.T @ means)) ** 2))
    own = np.nansum((values - np.nanmean(values, axis=1, keepdims=True)) ** 2, axis=1)
    if df < 1 or between + own.sum() <= _rounding(values):
        why = "two factors leave nothing to compare" if df < 1 else "the ratings are all equal"
        return Agreement(nan, nan, nan, nan, nan, nan, n_items, n_ratings, f"{UNDEFINED}: {why}")
    k = float((counts.sum() - np.sum(basis**2 * counts[:, None])) / df)
    (icc1, icck, low, high), note = _icc(between, df, float(own.sum()), n_ratings - n_items, k, _rounding(values))
    pairable = bool((counts > 1).all())  # else alpha would be of other texts than the rest
    disagreement = (n_ratings - basis.shape[1]) / n_ratings * np.sum(own * counts / np.maximum(counts - 1, 1))
    alpha = float(1 - disagreement / (between + own.sum())) if pairable else nan
    return Agreement(icc1, icck, low, high, alpha, k, n_items, n_ratings, note)


def _one_way(
    values: Float[np.ndarray, "item rater"], labels: Int[np.ndarray, " item"], counts: Int[np.ndarray, " item"]
) -> tuple[tuple[float, float, float, float], float, str]:
    """ICC(1), ICC(k) and its interval; k0; and a note, from the table of items within groups."""
    between_all, within = _spread(values, labels, counts)
    df_between, df_within = len(values) - len(np.unique(labels)), int(counts.sum()) - len(values)
    totals = np.bincount(labels, weights=counts)
    k = float((counts.sum() - np.sum(counts**2 / totals[labels])) / df_between)
    found, note = _icc(between_all - within, df_between, within, df_within, k, _rounding(values))
    return found, k, note


def _icc(
    between: float, df_between: int, within: float, df_within: int, k: float, tiny: float
) -> tuple[tuple[float, float, float, float], str]:
    """ICC(1), ICC(k) and its F interval from the sums of squares between and within items; and a note."""
    if within <= tiny:
        return (1.0, 1.0, 1.0, 1.0), "the raters never differ"
    if between <= tiny:
        return (-1 / (k - 1), np.nan, np.nan, np.nan), "ICC(k) is not defined: the texts' means are all equal"
    ratio = float((between / df_between) / (within / df_within))
    outer = (1 + LEVEL) / 2
    low = 1 - stats.f.ppf(outer, df_between, df_within) / ratio
    high = 1 - 1 / (ratio * stats.f.ppf(outer, df_within, df_between))
    return ((ratio - 1) / (ratio + k - 1), 1 - 1 / ratio, float(low), float(high)), ""


def _alpha(
    values: Float[np.ndarray, "item rater"], labels: Int[np.ndarray, " item"], counts: Int[np.ndarray, " item"]
) -> float:
    """Krippendorff's alpha for the squared difference, in closed form: its expected disagreement is a variance.

    It counts pairable values only, those of items with two ratings or more. The general algorithm, over a matrix of all
    distinct values, needs gigabytes once values are centred in their groups.
    """
    pairable = counts > 1
    items = np.bincount(labels[pairable], minlength=labels.max() + 1)
    kept = pairable & (items[labels] > 1)
    if not kept.any():
        return float("nan")
    values, labels, counts = values[kept], labels[kept], counts[kept]
    expected, _ = _spread(values, labels, counts)
    own = np.nansum((values - np.nanmean(values, axis=1, keepdims=True)) ** 2, axis=1)
    if expected <= _rounding(values):
        return float("nan")
    n, groups = int(counts.sum()), len(np.unique(labels))
    return float(1 - (n - groups) / n * np.sum(own * counts / (counts - 1)) / expected)


def _spread(
    values: Float[np.ndarray, "item rater"], labels: Int[np.ndarray, " item"], counts: Int[np.ndarray, " item"]
) -> tuple[float, float]:
    """Sums of squares of all ratings around their group's mean, and around their item's mean."""
    shifted = values - np.nanmean(values)  # large values would lose digits
    sums = np.nansum(shifted, axis=1)
    totals = np.bincount(labels, weights=counts)
    means = np.divide(np.bincount(labels, weights=sums), totals, out=np.zeros(len(totals)), where=totals > 0)
    around_group = np.nansum((shifted - means[labels][:, None]) ** 2)
    around_item = np.nansum((shifted - (sums / counts)[:, None]) ** 2)
    return float(around_group), float(around_item)


def _rounding(values: Float[np.ndarray, "item rater"]) -> float:
    """Below this a sum of squares of these values is rounding."""
    return float(np.sum(np.isfinite(values)) * (1e-12 * np.nanmax(np.abs(values))) ** 2)


def _labels(values: Float[np.ndarray, "item rater"], groups: Groups | None) -> Int[np.ndarray, " item"]:
    if np.isinf(values).any():
        raise InputError("ratings: expected finite numbers (NaN where a rater gave none); got an infinite one.")
    if groups is None:
        return np.zeros(len(values), dtype=int)
    check_labels("groups", groups, len(values))
    return np.unique(np.asarray(groups), return_inverse=True)[1]
