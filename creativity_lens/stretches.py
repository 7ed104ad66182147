"""Stretches that texts share word for word: the longest of two texts, and those that stand in the most. No model.

A stretch is a run of consecutive token ids. The longest that two texts of one prompt share grows where a model always
writes the same; the floor is the longest that texts of different prompts share, for all text repeats itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from creativity_lens.errors import InputError
from creativity_lens.statistics import Estimate, t_interval

AT_ONCE = 2**19  # cells of one row of all pairs' tables: they stay in the cache
MOST_PAIRS = 20_000  # compared within groups, and as many across
TOKENS = "tokens"

Pairs = Int[np.ndarray, "_ 2"]


@dataclass(frozen=True)
class Stretch:
    """A stretch, how many of the texts hold it, and of how many groups those are."""

    ids: tuple[int, ...]
    texts: int
    of: int  # texts that were looked at
    groups: int


@dataclass(frozen=True, eq=False)
class Stretches:
    """How long the longest common stretch of two texts is, and what is shared most."""

    within: Estimate  # mean over pairs of one group, in tokens; n is groups
    across: Estimate  # each group's texts with as many texts of others: the floor
    shared: tuple[Stretch, ...]  # those that cover the most tokens (texts x length) first
    left_out: int  # empty texts


def common_stretches(
    texts: Sequence[Sequence[int]],
    groups: Sequence[str],
    *,
    length: int | None = None,
    shortest: int = 6,
    most: int = 20,
    seed: int = 0,
) -> Stretches:
    """Longest common stretches within groups (prompts) and across them, and the stretches that most texts share.

    Texts are token ids, cut to `length` of them: longer texts share longer stretches, so what is compared must be of
    equal length. All pairs within a group count alike, groups count alike, and t intervals go over groups; across, each
    group's texts meet as many texts of other groups, drawn with the seed. Above 20,000 pairs, as many are drawn.

    `shared` are stretches of at least `shortest` tokens that stand in two or more texts, none of them part of a longer
    one that stands in as many, and at most `most` of them; of two that have `shortest` tokens in common, the one that
    covers more. Empty texts are left out and counted; a group of one text has no pair within. The order of texts is of
    no matter but for the pairs that are drawn.

    Raises `InputError` where texts and groups are not as many, and for a `shortest` below 1.

    >>> texts = [[5, 1, 2, 3, 4], [1, 2, 3, 4, 6], [7, 8, 9, 7, 8], [1, 2, 3, 9, 9]]
    >>> found = common_stretches(texts, ["a", "a", "b", "b"], shortest=3)
    >>> found.within.value, found.shared[0]
    (2.5, Stretch(ids=(1, 2, 3), texts=3, of=4, groups=2))
    """
    if len(texts) != len(groups):
        raise InputError(f"groups: expected one for each of {len(texts)} texts, got {len(groups)}.")
    if shortest < 1:
        raise InputError(f"shortest: expected at least 1 token, got {shortest}.")
    kept = [i for i, text in enumerate(texts) if len(text[:length])]
    cut = [tuple(int(token) for token in texts[i][:length]) for i in kept]
    _, labels = np.unique(np.array([groups[i] for i in kept], dtype=str), return_inverse=True)
    rng = np.random.default_rng(seed)
    within, across = _pairs(labels, rng)
    return Stretches(
        within=_mean_by(labels, within, cut),
        across=_mean_by(labels, across, cut),
        shared=tuple(_apart(shared_stretches(cut, labels, shortest), shortest, most)),
        left_out=len(texts) - len(kept),
    )


def longest_common(first: Sequence[Sequence[int]], second: Sequence[Sequence[int]]) -> Int[np.ndarray, " pair"]:
    """Length of the longest stretch that `first[i]` and `second[i]` share, for every i; 0 where they share none.

    >>> longest_common([[1, 2, 3, 4]], [[9, 2, 3, 4, 1]])
    array([3])
    """
    width = max((len(text) for text in second), default=0)
    found = np.zeros(len(first), dtype=int)
    size = max(1, AT_ONCE // max(width, 1))
    for start in range(0, len(first), size):
        block = slice(start, start + size)
        found[block] = _longest(_padded(first[block], -1), _padded(second[block], -2))
    return found


def shared_stretches(texts: Sequence[Sequence[int]], labels: Int[np.ndarray, " text"], shortest: int) -> list[Stretch]:
    """All stretches of at least `shortest` tokens that two or more texts hold, but for parts of longer ones that as
    many hold; those that cover the most tokens first.

    Grown token by token from those that at least two texts hold, so that the work is that of what is shared.
    """
    if not texts:
        return []
    tokens = np.concatenate([np.asarray([*text, -1], dtype=np.int64) for text in texts])  # -1 is part of no stretch
    source = np.repeat(np.arange(len(texts)), [len(text) + 1 for text in texts])
    # places where a stretch of the present size begins that two texts hold, and a number for each distinct stretch
    places = np.flatnonzero(tokens >= 0)
    numbers = np.unique(tokens[places], return_inverse=True)[1]
    found: list[Stretch] = []
    size = 1
    while True:
        held = _held(numbers, source[places])
        common = held[numbers] > 1
        places, numbers = places[common], numbers[common]
        if not len(places):
            break
        longer_places, longer = _grown(tokens, places, numbers, size)
        if size >= shortest:
            covered = np.zeros(len(held), dtype=bool)
            if len(longer_places):
                longer_held = _held(longer, source[longer_places])[longer]
                number_at = np.full(len(tokens), -1)
                number_at[places] = numbers
                for part in (number_at[longer_places], number_at[longer_places + 1]):
                    covered[part[held[part] == longer_held]] = True
            found += _listed(tokens, source, labels, places, numbers, covered, size, len(texts))
        places, numbers, size = longer_places, longer, size + 1
    return sorted(found, key=lambda each: (-each.texts * len(each.ids), -each.texts, each.ids))


def _longest(first: Int[np.ndarray, "pair a"], second: Int[np.ndarray, "pair b"]) -> Int[np.ndarray, " pair"]:
    """By the table of common suffixes, one row of it at a time for all pairs."""
    small = np.int16 if second.shape[1] < 2**15 else np.int32
    run = np.zeros((len(first), second.shape[1] + 1), dtype=small)  # run[:, j + 1] ends at second's token j
    best = np.zeros_like(run)
    for token in first.T:
        run[:, 1:] = (run[:, :-1] + small(1)) * (second == token[:, None])
        np.maximum(best, run, out=best)
    return best.max(axis=1).astype(int)


def _padded(texts: Sequence[Sequence[int]], fill: int) -> Int[np.ndarray, "text pos"]:
    table = np.full((len(texts), max((len(text) for text in texts), default=0)), fill, dtype=np.int32)
    for row, text in zip(table, texts, strict=True):
        row[: len(text)] = text
    return table


def _pairs(labels: Int[np.ndarray, " text"], rng: np.random.Generator) -> tuple[Pairs, Pairs]:
    """Pairs of texts within groups, and for each group as many with texts of others."""
    count = int(labels.max(initial=-1)) + 1
    within, across = [np.empty((0, 2), dtype=int)], [np.empty((0, 2), dtype=int)]
    limit = max(1, MOST_PAIRS // max(count, 1))
    for group in range(count):
        own, others = np.flatnonzero(labels == group), np.flatnonzero(labels != group)
        pairs = np.stack(np.triu_indices(len(own), 1), axis=1)
        if len(pairs) > limit:
            pairs = pairs[rng.choice(len(pairs), limit, replace=False)]
        within.append(own[pairs])
        if len(others):
            size = max(len(pairs), 1)
            across.append(np.stack([own[np.arange(size) % len(own)], rng.choice(others, size)], axis=1))
    return np.concatenate(within), np.concatenate(across)


def _mean_by(labels: Int[np.ndarray, " text"], pairs: Pairs, texts: list[tuple[int, ...]]) -> Estimate:
    if not len(pairs):
        return Estimate(np.nan, np.nan, np.nan, 0, TOKENS)
    lengths = longest_common([texts[i] for i in pairs[:, 0]], [texts[i] for i in pairs[:, 1]])
    group = labels[pairs[:, 0]]
    counts = np.bincount(group)
    means: Float[np.ndarray, " group"] = np.bincount(group, weights=lengths)[counts > 0] / counts[counts > 0]
    return t_interval(means, unit=TOKENS)


def _held(numbers: Int[np.ndarray, " place"], source: Int[np.ndarray, " place"]) -> Int[np.ndarray, " stretch"]:
    """How many texts hold each stretch."""
    texts = int(source.max(initial=0)) + 1
    return np.bincount(np.unique(numbers * texts + source) // texts, minlength=int(numbers.max(initial=-1)) + 1)


def _grown(
    tokens: Int[np.ndarray, " token"], places: Int[np.ndarray, " place"], numbers: Int[np.ndarray, " place"], size: int
) -> tuple[Int[np.ndarray, " longer"], Int[np.ndarray, " longer"]]:
    """Where both parts of a stretch one token longer are held by two texts, and a number for each distinct one."""
    number_at = np.full(len(tokens) + 1, -1)
    number_at[places] = numbers
    longer = places[(number_at[places + 1] >= 0) & (tokens[np.minimum(places + size, len(tokens) - 1)] >= 0)]
    couple = number_at[longer] * (int(numbers.max()) + 1) + number_at[longer + 1]
    return longer, np.unique(couple, return_inverse=True)[1]


def _listed(
    tokens: Int[np.ndarray, " token"],
    source: Int[np.ndarray, " token"],
    labels: Int[np.ndarray, " text"],
    places: Int[np.ndarray, " place"],
    numbers: Int[np.ndarray, " place"],
    covered: np.ndarray,
    size: int,
    of: int,
) -> list[Stretch]:
    open_places = places[~covered[numbers]]
    open_numbers = numbers[~covered[numbers]]
    order = np.argsort(open_numbers, kind="stable")
    starts = np.flatnonzero(np.diff(open_numbers[order], prepend=-1))
    found = []
    for same in np.split(open_places[order], starts[1:]) if len(order) else []:
        holders = np.unique(source[same])
        ids = tuple(tokens[same[0] : same[0] + size].tolist())
        found.append(Stretch(ids, len(holders), of, len(np.unique(labels[holders]))))
    return found


def _apart(found: list[Stretch], shortest: int, most: int) -> list[Stretch]:
    """The first of those that have a part of the shortest size in common."""
    chosen: list[Stretch] = []
    seen: set[tuple[int, ...]] = set()
    for each in found:
        parts = {each.ids[i : i + shortest] for i in range(len(each.ids) - shortest + 1)}
        if len(chosen) < most and not parts & seen:
            chosen.append(each)
            seen |= parts
    return chosen
