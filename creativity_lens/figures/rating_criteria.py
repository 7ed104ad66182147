"""How the criteria hang together: does the score go with the criterion it is meant for, or with all alike?"""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.rating_rows import (
    CRITERION,
    DIRECTION,
    FEWEST,
    RATERS,
    about,
    correlation,
    first_row,
    label,
    level_words,
    of_set,
    ordered_panels,
    primary_layer,
    primary_of,
)
from creativity_lens.figures.style import INK, axes, colour_bar, on, panels, refs, unmeasured

MOST_CRITERIA = 16
MOST_NUMBERS = 8  # criteria whose cells can hold a number on a narrow screen; more get a colour bar
# Around 0, and pale enough for dark numbers in every cell.
SCALE = [[0.0, "#f3a55f"], [0.5, "#ffffff"], [1.0, "#6fb1dc"]]
MOST_PANELS = 4


def criteria_matrix(table: pd.DataFrame, meta: dict[str, Any], name: str) -> go.Figure:
    """Rank correlations between the criteria's mean ratings, at the primary level, one panel of raters at a time.

    On the diagonal, in brackets and not coloured, the raters' ICC(k) on the criterion; below, how the direction at the
    primary layer and the length of the text go with each. Sets of fewer than 100 texts or 2 criteria get a figure that
    says so.

        >>> criteria_matrix(validation.table, validation.meta, "hanna").show()  # doctest: +SKIP
    """
    title = f"The criteria with each other. {label(about(meta, name).get('title') or name, 60)}"
    first = primary_of(meta, name)
    rows = of_set(table, name, level=first["level"])
    between = rows[rows["scorer"].astype(str).str.startswith(CRITERION) & (rows["measure"] == "rho")]
    n = between["n"].max() if len(between) else about(meta, name).get("texts")
    if between.empty or n is None or not float(n) >= FEWEST:
        found = f"{len(about(meta, name).get('criteria') or [])} criteria on {n if n is not None else 'no'} texts"
        return unmeasured(title, f"a matrix of criteria needs 2 criteria on {FEWEST} texts; here are {label(found)}.")
    raters = ordered_panels(list(between["panel"].astype(str)), first["panel"])[:MOST_PANELS]
    criteria = [each for each in about(meta, name).get("criteria") or [] if each in set(between["criterion"])]
    criteria = sorted(criteria or dict.fromkeys(between["criterion"]), key=lambda each: each != first["criterion"])
    shown = [str(each) for each in criteria][:MOST_CRITERIA]
    left = f"; the first {len(shown)} of {len(criteria)} criteria" if len(criteria) > len(shown) else ""
    heads = [
        f"Rank correlation ρ{left}" + (f", panel {label(panel, 24)}" if len(raters) > 1 else "") for panel in raters
    ]
    height = (130 + 40 * (len(shown) + 2)) * len(raters) + 40
    figure = panels(f"{title}, {_level(meta, name)}", heads, height=height)
    for place, panel in enumerate(raters, start=1):
        _draw(figure, rows[rows["panel"].astype(str) == panel], meta, shown, panel=place)
    values = [value for trace in figure.data for line in trace.z for value in line if value is not None]
    most = max([0.5, *(abs(value) for value in values)])
    scale = {
        "colorscale": SCALE,
        "cmin": -most,
        "cmax": most,
        "colorbar": colour_bar("ρ"),
        "showscale": len(shown) > MOST_NUMBERS,
    }
    figure.update_layout(coloraxis=scale)
    return figure


def _level(meta: dict[str, Any], name: str) -> str:
    words = level_words(primary_of(meta, name)["level"], about(meta, name).get("group_name") or "group")
    return label(words)


def _draw(figure: go.Figure, rows: pd.DataFrame, meta: dict[str, Any], shown: list[str], *, panel: int) -> None:
    criteria = [[_find(rows, f"{CRITERION}{one}", other) for other in shown] for one in shown]
    layer = primary_layer(meta)
    beside = {"length": [_find(rows, "length", each) for each in shown]}
    if layer is not None:
        direction = [_find(rows, DIRECTION, each, layer=layer) for each in shown]
        beside = {f"direction, layer {layer}": direction} | beside
    beside = {said: found for said, found in beside.items() if any(row is not None for row in found)}
    for place, each in enumerate(shown):
        criteria[place][place] = _find(rows, RATERS, each, measure="icck")
        box = {"x0": place - 0.48, "x1": place + 0.48, "y0": -place - 0.48, "y1": -place + 0.48}
        figure.add_shape(type="rect", **box, **refs(panel), line={"color": INK, "width": 1, "dash": "dot"})
    heights = [-place for place in range(len(shown))]
    # Half a cell of air tells the scorers from the criteria.
    lower = [heights[-1] - 1.4 - place for place in range(len(beside))]
    for y, names, found in ((heights, shown, criteria), (lower, list(beside), list(beside.values()))):
        if not y:
            continue
        figure.add_heatmap(
            x=list(range(len(shown))),
            y=y,
            z=[[_coloured(row) for row in line] for line in found],
            text=[[_written(row) for row in line] for line in found],
            hovertext=[
                [_said(one, other, row) for other, row in zip(shown, line, strict=True)]
                for one, line in zip(names, found, strict=True)
            ],
            hoverinfo="text",
            coloraxis="coloraxis",
            texttemplate="%{text}" if len(shown) <= MOST_NUMBERS else None,
            textfont={"color": INK},
            xgap=2,
            ygap=2,
            **on(panel),
        )
    names = [label(each, 22) for each in (*shown, *beside)]
    plain = {"showgrid": False, "ticks": "", "showline": False}
    across = {"tickvals": list(range(len(shown))), "ticktext": names[: len(shown)], "range": [-0.52, len(shown) - 0.48]}
    down = {"tickvals": heights + lower, "ticktext": names, "range": [(lower or heights)[-1] - 0.52, 0.52]}
    # Names that do not fit side by side are turned, and end at their column: none is left out.
    across |= {"autotickangles": [0, -45], "ticklabeloverflow": "allow"}
    axes(figure, panel, x=plain | across, y=plain | down)


def _find(
    rows: pd.DataFrame, scorer: str, criterion: str, *, measure: str = "rho", layer: int | None = None
) -> Any | None:
    wanted = (rows["scorer"] == scorer) & (rows["criterion"] == criterion) & (rows["measure"] == measure)
    return first_row(rows[wanted & (rows["layer"] == layer)] if layer is not None else rows[wanted])


def _coloured(row: Any | None) -> float | None:
    """The colour of a cell; the raters' agreement is no correlation between criteria, and has none."""
    return None if row is None or pd.isna(row.estimate) or row.scorer == RATERS else float(row.estimate)


def _written(row: Any | None) -> str:
    if row is None or pd.isna(row.estimate):
        return "–"
    said = correlation(row.estimate)
    return f"({said.replace('0.', '.', 1)})" if row.scorer == RATERS else said


def _said(one: str, other: str, row: Any) -> str:
    lines = [f"<b>{label(one)}</b> with <b>{label(other)}</b>"]
    if row is None or pd.isna(row.estimate):
        return f"{lines[0]}<br>not measured"
    said = f"ρ {correlation(row.estimate)}"
    if row.scorer == RATERS:
        lines, said = [f"<b>{label(one)}</b>"], f"the raters’ ICC(k) {correlation(row.estimate)}"
    if not pd.isna(row.low) and not pd.isna(row.high):
        said += f", 95 % interval {correlation(row.low)} to {correlation(row.high)}"
    lines.append(said + ("" if pd.isna(row.n) else f"<br>n = {int(row.n)} texts"))
    return "<br>".join(lines)
