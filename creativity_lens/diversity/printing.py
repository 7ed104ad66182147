"""The table of `Diversity` and `Compared` in words: one line a measure and scope, one column a condition."""

from collections.abc import Sequence
from typing import Any

from creativity_lens.diversity.diversity import UNITS, Diversity, shown
from creativity_lens.html_tables import with_interval

ALL = {"all": "all", "coherent": "coherent only"}


def headings_of(found: Any) -> list[str]:
    """The heads of the columns of `lines_of`."""
    if isinstance(found, Diversity):
        twins = list(dict.fromkeys(found.table["twin"]))
        parts = [head for twin in twins for head in (f"{ALL[twin]} (95 %)", "n")]
        return ["measure", "scope", *parts, "unit", "note"]
    names = list(found.conditions)
    return ["measure", "scope", "texts", *names, *(f"{name} - {names[0]}" for name in names[1:]), "n", "unit", "note"]


def lines_of(found: Any) -> list[list[str]]:
    """The cells of each line, the primary measure first."""
    return _one(found) if isinstance(found, Diversity) else _several(found)


def _one(found: Diversity) -> list[list[str]]:
    rows = {(row["measure"], row["scope"], row["twin"]): row for row in found.table.to_dict("records")}
    twins = list(dict.fromkeys(found.table["twin"]))
    lines = []
    for measure, scope in dict.fromkeys((measure, scope) for measure, scope, _ in rows):
        each = [rows[measure, scope, twin] for twin in twins]
        cells = [cell for row in each for cell in (shown(row), str(row["n"]))]
        lines.append([_marked(measure, scope, "all"), scope, *cells, UNITS[measure], _notes(each)])
    return lines


def _several(found: Any) -> list[list[str]]:
    tables = [
        {(row["measure"], row["scope"], row["twin"]): row for row in each.table.to_dict("records")}
        for each in found.conditions.values()
    ]
    moved = {(row["measure"], row["twin"], row["condition"]): row for row in found.changes.to_dict("records")}
    lines = []
    for measure, scope, twin in tables[0]:
        each = [table[measure, scope, twin] for table in tables]
        changes = [
            _change(moved.get((measure, twin, name))) if scope == "within" else ""
            for name in list(found.conditions)[1:]
        ]
        numbers = " / ".join(dict.fromkeys(str(row["n"]) for row in each))
        marked = _marked(measure, scope, twin)
        lines.append([marked, scope, twin, *map(shown, each), *changes, numbers, UNITS[measure], _notes(each)])
    return lines


def _marked(measure: str, scope: str, twin: str) -> str:
    primary = (measure, scope, twin) == (next(iter(UNITS)), "within", "all")
    return f"{measure} (primary)" if primary else measure


def _change(row: Any) -> str:
    if row is None:
        return "not measured"
    return with_interval(float(row["estimate"]), float(row["low"]), float(row["high"]), sign="+")


def _notes(rows: Sequence[Any]) -> str:
    return "; ".join(dict.fromkeys(str(row["note"]) for row in rows if row["note"]))
