"""A measure as it was found in one scope and twin, and its rows: `Score`s by group, and the lines of the table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from creativity_lens.diversity.diversity import COLUMNS, PRIMARY, TWINS, UNITS, score_name
from creativity_lens.scores import Score
from creativity_lens.statistics import FEWEST, Estimate, t_interval

TOO_FEW = "too few texts of the common length"  # of this group, where others have enough
Key = tuple[str, str, str]  # measure, scope, twin


@dataclass(frozen=True, eq=False)
class Found:
    """A measure of one scope and twin."""

    estimate: Estimate
    by_group: Float[np.ndarray, " group"] | None  # None across groups, and where no group could be measured
    note: str  # why it is missing, or has no interval


def over_groups(name: str, values: Float[np.ndarray, " group"], why: str) -> Found:
    """The mean over groups, with Student's t; `why` it is missing, where it is.

    Groups that are all alike give no interval: they sit on a bound of the measure (no n-gram stands twice), where an
    interval of no width would miss the truth nearly always.
    """
    estimate = t_interval(values, unit=UNITS[name])
    if estimate.has_interval and estimate.high - estimate.low <= 1e-12 * max(1.0, abs(estimate.value)):
        estimate = Estimate(estimate.value, np.nan, np.nan, estimate.n, estimate.unit)
    return Found(estimate, values, noted(estimate, why))


def missing(name: str, why: str) -> Found:
    """A measure that could not be taken."""
    return Found(Estimate(np.nan, np.nan, np.nan, 0, UNITS[name]), None, why)


def noted(estimate: Estimate, why: str) -> str:
    """`why`, or why there is no interval."""
    if why or estimate.has_interval or not np.isfinite(estimate.value):
        return why
    return f"no interval below {FEWEST} groups" if estimate.n < FEWEST else "no interval: groups do not differ"


def scores_of(found: Mapping[Key, Found], names: Sequence[str]) -> list[Score]:
    """One row per measure and group; across groups one, whose `text_id` is empty."""
    scores = []
    for (measure, scope, twin), each in found.items():
        called, unit = score_name(measure, scope, twin), UNITS[measure]
        if scope == "across":
            value = each.estimate.value
            scores.append(Score("", called, value, unit, None if np.isfinite(value) else each.note))
            continue
        values = np.full(len(names), np.nan) if each.by_group is None else each.by_group
        for name, value in zip(names, values, strict=True):
            missed = TOO_FEW if np.isfinite(each.estimate.value) else each.note
            why = None if np.isfinite(value) else missed
            scores.append(Score(name, called, float(value), unit, why))
    return scores


def table_of(found: Mapping[Key, Found]) -> pd.DataFrame:
    """One line per measure, scope and twin; the primary measure first."""
    order = list(UNITS)
    keys = sorted(found, key=lambda key: (order.index(key[0]), TWINS.index(key[2]), key[1] == "across"))
    rows = []
    for measure, scope, twin in keys:
        each = found[measure, scope, twin]
        estimate = each.estimate
        primary = (measure, scope, twin) == (PRIMARY, "within", "all")
        numbers = (estimate.value, estimate.low, estimate.high, estimate.n)
        rows.append((measure, scope, twin, *numbers, UNITS[measure], primary, each.note))
    return pd.DataFrame(rows, columns=list(COLUMNS))
