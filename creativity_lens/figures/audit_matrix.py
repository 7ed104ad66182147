"""Conditions against conditions as coloured cells, each with its number: who is like whom, and who reads whom."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.audit_rows import CELL, Condition, by, conditions_of, hover, of_part
from creativity_lens.figures.rating_rows import correlation
from creativity_lens.figures.style import INK, axes, colour_bar, on, panels, unmeasured

BESIDE = 6  # columns that two panels have side by side, with their names; more stand below one another, by number
MOST_NUMBERS = 14  # columns whose cells can hold a number
# Pale enough for dark numbers in every cell.
BLUES = [[0.0, "#ffffff"], [0.5, "#c3dcee"], [1.0, "#6fb1dc"]]
OCHRES = [[0.0, "#ffffff"], [0.5, "#fbdcb4"], [1.0, "#f3a55f"]]


def similarity(table: pd.DataFrame, texts: pd.DataFrame, meta: dict[str, Any]) -> go.Figure:
    """How alike two texts of one prompt are, condition by condition (mean cosine), and the floor: texts of two prompts.

    Both panels share one scale. On the diagonal are texts of one condition with each other.

        >>> similarity(audit.table, audit.texts, audit.meta).show()  # doctest: +SKIP
    """
    title = "How alike are two texts, within and between conditions?"
    frame = of_part(table, "similarity")
    parts = {measure: by(frame[frame["measure"] == measure], "condition", "against") for measure in ("cosine", "floor")}
    shown = [each for each in conditions_of(meta) if any((each.name, each.name) in found for found in parts.values())]
    if not shown:
        return unmeasured(title, "no texts were embedded.")
    heads = ["Two texts of the same prompt (cosine)", "Floor: different prompts (cosine)"]
    wide = len(shown) <= BESIDE
    tall = 44 * max(4, len(shown))
    height = 200 + tall if wide else 200 + 2 * tall + 110
    figure = panels(title, heads, columns=2 if wide else 1, height=height, between=0.16)
    figure.update_layout(meta={"panels": 2, "each": tall})
    for panel, found in enumerate(parts.values(), start=1):
        _matrix(figure, found, shown, shown, panel, "writes, and", "writes")
    values = [row.estimate for found in parts.values() for row in found.values()]
    scale = {"colorscale": BLUES, "cmin": min([0.0, *values]), "cmax": max(values), "colorbar": colour_bar("cosine")}
    figure.update_layout(coloraxis=scale | {"showscale": not wide})
    return figure


def readers(table: pd.DataFrame, texts: pd.DataFrame, meta: dict[str, Any]) -> go.Figure:
    """Who wrote against who reads: mean surprisal (nats per token) of each condition's texts under each reader.

    >>> readers(audit.table, audit.texts, audit.meta).show()  # doctest: +SKIP
    """
    title = "Whose texts surprise whom?"
    found = by(of_part(table, "readers", measure="surprisal"), "condition", "against")
    conditions = conditions_of(meta)
    writers = [each for each in conditions if each.name in {writer for writer, _ in found}]
    readers = [each for each in conditions if each.name in {reader for _, reader in found} and each.kind == CELL]
    if not writers or not readers:
        return unmeasured(title, "no model read another one’s texts.")
    figure = panels(title, ["Surprisal (nats per token)"], height=190 + 44 * max(3, len(writers)))
    _matrix(figure, found, writers, readers, 1, "wrote,", "reads")
    axes(figure, 1, x={"title": {"text": "who reads"}}, y={"title": {"text": "who wrote"}})
    values = [row.estimate for row in found.values()]
    pale = min(values) - 0.25 * ((max(values) - min(values)) or 1.0)  # no measured cell is white
    scale = {"colorscale": OCHRES, "cmin": pale, "cmax": max(values), "colorbar": colour_bar("nats per token")}
    figure.update_layout(coloraxis=scale | {"showscale": len(readers) > BESIDE})
    return figure


def _matrix(
    figure: go.Figure,
    found: dict[Any, Any],
    down: list[Condition],
    across: list[Condition],
    panel: int,
    one: str,
    other: str,
) -> None:
    cells = [[found.get((row.name, column.name)) for column in across] for row in down]
    figure.add_heatmap(
        x=list(range(len(across))),
        y=[-place for place in range(len(down))],
        z=[[None if row is None else float(row.estimate) for row in line] for line in cells],
        text=[["–" if row is None else correlation(row.estimate) for row in line] for line in cells],
        hovertext=[
            [
                f"<b>{a.said}</b> {one} <b>{b.said}</b> {other}<br>not measured"
                if row is None
                else hover(row, f"{a.said} {one} {b.said} {other}")
                for b, row in zip(across, line, strict=True)
            ]
            for a, line in zip(down, cells, strict=True)
        ],
        hoverinfo="text",
        coloraxis="coloraxis",
        texttemplate="%{text}" if len(across) <= MOST_NUMBERS else None,
        textfont={"color": INK},
        xgap=2,
        ygap=2,
        **on(panel),
    )
    look = {"showgrid": False, "ticks": "", "showline": False, "tickfont": {"size": 11}}
    rows, columns = [each.wrapped for each in down], [each.wrapped for each in across]
    if len(across) > BESIDE:  # their names would overlap: the columns go by the numbers of the rows
        numbers = {each.name: place for place, each in enumerate(down, start=1)}
        rows = [f"{numbers[each.name]}. {name}" for each, name in zip(down, rows, strict=True)]
        columns = [str(numbers.get(each.name, "–")) for each in across]
    x = {"tickvals": list(range(len(across))), "ticktext": columns, "range": [-0.52, len(across) - 0.48]}
    y = {"tickvals": [-place for place in range(len(down))], "ticktext": rows, "range": [-len(down) + 0.48, 0.52]}
    axes(figure, panel, x=look | x, y=look | y)
