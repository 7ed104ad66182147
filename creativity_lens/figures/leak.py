"""The leak: what a push adds to the score when the score is read with the push still on."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.rows import choice_of, drawn_only, main_concept, measured, percent, plain, reading, select
from creativity_lens.figures.style import (
    BLUE,
    SYMBOLS,
    VERMILLION,
    curve,
    layer_axis,
    level,
    not_chosen,
    note,
    panels,
    refs,
    unmeasured,
)

GREYS = ("#9a9a9a", "#757575", "#505050", "#1a1a1a")


def leak(table: pd.DataFrame, run: dict[str, Any]) -> go.Figure:
    """Gain read with the hooks on minus gain read with the hooks off, in gaps.

    Left: at each layer's dev strength, on test prompts, beside the gain that is reported (hooks off). Right: on dev, by
    strength. A study that scores with the hooks on would report the two of the left panel added up.
    """
    concept = main_concept(run)
    title = f"What the push adds to the score by itself ({plain(concept)})"
    test = measured(select(table, concept=concept, stage="test", condition="layer", measure="leak"))
    gain = measured(select(table, concept=concept, stage="test", condition="layer", measure="gain"))
    dev = measured(select(table, concept=concept, stage="dev", condition="steered", measure="leak"))
    test, gain, dev = (frame[frame["layer"].notna()] for frame in (test, gain, dev))
    if test.empty and dev.empty:
        return unmeasured(title, "no text was scored with the hooks on.")
    method = choice_of(run, concept).get("method")
    if method in set(dev["method"]):
        dev = dev[dev["method"] == method]
    figure = panels(title, ["Leak and gain on test (gaps)", "Leak on dev, by strength (gaps)"], columns=2, height=470)
    for panel, frame in ((1, test), (2, dev)):
        if frame.empty:
            note(figure, "not measured", x=0.5, y=0.5, **refs(panel, x="domain", y="domain"))
            continue
        layers = sorted({int(layer) for layer in frame["layer"]})
        not_chosen(figure, layers, drawn_only(run), panel=panel)
        level(figure, 0.0, panel=panel)
        layer_axis(figure, layers, panel=panel)
    _line(figure, test, "leak: hooks on minus hooks off", VERMILLION, "square", panel=1)
    if not test.empty:
        _line(figure, gain, "gain as reported, hooks off", BLUE, "circle", panel=1)
    for place, strength in enumerate(sorted(dev["strength"].dropna().unique())):
        shown = dev[dev["strength"] == strength]
        look = (GREYS[min(place, len(GREYS) - 1)], SYMBOLS[(place + 2) % len(SYMBOLS)])
        # The cells lie too close for bars; their intervals are in the hover text.
        _line(figure, shown, f"leak on dev, strength {percent(strength)}", *look, panel=2, bars=False)
    return figure


def _line(
    figure: go.Figure, frame: pd.DataFrame, label: str, colour: str, symbol: str, *, panel: int, bars: bool = True
) -> None:
    hover = [
        f"<b>{label}</b>, layer {int(row.layer)}"
        + ("" if pd.isna(row.strength) else f", strength {percent(row.strength)} of the norm")
        + f"<br>{reading(row, of='prompts')}"
        for row in frame.itertuples()
    ]
    curve(figure, frame, hover, label=label, colour=colour, symbol=symbol, panel=panel, bars=bars)
