"""How a number of an audit is written in a cell or a line of its page."""

import math
from typing import Any

import pandas as pd

from creativity_lens.figures.audit_effects import signed
from creativity_lens.figures.rows import number

NOTHING = "–"


def told(row: Any | None, say: Any = number) -> str:
    """A number with its interval, which a narrow cell does not tear apart."""
    return NOTHING if row is None or pd.isna(row.estimate) else f"{say(row.estimate)}{between(row, say)}"


def between(row: Any, say: Any = number) -> str:
    """The interval in brackets, "" where there is none."""
    if pd.isna(row.low) or pd.isna(row.high):
        return ""
    return f" ({say(row.low)}\u00a0to\u00a0{say(row.high)})"


def ends(row: Any, say: Any = signed) -> str:
    """The interval in words, or why there is none."""
    if pd.isna(row.low) or pd.isna(row.high):
        return "no interval: fewer than 8 prompts" if not pd.isna(row.n) and row.n < 8 else "no interval"
    return f"95 % interval {say(row.low)} to {say(row.high)}"


def prompts_said(row: Any) -> str:
    """ "n = 24 prompts", "" where that is not known."""
    return "" if pd.isna(row.n) else f"n = {int(row.n)} prompts"


def count(value: float) -> str:
    """A whole number, a dash for NaN."""
    return NOTHING if math.isnan(value) else f"{value:.0f}"


def change_percent(share: float) -> str:
    """A change as a share: "+12 %"."""
    return ("+" if round(100 * share) > 0 else "") + percent(share)


def percent(share: float) -> str:
    """A share without decimals: "12 %"."""
    return f"{100 * share:.0f}\u00a0%".replace("-0\u00a0", "0\u00a0").replace("-", "−")
