"""What an audit claims: whether diversity was lost, at which stage, and how much of it is the template.

One number is tested, the primary one: semantic spread within prompts, from the first stage in plain text to the last
as it is used. "Cost" is claimed where its 95 % interval over prompts lies below 0, so a model held against itself is
accused once in forty audits. All other sentences describe.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from creativity_lens.audit.conditions import Conditions
from creativity_lens.audit.measuring import PRIMARY, Measured
from creativity_lens.effects import TwoByTwo
from creativity_lens.statistics import Estimate, t_interval

COST, ADDED, NOT_ENOUGH = "alignment cost diversity", "alignment added diversity", "not enough evidence"


def claim(
    measured: Measured,
    effects: Mapping[str, TwoByTwo],
    conditions: Conditions,
    table: pd.DataFrame,
    matched: str,
    scored: str = "creativity",
) -> dict[str, Any]:
    """Outcome, one sentence, and sentences of detail; `lost` holds its numbers; `scored` is the concept."""
    first, last = conditions.first, conditions.last
    before, after = (measured.of(PRIMARY, each).astype(np.float64) for each in (first, last))
    change = t_interval(after - before, unit="1 - cosine")
    outcome = verdict_of(change)
    start, end = float(np.nanmean(before)), float(np.nanmean(after))
    numbers = f"{start:.3f} to {end:.3f}, {change.value:+.3f}{_interval(change)}, {change.n} prompts"
    share = abs(change.value) / start if start > 0 else float("nan")
    what = f"within-prompt semantic spread from {first.name} to {last.name}"
    sentence = {
        COST: f"Alignment cost {share:.0%} of the {what} ({numbers}).",
        ADDED: f"Alignment added {share:.0%} to the {what} ({numbers}).",
        NOT_ENOUGH: f"Not enough evidence that alignment changed the {what} ({numbers}).",
    }[outcome]
    detail = [
        *_template(effects.get(PRIMARY), outcome),
        *_stage(table, conditions, outcome),
        *_other(measured, conditions),
        *_entropy_and_creativity(table, conditions, scored),
        *([matched] if matched else []),
    ]
    lost = {
        "measure": PRIMARY, "from": first.name, "to": last.name, "before": start, "after": end,
        "change": change.value, "low": change.low, "high": change.high, "n": change.n, "share": share,
    }  # fmt: skip
    return {"outcome": outcome, "sentence": sentence, "detail": detail, "lost": lost}


def verdict_of(change: Estimate) -> str:
    """The outcome that a change of the primary number carries: its whole interval on one side of 0, or nothing."""
    return COST if change.high < 0 else ADDED if change.low > 0 else NOT_ENOUGH


def _template(effects: TwoByTwo | None, outcome: str) -> list[str]:
    if effects is None:
        return ["The aligned model has no chat template, so nothing can be said of a template's share."]
    parts = (
        f"the weights changed it by {effects.weights.value:+.3f}{_interval(effects.weights)}, the template by "
        f"{effects.template.value:+.3f}{_interval(effects.template)} (means over both orders; interaction "
        f"{effects.interaction.value:+.3f}{_interval(effects.interaction)})"
    )
    share = effects.template_share
    if outcome == NOT_ENOUGH or not np.isfinite(share.value):
        return [f"{parts[0].upper()}{parts[1:]}; with no change that is sure, no share of it is the template's."]
    if share.high - share.low > 1:
        ends = f"{share.value:.0%}, {share.low:.0%} to {share.high:.0%}"
        return [f"How much of the change is the template's cannot be told ({ends}): {parts}."]
    ends = f" ({share.low:.0%} to {share.high:.0%})" if share.has_interval else ""
    return [f"The template's share of the change is {share.value:.0%}{ends}: {parts}."]


def _stage(table: pd.DataFrame, conditions: Conditions, outcome: str) -> list[str]:
    if len(conditions.stages) < 3 or outcome == NOT_ENOUGH:
        return []
    rows = table[(table["part"] == "steps") & (table["measure"] == PRIMARY)].to_dict("records")
    said = ", ".join(
        f"{row['condition']} {row['estimate']:+.0%}"
        + (f" ({row['low']:+.0%} to {row['high']:+.0%})" if np.isfinite(row["low"]) else "")
        for row in rows
    )
    worst = min(rows, key=lambda row: row["estimate"]) if outcome == COST else max(rows, key=lambda r: r["estimate"])
    return [f"Most of it came with {worst['condition']}; each stage, of what {conditions.stages[0]} had: {said}."]


def _other(measured: Measured, conditions: Conditions) -> list[str]:
    said = []
    for measure in measured.by_prompt:
        if measure == PRIMARY:
            continue
        before, after = (float(np.nanmean(measured.of(measure, each))) for each in (conditions.first, conditions.last))
        said.append(f"{measure} {before:.2f} to {after:.2f}")
    return [f"Described beside it, never tested: {', '.join(said)}."] if said else []


def _entropy_and_creativity(table: pd.DataFrame, conditions: Conditions, scored: str) -> list[str]:
    chosen = (table["part"] == "correlation") & (table["measure"] == "entropy and creativity")
    rows = {row["condition"]: row for row in table[chosen].to_dict("records")}
    said = [
        f"{row['estimate']:+.2f}" + (f" ({row['low']:+.2f} to {row['high']:+.2f})" * bool(np.isfinite(row["low"])))
        + f" for {each.name}"
        for each in dict.fromkeys((conditions.first, conditions.last))
        if (row := rows.get(each.name)) is not None and np.isfinite(row["estimate"])
    ]  # fmt: skip
    if not said:
        return []
    what = "is not creativity" if scored == "creativity" else f"is not the run's score ({scored})"
    return [f"Entropy {what}: within prompts their rank correlation is {' and '.join(said)}."]


def _interval(estimate: Estimate) -> str:
    return (
        f" (95 % interval {estimate.low:+.3f} to {estimate.high:+.3f})" if estimate.has_interval else " (no interval)"
    )
