"""Where the concept can be read: per layer with its controls, across domains and kinds, and beside nuisances."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.rows import (
    by_layer,
    choice_of,
    main_concept,
    measured,
    percent,
    plain,
    reading,
    select,
)
from creativity_lens.figures.style import (
    BLACK,
    BLUE,
    DASHES,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    SERIES,
    SYMBOLS,
    VERMILLION,
    axes,
    interval,
    layer_axis,
    level,
    note,
    on,
    panels,
    unmeasured,
)


def readout(table: pd.DataFrame, run: dict[str, Any]) -> go.Figure:
    """How well each layer's direction reads held-out dev pairs, with its lexical controls and shuffled labels.

    Four panels over depth: AUC (share), paired accuracy (share), stability and the two methods' agreement (cosine), and
    the margin between the sides on dev (gaps; a direction whose margin is not above 0 is never chosen).
    """
    concept = main_concept(run)
    title = f"Read-out of held-out dev pairs, layer by layer ({concept})"
    auc = measured(select(table, concept=concept, stage="readout", condition="direction", measure="auc"))
    if auc.empty:
        return unmeasured(title, "no direction was read out.")
    heads = ["AUC (share)", "Paired accuracy (share)", "Stability, agreement (cosine)", "Margin on dev pairs (gaps)"]
    figure = panels(title, heads, columns=2, height=760)
    for panel, measure in ((1, "auc"), (2, "paired_accuracy")):
        _accuracy(figure, table, concept, measure, panel=panel)
    wanted = [("stability", "stability: directions of random halves of the topics", GREEN, "triangle-up", 3)]
    wanted += [("method_cosine", "mean difference against first component", PURPLE, "square", 3)]
    wanted += [("dev_margin", "margin on dev pairs", ORANGE, "diamond", 4)]
    for measure, label, colour, symbol, panel in wanted:
        frame = measured(select(table, concept=concept, stage="readout", condition="direction", measure=measure))
        _line(figure, frame, label, colour, symbol, "solid", panel=panel)
    layers = sorted({int(layer) for layer in auc["layer"].dropna()})
    controls = select(table, concept=concept, stage="readout", condition="token_embeddings", measure="auc")
    for panel in (1, 2, 3, 4):
        layer_axis(figure, [-1, *layers] if panel < 3 and len(controls) else layers, panel=panel)
        chosen = choice_of(run, concept).get("readout_layer")
        if chosen is not None:
            axis = "" if panel == 1 else str(panel)
            line = {"color": INK, "width": 1, "dash": "dot"}
            place = {"xref": f"x{axis}", "yref": f"y{axis} domain"}
            figure.add_shape(type="line", x0=chosen, x1=chosen, y0=0, y1=1, line=line, layer="below", **place)
            if panel == 1:
                note(figure, " scores are read here", x=chosen, y=0, xanchor="left", yanchor="bottom", **place)
    axes(figure, 3, y={"range": [min(0.0, _lowest(figure, "y3")) - 0.02, 1.04]})
    level(figure, 0, panel=4)
    return figure


def _accuracy(figure: go.Figure, table: pd.DataFrame, concept: str, measure: str, *, panel: int) -> None:
    level(figure, 0.5, panel=panel, text="chance")
    looks = {
        "mean_difference": ("mean difference", BLUE, "circle"),
        "first_component": ("first component", VERMILLION, "square"),
    }
    ends = []
    for method, (label, colour, symbol) in looks.items():
        frame = measured(
            select(table, concept=concept, stage="readout", condition="direction", measure=measure, method=method)
        )
        _line(figure, frame, label, colour, symbol, "solid", panel=panel)
        ends.append(frame)
    shuffled = measured(select(table, concept=concept, stage="readout", condition="shuffled", measure=measure))
    _line(figure, shuffled, "labels shuffled", MUTED, "x-thin", "dot", panel=panel)
    tokens = measured(select(table, concept=concept, stage="readout", condition="token_embeddings", measure=measure))
    _line(figure, tokens.assign(layer=-1.0), "token embeddings (layer −1)", PURPLE, "diamond", "solid", panel=panel)
    words = measured(select(table, concept=concept, stage="readout", condition="tfidf", measure=measure))
    layers = [layer for frame in ends for layer in frame["layer"].dropna()] or [0.0]
    for row in words.head(1).itertuples():
        figure.add_scatter(
            x=[-1.4, max(layers) + 0.4], y=[row.estimate] * 2, mode="lines", name="tf-idf of the words",
            line={"color": BLACK, "width": 1.5, "dash": "dash"}, legendgroup="tf-idf", showlegend=panel == 1,
            hovertext=[f"<b>tf-idf of the words</b><br>{measure} {reading(row, of='topics')}"] * 2, hoverinfo="text",
            **on(panel),
        )  # fmt: skip
    every = pd.concat([*ends, shuffled, tokens, words], ignore_index=True)
    lowest = min([0.4, *every["low"].dropna(), *every["estimate"].dropna()])
    axes(figure, panel, y={"range": [max(lowest - 0.03, -0.02), 1.02]})


def _line(
    figure: go.Figure, frame: pd.DataFrame, label: str, colour: str, symbol: str, dash: str, *, panel: int
) -> None:
    frame = frame[frame["layer"].notna()]
    if frame.empty:
        return
    shown = {str(trace.legendgroup) for trace in figure.data}
    figure.add_scatter(
        x=frame["layer"].tolist(), y=frame["estimate"].tolist(), mode="lines+markers", name=label, legendgroup=label,
        showlegend=label not in shown, line={"color": colour, "width": 1.5, "dash": dash},
        marker={"symbol": symbol, "size": 8, "color": colour, "line": {"width": 1.5, "color": colour}},
        hovertext=[
            f"<b>{label}</b>, layer {int(row.layer)}<br>{str(row.measure).replace('_', ' ')} {reading(row, of='topics')}"
            for row in frame.itertuples()
        ],
        hoverinfo="text", **interval(frame, colour=colour), **on(panel),
    )  # fmt: skip


def _lowest(figure: go.Figure, axis: str) -> float:
    return min((min(trace.y) for trace in figure.data if trace.yaxis == axis and len(trace.y)), default=0.0)


def transfer(table: pd.DataFrame, run: dict[str, Any]) -> go.Figure:
    """AUC of each layer's direction on a domain it never saw, and from one kind of pair to another."""
    concept = main_concept(run)
    title = f"Does the direction carry over? AUC on what it was not fitted on ({concept})"
    parts = []
    for condition, label in (("left_out_domain", "left out: {}"), ("transfer", "{}")):
        frame = select(table, concept=concept, stage="readout", condition=condition, measure="auc")
        groups = [label.format(plain(group)) for group in frame["group"].fillna("unnamed")]
        parts.append(frame.assign(label=groups)[frame["layer"].notna()])
    rows = pd.concat(parts, ignore_index=True)
    if measured(rows).empty:
        return unmeasured(title, "no domain was left out and no transfer was tried.")
    labels = list(dict.fromkeys(rows["label"]))[::-1]
    layers = sorted({int(layer) for layer in rows["layer"]})
    found = {label: by_layer(rows[rows["label"] == label]) for label in labels}
    figure = panels(title, ["AUC (share; 0.5 = chance)"], height=170 + 34 * len(labels))
    figure.add_heatmap(
        x=layers, y=labels, z=[[_value(found[label].get(layer)) for layer in layers] for label in labels],
        hovertext=[[_cell(found[label].get(layer), label, layer) for layer in layers] for label in labels],
        hoverinfo="text", colorscale="Cividis", zmin=0.5, zmax=1, xgap=2, ygap=2,
        texttemplate="%{z:.2f}" if len(layers) <= 16 else None,
        colorbar={"title": {"text": "AUC"}, "thickness": 12, "outlinewidth": 0},
    )  # fmt: skip
    layer_axis(figure, layers, panel=1)
    axes(figure, 1, y={"type": "category", "showgrid": False})
    return figure


def _value(row: Any) -> float | None:
    return None if row is None or pd.isna(row.estimate) else row.estimate


def _cell(row: Any, label: str, layer: int) -> str:
    return f"<b>{label}</b>, layer {layer}<br>AUC " + ("not measured" if row is None else reading(row, of="topics"))


def nuisance(table: pd.DataFrame, run: dict[str, Any]) -> go.Figure:
    """Cosines of each layer's direction with nuisance directions, and the gain left when those are projected out."""
    concept = main_concept(run)
    title = f"Is it only length, sentiment, register or formality? ({concept})"
    cosines = measured(select(table, concept=concept, stage="readout", condition="nuisance", measure="cosine"))
    left = measured(select(table, concept=concept, stage="test", condition="nuisance_removed", measure="gain_left"))
    if cosines.empty and left.empty:
        return unmeasured(title, "no nuisance direction was made.")
    figure = panels(title, ["Cosine with the direction", "Gain left at the chosen cell (gaps)"], columns=2, height=470)
    groups = list(dict.fromkeys([*cosines["group"].dropna(), *left["group"].dropna()]))
    layers = sorted({int(layer) for layer in cosines["layer"].dropna()})
    width = (run.get("model") or {}).get("d_model")
    if width and layers:
        # Two random directions of d dimensions have a cosine of standard deviation 1 / sqrt(d).
        figure.add_shape(
            type="rect", x0=0, x1=1, y0=-1.96 / width**0.5, y1=1.96 / width**0.5, xref="x domain", yref="y",
            fillcolor="rgba(89, 89, 89, 0.14)", line={"width": 0}, layer="below",
        )  # fmt: skip
    if layers:
        level(figure, 0, panel=1)
        layer_axis(figure, layers, panel=1)
    widest = max([0.3, *cosines["estimate"].abs(), *cosines["low"].abs().dropna(), *cosines["high"].abs().dropna()])
    axes(figure, 1, y={"range": [-1.08 * widest, 1.08 * widest]})
    for place, group in enumerate(groups):
        look = (SERIES[place % len(SERIES)], SYMBOLS[place % len(SYMBOLS)], DASHES[place % len(DASHES)])
        _line(figure, cosines[cosines["group"] == group], plain(group), *look, panel=1)
    _gain_left(figure, table, concept, left, groups)
    return figure


def _gain_left(figure: go.Figure, table: pd.DataFrame, concept: str, left: pd.DataFrame, groups: list[Any]) -> None:
    chosen = measured(select(table, concept=concept, stage="test", condition="chosen", measure="gain"))
    shown = [("nothing removed", row, INK, "circle") for row in chosen.head(1).itertuples()]
    for row in left.itertuples():
        place = groups.index(row.group) if row.group in groups else 0
        shown.append((f"without {plain(row.group)}", row, SERIES[place % len(SERIES)], SYMBOLS[place % len(SYMBOLS)]))
    for label, row, colour, symbol in shown:
        frame = pd.DataFrame([row._asdict()])
        where = "" if pd.isna(row.layer) else f", layer {int(row.layer)}"
        where += "" if pd.isna(row.strength) else f", strength {percent(row.strength)} of the norm"
        figure.add_scatter(
            x=[row.estimate], y=[label], mode="markers", showlegend=False,
            marker={"symbol": symbol, "size": 10, "color": colour},
            hovertext=[f"<b>{label}</b>{where}<br>gain {reading(row, of='prompts')}"], hoverinfo="text",
            **interval(frame, colour=colour, along="x"), **on(2),
        )  # fmt: skip
    axes(figure, 2, x={"title": {"text": "Gain (gaps)"}, "rangemode": "tozero"})
    axes(figure, 2, y={"type": "category", "autorange": "reversed", "showgrid": False})
    if not shown:
        note(figure, "not measured", x=0.5, y=0.5, xref="x2 domain", yref="y2 domain")
