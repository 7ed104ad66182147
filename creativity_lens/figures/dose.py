"""How hard each layer was pushed, in three units, over the residual norms that the units differ by."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.rows import (
    choice_of,
    main_concept,
    measured,
    number,
    per_layer_strength,
    percent,
    plain,
    select,
)
from creativity_lens.figures.style import (
    BLUE,
    GREEN,
    ORANGE,
    RULE,
    VERMILLION,
    axes,
    layer_axis,
    log_axis,
    note,
    on,
    panels,
    refs,
    unmeasured,
)


def dose(table: pd.DataFrame, run: dict[str, Any]) -> go.Figure:
    """Each layer's dev strength as a share of the norm, in gaps and in raw residual units, and the norms themselves.

    raw = strength x median residual norm; gaps = raw / gap. Grey lines are the other strengths of the grid.
    """
    concept = main_concept(run)
    title = f"How hard each layer was pushed, in three units ({plain(concept)})"
    norms, gaps = _per_layer(table, run, concept, "residual_norm"), _per_layer(table, run, concept, "gap")
    if not norms:
        return unmeasured(title, "residual norms were not recorded.")
    heads = ["Share of the median norm", "In gaps", "In raw residual units", "Residual norm and gap (residual units)"]
    figure = panels(title, heads, columns=2, height=760)
    layers = sorted(norms)
    units = {1: dict.fromkeys(layers, 1.0), 2: {at: norms[at] / gaps[at] for at in layers if at in gaps}, 3: norms}
    grid = _grid(table, concept)
    for panel, scale in units.items():
        said = {(at, strength): _said(at, strength, norms, gaps) for at in scale for strength in grid}
        chosen = {at: strength for at, strength in per_layer_strength(run, concept).items() if at in scale}
        said |= {cell: _said(*cell, norms, gaps) for cell in chosen.items()}
        _doses(figure, run, concept, scale, grid, chosen, said, panel=panel)
        axes(figure, panel, y={"rangemode": "tozero"})
    axes(figure, 1, y={"tickformat": ".0%"})
    if not gaps:
        note(figure, "gaps were not recorded", x=0.5, y=0.5, **refs(2, x="domain", y="domain"))
    _norms(figure, norms, "median residual norm", GREEN, "square")
    _norms(figure, gaps, "gap between the sides", ORANGE, "diamond")
    for panel in (1, 2, 3, 4):
        layer_axis(figure, layers, panel=panel)
    # Norms grow by a factor from block to block, and a gap is a small part of a norm.
    axes(figure, 4, y=log_axis([*norms.values(), *gaps.values()]))
    return figure


def _doses(
    figure: go.Figure,
    run: dict[str, Any],
    concept: str,
    scale: dict[int, float],
    grid: list[float],
    chosen: dict[int, float],
    said: dict[tuple[int, float], str],
    *,
    panel: int,
) -> None:
    for strength in grid:
        figure.add_scatter(
            x=list(scale),
            y=[strength * factor for factor in scale.values()],
            mode="lines",
            line={"color": RULE, "width": 1},
            hovertext=[said[at, strength] for at in scale],
            hoverinfo="text",
            name="every strength of the grid",
            legendgroup="grid",
            showlegend=panel == 1 and strength == grid[0],
            **on(panel),
        )
    figure.add_scatter(
        x=list(chosen),
        y=[strength * scale[at] for at, strength in chosen.items()],
        mode="lines+markers",
        line={"color": BLUE, "width": 1.5},
        marker={"size": 8},
        hovertext=[said[cell] for cell in chosen.items()],
        hoverinfo="text",
        name="each layer's own strength, from dev",
        legendgroup="dev",
        showlegend=panel == 1 and bool(chosen),
        **on(panel),
    )
    best = choice_of(run, concept)
    if best.get("layer") in scale and best.get("strength") is not None:
        figure.add_scatter(
            x=[best["layer"]],
            y=[best["strength"] * scale[best["layer"]]],
            mode="markers",
            marker={"symbol": "circle-open", "size": 18, "color": VERMILLION, "line": {"width": 2}},
            hoverinfo="skip",
            name="the chosen cell",
            legendgroup="chosen",
            showlegend=panel == 1,
            **on(panel),
        )


def _norms(figure: go.Figure, values: dict[int, float], label: str, colour: str, symbol: str) -> None:
    figure.add_scatter(
        x=list(values),
        y=list(values.values()),
        mode="lines+markers",
        line={"color": colour, "width": 1.5},
        marker={"symbol": symbol, "size": 8},
        hovertext=[f"<b>{label}</b>, layer {at}<br>{number(value)} residual units" for at, value in values.items()],
        hoverinfo="text",
        name=label,
        showlegend=bool(values),
        **on(4),
    )


def _per_layer(table: pd.DataFrame, run: dict[str, Any], concept: str, measure: str) -> dict[int, float]:
    frame = measured(select(table, concept=concept, stage="readout", condition="direction", measure=measure))
    frame = frame[frame["layer"].notna() & (frame["estimate"] > 0)]
    if frame.empty and measure == "residual_norm":
        norms = zip(run.get("layers") or [], run.get("norms") or [], strict=False)
        return {int(layer): float(norm) for layer, norm in norms if norm}
    return {int(row.layer): float(row.estimate) for row in frame.itertuples()}


def _grid(table: pd.DataFrame, concept: str) -> list[float]:
    found: set[float] = set()
    for stage, measure in (("screen", "kl"), ("dev", "gain")):
        frame = select(table, concept=concept, stage=stage, condition="steered", measure=measure)
        found |= {round(strength, 6) for strength in frame["strength"].dropna()}
    return sorted(found)


def _said(layer: int, strength: float, norms: dict[int, float], gaps: dict[int, float]) -> str:
    raw = strength * norms[layer]
    return (
        f"<b>layer {layer}</b>: {percent(strength)} of the median norm ({number(norms[layer])} residual units)"
        f"<br>= {number(raw)} residual units (the paper's lambda)"
        + (f"<br>= {number(raw / gaps[layer])} gaps of {number(gaps[layer])} residual units" if layer in gaps else "")
    )
