"""Reading the sweep's long table: which rows, and how one row is said in words.

The table comes from a sweep in memory or from a `sweep.csv` that was read back, so nothing here relies on dtypes.
"""

import html
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

NUMBERS = ("layer", "strength", "temperature", "control", "estimate", "low", "high", "n")
LABELS = ("concept", "stage", "condition", "method", "group", "measure", "unit", "note")


def select(
    table: pd.DataFrame,
    *,
    concept: str,
    stage: str,
    condition: str | Sequence[str],
    measure: str,
    method: str | None = None,
) -> pd.DataFrame:
    """The rows of one measure, numbers as floats, sorted by layer, strength, temperature and control; maybe none.

    A row whose estimate could not be measured is kept, with NaN; `measured` leaves those out.
    """
    wanted = pd.Series(True, index=table.index)
    conditions = {condition} if isinstance(condition, str) else set(condition)
    for column, values in (
        ("measure", {measure}),
        ("condition", conditions),
        ("stage", {stage}),
        ("concept", {concept}),
    ):
        wanted &= table[column].isin(values) if column in table else False
    if method is not None and "method" in table:
        # A stage that uses one method only may leave the column empty.
        wanted &= table["method"].isin({method}) | table["method"].isna()
    # Chosen first, converted after: a figure selects a dozen times from a table of thousands of rows.
    frame = table[wanted].reindex(columns=[*LABELS, *NUMBERS])
    frame = frame.assign(**{name: pd.to_numeric(frame[name], errors="coerce").astype(float) for name in NUMBERS})
    return frame.sort_values(["layer", "strength", "temperature", "control"], kind="stable", ignore_index=True)


def measured(frame: pd.DataFrame) -> pd.DataFrame:
    """Without the rows whose estimate is NaN."""
    return frame[frame["estimate"].notna()].reset_index(drop=True)


def by_layer(frame: pd.DataFrame) -> dict[int, Any]:
    """The first row of every layer, as a named tuple; rows without a layer are left out."""
    found: dict[int, Any] = {}
    for row in frame[frame["layer"].notna()].itertuples():
        found.setdefault(int(row.layer), row)
    return found


def by_cell(frame: pd.DataFrame) -> dict[tuple[int, float], Any]:
    """The first row of every (layer, strength); strengths are rounded, since a CSV file is not bit-exact."""
    found: dict[tuple[int, float], Any] = {}
    for row in frame[frame["layer"].notna() & frame["strength"].notna()].itertuples():
        found.setdefault((int(row.layer), round(row.strength, 6)), row)
    return found


def main_concept(run: dict[str, Any]) -> str:
    """The concept the sweep is about."""
    return str(run.get("concept") or "creativity")


def sides_of(run: dict[str, Any]) -> tuple[str, str]:
    """What the two sides of the pairs are called: the one that scores high, and the other."""
    high, low = run.get("sides") or ("creative", "boring")
    return str(high), str(low)


def control_concept(run: dict[str, Any]) -> str | None:
    """The concept of the positive control, None in a run without one."""
    name = (run.get("positive_control") or {}).get("concept")
    return str(name) if name else None


def choice_of(run: dict[str, Any], concept: str) -> dict[str, Any]:
    """What dev chose for a concept: layer, strength and the rest; empty where nothing was chosen."""
    place = (run.get("positive_control") or {}) if concept == control_concept(run) else run
    return dict(place.get("choice") or {})


def per_layer_strength(run: dict[str, Any], concept: str) -> dict[int, float]:
    """The dev strength of each layer (JSON turned its integer keys into strings)."""
    chosen = choice_of(run, concept).get("per_layer_strength") or {}
    return {int(layer): float(strength) for layer, strength in chosen.items() if strength is not None}


def drawn_only(run: dict[str, Any]) -> set[int]:
    """The layers that are drawn but were never up for choice."""
    return {int(layer) for layer in run.get("drawn_only") or []}


def plain(text: object) -> str:
    """Escape a name that a user or a model wrote, for plotly's labels: they understand a few HTML tags."""
    return html.escape(str(text), quote=False)


def number(value: object) -> str:
    """A number with as many digits as it can bear: 0.42, 12.3, 157, 0.0031; "not measured" for None and NaN.

    >>> number(0.4219), number(-12.34), number(0.00312)
    ('0.42', '−12.3', '0.0031')
    """
    if value is None or pd.isna(value):  # type: ignore[call-overload]
        return "not measured"
    size = abs(float(value))  # type: ignore[arg-type]
    if not math.isfinite(size):
        return "infinite"
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.0995 or size == 0 else 3
    text = f"{size:.{digits}f}" if size >= 0.00995 or size == 0 else f"{size:.2g}"
    return ("−" if float(value) < 0 and float(text) != 0 else "") + text  # type: ignore[arg-type]


def percent(share: float) -> str:
    """A strength as readers say it: 0.05 is "5 %"."""
    return f"{100 * share:.3g} %"


def reading(row: Any, *, of: str) -> str:
    """One row in words: "0.42 gaps, 95 % interval 0.21 to 0.63, n = 32 prompts", and its note if it has one.

    `of` names what n counts: "prompts", "topics" or "pairs".
    """
    said = number(row.estimate)
    if said != "not measured":
        said += f" {plain(row.unit)}" if isinstance(row.unit, str) and row.unit else ""
        if not pd.isna(row.low) and not pd.isna(row.high):
            said += f", 95 % interval {number(row.low)} to {number(row.high)}"
    if not pd.isna(row.n):
        said += f", n = {int(row.n)} {of}"
    if isinstance(row.note, str) and row.note:
        said += f" ({plain(row.note)})"
    return said
