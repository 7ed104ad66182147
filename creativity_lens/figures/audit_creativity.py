"""Entropy is not creativity: both numbers of every text, and how far they go together."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.audit_forest import Point, around, forest
from creativity_lens.figures.audit_rows import (
    TEMPERATURE,
    Condition,
    Look,
    by,
    conditions_of,
    kept,
    main_conditions,
    of_part,
    strings,
)
from creativity_lens.figures.rating_rows import correlation, label
from creativity_lens.figures.style import MUTED, axes, level, on, panels, unmeasured, upright

MOST_POINTS = 250  # of one condition: more would only blacken the paper and swell the page
TEXTS, PROMPTS = "entropy and creativity", "spread and creativity"
SAID = {TEXTS: "texts of a prompt: entropy and creativity", PROMPTS: "prompts: semantic spread and creativity"}


def entropy_creativity(table: pd.DataFrame, texts: pd.DataFrame, meta: dict[str, Any]) -> go.Figure:
    """The score (gaps) against next-token entropy (nats), text by text, and their rank correlation per condition.

    Both numbers are drawn minus their prompt's mean in that condition, which is what a correlation within prompts sees.

        >>> entropy_creativity(audit.table, audit.texts, audit.meta).show()  # doctest: +SKIP
    """
    scored = str(meta.get("scored") or "creativity")
    also = "" if scored == "creativity" else f", and not {label(scored)}"
    title = f"Entropy is not creativity{also}: the two numbers of every text"
    found = by(of_part(table, "correlation"), "condition", "measure")
    conditions = [each for each in conditions_of(meta) if each.kind != TEMPERATURE]
    clouds = {each.name: centred(texts, each.name) for each in main_conditions(meta)}
    drawn = [each for each in main_conditions(meta) if len(clouds[each.name])]
    listed = [each for each in conditions if (each.name, TEXTS) in found or (each.name, PROMPTS) in found]
    if not drawn and not listed:
        return unmeasured(title, "no text has both an entropy and a creativity score.")
    heads = ["Every text, minus its prompt’s mean", "Rank correlation ρ"]
    figure = panels(title, heads, columns=2, height=max(460, 150 + 54 * len(listed)), between=0.1)
    figure.update_layout(meta={"panels": 2, "each": max(300, 54 * len(listed))})
    figure.update_layout(legend={"itemsizing": "constant"})
    level(figure, 0.0, panel=1)
    upright(figure, 0.0, panel=1)
    for each in drawn:
        _cloud(figure, each, clouds[each.name])
    axes(
        figure,
        1,
        x={"title": {"text": "Entropy (nats)"}},
        y={"title": {"text": f"{label(scored[:1].upper() + scored[1:])} (gaps)"}},
    )
    rows = [(f"{each.said}  <b>{_rho(found.get((each.name, TEXTS)))}</b>", _points(each, found)) for each in listed]
    ends = around([point.row for _, points in rows for point in points], also=(-0.3, 0.3))
    ends = [max(-1.05, ends[0]), min(1.05, ends[1])]
    forest(figure, rows, panel=2, x={"range": ends, "title": {"text": "ρ (−1 to 1)"}}, at=0.0)
    return figure


def centred(texts: pd.DataFrame, condition: str) -> pd.DataFrame:
    """Entropy and creativity of a condition's texts minus their prompt's means; prompts of one text are left out."""
    frame = texts.reindex(columns=["condition", "prompt_id", "text", "entropy", "creativity"])
    frame = kept(frame, "condition", {condition}).reset_index(drop=True)
    for column in ("entropy", "creativity"):
        frame[column] = pd.to_numeric(frame[column], errors="coerce").astype(float)
    frame = frame[np.isfinite(frame["entropy"]) & np.isfinite(frame["creativity"])]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(strings(frame["prompt_id"])))}
    frame = frame.assign(prompt_id=[numbers[name] for name in strings(frame["prompt_id"])])
    frame = frame[frame.groupby("prompt_id")["entropy"].transform("size") > 1] if len(frame) else frame
    if frame.empty:
        return frame
    values = frame[["entropy", "creativity"]]
    means = values.groupby(frame["prompt_id"]).transform("mean")
    return frame.assign(**{column: values[column] - means[column] for column in values})


def _cloud(figure: go.Figure, each: Condition, frame: pd.DataFrame) -> None:
    if len(frame) > MOST_POINTS:
        frame = frame.iloc[np.sort(np.random.default_rng(0).choice(len(frame), MOST_POINTS, replace=False))]
    said = each.said
    figure.add_scatter(
        x=frame["entropy"].round(3).tolist(),
        y=frame["creativity"].round(3).tolist(),
        mode="markers",
        marker=each.look.marker | {"size": 5, "opacity": 0.5},
        hovertext=[f"<b>{said}</b><br>{label(text, 60)}" for text in frame["text"]],
        hoverinfo="text+x+y",
        name=each.said,
        legendgroup=each.name,
        **on(1),
    )


def _points(each: Condition, found: dict[Any, Any]) -> list[Point]:
    points = []
    if (each.name, TEXTS) in found:
        points.append(
            Point(found[each.name, TEXTS], SAID[TEXTS], Look(each.look.colour, each.look.symbol, size=10), of="texts")
        )
    if (each.name, PROMPTS) in found:
        points.append(Point(found[each.name, PROMPTS], SAID[PROMPTS], Look(MUTED, "diamond-open")))
    return points


def _rho(row: Any | None) -> str:
    return "" if row is None else correlation(row.estimate)
