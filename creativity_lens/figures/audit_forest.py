"""Rows of points with their intervals: a row's name stands above it inside the panel, so that phones have room."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.audit_rows import Look, bars, hover
from creativity_lens.figures.style import GRID, INK, MUTED, on, refs

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


@dataclass(frozen=True)
class Forest:
    """What one panel shows: its rows, the dress of its horizontal axis, and a line that the points are held against."""

    rows: Rows
    x: dict[str, Any]
    at: float | None = None


def forest(
    figure: go.Figure, rows: Rows, *, panel: int = 1, x: dict[str, Any] | None = None, at: float | None = None
) -> None:
    """Draw the rows of one panel, the first on top. See `forests`."""
    forests(figure, {panel: Forest(rows, x or {}, at)})


def forests(figure: go.Figure, drawn: Mapping[int, Forest]) -> None:
    """Draw the rows of several panels, by their numbers, the first row of each on top.

    Names are escaped by the caller. A point whose estimate is missing is left out; its row's name stays. The vertical
    axis counts px downwards, so that a row of many points takes more room than one of a single point.
    """
    names, lines, traces = list(figure.layout.annotations), list(figure.layout.shapes), []
    dress: dict[str, Any] = {}
    listed = {trace.legendgroup for trace in figure.data}
    for panel, each in drawn.items():
        top = 0.0
        series: dict[tuple[str, Look], list[tuple[Point, float, str]]] = {}
        for name, points in each.rows:
            names.append(_name(name, top, panel))
            if top:
                lines.append(_line(panel, "x", top, {"color": GRID, "width": 1}))
            for place, point in enumerate(points):
                if not pd.isna(point.row.estimate):
                    found = series.setdefault((point.name, point.look), [])
                    found.append((point, top - NAME - LINE * (place + 0.5), name))
            top -= _height(points)
        for (entry, _), found in series.items():
            traces.append(_trace(found, panel, shown=entry not in listed))
            listed.add(entry)
        if each.at is not None:
            lines.append(_line(panel, "y", each.at, {"color": MUTED, "width": 1, "dash": "dot"}))
        number = "" if panel == 1 else str(panel)
        dress |= {f"xaxis{number}": each.x, f"yaxis{number}": {"range": [top, 0], "visible": False}}
    # At once: one by one, each would be checked against all that are there.
    figure.add_traces(traces)
    figure.update_layout(annotations=names, shapes=lines, **dress)


def _name(text: str, top: float, panel: int) -> dict[str, Any]:
    where = {"x": 0.006, "y": top - 2, "xanchor": "left", "yanchor": "top", "align": "left"}
    look = {"text": text, "showarrow": False, "font": {"size": 12, "color": INK}}
    return look | where | refs(panel, x="domain")


def _line(panel: int, along: str, at: float, line: dict[str, Any]) -> dict[str, Any]:
    """A line over the whole panel along one axis."""
    across = "y" if along == "x" else "x"
    ends = {f"{along}0": 0, f"{along}1": 1, f"{across}0": at, f"{across}1": at}
    return {"type": "line", "layer": "below", "line": line} | ends | refs(panel, **{along: "domain"})


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
