"""An attribute of every text: a label, a set, a vector or a number, taken from a field or found in the text."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from creativity_lens.errors import InputError, nearest
from creativity_lens.monoculture.dispersion import Pool, jaccard
from creativity_lens.monoculture.grouping import Paired
from creativity_lens.monoculture.reading import Side
from creativity_lens.monoculture.sentiment import model_sentiment, vader_sentiment
from creativity_lens.monoculture.topics import find_topics
from creativity_lens.rows import shown

OF_TEXTS = ("sentiment", "topic", "embedding")
OF_FIELDS = ("label", "set", "number")
# Of each kind of value: what its dispersion and its similarity are called, and the dispersion's unit.
MEASURES = {
    "label": ("entropy", "pairs with one label", "bits"),
    "set": ("1 - mean Jaccard", "mean Jaccard", "1 - Jaccard"),
    "embedding": ("1 - mean cosine", "mean cosine", "1 - cosine"),
    "number": ("mean distance", "mean", "units of the field"),
}


@dataclass(frozen=True)
class Options:
    """How attributes of texts are found."""

    text: str = "text"
    sentiment_model: str | None = None
    positive: str | None = None
    topics: str = "nmf"
    n_topics: int = 10
    device: str = "cpu"
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Attribute:
    """The value of every row that is compared, and what it is."""

    name: str  # "sentiment", "label:genre"
    kind: str  # a key of MEASURES
    values: tuple[dict[int, Any], dict[int, Any]]  # [side][row number]
    by: str  # how it was found
    positive: str = ""  # the label whose share is an item's mean
    notes: tuple[str, ...] = ()
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of topics

    def pool(self, rows: tuple[tuple[int, ...], tuple[int, ...]]) -> tuple[Pool, list[Any]]:
        """The texts of one item, generated ones first, and their values."""
        values = [self.values[side][row] for side in (0, 1) for row in rows[side]]
        if self.kind == "label":
            return Pool(codes=np.unique(values, return_inverse=True)[1].astype(int)), values
        if self.kind == "set":
            return Pool(distances=1 - jaccard(values)), values
        numbers = np.array(values, dtype=float)
        if self.kind == "number":
            return Pool(distances=np.abs(numbers[:, None] - numbers[None])), values
        distances = 1 - numbers @ numbers.T
        np.fill_diagonal(distances, 0.0)
        return Pool(distances=distances), values


def needs_text(name: str) -> bool:
    """Whether an attribute is found in the text; raises `InputError` for an unknown one."""
    if name in OF_TEXTS:
        return True
    kind, colon, field_name = name.partition(":")
    if colon and kind in OF_FIELDS and field_name:
        return False
    known = [*OF_TEXTS, *(f"{each}:FIELD" for each in OF_FIELDS)]
    near = nearest(name, [*OF_TEXTS]) or nearest(kind, [*OF_FIELDS])
    raise InputError(f"--attribute: expected one of {', '.join(known)}; got {shown(name)}.{near}")


def extract(name: str, paired: Paired, options: Options, embedder: Callable[[], Any]) -> Attribute:
    """The attribute of every row that is compared; `embedder()` is called where one is needed."""
    if not needs_text(name):
        kind, _, field_name = name.partition(":")
        read = {"label": _label, "set": _set, "number": _number}[kind]
        values = tuple(
            {row: read(side, row, field_name) for item in paired.rows[place] for row in item}
            for place, side in enumerate(paired.sides)
        )
        return Attribute(name, kind, (values[0], values[1]), f"field {shown(field_name)}")
    order = [(side, row) for side in (0, 1) for item in paired.rows[side] for row in item]
    texts = [str(paired.sides[side].rows[row][options.text]) for side, row in order]
    if name == "sentiment":
        found = (
            vader_sentiment(texts)
            if options.sentiment_model is None
            else model_sentiment(texts, options.sentiment_model, positive=options.positive, device=options.device)
        )
        values = _by_side(order, list(found.labels))
        return Attribute(name, "label", values, found.by, positive=found.positive, notes=found.notes)
    if name == "topic":
        topics = find_topics(
            texts, _fitted(paired, order, options.seed), method=options.topics, n_topics=options.n_topics,
            embedder=embedder() if options.topics == "kmeans" else None, seed=options.seed,
        )  # fmt: skip
        values = _by_side(order, list(topics.labels))
        return Attribute(name, "label", values, topics.by, notes=topics.notes, words=topics.words)
    model = embedder()
    return Attribute(name, "embedding", _by_side(order, list(model.embed(texts))), str(model.id))


def _by_side(order: list[tuple[int, int]], values: list[Any]) -> tuple[dict[int, Any], dict[int, Any]]:
    found: tuple[dict[int, Any], dict[int, Any]] = ({}, {})
    for (side, row), value in zip(order, values, strict=True):
        found[side][row] = value
    return found


def _fitted(paired: Paired, order: list[tuple[int, int]], seed: int) -> np.ndarray:
    """Places in `order` of equal numbers of texts from both sides of every item."""
    rng = np.random.default_rng(seed)
    place = {each: i for i, each in enumerate(order)}
    chosen = []
    for one, other in zip(*paired.rows, strict=True):
        size = min(len(one), len(other))
        for side, rows in enumerate((one, other)):
            some = sorted(rng.permutation(len(rows))[:size]) if len(rows) > size else range(len(rows))
            chosen += [place[side, rows[i]] for i in some]
    return np.array(sorted(chosen))


def _label(side: Side, row: int, name: str) -> str:
    value = side.field(row, name, option="--attribute label:FIELD")
    if not isinstance(value, str):
        hint = ", or compare numbers with number:FIELD" if isinstance(value, int | float) else ""
        raise InputError(
            f"{side.where(row)}: field {shown(name)}: expected a label, got {value!r:.40}; write it in quotes{hint}."
        )
    if not value.strip():
        raise InputError(f"{side.where(row)}: field {shown(name)}: expected a label, got an empty one; write it.")
    return value.strip()


def _set(side: Side, row: int, name: str) -> frozenset[str]:
    value = side.field(row, name, option="--attribute set:FIELD")
    if isinstance(value, str):  # a CSV cell
        return frozenset(part.strip() for part in value.split(";") if part.strip())
    if not isinstance(value, list | tuple | set | frozenset) or not all(isinstance(each, str) for each in value):
        raise InputError(
            f'{side.where(row)}: field {shown(name)}: expected a list of strings such as ["sort"], got {value!r:.40}.'
        )
    return frozenset(value)


def _number(side: Side, row: int, name: str) -> float:
    value = side.field(row, name, option="--attribute number:FIELD")
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, str | int | float) else float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{side.where(row)}: field {shown(name)}: expected a number, got {value!r:.40}.")
    return number
