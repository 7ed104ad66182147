"""Rank correlation of scores with people's ratings, within groups of texts that may be compared with each other.

Texts are ranked in their group (a prompt, an object, an author), and rho = sum((n_g - 1) rho_g) / sum(n_g - 1): what
all texts of one group share cannot make a correlation. Its null variance is 1 / sum(n_g - 1), the degrees of freedom,
from groups of two on. P-values come from ratings permuted within groups, intervals from the studentised bootstrap over
clusters of texts; the smallest correlation that so many texts could have shown stands beside every result.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from creativity_lens.errors import InputError
from creativity_lens.rank_intervals import FISHER, intervals, moment_intervals
from creativity_lens.rank_resampling import PARTIAL, PLAIN, factor_ranks
from creativity_lens.ranks import (
    Groups,
    Labels,
    Order,
    basis,
    check_lengths,
    comparable,
    numbered,
    permuted,
    scaled_ranks,
)
from creativity_lens.statistics import FEWEST

AT_ONCE = 2**21  # numbers in one block of permutations
TIE = 1e-9  # correlations closer than this are equal
NOTHING = 1e-7  # residuals this much shorter than the ranks are rounding

Scores = Float[np.ndarray, "scorer text"]
Ratings = Float[np.ndarray, " rated"]


@dataclass(frozen=True)
class Correlation:
    """A correlation, its 95 % interval, its two-sided p, and what it rests on; what is not defined is NaN.

    `n` texts in `groups` groups, `df` degrees of freedom; `detectable` is the smallest correlation that they would have
    shown with 80 % power. `note` says what was left out, and why a number is NaN.
    """

    rho: float
    low: float
    high: float
    p: float
    n: int
    groups: int
    df: int
    detectable: float
    note: str = ""


@dataclass(frozen=True)
class Within:
    """One correlation per scorer, and what the largest of a curve of them is worth.

    `largest` is the largest |rho| over the curve, and `p_max` how often permuted ratings reach it with any scorer of
    the curve: looking along the curve is paid for.
    """

    each: list[Correlation]
    largest: float
    p_max: float


def detectable(df: int | float, power: float = 0.8, level: float = 0.05) -> float:
    """The smallest correlation that a two-sided test finds with probability `power`: (z + z) / sqrt(df), at most 1.

    >>> round(detectable(23), 2)  # sixteen prompts of two texts, two of three and one of four
    0.58
    """
    if df <= 0:
        return 1.0
    return float(min(1.0, (stats.norm.ppf(1 - level / 2) + stats.norm.ppf(power)) / np.sqrt(df)))


def within(
    scores: Scores,
    ratings: Ratings,
    groups: Labels | None = None,
    *,
    clusters: Labels | None = None,
    curve: Sequence[int] | None = None,
    permutations: int = 1999,
    draws: int = 1999,
    seed: int = 0,
) -> Within:
    """Rank correlation of each scorer with the ratings within groups; without groups, Spearman's over all texts.

    Groups of one text, and those whose ratings are all equal, carry nothing: they are left out, and the note counts
    them. A scorer that is constant in a group adds 0 there. One that is constant in all groups, or has no finite value
    for a text that counts, gets NaN and a note.

    p is two-sided: ratings are permuted within groups, all scorers kept together, and p = (1 + permutations at least as
    far from 0) / (permutations + 1), exact where the texts of a group are exchangeable. `curve` picks the scorers over
    which `p_max` takes the largest (by default all).

    The interval draws whole `clusters`: by default the groups, without groups single texts. Below 8 clusters there is
    none, and the note says so. Clusters may hold groups or cut across them: stories of one plot by three authors, when
    compared within author, are drawn as plots; where every plot has one story by every author, plots are also permuted
    as wholes. Raises `InputError` for lengths that differ and for ratings that are not finite.

    >>> found = within(np.array([[1.0, 2, 3, 9, 8, 7]]), np.array([1.0, 2, 3, 1, 2, 3]), list("aaabbb"))
    >>> found.each[0].rho, found.each[0].df  # +1 in one group, -1 in the other
    (0.0, 4)
    """
    check_lengths(scores, ratings, groups=groups, clusters=clusters)
    compared, note = comparable(ratings, groups)
    if not compared.df:
        return Within([_undefined(compared, 0, note)] * len(scores), float("nan"), float("nan"))
    orders, known = _orders(scores[:, compared.kept], compared)
    rated = Order.of(ratings[compared.kept], compared)
    ranks, (rating,) = scaled_ranks(orders, compared), scaled_ranks([rated], compared)
    usable = known & np.any(ranks != 0, axis=1)
    drawn = _clusters(compared, clusters, groups)
    rho = np.clip(ranks @ rating / compared.df, -1, 1)

    picked = np.isin(np.arange(len(scores)), np.arange(len(scores)) if curve is None else list(curve)) & usable
    largest = float(np.abs(rho[picked]).max()) if picked.any() else float("nan")
    far, furthest = np.zeros(len(scores)), 0
    rng = np.random.default_rng(seed)
    for rounds in _rounds(permutations, len(rating)):
        reached = np.abs(ranks @ permuted(rating, compared, rounds, rng, drawn).T) / compared.df
        far += (reached >= np.abs(rho)[:, None] - TIE).sum(axis=1)
        furthest += int(np.any(reached[picked] >= largest - TIE, axis=0).sum())
    p = (1 + far) / (1 + permutations)
    p_max = (1 + furthest) / (1 + permutations) if picked.any() else float("nan")

    ends = moment_intervals(
        PLAIN, orders, ranks, [rated], rating[None], usable, compared, drawn, draws=draws, seed=seed
    )
    why = "the score is the same for all texts that are compared"
    each = _found(rho, ends, p, usable, known, drawn, compared, compared.df, why, note)
    return Within(each, largest, p_max)


def partial(
    scores: Scores,
    ratings: Ratings,
    covariates: Float[np.ndarray, "covariate given"],
    groups: Labels | None = None,
    *,
    clusters: Labels | None = None,
    draws: int = 1999,
    seed: int = 0,
) -> list[Correlation]:
    """Rank correlation of scores and ratings within groups, given covariates such as length.

    One pooled regression on the covariates' ranks (within groups and scaled there, as are all ranks here) is taken from
    the scorer's and from the ratings' ranks, and the residuals are correlated; df = texts - groups - covariates, where
    a covariate that the others determine does not count. p is two-sided from Student's t with df - 1 degrees of
    freedom, t = r sqrt((df - 1) / (1 - r^2)); the interval is that of `within`. Scores or ratings that the covariates
    determine, and a covariate that is not finite for a text that counts, give NaN and a note.

    Ranks within small groups know a length only roughly. Where scores and ratings follow nothing but length, and both
    closely (rho 0.8 with each other), 0.2 is left of it in groups of two, 0.13 in groups of ten and 0.03 in groups of
    a hundred; a partial correlation of that size is no evidence of more than length.

    >>> scores, ratings = np.array([[1.0, 2, 3, 4, 5]]), np.array([2.0, 1, 3, 5, 4])
    >>> round(partial(scores, ratings, np.array([[1.0, 3, 2, 4, 5]]))[0].rho, 3)  # (.8 - .9 * .6) / sqrt(.19 * .64)
    0.746
    """
    check_lengths(scores, ratings, groups=groups, clusters=clusters)
    if covariates.shape[1] != len(ratings):
        raise InputError(
            f"covariates: expected a value for each of {len(ratings)} texts; got {covariates.shape[1]}; give one each."
        )
    compared, note = comparable(ratings, groups)
    given = covariates[:, compared.kept]
    if not compared.df or not np.isfinite(given).all():
        why = "no value of a covariate for some text" if compared.df else ""
        return [_undefined(compared, compared.df, why, note)] * len(scores)
    orders, known = _orders(scores[:, compared.kept], compared)
    shared = [Order.of(each, compared) for each in (ratings[compared.kept], *given)]
    ranks, shared_ranks = scaled_ranks(orders, compared), scaled_ranks(shared, compared)
    span = basis(shared_ranks[1:].T)
    df = compared.df - span.shape[1]
    rho, usable = _residual_correlations(ranks, shared_ranks[0], span)
    usable &= known & (df > 0)
    drawn = _clusters(compared, clusters, groups)
    ends = moment_intervals(
        PARTIAL, orders, ranks, shared, shared_ranks, usable, compared, drawn, draws=draws, seed=seed
    )
    why = "the covariates leave nothing to compare"
    return _found(rho, ends, _t_p(rho, df), usable, known, drawn, compared, df, why, note)


def two_way(
    scores: Scores,
    ratings: Ratings,
    first: Labels,
    second: Labels,
    *,
    clusters: Labels | None = None,
    permutations: int = 1999,
    draws: int = 1999,
    seed: int = 0,
) -> list[Correlation]:
    """Rank correlation of scores and ratings with two factors as fixed effects, such as prompt and author.

    Texts are ranked over all groups; what the levels of both factors explain is taken from both columns of ranks, and
    the residuals are correlated; df = texts - rank of the design. p is two-sided, from the ratings' residuals permuted
    over all texts (Freedman and Lane 1983). The interval draws whole `clusters`, by default the levels of `first`.
    `groups` counts the levels of `first`. A text that is alone in its level carries nothing. Scores or ratings that the
    factors determine give NaN and a note.

    >>> prompts, authors = list("aabbcc"), list("xyxyxy")
    >>> two_way(np.arange(6.0)[None], np.array([1.0, 2, 4, 3, 5, 6]), prompts, authors)[0].df  # 6 - (3 + 2 - 1)
    2
    """
    check_lengths(scores, ratings, first=first, second=second, clusters=clusters)
    n = len(ratings)
    by_first, by_second = numbered(first, n), numbered(second, n)
    drawn = by_first if clusters is None else numbered(clusters, n)
    everyone = Groups.of(np.zeros(n, dtype=int))
    levels = int(by_first.max(initial=-1)) + 1
    orders, known = _orders(scores, everyone)
    rated = Order.of(ratings, everyone)
    ranks, (rating,) = scaled_ranks(orders, everyone), scaled_ranks([rated], everyone)
    columns = int(by_second.max(initial=-1)) + 1
    span = basis(np.concatenate([np.eye(levels)[by_first], np.eye(columns)[by_second]], axis=1))
    df = n - span.shape[1]
    rho, usable = _residual_correlations(ranks, rating, span)
    usable &= known & (df > 0)

    score, target = (each - (each @ span) @ span.T for each in (ranks, rating))
    score_lengths, length = np.linalg.norm(score, axis=1), np.linalg.norm(target)
    far = np.zeros(len(scores))
    rng = np.random.default_rng(seed)
    for rounds in _rounds(permutations, n) if usable.any() else []:
        shuffled = permuted(target, everyone, rounds, rng)
        lengths = np.sqrt(np.maximum(length**2 - ((shuffled @ span) ** 2).sum(axis=1), (NOTHING * length) ** 2))
        products = np.abs(score @ shuffled.T)  # the residuals of the shuffled residuals: the score's are free of span
        far += (products >= (np.abs(rho) - TIE)[:, None] * score_lengths[:, None] * lengths).sum(axis=1)
    p = (1 + far) / (1 + permutations)
    ends = np.full((len(scores), 2), np.nan)
    if usable.any():
        resampling = factor_ranks([orders[i] for i in np.flatnonzero(usable)], rated, by_first, by_second, drawn)
        ends[usable] = intervals(resampling, drawn, FISHER, draws=draws, seed=seed)
    why = "the two factors leave nothing to compare"
    found = _found(rho, ends, p, usable, known, drawn, everyone, df, why, "")
    return [replace(each, groups=levels) for each in found]


def _orders(scores: Scores, compared: Groups) -> tuple[list[Order], Bool[np.ndarray, " scorer"]]:
    """How each scorer orders the texts, and which scorers have a value for all of them."""
    known = np.isfinite(scores).all(axis=1)
    return [Order.of(each, compared) for each in np.where(known[:, None], scores, 0.0)], known


def _residual_correlations(
    ranks: Scores, rating: Ratings, span: Float[np.ndarray, "text rank"]
) -> tuple[Float[np.ndarray, " scorer"], Bool[np.ndarray, " scorer"]]:
    """Correlations of what is left outside `span`, and where something is left of both."""
    score, target = (each - (each @ span) @ span.T for each in (ranks, rating))
    lengths, length = np.linalg.norm(score, axis=1), np.linalg.norm(target)
    usable = (lengths > NOTHING * np.sqrt(len(rating))) & (length > NOTHING * np.sqrt(len(rating)))
    products = score @ target
    return np.clip(np.divide(products, lengths * length, out=np.zeros(len(ranks)), where=usable), -1, 1), usable


def _clusters(compared: Groups, clusters: Labels | None, groups: Labels | None) -> Int[np.ndarray, " kept"]:
    if clusters is not None:
        return numbered(np.asarray(clusters)[compared.kept], len(compared.kept))
    return compared.labels if groups is not None else np.arange(len(compared.kept))


def _t_p(rho: Float[np.ndarray, " scorer"], df: int) -> Float[np.ndarray, " scorer"]:
    """Two-sided p of correlations with `df` degrees of freedom, one of which each correlation takes itself."""
    if df < 2:
        return np.full(len(rho), np.nan)
    with np.errstate(divide="ignore"):
        return 2 * stats.t.sf(np.abs(rho) * np.sqrt((df - 1) / (1 - rho**2)), df - 1)


def _rounds(permutations: int, n: int) -> list[int]:
    """Permutations in blocks that fit in memory."""
    step = max(1, AT_ONCE // n)
    return [min(step, permutations - start) for start in range(0, permutations, step)]


def _found(
    rho: Float[np.ndarray, " scorer"],
    ends: Float[np.ndarray, "scorer 2"],
    p: Float[np.ndarray, " scorer"],
    usable: Bool[np.ndarray, " scorer"],
    known: Bool[np.ndarray, " scorer"],
    clusters: Int[np.ndarray, " text"],
    compared: Groups,
    df: int,
    why: str,
    note: str,
) -> list[Correlation]:
    """The results, those that are not usable with a note: `why`, or that a score is missing."""
    n = len(np.unique(clusters))
    few = f"no interval: {n} clusters, at least {FEWEST} are needed" if n < FEWEST else ""
    return [
        _correlation(float(rho[i]), float(ends[i, 0]), float(ends[i, 1]), float(p[i]), compared, df, few, note)
        if usable[i]
        else _undefined(compared, df, why if known[i] else "no score for some text", note)
        for i in range(len(rho))
    ]


def _undefined(compared: Groups, df: int, *notes: str) -> Correlation:
    nan = float("nan")
    empty = "" if compared.df else "no two texts with different ratings to compare"
    return _correlation(nan, nan, nan, nan, compared, df, empty, *notes)


def _correlation(rho: float, low: float, high: float, p: float, compared: Groups, df: int, *notes: str) -> Correlation:
    n, groups, note = len(compared.kept), len(compared.sizes), "; ".join(filter(None, notes))
    return Correlation(rho, low, high, p, n, groups, df, detectable(df), note)
