"""Paired sets: how often each scorer prefers the text that people preferred."""

import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.rating_overview import MOST_ROWS, row_name, rows_axis
from creativity_lens.figures.rating_rows import DIRECTION, about, correlation, label, pair_rows, with_ends
from creativity_lens.figures.rows import number
from creativity_lens.figures.style import BLUE, VERMILLION, axes, interval, on, panels, refs, unmeasured, upright


def rating_pairs(table: pd.DataFrame, meta: dict[str, Any], name: str) -> go.Figure:
    """How often each scorer prefers the text that people preferred, in a paired set.

    A cheap scorer is turned to its better sign on these very pairs, which favours it: the direction must lead it, not
    0.5. Bars are the table's 95 % intervals; the hover text of a cheap scorer has the direction's lead.

        >>> rating_pairs(validation.table, validation.meta, "lamp").show()  # doctest: +SKIP
    """
    title = f"Which text of a pair do people prefer? {label(about(meta, name).get('title') or name, 60)}"
    rows = [row for row in pair_rows(table, meta, name) if not math.isnan(row["accuracy"])]
    if not rows:
        return unmeasured(title, "this set has no pairs.")
    rows = rows[:MOST_ROWS]
    figure = panels(title, ["Share of pairs in which the preferred text is found"], height=110 + 44 * len(rows))
    many = len({(row["criterion"], row["panel"]) for row in rows}) > 1
    upright(figure, 0.5, panel=1)
    mine = next((row for row in rows if row["scorer"] == DIRECTION), None)
    if mine is not None and not many:
        line = {"color": BLUE, "width": 1, "dash": "dot"}
        across = {"x0": mine["accuracy"], "x1": mine["accuracy"], "y0": 0, "y1": 1}
        figure.add_shape(type="line", **across, **refs(1, y="domain"), line=line, layer="below")
    for place, row in enumerate(rows):
        direction = row["scorer"] == DIRECTION
        said = "direction: " + row["said"].removesuffix(" of the direction") if direction else row["said"]
        said += f" ({row['criterion']}, {row['panel']})" if many else ""
        colour, symbol = (BLUE, "circle") if direction else (VERMILLION, "square")
        frame = pd.DataFrame([{"estimate": row["accuracy"], "low": row["low"], "high": row["high"]}])
        figure.add_scatter(
            x=[row["accuracy"]],
            y=[-place],
            mode="markers",
            marker={"symbol": symbol, "size": 11, "color": colour},
            hovertext=[_pair_said(said, row)],
            hoverinfo="text",
            name="direction" if direction else "cheap scorers, turned to their better sign",
            legendgroup=symbol,
            showlegend=symbol not in {trace.legendgroup for trace in figure.data},
            **interval(frame, colour=colour, along="x"),
            **on(1),
        )
        row_name(figure, f"{label(said, 60)} <b>{correlation(row['accuracy'])}</b>", float(-place), shift=6)
    ends = [float(row[key]) for row in rows for key in ("accuracy", "low", "high") if not math.isnan(row[key])]
    low, high = min([0.4, *ends]), max([0.6, *ends])
    x = {"range": [low - 0.03, high + 0.03], "title": {"text": "Share of pairs (0.5 is a coin)"}}
    axes(figure, 1, x=x, y=rows_axis(len(rows), 0.9))
    return figure


def _pair_said(said: str, row: dict[str, Any]) -> str:
    lines = [
        f"<b>{label(said, 60)}</b>",
        f"right in {with_ends(row['accuracy'], row['low'], row['high'])} of the pairs",
    ]
    if not math.isnan(row["n"]):
        lines[1] += f", n = {row['n']:.0f} pairs"
    if not math.isnan(row["lead"]):
        lead = with_ends(row["lead"], row["lead_low"], row["lead_high"])
        lines.append(
            f"the direction leads by {lead}" + ("" if math.isnan(row["lead_p"]) else f", p = {number(row['lead_p'])}")
        )
    return "<br>".join(lines)
