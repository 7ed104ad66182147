"""Reading an audit's long table and its conditions: which rows, which look, and how a row is said.

The table comes from an audit in memory or from an `audit.csv` that was read back, so nothing here relies on dtypes, and
an empty field may be "" or NaN. Stages and conditions have names that a user gave.
"""

import textwrap
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from creativity_lens.figures.rating_rows import short
from creativity_lens.figures.rows import plain, reading
from creativity_lens.figures.style import BLACK, BLUE, DASHES, GREEN, MUTED, ORANGE, PURPLE, SKY, VERMILLION, interval

PRIMARY = "semantic spread"  # the one measure that the verdict rests on, within prompts, of all texts
CELL, STEERED, TEMPERATURE = "cell", "steered", "temperature"
MOST_CELLS = 4  # in a picture of many points
PLAIN, TEMPLATE = "plain", "template"

_TEXTS = ("part", "measure", "scope", "twin", "condition", "against", "unit", "note")
_NUMBERS = ("position", "estimate", "low", "high", "n")
# By stage: the first is blue, the last vermillion, whatever lies between; more stages than that start again.
_BETWEEN = (GREEN, ORANGE, SKY)
_SYMBOLS = ("circle", "diamond", "triangle-up", "triangle-down", "pentagon", "hexagon")


@dataclass(frozen=True)
class Look:
    """How a series is drawn: told apart by symbol or dash where colours cannot be."""

    colour: str
    symbol: str = "circle"
    dash: str = "solid"
    size: int = 9

    @property
    def marker(self) -> dict[str, Any]:
        """A trace's `marker`; open symbols have a rim that can be seen."""
        rim = {"width": 1.6 if self.symbol.endswith("-open") else 1, "color": self.colour}
        return {"symbol": self.symbol, "size": self.size, "color": self.colour, "line": rim}

    @property
    def line(self) -> dict[str, Any]:
        """A trace's `line`."""
        return {"color": self.colour, "width": 1.6, "dash": self.dash}


@dataclass(frozen=True)
class Condition:
    """One way of writing, as `meta["conditions"]` names it, and its look in every figure."""

    name: str
    stage: str
    format: str
    kind: str
    temperature: float
    look: Look

    @property
    def said(self) -> str:
        """Its name, short and escaped for plotly."""
        return plain(self._short(24))

    @property
    def wrapped(self) -> str:
        """Its name in short lines, for the ticks of a narrow axis."""
        lines = textwrap.wrap(self._short(10), 12)
        return "<br>".join(map(plain, lines)) or "–"

    def _short(self, most: int) -> str:
        """The name with a stage of at most so many letters: what comes after the stage tells conditions apart."""
        if not self.stage or not self.name.startswith(self.stage):
            return short(self.name)
        return short(f"{short(self.stage, most)}{self.name[len(self.stage) :]}", most + 30)


def conditions_of(meta: dict[str, Any]) -> list[Condition]:
    """The conditions in the audit's order: cells by stage, then temperatures and the steered one.

    Colour and symbol are the stage's, filled and drawn through in the template, open and dashed in plain text.
    """
    stages = stages_of(meta)
    found = []
    for about in meta.get("conditions") or []:
        name, stage, form, kind = (str(about.get(key) or "") for key in ("name", "stage", "format", "kind"))
        temperature = about.get("temperature")
        look = _look(stages, stage, form)
        if kind == STEERED:
            look = Look(PURPLE, "star", "dot", 13)
        elif kind == TEMPERATURE:
            look = Look(BLACK, "x", "dash", 7)
        heat = float(temperature) if isinstance(temperature, int | float) else float("nan")
        found.append(Condition(name, stage, form, kind or CELL, heat, look))
    return found


def stages_of(meta: dict[str, Any]) -> list[str]:
    """The names of the stages, the first one first."""
    return [str(stage) for stage in meta.get("stages") or []]


def stage_look(meta: dict[str, Any], stage: str) -> Look:
    """The look of a stage as a whole."""
    return _look(stages_of(meta), stage, TEMPLATE)


def _look(stages: list[str], stage: str, form: str) -> Look:
    place = stages.index(stage) if stage in stages else 0
    last = place == len(stages) - 1 and place > 0
    colour = BLUE if place == 0 else VERMILLION if last else _BETWEEN[(place - 1) % len(_BETWEEN)]
    symbol = "circle" if place == 0 else "square" if last else _SYMBOLS[1 + (place - 1) % (len(_SYMBOLS) - 1)]
    return Look(colour, symbol) if form == TEMPLATE else Look(colour, f"{symbol}-open", DASHES[1])


def own_conditions(meta: dict[str, Any]) -> list[Condition]:
    """Each stage as it is used: the first condition, every later stage's last cell, and what was steered."""
    conditions = conditions_of(meta)
    first = str(meta.get("first") or "")
    cells = [each for each in conditions if each.kind == CELL]
    start = [each for each in cells if each.name == first][:1] or cells[:1]
    later = {each.stage: each for each in cells if start and each.stage != start[0].stage}
    return start + list(later.values()) + [each for each in conditions if each.kind == STEERED]


def main_conditions(meta: dict[str, Any]) -> list[Condition]:
    """What one picture can hold: all cells and the steered one; of more than four cells each stage as it is used."""
    cells = [each for each in conditions_of(meta) if each.kind == CELL]
    if len(cells) > MOST_CELLS:
        return own_conditions(meta)
    return cells + [each for each in conditions_of(meta) if each.kind == STEERED]


def of_part(table: pd.DataFrame, part: str, **where: Any) -> pd.DataFrame:
    """The rows of one part and of the columns named in `where`, in the table's order; maybe none.

    Texts are strings ("" where empty) and numbers floats. `measure=("a", "b")` takes either.
    """
    frame = table.reindex(columns=[*_TEXTS, *_NUMBERS])
    frame = frame[frame["part"].isin([part])]  # the only column that holds no name of a user's
    for column, value in where.items():
        wanted = {str(each) for each in ((value,) if isinstance(value, str | int | float) else value)}
        frame = kept(frame, column, wanted)
    texts = {column: strings(frame[column]) for column in _TEXTS}
    for column in ("unit", "note"):
        shown = {text: short(text, 200) for text in set(texts[column])}
        texts[column] = [shown[text] for text in texts[column]]
    columns = {column: pd.Series(values, frame.index, object) for column, values in texts.items()}
    numbers = {column: pd.to_numeric(frame[column], errors="coerce").astype(float) for column in _NUMBERS}
    return frame.assign(**columns, **numbers).reset_index(drop=True)


def kept(frame: pd.DataFrame, column: str, wanted: Collection[str]) -> pd.DataFrame:
    """The rows whose value in a column, as a string, is among those wanted."""
    return frame[np.array([each in wanted for each in strings(frame[column])], dtype=bool)]


def strings(values: Iterable[Any]) -> list[str]:
    """Every value as a string, "" for none: pandas' own strings have no lone surrogates, and model text may."""
    return [each if isinstance(each, str) else "" if each is None or pd.isna(each) else str(each) for each in values]


def by(frame: pd.DataFrame, *columns: str) -> dict[Any, Any]:
    """The first measured row for each value of a column (or each tuple of several), as a named tuple."""
    found: dict[Any, Any] = {}
    for row in frame[frame["estimate"].notna()].itertuples(index=False):
        key = tuple(getattr(row, column) for column in columns)
        found.setdefault(key if len(key) > 1 else key[0], row)
    return found


def prompts_of(frame: pd.DataFrame) -> str:
    """How many prompts stand behind a part's rows: "24", "16 to 24", or "" where that is not known."""
    n = sorted({int(value) for value in frame["n"].dropna()})
    return "" if not n else f"{n[0]}" if n[0] == n[-1] else f"{n[0]} to {n[-1]}"


def hover(row: Any, *names: str, of: str = "prompts") -> str:
    """A row in lines for a hover text: the names (escaped already), then its number, interval, n and note."""
    said = reading(row, of=of)
    return "<br>".join([f"<b>{', '.join(names)}</b>", *textwrap.wrap(said, 60, break_long_words=False)])


def bars(rows: Sequence[Any], *, colour: str, along: str = "y") -> dict[str, Any]:
    """`error_x` or `error_y` of a trace whose points are these rows; nothing where none has an interval."""
    ends = [{key: getattr(row, key) for key in ("estimate", "low", "high")} for row in rows]
    if all(pd.isna(end["low"]) or pd.isna(end["high"]) for end in ends):
        return {}  # plotly would draw the caps of nothing
    return interval(pd.DataFrame(ends), colour=colour, along=along)


def faint(colour: str, share: float) -> str:
    """A colour of which so much is left, for bands and areas.

    >>> faint("#0072B2", 0.2)
    'rgba(0, 114, 178, 0.2)'
    """
    parts = ", ".join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))
    return f"rgba({parts}, {share:g})"


REFERENCE = Look(MUTED, "line-ns-open", "dot")  # floors and chance levels
