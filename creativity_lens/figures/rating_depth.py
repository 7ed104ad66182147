"""Agreement with people by depth, beside what could have been seen, what raters allow, and what cheap scorers reach."""

import math
import textwrap
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.rating_rows import (
    DIRECTION,
    NO_CEILING,
    RATERS,
    about,
    cheap_scorers,
    correlation,
    first_row,
    label,
    level_words,
    of_set,
    panels_of,
    primary_layer,
    primary_of,
    short,
    spelled,
    subject,
)
from creativity_lens.figures.rows import by_layer, measured, number, plain
from creativity_lens.figures.style import (
    BAND,
    BLACK,
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    axes,
    interval,
    layer_axis,
    level,
    note,
    on,
    panels,
    refs,
    unmeasured,
    upright,
)

MOST_PANELS = 4
WIDE = 46  # characters of a note's line, which a telephone still shows
# Each cheap scorer has a colour, a symbol and a dash of its own.
LOOKS = (
    (VERMILLION, "square", "dash"),
    (GREEN, "triangle-up", "dot"),
    (PURPLE, "triangle-down", "dashdot"),
    (ORANGE, "star", "longdash"),
    (SKY, "pentagon", "longdashdot"),
    (BLACK, "hexagon", "4px,2px"),
)
COULD_SHOW = "weaker than this set could have shown (80 % power)"
HATCH = {"shape": "/", "fgcolor": "rgba(26, 26, 26, 0.25)", "bgcolor": "rgba(255, 255, 255, 0)", "size": 7}


def rating_depth(table: pd.DataFrame, meta: dict[str, Any], name: str) -> go.Figure:
    """Spearman's rho of score and rating per layer (left), and of each scorer on the same texts (right).

    Primary criterion and level of the set `name`, one row of panels per panel of raters. Bars are the table's 95 %
    intervals. The grey band holds the correlations too small for this set to have shown, the lines at +-ceiling are the
    square root of the raters' ICC(k) on the same texts at the same level (hatched: its interval); cheap scorers are
    horizontal lines. The ringed layer was fixed before any rating was read; the curve is exploratory, and the largest
    |rho| over layers stands with its permutation p.

        >>> rating_depth(validation.table, validation.meta, "ttcw").show()  # doctest: +SKIP
    """
    title = f"Agreement with people by depth. {subject(meta, name)}"
    shown = panels_of(table, meta, name)
    parts = [_part(table, meta, name, panel) for panel in shown[:MOST_PANELS]]
    parts = [part for part in parts if not measured(part["layers"]).empty]
    if not parts:
        return unmeasured(title, "no layer’s score was compared with these ratings.")
    heads = []
    for part in parts:
        who = f"panel {label(part['panel'], 24)}" if len(shown) > 1 else "by depth"
        heads += [f"Rank correlation ρ, {who}", "ρ of each scorer, same texts"]
    figure = panels(title, heads, columns=2, height=110 + 400 * len(parts))
    for row, part in enumerate(parts):
        curve, beside = 2 * row + 1, 2 * row + 2
        axes(figure, curve, x={"domain": [0, 0.58]})
        axes(figure, beside, x={"domain": [0.66, 1]})
        _draw_depth(figure, part, meta, panel=curve)
        _draw_scorers(figure, part, meta, panel=beside)
    return figure


def _part(table: pd.DataFrame, meta: dict[str, Any], name: str, panel: str) -> dict[str, Any]:
    """Everything that one panel of raters has at the primary criterion and level."""
    first = primary_of(meta, name)
    rows = of_set(table, name, criterion=first["criterion"], level=first["level"], panel=panel)
    direction = rows[rows["scorer"] == DIRECTION]
    layers = direction[(direction["measure"] == "rho") & direction["layer"].notna()].sort_values("layer")
    names = cheap_scorers(list(rows["scorer"]))
    cheap = rows[rows["scorer"].isin(names) & (rows["measure"] == "rho")]
    raters = rows[rows["scorer"] == RATERS]
    found = {
        "panel": panel,
        "compared": level_words(first["level"], about(meta, name).get("group_name") or "group"),
        "layers": layers.reset_index(drop=True),
        "partial": first_row(direction[direction["measure"] == "partial rho"]),
        "largest": first_row(direction[direction["measure"] == "p max"]),
        "cheap": [(each, first_row(cheap[cheap["scorer"] == each])) for each in names],
        "ceiling": first_row(raters[raters["measure"] == "ceiling"]),
        "icck": first_row(raters[raters["measure"] == "icck"]),
    }
    found["cheap"] = [(each, row) for each, row in found["cheap"] if row is not None and not pd.isna(row.estimate)]
    detectable = measured(layers)["detectable"].dropna()
    return found | {"detectable": float(detectable.iloc[0]) if len(detectable) else math.nan}


def _has_ceiling(part: dict[str, Any]) -> bool:
    return part["ceiling"] is not None and not pd.isna(part["ceiling"].estimate)


def _ceiling_ends(part: dict[str, Any]) -> tuple[float, float]:
    """The interval of the ceiling, from that of ICC(k); the ceiling itself where there is none."""
    row, top = part["icck"], float(part["ceiling"].estimate)
    if row is None or pd.isna(row.low) or pd.isna(row.high) or row.high < 0:
        return top, top
    return math.sqrt(max(0.0, row.low)), min(1.0, math.sqrt(row.high))


def _reach(part: dict[str, Any]) -> float:
    """How far the axis of the correlations goes from 0, on both sides: agreement and its opposite look alike."""
    rows = [*part["layers"].itertuples(), *(row for _, row in part["cheap"])]
    rows += [part["partial"]] if part["partial"] is not None else []
    ends = [abs(end) for row in rows for end in (row.estimate, row.low, row.high) if not pd.isna(end)]
    ends += [part["detectable"]] if not math.isnan(part["detectable"]) else []
    ends += [part["ceiling"].estimate] if _has_ceiling(part) else []
    return min(1.0, max([0.1, *ends])) * 1.06


def _notes(part: dict[str, Any]) -> list[str]:
    """Small print of the left panel, in lines that fit; escaped."""
    said = []
    if not _has_ceiling(part):
        why = "" if part["ceiling"] is None or pd.isna(part["ceiling"].note) else str(part["ceiling"].note)
        why = short(why, 200).removeprefix(NO_CEILING).lstrip(": ")
        said.append(f"No ceiling: {why}" if why else "No ceiling was measured")
    if part["largest"] is not None and not pd.isna(part["largest"].estimate):
        top, p = correlation(part["largest"].estimate), number(part["largest"].p)
        said.append(f"Largest |ρ| over layers {top}, permutation p\u00a0=\u00a0{p} (exploratory)")
    return [plain(line) for text in said for line in textwrap.wrap(text, WIDE)]


def _draw_depth(figure: go.Figure, part: dict[str, Any], meta: dict[str, Any], *, panel: int) -> None:
    frame = part["layers"]
    layers = [int(layer) for layer in frame["layer"]]
    reach, notes = _reach(part), _notes(part)
    ends = [min(layers) - 0.6, max(layers) + 0.6]
    _band(figure, part, ends, panel=panel, upright=False)
    level(figure, 0.0, panel=panel)
    for (scorer, row), (colour, symbol, dash) in zip(part["cheap"], LOOKS, strict=False):
        figure.add_scatter(
            x=ends,
            y=[row.estimate] * 2,
            mode="lines+markers",
            line={"color": colour, "width": 1.4, "dash": dash},
            marker={"symbol": symbol, "size": 7, "color": colour},
            hovertext=[spelled(scorer, row)] * 2,
            hoverinfo="text",
            name=label(scorer),
            legendgroup=f"cheap {scorer}",
            legendrank=4,
            showlegend=panel == 1,
            cliponaxis=False,
            **on(panel),
        )
    _curve(figure, frame, meta, panel=panel)
    # The marked layer is named at the top, the notes stand at the foot: room for both beyond what is drawn.
    floor = -reach - 2 * reach * 0.075 * len(notes)
    axes(
        figure,
        panel,
        y={
            "range": [floor, reach * (1.24 if _has_ceiling(part) else 1.16)],
            "title": {"text": f"ρ {label(part['compared'], 30)}"},
        },
    )
    layer_axis(figure, layers, panel=panel, title="Layer (0 = after the first block)")
    chosen = primary_layer(meta)
    if chosen in layers:
        left = chosen < (layers[0] + layers[-1]) / 2
        upright(figure, float(chosen), panel=panel)
        at = {"x": chosen, "y": 1, "yanchor": "top", "xanchor": "left" if left else "right"}
        note(figure, "\u2002layer fixed in advance\u2002", **at, **refs(panel, y="domain"))
    if _has_ceiling(part):
        # Above its line, at the end that the name of the layer leaves free on a narrow screen too.
        middle = chosen is not None and 0.25 <= (chosen - ends[0]) / (ends[1] - ends[0]) < 0.5
        at = {"x": ends[0 if middle else 1], "xanchor": "left" if middle else "right", "yanchor": "bottom"}
        said = f"\u2002ceiling {correlation(part['ceiling'].estimate)}\u2002"
        note(figure, said, y=_ceiling_ends(part)[1], **at, **refs(panel))
    if notes:
        at = {"x": 0.012, "y": 0.01, "xanchor": "left", "yanchor": "bottom", "align": "left"}
        note(figure, "<br>".join(notes), **at, **refs(panel, x="domain", y="domain"))


def _curve(figure: go.Figure, frame: pd.DataFrame, meta: dict[str, Any], *, panel: int) -> None:
    chosen = primary_layer(meta)
    for name, rows, symbol, size in (
        ("direction of each layer (exploratory)", frame, "circle-open", 8),
        ("direction at the layer fixed in advance", frame[frame["layer"] == chosen], "circle", 12),
    ):
        primary = symbol == "circle"
        rows = measured(rows) if primary else rows
        if rows.empty:
            continue
        figure.add_scatter(
            x=rows["layer"].tolist(),
            y=[None if pd.isna(value) else value for value in rows["estimate"]],
            mode="markers" if primary else "lines+markers",
            line={"color": BLUE, "width": 1.5},
            marker={"symbol": symbol, "size": size, "color": BLUE, "line": {"width": 1.6, "color": BLUE}},
            hovertext=[spelled(f"direction, layer {int(row.layer)}", row) for row in rows.itertuples()],
            hoverinfo="text",
            name=name,
            legendgroup=name,
            legendrank=1 if primary else 2,
            showlegend=panel == 1,
            **interval(rows, colour=BLUE),
            **on(panel),
        )


def _draw_scorers(figure: go.Figure, part: dict[str, Any], meta: dict[str, Any], *, panel: int) -> None:
    """One row per scorer, named above its bar, so that names take no margin on a narrow screen."""
    chosen, reach = primary_layer(meta), _reach(part)
    entries: list[tuple[str, Any, str, str]] = []
    row = by_layer(part["layers"]).get(chosen) if chosen is not None else None
    if row is not None and not pd.isna(row.estimate):
        entries.append((f"direction, layer {chosen}", row, BLUE, "circle"))
    if part["partial"] is not None and not pd.isna(part["partial"].estimate):
        entries.append(("the same, given length and surprisal", part["partial"], BLUE, "diamond-open"))
    for (scorer, cheap), (colour, symbol, _) in zip(part["cheap"], LOOKS, strict=False):
        entries.append((scorer, cheap, colour, symbol))
    ends = [-len(entries) + 0.3, 0.9]
    _band(figure, part, ends, panel=panel, upright=True)
    upright(figure, 0.0, panel=panel)
    for place, (said, row, colour, symbol) in enumerate(entries):
        frame = pd.DataFrame([{"estimate": row.estimate, "low": row.low, "high": row.high}])
        figure.add_scatter(
            x=[row.estimate],
            y=[-place],
            mode="markers",
            marker={"symbol": symbol, "size": 10, "color": colour, "line": {"width": 1.6, "color": colour}},
            hovertext=[spelled(said, row)],
            hoverinfo="text",
            name=label(said),
            showlegend=False,
            **interval(frame, colour=colour, along="x"),
            **on(panel),
        )
        at = {"x": 0.5, "y": -place, "xanchor": "center", "yanchor": "bottom", "yshift": 6}
        named = {"text": f"{label(said)} <b>{correlation(row.estimate)}</b>", "font": {"size": 12, "color": INK}}
        figure.add_annotation(**named, showarrow=False, **at, **refs(panel, x="domain"))
    axes(
        figure,
        panel,
        x={"range": [-reach, reach], "title": {"text": f"ρ {label(part['compared'], 30)}"}},
        y={"range": ends, "showticklabels": False, "showgrid": False, "ticks": ""},
    )


def _band(figure: go.Figure, part: dict[str, Any], ends: list[float], *, panel: int, upright: bool) -> None:
    """What could not have been shown (grey), and the raters' ceiling on both sides with its interval (hatched)."""

    def draw(across: list[float], name: str, **look: Any) -> None:
        along = [ends[0], ends[1], ends[1], ends[0]] if len(across) == 4 else ends
        x, y = (across, along) if upright else (along, across)
        listed = not upright and name not in {trace.name for trace in figure.data}
        figure.add_scatter(
            x=x,
            y=y,
            name=name,
            legendgroup=name,
            legendrank=3,
            showlegend=listed,
            hoverinfo="skip",
            **look,
            **on(panel),
        )

    edge = part["detectable"]
    if not math.isnan(edge):
        look = {"mode": "lines", "line": {"width": 0}, "fill": "toself", "fillcolor": BAND}
        draw([-edge, -edge, edge, edge], COULD_SHOW, **look)
    if not _has_ceiling(part):
        return
    top = float(part["ceiling"].estimate)
    low, high = _ceiling_ends(part)
    if high > low:
        look = {"mode": "lines", "line": {"width": 0}, "fill": "toself", "fillpattern": HATCH}
        for sign in (1, -1):
            draw([sign * low, sign * low, sign * high, sign * high], "the ceiling’s 95 % interval", **look)
    for sign in (1, -1):
        draw([sign * top] * 2, "raters’ ceiling, ±√ICC(k)", mode="lines", line={"color": INK, "width": 2})
