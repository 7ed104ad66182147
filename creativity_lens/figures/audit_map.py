"""The texts of a prompt as points: a picture of two directions out of hundreds, and never a number."""

import textwrap
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.audit_rows import Condition, kept, main_conditions, strings
from creativity_lens.figures.rating_rows import label, short
from creativity_lens.figures.rows import plain
from creativity_lens.figures.style import axes, on, panels, unmeasured

MOST_PROMPTS = 6
MOST_POINTS = 40  # of one prompt and condition


def semantic_map(table: pd.DataFrame, texts: pd.DataFrame, meta: dict[str, Any]) -> go.Figure:
    """Texts of the first prompts in the audit's two-dimensional picture, a panel per prompt, all of the same width.

    `meta["picture"]` says how the picture was made. No number of the audit is read from it.

        >>> semantic_map(audit.table, audit.texts, audit.meta).show()  # doctest: +SKIP
    """
    title = "The texts of a prompt, in a picture of two dimensions"
    columns = ["condition", "prompt_id", "prompt", "text", "cluster", "x", "y"]
    frame = texts.reindex(columns=columns)
    for column in ("x", "y"):
        frame[column] = pd.to_numeric(frame[column], errors="coerce").astype(float)
    frame = frame[np.isfinite(frame["x"]) & np.isfinite(frame["y"])]
    conditions = main_conditions(meta)
    names = {each.name for each in conditions}
    frame = kept(frame, "condition", names)
    prompts = list(dict.fromkeys(strings(frame["prompt_id"])))[:MOST_PROMPTS]
    if not prompts:
        return unmeasured(title, "no texts were embedded.")
    asked = meta.get("prompts_text") or {}
    heads = [label(asked.get(prompt) or prompt, 36) for prompt in prompts]
    across = min(3, len(prompts))
    rows = -(-len(prompts) // across)
    figure = panels(title, heads, columns=across, height=130 + 270 * rows, between=0.05)
    parts = [kept(frame, "prompt_id", {prompt}) for prompt in prompts]
    # One width for all panels: a prompt whose texts stand closer must look closer.
    half = max(0.52 * float(np.ptp(part[axis])) for part in parts for axis in ("x", "y")) * 1.1 or 1.0
    for panel, part in enumerate(parts, start=1):
        for each in conditions:
            _points(figure, kept(part, "condition", {each.name}).head(MOST_POINTS), each, panel)
        middle = {axis: float(part[axis].min() + part[axis].max()) / 2 for axis in ("x", "y")}
        bare = {"showticklabels": False, "ticks": "", "mirror": True, "showgrid": False}
        axes(
            figure,
            panel,
            x=bare | {"range": [middle["x"] - half, middle["x"] + half]},
            y=bare | {"range": [middle["y"] - half, middle["y"] + half]},
        )
    return figure


def _points(figure: go.Figure, part: pd.DataFrame, each: Condition, panel: int) -> None:
    if part.empty:
        return
    listed = {trace.legendgroup for trace in figure.data}
    figure.add_scatter(
        x=part["x"].round(4).tolist(),
        y=part["y"].round(4).tolist(),
        mode="markers",
        marker=each.look.marker | {"opacity": 0.8, "size": 8},
        hovertext=[_said(row, each) for row in part.itertuples(index=False)],
        hoverinfo="text",
        name=each.said,
        legendgroup=each.name,
        showlegend=each.name not in listed,
        **on(panel),
    )


def _said(row: Any, each: Condition) -> str:
    cluster = "" if pd.isna(row.cluster) else f", cluster {int(row.cluster) + 1}"
    return "<br>".join([f"<b>{each.said}</b>{cluster}", *map(plain, textwrap.wrap(short(row.text, 150), 52))])
