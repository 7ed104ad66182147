"""Pictures of single cells: the dev map that chose one, and what each cell's gain costs in coherence."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.rows import (
    by_cell,
    choice_of,
    drawn_only,
    main_concept,
    measured,
    number,
    per_layer_strength,
    percent,
    plain,
    reading,
    select,
)
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
    interval,
    layer_axis,
    level,
    note,
    panels,
    unmeasured,
)

PARTS = ("gain", "coherence", "faithfulness", "leak", "kl")


def quality_map(table: pd.DataFrame, run: dict[str, Any]) -> go.Figure:
    """Steering quality Q of every layer and strength on dev prompts, the chosen cell framed in red.

    Q is the harmonic mean of gain (clipped to 0..1), coherence and faithfulness kept: it chooses and is never tested.
    A run without sampling has no Q; then the map shows the screening's change of log-probability instead.
    """
    concept, choice = main_concept(run), choice_of(run, main_concept(run))
    title = f"Steering quality Q of every layer and strength on dev prompts ({concept})"
    cells = select(table, concept=concept, stage="dev", condition="steered", measure="quality")
    said, unit = "Q", "Q"
    if measured(cells).empty:
        cells = select(table, concept=concept, stage="screen", condition="steered", measure="log_ratio_change")
        title = f"Screening: change of log p(creative) − log p(boring) ({concept}; nothing was sampled)"
        said, unit = "change of the log ratio", "nats/token"
        if measured(cells).empty:
            return unmeasured(title, "no dev text was scored and nothing was screened.")
    methods = list(dict.fromkeys(cells["method"].dropna())) or [choice.get("method")]
    if choice.get("method") in methods:
        methods.sort(key=lambda method: method != choice.get("method"))
    heads = [f"{unit}, by strength (rows, share of the median residual norm)" + _of(method) for method in methods]
    figure = panels(title, heads, height=150 + 250 * len(methods))
    for panel, method in enumerate(methods, start=1):
        shown = cells if method is None else cells[(cells["method"] == method) | cells["method"].isna()]
        _one_map(figure, table, run, shown, panel=panel, said=said, top=float(measured(cells)["estimate"].max()))
    return figure


def _of(method: object) -> str:
    return f": {plain(str(method).replace('_', ' '))}" if method else ""


def _one_map(
    figure: go.Figure,
    table: pd.DataFrame,
    run: dict[str, Any],
    cells: pd.DataFrame,
    *,
    panel: int,
    said: str,
    top: float,
) -> None:
    concept, choice = main_concept(run), choice_of(run, main_concept(run))
    found = by_cell(cells)
    layers = sorted({layer for layer, _ in found})
    strengths = sorted({strength for _, strength in found})
    method = cells["method"].dropna().iloc[0] if cells["method"].notna().any() else None
    stage = cells["stage"].iloc[0]
    parts = {
        name: by_cell(select(table, concept=concept, stage=stage, condition="steered", measure=name, method=method))
        for name in PARTS
    }
    texts = [
        [_cell_said(found.get((layer, strength)), parts, said, layer, strength) for layer in layers]
        for strength in strengths
    ]
    values = [
        [found[layer, strength].estimate if (layer, strength) in found else None for layer in layers]
        for strength in strengths
    ]
    figure.add_heatmap(
        x=layers,
        y=[percent(strength) for strength in strengths],
        z=values,
        hovertext=texts,
        hoverinfo="text",
        colorscale="Cividis",
        zmin=min(0.0, float(measured(cells)["estimate"].min())),
        zmax=top if top > 0 else 1.0,
        xgap=2,
        ygap=2,
        texttemplate="%{z:.2f}" if len(layers) <= 16 else None,
        showscale=panel == 1,
        colorbar={
            "title": {"text": "Q" if said == "Q" else "nats/token"},
            "thickness": 12,
            "outlinewidth": 0,
            "len": 1.0,
        },
        **{"xaxis": f"x{panel}", "yaxis": f"y{panel}"} if panel > 1 else {},
    )
    layer_axis(figure, layers, panel=panel)
    axes(figure, panel, y={"type": "category", "showgrid": False}, x={"showgrid": False})
    axis = "" if panel == 1 else str(panel)
    never = sorted(set(layers) & drawn_only(run))
    if never and never[0] > layers[0]:
        figure.add_shape(
            type="line", x0=never[0] - 0.5, x1=never[0] - 0.5, y0=0, y1=1,
            xref=f"x{axis}", yref=f"y{axis} domain", line={"color": VERMILLION, "width": 2, "dash": "dot"},
        )  # fmt: skip
        note(
            figure, "never chosen", x=(never[0] + layers[-1]) / 2, y=1, xref=f"x{axis}", yref=f"y{axis} domain",
            yanchor="bottom",
        )  # fmt: skip
    if method not in (None, choice.get("method")):
        return
    for layer, strength in per_layer_strength(run, concept).items():
        if layer in layers and round(strength, 6) in strengths:
            _frame(figure, layer, strengths.index(round(strength, 6)), axis, colour="#ffffff", width=1.5, dash="dot")
    if choice.get("layer") in layers and round(choice.get("strength", -1), 6) in strengths:
        row = strengths.index(round(choice["strength"], 6))
        _frame(figure, choice["layer"], row, axis, colour=VERMILLION, width=4, dash="solid", name="chosen cell")


def _frame(
    figure: go.Figure, layer: int, row: int, axis: str, *, colour: str, width: float, dash: str, name: str = ""
) -> None:
    inset = 0.42 if dash == "dot" else 0.48
    figure.add_shape(
        type="rect", x0=layer - inset, x1=layer + inset, y0=row - inset, y1=row + inset, name=name or None,
        xref=f"x{axis}", yref=f"y{axis}", line={"color": colour, "width": width, "dash": dash},
    )  # fmt: skip


def _cell_said(row: Any, parts: dict[str, dict], said: str, layer: int, strength: float) -> str:
    lines = [f"<b>layer {layer}</b>, strength {percent(strength)} of the norm"]
    lines.append(f"{said} " + ("not measured" if row is None else reading(row, of="prompts")))
    lines += [
        f"{name} {reading(rows[layer, strength], of='prompts')}"
        for name, rows in parts.items()
        if (layer, strength) in rows
    ]
    return "<br>".join(lines)


def tradeoff(table: pd.DataFrame, run: dict[str, Any]) -> go.Figure:
    """Gain (gaps) against coherence kept (share): up and right is better.

    One point per dev cell, coloured by layer, its symbol the strength; on test prompts, with 95 % intervals, the chosen
    cell, the negated direction, an isotropic vector, the "be creative" prompt, and the curve that raising the
    temperature alone draws.
    """
    concept = main_concept(run)
    title = f"What a gain costs: gain against coherence kept ({concept})"
    cells = _pairs(table, concept, "dev", "steered")
    others = {name: _pairs(table, concept, "test", name) for name in ("chosen", "prompted", "isotropic", "negated")}
    heat = _pairs(table, concept, "test", "temperature")
    if cells.empty and heat.empty and all(frame.empty for frame in others.values()):
        return unmeasured(title, "no sampled text was scored.")
    figure = panels(title, ["Gain (gaps)"], height=560)
    level(figure, 0, panel=1)
    strengths = sorted(cells["strength"].dropna().unique())
    for place, strength in enumerate(strengths):
        shown = cells[cells["strength"] == strength]
        figure.add_scatter(
            x=shown["kept"].tolist(), y=shown["estimate"].tolist(), mode="markers",
            marker={
                "symbol": SYMBOLS[place % len(SYMBOLS)], "size": 9, "color": shown["layer"].tolist(),
                "coloraxis": "coloraxis", "line": {"width": 0.8, "color": INK},
            },
            hovertext=[_point_said(row, "dev cell") for row in shown.itertuples()], hoverinfo="text",
            name=f"dev, strength {percent(strength)}", legendrank=1000 + place,
        )  # fmt: skip
    if not heat.empty:
        figure.add_scatter(
            x=heat["kept"].tolist(), y=heat["estimate"].tolist(), mode="lines+markers+text",
            line={"color": BLACK, "width": 1.5, "dash": "dash"}, marker={"symbol": "circle", "size": 6, "color": BLACK},
            text=[f"T {row.temperature:g}" for row in heat.itertuples()], textposition="bottom center",
            textfont={"size": 11, "color": MUTED},
            hovertext=[_point_said(row, f"temperature {row.temperature:g}, unsteered") for row in heat.itertuples()],
            hoverinfo="text", name="test, temperature alone", **interval(heat, colour=BLACK), legendrank=2000,
        )  # fmt: skip
    looks = {
        "chosen": ("the chosen cell", "circle-x", VERMILLION),
        "prompted": ("a “be creative” prompt", "star", GREEN),
        "isotropic": ("isotropic vector, same norm", "x", PURPLE),
        "negated": ("the direction negated", "triangle-down", SKY),
    }
    for name, (label, symbol, colour) in looks.items():
        frame = others[name]
        if not frame.empty:
            across = frame.assign(estimate=frame["kept"], low=frame["kept_low"], high=frame["kept_high"])
            figure.add_scatter(
                x=frame["kept"].tolist(), y=frame["estimate"].tolist(), mode="markers", name=f"test, {label}",
                marker={"symbol": symbol, "size": 14, "color": colour, "line": {"width": 1, "color": INK}},
                hovertext=[_point_said(row, f"test, {label}") for row in frame.itertuples()], hoverinfo="text",
                **interval(frame, colour=colour), **interval(across, colour=colour, along="x"), legendrank=2001,
            )  # fmt: skip
    figure.add_scatter(
        x=[1], y=[0], mode="markers", marker={"symbol": "cross-thin", "size": 16, "line": {"width": 2.5, "color": ORANGE}},
        name="no steering (by definition)", hovertext=["no steering: gain 0, coherence kept 1, by definition"],
        hoverinfo="text", legendrank=3000,
    )  # fmt: skip
    every = pd.concat([cells, heat, *others.values()], ignore_index=True)
    lowest = float(every["kept"].min())
    axes(figure, 1, x={"title": {"text": "Coherence kept (share; 1 = as probable as unsteered text)"}})
    axes(figure, 1, x={"range": [lowest - 0.06 * (1.02 - lowest), 1.03]})
    if lowest < 0.8:
        line = {"color": MUTED, "width": 1, "dash": "dot"}
        figure.add_shape(type="line", x0=0.8, x1=0.8, y0=0, y1=1, yref="y domain", line=line, layer="below")
        note(figure, "0.8: needed", x=0.8, y=1, xref="x", yref="y domain", xanchor="right", yanchor="top")
    bar = {"title": {"text": "layer"}, "thickness": 12, "outlinewidth": 0}
    figure.update_layout(coloraxis={"colorscale": "Cividis", "colorbar": bar, "showscale": not cells.empty})
    return figure


def _pairs(table: pd.DataFrame, concept: str, stage: str, condition: str) -> pd.DataFrame:
    """Gain rows with the coherence of the same cell beside them: `kept`, `kept_low`, `kept_high`."""
    key = ["layer", "strength", "method", "temperature"]
    gain = measured(select(table, concept=concept, stage=stage, condition=condition, measure="gain"))
    kept = measured(select(table, concept=concept, stage=stage, condition=condition, measure="coherence"))
    kept = kept[[*key, "estimate", "low", "high"]].drop_duplicates(key)
    kept = kept.rename(columns={"estimate": "kept", "low": "kept_low", "high": "kept_high"})
    return gain.merge(kept, on=key, how="inner")


def _point_said(row: Any, what: str) -> str:
    where = "" if pd.isna(row.layer) else f": layer {int(row.layer)}"
    where += "" if pd.isna(row.strength) else f", strength {percent(row.strength)} of the norm"
    kept = f"coherence kept {number(row.kept)}"
    if not pd.isna(row.kept_low) and not pd.isna(row.kept_high):
        kept += f", 95 % interval {number(row.kept_low)} to {number(row.kept_high)}"
    return f"<b>{what}</b>{where}{_of(row.method) if isinstance(row.method, str) else ''}<br>gain {reading(row, of='prompts')}<br>{kept}"
