"""What an audit's page says in words and tables: the answer at a glance, the price, the quotes, the numbers."""

import math
import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from creativity_lens.figures.audit_effects import measures_of, signed
from creativity_lens.figures.audit_personas import counted_values, parse_rate
from creativity_lens.figures.audit_rows import (
    CELL,
    PRIMARY,
    STEERED,
    Condition,
    by,
    conditions_of,
    of_part,
    own_conditions,
    prompts_of,
    stages_of,
)
from creativity_lens.figures.audit_spread import MEASURES
from creativity_lens.figures.rating_rows import correlation, short
from creativity_lens.figures.rows import number

# The outcome in words, and a symbol for those who skim.
OUTCOMES = {"alignment cost diversity": "↓", "alignment added diversity": "↑", "not enough evidence": "–"}
MOST_QUOTES, QUOTED = 12, 700
NOTHING = "–"
PARTS = (
    *("effects", "steps", "entropy", "similarity", "clusters", "attractors", "stretches", "frontier", "readers"),
    "diversity",
)


def verdict(meta: dict[str, Any]) -> dict[str, Any]:
    """Outcome, its symbol, the sentence and what stands beside it."""
    found = meta.get("verdict") or {}
    outcome = short(found.get("outcome") or "no verdict", 80)
    return {
        "outcome": outcome,
        "symbol": OUTCOMES.get(outcome, "–"),
        "sentence": short(found.get("sentence") or "This audit compared no two stages, so it claims nothing.", 1000),
        "detail": [short(text, 1000) for text in found.get("detail") or []],
    }


def glance(table: pd.DataFrame, meta: dict[str, Any]) -> list[dict[str, Any]]:
    """Three answers, each with `head`, `value`, and `lines` of what stands behind it: what, where, and the template."""
    effects = by(of_part(table, "effects", measure=PRIMARY), "condition")
    missing = {row.condition: row.note for row in of_part(table, "effects", measure=PRIMARY).itertuples()}
    return [
        _lost(table, meta, effects.get("total")),
        _where(table, meta),
        _template(effects.get("template share"), effects.get("template"), missing),
    ]


def _lost(table: pd.DataFrame, meta: dict[str, Any], total: Any | None) -> dict[str, Any]:
    head = f"What changed: {PRIMARY}"
    if total is None:
        return {"head": head, "value": "not measured", "lines": ["No two stages were compared."]}
    first = _first_value(table, meta)
    share = ""
    if first is not None and first.estimate > 0:
        part = _percent(total.estimate / first.estimate)
        share = f"within prompts, {part} of {number(first.estimate)} in {short(meta.get('first'))}"
    return {"head": head, "value": signed(total.estimate), "lines": [share, _ends(total), _n(total)]}


def _where(table: pd.DataFrame, meta: dict[str, Any]) -> dict[str, Any]:
    head, stages = "At which stage", [short(stage) for stage in stages_of(meta)]
    found = by(of_part(table, "steps", measure=PRIMARY), "condition")
    steps = [(short(stage), found[stage]) for stage in stages_of(meta) if stage in found]
    if len(steps) < 2:
        lines = [f"From {stages[0]} to {stages[-1]}: with two stages the whole change is one step."] if stages else []
        return {"head": head, "value": "one step" if len(stages) == 2 else "not measured", "lines": lines}
    largest = max(steps, key=lambda step: abs(step[1].estimate))
    lines = [f"{name} {_percent(row.estimate)}{_between(row, _percent)}" for name, row in steps]
    return {"head": f"{head}: the largest step", "value": largest[0], "lines": [*lines, _n(largest[1])]}


def _template(share: Any | None, template: Any | None, missing: dict[str, str]) -> dict[str, Any]:
    head = "How much of it is the template"
    if share is None:
        why = missing.get("template share") or "The last stage has no template, or was not asked in it."
        value = "not told" if "template share" in missing else "not measured"
        beside = "" if template is None else f"Template alone: {_told(template)}"
        return {"head": head, "value": value, "lines": [why[:1].upper() + why[1:], beside]}
    lines = ["averaged over both orders; the rest is the weights", _ends(share, _percent_plain), _n(share)]
    value = _percent_plain(share.estimate)
    if not pd.isna(share.low) and share.low <= 0 and share.high >= 1:
        return {
            "head": head,
            "value": "not clear",
            "lines": [f"{value}, but anything from none to all of it", *lines[1:]],
        }
    return {"head": head, "value": value, "lines": lines}


def _first_value(table: pd.DataFrame, meta: dict[str, Any]) -> Any | None:
    rows = of_part(table, "diversity", measure=PRIMARY, scope="within", twin="all", condition=str(meta.get("first")))
    return next(iter(by(rows, "measure").values()), None)


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
        said = {part: _told(found.get((measure, part)), signed) for part in ("total", "weights", "template")}
        share = found.get((measure, "template share"))
        rows.append(
            said
            | {"measure": short(measure, 60), "unit": total.unit, "primary": measure == PRIMARY}
            | {"first": _told(both[0]), "last": _told(both[1])}
            | {"share": NOTHING if share is None else _told(share, _percent_plain), "n": _n(total)}
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
                rows.append({"name": name, "unit": unit, "primary": primary, "cells": [_told(cell) for cell in cells]})
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
        | {"cells": [_told(found.get((measure, each.name))) for measure in measures]}
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
        | {"unit": row.unit, "primary": False, "cells": [_told(row, signed if row.measure == "difference" else number)]}
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
            said = [_told(cell) for cell in cells]
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
            cells = [_told(found.get((measure, stage, k))) for measure in measures]
            rows.append({"name": f"{short(stage, 60)}, {k:g} tokens", "unit": "", "primary": False, "cells": cells})
    for row in frame.itertuples(index=False):
        if row.measure == "pull" and pd.isna(row.estimate) and row.note:
            missing.setdefault((row.condition, row.note), []).append(f"{row.position:g}")
    said = [
        {"stage": short(stage, 60), "tokens": ", ".join(tokens), "why": why} for (stage, why), tokens in missing.items()
    ]
    return {"heads": measures, "rows": rows, "missing": said}


def quotes(meta: dict[str, Any]) -> list[dict[str, str]]:
    """The middle texts of the largest clusters, as they are, with the share of the samples that they stand for."""
    asked, found = meta.get("prompts_text") or {}, []
    for each in (meta.get("attractors") or [])[:MOST_QUOTES]:
        share, count, of = (each.get(key) for key in ("share", "count", "of"))
        said = "" if share is None or pd.isna(share) else f"{100 * float(share):.0f} %"
        said += f" ({count} of {of} samples)" if count is not None and of is not None else ""
        prompt = str(each.get("prompt_id") or "")
        found.append(
            {"condition": short(each.get("condition"), 80), "prompt": short(asked.get(prompt) or prompt, 200)}
            | {"said": said.strip(), "text": _cut(str(each.get("text") or ""))}
        )
    return found


def shared_stretches(meta: dict[str, Any]) -> list[dict[str, str]]:
    """The stretches that most texts share, quoted, with how many texts and prompts they stand in."""
    found = []
    for each in (meta.get("stretches") or [])[:MOST_QUOTES]:
        count, of, prompts = (each.get(key) for key in ("count", "of", "prompts"))
        said = NOTHING if count is None else f"{count} of {of}" if of is not None else str(count)
        found.append(
            {"condition": short(each.get("condition"), 80), "text": _cut(str(each.get("text") or "")), "texts": said}
            | {"prompts": NOTHING if prompts is None else str(prompts)}
        )
    return found


def personas(table: pd.DataFrame, meta: dict[str, Any]) -> dict[str, Any]:
    """`rates`: how many could be parsed, by condition; `rows`: attribute by attribute, entropy and the top value."""
    frame = of_part(table, "personas")
    found = by(frame, "measure", "condition")
    conditions = [each for each in conditions_of(meta) if any((name, each.name) in found for name in frame["measure"])]
    rates = [
        {"condition": short(each.name, 80), "said": parse_rate(found["parse rate", each.name])}
        | {"of": found["parse rate", each.name].note}
        for each in conditions
        if ("parse rate", each.name) in found
    ]
    units = {row.unit for row in frame.itertuples() if row.measure.startswith("entropy ")}
    rows = []
    for name in counted_values(meta):
        for each in conditions:
            parts = [found.get((f"{kind} {name}", each.name)) for kind in ("entropy", "distinct", "top share")]
            if any(part is not None for part in parts):
                top = parts[2]
                rows.append(
                    {"attribute": short(name, 60), "condition": short(each.name, 80)}
                    | {"entropy": _told(parts[0]), "distinct": _told(parts[1])}
                    | {
                        "top": _told(top, _percent_plain),
                        "value": top.note if top else "",
                    }
                    | {"n": NOTHING if top is None else _count(top.n)}
                )
    return {"rates": rates, "rows": rows, "unit": next(iter(units)) if len(units) == 1 else ""}


def creativity(table: pd.DataFrame, meta: dict[str, Any]) -> dict[str, Any]:
    """How far entropy and creativity go together: one sentence about the last condition, and every measured number."""
    found = by(of_part(table, "correlation"), "measure", "condition")
    conditions = conditions_of(meta)
    rows = [
        {"condition": short(each.name, 60)}
        | {"texts": _rho(found.get(("entropy and creativity", each.name)))}
        | {"prompts": _rho(found.get(("spread and creativity", each.name)))}
        for each in conditions
        if any((measure, each.name) in found for measure, _ in found)
    ]
    main = found.get(("entropy and creativity", str(meta.get("last"))))
    said = (
        ""
        if main is None
        else f"{correlation(main.estimate)}{_between(main, correlation)}".replace("(", "(95\u00a0% interval ")
    )
    over = [
        found.get((measure, str(meta.get("last")))) for measure in ("entropy and creativity", "spread and creativity")
    ]
    texts, prompts = (NOTHING if row is None else _count(row.n) for row in over)
    strong = main is not None and abs(main.estimate) >= 0.5
    return {"rows": rows, "main": said, "strong": strong, "texts": texts, "prompts": prompts}


def counts(table: pd.DataFrame) -> dict[str, str]:
    """How many prompts stand behind each part, in words; "no" where a part was not measured."""
    return {part: prompts_of(of_part(table, part)) or "no" for part in PARTS}


def two_by_two(table: pd.DataFrame) -> bool:
    """Whether weights and template could be told apart."""
    return len(of_part(table, "effects", measure=PRIMARY, condition="template")) > 0


def no_intervals(table: pd.DataFrame) -> bool:
    """Whether the primary change has a value but no interval: too few prompts."""
    total = by(of_part(table, "effects", measure=PRIMARY), "condition").get("total")
    return total is not None and pd.isna(total.low)


def _rho(row: Any | None) -> str:
    if row is None:
        return NOTHING
    return f"{correlation(row.estimate)}{_between(row, correlation)}" + (f", {row.note}" if row.note else "")


def _told(row: Any | None, say: Any = number) -> str:
    """A number with its interval, which a narrow cell does not tear apart."""
    return NOTHING if row is None or pd.isna(row.estimate) else f"{say(row.estimate)}{_between(row, say)}"


def _between(row: Any, say: Any = number) -> str:
    return (
        ""
        if pd.isna(row.low) or pd.isna(row.high)
        else f" ({say(row.low)} to {say(row.high)})".replace(" to ", "\u00a0to\u00a0")
    )


def _ends(row: Any, say: Any = signed) -> str:
    if pd.isna(row.low) or pd.isna(row.high):
        return "no interval: fewer than 8 prompts" if not pd.isna(row.n) and row.n < 8 else "no interval"
    return f"95 % interval {say(row.low)} to {say(row.high)}"


def _n(row: Any) -> str:
    return "" if pd.isna(row.n) else f"n = {int(row.n)} prompts"


def _count(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{value:.0f}"


def _percent(share: float) -> str:
    return ("+" if round(100 * share) > 0 else "") + _percent_plain(share)


def _percent_plain(share: float) -> str:
    return f"{100 * share:.0f}\u00a0%".replace("-0\u00a0", "0\u00a0").replace("-", "−")


def _cut(text: str) -> str:
    """A text to be quoted, with a mark for what no page can show."""
    text = re.sub("[\x00-\x08\x0b-\x1f\x7f]", "\ufffd", text)
    return text if len(text) <= QUOTED else text[: QUOTED - 1] + "…"
