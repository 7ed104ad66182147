"""The controls under a depth curve: pushes along directions whose labels were flipped."""

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.rows import measured, number, reading, select
from creativity_lens.figures.style import BAND, GREEN, INNER_BAND, MUTED, on


def draw_band(figure: go.Figure, table: pd.DataFrame, concept: str, pushes: dict[int, float]) -> None:
    """The gain of the controls drawn at every layer: quantile bands over depth, upright bars against KL."""
    controls = measured(select(table, concept=concept, stage="test", condition="band", measure="gain"))
    if controls.empty:
        return
    shares = {"low": 0.05, "inner_low": 0.25, "middle": 0.5, "inner_high": 0.75, "high": 0.95}
    groups = controls.groupby("layer")["estimate"]
    band = pd.DataFrame({name: groups.quantile(share) for name, share in shares.items()})
    counts, prompts = groups.size(), controls.groupby("layer")["n"].max()
    layers = [int(layer) for layer in band.index]
    name = "controls: middle 90 % and 50 %"
    for low, high, colour in (("low", "high", BAND), ("inner_low", "inner_high", INNER_BAND)):
        figure.add_scatter(
            x=[*layers, *reversed(layers)],
            y=[*band[low], *reversed(band[high].tolist())],
            mode="lines",
            fill="toself",
            fillcolor=colour,
            line={"width": 0},
            hoverinfo="skip",
            name=name,
            legendgroup="band",
            showlegend=low == "low",
            **on(1),
        )
    said = [
        f"<b>layer {layer}</b>: {counts[layer]} controls (labels flipped)"
        f"<br>median gain {number(band['middle'][layer])} gaps"
        f"<br>middle 90 %: {number(band['low'][layer])} to {number(band['high'][layer])} gaps"
        + ("" if pd.isna(prompts[layer]) else f"<br>n = {int(prompts[layer])} prompts")
        for layer in layers
    ]
    figure.add_scatter(
        x=layers,
        y=band["middle"].tolist(),
        mode="lines",
        line={"color": MUTED, "width": 1, "dash": "dash"},
        hovertext=said,
        hoverinfo="text",
        name="controls: median",
        legendgroup="band",
        showlegend=False,
        **on(1),
    )
    for layer in layers:
        if layer in pushes:
            for low, high, width in (("low", "high", 5), ("inner_low", "inner_high", 11)):
                figure.add_scatter(
                    x=[pushes[layer]] * 2,
                    y=[band[low][layer], band[high][layer]],
                    mode="lines",
                    line={"color": "rgba(89, 89, 89, 0.25)", "width": width},
                    hovertext=said[layers.index(layer)],
                    hoverinfo="text",
                    legendgroup="band",
                    showlegend=False,
                    **on(2),
                )


def draw_flips(figure: go.Figure, table: pd.DataFrame, concept: str) -> None:
    """The gain of every balanced label flip of the test, as a short dash at the chosen layer."""
    flips = measured(select(table, concept=concept, stage="test", condition="flip", measure="gain"))
    flips = flips[flips["layer"].notna()]
    if not flips.empty:
        figure.add_scatter(
            x=flips["layer"].tolist(),
            y=flips["estimate"].tolist(),
            mode="markers",
            marker={"symbol": "line-ew", "size": 13, "line": {"width": 1.5, "color": GREEN}},
            hovertext=[
                f"balanced label flip {place + 1} of {len(flips)}<br>gain {reading(row, of='prompts')}"
                for place, row in enumerate(flips.itertuples())
            ],
            hoverinfo="text",
            name=f"{len(flips)} label flips at the chosen layer",
            **on(1),
        )
