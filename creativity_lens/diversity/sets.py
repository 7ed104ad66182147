"""Which texts are measured together: cut to one length, as many of each group, in sets within groups and across them.

Within: the texts of a group, in chunks of `count`, so that a group with more of them is measured several times over.
Across: sets that hold one text of each group. What is drawn follows from the seed and from the texts themselves, never
from their order in the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from creativity_lens.diversity.grams import Sets
from creativity_lens.files import sha256_text

SHORT = 0.05  # share of the texts that the default length may leave out
SMALL = 0.1  # share of the groups that the default count may leave out
BLOCKS = 20  # of groups that are left out in turn


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Texts in sets, and groups in blocks. Numbers count from 0; -1 is none."""

    group: Int[np.ndarray, " text"]
    usable: Bool[np.ndarray, " text"]
    within: Sets
    within_group: Int[np.ndarray, " set"]  # the group of each set
    across: Sets
    full: Bool[np.ndarray, " group"]  # groups with `count` usable texts: they have sets within
    there: Bool[np.ndarray, " group"]  # groups with any usable text: they are in the sets across
    block: Int[np.ndarray, " group"]  # all blocks hold as many groups, and some groups may be in none
    count: int

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return int(self.block.max(initial=-1)) + 1

    @property
    def in_block(self) -> int:
        """Groups of a block."""
        return int((self.block == 0).sum())

    def without(self, block: int) -> Bool[np.ndarray, " place"]:
        """The places of the sets across that are left without a block."""
        return self.block[self.group[self.across.text]] != block


def arrange(
    group: Int[np.ndarray, " text"],
    names: Sequence[str],
    texts: Sequence[str],
    usable: Bool[np.ndarray, " text"],
    count: int,
    *,
    seed: int,
) -> Arrangement:
    """Put the usable texts in sets of `count` within each group, and in `count` sets of one text of each group.

    A group with fewer than `count` has none within; across, its texts are taken again and again, so that every group
    stands in every set: a set across has the same number of texts, however many of a group's are usable.
    """
    rank = _shuffled(texts, seed)
    sizes = np.bincount(group[usable], minlength=len(names))
    rows = np.flatnonzero(usable)
    rows = rows[np.lexsort((rank[rows], group[rows]))]
    starts = np.cumsum(sizes) - sizes
    pieces = sizes // count
    place = np.arange(len(rows)) - starts[group[rows]]  # of the text in its group
    inside = place < (count * pieces)[group[rows]]
    first = np.cumsum(pieces) - pieces
    within = Sets(rows[inside], first[group[rows[inside]]] + place[inside] // count, int(pieces.sum()))
    block = _blocks(sizes > 0, names, seed)
    there = np.flatnonzero(sizes)[np.argsort(_shuffled([names[each] for each in np.flatnonzero(sizes).tolist()], seed))]
    turn = np.arange(count)[:, None]  # [set, group]
    across = Sets(rows[starts[there] + turn % sizes[there]].reshape(-1), np.repeat(np.arange(count), len(there)), count)
    return Arrangement(
        group, usable, within, np.repeat(np.arange(len(names)), pieces), across, sizes >= count, sizes > 0, block, count
    )


def default_length(sizes: Int[np.ndarray, " text"]) -> int:
    """The words that 95 % of the texts that are not empty have; 0 where all are empty."""
    filled = sizes[sizes > 0]
    return int(np.quantile(filled, SHORT, method="lower")) if len(filled) else 0


def default_count(
    group: Int[np.ndarray, " text"],
    groups: int,
    usable: Bool[np.ndarray, " text"],
    coherent: Bool[np.ndarray, " text"] | None = None,
) -> int:
    """The texts that 90 % of the groups have; no more than half of the groups have coherent ones, if that is 2.

    At least 2 where half of the groups have 2: a few groups with a single text take the diversity from none.
    """
    sizes = np.bincount(group[usable], minlength=groups)
    median = int(np.quantile(sizes, 0.5, method="lower"))
    count = max(1, min(2, median), int(np.quantile(sizes, SMALL, method="lower")))
    if coherent is not None:
        of_them = np.bincount(group[usable & coherent], minlength=groups)
        half = int(np.quantile(of_them, 0.5, method="lower"))
        count = min(count, half) if half >= 2 else count
    return count


def _shuffled(texts: Sequence[str], seed: int) -> Int[np.ndarray, " text"]:
    """Places of the texts in an order that follows from what they say."""
    keys = [sha256_text(str(seed), text) for text in texts]
    rank = np.empty(len(texts), dtype=np.int64)
    rank[sorted(range(len(texts)), key=keys.__getitem__)] = np.arange(len(texts))
    return rank


def _blocks(there: Bool[np.ndarray, " group"], names: Sequence[str], seed: int) -> Int[np.ndarray, " group"]:
    """Blocks of equally many groups: most measures change with the number of groups, so all must lose as many."""
    found = np.full(len(there), -1)
    places = np.flatnonzero(there)
    if len(places):
        each = max(1, len(places) // BLOCKS)
        order = places[np.argsort(_shuffled([names[place] for place in places.tolist()], seed))]
        taken = order[: len(order) // each * each]
        found[taken] = np.arange(len(taken)) // each
    return found
