"""What diversity costs: semantic spread against coherence and against fidelity to the prompt."""

import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.audit_rows import PRIMARY, TEMPERATURE, Condition, bars, by, conditions_of, hover, of_part
from creativity_lens.figures.style import axes, note, on, panels, refs, unmeasured

ACROSS = (
    ("coherence kept", "Spread against coherence kept", "Coherence kept (share; 1: like the first condition)"),
    ("fidelity", "Spread against fidelity to the prompt", "Fidelity (cosine: own prompt − other prompts)"),
)
LADDER = "temperature of the last stage"


def frontier(table: pd.DataFrame, texts: pd.DataFrame, meta: dict[str, Any]) -> go.Figure:
    """Semantic spread (up is more varied) against coherence kept and against fidelity (right is better).

    Each condition is a point with both 95 % intervals over prompts; the last stage's temperatures are joined by a line,
    the steered condition is a star.

        >>> frontier(audit.table, audit.texts, audit.meta).show()  # doctest: +SKIP
    """
    title = "What more variety costs in coherence and in fidelity"
    frame = of_part(table, "frontier")
    found = by(frame, "measure", "condition")
    conditions = [each for each in conditions_of(meta) if (PRIMARY, each.name) in found]
    drawn = [part for part in ACROSS if any((part[0], each.name) in found for each in conditions)]
    if not drawn:
        return unmeasured(title, "no texts were compared in diversity and quality.")
    heads = [f"{head}" for _, head, _ in drawn]
    figure = panels(title, heads, columns=len(drawn), height=500, between=0.09)
    for panel, (measure, _, words) in enumerate(drawn, start=1):
        here = [each for each in conditions if (measure, each.name) in found]
        _ladder(figure, here, found, measure, meta, panel)
        for each in here:
            if each.kind != TEMPERATURE:
                _point(figure, each, found, measure, panel)
        title_y = {"title": {"text": "Semantic spread (1 − cosine)"}} if panel == 1 else {}
        axes(figure, panel, x={"title": {"text": words}, "nticks": 6}, y=title_y)
    return figure


def _both(each: Condition, found: dict[Any, Any], measure: str) -> tuple[Any, Any]:
    return found[measure, each.name], found[PRIMARY, each.name]


def _said(each: Condition, x: Any, y: Any) -> str:
    return f"{hover(y, each.said, 'semantic spread')}<br>{hover(x, x.measure)}"


def _point(figure: go.Figure, each: Condition, found: dict[Any, Any], measure: str, panel: int) -> None:
    x, y = _both(each, found, measure)
    listed = {trace.legendgroup for trace in figure.data}
    figure.add_scatter(
        x=[float(x.estimate)],
        y=[float(y.estimate)],
        mode="markers",
        marker=each.look.marker | {"size": max(11, each.look.size)},
        hovertext=[_said(each, x, y)],
        hoverinfo="text",
        name=each.said,
        legendgroup=each.name,
        showlegend=each.name not in listed,
        **bars([x], colour=each.look.colour, along="x"),
        **bars([y], colour=each.look.colour),
        **on(panel),
    )


def _ladder(
    figure: go.Figure, here: list[Condition], found: dict[Any, Any], measure: str, meta: dict[str, Any], panel: int
) -> None:
    """The temperatures as one line, through the last condition itself where its own temperature is known."""
    hot = [each for each in here if each.kind == TEMPERATURE]
    if not hot:
        return
    rungs = hot + [each for each in here if each.name == str(meta.get("last")) and math.isfinite(each.temperature)]
    rungs = sorted(rungs, key=lambda each: each.temperature)
    points = [_both(each, found, measure) for each in rungs]
    for each, (x, y) in zip(rungs, points, strict=True):
        at = {"x": float(x.estimate), "y": float(y.estimate), "xanchor": "left", "yanchor": "top"}
        note(
            figure, f"T {each.temperature:g}", **at, xshift=5, yshift=-3, bgcolor="rgba(255,255,255,0.8)", **refs(panel)
        )
    figure.add_scatter(
        x=[float(x.estimate) for x, _ in points],
        y=[float(y.estimate) for _, y in points],
        mode="lines+markers",
        line=hot[0].look.line,
        marker=hot[0].look.marker,
        hovertext=[_said(each, x, y) for each, (x, y) in zip(rungs, points, strict=True)],
        hoverinfo="text",
        name=LADDER,
        legendgroup=LADDER,
        showlegend=panel == 1,
        **on(panel),
    )
