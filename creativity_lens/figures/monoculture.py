"""Generated text against human text about the same things, item by item."""

import math
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from creativity_lens.errors import check_choice
from creativity_lens.figures.rating_rows import label
from creativity_lens.figures.style import (
    BAND,
    BLUE,
    MUTED,
    VERMILLION,
    axes,
    interval,
    on,
    panels,
    refs,
    unmeasured,
)

LISTED = 6  # items named where several have the same two numbers
LARGEST = 34  # pixels of a point that stands for many items
LOOKS = {
    "narrower": ("narrower than its source", BLUE, "circle"),
    "equal": ("as wide", MUTED, "diamond"),
    "wider": ("wider than its source", VERMILLION, "square"),
}


def monoculture_figure(items: pd.DataFrame, meta: dict[str, Any], attribute: str | None = None) -> go.Figure:
    """Left each item's dispersion, generated over human, with the diagonal of "as different as people"; right how the
    items' means spread over ten bins, generated beside human.

    `items` and `meta` are a `Monoculture`'s; `attribute` is one of its attributes, by default the first. Items in
    the shaded half are narrower than people; items with equal numbers are one point, the larger the more they are; the
    cross is the mean with its 95 % intervals. Raises `InputError` for an attribute that was not measured.

        >>> monoculture_figure(found.items, found.meta).show()  # doctest: +SKIP
    """
    about = meta.get("attributes") or {}
    if not about:
        return unmeasured("Monoculture", "no attribute was compared.")
    name = check_choice("attribute", next(iter(about)) if attribute is None else attribute, about)
    told, rows = about[name], items[items["attribute"].astype(str) == name]
    unit = "bits" if told["unit"] == "bits" else ""
    heads = [f"Generated {label(told['measure'])}{' (bits)' * (unit == 'bits')}, by item", "Items"]
    title = f"Monoculture in {label(name)}: {len(rows)} items"
    figure = panels(title, heads, columns=2, height=470, between=0.12)
    _scatter(figure, rows, told, unit)
    _histogram(figure, told)
    return figure


def _scatter(figure: go.Figure, rows: pd.DataFrame, told: dict[str, Any], unit: str) -> None:
    known = rows[np.isfinite(rows["generated"].astype(float)) & np.isfinite(rows["source"].astype(float))]
    top = max([float(known[["generated", "source"]].to_numpy().max()) if len(known) else 0.0, 1e-6]) * 1.08
    corner = {"x0": 0, "y0": 0, "x1": top, "y1": top}
    figure.add_shape(type="line", **corner, **refs(1), line={"color": MUTED, "width": 1, "dash": "dot"}, layer="below")
    below = f"M 0 0 L {top} {top} L {top} 0 Z"
    figure.add_shape(type="path", path=below, **refs(1), line={"width": 0}, fillcolor=BAND, layer="below")
    points = known.assign(at_source=known["source"].round(6), at_generated=known["generated"].round(6))
    for which, (words, colour, symbol) in LOOKS.items():
        change = points["at_generated"] - points["at_source"]
        some = points[(change < 0) if which == "narrower" else (change > 0) if which == "wider" else (change == 0)]
        together = [(key, group) for key, group in some.groupby(["at_source", "at_generated"])]
        if not together:
            continue
        figure.add_scatter(
            x=[float(key[0]) for key, _ in together],
            y=[float(key[1]) for key, _ in together],
            mode="markers",
            marker={
                "symbol": symbol,
                "color": colour,
                "opacity": 0.6,
                "size": [min(LARGEST, 8 * math.sqrt(len(group))) for _, group in together],
                "line": {"width": 0.5, "color": "#ffffff"},
            },
            hovertext=[_said(group, unit) for _, group in together],
            hoverinfo="text",
            name=f"{words} ({len(some)})",
            **on(1),
        )
    _mean(figure, known, told)
    span = {"range": [-0.03 * top, top]}
    axes(
        figure,
        1,
        x={"title": {"text": f"Human {label(told['measure'])}{' (bits)' * (unit == 'bits')}"}, **span},
        y=span,
    )


def _mean(figure: go.Figure, known: pd.DataFrame, told: dict[str, Any]) -> None:
    ends = told.get("means") or {}
    if not {"generated", "source"} <= set(ends):
        return
    frames = {side: pd.DataFrame([ends[side]], columns=["estimate", "low", "high"], dtype=float) for side in ends}
    if frames["generated"]["estimate"].isna().any():
        return
    figure.add_scatter(
        x=frames["source"]["estimate"].tolist(),
        y=frames["generated"]["estimate"].tolist(),
        mode="markers",
        marker={"symbol": "x-thin", "size": 12, "color": "#000000", "line": {"width": 2.5, "color": "#000000"}},
        hovertext=[f"mean of {len(known)} items"],
        hoverinfo="text+x+y",
        name="mean of the items",
        **interval(frames["source"], colour="#000000", along="x"),
        **interval(frames["generated"], colour="#000000"),
        **on(1),
    )


def _histogram(figure: go.Figure, told: dict[str, Any]) -> None:
    bins = told["histogram"]
    edges = np.asarray(bins["edges"], dtype=float)
    middle = ((edges[:-1] + edges[1:]) / 2).tolist()
    width = float(edges[1] - edges[0])
    looks = (("generated", BLUE, "", -0.2), ("source", VERMILLION, "/", 0.2))
    for side, colour, shape, shift in looks:
        figure.add_bar(
            x=[at + shift * width for at in middle],
            y=list(bins[side]),
            width=0.38 * width,
            marker={"color": colour, "pattern": {"shape": shape, "bgcolor": colour, "fgcolor": "#ffffff", "size": 5}},
            hovertext=[
                f"{'generated' if side == 'generated' else 'human'}: {count} items from {low:.3g} to {high:.3g}"
                for count, low, high in zip(bins[side], edges[:-1], edges[1:], strict=True)
            ],
            hoverinfo="text",
            name="generated" if side == "generated" else "human",
            **on(2),
        )
    x = {"title": {"text": f"Item’s {label(told['mean'])}"}, "range": [float(edges[0]), float(edges[-1])]}
    axes(figure, 2, x=x, y={"rangemode": "tozero"})


def _said(group: pd.DataFrame, unit: str) -> str:
    first = group.iloc[0]
    names = [label(item, 30) for item in group["item"][:LISTED]]
    more = f" and {len(group) - LISTED} more" if len(group) > LISTED else ""
    ends = f"generated {first['generated']:.3f}, human {first['source']:.3f} {unit}".rstrip()
    return f"<b>{', '.join(names)}{more}</b><br>{ends}"
