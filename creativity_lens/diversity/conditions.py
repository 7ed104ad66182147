"""The same measures of several collections of texts, made comparable: one length, number, threshold and vocabulary.

Nearly every measure changes with these, so that two collections measured each by itself do not compare.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from creativity_lens.diversity.diversity import PRIMARY, UNITS, Diversity
from creativity_lens.diversity.measuring import measure_diversity
from creativity_lens.diversity.semantic import numbered, threshold_of
from creativity_lens.diversity.sets import default_count, default_length
from creativity_lens.diversity.words import cut, tokens_of
from creativity_lens.errors import InputError
from creativity_lens.html_tables import html_note, html_table
from creativity_lens.statistics import t_interval


@dataclass(frozen=True)
class Ground:
    """What conditions must share to be compared."""

    length: int  # words that every text is cut to
    count: int  # texts of each group
    vocabulary: int  # V of EAD
    groups: tuple[str, ...]  # in which every condition has a text of that length


@dataclass(frozen=True, eq=False)
class Compared:
    """Conditions measured on common ground. Made by `compare_diversity`."""

    conditions: dict[str, Diversity]
    ground: Ground
    passed_over: tuple[str, ...]  # groups that a condition has no text of
    changes: pd.DataFrame  # measure, twin, condition, against, estimate, low, high, n, unit, primary; paired by group

    @property
    def table(self) -> pd.DataFrame:
        """Every condition's table, with a first column that names it."""
        parts = [found.table.assign(condition=name) for name, found in self.conditions.items()]
        joined = pd.concat(parts, ignore_index=True)
        return joined[["condition", *joined.columns[:-1]]]

    @property
    def caption(self) -> str:
        """What the numbers rest on."""
        left = f" {len(self.passed_over)} that not all have were passed over." if self.passed_over else ""
        said = [f"{len(self.ground.groups)} groups that all conditions have.{left}"]
        said += [f"{name}: {found.caption}" for name, found in self.conditions.items()]
        return "\n".join(said)

    def _repr_html_(self) -> str:
        from creativity_lens.diversity.printing import headings_of, lines_of

        return html_table("Diversity by condition", headings_of(self), lines_of(self)) + html_note(self.caption)


def compare_diversity(
    texts: Sequence[str],
    groups: Sequence[str],
    conditions: Sequence[str],
    *,
    embedder: Any = None,
    embeddings: Float[np.ndarray, "text dim"] | None = None,
    tokens: Mapping[str, Any] | None = None,
    length: int | None = None,
    count: int | None = None,
    coherent: Sequence[bool] | Bool[np.ndarray, " text"] | None = None,
    threshold: float | None = None,
    seed: int = 0,
    **options: Any,
) -> Compared:
    """`measure_diversity` of each condition, over the groups that all of them have, on common ground; and the changes.

    A change is the difference from the first condition within each group, with Student's t over groups. `options` are
    those of `measure_diversity` (`similarity`, `method`, `vocabulary`). Raises `InputError` for fewer than 2 conditions
    and where no group stands in all of them.

    >>> found = compare_diversity(texts, prompts, models, embedder=load_embedder())       # doctest: +SKIP
    >>> found.changes                                                                    # doctest: +SKIP
    """
    names, condition = numbered(conditions, len(texts))
    if len(names) < 2:
        raise InputError(f"conditions: expected 2 or more to compare, got {len(names)}; measure one by itself.")
    mask = None if coherent is None else np.asarray(coherent, dtype=bool)
    ground = common_ground(texts, groups, conditions, length=length, count=count, coherent=mask)
    shared = set(ground.groups)
    inside = np.array([group in shared for group in groups])
    if threshold is None and (embedder is not None or embeddings is not None):
        short = [cut(text, ground.length) or "" for text in texts]
        vectors: Any = embedder.embed(short) if embedder is not None else embeddings
        known = inside & np.array([bool(text) for text in short])
        found = threshold_of(vectors[known], [groups[place] for place in np.flatnonzero(known).tolist()], seed=seed)
        threshold = None if np.isnan(found) else found
    options = {"vocabulary": ground.vocabulary, **options}
    measured = {}
    for number, name in enumerate(names):
        rows = np.flatnonzero((condition == number) & inside).tolist()
        measured[name] = measure_diversity(
            [texts[row] for row in rows], [groups[row] for row in rows], embedder=embedder,
            embeddings=None if embeddings is None else embeddings[rows],
            tokens={each: [values[row] for row in rows] for each, values in (tokens or {}).items()},
            length=ground.length, count=ground.count, coherent=None if mask is None else mask[rows],
            threshold=threshold, seed=seed, **options,
        )  # fmt: skip
    passed = tuple(name for name in dict.fromkeys(groups) if name not in shared)
    return Compared(measured, ground, passed, _changes(measured))


def common_ground(
    texts: Sequence[str],
    groups: Sequence[str],
    conditions: Sequence[str],
    *,
    length: int | None = None,
    count: int | None = None,
    coherent: Bool[np.ndarray, " text"] | None = None,
) -> Ground:
    """A length and a number of texts that suit all conditions, and the groups in which all of them have texts.

    The length is the one that 95 % of all texts have; the number the smallest that a condition would have by itself.
    Raises `InputError` where no group is left.
    """
    names, condition = numbered(conditions, len(texts))
    every, group = numbered(groups, len(texts))
    words = [tokens_of(text) for text in texts]
    sizes = np.array([len(each) for each in words])
    if not sizes.any():
        raise InputError(f"texts: all {len(sizes)} are empty; expected texts with words.")
    length = default_length(sizes) if length is None else length
    usable = sizes >= length
    there = np.array([[(usable & (condition == c) & (group == g)).any() for g in range(len(every))]
                      for c in range(len(names))])  # fmt: skip
    shared: Any = there.all(axis=0)
    if not shared.any():
        raise InputError(
            f"groups: none has texts of {length} words in all of {', '.join(names)[:60]}; compare equal groups."
        )
    usable = np.logical_and(usable, shared[group])
    if count is None:
        counts = []
        places = np.cumsum(shared) - 1  # groups that are not shared would count as empty
        for number in range(len(names)):
            rows = np.flatnonzero((condition == number) & usable)
            mask = None if coherent is None else coherent[rows]
            counts.append(default_count(places[group[rows]], int(shared.sum()), np.ones(len(rows), dtype=bool), mask))
        count = min(counts)
    vocabulary = len({word for each, use in zip(words, usable, strict=True) if use for word in each[:length]})
    kept = tuple(name for name, stays in zip(every, shared, strict=True) if stays)
    return Ground(length, count, max(1, vocabulary), kept)


def _changes(measured: Mapping[str, Diversity]) -> pd.DataFrame:
    """Differences from the first condition, within groups, measure by measure."""
    (first, reference), *others = measured.items()
    rows = []
    for measure, unit in UNITS.items():
        for twin in dict.fromkeys(reference.table["twin"]):
            before = reference.by_group(measure, twin)
            for name, found in others:
                after = found.by_group(measure, twin)
                if not before or not after:
                    continue
                shared = [group for group in before if group in after]
                moved = t_interval(np.array([after[group] - before[group] for group in shared]), unit=unit)
                primary = measure == PRIMARY and twin == "all"
                rows.append((measure, twin, name, first, moved.value, moved.low, moved.high, moved.n, unit, primary))
    columns = ["measure", "twin", "condition", "against", "estimate", "low", "high", "n", "unit", "primary"]
    return pd.DataFrame(rows, columns=columns)
