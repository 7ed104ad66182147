"""Rows of points with their intervals: a row's name stands above it inside the panel, so that phones have room."""

import re
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
    top = 0
    names, edges = [], []
    series: dict[tuple[str, Look], list[tuple[Point, float, str]]] = {}
    for name, points in rows:
        where = {"x": 0.006, "y": top - 2, "xanchor": "left", "yanchor": "top", "align": "left"}
        text = {"text": name, "showarrow": False, "font": {"size": 12, "color": INK}}
        names.append(text | where | refs(panel, x="domain"))
        if top:
            ends = {"x0": 0, "x1": 1, "y0": top, "y1": top, "layer": "below", "line": {"color": GRID, "width": 1}}
            edges.append({"type": "line"} | ends | refs(panel, x="domain"))
        for line, point in enumerate(points):
            if not pd.isna(point.row.estimate):
                found = series.setdefault((point.name, point.look), [])
                found.append((point, top - NAME - LINE * (line + 0.5), name))
        top -= _height(points)
    # One by one they would each be checked against all that are there.
    figure.update_layout(annotations=[*figure.layout.annotations, *names], shapes=[*figure.layout.shapes, *edges])
    listed = {trace.legendgroup for trace in figure.data}
    traces = []
    for (name, _), found in series.items():
        traces.append(_trace(found, panel, shown=name not in listed))
        listed.add(name)
    figure.add_traces(traces)
    if at is not None:
        upright(figure, at, panel=panel)
    axes(figure, panel, x=x, y={"range": [top, 0], "visible": False})


def pure(figure: go.Figure) -> go.Figure:
    """Give the room that a vertical axis would take to the rows of a figure that has none."""
    return figure.update_layout(margin={"l": 12, "t": 84, "b": 48, "r": 16})


def _trace(found: Sequence[tuple[Point, float, str]], panel: int, *, shown: bool) -> go.Scatter:
    """All points of one name and look."""
    first = found[0][0]
    return go.Scatter(
        x=[float(point.row.estimate) for point, _, _ in found],
        y=[y for _, y, _ in found],
        mode="markers",
        marker=first.look.marker,
        hovertext=[
            hover(point.row, re.sub("</?b>", "", name), point.said or point.name, of=point.of)
            for point, _, name in found
        ],
        hoverinfo="text",
        name=first.name,
        legendgroup=first.name,
        showlegend=shown,
        **bars([point.row for point, _, _ in found], colour=first.look.colour, along="x"),
        **on(panel),
    )


def around(points: Sequence[Any], *, also: Sequence[float] = (), air: float = 0.06) -> list[float]:
    """A range that holds every estimate and interval, and `also`, with some air."""
    values = [float(getattr(row, key)) for row in points for key in ("estimate", "low", "high")]
    values = [value for value in (*values, *also) if not pd.isna(value)]
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = air * ((high - low) or abs(high) or 1.0)
    return [low - room, high + room]
