"""What a gain costs: gain against coherence kept, beside the things that are easier than steering."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.rows import main_concept, measured, number, percent, plain, reading, select, sides_of
from creativity_lens.figures.style import (
    BLACK,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    SKY,
    SYMBOLS,
    VERMILLION,
    axes,
    colour_bar,
    interval,
    level,
    panels,
    unmeasured,
    upright,
)

TESTED = {
    "chosen": ("the chosen cell", "circle-x", VERMILLION),
    "prompted": ("a “be {side}” prompt", "star", GREEN),
    "isotropic": ("isotropic vector, same norm", "x", PURPLE),
    "negated": ("the direction negated", "triangle-down", SKY),
}


def tradeoff(table: pd.DataFrame, run: dict[str, Any]) -> go.Figure:
    """Gain (gaps) against coherence kept (share): up and right is better.

    One point per dev cell, coloured by layer, its symbol the strength. On test prompts, with 95 % intervals: the chosen
    cell, the negated direction, an isotropic vector, a prompt that asks for the concept, and the curve that raising the
    temperature alone draws.
    """
    concept = main_concept(run)
    title = f"What a gain costs: gain against coherence kept ({plain(concept)})"
    cells = _both(table, concept, "dev", "steered")
    heat = _both(table, concept, "test", "temperature")
    tested = {name: _both(table, concept, "test", name) for name in TESTED}
    every = pd.concat([cells, heat, *tested.values()], ignore_index=True)
    if every.empty:
        return unmeasured(title, "no sampled text was scored.")
    figure = panels(title, ["Gain (gaps)"], height=600)
    level(figure, 0.0, panel=1)
    _cells(figure, cells)
    if not heat.empty:
        _temperatures(figure, heat)
    for name, (label, symbol, colour) in TESTED.items():
        if not tested[name].empty:
            _tested(figure, tested[name], f"test, {label.format(side=plain(sides_of(run)[0]))}", symbol, colour)
    figure.add_scatter(
        x=[1],
        y=[0],
        mode="markers",
        marker={"symbol": "cross-thin", "size": 16, "line": {"width": 2.5, "color": ORANGE}},
        hovertext=["no steering: gain 0 gaps, coherence kept 1, by definition"],
        hoverinfo="text",
        name="no steering (by definition)",
    )
    lowest = float(every["kept"].min())
    across = {"text": "Coherence kept (share; 1 = like unsteered)"}
    axes(figure, 1, x={"title": across, "range": [lowest - 0.06 * (1.02 - lowest), 1.03]})
    if lowest < 0.8:
        upright(figure, 0.8, panel=1, text="needed: interval above 0.8", xanchor="right")
    if not cells.empty:
        first, last = int(cells["layer"].min()), int(cells["layer"].max())
        step = max(1, round((last - first) / 8))
        ends = {"cmin": first, "cmax": max(last, first + 1), "colorbar": colour_bar("layer") | {"dtick": step}}
        figure.update_layout(coloraxis={"colorscale": "Cividis", "showscale": last > first} | ends)
    return figure


def _both(table: pd.DataFrame, concept: str, stage: str, condition: str) -> pd.DataFrame:
    """Gain rows with the coherence of the same cell beside them: `kept`, `kept_low`, `kept_high`."""
    key = ["layer", "strength", "method", "temperature"]
    place = {"concept": concept, "stage": stage, "condition": condition}
    gain = measured(select(table, **place, measure="gain"))
    kept = measured(select(table, **place, measure="coherence"))[[*key, "estimate", "low", "high"]]
    kept = kept.rename(columns={"estimate": "kept", "low": "kept_low", "high": "kept_high"})
    return gain.merge(kept.drop_duplicates(key), on=key, how="inner")


def _cells(figure: go.Figure, cells: pd.DataFrame) -> None:
    for place, strength in enumerate(sorted(cells["strength"].dropna().unique())):
        shown = cells[cells["strength"] == strength]
        symbol = {"symbol": SYMBOLS[place % len(SYMBOLS)], "size": 9, "line": {"width": 0.8, "color": INK}}
        look = {"mode": "markers", "name": f"dev, strength {percent(strength)}", "legendgroup": f"dev {strength}"}
        figure.add_scatter(
            x=shown["kept"].tolist(),
            y=shown["estimate"].tolist(),
            marker=symbol | {"color": shown["layer"].tolist(), "coloraxis": "coloraxis"},
            hovertext=[_said(row, "dev cell") for row in shown.itertuples()],
            hoverinfo="text",
            showlegend=False,
            **look,
        )
        # The colour is the layer's, so the legend shows the bare symbol.
        figure.add_scatter(x=[None], y=[None], marker=symbol | {"color": "#ffffff"}, **look)


def _temperatures(figure: go.Figure, heat: pd.DataFrame) -> None:
    low, high = heat["kept"].idxmin(), heat["kept"].idxmax()
    rising = heat["estimate"][high] > heat["estimate"][low]
    figure.add_scatter(
        x=heat["kept"].tolist(),
        y=heat["estimate"].tolist(),
        mode="lines+markers+text",
        line={"color": BLACK, "width": 1.5, "dash": "dash"},
        marker={"symbol": "circle", "size": 6, "color": BLACK},
        text=[f"T {row.temperature:g}" for row in heat.itertuples()],
        # Below the line, on the side it falls away from; at the right edge only the left side has room.
        textposition=["bottom right" if rising and kept < 0.9 else "bottom left" for kept in heat["kept"]],
        textfont={"size": 11, "color": MUTED},
        hovertext=[_said(row, f"unsteered, temperature {row.temperature:g}") for row in heat.itertuples()],
        hoverinfo="text",
        name="test, temperature alone",
        **interval(heat, colour=BLACK),
    )


def _tested(figure: go.Figure, frame: pd.DataFrame, label: str, symbol: str, colour: str) -> None:
    across = frame.assign(estimate=frame["kept"], low=frame["kept_low"], high=frame["kept_high"])
    figure.add_scatter(
        x=frame["kept"].tolist(),
        y=frame["estimate"].tolist(),
        mode="markers",
        marker={"symbol": symbol, "size": 14, "color": colour, "line": {"width": 1, "color": INK}},
        hovertext=[_said(row, label) for row in frame.itertuples()],
        hoverinfo="text",
        name=label,
        **interval(frame, colour=colour),
        **interval(across, colour=colour, along="x"),
    )


def _said(row: Any, what: str) -> str:
    where = "" if pd.isna(row.layer) else f": layer {int(row.layer)}"
    where += "" if pd.isna(row.strength) else f", strength {percent(row.strength)} of the norm"
    where += f", {plain(row.method.replace('_', ' '))}" if isinstance(row.method, str) else ""
    kept = f"coherence kept {number(row.kept)}"
    if not pd.isna(row.kept_low) and not pd.isna(row.kept_high):
        kept += f", 95 % interval {number(row.kept_low)} to {number(row.kept_high)}"
    return f"<b>{what}</b>{where}<br>gain {reading(row, of='prompts')}<br>{kept}"
