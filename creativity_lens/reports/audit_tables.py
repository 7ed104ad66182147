"""The tables of an audit's page: the price, every measure in every condition, the numbers behind the figures."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from creativity_lens.figures.audit_effects import measures_of, signed
from creativity_lens.figures.audit_rows import (
    CELL,
    PRIMARY,
    STEERED,
    Condition,
    by,
    conditions_of,
    of_part,
    own_conditions,
    stages_of,
)
from creativity_lens.figures.audit_spread import MEASURES
from creativity_lens.figures.rating_rows import short
from creativity_lens.figures.rows import number
from creativity_lens.reports.audit_cells import NOTHING, percent, prompts_said, told


def price(table: pd.DataFrame, meta: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per measure of the 2 x 2, the primary one first, every cell a string with its interval."""
    frame = of_part(table, "effects")
    found = by(frame, "measure", "condition")
    values = by(of_part(table, "diversity", scope="within", twin="all"), "measure", "condition")
    means = of_part(table, "entropy")
    values |= by(means[means["position"].isna()], "measure", "condition")
    rows = []
    for measure in measures_of(frame):
        total = found[measure, "total"]
        both = [values.get((measure, str(meta.get(end)))) for end in ("first", "last")]
        said = {part: told(found.get((measure, part)), signed) for part in ("total", "weights", "template")}
        share = found.get((measure, "template share"))
        rows.append(
            said
            | {"measure": short(measure, 60), "unit": total.unit, "primary": measure == PRIMARY}
            | {"first": told(both[0]), "last": told(both[1])}
            | {"share": NOTHING if share is None else told(share, percent), "n": prompts_said(total)}
        )  # fmt: skip
    return rows


def measured_table(table: pd.DataFrame, meta: dict[str, Any]) -> dict[str, Any]:
    """Every measure of diversity in every condition that wrote at the audit's temperature: `heads` and `rows`."""
    conditions = [each for each in conditions_of(meta) if each.kind in (CELL, STEERED)]
    frame = of_part(table, "diversity", twin="all")
    found = by(frame, "measure", "scope", "condition")
    measures = dict.fromkeys([each for each in MEASURES if each in set(frame["measure"])] + list(frame["measure"]))
    rows = []
    for measure in measures:
        for scope in ("within", "across"):
            cells = [found.get((measure, scope, each.name)) for each in conditions]
            if any(cell is not None for cell in cells):
                unit = next(cell.unit for cell in cells if cell is not None)
                name = f"{short(measure, 60)}, {scope} prompts" if scope == "across" else short(measure, 60)
                primary = (measure, scope) == (PRIMARY, "within")
                rows.append({"name": name, "unit": unit, "primary": primary, "cells": [told(cell) for cell in cells]})
    return {"heads": [short(each.name, 60) for each in conditions], "rows": rows}


def entropy_table(table: pd.DataFrame, meta: dict[str, Any]) -> dict[str, Any]:
    """Mean entropies of every cell: `heads` are the cells, `rows` the measures."""
    frame = of_part(table, "entropy")
    return _by_condition(
        frame[frame["position"].isna()], [each for each in conditions_of(meta) if each.kind in (CELL, STEERED)]
    )


def quality_table(table: pd.DataFrame, meta: dict[str, Any]) -> dict[str, Any]:
    """The frontier's numbers, condition by condition."""
    frame = of_part(table, "frontier")
    found = by(frame, "measure", "condition")
    measures = list(dict.fromkeys(frame["measure"]))
    conditions = [each for each in conditions_of(meta) if any((measure, each.name) in found for measure in measures)]
    rows = [
        {"name": short(each.name, 60), "unit": "", "primary": False}
        | {"cells": [told(found.get((measure, each.name))) for measure in measures]}
        for each in conditions
    ]
    units = {
        measure: next((row.unit for (name, _), row in found.items() if name == measure), "") for measure in measures
    }
    return {
        "heads": [f"{short(name, 40)} ({unit})" if unit else short(name, 40) for name, unit in units.items()],
        "rows": rows,
    }


def steering(table: pd.DataFrame, meta: dict[str, Any]) -> dict[str, Any] | None:
    """The steered condition beside the first and the one that was steered: all measures; None without steering."""
    steered = next((each for each in conditions_of(meta) if each.kind == STEERED), None)
    if steered is None:
        return None
    shown = [each for each in own_conditions(meta) if each.name in (meta.get("first"), meta.get("last"))] + [steered]
    within = of_part(table, "diversity", scope="within", twin="all")
    beside = of_part(table, "frontier", measure=("coherence kept", "fidelity", "repetition", "creativity"))
    rows = _by_condition(within, shown)["rows"] + _by_condition(beside, shown)["rows"]
    matched = [
        {"name": short(f"{row.measure}, {row.condition}" + (f" against {row.against}" if row.against else ""), 140)}
        | {"unit": row.unit, "primary": False, "cells": [told(row, signed if row.measure == "difference" else number)]}
        for row in of_part(table, "matched").itertuples(index=False)
    ]
    beside = {"heads": ["Value"], "rows": matched}
    return {
        "matched": beside,
        "name": short(steered.name, 60),
        "heads": [short(each.name, 60) for each in shown],
        "rows": rows,
    }


def _by_condition(frame: pd.DataFrame, conditions: Sequence[Condition]) -> dict[str, Any]:
    found = by(frame, "measure", "condition")
    rows = []
    for measure in dict.fromkeys(frame["measure"]):
        cells = [found.get((measure, each.name)) for each in conditions]
        if any(cell is not None for cell in cells):
            unit = next(cell.unit for cell in cells if cell is not None)
            said = [told(cell) for cell in cells]
            rows.append({"name": short(measure, 60), "unit": unit, "primary": measure == PRIMARY, "cells": said})
    return {"heads": [short(each.name, 60) for each in conditions], "rows": rows}


def attractor_table(table: pd.DataFrame, meta: dict[str, Any]) -> dict[str, Any]:
    """Pull, return rate and its floor by stage and number of forced tokens; `missing` says why a pull is not there."""
    frame = of_part(table, "attractors")
    found = by(frame, "measure", "condition", "position")
    measures = list(dict.fromkeys(frame["measure"]))
    rows = []
    missing: dict[tuple[str, str], list[str]] = {}
    for stage in stages_of(meta):
        for k in sorted({k for _, name, k in found if name == stage}):
            cells = [told(found.get((measure, stage, k))) for measure in measures]
            rows.append({"name": f"{short(stage, 60)}, {k:g} tokens", "unit": "", "primary": False, "cells": cells})
    for row in frame.itertuples(index=False):
        if row.measure == "pull" and pd.isna(row.estimate) and row.note:
            missing.setdefault((row.condition, row.note), []).append(f"{row.position:g}")
    said = [
        {"stage": short(stage, 60), "tokens": ", ".join(tokens), "why": why} for (stage, why), tokens in missing.items()
    ]
    return {"heads": measures, "rows": rows, "missing": said}
