"""The dev map: steering quality of every layer and strength, and the cell it chose."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.rows import (
    by_cell,
    choice_of,
    drawn_only,
    main_concept,
    measured,
    per_layer_strength,
    percent,
    plain,
    reading,
    select,
    sides_of,
)
from creativity_lens.figures.style import (
    VERMILLION,
    axes,
    colour_bar,
    frame_cell,
    layer_axis,
    on,
    panels,
    refs,
    unmeasured,
)

PARTS = ("gain", "coherence", "faithfulness", "leak", "kl")


def quality_map(table: pd.DataFrame, run: dict[str, Any]) -> go.Figure:
    """Steering quality Q of every layer and strength on dev prompts, the chosen cell framed in red.

    Q is the harmonic mean of gain (clipped to 0..1), coherence and faithfulness kept: it chooses and is never tested.
    Dotted frames are each layer's own best strength. A run without sampling has no Q; then the map shows the
    screening's change of log-probability instead. One panel per method.
    """
    concept, choice = main_concept(run), choice_of(run, main_concept(run))
    title = f"Steering quality Q of every layer and strength on dev prompts ({plain(concept)})"
    cells = select(table, concept=concept, stage="dev", condition="steered", measure="quality")
    if measured(cells).empty:
        cells = select(table, concept=concept, stage="screen", condition="steered", measure="log_ratio_change")
        high, low = (plain(side) for side in sides_of(run))
        title = f"Screening, nothing sampled: change of log p({high}) − log p({low}) ({plain(concept)})"
        if measured(cells).empty:
            return unmeasured(title, "no dev text was scored and nothing was screened.")
    methods = sorted(cells["method"].dropna().unique(), key=lambda method: method != choice.get("method"))
    figure = panels(
        title, [_head(cells, method) for method in methods or [None]], height=160 + 250 * len(methods or [0])
    )
    for panel, method in enumerate(methods or [None], start=1):
        shown = cells if method is None else cells[cells["method"] == method]
        _heat(figure, table, run, shown, method, panel=panel)
        if method in (None, choice.get("method")):
            _mark_choice(figure, run, shown, panel=panel)
    scale = {
        "colorscale": "Cividis",
        "cmin": min(0.0, cells["estimate"].min()),
        "cmax": max(0.01, cells["estimate"].max()),
    }
    bar = colour_bar("Q" if _is_quality(cells) else "nats/token")
    figure.update_layout(coloraxis=scale | {"colorbar": bar})
    return figure


def _is_quality(cells: pd.DataFrame) -> bool:
    return cells["measure"].iloc[0] == "quality"


def _head(cells: pd.DataFrame, method: str | None) -> str:
    shown = "Q (share)" if _is_quality(cells) else "Change (nats/token)"
    return f"{shown}, by strength" + (f", {plain(method.replace('_', ' '))}" if method else "")


def _heat(
    figure: go.Figure, table: pd.DataFrame, run: dict[str, Any], cells: pd.DataFrame, method: str | None, *, panel: int
) -> None:
    found = by_cell(cells)
    layers, strengths = sorted({layer for layer, _ in found}), sorted({strength for _, strength in found})
    place = {"concept": main_concept(run), "stage": cells["stage"].iloc[0], "condition": "steered", "method": method}
    parts = {name: by_cell(select(table, **place, measure=name)) for name in PARTS}
    figure.add_heatmap(
        x=layers,
        y=[percent(strength) for strength in strengths],
        z=[[_value(found.get((layer, strength))) for layer in layers] for strength in strengths],
        hovertext=[[_said(found, parts, layer, strength) for layer in layers] for strength in strengths],
        hoverinfo="text",
        coloraxis="coloraxis",
        xgap=2,
        ygap=2,
        # Deeper models have cells too narrow for a number; the hover text has it.
        texttemplate="%{z:.2f}" if len(layers) <= 16 else None,
        **on(panel),
    )
    layer_axis(figure, layers, panel=panel)
    strength_title = {"text": "Strength (share of the median norm)"}
    axes(figure, panel, y={"type": "category", "showgrid": False, "title": strength_title})
    never = sorted(set(layers) & drawn_only(run))
    if never and never[0] > layers[0]:
        line = {"color": VERMILLION, "width": 2, "dash": "dot"}
        figure.add_shape(
            type="line", x0=never[0] - 0.5, x1=never[0] - 0.5, y0=0, y1=1, **refs(panel, y="domain"), line=line
        )
        axes(figure, panel, x={"title": {"text": "Layer (right of the dotted line: not up for choice)"}})


def _mark_choice(figure: go.Figure, run: dict[str, Any], cells: pd.DataFrame, *, panel: int) -> None:
    found = by_cell(cells)
    rows = {strength: row for row, strength in enumerate(sorted({strength for _, strength in found}))}
    for layer, strength in per_layer_strength(run, main_concept(run)).items():
        if (layer, round(strength, 6)) in found:
            row = rows[round(strength, 6)]
            frame_cell(figure, float(layer), float(row), colour="#ffffff", width=1.5, dash="dot", panel=panel)
    best = choice_of(run, main_concept(run))
    if best.get("layer") is not None and best.get("strength") is not None:
        cell = (int(best["layer"]), round(float(best["strength"]), 6))
        if cell in found:
            frame_cell(
                figure, float(cell[0]), float(rows[cell[1]]), colour=VERMILLION, width=4.0, dash="solid", panel=panel
            )


def _value(row: Any) -> float | None:
    return None if row is None or pd.isna(row.estimate) else float(row.estimate)


def _said(found: dict[Any, Any], parts: dict[str, dict[Any, Any]], layer: int, strength: float) -> str:
    row = found.get((layer, strength))
    lines = [f"<b>layer {layer}</b>, strength {percent(strength)} of the norm"]
    if row is None:
        return f"{lines[0]}<br>not measured"
    lines.append(f"{'Q' if row.measure == 'quality' else 'change'} {reading(row, of='prompts')}")
    cell = (layer, strength)
    lines += [f"{name} {reading(rows[cell], of='prompts')}" for name, rows in parts.items() if cell in rows]
    return "<br>".join(lines)
