"""What an audit's page says in words: the verdict, the answer at a glance, what is quoted, how much stands behind."""

import re
from typing import Any

import pandas as pd

from creativity_lens.figures.audit_effects import signed
from creativity_lens.figures.audit_personas import counted_values, parse_rate
from creativity_lens.figures.audit_rows import PRIMARY, by, conditions_of, of_part, prompts_of, stages_of
from creativity_lens.figures.rating_rows import correlation, short
from creativity_lens.figures.rows import number
from creativity_lens.reports.audit_cells import (
    NOTHING,
    between,
    change_percent,
    count,
    ends,
    percent,
    prompts_said,
    told,
)

# The outcome in words, and a symbol for those who skim.
OUTCOMES = {"alignment cost diversity": "↓", "alignment added diversity": "↑", "not enough evidence": "–"}
MOST_QUOTES, QUOTED = 12, 700
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
        part = change_percent(total.estimate / first.estimate)
        share = f"within prompts, {part} of {number(first.estimate)} in {short(meta.get('first'))}"
    return {"head": head, "value": signed(total.estimate), "lines": [share, ends(total), prompts_said(total)]}


def _where(table: pd.DataFrame, meta: dict[str, Any]) -> dict[str, Any]:
    head, stages = "At which stage", [short(stage) for stage in stages_of(meta)]
    found = by(of_part(table, "steps", measure=PRIMARY), "condition")
    steps = [(short(stage), found[stage]) for stage in stages_of(meta) if stage in found]
    if len(steps) < 2:
        lines = [f"From {stages[0]} to {stages[-1]}: with two stages the whole change is one step."] if stages else []
        return {"head": head, "value": "one step" if len(stages) == 2 else "not measured", "lines": lines}
    largest = max(steps, key=lambda step: abs(step[1].estimate))
    lines = [f"{name} {change_percent(row.estimate)}{between(row, change_percent)}" for name, row in steps]
    return {"head": f"{head}: the largest step", "value": largest[0], "lines": [*lines, prompts_said(largest[1])]}


def _template(share: Any | None, template: Any | None, missing: dict[str, str]) -> dict[str, Any]:
    head = "How much of it is the template"
    if share is None:
        why = missing.get("template share") or "The last stage has no template, or was not asked in it."
        value = "not told" if "template share" in missing else "not measured"
        beside = "" if template is None else f"Template alone: {told(template)}"
        return {"head": head, "value": value, "lines": [why[:1].upper() + why[1:], beside]}
    lines = ["averaged over both orders; the rest is the weights", ends(share, percent), prompts_said(share)]
    value = percent(share.estimate)
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
                    | {"entropy": told(parts[0]), "distinct": told(parts[1])}
                    | {
                        "top": told(top, percent),
                        "value": top.note if top else "",
                    }
                    | {"n": NOTHING if top is None else count(top.n)}
                )
    return {"rates": rates, "rows": rows, "unit": next(iter(units)) if len(units) == 1 else ""}


def scored(meta: dict[str, Any]) -> str:
    """The concept that the audit's score reads: creativity, unless its directions are of another contrast."""
    return short(meta.get("scored") or "creativity", 60)


def creativity(table: pd.DataFrame, meta: dict[str, Any]) -> dict[str, Any]:
    """How far entropy and the score go together: in the last condition, and every number that was measured."""
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
    ends_said = "" if main is None else between(main, correlation).replace("(", "(95\u00a0% interval ")
    said = "" if main is None else f"{correlation(main.estimate)}{ends_said}"
    over = [
        found.get((measure, str(meta.get("last")))) for measure in ("entropy and creativity", "spread and creativity")
    ]
    texts, prompts = (NOTHING if row is None else count(row.n) for row in over)
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
    return f"{correlation(row.estimate)}{between(row, correlation)}" + (f", {row.note}" if row.note else "")


def _cut(text: str) -> str:
    """A text to be quoted, with a mark for what no page can show."""
    text = re.sub("[\x00-\x08\x0b-\x1f\x7f]", "\ufffd", text)
    return text if len(text) <= QUOTED else text[: QUOTED - 1] + "…"
