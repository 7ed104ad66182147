"""Personas: whom a model makes up when it is asked for a customer, attribute by attribute."""

import re
import textwrap
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.audit_rows import Condition, by, conditions_of, of_part
from creativity_lens.figures.rating_rows import label, short
from creativity_lens.figures.rows import plain
from creativity_lens.figures.style import INK, axes, on, panels, unmeasured

MOST_ATTRIBUTES = 8
MOST_VALUES = 6
TINTS = ("#00557f", "#0072B2", "#5ea5cf", "#9cc8e2", "#c9e1ef", "#e6f1f7")
RANKS = ("most frequent value", "second", "third", "fourth", "fifth", "sixth")
REST = "all other values"


def personas(table: pd.DataFrame, texts: pd.DataFrame, meta: dict[str, Any]) -> go.Figure:
    """Each attribute's values as shares of the personas that could be parsed, the most frequent first.

    A bar that is mostly dark is a model that always makes up the same person. A run whose personas could not be parsed
    gives a figure that says so, with the parse rates.

        >>> personas(audit.table, audit.texts, audit.meta).show()  # doctest: +SKIP
    """
    title = "Whom does the model make up? Attributes of generated personas"
    rates = by(of_part(table, "personas", measure="parse rate"), "condition")
    counted = counted_values(meta)
    if not counted:
        conditions = [each for each in conditions_of(meta) if each.name in rates]
        said = "; ".join(f"{parse_rate(rates[each.name])} ({each.said})" for each in conditions)
        return unmeasured(title, f"parse rate {said}." if said else "no personas were asked for.")
    names = list(counted)[:MOST_ATTRIBUTES]
    conditions = [each for each in conditions_of(meta) if any(each.name in counted[name] for name in names)]
    rows = -(-len(names) // 2)
    each_high = 26 + 46 * len(conditions)
    columns = min(2, len(names))
    heads = [label(name, 36) for name in names]
    figure = panels(title, heads, columns=columns, height=110 + rows * (each_high + 84), between=0.16)
    figure.update_layout(
        barmode="stack", meta={"panels": len(names), "each": each_high}, uniformtext={"minsize": 10, "mode": "hide"}
    )
    for panel, name in enumerate(names, start=1):
        _bars(figure, counted[name], conditions, panel)
        ticks = {"tickvals": [-k for k in range(len(conditions))], "ticktext": [each.wrapped for each in conditions]}
        down = {"range": [-len(conditions) + 0.5, 0.5], "showgrid": False, "ticks": "", "tickfont": {"size": 11}}
        across = {"range": [0, 1], "tickformat": ".0%", "showgrid": False, "nticks": 5}
        axes(figure, panel, x=across, y=ticks | down)
    return figure


def counted_values(meta: dict[str, Any]) -> dict[str, dict[str, list[tuple[str, int]]]]:
    """For each attribute and condition the values and their counts, the most frequent first; only what was parsed."""
    found: dict[str, dict[str, list[tuple[str, int]]]] = {}
    for name, by_condition in ((meta.get("personas") or {}).get("attributes") or {}).items():
        for condition, values in (by_condition or {}).items():
            counted = sorted(((str(value), int(count)) for value, count in values or []), key=lambda pair: -pair[1])
            if sum(count for _, count in counted) > 0:
                found.setdefault(str(name), {})[str(condition)] = counted
    return found


def parse_rate(row: Any) -> str:
    """How many answers could be parsed: "0.31 of 64". The row's note ends with how many there were."""
    answers = re.search(r"of (\d+)$", row.note)
    return f"{row.estimate:.2f}" + (f" of {answers[1]}" if answers else "")


def _bars(
    figure: go.Figure, counted: dict[str, list[tuple[str, int]]], conditions: list[Condition], panel: int
) -> None:
    listed = {trace.legendgroup for trace in figure.data}
    shown = {each.name: _segments(counted.get(each.name, [])) for each in conditions}
    for rank in range(MOST_VALUES + 1):
        parts = [(place, shown[each.name][rank]) for place, each in enumerate(conditions) if rank in shown[each.name]]
        if not parts:
            continue
        name = REST if rank == MOST_VALUES else RANKS[rank]
        figure.add_bar(
            x=[share for _, (_, share, _) in parts],
            y=[-place for place, _ in parts],
            orientation="h",
            width=0.62,
            marker={"color": "#eeeeee" if rank == MOST_VALUES else TINTS[rank], "line": {"color": "#fff", "width": 1}},
            text=[plain(short(value, 22)) for _, (value, _, _) in parts],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            textfont={"size": 11, "color": "#ffffff" if rank < 2 else INK},
            hovertext=[
                f"<b>{conditions[place].said}</b><br>"
                + "<br>".join(map(plain, textwrap.wrap(short(value, 120), 52)))
                + f"<br>{100 * share:.0f} % ({count} personas)"
                for place, (value, share, count) in parts
            ],
            hoverinfo="text",
            name=name,
            legendgroup=name,
            showlegend=name not in listed,
            **on(panel),
        )


def _segments(counted: list[tuple[str, int]]) -> dict[int, tuple[str, float, int]]:
    """By rank: the value, its share and its count; what is left stands together, last."""
    total = sum(count for _, count in counted)
    found = {rank: (value, count / total, count) for rank, (value, count) in enumerate(counted[:MOST_VALUES])}
    rest = counted[MOST_VALUES:]
    if rest:
        count = sum(count for _, count in rest)
        found[MOST_VALUES] = (f"{len(rest)} others", count / total, count)
    return found
