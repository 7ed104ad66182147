"""What a percentile is worth: the mean rating of the texts that score alike."""

import math
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from scipy.special import stdtrit

from creativity_lens.figures.rating_rows import (
    FEWEST,
    about,
    correlation,
    label,
    level_words,
    levels_of,
    ordered_panels,
    primary_of,
    subject,
)
from creativity_lens.figures.rating_scatter import MOST_PANELS, primary_texts, within
from creativity_lens.figures.rows import sides_of
from creativity_lens.figures.style import BLUE, MUTED, axes, interval, note, on, panels, refs, unmeasured

FEWEST_CLUSTERS = 8


def rating_calibration(texts: pd.DataFrame, meta: dict[str, Any], name: str) -> go.Figure:
    """Mean rating of the texts in each tenth of the percentiles (in each fifth below 200 texts), panels apart.

    The percentile of a text is the share of creative test responses of like length that score lower. Bars are 95 %
    intervals over groups, or over texts in a set of fewer than 8 groups (Student t; none below 8 in a bin). Where texts
    of different groups are not compared, ratings are taken minus their group's mean. Sets of fewer than 100 such texts
    get a figure that says so.

        >>> rating_calibration(validation.texts, validation.meta, "hanna").show()  # doctest: +SKIP
    """
    title = f"Percentile and rating. {subject(meta, name, level=False)}"
    found = primary_texts(texts, meta, name)
    found = found[np.isfinite(found["percentile"])]
    first = primary_of(meta, name)
    centred = "overall" not in levels_of(meta, name) and first["level"] != "overall"
    shown = []
    for panel in ordered_panels(list(found["panel"]), first["panel"])[:MOST_PANELS]:
        frame = found[found["panel"] == panel]
        frame = within(frame, first["level"]) if centred else frame
        if len(frame) >= FEWEST:
            shown.append((panel, frame))
    if not shown:
        n = int(found.groupby("panel").size().max()) if len(found) else 0
        return unmeasured(title, f"a calibration needs {FEWEST} rated texts with a score; here are {n}.")
    words = level_words(first["level"], about(meta, name).get("group_name") or "group").removeprefix("within ")
    change = f" minus the mean of the {label(words, 24)}" if centred else ""
    heads = [f"Mean rating{change}" + (f", panel {label(panel, 24)}" if len(shown) > 1 else "") for panel, _ in shown]
    figure = panels(title, heads, columns=len(shown) if len(shown) < 3 else 2, height=400 if len(shown) < 3 else 760)
    side = label(sides_of(meta if "sides" in meta else meta.get("run") or {})[0], 24)
    for place, (_, frame) in enumerate(shown, start=1):
        _draw(figure, calibration(frame), frame, side, panel=place)
    return figure


def calibration(frame: pd.DataFrame) -> pd.DataFrame:
    """Texts with `percentile`, `rating` and `group` as bins of equal size: percentile, estimate, low, high, n, groups.

    Texts of the same percentile stay in one bin, so there may be fewer bins than tenths.
    """
    bins = 10 if len(frame) >= 200 else 5
    parts = pd.qcut(frame["percentile"], bins, labels=False, duplicates="drop")
    parts = parts.fillna(0)  # one percentile for all texts has no quantiles
    grouped = frame["group"].nunique() >= FEWEST_CLUSTERS
    rows = []
    for _, part in frame.groupby(parts):
        ratings = part["rating"].to_numpy()
        # A text without a group stands for itself.
        named = zip(part["item"], part["group"], strict=True)
        clusters = np.array([
            f"group {group}" if grouped and not pd.isna(group) else f"item {item}" for item, group in named
        ])  # fmt: skip
        estimate, half = _mean(ratings, clusters)
        rows.append(
            {"percentile": part["percentile"].mean(), "from": part["percentile"].min(), "to": part["percentile"].max()}
            | {"estimate": estimate, "low": estimate - half, "high": estimate + half}
            | {"n": len(part), "groups": len(set(clusters))}
        )
    return pd.DataFrame(rows)


def _mean(values: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    """The mean, and the half width of its interval from the clusters' sums of deviations; NaN below 8 clusters."""
    mean = float(values.mean())
    sums = pd.Series(values - mean).groupby(clusters).sum().to_numpy()
    many = len(sums)
    if many < FEWEST_CLUSTERS:
        return mean, math.nan
    error = math.sqrt(many / (many - 1) * float((sums**2).sum())) / len(values)
    return mean, float(stdtrit(many - 1, 0.975)) * error


def _draw(figure: go.Figure, rows: pd.DataFrame, frame: pd.DataFrame, side: str, *, panel: int) -> None:
    mean = float(frame["rating"].mean())
    figure.add_scatter(
        x=[0, 100],
        y=[mean, mean],
        mode="lines",
        line={"color": MUTED, "width": 1.2, "dash": "dash"},
        hoverinfo="skip",
        name="mean of all: a percentile that says nothing",
        legendgroup="mean",
        showlegend=panel == 1,
        **on(panel),
    )
    hover = [
        f"<b>percentile {row['from']:.0f} to {row['to']:.0f}</b><br>mean rating {correlation(row['estimate'])}"
        + ("" if math.isnan(row["low"]) else f", 95 % interval {correlation(row['low'])} to {correlation(row['high'])}")
        + f"<br>n = {row['n']} texts"
        for row in rows.to_dict("records")
    ]
    figure.add_scatter(
        x=rows["percentile"].tolist(),
        y=rows["estimate"].tolist(),
        mode="lines+markers",
        line={"color": BLUE, "width": 1.5},
        marker={"symbol": "circle", "size": 9, "color": BLUE},
        hovertext=hover,
        hoverinfo="text",
        name="mean of the texts that score alike",
        legendgroup="bins",
        showlegend=panel == 1,
        **interval(rows, colour=BLUE),
        **on(panel),
    )
    ends = [*rows["low"].dropna(), *rows["high"].dropna(), *rows["estimate"], mean]
    spread = float(frame["rating"].std())
    # One standard deviation of the ratings at least: a flat line must look flat.
    low, high = min(*ends, mean - spread), max(*ends, mean + spread)
    pad = 0.06 * (high - low) or 1.0
    sizes = f"{rows['n'].min()} to {rows['n'].max()} texts a point" if len(rows) > 1 else f"n = {len(frame)} texts"
    at = {"x": 0.015, "y": 0.99, "xanchor": "left", "yanchor": "top"}
    note(
        figure,
        f"n = {len(frame):,} texts, {sizes}" if len(rows) > 1 else sizes,
        **at,
        **refs(panel, x="domain", y="domain"),
    )
    axes(
        figure,
        panel,
        x={"range": [-3, 103], "title": {"text": f"Percentile among {side} test responses"}},
        y={"range": [low - pad, high + 2.5 * pad], "title": {"text": "Mean rating"}},
    )
