"""Reading the long table of a validation against people's ratings: its rows at the primary layer, and its words.

The table comes from a validation in memory or from a `ratings.csv` that was read back, so nothing here relies on
dtypes. One set has one *primary* number, fixed before any rating was read: one criterion, one panel of raters, one
level (overall, or within groups), at the sweep's read-out layer. Everything else is exploratory.
"""

import math
import re
import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd

from creativity_lens.figures.rows import number, plain

DIRECTION = "direction"
RATERS = "raters"
CRITERION = "criterion "  # a scorer "criterion NAME" is one criterion's rating read as the score of another
CHEAP = ("length", "word length", "type-token ratio", "surprisal", "distance to prompt")
FEWEST = 100  # texts below which a calibration or a matrix of criteria would be a picture of luck
NO_CEILING = "no ceiling"
# Control characters, and those that set the direction of the text that follows them.
_UNSEEN = "[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"

_TEXTS = ("set", "criterion", "panel", "level", "scorer", "measure", "note")
_NUMBERS = ("layer", "estimate", "low", "high", "p", "n", "groups", "df", "detectable")
# What people preferred, if a scorer is right in more than half of the pairs; and if in less.
PREFERRED = {
    "length": ("longer", "shorter"),
    "word length": ("longer words", "shorter words"),
    "type-token ratio": ("fewer repeated words", "more repeated words"),
    "surprisal": ("more surprising", "less surprising"),
    "distance to prompt": ("farther from the prompt", "nearer to the prompt"),
}


def of_set(table: pd.DataFrame, name: str, **where: Any) -> pd.DataFrame:
    """The rows of one set, and of the columns named in `where`, in the table's order; numbers as floats; maybe none."""
    wanted = table["set"].astype(str).isin([str(name)]) if "set" in table else pd.Series(False, index=table.index)
    for column, value in where.items():
        if column in _NUMBERS:
            wanted &= pd.to_numeric(table[column], errors="coerce") == value if column in table else False
        else:
            wanted &= table[column].astype(str).isin([str(value)]) if column in table else False
    frame = table[wanted].reindex(columns=[*_TEXTS, *_NUMBERS])
    numbers = {column: pd.to_numeric(frame[column], errors="coerce").astype(float) for column in _NUMBERS}
    return frame.assign(**numbers).reset_index(drop=True)


def about(meta: dict[str, Any], name: str) -> dict[str, Any]:
    """What `meta` says about one set; empty where it says nothing."""
    return dict((meta.get("sets") or {}).get(name) or {})


def primary_of(meta: dict[str, Any], name: str) -> dict[str, str]:
    """Criterion, panel and level that were fixed in advance, as the columns of the table."""
    found = about(meta, name).get("primary") or {}
    return {key: str(found.get(key, "")) for key in ("criterion", "panel", "level")}


def primary_layer(meta: dict[str, Any]) -> int | None:
    """The sweep's read-out layer."""
    layer = meta.get("primary_layer")
    return None if layer is None else int(layer)


def levels_of(meta: dict[str, Any], name: str) -> list[str]:
    """The levels at which the set was compared."""
    return [str(level) for level in about(meta, name).get("levels") or []]


def panels_of(table: pd.DataFrame, meta: dict[str, Any], name: str) -> list[str]:
    """The panels that rated on the primary criterion at the primary level, the primary one first."""
    first = primary_of(meta, name)
    rows = of_set(table, name, criterion=first["criterion"], level=first["level"], scorer=DIRECTION, measure="rho")
    return ordered_panels(list(rows["panel"].astype(str)), first["panel"])


def ordered_panels(panels: Sequence[str], first: str) -> list[str]:
    """Each panel once, `first` before the others."""
    return sorted(dict.fromkeys(panels), key=lambda panel: panel != first)


def cheap_scorers(scorers: Sequence[str]) -> list[str]:
    """The cheap scorers among the names of scorers: ours in their order, then any other in the table's."""
    there = list(dict.fromkeys(str(scorer) for scorer in scorers))
    others = [each for each in there if each not in (DIRECTION, RATERS, *CHEAP) and not each.startswith(CRITERION)]
    return [each for each in CHEAP if each in there] + others


def first_row(frame: pd.DataFrame) -> Any | None:
    """The first row as a named tuple, None for no row."""
    return next(frame.itertuples(index=False), None)


def rating_rows(table: pd.DataFrame, meta: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """How well the direction at the primary layer agrees with people: one dict per criterion, panel and level.

    The primary row comes first, then the other panels and levels of its criterion, then the rest in the table's order.
    Keys: `criterion`, `panel`, `level` (as in the table), `compared` (the level in words), `primary` (bool); `rho`,
    `low`, `high`, `p`, `n` (texts), `groups`, `detectable` (the smallest correlation that could have been shown);
    `partial`, `partial_low`, `partial_high`, `partial_p` (given length and surprisal); `icc1`, `icck`, `icck_low`,
    `icck_high`, `alpha`, `ceiling`, `share` (rho / ceiling) and `no_ceiling` (why there is none, else ""); `cheap`
    (the cheap scorer with the largest |rho|, else "") with `cheap_rho`, `cheap_low` and `cheap_high`; `note`. Numbers
    are floats, NaN where not measured.

        >>> rating_rows(validation.table, validation.meta, "ttcw")[0]["rho"]  # doctest: +SKIP
        -0.12
    """
    first, layer = primary_of(meta, name), primary_layer(meta)
    if layer is None:
        return []
    group_name = about(meta, name).get("group_name") or "group"
    rows = []
    for (criterion, panel, level), part in _parts(of_set(table, name)).items():
        rho = part.get((DIRECTION, "rho", layer))
        if rho is None:
            continue
        place = {"criterion": criterion, "panel": panel, "level": level}
        rows.append(
            place
            | {"compared": level_words(level, group_name), "primary": place == first}
            | {"rho": rho.estimate, "low": rho.low, "high": rho.high, "p": rho.p, "n": rho.n, "groups": rho.groups}
            | {"detectable": rho.detectable, "note": "" if pd.isna(rho.note) else str(rho.note)}
            | _values(
                part.get((DIRECTION, "partial rho", layer)), ("partial", "partial_low", "partial_high", "partial_p")
            )
            | _agreement(part, layer)
            | _best_cheap(part)
        )
    return sorted(rows, key=lambda row: (not row["primary"], row["criterion"] != first["criterion"]))


_Part = dict[tuple[str, str, int | None], Any]  # by scorer, measure and layer


def _parts(frame: pd.DataFrame) -> dict[tuple[str, str, str], _Part]:
    """The rows of every criterion, panel and level, in the table's order: looked up by the thousand."""
    found: dict[tuple[str, str, str], _Part] = {}
    for row in frame.itertuples(index=False):
        part = found.setdefault((str(row.criterion), str(row.panel), str(row.level)), {})
        part.setdefault((str(row.scorer), str(row.measure), None if pd.isna(row.layer) else int(row.layer)), row)
    return found


def _values(row: Any | None, keys: Sequence[str]) -> dict[str, float]:
    values = (math.nan,) * 4 if row is None else (row.estimate, row.low, row.high, row.p)
    return dict(zip(keys, values, strict=False))


def _agreement(part: _Part, layer: int) -> dict[str, Any]:
    found: dict[str, Any] = {"no_ceiling": ""}
    found |= _values(part.get((RATERS, "icc1", None)), ("icc1",))
    found |= _values(part.get((RATERS, "icck", None)), ("icck", "icck_low", "icck_high"))
    found |= _values(part.get((RATERS, "alpha", None)), ("alpha",))
    row = part.get((RATERS, "ceiling", None))
    found |= _values(row, ("ceiling",))
    if math.isnan(found["ceiling"]):
        why = "" if row is None or pd.isna(row.note) else str(row.note).removeprefix(NO_CEILING).lstrip(": ")
        found["no_ceiling"] = f"{NO_CEILING}: {why}" if why else NO_CEILING
    return found | _values(part.get((DIRECTION, "share", layer)), ("share",))


def _best_cheap(part: _Part) -> dict[str, Any]:
    names = cheap_scorers([scorer for scorer, _, _ in part])
    rows: list[Any] = [part[name, "rho", None] for name in names if (name, "rho", None) in part]
    best = max((row for row in rows if not math.isnan(row.estimate)), key=lambda row: abs(row.estimate), default=None)
    return {"cheap": "" if best is None else str(best.scorer)} | _values(best, ("cheap_rho", "cheap_low", "cheap_high"))


def pair_rows(table: pd.DataFrame, meta: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """How often each scorer prefers the text that people preferred, in a paired set: the direction first.

    Keys: `criterion`, `panel`, `scorer`, `said` (what it prefers, in words), `flipped` (a cheap scorer is turned to
    its better sign *on these pairs*, which favours it), `accuracy`, `low`, `high`, `n` (pairs), and for cheap scorers
    `lead`, `lead_low`, `lead_high`, `lead_p`: the direction's accuracy minus theirs. Empty for other sets.
    """
    layer = primary_layer(meta)
    frame = of_set(table, name)
    rows = []
    for (criterion, panel), part in frame.groupby(["criterion", "panel"], sort=False, dropna=False):
        right = part[part["measure"] == "accuracy"]
        leads = part[part["measure"] == "accuracy lead"]
        for scorer in [DIRECTION, *cheap_scorers(list(right["scorer"]))]:
            here = right[right["scorer"] == scorer]
            if scorer == DIRECTION:
                here = here[(here["layer"] == layer) | here["layer"].isna()]
            row = first_row(here)
            if row is None:
                continue
            flipped = scorer != DIRECTION and row.estimate < 0.5
            ends = (1 - row.high, 1 - row.low) if flipped else (row.low, row.high)
            lead = first_row(leads[leads["scorer"] == scorer])
            beside = (math.nan,) * 4 if lead is None else (lead.estimate, lead.low, lead.high, lead.p)
            rows.append(
                {"criterion": str(criterion), "panel": str(panel), "scorer": scorer, "flipped": flipped}
                | {"said": _preferred(scorer, flipped=flipped), "n": row.n}
                | {"accuracy": 1 - row.estimate if flipped else row.estimate, "low": ends[0], "high": ends[1]}
                | dict(zip(("lead", "lead_low", "lead_high", "lead_p"), beside, strict=True))
            )
    return rows


def _preferred(scorer: str, *, flipped: bool) -> str:
    if scorer == DIRECTION:
        return "higher score of the direction"
    return PREFERRED.get(scorer, (f"more {scorer}", f"less {scorer}"))[flipped]


def level_words(level: str, group_name: str) -> str:
    """A level in words.

    >>> level_words("group", "plot"), level_words("overall", "plot")
    ('within plot', 'over all texts')
    """
    words = {"overall": "over all texts", "group": f"within {group_name}", "author": "within author"}
    return words.get(level, f"within {group_name} and author" if level == "group and author" else level)


def correlation(value: Any) -> str:
    """A correlation or a share with two decimals, more than its interval bears; "not measured" for None and NaN.

    >>> correlation(-0.0351), correlation(-0.001)
    ('−0.04', '0.00')
    """
    if value is None or pd.isna(value):
        return "not measured"
    text = f"{float(value):.2f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def with_ends(value: Any, low: Any, high: Any) -> str:
    """A correlation with its 95 % interval, where it has one.

    >>> with_ends(0.25, -0.1, 0.6)
    '0.25 (−0.10 to 0.60)'
    """
    said = correlation(value)
    if said == "not measured" or pd.isna(low) or pd.isna(high):
        return said
    return f"{said} ({correlation(low)} to {correlation(high)})"


def spelled(scorer: str, row: Any) -> str:
    """One correlation in lines for a hover text, escaped: its interval, p, what it is over, and its note."""
    lines = [f"<b>{label(scorer)}</b>", f"ρ {with_ends(row.estimate, row.low, row.high)}"]
    counts = [] if pd.isna(row.p) else [f"p = {number(row.p)}"]
    counts += [] if pd.isna(row.n) else [f"n = {int(row.n)} texts"]
    counts += [] if pd.isna(row.groups) else [f"{int(row.groups)} groups"]
    noted = textwrap.wrap(short(row.note, 200), 60) if isinstance(row.note, str) else []
    return "<br>".join([*lines, ", ".join(counts), *map(plain, noted)])


def short(text: object, most: int = 40) -> str:
    """One line of at most `most` characters, without those that would turn the text around them.

    >>> short("a  very long name", 8)
    'a very …'
    """
    line = " ".join(re.sub(_UNSEEN, " ", str(text)).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def label(text: object, most: int = 40) -> str:
    """One short line, escaped for plotly's labels."""
    return plain(short(text, most))


def subject(meta: dict[str, Any], name: str, *, level: bool = True) -> str:
    """What the primary number is about, escaped: "TTCW: tests passed, rated by expert, within author"."""
    found, first = about(meta, name), primary_of(meta, name)
    said = f"{label(found.get('title') or name, 60)}: {label(first['criterion'])}, rated by {label(first['panel'])}"
    return said + (f", {label(level_words(first['level'], found.get('group_name') or 'group'))}" if level else "")
