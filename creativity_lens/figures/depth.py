"""The depth curve: the gain of every layer on test prompts, over the band of its controls."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.controls import draw_band, draw_flips
from creativity_lens.figures.rows import (
    by_cell,
    by_layer,
    choice_of,
    control_concept,
    drawn_only,
    main_concept,
    measured,
    percent,
    plain,
    reading,
    select,
)
from creativity_lens.figures.style import (
    BLUE,
    MUTED,
    VERMILLION,
    axes,
    interval,
    layer_axis,
    level,
    log_axis,
    not_chosen,
    on,
    panels,
    unmeasured,
)

BESIDE = ("coherence", "faithfulness", "leak", "kl")


def depth_curve(table: pd.DataFrame, run: dict[str, Any], *, concept: str | None = None) -> go.Figure:
    """Gain per layer at its dev strength, from **test** rows, against depth (left) and against KL (right).

    Unit: gaps. Bars are the table's 95 % intervals over prompts; the band holds the middle 90 % and 50 % of the
    controls drawn at each layer; short dashes at the chosen layer are the balanced label flips of the test. Filled
    points are in the confidence set of layers; diamonds were drawn but never up for choice.

        >>> sweep.figure("depth").show()  # doctest: +SKIP
    """
    concept = concept or main_concept(run)
    title = f"Gain of each layer on test prompts ({plain(concept)})"
    gains = measured(select(table, concept=concept, stage="test", condition="layer", measure="gain"))
    gains = gains[gains["layer"].notna()].drop_duplicates("layer")
    if gains.empty:
        return unmeasured(title, "no layer was tested.")
    figure = panels(title, ["Gain (gaps), by depth", "Gain (gaps), by size of the push"], columns=2, height=470)
    layers = [int(layer) for layer in gains["layer"]]
    pushes = _pushes(table, concept, gains)
    gains = gains.assign(
        push=[pushes.get(layer, float("nan")) for layer in layers], said=_said(table, run, concept, gains)
    )
    not_chosen(figure, layers, drawn_only(run), panel=1)
    for panel in (1, 2):
        level(figure, 0.0, panel=panel)
        axes(figure, panel, y={"range": _shared_range(table, run)})
    draw_band(figure, table, concept, pushes)
    draw_flips(figure, table, concept)
    _points(figure, run, concept, gains)
    layer_axis(figure, layers, panel=1, title="Layer (0 = after the first block)")
    _push_axis(figure, pushes)
    return figure


def control_curve(table: pd.DataFrame, run: dict[str, Any]) -> go.Figure:
    """The depth curve of the positive control, on the same axes as the depth curve of the main concept."""
    concept = control_concept(run)
    if concept is None:
        return unmeasured("Gain of each layer on test prompts (positive control)", "it has no positive control.")
    return depth_curve(table, run, concept=concept)


def _pushes(table: pd.DataFrame, concept: str, gains: pd.DataFrame) -> dict[int, float]:
    """KL of each layer's push: measured on test, else taken from the screening of the same layer and strength."""
    tested = by_layer(measured(select(table, concept=concept, stage="test", condition="layer", measure="kl")))
    screened = by_cell(measured(select(table, concept=concept, stage="screen", condition="steered", measure="kl")))
    found = {}
    for row in gains.itertuples():
        layer = int(row.layer)
        other = tested.get(layer) or screened.get((layer, round(row.strength, 6)))
        if other is not None:
            found[layer] = float(other.estimate)
    return found


def _said(table: pd.DataFrame, run: dict[str, Any], concept: str, gains: pd.DataFrame) -> list[str]:
    beside = {
        name: by_layer(select(table, concept=concept, stage="test", condition="layer", measure=name)) for name in BESIDE
    }
    best, shares = _layer_set(run, concept)
    said = []
    for row in gains.itertuples():
        layer = int(row.layer)
        lines = [
            f"<b>layer {layer}</b>"
            + ("" if pd.isna(row.strength) else f", strength {percent(row.strength)} of the norm")
        ]
        lines += [f"gain {reading(row, of='prompts')}"]
        lines += [f"{name} {reading(rows[layer], of='prompts')}" for name, rows in beside.items() if layer in rows]
        if layer in best:
            lines.append("in the confidence set: not separable from the best layer")
        if layer in shares:
            lines.append(f"chosen in {percent(shares[layer])} of resampled sets of dev prompts")
        if layer in drawn_only(run):
            lines.append("drawn, not up for choice")
        said.append("<br>".join(lines))
    return said


def _layer_set(run: dict[str, Any], concept: str) -> tuple[set[int], dict[int, float]]:
    if concept != main_concept(run):
        return set(), {}
    found = run.get("layer_set") or {}
    shares = {int(layer): float(share) for layer, share in (found.get("selection_share") or {}).items()}
    return {int(layer) for layer in found.get("confidence_set") or []}, shares


def _points(figure: go.Figure, run: dict[str, Any], concept: str, gains: pd.DataFrame) -> None:
    best, _ = _layer_set(run, concept)
    never = drawn_only(run)
    up = gains[~gains["layer"].isin(never)]
    if best:
        kinds = [
            ("in the confidence set of layers", up[up["layer"].isin(best)], "circle", BLUE),
            ("other layers", up[~up["layer"].isin(best)], "circle-open", BLUE),
        ]
    else:
        kinds = [("layers", up, "circle", BLUE)]
    kinds.append(("drawn, not up for choice", gains[gains["layer"].isin(never)], "diamond-open", MUTED))
    ends = {gains["layer"].min(), gains["layer"].max(), choice_of(run, concept).get("layer")}
    named = set(gains["layer"]) if len(gains) <= 12 else ends  # more names than that would cover one another
    for panel, along in ((1, "layer"), (2, "push")):
        shown = gains[gains[along].notna()]
        if panel == 1:
            figure.add_scatter(
                x=shown["layer"].tolist(),
                y=shown["estimate"].tolist(),
                mode="lines",
                line={"color": BLUE, "width": 1},
                hoverinfo="skip",
                showlegend=False,
                **on(panel),
            )
        for name, frame, symbol, colour in kinds:
            frame = frame[frame[along].notna()]
            if frame.empty:
                continue
            figure.add_scatter(
                x=frame[along].tolist(),
                y=frame["estimate"].tolist(),
                mode="markers+text" if panel == 2 else "markers",
                text=[f"\u2002{int(layer)}\u2002" if layer in named else "" for layer in frame["layer"]],
                textposition=[_side(row, gains) for row in frame.itertuples()],
                textfont={"size": 12},
                marker={"symbol": symbol, "size": 10, "color": colour, "line": {"width": 2, "color": colour}},
                hovertext=frame["said"].tolist(),
                hoverinfo="text",
                name=name,
                legendgroup=name,
                showlegend=panel == 1,
                **interval(frame, colour=colour),
                **on(panel),
            )
        chosen = gains[gains["layer"] == choice_of(run, concept).get("layer")]
        chosen = chosen[chosen[along].notna()]
        figure.add_scatter(
            x=chosen[along].tolist(),
            y=chosen["estimate"].tolist(),
            mode="markers",
            marker={"symbol": "circle-open", "size": 20, "color": VERMILLION, "line": {"width": 2}},
            hoverinfo="skip",
            name="chosen on dev prompts",
            legendgroup="chosen",
            showlegend=panel == 1 and not chosen.empty,
            **on(panel),
        )


def _side(row: Any, gains: pd.DataFrame) -> str:
    """Where the name of a point goes in the panel against KL: away from its nearest neighbours."""
    width, height = gains["push"].max(), gains["high"].max() - min(0.0, gains["low"].min())
    near = gains[(gains["estimate"] - row.estimate).abs() < 0.09 * height]
    away = near["push"] - row.push
    right, left = ((side > 0) & (side < 0.08 * width) for side in (away, -away))
    return "middle right" if not right.any() else "top right" if left.any() else "middle left"


def _shared_range(table: pd.DataFrame, run: dict[str, Any]) -> list[float]:
    """One range for the main concept and its positive control, so that the two pictures can be laid side by side."""
    ends = [0.0]
    for concept in (main_concept(run), control_concept(run)):
        for condition in ("layer", "flip") if concept else ():
            frame = select(table, concept=str(concept), stage="test", condition=condition, measure="gain")
            ends += [end for column in ("estimate", "low", "high") for end in frame[column].dropna()]
    band = measured(select(table, concept=main_concept(run), stage="test", condition="band", measure="gain"))
    for share in (0.05, 0.95):
        ends += band.groupby("layer")["estimate"].quantile(share).tolist()
    pad = 0.07 * (max(ends) - min(ends)) or 1.0
    return [min(ends) - pad, max(ends) + 1.5 * pad]


def _push_axis(figure: go.Figure, pushes: dict[int, float]) -> None:
    title = {"text": "KL of the next token (nats/token)"}
    values = [push for push in pushes.values() if push > 0]
    if not values:
        axes(figure, 2, x={"title": title, "showticklabels": False, "range": [0, 1], "showgrid": False})
        figure.add_annotation(
            text="KL was not measured", x=0.5, y=0.5, xref="x2 domain", yref="y2 domain", showarrow=False
        )
    elif max(values) / min(values) > 20:
        axes(figure, 2, x={"title": title} | log_axis(values))
    else:
        axes(figure, 2, x={"title": title, "range": [0, 1.15 * max(values)]})
