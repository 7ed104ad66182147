"""The price of alignment taken apart: weights, template, their interaction; and the steps of a ladder."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.audit_forest import Forest, Point, around, forest, forest_height, forests, pure
from creativity_lens.figures.audit_rows import PRIMARY, Look, by, of_part, stages_of
from creativity_lens.figures.rating_rows import label
from creativity_lens.figures.rows import number, plain
from creativity_lens.figures.style import BLACK, BLUE, GREEN, ORANGE, PURPLE, panels, unmeasured

MOST_MEASURES = 7
TOTAL, INTERACTION = Look(BLACK, "circle", size=10), Look(PURPLE, "x", size=8)
WEIGHTS, TEMPLATES = Look(BLUE, "square", size=9), Look(ORANGE, "diamond", size=10)
WEIGHTS_ONCE, TEMPLATES_ONCE = Look(BLUE, "square-open", size=7), Look(ORANGE, "diamond-open", size=7)
# A panel's rows: the name, and its points by their word in the table's column `condition`, in the legend, and in words.
ROWS: tuple[tuple[str, tuple[tuple[str, str, str, Look], ...]], ...] = (
    ("Total", (("total", "total", "total", TOTAL),)),
    (
        "Weights",
        (
            ("weights", "weights, mean of both orders", "mean of both orders", WEIGHTS),
            ("weights, plain", "in one format alone", "asked in plain text", WEIGHTS_ONCE),
            ("weights, template", "in one format alone", "asked in the template", WEIGHTS_ONCE),
        ),
    ),
    (
        "Template",
        (
            ("template", "template, mean of both orders", "mean of both orders", TEMPLATES),
            ("template, base", "with one model’s weights alone", "the first stage’s weights", TEMPLATES_ONCE),
            ("template, aligned", "with one model’s weights alone", "the last stage’s weights", TEMPLATES_ONCE),
        ),
    ),
    ("Interaction", (("interaction", "interaction", "interaction", INTERACTION),)),
)
SHARES = (
    ("weights share", "weights, mean of both orders", WEIGHTS),
    ("template share", "template, mean of both orders", TEMPLATES),
)
STEPS = {PRIMARY: Look(BLUE, "circle", size=11), "EAD": Look(ORANGE, "square")}


def effects(table: pd.DataFrame, texts: pd.DataFrame, meta: dict[str, Any]) -> go.Figure:
    """The 2 x 2 of weights and template, one panel per measure in its own unit, the primary one first.

    Total: the last stage in its template minus the first in plain text. Filled: averaged over both orders, so that
    weights and template add up to the total; open: each order alone. The last panel has their shares of the total,
    where the total's interval leaves out 0. Bars are 95 % intervals over prompts.

        >>> effects(audit.table, audit.texts, audit.meta).show()  # doctest: +SKIP
    """
    title = "What changes from the first stage to the last, and how much of it is the template"
    frame = of_part(table, "effects")
    found = by(frame, "measure", "condition")
    measures = measures_of(frame)[:MOST_MEASURES]
    if not measures:
        return unmeasured(title, "no two stages were compared.")
    drawn: list[tuple[str, list[tuple[str, list[Point]]]]] = []
    for measure in measures:
        rows: list[tuple[str, list[Point]]] = []
        for name, points in ROWS:
            here = [(found[measure, key], *rest) for key, *rest in points if (measure, key) in found]
            if here:
                shown = [Point(row, entry, look, said=said) for row, entry, said, look in here]
                rows.append((f"<b>{name}</b>  {signed(here[0][0].estimate)}", shown))
        drawn.append((label(measure) + (", primary" if measure == PRIMARY else ""), rows))
    shares = [(label(measure), _shares(found, measure)) for measure in measures]
    shares = [(f"<b>{name}</b>", points) for name, points in shares if points]
    if shares:
        drawn.append(("Shares of the total", shares))
    columns = 2 if len(drawn) > 1 else 1
    each = max(forest_height(rows) for _, rows in drawn)
    high = -(-len(drawn) // columns)
    figure = panels(title, [head for head, _ in drawn], columns=columns, height=120 + high * (each + 90), between=0.07)
    figure.update_layout(meta={"panels": len(drawn), "each": each})
    parts = {}
    for panel, (_, rows) in enumerate(drawn, start=1):
        share = panel > len(measures)
        ends = around([point.row for _, points in rows for point in points], also=(0.0, 1.0) if share else (0.0,))
        if share:  # a share of little has an interval without end
            values = [point.row.estimate for _, points in rows for point in points]
            ends = [max(ends[0], min(-0.6, min(values) - 0.2)), min(ends[1], max(1.6, max(values) + 0.2))]
        unit = "" if share else found[measures[panel - 1], "total"].unit
        said = "share of the total (1: all of it)" if share else "change" + (f" ({label(unit)})" if unit else "")
        parts[panel] = Forest(rows, {"range": ends, "nticks": 6, "title": {"text": said}}, at=0.0)
    forests(figure, parts)
    return pure(figure)


def measures_of(frame: pd.DataFrame) -> list[str]:
    """The measures with a total, the primary one first, in the table's order."""
    totals = frame[(frame["condition"] == "total") & frame["estimate"].notna()]
    return sorted(dict.fromkeys(totals["measure"]), key=lambda measure: measure != PRIMARY)


def _shares(found: dict[Any, Any], measure: str) -> list[Point]:
    return [Point(found[measure, key], entry, look, said=key) for key, entry, look in SHARES if (measure, key) in found]


def signed(value: float) -> str:
    """A change, with its sign.

    >>> signed(0.25), signed(-0.25)
    ('+0.25', '−0.25')
    """
    said = number(value)
    return said if said.startswith(("−", "not")) or float(value) == 0 else f"+{said}"


def steps(table: pd.DataFrame, texts: pd.DataFrame, meta: dict[str, Any]) -> go.Figure:
    """What each stage of a ladder changed, as a share of the first stage's value, with 95 % intervals over prompts.

    >>> steps(audit.table, audit.texts, audit.meta).show()  # doctest: +SKIP
    """
    title = "At which stage: each step of the ladder"
    frame = of_part(table, "steps")
    found = by(frame, "condition", "measure")
    names = [stage for stage in stages_of(meta) if any((stage, measure) in found for measure in frame["measure"])]
    if len(names) < 2:
        return unmeasured(title, "with two stages there is one step, and it is the whole change.")
    measures = sorted(dict.fromkeys(frame["measure"]), key=lambda measure: measure != PRIMARY)[:4]
    others = [each for each in measures if each not in STEPS]
    looks = STEPS | dict(zip(others, (Look(GREEN, "diamond"), Look(PURPLE, "x")), strict=False))
    rows: list[tuple[str, list[Point]]] = []
    for name in names:
        here = [measure for measure in measures if (name, measure) in found]
        points = [Point(found[name, measure], _entry(measure), looks[measure]) for measure in here]
        rows.append((f"<b>{label(name)}</b>, from {label(points[0].row.against)}", points))
    figure = panels(title, ["Change from the stage before"], height=150 + forest_height(rows))
    ends = around([point.row for _, points in rows for point in points], also=(0.0,))
    x = {"range": ends, "tickformat": "+.0%", "title": {"text": "Change (share of the first stage’s value)"}}
    forest(figure, rows, x=x, at=0.0)
    return pure(figure)


def _entry(measure: str) -> str:
    return plain(measure) + (" (primary)" if measure == PRIMARY else "")
