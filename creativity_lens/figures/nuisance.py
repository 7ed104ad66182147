"""Is the direction only length, sentiment, register or formality under another name?"""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.rows import main_concept, measured, percent, plain, reading, select
from creativity_lens.figures.style import (
    DASHES,
    INK,
    SERIES,
    SYMBOLS,
    axes,
    curve,
    interval,
    layer_axis,
    level,
    note,
    on,
    panels,
    refs,
    unmeasured,
)


def nuisance(table: pd.DataFrame, run: dict[str, Any]) -> go.Figure:
    """Cosines of each layer's direction with nuisance directions, and the gain (gaps) left when one is projected out.

    The grey band holds 95 % of the cosines of two random directions of the model's width: standard deviation
    1 / sqrt(d_model).
    """
    concept = main_concept(run)
    title = f"Is it only length, sentiment, register or formality? ({plain(concept)})"
    cosines = measured(select(table, concept=concept, stage="readout", condition="nuisance", measure="cosine"))
    left = measured(select(table, concept=concept, stage="test", condition="nuisance_removed", measure="gain_left"))
    cosines = cosines[cosines["layer"].notna()]
    if cosines.empty and left.empty:
        return unmeasured(title, "no nuisance direction was made.")
    heads = ["Cosine with the direction", "Gain left at the chosen cell (gaps)"]
    figure = panels(title, heads, columns=2, height=480, between=0.2)
    groups = list(dict.fromkeys([*cosines["group"].dropna(), *left["group"].dropna()]))
    looks = {group: _look(place) for place, group in enumerate(groups)}
    _cosines(figure, run, cosines, looks)
    _gain_left(figure, table, concept, left, looks)
    return figure


def _look(place: int) -> tuple[str, str, str]:
    return SERIES[place % len(SERIES)], SYMBOLS[place % len(SYMBOLS)], DASHES[place % len(DASHES)]


def _cosines(
    figure: go.Figure, run: dict[str, Any], cosines: pd.DataFrame, looks: dict[Any, tuple[str, str, str]]
) -> None:
    if cosines.empty:
        note(figure, "cosines were not measured", x=0.5, y=0.5, **refs(1, x="domain", y="domain"))
        return
    width = (run.get("model") or {}).get("d_model")
    if width:
        chance = 1.96 / width**0.5
        box = {"x0": 0, "x1": 1, "y0": -chance, "y1": chance, "layer": "below"}
        grey = {"fillcolor": "rgba(89, 89, 89, 0.14)", "line": {"width": 0}}
        figure.add_shape(type="rect", **box, **grey, **refs(1, x="domain"))
    level(figure, 0.0, panel=1)
    layer_axis(figure, sorted({int(layer) for layer in cosines["layer"]}), panel=1)
    ends = pd.concat([cosines["estimate"], cosines["low"], cosines["high"]]).abs().dropna()
    axes(figure, 1, y={"range": [-1.08 * max(0.3, ends.max()), 1.08 * max(0.3, ends.max())]})
    for group, (colour, symbol, dash) in looks.items():
        frame = cosines[cosines["group"] == group]
        hover = [
            f"<b>{plain(group)}</b>, layer {int(row.layer)}<br>cosine {reading(row, of='topics')}"
            for row in frame.itertuples()
        ]
        curve(figure, frame, hover, label=plain(group), colour=colour, symbol=symbol, dash=dash, panel=1)


def _gain_left(
    figure: go.Figure, table: pd.DataFrame, concept: str, left: pd.DataFrame, looks: dict[Any, tuple[str, str, str]]
) -> None:
    chosen = measured(select(table, concept=concept, stage="test", condition="chosen", measure="gain")).head(1)
    rows = pd.concat([chosen.assign(label="nothing removed"), left.assign(label="")], ignore_index=True)
    for place in range(len(rows)):
        row = rows.iloc[place]
        label = row["label"] or f"without {plain(row['group'])}"
        colour, symbol, _ = looks.get(row["group"], (INK, "circle", ""))
        where = "" if pd.isna(row["layer"]) else f", layer {int(row['layer'])}"
        where += "" if pd.isna(row["strength"]) else f", strength {percent(row['strength'])} of the norm"
        figure.add_scatter(
            x=[row["estimate"]],
            y=[label],
            mode="markers",
            marker={"symbol": symbol, "size": 10, "color": colour},
            hovertext=[f"<b>{label}</b>{where}<br>gain {reading(row, of='prompts')}"],
            hoverinfo="text",
            showlegend=False,
            **interval(rows.iloc[[place]], colour=colour, along="x"),
            **on(2),
        )
    axes(figure, 2, x={"title": {"text": "Gain (gaps)"}, "rangemode": "tozero"})
    axes(figure, 2, y={"type": "category", "autorange": "reversed", "showgrid": False})
    if rows.empty:
        note(figure, "not measured", x=0.5, y=0.5, **refs(2, x="domain", y="domain"))
