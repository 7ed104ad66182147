"""How varied the texts of each condition are: the primary measure alone, and all measures side by side."""

import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.audit_forest import Point, around, forest, forest_height, pure
from creativity_lens.figures.audit_rows import PRIMARY, Look, by, conditions_of, of_part, own_conditions
from creativity_lens.figures.rows import number
from creativity_lens.figures.style import BLUE, ORANGE, panels, unmeasured

# In the legend: scope and twin in the table, and the look.
SPREADS = (
    ("within a prompt, all texts (primary)", "within", "all", Look(BLUE, "circle", size=11)),
    ("within a prompt, coherent texts", "within", "coherent", Look(BLUE, "circle-open")),
    ("across prompts, all texts", "across", "all", Look(ORANGE, "square")),
    ("across prompts, coherent texts", "across", "coherent", Look(ORANGE, "square-open")),
)
# Kinds of measures, in the order in which they are drawn; those of the last grow where texts are more alike.
SEMANTIC = (PRIMARY, "nearest distance", "Vendi score", "clusters", "cluster entropy", "equivalence classes")
LEXICAL = ("EAD", "distinct-1", "distinct-2", "distinct-3", "distinct-4")
TOKENS = ("entropy", "truncated entropy", "top-k entropy", "surprisal")
ALIKE = ("largest cluster", "self-BLEU", "compression ratio", "self-repetition")
MEASURES = (*SEMANTIC, *LEXICAL, *TOKENS, *ALIKE)
LOWEST, HIGHEST = 0.1, 10.0  # of the share axis: beyond it a ratio says only that the first value was near zero


def spread(table: pd.DataFrame, texts: pd.DataFrame, meta: dict[str, Any]) -> go.Figure:
    """The primary measure of every condition: 1 - mean pairwise cosine, within prompts and across, with 95 % intervals.

    Filled: all texts; open: coherent ones only.

        >>> spread(audit.table, audit.texts, audit.meta).show()  # doctest: +SKIP
    """
    title = "Semantic spread of each condition’s texts"
    found = by(of_part(table, "diversity", measure=PRIMARY), "condition", "scope", "twin")
    rows: list[tuple[str, list[Point]]] = []
    for each in conditions_of(meta):
        points = [
            Point(found[each.name, scope, twin], name, look)
            for name, scope, twin, look in SPREADS
            if (each.name, scope, twin) in found
        ]
        main = found.get((each.name, "within", "all"))
        if points:
            rows.append((f"<b>{each.said}</b>" + (f"  {number(main.estimate)}" if main else ""), points))
    if not rows:
        return unmeasured(title, "no texts were embedded.")
    figure = panels(title, ["1 − mean pairwise cosine (0: all texts alike)"], height=150 + forest_height(rows))
    ends = around([point.row for _, points in rows for point in points])
    forest(figure, rows, x={"range": ends, "title": {"text": "Semantic spread (1 − cosine)"}})
    return pure(figure)


def lexical(table: pd.DataFrame, texts: pd.DataFrame, meta: dict[str, Any]) -> go.Figure:
    """Every within-prompt measure of diversity as a share of the first condition's value: meaning above, words below.

    Each condition's own 95 % interval is divided by the same number; it is not the interval of the ratio.

        >>> lexical(audit.table, audit.texts, audit.meta).show()  # doctest: +SKIP
    """
    title = "Meaning and words: every measure of diversity, as a share of the first condition’s value"
    found = by(of_part(table, "diversity", scope="within", twin="all"), "measure", "condition")
    conditions = own_conditions(meta)
    if not conditions or not found:
        return unmeasured(title, "no diversity was measured.")
    first = conditions[0]
    measures = [each for each in MEASURES if (each, first.name) in found]
    rows: list[tuple[str, list[Point]]] = []
    for measure in measures:
        base = float(found[measure, first.name].estimate)
        name = f"<b>{measure}</b>" + (", primary" if measure == PRIMARY else "")
        name += " (higher: more alike)" if measure in ALIKE else ""
        points = [
            Point(_divided(found[measure, each.name], base), each.said, each.look)
            for each in conditions
            if base > 0 and (measure, each.name) in found
        ]
        shown = [point for point in points if point.row is not None]
        name += "" if base > 0 else f": {number(base)} in {first.said}, so there is no share"
        off = len(points) - len(shown)
        name += f": {off} off the scale" if off else ""
        rows.append((name, shown))
    if not any(points for _, points in rows):
        return unmeasured(title, "no diversity was measured.")
    figure = panels(title, [f"Share of the value in {first.said} (100 %: no change)"], height=150 + forest_height(rows))
    forest(figure, rows, x=_shares([point.row for _, points in rows for point in points]), at=1.0)
    return pure(figure)


def _divided(row: Any, base: float) -> Any | None:
    """The row as a share of `base`, its interval within the axis; None for what no logarithm can show."""
    share = row.estimate / base
    if not LOWEST <= share <= HIGHEST:
        return None
    ends = {end: min(max(getattr(row, end) / base, LOWEST), HIGHEST) for end in ("low", "high")}
    note = f"{number(row.estimate)} {row.unit} against {number(base)}"
    return row._replace(estimate=share, unit="of the first", note=note, **ends)


def _shares(rows: list[Any]) -> dict[str, Any]:
    """An axis that holds all estimates, and of the intervals what does not press these together."""
    values = [row.estimate for row in rows]
    least, most = min(values) / 1.3, max(values) * 1.3
    low = min(0.8, max(least, min([*values, *(row.low for row in rows if not pd.isna(row.low))])))
    high = max(1.25, min(most, max([*values, *(row.high for row in rows if not pd.isna(row.high))])))
    ticks = [
        tick for tick in (0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 1, 1.2, 1.5, 2, 3, 5, 10) if low * 0.93 <= tick <= high * 1.07
    ]
    ends = [math.log10(low) - 0.03, math.log10(high) + 0.03]
    words = [f"{100 * tick:g} %" for tick in ticks]
    title = {"text": "Share of the first condition’s value (logarithmic)"}
    return {"type": "log", "tickvals": ticks, "ticktext": words, "range": ends, "title": title}
