"""Tables of n-grams that all lexical measures count in: n-grams stand within texts, never across their borders.

A *set* is some texts that are measured together: those of a group, or one of each group. A *place* is a text in a set;
a text may have places in several sets. Every function takes `kept`, the places that count, so that leaving some out
costs a pass and no new table.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from creativity_lens.diversity.words import Words


@dataclass(frozen=True, eq=False)
class Sets:
    """Texts in sets, set by set."""

    text: Int[np.ndarray, " place"]
    member: Int[np.ndarray, " place"]  # the set, counted from 0; never falling
    number: int  # of sets

    @property
    def everyone(self) -> Bool[np.ndarray, " place"]:
        """No place left out."""
        return np.ones(len(self.text), dtype=bool)

    def sizes(self, kept: Bool[np.ndarray, " place"]) -> Int[np.ndarray, " set"]:
        """Kept places of each set."""
        return np.bincount(self.member[kept], minlength=self.number)


@dataclass(frozen=True, eq=False)
class Grams:
    """The different n-grams of each text, text by text."""

    gram: Int[np.ndarray, " row"]  # equal numbers are equal n-grams
    count: Int[np.ndarray, " row"]  # how often the text has it
    rows: Int[np.ndarray, " text"]  # different n-grams of each text
    totals: Int[np.ndarray, " text"]  # n-grams of each text
    kinds: int  # different n-grams of all texts


@dataclass(frozen=True, eq=False)
class SetGrams:
    """The same, for texts in sets: a cell is an n-gram of a set, and its rows follow each other."""

    sets: Sets
    place: Int[np.ndarray, " row"]
    count: Int[np.ndarray, " row"]
    cell: Int[np.ndarray, " row"]
    start: Int[np.ndarray, " cell"]  # its first row
    set_of: Int[np.ndarray, " cell"]
    totals: Int[np.ndarray, " place"]  # n-grams of each place


def one_set(texts: int) -> Sets:
    """All texts in one set."""
    return Sets(np.arange(texts), np.zeros(texts, dtype=np.int64), 1)


def gram_tables(words: Words, highest: int) -> Iterator[Grams]:
    """Tables of the n-grams of orders 1 to `highest`."""
    lengths = np.array([len(ids) for ids in words.ids], dtype=np.int64)
    flat = np.concatenate(words.ids) if len(words.ids) else np.empty(0, dtype=np.int64)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    end = np.repeat(np.cumsum(lengths), lengths)  # of the text that each word is in
    grams, here = flat, np.arange(len(flat))
    for order in range(1, highest + 1):
        if order > 1:  # one word longer: the numbers of the shorter n-grams, and the words that follow them
            fits = here + order <= end[here]
            here, longer = here[fits], grams[fits] * max(words.vocabulary, 1) + flat[here[fits] + order - 1]
            grams = np.unique(longer, return_inverse=True)[1].reshape(-1)
        yield _table(grams, owner[here], len(lengths))


def in_sets(grams: Grams, sets: Sets) -> SetGrams:
    """The n-grams of texts put in sets."""
    ends = np.cumsum(grams.rows)
    own = grams.rows[sets.text]  # rows of each place
    place = np.repeat(np.arange(len(sets.text)), own)
    rows = np.arange(len(place)) + np.repeat(ends[sets.text] - np.cumsum(own), own)
    key = sets.member[place] * max(grams.kinds, 1) + grams.gram[rows]
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.ones(len(key), dtype=bool)
    first[1:] = key[1:] != key[:-1]
    start = np.flatnonzero(first)
    return SetGrams(
        sets, place[order], grams.count[rows[order]], np.cumsum(first) - 1, start, key[start] // max(grams.kinds, 1),
        grams.totals[sets.text],
    )  # fmt: skip


def different(table: SetGrams, kept: Bool[np.ndarray, " place"]) -> Int[np.ndarray, " set"]:
    """Number of different n-grams of each set."""
    there = _per_cell(np.logical_or, table, kept[table.place])
    return np.bincount(table.set_of[there], minlength=table.sets.number)


def all_of(table: SetGrams, kept: Bool[np.ndarray, " place"]) -> Int[np.ndarray, " set"]:
    """Number of n-grams of each set, repeated ones too."""
    return sum_by_set(table.sets, table.totals[kept], kept).astype(np.int64)


def holders(table: SetGrams, kept: Bool[np.ndarray, " place"]) -> Int[np.ndarray, " row"]:
    """How many kept texts of its set have the n-gram of each row."""
    found = _per_cell(np.add, table, kept[table.place].astype(np.int64))
    return found[table.cell]


def largest_elsewhere(table: SetGrams, kept: Bool[np.ndarray, " place"]) -> Int[np.ndarray, " row"]:
    """The most often that any *other* kept text of the set has the n-gram of each row.

    That is the second largest count where a text alone has the largest, and the largest otherwise: two passes serve
    all texts, where looking at each against the others would cost their square.
    """
    counts = table.count * kept[table.place]
    most = _per_cell(np.maximum, table, counts)[table.cell]
    is_most = (counts == most) & (counts > 0)
    alone = is_most & (_per_cell(np.add, table, is_most.astype(np.int64))[table.cell] == 1)
    second = _per_cell(np.maximum, table, np.where(alone, 0, counts))[table.cell]
    return np.where(alone, second, most)


def sum_by_place(
    table: SetGrams, values: Float[np.ndarray, " row"] | Int[np.ndarray, " row"]
) -> Float[np.ndarray, " place"]:
    """Sum of the rows of each place."""
    return np.bincount(table.place, weights=values, minlength=len(table.totals)).astype(float)


def sum_by_set(
    sets: Sets, values: Float[np.ndarray, " kept"] | Int[np.ndarray, " kept"], kept: Bool[np.ndarray, " place"]
) -> Float[np.ndarray, " set"]:
    """Sum over the kept places of each set; `values` are those of the kept places."""
    return np.bincount(sets.member[kept], weights=values, minlength=sets.number).astype(float)


def mean_by_set(
    sets: Sets, values: Float[np.ndarray, " kept"], kept: Bool[np.ndarray, " place"]
) -> Float[np.ndarray, " set"]:
    """Mean over the kept places of each set; NaN below 2 of them, for what compares a text with others."""
    sizes = sets.sizes(kept)
    return np.where(sizes < 2, np.nan, sum_by_set(sets, values, kept) / np.maximum(sizes, 1))


def _table(grams: Int[np.ndarray, " gram"], owner: Int[np.ndarray, " gram"], texts: int) -> Grams:
    kinds = int(grams.max()) + 1 if len(grams) else 0
    key, count = np.unique(owner * max(kinds, 1) + grams, return_counts=True)
    rows = np.bincount(key // max(kinds, 1), minlength=texts)
    return Grams(key % max(kinds, 1), count, rows, np.bincount(owner, minlength=texts), kinds)


def _per_cell(
    join: np.ufunc, table: SetGrams, values: Bool[np.ndarray, " row"] | Int[np.ndarray, " row"]
) -> Bool[np.ndarray, " cell"] | Int[np.ndarray, " cell"]:
    return join.reduceat(values, table.start) if len(values) else values
