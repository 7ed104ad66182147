"""Rank correlations, and their standard errors, in draws of clusters of texts.

Everything here makes a `Resampling`: weights `[draw, cluster]` in, the value of each scorer and its standard error in
each draw out. Texts are ranked anew where a draw can change their ranks. The error is then that of the infinitesimal
jackknife: the derivative of the statistic in the weight of each cluster, its effect through the ranks of all other
texts included. A correlation of ranks taken as fixed numbers has another error as soon as it is not 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from creativity_lens.ranks import Groups, Order
from creativity_lens.statistics import Weights

Drawn = Float[np.ndarray, "draw scorer"]
Rows = Float[np.ndarray, "draw text"]
PerGroup = Float[np.ndarray, "draw group"]
Moments = Float[np.ndarray, "draw variable variable"]
Resampling = Callable[[Weights], tuple[Drawn, Drawn]]  # values and standard errors of the scorers in each draw


@dataclass(frozen=True)
class Statistic:
    """A function of the moments (sums of products of ranks) of scorer, ratings and covariates, in that order."""

    value: Callable[[Moments], Float[np.ndarray, " draw"]]
    slope: Callable[[Moments], Moments]  # its derivative, symmetric


def fixed_ranks(
    scorers: Float[np.ndarray, "scorer text"],
    shared: Float[np.ndarray, "variable text"],
    clusters: Int[np.ndarray, " text"],
    statistic: Statistic,
) -> Resampling:
    """For clusters that hold whole groups: no draw changes a rank, so sums per cluster are all there is to draw.

    Errors are those of the jackknife itself: with few clusters and covariates the derivative is a little too small.
    """
    n, k = int(clusters.max()) + 1, len(shared) + 1
    parts = []  # for each scorer [cluster, variable, variable]: sums of products
    for scorer in scorers:
        variables = np.concatenate([scorer[None], shared])
        sums = [np.bincount(clusters, weights=a * b, minlength=n) for a in variables for b in variables]
        parts.append(np.stack(sums, axis=1).reshape(n, k, k))

    def resampling(weights: Weights) -> tuple[Drawn, Drawn]:
        draw, cluster = np.nonzero(weights)
        found = []
        for part in parts:
            moments = (weights @ part.reshape(n, -1)).reshape(-1, k, k)
            left = np.zeros_like(weights)
            left[draw, cluster] = statistic.value(moments[draw] - part[cluster])
            mean = (weights * left).sum(axis=1, keepdims=True) / n
            errors = np.sqrt((n - 1) / n * (weights * (left - mean) ** 2).sum(axis=1))
            found.append((statistic.value(moments), errors))
        return _stacked(found)

    return resampling


def drawn_ranks(
    scorers: Sequence[Order],
    shared: Sequence[Order],
    groups: Groups,
    clusters: Int[np.ndarray, " text"],
    statistic: Statistic,
) -> Resampling:
    """For clusters that cross the groups, or single texts: every draw is ranked anew. `shared` begins with the ratings.

    A group in which all ratings of a draw are equal carries nothing in it, as in the sample.
    """
    gather = _gathering(clusters)
    share = (groups.sizes - 1) / groups.sizes  # a group's degrees of freedom for each unit of its weight

    def resampling(weights: Weights) -> tuple[Drawn, Drawn]:
        heavy = weights[:, clusters]
        totals = groups.sums(heavy)
        common = [_standardised(order, heavy, totals, groups) for order in shared]
        counts = np.where(common[0][1] > 0, share, 0.0)
        found = []
        for scorer in scorers:
            variables = [_standardised(scorer, heavy, totals, groups), *common]
            value, effects = _ranked_effects([scorer, *shared], variables, heavy, totals, counts, groups, statistic)
            found.append((value, _error(gather(effects), weights)))
        return _stacked(found)

    return resampling


def _ranked_effects(
    orders: Sequence[Order],
    variables: Sequence[tuple[Rows, PerGroup]],
    heavy: Rows,
    totals: PerGroup,
    counts: PerGroup,
    groups: Groups,
    statistic: Statistic,
) -> tuple[Float[np.ndarray, " draw"], Rows]:
    """The statistic in each draw, and its derivative in the weight of each text.

    With R the correlations in a group and f its degrees of freedom, the moments are M = sum f R. A text's weight moves
    f, its own product of ranks, and the ranks of all texts above it.
    """
    k = len(orders)
    ranks, inverse = [each[0] for each in variables], [each[1] for each in variables]
    within = np.empty((k, k, *totals.shape))  # R: [variable, variable, draw, group]
    for a in range(k):
        for b in range(a + 1):
            within[a, b] = within[b, a] = groups.sums(heavy * ranks[a] * ranks[b])
    dfs = totals * counts
    moments = np.einsum("ijbg,bg->bij", within, dfs)
    slope = statistic.slope(moments).transpose(1, 2, 0)[..., None]
    labels = groups.labels
    with np.errstate(invalid="ignore"):  # a draw in which nothing varies has no slope, and is left out later
        tilted = (slope * within).sum(axis=1)
        effects = (counts * tilted.sum(axis=0))[:, labels]
        for a in range(k):
            pull = sum(slope[a, b] * ranks[b] for b in range(k)) - tilted[a][:, labels] * ranks[a]
            effects += dfs[:, labels] * ranks[a] * pull
            effects += orders[a].above(heavy * (2 * dfs * inverse[a])[:, labels] * pull)
    return statistic.value(moments), effects


def factor_ranks(
    scorers: Sequence[Order],
    rated: Order,
    first: Int[np.ndarray, " text"],
    second: Int[np.ndarray, " text"],
    clusters: Int[np.ndarray, " text"],
) -> Resampling:
    """Ranks over all texts, drawn anew, less the effects of two factors: the correlation of the residuals.

    The factor whose levels lie in one cluster each (if there is one) weighs the same throughout in any draw, so its
    means are taken off once, and only the other factor's effects are fitted in every draw.
    """
    swept, other = (second, first) if _inside(second, clusters) and not _inside(first, clusters) else (first, second)
    dummies = np.eye(int(other.max()) + 1)[other]
    if _inside(swept, clusters):
        n_texts = np.bincount(swept)
        gather = _gathering(swept)

        def sweep(values: Float[np.ndarray, "row text"]) -> Float[np.ndarray, "row text"]:
            return values - (gather(values) / n_texts)[:, swept]

        dummies = sweep(dummies.T).T
    else:
        dummies = np.concatenate([np.eye(int(swept.max()) + 1)[swept], dummies], axis=1)

        def sweep(values: Float[np.ndarray, "row text"]) -> Float[np.ndarray, "row text"]:
            return values

    per_cluster = _gathering(clusters)
    k = dummies.shape[1]
    squares = per_cluster((dummies[:, :, None] * dummies[:, None, :]).reshape(-1, k * k).T).T  # [cluster, k * k]

    def resampling(weights: Weights) -> tuple[Drawn, Drawn]:
        heavy = weights[:, clusters]
        inverse = np.linalg.pinv((weights @ squares).reshape(-1, k, k), hermitian=True)

        def residuals(order: Order) -> tuple[np.ndarray, np.ndarray]:
            """What the factors leave of the ranks, of length 1 in each draw, and 1 / its length."""
            ranks = sweep(order.ranks(heavy))
            effects = np.einsum("bij,bj->bi", inverse, (heavy * ranks) @ dummies)
            ranks = ranks - effects @ dummies.T
            length = np.sqrt((heavy * ranks**2).sum(axis=1, keepdims=True))
            scale = np.divide(1, length, out=np.full_like(length, np.nan), where=length > 1e-6)
            return ranks * scale, scale

        rating, rating_scale = residuals(rated)
        found = []
        for order in scorers:
            score, scale = residuals(order)
            value = (heavy * score * rating).sum(axis=1, keepdims=True)
            pull, rating_pull = rating - value * score, score - value * rating
            effect = (score * pull + rating * rating_pull) / 2
            effect += scale * order.above(heavy * pull) + rating_scale * rated.above(heavy * rating_pull)
            found.append((value[:, 0], _error(per_cluster(effect), weights)))
        return _stacked(found)

    return resampling


def _plain_value(moments: Moments) -> Float[np.ndarray, " draw"]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return moments[:, 0, 1] / moments[:, 1, 1]


def _plain_slope(moments: Moments) -> Moments:
    slope = np.zeros_like(moments)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope[:, 0, 1] = slope[:, 1, 0] = 0.5 / moments[:, 1, 1]
        slope[:, 1, 1] = -moments[:, 0, 1] / moments[:, 1, 1] ** 2
    return slope


def _residual_moments(moments: Moments) -> tuple[Float[np.ndarray, "draw variable 2"], Float[np.ndarray, "draw 2 2"]]:
    """Coefficients of the variables in the two residuals, and the moments of the residuals."""
    given = moments[:, 2:, 2:]
    size = np.trace(given, axis1=1, axis2=2)[:, None, None]
    ridge = 1e-12 * (size + 1) * np.eye(given.shape[1])  # a draw may make a covariate constant, or two alike
    fitted = np.linalg.solve(given + ridge, moments[:, 2:, :2])
    left = np.concatenate([np.broadcast_to(np.eye(2), (len(moments), 2, 2)), -fitted], axis=1)
    return left, moments[:, :2, :2] - moments[:, :2, 2:] @ fitted


def _partial_value(moments: Moments) -> Float[np.ndarray, " draw"]:
    _, rest = _residual_moments(moments)
    with np.errstate(divide="ignore", invalid="ignore"):
        return rest[:, 0, 1] / np.sqrt(rest[:, 0, 0] * rest[:, 1, 1])


def _partial_slope(moments: Moments) -> Moments:
    left, rest = _residual_moments(moments)
    scorer, rating = left[:, :, 0], left[:, :, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        length = np.sqrt(rest[:, 0, 0] * rest[:, 1, 1])
        value = rest[:, 0, 1] / length
        both = scorer[:, :, None] * rating[:, None, :]
        slope = (both + both.transpose(0, 2, 1)) / (2 * length)[:, None, None]
        for one, spread in ((scorer, rest[:, 0, 0]), (rating, rest[:, 1, 1])):
            slope -= one[:, :, None] * one[:, None, :] * (value / 2 / spread)[:, None, None]
    return slope


PLAIN = Statistic(_plain_value, _plain_slope)  # a group in which the scorer is constant counts as 0
PARTIAL = Statistic(_partial_value, _partial_slope)  # of what a regression on variables 2 and on leaves


def _standardised(order: Order, heavy: np.ndarray, totals: np.ndarray, groups: Groups) -> tuple[np.ndarray, np.ndarray]:
    """Ranks in each draw, centred and of length 1 in each group, and 1 / length (0 where a group is all ties)."""
    ranks = order.ranks(heavy) - (totals / 2)[:, groups.labels]
    squares = groups.sums(heavy * ranks**2)
    inverse = np.sqrt(np.divide(1, squares, out=np.zeros_like(squares), where=squares > 1e-9))
    return ranks * inverse[:, groups.labels], inverse


def _inside(labels: Int[np.ndarray, " text"], clusters: Int[np.ndarray, " text"]) -> bool:
    """Whether every level of the labels lies in one cluster."""
    return len(np.unique(np.stack([labels, clusters]), axis=1).T) == len(np.unique(labels))


def _gathering(clusters: Int[np.ndarray, " text"]) -> Callable[[np.ndarray], np.ndarray]:
    """A function that sums over the texts of each cluster."""
    order = np.argsort(clusters, kind="stable")
    starts = np.unique(clusters[order], return_index=True)[1]
    return lambda values: np.add.reduceat(values[:, order], starts, axis=1)


def _error(effects: Float[np.ndarray, "draw cluster"], weights: Weights) -> Float[np.ndarray, " draw"]:
    n = weights.shape[1]
    return np.sqrt(n / max(n - 1, 1) * (weights * effects**2).sum(axis=1))


def _stacked(found: list[tuple[np.ndarray, np.ndarray]]) -> tuple[Drawn, Drawn]:
    values, errors = zip(*found, strict=True)
    return np.stack(values, axis=1), np.stack(errors, axis=1)
