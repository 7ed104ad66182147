"""Where the concept can be read: per layer with its controls, and across domains and kinds of pair."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.rows import by_layer, choice_of, main_concept, measured, plain, reading, select
from creativity_lens.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    VERMILLION,
    axes,
    colour_bar,
    curve,
    layer_axis,
    level,
    on,
    panels,
    unmeasured,
    upright,
)


def readout(table: pd.DataFrame, run: dict[str, Any]) -> go.Figure:
    """How well each layer's direction reads held-out dev pairs, with its lexical controls and shuffled labels.

    Four panels over depth: AUC (share), paired accuracy (share), stability and the two methods' agreement (cosine), and
    the margin between the sides on dev (gaps; a direction whose margin is not above 0 is never chosen).
    """
    concept = main_concept(run)
    title = f"Read-out of held-out dev pairs, layer by layer ({plain(concept)})"
    auc = measured(_read(table, concept, "direction", "auc"))
    if auc.empty:
        return unmeasured(title, "no direction was read out.")
    heads = [
        "AUC (share; 0.5 is chance)",
        "Paired accuracy (share; 0.5 is chance)",
        "Stability and agreement (cosine)",
        "Margin on dev pairs (gaps)",
    ]
    figure = panels(title, heads, columns=2, height=780)
    _accuracy(figure, table, concept, "auc", panel=1)
    _accuracy(figure, table, concept, "paired_accuracy", panel=2)
    stability = measured(_read(table, concept, "direction", "stability"))
    agreement = measured(_read(table, concept, "direction", "method_cosine"))
    margin = measured(_read(table, concept, "direction", "dev_margin"))
    _line(figure, stability, "stability over halves of the topics", GREEN, "triangle-up", panel=3)
    _line(figure, agreement, "mean difference with first component", INK, "square", panel=3)
    _line(figure, margin, "margin on dev pairs", ORANGE, "diamond", panel=4)
    layers = sorted({int(layer) for layer in auc["layer"].dropna()})
    chosen = choice_of(run, concept).get("readout_layer")
    for panel in (1, 2, 3, 4):
        words = panel < 3 and any(-1.0 in (trace.x or ()) for trace in figure.data)
        layer_axis(figure, [-1, *layers] if words else layers, panel=panel)
        if chosen is not None:
            upright(
                figure, float(chosen), panel=panel, text="scores are read here" if panel == 1 else "", xanchor="left"
            )
    lowest = min([0.0, *stability["low"].dropna(), *stability["estimate"], *agreement["estimate"]])
    axes(figure, 3, y={"range": [lowest - 0.03, 1.04]})
    level(figure, 0.0, panel=4)
    return figure


def _read(table: pd.DataFrame, concept: str, condition: str, measure: str, method: str | None = None) -> pd.DataFrame:
    return select(table, concept=concept, stage="readout", condition=condition, measure=measure, method=method)


def _accuracy(figure: go.Figure, table: pd.DataFrame, concept: str, measure: str, *, panel: int) -> None:
    level(figure, 0.5, panel=panel)
    mean = measured(_read(table, concept, "direction", measure, "mean_difference"))
    component = measured(_read(table, concept, "direction", measure, "first_component"))
    shuffled = measured(_read(table, concept, "shuffled", measure))
    tokens = measured(_read(table, concept, "token_embeddings", measure)).assign(layer=-1.0)
    words = measured(_read(table, concept, "tfidf", measure)).head(1)
    _line(figure, mean, "mean difference", BLUE, "circle", panel=panel)
    # A little apart, or their bars would cover one another; the hover text names the layer.
    _line(figure, component, "first component", VERMILLION, "square", panel=panel, shift=0.15)
    _line(figure, shuffled, "labels shuffled", MUTED, "x-thin", panel=panel, dash="dot", shift=-0.15)
    _line(figure, tokens, "token embeddings (layer −1)", PURPLE, "diamond", panel=panel)
    last = max([0.0, *mean["layer"].dropna(), *component["layer"].dropna()])
    for row in words.itertuples():
        said = f"<b>tf-idf of the words</b><br>{measure.replace('_', ' ')} {reading(row, of='topics')}"
        figure.add_scatter(
            x=[-1.5, last + 0.5],
            y=[row.estimate] * 2,
            mode="lines",
            line={"color": BLACK, "width": 1.5, "dash": "dash"},
            hovertext=[said] * 2,
            hoverinfo="text",
            name="tf-idf of the words",
            legendgroup="tf-idf",
            showlegend=panel == 1,
            **on(panel),
        )
    every = pd.concat([mean, component, shuffled, tokens, words], ignore_index=True)
    lowest = min([0.4, *every["low"].dropna(), *every["estimate"]])
    axes(figure, panel, y={"range": [lowest - 0.03, 1.03]})


def _line(
    figure: go.Figure,
    frame: pd.DataFrame,
    label: str,
    colour: str,
    symbol: str,
    *,
    panel: int,
    dash: str = "solid",
    shift: float = 0.0,
) -> None:
    frame = frame[frame["layer"].notna()]
    hover = [
        f"<b>{label}</b>, layer {int(row.layer)}<br>{row.measure.replace('_', ' ')} {reading(row, of='topics')}"
        for row in frame.itertuples()
    ]
    frame = frame.assign(layer=frame["layer"] + shift)
    curve(figure, frame, hover, label=label, colour=colour, symbol=symbol, dash=dash, panel=panel)


def transfer(table: pd.DataFrame, run: dict[str, Any]) -> go.Figure:
    """AUC of each layer's direction on a domain it never saw, and from one kind of pair to another."""
    concept = main_concept(run)
    title = f"Does the direction carry over? AUC on what it was not fitted on ({plain(concept)})"
    parts = []
    for condition, label in (("left_out_domain", "left out: {}"), ("transfer", "{}")):
        frame = _read(table, concept, condition, "auc")
        parts.append(frame.assign(label=[label.format(plain(group)) for group in frame["group"]]))
    rows = pd.concat(parts, ignore_index=True)
    rows = rows[rows["layer"].notna()]
    if measured(rows).empty:
        return unmeasured(title, "no domain was left out and no transfer was tried.")
    labels = list(dict.fromkeys(rows["label"]))[::-1]
    layers = sorted({int(layer) for layer in rows["layer"]})
    found = {label: by_layer(rows[rows["label"] == label]) for label in labels}
    figure = panels(title, ["AUC (share; 0.5 is chance)"], height=170 + 36 * len(labels))
    figure.add_heatmap(
        x=layers,
        y=labels,
        z=[[_value(found[label].get(layer)) for layer in layers] for label in labels],
        hovertext=[[_said(found[label].get(layer), label, layer) for layer in layers] for label in labels],
        hoverinfo="text",
        colorscale="Cividis",
        zmin=0.5,
        zmax=1,
        xgap=2,
        ygap=2,
        texttemplate="%{z:.2f}" if len(layers) <= 16 else None,
        colorbar=colour_bar("AUC"),
    )
    layer_axis(figure, layers, panel=1)
    axes(figure, 1, y={"type": "category", "showgrid": False})
    return figure


def _value(row: Any) -> float | None:
    return None if row is None or pd.isna(row.estimate) else float(row.estimate)


def _said(row: Any, label: str, layer: int) -> str:
    return f"<b>{label}</b>, layer {layer}<br>AUC " + ("not measured" if row is None else reading(row, of="topics"))
