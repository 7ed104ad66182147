"""Rows of points with their intervals: a row's name stands above it inside the panel, so that phones have room."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.audit_rows import Look, bars, hover
from creativity_lens.figures.style import GRID, INK, axes, on, refs, upright

NAME, LINE, AIR = 19, 13, 9  # px: a row's name, each of its points, and what is left below


@dataclass(frozen=True)
class Point:
    """One estimate of a row: `row` is a row of the table, `name` its entry in the legend, `look` how it is drawn."""

    row: Any
    name: str
    look: Look
    of: str = "prompts"
    said: str = ""  # in the hover text, in place of the name


Rows = Sequence[tuple[str, Sequence[Point]]]


def forest_height(rows: Rows) -> int:
    """The height in px that the panel needs."""
    return sum(_height(points) for _, points in rows)


def _height(points: Sequence[Point]) -> int:
    return NAME + LINE * max(1, len(points)) + AIR


def forest(
    figure: go.Figure, rows: Rows, *, panel: int = 1, x: dict[str, Any] | None = None, at: float | None = None
) -> None:
    """Draw rows, the first on top. `x` dresses the horizontal axis, `at` draws a line that the points are held against.

    Names are escaped by the caller. A point whose estimate is missing is left out; its row's name stays. The vertical
    axis counts px downwards, so that a row of many points takes more room than one of a single point.
    """
    if at is not None:
        upright(figure, at, panel=panel)
    top = 0
    for name, points in rows:
        where = {"x": 0.006, "y": top - 2, "xanchor": "left", "yanchor": "top", "align": "left"}
        text = {"text": name, "showarrow": False, "font": {"size": 12, "color": INK}}
        figure.add_annotation(**text, **where, **refs(panel, x="domain"))
        if top:
            edge = {"x0": 0, "x1": 1, "y0": top, "y1": top, "line": {"color": GRID, "width": 1}}
            figure.add_shape(type="line", **edge, **refs(panel, x="domain"), layer="below")
        for line, point in enumerate(points):
            _draw(figure, point, top - NAME - LINE * (line + 0.5), name, panel)
        top -= _height(points)
    axes(figure, panel, x=x, y={"range": [top, 0], "visible": False})


def pure(figure: go.Figure) -> go.Figure:
    """Give the room that a vertical axis would take to the rows of a figure that has none."""
    return figure.update_layout(margin={"l": 12, "t": 84, "b": 48, "r": 16})


def _draw(figure: go.Figure, point: Point, y: float, name: str, panel: int) -> None:
    if pd.isna(point.row.estimate):
        return
    listed = {trace.legendgroup for trace in figure.data}
    figure.add_scatter(
        x=[float(point.row.estimate)],
        y=[y],
        mode="markers",
        marker=point.look.marker,
        hovertext=[
            hover(point.row, name.replace("<b>", "").replace("</b>", ""), point.said or point.name, of=point.of)
        ],
        hoverinfo="text",
        name=point.name,
        legendgroup=point.name,
        showlegend=point.name not in listed,
        **bars([point.row], colour=point.look.colour, along="x"),
        **on(panel),
    )


def around(points: Sequence[Any], *, also: Sequence[float] = (), air: float = 0.06) -> list[float]:
    """A range that holds every estimate and interval, and `also`, with some air."""
    values = [float(getattr(row, key)) for row in points for key in ("estimate", "low", "high")]
    values = [value for value in (*values, *also) if not pd.isna(value)]
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = air * ((high - low) or abs(high) or 1.0)
    return [low - room, high + room]
