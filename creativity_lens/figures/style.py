"""How every figure looks: one small template, colours that colour-blind readers can tell apart, panels that restack.

The colours are those of Okabe and Ito (2008); ordered quantities use cividis. Nothing is told by colour alone: series
also differ in symbol or dash.
"""

import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

INK = "#1a1a1a"
MUTED = "#595959"
RULE = "#b0b0b0"
GRID = "#e6e6e6"
BAND = "rgba(89, 89, 89, 0.16)"
INNER_BAND = "rgba(89, 89, 89, 0.22)"
BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, BLACK = "#56B4E9", "#CC79A7", "#000000"
SERIES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "star", "pentagon", "hexagon")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
FONT = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"

_AXIS = {
    "showline": True,
    "linecolor": RULE,
    "gridcolor": GRID,
    "zeroline": False,
    "ticks": "outside",
    "tickcolor": RULE,
    "ticklen": 4,
    "automargin": True,
    "title": {"standoff": 8, "font": {"size": 13}},
}
TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": FONT, "size": 13, "color": INK},
        "colorway": list(SERIES),
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "hoverlabel": {
            "bgcolor": "#ffffff",
            "bordercolor": MUTED,
            "align": "left",
            "font": {"family": FONT, "size": 13, "color": INK},
        },
        "title": {"x": 0, "xref": "paper", "xanchor": "left", "font": {"size": 16}},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "font": {"size": 12}, "tracegroupgap": 4},
        "margin": {"l": 46, "r": 16, "t": 84, "b": 48},
    }
)


def panels(title: str, heads: list[str], *, columns: int = 1, height: int = 420, between: float = 0.09) -> go.Figure:
    """An empty figure of `len(heads)` panels with a head over each: what its vertical axis shows, and the unit.

    Heads hang on their panel's own axes, and `layout.meta` says how many panels there are, so that the report can
    stack them on a narrow screen by moving the axes only.
    """
    rows = -(-len(heads) // columns)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        horizontal_spacing=between if columns > 1 else 0.0,
        vertical_spacing=0.3 / rows if rows > 1 else 0.0,
        specs=[
            [{} if row * columns + column < len(heads) else None for column in range(columns)] for row in range(rows)
        ],
    )
    for panel, head in enumerate(heads, start=1):
        corner = {"x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom", "yshift": 8}
        text = {"text": f"<b>{head}</b>", "align": "left", "font": {"size": 13}, "showarrow": False}
        figure.add_annotation(**text, **corner, **refs(panel, x="domain", y="domain"))
    return finish(figure, title, height=height, count=len(heads))


def finish(figure: go.Figure, title: str, *, height: int, count: int = 1) -> go.Figure:
    """Dress a figure in the template; the legend goes below everything, where it cannot cover a point."""
    figure.update_layout(
        template=TEMPLATE,
        title={"text": title, "y": 0.98, "yref": "container", "yanchor": "top"},
        height=height,
        meta={"panels": count},
        hovermode="closest",
        legend={"yref": "container", "y": 0, "yanchor": "bottom"},
    )
    return figure


def unmeasured(title: str, why: str) -> go.Figure:
    """A figure that says why there is nothing to draw: a missing part must not look like an empty result."""
    figure = finish(go.Figure(), title, height=180)
    figure.update_layout(xaxis={"visible": False}, yaxis={"visible": False}, margin={"b": 16})
    figure.add_annotation(
        text=f"Not measured in this run: {why}",
        x=0.5,
        y=0.5,
        xref="paper",
        yref="paper",
        showarrow=False,
        font={"size": 14, "color": MUTED},
    )
    return figure


def interval(frame: pd.DataFrame, *, colour: str, along: str = "y") -> dict[str, Any]:
    """`error_x` or `error_y` of a trace from the table's `low` and `high`; points without an interval get no bar."""
    estimate, low, high = (frame[name].tolist() for name in ("estimate", "low", "high"))
    bars = {
        "type": "data",
        "symmetric": False,
        "array": [None if pd.isna(up) else up - at for at, up in zip(estimate, high, strict=True)],
        "arrayminus": [None if pd.isna(down) else at - down for at, down in zip(estimate, low, strict=True)],
        "color": colour,
        "thickness": 1.3,
        "width": 3,
    }
    return {f"error_{along}": bars}


def curve(
    figure: go.Figure,
    frame: pd.DataFrame,
    hover: list[str],
    *,
    label: str,
    colour: str,
    symbol: str,
    panel: int,
    dash: str = "solid",
    bars: bool = True,
) -> None:
    """Estimates over layers as a line with markers and intervals; one entry in the legend for all panels."""
    if frame.empty:
        return
    listed = {trace.legendgroup for trace in figure.data}
    figure.add_scatter(
        x=frame["layer"].tolist(),
        y=frame["estimate"].tolist(),
        mode="lines+markers",
        line={"color": colour, "width": 1.5, "dash": dash},
        marker={"symbol": symbol, "size": 8, "color": colour, "line": {"width": 1.5, "color": colour}},
        hovertext=hover,
        hoverinfo="text",
        name=label,
        legendgroup=label,
        showlegend=label not in listed,
        **(interval(frame, colour=colour) if bars else {}),
        **on(panel),
    )


def layer_axis(figure: go.Figure, layers: list[int], *, panel: int, title: str = "Layer") -> None:
    """Whole layer numbers on the horizontal axis of a panel, thinned out for deep models."""
    if layers:
        first, last = min(layers), max(layers)
        step = next(step for step in (1, 2, 4, 5, 10, 20, 50) if (last - first) / step <= 17 or step == 50)
        axis = {"range": [first - 0.6, last + 0.6], "tickmode": "linear", "tick0": 0, "dtick": step}
        axes(figure, panel, x=axis | {"title": {"text": title}, "showgrid": False})


def frame_cell(figure: go.Figure, x: float, y: float, *, colour: str, width: float, dash: str, panel: int = 1) -> None:
    """A frame around one cell of a heat map."""
    inset = 0.48 if dash == "solid" else 0.41
    box = {"x0": x - inset, "x1": x + inset, "y0": y - inset, "y1": y + inset}
    figure.add_shape(type="rect", **box, **refs(panel), line={"color": colour, "width": width, "dash": dash})


def level(figure: go.Figure, value: float, *, panel: int) -> None:
    """A horizontal line over one panel: zero, or chance."""
    line = {"color": MUTED, "width": 1}
    ends = {"x0": 0, "x1": 1, "y0": value, "y1": value}
    figure.add_shape(type="line", **ends, **refs(panel, x="domain"), line=line, layer="below")


def upright(figure: go.Figure, value: float, *, panel: int, text: str = "", **anchors: str) -> None:
    """A vertical dotted line over one panel, named at its foot or wherever `anchors` puts the name."""
    place = refs(panel, y="domain")
    line = {"color": MUTED, "width": 1, "dash": "dot"}
    figure.add_shape(type="line", x0=value, x1=value, y0=0, y1=1, **place, line=line, layer="below")
    if text:
        note(figure, text, x=value, **({"y": 0, "xanchor": "left", "yanchor": "bottom"} | anchors), **place)


def note(figure: go.Figure, text: str, **place: Any) -> None:
    """Small print inside a figure."""
    figure.add_annotation(text=text, showarrow=False, font={"size": 11, "color": MUTED}, **place)


def not_chosen(figure: go.Figure, layers: list[int], never: set[int], *, panel: int) -> None:
    """Tint the layers that were drawn but never up for choice, and say so."""
    shown = sorted(set(layers) & never)
    if not shown:
        return
    place = refs(panel, y="domain")
    start, end = shown[0] - 0.5, max(layers) + 0.6
    box = {"x0": start, "x1": end, "y0": 0, "y1": 1, "fillcolor": "#f3f1ea", "line": {"width": 0}, "layer": "below"}
    figure.add_shape(type="rect", **box, **place)
    note(figure, "not up for choice", x=end, y=0.99, **place, xanchor="right", yanchor="top", textangle=-90)


def axes(figure: go.Figure, panel: int, *, x: dict[str, Any] | None = None, y: dict[str, Any] | None = None) -> None:
    """Set the axes of one panel."""
    name = "" if panel == 1 else str(panel)
    figure.update_layout({f"xaxis{name}": x or {}, f"yaxis{name}": y or {}})


def colour_bar(text: str) -> dict[str, Any]:
    """A thin colour bar with its name along it."""
    return {"title": {"text": text, "side": "right", "font": {"size": 12}}, "thickness": 12, "outlinewidth": 0}


def log_axis(values: list[float]) -> dict[str, Any]:
    """A logarithmic axis around positive values, labelled at 1, 2 and 5 of each decade, or at whole decades if wide."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    steps = (1, 2, 5) if high - low <= 3 else (1,)
    ticks = [step * 10.0**power for power in range(low, high + 1) for step in steps]
    ends = [math.log10(min(values)) - 0.12, math.log10(max(values)) + 0.12]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks], "range": ends}


def refs(panel: int, *, x: str = "", y: str = "") -> dict[str, str]:
    """Where a shape or a note of one panel is anchored: on its axes, or with "domain" on the panel's own 0..1."""
    name = "" if panel == 1 else str(panel)
    return {"xref": f"x{name} {x}".strip(), "yref": f"y{name} {y}".strip()}


def on(panel: int) -> dict[str, str]:
    """The axes of a panel, for a trace."""
    axis = "" if panel == 1 else str(panel)
    return {"xaxis": f"x{axis}", "yaxis": f"y{axis}"}
