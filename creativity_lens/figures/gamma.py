"""A sweep over gamma: what mixing the base model in does to diversity, quality and fidelity, and what that costs."""

import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.rows import number, plain, reading
from creativity_lens.figures.style import (
    BAND,
    BLACK,
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    VERMILLION,
    axes,
    interval,
    on,
    panels,
    refs,
    unmeasured,
    upright,
)

SPREAD, EAD, REPETITION, FIDELITY = "semantic spread", "EAD", "repetition", "fidelity"
BY_ALIGNED, BY_BASE = "surprisal, read by aligned", "surprisal, read by base"
AGAINST_GAMMA = (
    ("Diversity: semantic spread (1 − cosine)", ((SPREAD, "semantic spread", BLUE, "circle"),)),
    (
        "Quality: surprisal (nats per token)",
        (
            (BY_ALIGNED, "read by the aligned model, in its form", VERMILLION, "square"),
            (BY_BASE, "read by the base model, plain text", PURPLE, "diamond"),
        ),
    ),
    ("Fidelity: cosine, own prompt − other prompts", ((FIDELITY, "fidelity", GREEN, "triangle-up"),)),
    ("Quality: repeated 4-grams (share)", ((REPETITION, "repetition", ORANGE, "triangle-down"),)),
    ("Diversity: EAD of words (ratio)", ((EAD, "EAD", BLACK, "pentagon"),)),
)
COSTS = (
    ("Diversity against its price", BY_ALIGNED, "Surprisal, read by the aligned model (nats per token)"),
    ("Diversity as the base model reads", BY_BASE, "Surprisal, read by the base model (nats per token)"),
)
_TOO_FEW = "the diversity of fewer than two mixtures could be measured."
LOOKS = (("star", VERMILLION), ("hexagon", PURPLE), ("cross", BLACK), ("x", GREEN), ("diamond", ORANGE))


def price_figure(table: pd.DataFrame, meta: dict[str, Any]) -> go.Figure:
    """Diversity against surprisal as either model reads (up and left is better), with 95 % intervals over prompts.

    The curve is the mixtures, labelled by gamma; symbols are the baselines, a ring is the knee. The dashed chord joins
    the ends of the curve that the knee is looked for on.

        >>> price_figure(found.table, found.meta).show()  # doctest: +SKIP
    """
    title = "What diversity costs: mixtures and what they have to beat"
    if _mixtures(table) < 2:
        return unmeasured(title, _TOO_FEW)
    figure = panels(title, [head for head, _, _ in COSTS], columns=2, height=560, between=0.1)
    for panel, (_, measure, words) in enumerate(COSTS, start=1):
        _price(figure, table, measure, _looks(table), meta, panel)
        axes(figure, panel, x={"title": {"text": words}, "nticks": 7}, y={"nticks": 7})
    return figure


def gamma_figure(table: pd.DataFrame, meta: dict[str, Any]) -> go.Figure:
    """Diversity, quality and fidelity against gamma, with 95 % intervals over prompts.

    Curves are mixtures, single symbols the baselines, drawn at the gamma that they are compared at (open: read by the
    base model). The dotted line is the knee, the band its interval.

        >>> gamma_figure(found.table, found.meta).show()  # doctest: +SKIP
    """
    title = "Diversity, quality and fidelity against γ, the weight of the base model"
    if _mixtures(table) < 2:
        return unmeasured(title, _TOO_FEW)
    mixtures, looks = table[table["kind"] == "mixture"], _looks(table)
    figure = panels(title, [head for head, _ in AGAINST_GAMMA], columns=2, height=1080, between=0.1)
    for panel, (_, drawn) in enumerate(AGAINST_GAMMA, start=1):
        _knee_band(figure, meta, panel)
        for measure, label, colour, symbol in drawn:
            _curve(figure, mixtures[mixtures["measure"] == measure], label, colour, symbol, panel)
            for place, (name, look) in enumerate(looks.items()):
                some = table[(table["condition"] == name) & (table["measure"] == measure)]
                aside = 0.018 * (place - (len(looks) - 1) / 2)
                _baseline(figure, some, look, panel, aside=aside, hollow=measure == BY_BASE)
        ends = {"title": {"text": "γ: weight of the base model"}, "range": [-0.04, 1.04]}
        axes(figure, panel, x=ends, y={"nticks": 6})
    return figure


def _mixtures(table: pd.DataFrame) -> int:
    """How many mixtures have a measured diversity."""
    rows = table[(table["kind"] == "mixture") & (table["measure"] == SPREAD)]
    return int(rows["estimate"].notna().sum())


def _looks(table: pd.DataFrame) -> dict[str, tuple[str, str]]:
    names = dict.fromkeys(table[table["kind"] == "baseline"]["condition"])
    return {str(name): LOOKS[place % len(LOOKS)] for place, name in enumerate(names)}


def _curve(figure: go.Figure, frame: pd.DataFrame, label: str, colour: str, symbol: str, panel: int) -> None:
    figure.add_scatter(
        x=frame["gamma"].tolist(), y=frame["estimate"].tolist(), mode="lines+markers",
        line={"color": colour, "width": 1.5}, marker={"symbol": symbol, "size": 8, "color": colour},
        hovertext=[f"<b>γ = {row.gamma:g}</b>, {label}<br>{_said(row)}" for row in frame.itertuples()],
        hoverinfo="text", name=label, **interval(frame, colour=colour), **on(panel),
    )  # fmt: skip


def _baseline(
    figure: go.Figure, frame: pd.DataFrame, look: tuple[str, str], panel: int, *, aside: float, hollow: bool
) -> None:
    """At the gamma it is compared at, a little aside of the curve's point."""
    for row in frame[frame["estimate"].notna()].itertuples():
        name = str(row.condition)
        symbol, colour = look
        figure.add_scatter(
            x=[float(row.gamma) + aside], y=[float(row.estimate)], mode="markers",
            marker={"symbol": symbol + "-open" * hollow, "size": 11, "color": colour,
                    "line": {"width": 1.5 if hollow else 0.8, "color": colour if hollow else INK}},
            hovertext=[f"<b>{plain(name)}</b> ({plain(row.measure)})<br>{_said(row)}"], hoverinfo="text",
            name=f"baseline: {plain(name)}", legendgroup=name, showlegend=name not in _listed(figure),
            **interval(frame, colour=colour), **on(panel),
        )  # fmt: skip


def _price(
    figure: go.Figure, table: pd.DataFrame, measure: str, looks: dict[str, Any], meta: dict[str, Any], panel: int
) -> None:
    """Diversity over surprisal: the mixtures as a curve, labelled by gamma, and each baseline as a point."""
    both = _both(table, measure)
    curve = both[both["kind"] == "mixture"].sort_values("gamma")
    if len(curve) > 1 and measure == BY_ALIGNED:
        ends = curve.iloc[[0, -1]]
        figure.add_scatter(
            x=ends["price"].tolist(), y=ends["estimate"].tolist(), mode="lines", hoverinfo="skip",
            line={"color": MUTED, "width": 1, "dash": "dash"}, name="chord", showlegend=True, **on(panel),
        )  # fmt: skip
    knee = (meta.get("knee") or {}).get("gamma")
    step = max(1, round((len(curve) - 1) / 5))
    figure.add_scatter(
        x=curve["price"].tolist(), y=curve["estimate"].tolist(), mode="lines+markers+text",
        line={"color": BLUE, "width": 1.5}, marker={"symbol": "circle", "size": 8, "color": BLUE},
        text=[f"γ {gamma:g}" if place % step == 0 else "" for place, gamma in enumerate(curve["gamma"])],
        textposition="top left", textfont={"size": 11, "color": MUTED},
        hovertext=[_pair(row, f"γ = {row.gamma:g}", measure) for row in curve.itertuples()], hoverinfo="text",
        name="mixtures", legendgroup="mixtures", showlegend=panel == 1, **interval(curve, colour=BLUE),
        **on(panel),
    )  # fmt: skip
    at = curve[curve["gamma"] == knee] if knee is not None and not pd.isna(knee) else curve.iloc[:0]
    if not at.empty:
        figure.add_scatter(
            x=at["price"].tolist(), y=at["estimate"].tolist(), mode="markers",
            marker={"symbol": "circle-open", "size": 20, "color": BLACK, "line": {"width": 2}},
            hovertext=["<b>knee</b>"], hoverinfo="text", name="knee", legendgroup="knee", showlegend=panel == 1,
            **on(panel),
        )  # fmt: skip
    for row in both[both["kind"] == "baseline"].itertuples():
        name = str(row.condition)
        symbol, colour = looks[name]
        one = both[both["condition"] == name]
        across = one.assign(estimate=one["price"], low=one["price_low"], high=one["price_high"])
        figure.add_scatter(
            x=[float(row.price)], y=[float(row.estimate)], mode="markers",
            marker={"symbol": symbol, "size": 13, "color": colour, "line": {"width": 0.8, "color": INK}},
            hovertext=[_pair(row, plain(name), measure)], hoverinfo="text", name=f"baseline: {plain(name)}",
            legendgroup=name, showlegend=panel == 1, **interval(one, colour=colour),
            **interval(across, colour=colour, along="x"), **on(panel),
        )  # fmt: skip


def _listed(figure: go.Figure) -> set[Any]:
    return {trace.legendgroup for trace in figure.data}


def _both(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Spread rows with the surprisal of the same condition beside them: `price`, `price_low`, `price_high`."""
    spread = table[(table["measure"] == SPREAD) & table["estimate"].notna()]
    price = table[(table["measure"] == measure) & table["estimate"].notna()]
    price = price[["condition", "estimate", "low", "high"]]
    price = price.rename(columns={"estimate": "price", "low": "price_low", "high": "price_high"})
    return spread.merge(price, on="condition", how="inner")


def _knee_band(figure: go.Figure, meta: dict[str, Any], panel: int) -> None:
    knee = meta.get("knee") or {}
    gamma, low, high = (knee.get(name) for name in ("gamma", "low", "high"))
    if gamma is None or low is None or high is None or not math.isfinite(float(gamma)):
        return
    box = {"x0": float(low), "x1": float(high), "y0": 0, "y1": 1}
    figure.add_shape(type="rect", **box, **refs(panel, y="domain"), fillcolor=BAND, line={"width": 0}, layer="below")
    upright(figure, float(gamma), panel=panel, text=f"knee {float(gamma):g}")


def _said(row: Any) -> str:
    said = reading(row, of="prompts")
    if not pd.isna(row.change) and not pd.isna(row.change_low):
        said += f"<br>change from γ = 0: {number(row.change)}, {number(row.change_low)} to {number(row.change_high)}"
    return said


def _pair(row: Any, name: str, measure: str) -> str:
    price = f"{plain(measure)}: {number(row.price)} nats per token"
    if not pd.isna(row.price_low):
        price += f", 95 % interval {number(row.price_low)} to {number(row.price_high)}"
    return f"<b>{name}</b><br>{_said(row)}<br>{price}"
