"""How large the push was, in three units, and how much of the score it writes by itself."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.rows import (
    choice_of,
    drawn_only,
    main_concept,
    measured,
    number,
    per_layer_strength,
    percent,
    reading,
    select,
)
from creativity_lens.figures.style import (
    BLUE,
    GREEN,
    MUTED,
    ORANGE,
    RULE,
    SYMBOLS,
    VERMILLION,
    axes,
    interval,
    layer_axis,
    level,
    not_chosen,
    note,
    on,
    panels,
    unmeasured,
)


def dose(table: pd.DataFrame, run: dict[str, Any]) -> go.Figure:
    """Each layer's dev strength as a share of the norm, in gaps and in raw residual units, and the norms themselves.

    raw = strength x median residual norm; gaps = raw / gap. Grey lines are the other strengths of the grid.
    """
    concept = main_concept(run)
    title = f"How hard each layer was pushed, in three units ({concept})"
    norms, gaps = _per_layer(table, run, concept, "residual_norm"), _per_layer(table, run, concept, "gap")
    if not norms:
        return unmeasured(title, "residual norms were not recorded.")
    heads = ["Share of the median norm", "In gaps", "Raw residual units", "Residual norm and gap (residual units)"]
    figure = panels(title, heads, columns=2, height=700)
    layers = sorted(norms)
    units = {1: dict.fromkeys(layers, 1.0), 2: {at: norms[at] / gaps[at] for at in layers if gaps.get(at)}, 3: norms}
    chosen = per_layer_strength(run, concept)
    said = {at: _said(at, strength, norms, gaps) for at, strength in chosen.items() if at in norms}
    for panel, scale in units.items():
        for strength in _grid(table, concept):
            at = [layer for layer in layers if layer in scale]
            figure.add_scatter(
                x=at, y=[strength * scale[layer] for layer in at], mode="lines", line={"color": RULE, "width": 1},
                hovertext=[_said(layer, strength, norms, gaps) for layer in at], hoverinfo="text",
                name="the grid of strengths", legendgroup="grid",
                showlegend=panel == 1 and strength == _grid(table, concept)[0], **on(panel),
            )  # fmt: skip
        at = [layer for layer in said if layer in scale]
        figure.add_scatter(
            x=at, y=[chosen[layer] * scale[layer] for layer in at], mode="lines+markers",
            line={"color": BLUE, "width": 1.5}, marker={"size": 8}, hovertext=[said[layer] for layer in at],
            hoverinfo="text", name="strength chosen for the layer on dev", legendgroup="dev",
            showlegend=panel == 1 and bool(at), **on(panel),
        )  # fmt: skip
        best = choice_of(run, concept)
        if best.get("layer") in scale and best.get("strength") is not None:
            figure.add_scatter(
                x=[best["layer"]], y=[best["strength"] * scale[best["layer"]]], mode="markers",
                marker={"symbol": "circle-open", "size": 18, "color": VERMILLION, "line": {"width": 2}},
                hoverinfo="skip", name="the chosen cell", legendgroup="chosen", showlegend=panel == 1, **on(panel),
            )  # fmt: skip
        axes(figure, panel, y={"rangemode": "tozero"})
    axes(figure, 1, y={"tickformat": ".0%"})
    if not gaps:
        note(figure, "gaps were not recorded", x=0.5, y=0.5, xref="x2 domain", yref="y2 domain")
    for values, label, colour, symbol in (
        (norms, "median residual norm", GREEN, "square"),
        (gaps, "gap", ORANGE, "diamond"),
    ):
        figure.add_scatter(
            x=list(values), y=list(values.values()), mode="lines+markers", line={"color": colour, "width": 1.5},
            marker={"symbol": symbol, "size": 8}, hoverinfo="text", name=label, showlegend=bool(values),
            hovertext=[f"<b>{label}</b>, layer {at}<br>{number(value)} residual units" for at, value in values.items()],
            **on(4),
        )  # fmt: skip
    for panel in (1, 2, 3, 4):
        layer_axis(figure, layers, panel=panel)
    # Norms grow by the same factor from block to block, and a gap is a small part of a norm.
    axes(figure, 4, y={"type": "log", "dtick": 1 if _decades(norms, gaps) > 1.5 else "D2"})
    return figure


def _per_layer(table: pd.DataFrame, run: dict[str, Any], concept: str, measure: str) -> dict[int, float]:
    frame = measured(select(table, concept=concept, stage="readout", condition="direction", measure=measure))
    found = {
        int(row.layer): float(row.estimate) for row in frame[frame["layer"].notna()].itertuples() if row.estimate > 0
    }
    if not found and measure == "residual_norm":
        pairs = zip(run.get("layers") or [], run.get("norms") or [], strict=False)
        found = {int(layer): float(norm) for layer, norm in pairs if norm}
    return found


def _decades(*values: dict[int, float]) -> float:
    every = [value for part in values for value in part.values()]
    return len(str(int(max(every) / min(every)))) - 1 if every else 0.0


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
        + (f"<br>= {number(raw / gaps[layer])} gaps of {number(gaps[layer])} residual units" if gaps.get(layer) else "")
    )


def leak(table: pd.DataFrame, run: dict[str, Any]) -> go.Figure:
    """Score with the hooks on minus score with the hooks off (gaps): what scoring a steered model with its own push adds.

    Left: at each layer's dev strength, on test prompts, beside the gain that is reported (hooks off). Right: on dev, by
    strength.
    """
    concept = main_concept(run)
    title = f"What the push adds to the score by itself ({concept})"
    test = measured(select(table, concept=concept, stage="test", condition="layer", measure="leak"))
    dev = measured(select(table, concept=concept, stage="dev", condition="steered", measure="leak"))
    if test.empty and dev.empty:
        return unmeasured(title, "no text was scored with the hooks on.")
    figure = panels(title, ["Test prompts (gaps)", "Leak on dev prompts (gaps), by strength"], columns=2, height=450)
    gain = measured(select(table, concept=concept, stage="test", condition="layer", measure="gain"))
    _series(figure, test, "leak: hooks on minus hooks off", VERMILLION, "square", panel=1)
    _series(figure, gain if len(test) else gain.head(0), "gain as reported, hooks off", BLUE, "circle", panel=1)
    method = choice_of(run, concept).get("method")
    dev = dev[(dev["method"] == method) | dev["method"].isna()] if method in set(dev["method"]) else dev
    greys = ("#9a9a9a", "#757575", "#505050", "#1a1a1a")
    for place, strength in enumerate(sorted(dev["strength"].dropna().unique())):
        label, colour = f"leak, strength {percent(strength)}", greys[min(place, 3)]
        _series(figure, dev[dev["strength"] == strength], label, colour, SYMBOLS[(place + 2) % 8], panel=2)
    for panel, frame in ((1, test), (2, dev)):
        layers = sorted({int(layer) for layer in frame["layer"].dropna()})
        level(figure, 0, panel=panel)
        if layers:
            layer_axis(figure, layers, panel=panel)
            not_chosen(figure, layers, drawn_only(run), panel=panel)
        else:
            axis = "" if panel == 1 else "2"
            note(figure, "not measured", x=0.5, y=0.5, xref=f"x{axis} domain", yref=f"y{axis} domain")
    return figure


def _series(figure: go.Figure, frame: pd.DataFrame, label: str, colour: str, symbol: str, *, panel: int) -> None:
    frame = frame[frame["layer"].notna()]
    if frame.empty:
        return
    # Dev cells overlap too much for bars; their intervals are in the hover text.
    bars = interval(frame, colour=colour if panel == 1 else MUTED) if panel == 1 else {}
    figure.add_scatter(
        x=frame["layer"].tolist(), y=frame["estimate"].tolist(), mode="lines+markers", name=label,
        line={"color": colour, "width": 1.5}, marker={"symbol": symbol, "size": 8, "color": colour}, hoverinfo="text",
        hovertext=[
            f"<b>{label}</b>, layer {int(row.layer)}"
            + ("" if pd.isna(row.strength) else f", strength {percent(row.strength)} of the norm")
            + f"<br>{reading(row, of='prompts')}"
            for row in frame.itertuples()
        ],
        **bars, **on(panel),
    )  # fmt: skip
