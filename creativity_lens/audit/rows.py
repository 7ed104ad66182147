"""Rows of an audit's table: one for every number, with its interval and what it rests on."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from creativity_lens.statistics import Estimate

LABELS = ("part", "measure", "scope", "twin", "condition", "against")
TABLE = (*LABELS, "position", "estimate", "low", "high", "n", "unit", "note")
TEXT = (*LABELS, "unit", "note")

Row = dict[str, Any]


def table_row(
    part: str, measure: str, estimate: Estimate | float, *, condition: str = "", against: str = "", scope: str = "",
    twin: str = "", position: int | None = None, unit: str = "", note: str = "",
) -> Row:  # fmt: skip
    """One row. An `Estimate` brings its interval, its n and its unit, unless another unit is named."""
    found = estimate if isinstance(estimate, Estimate) else Estimate(float(estimate), np.nan, np.nan, 0, unit)
    return {
        "part": part, "measure": measure, "scope": scope, "twin": twin, "condition": condition, "against": against,
        "position": np.nan if position is None else position, "estimate": found.value, "low": found.low,
        "high": found.high, "n": found.n or np.nan, "unit": unit or found.unit, "note": note,
    }  # fmt: skip


def table_of(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The long table with its columns in order: labels as text ("" where none), numbers as floats (NaN where none)."""
    frame = pd.DataFrame(list(rows)).reindex(columns=list(TABLE))
    for name in TABLE:
        if name in TEXT:
            frame[name] = frame[name].astype(object).where(frame[name].notna(), "").astype("str")
        else:
            frame[name] = pd.to_numeric(frame[name].replace("", None), errors="coerce").astype(float)
    return frame
