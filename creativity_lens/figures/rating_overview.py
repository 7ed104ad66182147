"""All sets of ratings at a glance: one row per set, named above its bars."""

import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.rating_rows import (
    label,
    rating_rows,
    with_ends,
)
from creativity_lens.figures.style import (
    BAND,
    BLUE,
    INK,
    VERMILLION,
    axes,
    interval,
    note,
    on,
    panels,
    refs,
    unmeasured,
    upright,
)

MOST_ROWS = 24
COULD_SHOW = "weaker than the set could have shown (80 % power)"
# In the legend, estimate and ends in a row of the table, look, and place above or below the middle of the row.
BARS = (
    ("direction at the layer fixed in advance", "rho", ("low", "high"), (BLUE, "circle"), 0.12),
    ("the same, given length and surprisal", "partial", ("partial_low", "partial_high"), (BLUE, "diamond-open"), -0.04),
    ("best cheap scorer", "cheap_rho", ("cheap_low", "cheap_high"), (VERMILLION, "square"), -0.2),
)


def rating_overview(table: pd.DataFrame, meta: dict[str, Any]) -> go.Figure:
    """The one number of each set that was fixed in advance: rho with its interval, and what it must be held against.

    Grey: correlations that the set was too small to show. Black: the raters' ceiling, where they agree enough to have
    one. Squares: the cheap scorer with the largest |rho| on the same texts. Open diamonds: the direction, given length
    and surprisal.

        >>> rating_overview(validation.table, validation.meta).show()  # doctest: +SKIP
    """
    title = "Agreement with people, the one number of each set that was fixed in advance"
    found = []
    for name in meta.get("sets") or {}:
        first = next((row for row in rating_rows(table, meta, name) if row["primary"]), None)
        if first is not None and not math.isnan(first["rho"]):
            found.append((name, first))
    if not found:
        return unmeasured(title, "no score was compared with ratings.")
    left = f" (the first {MOST_ROWS} of {len(found)} sets)" if len(found) > MOST_ROWS else ""
    found = found[:MOST_ROWS]
    figure = panels(title, [f"Rank correlation ρ of score and rating{left}"], height=150 + 74 * len(found))
    upright(figure, 0.0, panel=1)
    ends = [0.1]
    for place, (name, row) in enumerate(found):
        ends += [abs(row[key]) for key in ("rho", "low", "high", "partial", "cheap_rho", "detectable", "ceiling")]
        _row(figure, meta, name, row, -float(place))
    reach = min(1.0, max(end for end in ends if not math.isnan(end))) * 1.06
    x = {"range": [-reach, reach], "title": {"text": "ρ at the level named, −1 to 1"}}
    axes(figure, 1, x=x, y=rows_axis(len(found), 0.68))
    return figure


def _row(figure: go.Figure, meta: dict[str, Any], name: str, row: dict[str, Any], y: float) -> None:
    who = f"{label(row['criterion'], 24)}, {label(row['panel'], 18)}, {label(row['compared'], 26)}"
    row_name(figure, f"<b>{label(name, 24)}</b>  {who}", y)
    edge, top = row["detectable"], row["ceiling"]
    if not math.isnan(edge):
        box = [y - 0.3, y + 0.22, y + 0.22, y - 0.3]
        fill = {"mode": "lines", "line": {"width": 0}, "fill": "toself", "fillcolor": BAND}
        _listed(figure, COULD_SHOW, x=[-edge, -edge, edge, edge], y=box, hoverinfo="skip", **fill)
    for sign in () if math.isnan(top) else (1, -1):
        line = {"mode": "lines", "line": {"color": INK, "width": 2.5}, "hoverinfo": "skip"}
        _listed(figure, "raters’ ceiling", x=[sign * top] * 2, y=[y - 0.3, y + 0.22], **line)
    if math.isnan(top):
        at = {"x": 0.995, "y": y, "xanchor": "right", "yanchor": "middle"}
        note(figure, "no ceiling", **at, **refs(1, x="domain"))
    for said, key, ends, (colour, symbol), shift in BARS:
        if math.isnan(row[key]):
            continue
        low, high = (row[end] for end in ends)
        cheap = label(row["cheap"], 24) if key == "cheap_rho" else ""
        hover = f"<b>{label(name, 24)}</b>, {said} {cheap}<br>ρ {with_ends(row[key], low, high)}"
        hover += "" if math.isnan(row["n"]) else f"<br>n = {row['n']:.0f} texts"
        marker = {"symbol": symbol, "size": 9, "color": colour, "line": {"width": 1.6, "color": colour}}
        bars = interval(pd.DataFrame([{"estimate": row[key], "low": low, "high": high}]), colour=colour, along="x")
        point = {"mode": "markers", "marker": marker, "hovertext": [hover], "hoverinfo": "text"}
        _listed(figure, said, x=[row[key]], y=[y + shift], **point, **bars)
        if cheap:
            at = {"x": row[key] if math.isnan(high) else high, "y": y + shift, "xanchor": "left", "yanchor": "middle"}
            note(figure, cheap, **at, xshift=5, **refs(1))


def _listed(figure: go.Figure, name: str, **trace: Any) -> None:
    """Add a trace that stands in the legend once."""
    seen = name in {other.name for other in figure.data}
    figure.add_scatter(name=name, legendgroup=name, showlegend=not seen, **trace, **on(1))


def row_name(figure: go.Figure, text: str, y: float, *, shift: int = 13) -> None:
    """The name of a row above it, inside the panel: a margin for names would take a narrow screen's width."""
    at = {"x": 0.008, "y": y + (0.12 if shift > 10 else 0), "xanchor": "left", "yanchor": "bottom", "yshift": shift}
    figure.add_annotation(
        text=text, showarrow=False, font={"size": 12, "color": INK}, align="left", **at, **refs(1, x="domain")
    )


def rows_axis(rows: int, top: float) -> dict[str, Any]:
    """A vertical axis of rows at 0, -1, -2 and so on, whose names stand inside."""
    return {"range": [-rows + 0.5, top], "showticklabels": False, "showgrid": False, "ticks": ""}
