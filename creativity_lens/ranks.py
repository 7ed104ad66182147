"""Ranks of texts within their groups, and what happens to them when texts are drawn again.

Every rank here is a mid-distribution rank: the weight of the texts below in one's group and half the weight of those
that are equal, so ties are averaged. With all weights 1 it is the usual rank less a half. With the weights of a
bootstrap draw it is the rank in that draw, found by one cumulative sum along an order that never changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from creativity_lens.errors import InputError

Labels = Sequence[str] | Shaped[np.ndarray, " _"]
Rows = Float[np.ndarray, "draw text"]


@dataclass(frozen=True)
class Groups:
    """Texts that are compared with each other, put in the order of their groups."""

    kept: Int[np.ndarray, " kept"]  # which of the texts given, group after group
    labels: Int[np.ndarray, " kept"]  # 0, 1, ...: the group of each, rising
    starts: Int[np.ndarray, " group"]
    sizes: Int[np.ndarray, " group"]

    @classmethod
    def of(cls, labels: Int[np.ndarray, " text"], keep: Bool[np.ndarray, " group"] | None = None) -> "Groups":
        """The groups that are kept (all by default), numbered anew."""
        wanted = np.ones(len(labels), dtype=bool) if keep is None else keep[labels]
        order = np.argsort(labels, kind="stable")
        kept = order[wanted[order]]
        _, starts, numbers, sizes = np.unique(labels[kept], return_index=True, return_inverse=True, return_counts=True)
        return cls(kept, numbers, starts, sizes)

    @property
    def df(self) -> int:
        """Degrees of freedom of comparisons within groups: sum(n_g - 1)."""
        return int(np.sum(self.sizes - 1))

    def sums(self, values: Rows) -> Float[np.ndarray, "draw group"]:
        """Sum over the texts of each group."""
        return np.add.reduceat(values, self.starts, axis=1)


@dataclass(frozen=True)
class Order:
    """How texts are ordered within their groups by one variable: enough to rank them under any weights."""

    by_value: Int[np.ndarray, " text"]  # texts, group after group, rising
    low: Int[np.ndarray, " text"]  # for each text, where its block of equals begins in that order, and where it ends
    high: Int[np.ndarray, " text"]
    first: Int[np.ndarray, " text"]  # where its group begins and ends
    last: Int[np.ndarray, " text"]

    @classmethod
    def of(cls, values: Float[np.ndarray, " text"], groups: Groups) -> "Order":
        """The order of `values`, one for each text of the groups."""
        by_value = np.lexsort((values, groups.labels))
        sorted_values, n = values[by_value], len(values)
        changes = np.ones(n + 1, dtype=bool)
        changes[1:-1] = sorted_values[1:] != sorted_values[:-1]
        changes[groups.starts] = True
        edges = np.flatnonzero(changes)
        block = np.cumsum(changes[:-1]) - 1
        place = np.empty(n, dtype=int)
        place[by_value] = np.arange(n)
        low, high = edges[block][place], edges[block + 1][place]
        return cls(by_value, low, high, groups.starts[groups.labels], (groups.starts + groups.sizes)[groups.labels])

    def ranks(self, weights: Rows) -> Rows:
        """Weight below each text in its group, and half the weight of its equals (its own among them)."""
        summed = self._summed(weights)
        return (summed[:, self.low] + summed[:, self.high]) / 2 - summed[:, self.first]

    def above(self, values: Rows) -> Rows:
        """Sum of `values` over the texts above each text in its group, and half the sum over its equals."""
        summed = self._summed(values)
        return summed[:, self.last] - (summed[:, self.low] + summed[:, self.high]) / 2

    def _summed(self, values: Rows) -> Float[np.ndarray, "draw places"]:
        summed = np.zeros((values.shape[0], values.shape[1] + 1))
        np.cumsum(values[:, self.by_value], axis=1, out=summed[:, 1:])
        return summed


def scaled_ranks(orders: Sequence[Order], groups: Groups) -> Float[np.ndarray, "variable text"]:
    """Ranks within groups, centred, with a sum of squares of n_g - 1 in each; 0 in groups of ties."""
    ones = np.ones((1, len(groups.kept)))
    ranks = np.concatenate([order.ranks(ones) for order in orders])
    ranks -= groups.sizes[groups.labels] / 2
    squares = groups.sums(ranks**2)
    scale = np.sqrt(np.divide(groups.sizes - 1, squares, out=np.zeros_like(squares), where=squares > 0))
    return ranks * scale[:, groups.labels]


def permuted(
    values: Float[np.ndarray, " text"],
    groups: Groups,
    rounds: int,
    rng: np.random.Generator,
    clusters: Int[np.ndarray, " text"] | None = None,
) -> Float[np.ndarray, "round text"]:
    """`values` put into random order within their groups, `rounds` times.

    Where every cluster has one text in every group (a plot that each author wrote about), clusters change places as a
    whole, in the same way in all groups: what their texts share would otherwise pass for agreement.
    """
    out = np.repeat(values[None], rounds, axis=0)
    if clusters is not None and _complete(clusters, groups):
        table = np.lexsort((clusters, groups.labels)).reshape(len(groups.sizes), -1)  # [group, cluster]
        places = rng.permuted(np.tile(np.arange(table.shape[1]), (rounds, 1)), axis=1)
        for row in table:
            out[:, row] = values[row[places]]
        return out
    for size in np.unique(groups.sizes[groups.sizes > 1]):
        columns = groups.starts[groups.sizes == size, None] + np.arange(size)
        out[:, columns] = rng.permuted(out[:, columns], axis=2)
    return out


def _complete(clusters: Int[np.ndarray, " text"], groups: Groups) -> bool:
    """Whether each cluster has exactly one text in each group, there being several groups and several clusters."""
    n, cells = len(np.unique(clusters)), len(np.unique(np.stack([clusters, groups.labels]), axis=1).T)
    return len(groups.sizes) > 1 and n > 1 and len(clusters) == cells == n * len(groups.sizes)


def numbered(labels: Labels | None, n: int) -> Int[np.ndarray, " text"]:
    """Labels as numbers from 0; without labels all texts are of one group."""
    return np.zeros(n, dtype=int) if labels is None else np.unique(np.asarray(labels), return_inverse=True)[1]


def check_lengths(
    scores: Float[np.ndarray, "scorer text"], ratings: Float[np.ndarray, " rating"], **labels: Labels | None
) -> None:
    """Raise `InputError` unless every text has scores, a finite rating, and one of each kind of labels given."""
    n = len(ratings)
    if scores.shape[1] != n:
        raise InputError(f"scores: expected one for each of {n} rated texts; got {scores.shape[1]}; give both for all.")
    for name, each in labels.items():
        if each is not None:
            check_labels(name, each, n)
    if not np.isfinite(ratings).all():
        bad = int(np.sum(~np.isfinite(ratings)))
        raise InputError(f"ratings: expected finite numbers; {bad} of {n} are not; leave texts without a rating out.")


def check_labels(name: str, labels: Labels, n: int) -> None:
    """Raise `InputError` unless there are `n` labels and none is missing: texts without a group are not one group."""
    if len(labels) != n:
        raise InputError(f"{name}: expected {n} labels, one for each; got {len(labels)}; give one for each.")
    missing = [place for place, label in enumerate(labels) if label is None or label != label]
    if missing:
        raise InputError(f"{name}: number {missing[0] + 1} of {n} has no label; leave it out, or give it one.")


def comparable(ratings: Float[np.ndarray, " text"], labels: Labels | None) -> tuple[Groups, str]:
    """The groups in which ratings differ, and a note that counts those left out."""
    numbers = numbered(labels, len(ratings))
    n = int(numbers.max(initial=-1)) + 1
    sizes = np.bincount(numbers, minlength=n)
    highest, lowest = np.full(n, -np.inf), np.full(n, np.inf)
    np.maximum.at(highest, numbers, ratings)
    np.minimum.at(lowest, numbers, ratings)
    alone, equal = int(np.sum(sizes == 1)), int(np.sum((sizes > 1) & (highest == lowest)))
    parts = [f"{alone} of one text"] * (alone > 0) + [f"{equal} with equal ratings"] * (equal > 0)
    note = f"groups left out: {' and '.join(parts)}" if parts and labels is not None else ""
    return Groups.of(numbers, highest > lowest), note


def basis(columns: Float[np.ndarray, "text column"]) -> Float[np.ndarray, "text rank"]:
    """An orthonormal basis of what the columns span."""
    left, lengths, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, lengths > 1e-9 * max(1.0, lengths.max(initial=0.0))]
