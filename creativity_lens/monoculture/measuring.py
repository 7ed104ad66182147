"""Generative monoculture: is generated text narrower than the human text about the same item?

After "Generative Monoculture in Large Language Models" (arXiv 2407.02209): an attribute is taken from every text, and
its dispersion among an item's generated texts is compared with that among its human ones, at equal numbers of texts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from creativity_lens.errors import InputError
from creativity_lens.monoculture.dispersion import Pool, entropy_bits
from creativity_lens.monoculture.extracting import MEASURES, Attribute, Options, extract, needs_text
from creativity_lens.monoculture.grouping import Paired, pair_items
from creativity_lens.monoculture.nulls import INNER, SplitTest, SwapTest, split_test, swap_test
from creativity_lens.monoculture.reading import Filter, Side, as_side, read_filter
from creativity_lens.monoculture.result import Monoculture, verdict
from creativity_lens.statistics import FEWEST, Estimate, cluster_bootstrap, t_interval

BINS = 10  # of the histogram of items' means
SIDES = ("generated", "source")


def measure_monoculture(
    generated: Side | Sequence[Any],
    source: Side | Sequence[Any],
    *,
    attribute: str | Sequence[str] = "sentiment",
    group: str = "item",
    text: str = "text",
    keep: Sequence[str | Filter] = (),
    skip_missing: bool = False,
    sentiment_model: str | None = None,
    positive: str | None = None,
    topics: str = "nmf",
    n_topics: int = 10,
    embedder: Any = None,
    device: str = "cpu",
    draws: int = 1999,
    seed: int = 0,
) -> Monoculture:
    """Compare the dispersion of generated and human texts, item by item, for one or several attributes.

    Rows are mappings with the item in `group`. An attribute is "sentiment" (VADER, or the classifier
    `sentiment_model`), "topic" (`topics`: "nmf" or "kmeans"), "embedding", or a field: "label:FIELD" (strings),
    "set:FIELD" (lists of strings) or "number:FIELD". `keep` holds conditions such as "perplexity<=20", applied to both
    sides; the share kept is part of the result. `embedder` is one from `load_embedder`, or the name of one.

    Guarantees: generated and human texts of an item are compared at equal numbers, exactly where that can be computed;
    intervals are over items, from 8 on; neither the order of rows nor that of items changes a number; texts that are
    all equal have dispersion 0. p belongs to the share of items that are narrower, the one test of each attribute: at
    most 1 in 20 equal sources is called narrower or wider by it.

    Raises `InputError`, one line, for items on one side only (unless `skip_missing`), items with one text, missing
    fields, labels that are no strings, and what the attributes need and do not find.

    >>> rows = [{"item": f"book {n // 2}", "mood": mood} for n, mood in enumerate("aaaa" * 8)]
    >>> human = [{"item": f"book {n // 2}", "mood": mood} for n, mood in enumerate("abab" * 8)]
    >>> measure_monoculture(rows, human, attribute="label:mood").outcome["label:mood"]
    'narrower'
    """
    sides = (as_side(generated, SIDES[0]), as_side(source, SIDES[1]))
    for side in sides:
        if not len(side):
            raise InputError(f"{side.name}: expected rows of items, got none.")
    if draws < 99:
        raise InputError(f"draws: expected at least 99, got {draws}.")
    names = list(dict.fromkeys([attribute] if isinstance(attribute, str) else attribute))
    if not names:
        raise InputError("--attribute: expected at least one, such as sentiment; got none.")
    textual = [needs_text(name) for name in names]
    filters = [read_filter(one) if isinstance(one, str) else one for one in keep]
    paired = pair_items(
        *sides, group=group, text=text if any(textual) else None, keep=filters, skip_missing=skip_missing
    )
    options = Options(text, sentiment_model, positive, topics, n_topics, device, seed)
    supply = _once(embedder, device)
    parts = [_measured(extract(name, paired, options, supply), paired, draws, seed) for name in names]
    rows = [row for part in parts for row in part.rows] + _kept_rows(paired)
    meta = {
        "attributes": {part.attribute.name: part.about for part in parts},
        "generated": sides[0].name,
        "source": sides[1].name,
        "group": group,
        "items": len(paired.items),
        "keep": [str(one) for one in paired.filters],
        "kept": {side: list(paired.kept[i]) for i, side in enumerate(SIDES)},
        "draws": draws,
        "seed": seed,
        "notes": [
            *paired.notes,
            *(f"{part.attribute.name}: {note}" for part in parts for note in part.attribute.notes),
        ],
    }
    table = pd.DataFrame(rows)
    items = pd.concat([part.items for part in parts], ignore_index=True)
    sentences = {part.attribute.name: part.sentence for part in parts}
    return Monoculture(table, items, sentences, {part.attribute.name: part.outcome for part in parts}, meta)


def _once(embedder: Any, device: str) -> Callable[[], Any]:
    """The embedder, loaded when it is first asked for where it is given by name or not at all."""
    made = [] if embedder is None or isinstance(embedder, str) else [embedder]

    def supply() -> Any:
        if not made:
            from creativity_lens.embeddings import load_embedder

            made.append(load_embedder(embedder, device=device))
        return made[0]

    return supply


@dataclass(frozen=True, eq=False)
class _Part:
    """What one attribute adds to the result."""

    attribute: Attribute
    rows: list[dict[str, Any]]
    items: pd.DataFrame
    about: dict[str, Any]
    outcome: str
    sentence: str


def _row(attribute: str, measure: str, side: str, found: Estimate, note: str = "", p: float = np.nan) -> dict[str, Any]:
    ends = {"estimate": found.value, "low": found.low, "high": found.high, "n": found.n, "unit": found.unit, "p": p}
    return {"attribute": attribute, "measure": measure, "side": side, **ends, "note": note}


def _measured(attribute: Attribute, paired: Paired, draws: int, seed: int) -> _Part:
    measure, _, unit = MEASURES[attribute.kind]
    pools: list[Pool] = []
    sizes: list[tuple[int, int]] = []
    table = []
    for place, item in enumerate(paired.items):
        rows = (paired.rows[0][place], paired.rows[1][place])
        pool, values = attribute.pool(rows)
        first, second = len(rows[0]), len(rows[1])
        count = min(first, second)
        ends = (np.arange(first), np.arange(first, first + second))
        spread = [pool.at(side, count) for side in ends]
        means = [_mean(attribute, pool, values, side) for side in ends]
        pools.append(pool)
        sizes.append((first, second))
        table.append([attribute.name, item, first, second, count, *spread, spread[0] - spread[1], *means])
    swap, split = swap_test(pools, sizes, draws=draws, seed=seed), split_test(pools, sizes, draws=draws, seed=seed)
    columns = ["attribute", "item", "n_generated", "n_source", "count", "generated", "source", "difference"]
    items = pd.DataFrame(table, columns=[*columns, "mean_generated", "mean_source"])
    items.insert(8, "narrower", swap.each)
    least, most = items["count"].min(), items["count"].max()
    told = f"at {least}{f' to {most}' if least < most else ''} texts an item and side"
    told += f"; no interval below {FEWEST} items" if len(items) < FEWEST else ""
    found = {side: t_interval(items[side].to_numpy(), unit=unit) for side in (*SIDES, "difference")}
    rows_of_means, about = _means(attribute, items)
    dispersion = [_row(attribute.name, measure, side, one, told) for side, one in found.items()]
    table_rows = [*dispersion, *_nulls(attribute.name, swap, split, sizes, draws), *rows_of_means]
    about |= {"by": attribute.by, "kind": attribute.kind, "measure": measure, "unit": unit}
    about |= {"words": {topic: list(words) for topic, words in attribute.words.items()}}
    about |= {"means": {side: [found[side].value, found[side].low, found[side].high] for side in SIDES}}
    return _Part(
        attribute, table_rows, items, about, *verdict(attribute.name, attribute.by, measure, found, swap, split)
    )


def _mean(attribute: Attribute, pool: Pool, values: list[Any], rows: Any) -> float:
    """The mean of an item's side: share of positive labels, mean number, or mean similarity of two texts."""
    if attribute.positive:
        return float(np.mean([values[i] == attribute.positive for i in rows]))
    if attribute.kind == "number":
        return float(np.mean([values[i] for i in rows]))
    return pool.alike(rows)


def _means(attribute: Attribute, items: pd.DataFrame) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The items' means, their histogram, and the entropy over its bins: rows, and what the figure needs."""
    _, alike, unit = MEASURES[attribute.kind]
    name = f"mean {attribute.positive}" if attribute.positive else alike
    of = unit if attribute.kind == "number" else "share" if attribute.kind == "label" else ""
    means = [items[f"mean_{side}"].to_numpy() for side in SIDES]
    rows = [
        _row(attribute.name, name, side, t_interval(values, unit=of)) for side, values in zip(SIDES, means, strict=True)
    ]
    rows.append(_row(attribute.name, name, "difference", t_interval(means[0] - means[1], unit=of)))
    edges = _edges(np.concatenate(means), attribute.kind == "number")
    counts = [np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] for values in means]
    told = f"{len(edges) - 1} equal bins from {edges[0]:.4g} to {edges[-1]:.4g}"
    for side, bins in zip(SIDES, counts, strict=True):
        entropy = Estimate(float(entropy_bits(bins.astype(float))), np.nan, np.nan, len(items), "bits")
        rows.append(_row(attribute.name, f"entropy of {name}", side, entropy, told))
    histogram = {"edges": edges.tolist()} | {side: bins.tolist() for side, bins in zip(SIDES, counts, strict=True)}
    return rows, {"mean": name, "mean_unit": of, "histogram": histogram}


def _edges(values: Float[np.ndarray, " mean"], numbers: bool) -> Float[np.ndarray, " edge"]:
    """Ten bins from 0 to 1, where shares and similarities lie (a mean cosine below 0 counts as 0), or over the data."""
    low, high = (float(values.min()), float(values.max())) if numbers else (0.0, 1.0)
    return np.linspace(low, high if high > low else low + 1, BINS + 1)


def _nulls(
    attribute: str, swap: SwapTest, split: SplitTest, sizes: list[tuple[int, int]], draws: int
) -> list[dict[str, Any]]:
    """The share of items narrower than their source, and what it is held against."""
    n, name = len(sizes), "items narrower"
    unequal = sum(a != b for a, b in sizes)
    dealt = f"; {INNER} draws of the larger side in {unequal} items of unequal numbers" if unequal else ""
    share = cluster_bootstrap(
        lambda weights: weights @ swap.each / weights.sum(axis=1), n, unit="share", bounds=(0.0, 1.0)
    )
    ways = "all ways of swapping" if swap.exact else f"{draws} random swaps"
    null = Estimate(swap.null, swap.null_low, swap.null_high, n, "share")
    halves = Estimate(split.share, split.low, split.high, split.n, "share")
    why = f"two random halves of the source, {draws} times; low to high: 95 % of them"
    return [
        _row(attribute, name, "generated", share, f"ties count half{dealt}", p=swap.p),
        _row(attribute, name, "labels swapped", null, f"{ways} within the items; low to high: 95 % of them"),
        _row(attribute, name, "human halves", halves, why if split.n else "no item has 4 source texts to halve"),
    ]


def _kept_rows(paired: Paired) -> list[dict[str, Any]]:
    if not paired.filters:
        return []
    told = "; ".join(map(str, paired.filters))
    rows = []
    for side, (kept, total) in zip(SIDES, paired.kept, strict=True):
        share = Estimate(kept / total if total else np.nan, np.nan, np.nan, total, "share")
        rows.append(_row("filter", "texts kept", side, share, f"{told}; n counts texts"))
    return rows
