"""Next-token entropy, position by position: on a condition's own texts, and on the same texts for all."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.audit_rows import (
    CELL,
    STEERED,
    Condition,
    conditions_of,
    faint,
    hover,
    main_conditions,
    of_part,
)
from creativity_lens.figures.style import axes, on, panels, unmeasured

PANELS = (("free entropy", "On its own text (nats)"), ("forced entropy", "On the same text for all (nats)"))


def entropy(table: pd.DataFrame, texts: pd.DataFrame, meta: dict[str, Any]) -> go.Figure:
    """Entropy of the next token (nats, full vocabulary, before truncation) at every position, mean over prompts.

    Left each cell on the text that it wrote itself, right all cells on identical texts: only there do they answer the
    same question. Bands are 95 % intervals over prompts.

        >>> entropy(audit.table, audit.texts, audit.meta).show()  # doctest: +SKIP
    """
    title = "Entropy of the next token, position by position"
    frame = of_part(table, "entropy", measure=[measure for measure, _ in PANELS])
    frame = frame[frame["position"].notna() & frame["estimate"].notna()]
    if frame.empty:
        return unmeasured(title, "no next-token distribution was read.")
    figure = panels(title, [head for _, head in PANELS], columns=2, height=470, between=0.08)
    cells = [each for each in conditions_of(meta) if each.kind in (CELL, STEERED)]
    banded = {each.name for each in main_conditions(meta)}
    for panel, (measure, _) in enumerate(PANELS, start=1):
        shown = frame[frame["measure"] == measure]
        for cell in [each for each in cells if each.name in banded]:
            _band(figure, shown[shown["condition"] == cell.name], cell, panel)
        for cell in cells:
            _curve(figure, shown[shown["condition"] == cell.name].sort_values("position"), cell, panel)
    low, top = frame[["estimate", "low"]].min().min(), frame[["estimate", "high"]].max().max()
    bottom = 0.0 if low < 0.35 * top else low - 0.08 * (top - low)
    for panel in (1, 2):
        ends = {"range": [-0.5, float(frame["position"].max()) + 0.5], "showgrid": False}
        x = ends | {"title": {"text": "Position in the text (tokens before it)"}}
        axes(figure, panel, x=x, y={"range": [bottom, top + 0.05 * (top - bottom)]})
    return figure


def _band(figure: go.Figure, frame: pd.DataFrame, cell: Condition, panel: int) -> None:
    known = frame[frame["low"].notna() & frame["high"].notna()].sort_values("position")
    if known.empty:
        return
    at, low, high = (known[column].tolist() for column in ("position", "low", "high"))
    figure.add_scatter(
        x=at + at[::-1],
        y=high + low[::-1],
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=faint(cell.look.colour, 0.13),
        hoverinfo="skip",
        legendgroup=cell.name,
        showlegend=False,
        **on(panel),
    )


def _curve(figure: go.Figure, frame: pd.DataFrame, cell: Condition, panel: int) -> None:
    if frame.empty:
        return
    if not any(trace.legendgroup == cell.name and trace.showlegend for trace in figure.data):
        entry = {"line": cell.look.line, "marker": cell.look.marker, "name": cell.said, "legendgroup": cell.name}
        figure.add_scatter(x=[None], y=[None], mode="lines+markers", hoverinfo="skip", showlegend=True, **entry)
    said = cell.said
    # A symbol now and then tells the curves apart; on every token it would hide them.
    every = max(1, len(frame) // 6)
    marker = cell.look.marker | {
        "size": [8 if k % every == every // 2 else 0 for k in range(len(frame))],
    }
    figure.add_scatter(
        x=frame["position"].tolist(),
        y=frame["estimate"].tolist(),
        mode="lines+markers",
        line=cell.look.line,
        marker=marker,
        hovertext=[
            hover(row, said, f"token {int(row.position) + 1} of the text") for row in frame.itertuples(index=False)
        ],
        hoverinfo="text",
        name=said,
        legendgroup=cell.name,
        showlegend=False,
        **on(panel),
    )
