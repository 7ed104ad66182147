"""Attractors: are texts pulled back to what the model would have written anyway, and which stretches do they share?"""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.audit_forest import Forest, Point, around, forest, forest_height, forests, pure
from creativity_lens.figures.audit_rows import (
    TEMPERATURE,
    Look,
    bars,
    by,
    conditions_of,
    hover,
    of_part,
    stage_look,
    stages_of,
)
from creativity_lens.figures.rating_rows import label
from creativity_lens.figures.rows import number
from creativity_lens.figures.style import BLUE, ORANGE, axes, level, note, on, panels, refs, unmeasured

STRETCHES = (
    ("two texts of the same prompt", "within", Look(BLUE, "circle", size=10)),
    ("floor: of different prompts", "across", Look(ORANGE, "square-open")),
)
CLUSTERS = (
    ("clusters", "Clusters of a prompt"),
    ("cluster entropy", "Entropy over them (nats)"),
    ("largest share", "Share of the largest"),
)


def attractors(table: pd.DataFrame, texts: pd.DataFrame, meta: dict[str, Any]) -> go.Figure:
    """Pull (left) and return rate with its floor (right) after 5, 10, 20 forced tokens of another text.

    Pull is 1 - shift of the mean of what follows / shift of texts that go on from the same beginning: 0 where the
    beginning is followed, 1 where it is forgotten. Bars are 95 % intervals over prompts.

        >>> attractors(audit.table, audit.texts, audit.meta).show()  # doctest: +SKIP
    """
    title = "After a forced beginning: does the text come back to where it would have gone?"
    frame = of_part(table, "attractors")
    found = by(frame, "measure", "condition", "position")
    tokens = sorted({k for measure, _, k in found if measure in ("pull", "return rate") and not pd.isna(k)})
    if not tokens:
        return unmeasured(title, "no beginning was forced.")
    heads = ["Pull (0: follows the beginning, 1: comes back)", "Return rate, and its floor (share)"]
    figure = panels(title, heads, columns=2, height=460, between=0.1)
    stages = stages_of(meta)
    wide = (tokens[-1] - tokens[0]) or 1.0
    for place, stage in enumerate(stages):
        look = stage_look(meta, stage)
        aside = (place - (len(stages) - 1) / 2) * wide * 0.025  # so that intervals do not hide each other
        for panel, measure, dash, name in (
            (1, "pull", look.dash, label(stage)),
            (2, "return rate", look.dash, label(stage)),
            (2, "return floor", "dot", f"floor of {label(stage, 20)}: texts of other prompts"),
        ):
            rows = [found[measure, stage, k] for k in tokens if (measure, stage, k) in found]
            marker = look.marker if measure != "return floor" else Look(look.colour, f"{look.symbol}-open").marker
            _line(figure, rows, aside, {"color": look.colour, "width": 1.6, "dash": dash}, marker, name, panel)
    missing = [stage for stage in stages if not any(("pull", stage, k) in found for k in tokens)]
    if missing:
        said = f"not measured: {', '.join(label(stage, 20) for stage in missing)} (see the numbers)"
        note(
            figure,
            said,
            x=0.015,
            y=0.99,
            xanchor="left",
            yanchor="top",
            bgcolor="#ffffff",
            **refs(1, x="domain", y="domain"),
        )
    level(figure, 0.0, panel=1)
    level(figure, 1.0, panel=1)
    pulls = around([row for (measure, _, _), row in found.items() if measure == "pull"], also=(0.0, 1.0))
    rates = around([row for (measure, _, _), row in found.items() if measure.startswith("return")], also=(0.0, 1.0))
    for panel, ends in ((1, pulls), (2, rates)):
        ticks = {"tickvals": tokens, "ticktext": [f"{k:g}" for k in tokens]}
        x = ticks | {"title": {"text": "Forced tokens"}, "range": [tokens[0] - 0.12 * wide, tokens[-1] + 0.12 * wide]}
        axes(figure, panel, x=x | {"showgrid": False}, y={"range": ends})
    return figure


def _line(
    figure: go.Figure,
    rows: list[Any],
    aside: float,
    line: dict[str, Any],
    marker: dict[str, Any],
    name: str,
    panel: int,
) -> None:
    if not rows:
        return
    listed = {trace.legendgroup for trace in figure.data}
    figure.add_scatter(
        x=[row.position + aside for row in rows],
        y=[float(row.estimate) for row in rows],
        mode="lines+markers",
        line=line,
        marker=marker,
        hovertext=[hover(row, name, f"{row.measure} after {row.position:g} forced tokens") for row in rows],
        hoverinfo="text",
        name=name,
        legendgroup=name,
        showlegend=name not in listed,
        **bars(rows, colour=line["color"]),
        **on(panel),
    )


def stretches(table: pd.DataFrame, texts: pd.DataFrame, meta: dict[str, Any]) -> go.Figure:
    """The longest stretch that two texts have in common (tokens), of one prompt and of different ones, by condition.

    >>> stretches(audit.table, audit.texts, audit.meta).show()  # doctest: +SKIP
    """
    title = "The longest stretch that two texts have in common"
    found = by(of_part(table, "stretches", measure="longest common stretch"), "condition", "scope")
    rows: list[tuple[str, list[Point]]] = []
    for each in conditions_of(meta):
        points = [
            Point(found[each.name, scope], name, look) for name, scope, look in STRETCHES if (each.name, scope) in found
        ]
        if points:
            rows.append((f"<b>{each.said}</b>  {number(points[0].row.estimate)}", points))
    if not rows:
        return unmeasured(title, "no stretches were compared.")
    figure = panels(title, ["Length of the longest common stretch (tokens)"], height=150 + forest_height(rows))
    ends = around([point.row for _, points in rows for point in points])
    forest(figure, rows, x={"range": ends, "title": {"text": "Tokens"}})
    return pure(figure)


def clusters(table: pd.DataFrame, texts: pd.DataFrame, meta: dict[str, Any]) -> go.Figure:
    """Clusters of a prompt's texts by condition: how many, the entropy over them, the share of the largest.

    >>> clusters(audit.table, audit.texts, audit.meta).show()  # doctest: +SKIP
    """
    title = "Do the texts of a prompt fall into few groups?"
    found = by(of_part(table, "clusters"), "measure", "condition")
    # How many clusters there are depends on how many texts: the ladder of temperatures has fewer.
    conditions = [
        each
        for each in conditions_of(meta)
        if each.kind != TEMPERATURE and any((measure, each.name) in found for measure, _ in CLUSTERS)
    ]
    if not conditions:
        return unmeasured(title, "no texts were clustered.")
    height = 150 + len(conditions) * 44
    figure = panels(title, [head for _, head in CLUSTERS], columns=3, height=height, between=0.05)
    figure.update_layout(meta={"panels": 3, "each": len(conditions) * 44}, showlegend=False)
    parts = {}
    for panel, (measure, _) in enumerate(CLUSTERS, start=1):
        here = [each for each in conditions if (measure, each.name) in found]
        rows = [
            (f"{each.said}  <b>{number(found[measure, each.name].estimate)}</b>",
             [Point(found[measure, each.name], each.said, each.look, said=measure)])
            for each in here
        ]  # fmt: skip
        if rows:
            ends = around([point.row for _, points in rows for point in points])
            parts[panel] = Forest(rows, {"range": ends, "nticks": 5})
        else:
            note(figure, "not measured", x=0.5, y=0.5, **refs(panel, x="domain", y="domain"))
    forests(figure, parts)
    return pure(figure)
