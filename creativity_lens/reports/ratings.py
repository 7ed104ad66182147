"""The report's section on people's ratings: what was compared with what, in words and tables, and its figures.

It reads a validation's table, texts and meta. One number of each set was fixed before any rating was read and stands
out; all others are marked exploratory. Panels of raters never share a cell.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.figures import draw_ratings, rating_overview
from creativity_lens.figures.rating_rows import (
    DIRECTION,
    about,
    cheap_scorers,
    first_row,
    levels_of,
    of_set,
    pair_rows,
    primary_layer,
    primary_of,
    rating_rows,
    short,
    with_ends,
)
from creativity_lens.figures.rating_rows import correlation as two_digits
from creativity_lens.figures.rows import number

# The outcome in words, and a symbol for those who skim; "no better than ..." names a cheap scorer.
OUTCOMES = {"agrees": "✓", "points the wrong way": "✗", "not enough evidence": "–"}
NO_BETTER = "no better than"
ORDER = ("pairs", "depth", "scatter", "calibration", "criteria")  # of a set's figures in the page
MOST_SETS = 12
MOST_BESIDE = 16  # rows of the primary criterion that stand open, in each set
MOST_ROWS = 250  # other rows, of all sets together
MOST_NOTES = 12
MOST_BYTES = 1_100_000  # of all figures of ratings together; the page has its own limit
SET_BYTES, ROW_BYTES = 60_000, 2_000  # of a set's tables, and of a further row in both of them


@runtime_checkable
class Rated(Protocol):
    """What the report reads of a validation: every number, every rated text, and what the sets are."""

    @property
    def table(self) -> pd.DataFrame:
        """One row per number."""

    @property
    def texts(self) -> pd.DataFrame:
        """One row per rated text, panel and criterion."""

    @property
    def meta(self) -> dict[str, Any]:
        """What was validated, and the verdict on each set."""


def ratings_section(found: Rated) -> dict[str, Any]:
    """The section in words and tables: `sets`, how many are `left` out, and the `bytes` to be kept for all that.

    A set has its title, facts, verdict, `first` (the rows of the primary criterion, the fixed one first) and `others`
    (all further ones), `pairs`, `scorers` (every scorer at the primary level) and notes.
    """
    names = list(found.meta.get("sets") or {})
    sets: list[dict[str, Any]] = []
    rows = 0
    for name in names[:MOST_SETS]:
        sets.append(_set(found, name, len(sets) + 1, most=MOST_ROWS - rows))
        rows += len(sets[-1]["others"])
    room = SET_BYTES * len(sets) + ROW_BYTES * rows
    return {"sets": sets, "layer": primary_layer(found.meta), "left": len(names) - len(sets), "bytes": room}


def ratings_figures(found: Rated, look: Callable[[int, go.Figure], dict[str, Any]], *, start: int) -> dict[str, Any]:
    """The figures of the section by their keys in the page, "ratings-all" and "ratings-1-depth" and so on.

    `look` turns a figure and its number into what the page needs, with its "json"; numbers go on from `start`. What a
    set is too small for is left out, and so is what would take the section over `MOST_BYTES`.
    """
    shown: dict[str, Any] = {}
    left = MOST_BYTES
    for key, figure in _drawn(found):
        if not figure.data:
            continue
        looked = look(start + len(shown), figure)
        left -= len(looked["json"])
        if left < 0:
            break
        shown[key] = looked
    return shown


def _drawn(found: Rated) -> Iterator[tuple[str, go.Figure]]:
    names = list(found.meta.get("sets") or {})[:MOST_SETS]
    if len(names) > 1:
        yield "ratings-all", rating_overview(found.table, found.meta)
    for place, name in enumerate(names, start=1):
        for kind in ORDER:
            if kind != "pairs" or about(found.meta, name).get("paired"):
                yield f"ratings-{place}-{kind}", draw_ratings(kind, found.table, found.texts, found.meta, name)


def _set(found: Rated, name: str, place: int, *, most: int) -> dict[str, Any]:
    said = about(found.meta, name)
    rows = rating_rows(found.table, found.meta, name)
    first, criterion = [row for row in rows if row["primary"]], primary_of(found.meta, name)["criterion"]
    beside = [row for row in rows if row["criterion"] == criterion and not row["primary"]]
    others = beside[MOST_BESIDE:] + [row for row in rows if row["criterion"] != criterion]
    verdict = said.get("verdict") or {}
    outcome = short(verdict.get("outcome") or "no verdict", 80)
    return {
        "place": place,
        "name": short(name, 120),
        "title": short(said.get("title") or name, 200),
        "facts": _facts(said),
        "outcome": outcome,
        "symbol": "=" if outcome.startswith(NO_BETTER) else OUTCOMES.get(outcome, "–"),
        "sentence": short(verdict.get("sentence") or "Nothing was claimed of this set.", 1000),
        "first": _row(first[0]) if first else None,
        "shown": [_row(row) for row in first + beside[:MOST_BESIDE]],
        "others": [_row(row) for row in others[:most]],
        "left": len(others[most:]),
        "group_name": str(said.get("group_name") or "group"),
        "overall": "overall" in levels_of(found.meta, name),
        "grouped": primary_of(found.meta, name)["level"] != "overall",
        "pairs": [_pair(row) for row in pair_rows(found.table, found.meta, name)],
        "scorers": _scorers(found, name),
        "notes": [short(note, 400) for note in (said.get("notes") or [])[:MOST_NOTES]],
    }


def _facts(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was rated by whom, as names and values."""
    texts, items, ratings = (said.get(key) for key in ("texts", "items", "ratings"))
    counted = f"{_count(items)} rated" if items is not None else ""
    if texts is not None:
        counted += f"{', ' if counted else ''}{_count(texts)} with a text that was read"
    if ratings is not None:
        counted += f"; {_count(ratings)} single ratings" if said.get("raters") != "means only" else ""
    raters = said.get("raters")
    who = "" if raters is None else _count(raters)
    panels = [str(panel) for panel in said.get("panels") or []]
    who += f", in panels that are kept apart: {short(', '.join(panels), 200)}" if len(panels) > 1 else ""
    criteria = ", ".join(str(each) for each in said.get("criteria") or [])
    facts = [("Texts", counted), ("Raters", who), ("Criteria", short(criteria, 400))]
    facts += [(head, short(said.get(head.lower()) or "", 300)) for head in ("Licence", "Source")]
    return [(head, text) for head, text in facts if text]


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _dash(text: str) -> str:
    return "–" if text == "not measured" else text


def _ends(value: Any, low: Any, high: Any) -> str:
    """A number with its interval, which a narrow cell does not tear apart."""
    said, bracket, ends = with_ends(value, low, high).partition("(")
    return said + bracket + ends.replace(" ", "\u00a0")


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """One row of `rating_rows`, every number as a cell."""
    cheap = f"{row['cheap']} {_ends(row['cheap_rho'], row['cheap_low'], row['cheap_high'])}"
    counted = "–" if math.isnan(row["n"]) else f"{row['n']:,.0f}"
    if not math.isnan(row["groups"]) and row["groups"] > 1:
        counted += f" ({row['groups']:,.0f})"
    partial = _ends(row["partial"], row["partial_low"], row["partial_high"])
    names = {key: short(row[key], 160) for key in ("criterion", "panel", "compared", "note", "no_ceiling")}
    return names | {
        "primary": row["primary"],
        "rho": _ends(row["rho"], row["low"], row["high"]),
        "p": _dash(number(row["p"])),
        "n": counted,
        "detectable": _dash(two_digits(row["detectable"])),
        "partial": _dash(partial),
        "ceiling": _dash(two_digits(row["ceiling"])),
        "share": "–" if math.isnan(row["share"]) else f"{100 * row['share']:.0f} %".replace("-", "−"),
        "cheap": cheap if row["cheap"] else "–",
        "icc1": _dash(two_digits(row["icc1"])),
        "icck": _dash(_ends(row["icck"], row["icck_low"], row["icck_high"])),
        "alpha": _dash(two_digits(row["alpha"])),
    }


def _pair(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("said", "criterion", "panel", "flipped")} | {
        "direction": row["scorer"] == DIRECTION,
        "accuracy": _ends(row["accuracy"], row["low"], row["high"]),
        "lead": _dash(_ends(row["lead"], row["lead_low"], row["lead_high"])),
        "p": _dash(number(row["lead_p"])),
        "n": "–" if math.isnan(row["n"]) else f"{row['n']:,.0f}",
    }


def _scorers(found: Rated, name: str) -> list[dict[str, Any]]:
    """Every layer and every cheap scorer at the primary criterion, panel and level: the numbers behind the figure."""
    rows = of_set(found.table, name, measure="rho", **primary_of(found.meta, name))
    direction = rows[(rows["scorer"] == DIRECTION) & rows["layer"].notna()].sort_values("layer")
    listed = [(f"direction, layer {int(row.layer)}", row) for row in direction.itertuples()]
    listed += [(each, first_row(rows[rows["scorer"] == each])) for each in cheap_scorers(list(rows["scorer"]))]
    return [
        {"scorer": said, "rho": _ends(row.estimate, row.low, row.high), "p": _dash(number(row.p))}
        | {"n": "–" if pd.isna(row.n) else f"{row.n:,.0f}"}
        | {"marks": "fixed in advance" if row.scorer == DIRECTION and row.layer == found.meta["primary_layer"] else ""}
        for said, row in listed
    ]
