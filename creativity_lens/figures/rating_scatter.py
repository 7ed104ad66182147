"""Every rated text as a point: its score against its mean rating, panels of raters apart."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures.rating_rows import (
    DIRECTION,
    about,
    first_row,
    label,
    level_words,
    levels_of,
    of_set,
    ordered_panels,
    primary_layer,
    primary_of,
    subject,
    with_ends,
)
from creativity_lens.figures.style import BLUE, SERIES, SYMBOLS, axes, level, note, on, panels, refs, unmeasured

MOST_POINTS = 1200  # of one cloud: more would only blacken the paper and swell the page
MOST_PANELS = 4
MOST_AUTHORS = 6
CROWD = 250  # points from which they are drawn small and pale


def rating_scatter(table: pd.DataFrame, texts: pd.DataFrame, meta: dict[str, Any], name: str) -> go.Figure:
    """Mean rating of each text against its score (gaps), one row of panels per panel of raters.

    Left every text as it is, where the set is compared as a whole; right both numbers minus their group's mean, which
    is what a correlation within groups sees (a group of one text, or of equal ratings, carries nothing and is left
    out). Each panel says the
    table's rho. Of more than `MOST_POINTS` texts, a random sample that is the same each time is drawn, and said.

        >>> rating_scatter(validation.table, validation.texts, validation.meta, "ttcw").show()  # doctest: +SKIP
    """
    title = f"Score and rating, text by text. {subject(meta, name, level=False)}"
    found = primary_texts(texts, meta, name)
    if found.empty:
        return unmeasured(title, "no text has both a rating and a score.")
    first, levels = primary_of(meta, name), levels_of(meta, name)
    shown = [each for each in ("overall", first["level"]) if each in levels or each == first["level"]]
    shown = list(dict.fromkeys(shown))
    raters = ordered_panels(list(found["panel"]), first["panel"])
    group_name = about(meta, name).get("group_name") or "group"
    heads = []
    for panel in raters[:MOST_PANELS]:
        who = f", panel {label(panel, 24)}" if len(raters) > 1 else ""
        heads += [f"{_words(each, group_name)}{who}" for each in shown]
    figure = panels(title, heads, columns=len(shown), height=130 + 330 * len(raters[:MOST_PANELS]), between=0.12)
    place = 0
    for panel in raters[:MOST_PANELS]:
        for each in shown:
            place += 1
            frame = found[found["panel"] == panel]
            rho = _rho(table, meta, name, panel=panel, level=each)
            _draw(figure, frame if each == "overall" else telling(frame, each), rho, level_name=each, panel=place)
    return figure


def primary_texts(texts: pd.DataFrame, meta: dict[str, Any], name: str) -> pd.DataFrame:
    """The texts of a set with a rating on its primary criterion and a score; panels below one another."""
    columns = ["set", "item", "group", "author", "panel", "criterion", "rating", "n_ratings", "score", "percentile"]
    frame = texts.reindex(columns=columns)
    wanted = (frame["set"].astype(str) == str(name)) & (
        frame["criterion"].astype(str) == primary_of(meta, name)["criterion"]
    )
    frame = frame[wanted].reset_index(drop=True)
    for column in ("rating", "n_ratings", "score", "percentile"):
        frame[column] = pd.to_numeric(frame[column], errors="coerce").astype(float)
    kept = np.isfinite(frame["rating"]) & np.isfinite(frame["score"])
    frame["panel"] = frame["panel"].astype(str)
    return frame[kept].reset_index(drop=True)


def within(frame: pd.DataFrame, level_name: str) -> pd.DataFrame:
    """Rating and score minus their means within groups, authors or both; groups of one text are left out."""
    keys = [key for key in ("group", "author") if key in level_name]
    frame = frame[frame[keys].notna().all(axis=1)]
    for key in keys:
        frame = frame[frame.groupby(key)["item"].transform("size") > 1]
    values = frame[["rating", "score"]]
    for _ in range(50 if len(keys) > 1 else 1):  # alternating projections: what two crossed factors leave
        for key in keys:
            values = values - values.groupby(frame[key]).transform("mean")
    return frame.assign(**{column: values[column] for column in values})


def telling(frame: pd.DataFrame, level_name: str) -> pd.DataFrame:
    """`within`, of the texts that count in a correlation: a group whose ratings are all equal carries nothing."""
    if level_name in ("group", "author"):
        frame = frame[frame.groupby(level_name)["rating"].transform("nunique") > 1]
    return within(frame, level_name)


def _words(level_name: str, group_name: str) -> str:
    if level_name == "overall":
        return "All texts as they are"
    words = level_words(level_name, group_name).removeprefix("within ")
    return f"Minus the mean of the {label(words, 24)}"


def _rho(table: pd.DataFrame, meta: dict[str, Any], name: str, *, panel: str, level: str) -> Any | None:
    where = {"criterion": primary_of(meta, name)["criterion"], "panel": panel, "level": level}
    layer = primary_layer(meta)
    return first_row(of_set(table, name, **where, scorer=DIRECTION, measure="rho", layer=layer))


def _draw(figure: go.Figure, frame: pd.DataFrame, rho: Any | None, *, level_name: str, panel: int) -> None:
    n, centred = len(frame), level_name != "overall"
    if centred:
        level(figure, 0.0, panel=panel)
    if n > MOST_POINTS:
        kept = np.sort(np.random.default_rng(0).choice(n, MOST_POINTS, replace=False))
        frame = frame.iloc[kept]
    listed = {trace.name for trace in figure.data}
    for said, rows, colour, symbol in _series(frame):
        small = len(frame) > CROWD
        figure.add_scatter(
            x=rows["score"].round(4).tolist(),
            y=rows["rating"].round(4).tolist(),
            mode="markers",
            marker={"symbol": symbol, "size": 5 if small else 8, "color": colour, "opacity": 0.4 if small else 0.75},
            hovertext=[_said(row) for row in rows.itertuples()],
            hoverinfo="text+x+y",
            name=said,
            legendgroup=said,
            showlegend=said != "texts" and said not in listed,
            **on(panel),
        )
    lines = []
    if rho is not None:
        lines.append(
            f"ρ {with_ends(rho.estimate, rho.low, rho.high)}" if not pd.isna(rho.estimate) else "ρ not measured"
        )
    lines.append(f"n = {n:,} texts" if n <= MOST_POINTS else f"a random {MOST_POINTS:,} of {n:,} texts are drawn")
    at = {
        "x": 0.015,
        "y": 0.99,
        "xanchor": "left",
        "yanchor": "top",
        "align": "left",
        "bgcolor": "rgba(255,255,255,0.7)",
    }
    note(figure, "<br>".join(lines), **at, **refs(panel, x="domain", y="domain"))
    low, high = (frame["rating"].min(), frame["rating"].max()) if n else (0.0, 1.0)
    span = (high - low) or 1.0
    change = " minus mean" if centred else ""
    axes(
        figure,
        panel,
        x={"title": {"text": f"Score{change} (gaps)"}},
        y={"title": {"text": f"Mean rating{change}"}, "range": [low - 0.06 * span, high + 0.2 * span]},
    )


def _series(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame, str, str]]:
    """One series per author where authors and points are few, else one for all."""
    authors = sorted(frame["author"].dropna().astype(str).unique())
    if len(frame) > CROWD or not 2 <= len(authors) <= MOST_AUTHORS:
        return [("texts", frame, BLUE, "circle")]
    looks = zip(authors, SERIES, SYMBOLS, strict=False)
    found = [
        (label(each, 30), frame[frame["author"].astype(str) == each], colour, symbol) for each, colour, symbol in looks
    ]
    rest = frame[frame["author"].isna()]
    return found + ([("no author", rest, SERIES[-1], "x")] if len(rest) else [])


def _said(row: Any) -> str:
    lines = [f"<b>{label(row.item, 24)}</b>"]
    if not pd.isna(row.group):
        lines.append(label(row.group, 24))
    if not pd.isna(row.n_ratings):
        lines.append(f"{int(row.n_ratings)} ratings")
    return "<br>".join(lines)
