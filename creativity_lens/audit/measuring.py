"""From readings and embeddings to rows of the table: entropy, the 2 x 2, frontier, readers, correlations."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float

from creativity_lens.audit.conditions import LADDER, STEERED, Condition, Conditions
from creativity_lens.audit.meaning import Meaning, fidelity
from creativity_lens.audit.reads import PerText, Reads
from creativity_lens.audit.rows import Row, table_row
from creativity_lens.cells import Cell, coherence_interval
from creativity_lens.correlation import within
from creativity_lens.diversity.semantic import semantic_spread
from creativity_lens.effects import TwoByTwo, steps, two_by_two
from creativity_lens.statistics import Estimate, t_interval

PRIMARY = "semantic spread"
FREE, FORCED = "free entropy", "forced entropy"
NATS = "nats"
COHERENT = 0.95  # quantile of the first cell's own texts that a text may reach in surprisal, and in repetition
EFFECTS = {
    "total": "total", "weights": "weights", "template": "template", "weights, plain": "weights_plain",
    "weights, template": "weights_template", "template, base": "template_base",
    "template, aligned": "template_aligned", "interaction": "interaction", "template share": "template_share",
    "weights share": "weights_share",
}  # fmt: skip

ByPrompt = dict[str, Float[np.ndarray, " prompt"]]


@dataclass(frozen=True, eq=False)
class Measured:
    """What each condition has for each prompt: the numbers that effects, steps and correlations are made of."""

    by_prompt: dict[str, ByPrompt]  # measure, then condition
    units: dict[str, str]

    def of(self, measure: str, condition: Condition) -> Float[np.ndarray, " prompt"]:
        """One measure of one condition."""
        return self.by_prompt[measure][condition.name]


def spreads(meaning: Meaning, names: Sequence[str]) -> ByPrompt:
    """Semantic spread within each prompt, by condition."""
    return {name: np.array([semantic_spread(vectors) for vectors in meaning.texts[name]]) for name in names}


def entropies(reads: Reads, prompts: int) -> dict[str, ByPrompt]:
    """Mean next-token entropy of each prompt's texts, on free-running and on forced text, in nats."""
    found = {FREE: reads.own, FORCED: reads.forced}
    return {
        measure: {name: nanmean(read.full.reshape(prompts, -1)) for name, read in by_name.items()}
        for measure, by_name in found.items()
    }


def entropy_rows(reads: Reads, prompts: int) -> list[Row]:
    """Entropies position by position and over all positions: means over prompts with Student's t."""
    parts: list[tuple[str, str, Float[np.ndarray, "text pos"]]] = []
    for name, read in reads.own.items():
        parts += [
            (FREE, name, read.full), ("free truncated entropy", name, read.truncated),
            ("free top-k entropy", name, read.top_k),
        ]  # fmt: skip
    parts += [(FORCED, name, read.full) for name, read in reads.forced.items()]
    rows = []
    for measure, name, values in parts:
        by_prompt = values.reshape(prompts, -1, values.shape[1]).astype(np.float64)
        rows.append(
            table_row(
                "entropy", measure, t_interval(nanmean(by_prompt.reshape(prompts, -1)), unit=NATS), condition=name
            )
        )
        if measure in (FREE, FORCED):
            for position in range(values.shape[1]):
                estimate = t_interval(nanmean(by_prompt[:, :, position]), unit=NATS)
                rows.append(table_row("entropy", measure, estimate, condition=name, position=position))
    return rows


def effects_of(measured: Measured, measure: str, conditions: Conditions) -> TwoByTwo | None:
    """The 2 x 2 of a measure, first and last stage by plain and template; None where there is no template."""
    if len(conditions.formats) < 2:
        return None
    cells = {(each.stage, each.format): each for each in conditions.cells}
    ends = (conditions.stages[0], conditions.stages[-1])
    values = np.stack([
        np.stack([measured.of(measure, cells[stage, form]) for form in conditions.formats]) for stage in ends
    ])  # fmt: skip
    return two_by_two(values.astype(np.float64), measured.units[measure])


def effect_rows(measured: Measured, conditions: Conditions) -> tuple[list[Row], dict[str, TwoByTwo]]:
    """Every measure's effects; without a template, its total alone."""
    rows, found = [], {}
    for measure in measured.by_prompt:
        effects = effects_of(measured, measure, conditions)
        if effects is None:
            change = measured.of(measure, conditions.last) - measured.of(measure, conditions.first)
            total = t_interval(change.astype(np.float64), unit=measured.units[measure])
            rows.append(table_row("effects", measure, total, condition="total", note="no template to tell apart"))
            continue
        found[measure] = effects
        for name, field in EFFECTS.items():
            note = effects.note if name.endswith("share") else ""
            rows.append(table_row("effects", measure, getattr(effects, field), condition=name, note=note))
    return rows, found


def step_rows(measured: Measured, conditions: Conditions) -> list[Row]:
    """What each stage, asked as it is used, changed of what the first stage had."""
    rows = []
    for measure in measured.by_prompt:
        values = np.stack([measured.of(measure, conditions.own(stage)) for stage in conditions.stages])
        for step in steps(values.astype(np.float64), list(conditions.stages)):
            rows.append(
                table_row("steps", measure, step.relative, condition=step.name, against=step.before, unit="share")
            )
    return rows


def coherent_texts(reads: Reads, conditions: Conditions) -> dict[str, Bool[np.ndarray, "prompt sample"]]:
    """Texts that are no stranger, and repeat no more, than 95 % of what the first cell itself writes."""
    first = conditions.first.name
    strange = float(np.nanquantile(reads.by_first[first], COHERENT))
    repeated = float(np.nanquantile(reads.repetition[first], COHERENT))
    return {
        name: (surprisal <= strange) & (reads.repetition[name] <= repeated)
        for name, surprisal in reads.by_first.items()
    }


def kept(reads: Reads, name: str, reference: str, by: dict[str, PerText], *, seed: int) -> tuple[Estimate, Cell]:
    """Coherence that a condition keeps of a reference, under one reader; and what it is made of."""
    u, u_0 = nanmean(by[name]), nanmean(by[reference])
    rho, rho_0 = nanmean(reads.repetition[name]), nanmean(reads.repetition[reference])
    none = np.full(len(u), np.nan)
    cell = Cell(none, u, u_0, rho, rho_0, none, none)
    return coherence_interval(cell, seed=seed), cell


def frontier_rows(reads: Reads, meaning: Meaning, conditions: Conditions, *, seed: int) -> list[Row]:
    """Diversity, quality, fidelity and creativity of every condition: what the frontier is drawn from."""
    rows = []
    spread = spreads(meaning, [each.name for each in conditions.every])
    for condition in conditions.every:
        name = condition.name
        parts = {
            PRIMARY: t_interval(spread[name], unit="1 - cosine"),
            "surprisal": t_interval(nanmean(reads.by_first[name]), unit="nats per token"),
            "repetition": t_interval(nanmean(reads.repetition[name]), unit="share"),
            "coherence kept": kept(reads, name, conditions.first.name, reads.by_first, seed=seed)[0],
            "fidelity": t_interval(fidelity(meaning, name), unit="cosine"),
        }
        if name in reads.creativity:
            parts["creativity"] = t_interval(nanmean(reads.creativity[name]), unit="gaps")
        rows += [table_row("frontier", measure, estimate, condition=name) for measure, estimate in parts.items()]
    return rows


def reader_rows(reads: Reads, prompts: int) -> list[Row]:
    """Surprisal of the same texts, who wrote them x who reads them, in nats per token."""
    rows = []
    for reader, read in reads.forced.items():
        by_writer = read.surprisal.reshape(prompts, len(reads.forced_writers), -1).astype(np.float64)
        for place, writer in enumerate(reads.forced_writers):
            estimate = t_interval(nanmean(by_writer[:, place]), unit="nats per token")
            rows.append(table_row("readers", "surprisal", estimate, condition=writer, against=reader))
    return rows


def correlation_rows(
    reads: Reads, measured: Measured, conditions: Conditions, prompt_ids: Sequence[str], *, seed: int
) -> list[Row]:
    """Entropy against creativity, text by text within prompts; spread against creativity over prompts."""
    rows = []
    for cell in conditions.cells:
        if cell.name not in reads.creativity:
            continue
        scores = reads.creativity[cell.name]
        entropy = nanmean(reads.own[cell.name].full).astype(np.float64)
        groups = [name for name in prompt_ids for _ in range(scores.shape[1])]
        for measure, first, second, within_groups in (
            ("entropy and creativity", entropy, scores.ravel(), groups),
            ("spread and creativity", measured.of(PRIMARY, cell), nanmean(scores), None),
        ):
            sound = np.isfinite(first) & np.isfinite(second)
            chosen = None if within_groups is None else [g for g, ok in zip(within_groups, sound, strict=True) if ok]
            found = within(first[sound][None].astype(np.float64), second[sound], chosen, seed=seed).each[0]
            estimate = Estimate(found.rho, found.low, found.high, found.n, "rank correlation")
            note = f"p {found.p:.3g}; could have shown {found.detectable:.2f}"
            rows.append(table_row("correlation", measure, estimate, condition=cell.name, note=note))
    return rows


def matched_rows(reads: Reads, meaning: Meaning, conditions: Conditions, *, seed: int) -> tuple[list[Row], str]:
    """The steered texts' spread against what a higher temperature reaches at the same coherence; and a sentence.

    Coherence is that which the clean last stage sees, in its own format, against its own unsteered texts. The ladder's
    spread is interpolated prompt by prompt where it keeps as much.
    """
    steered = conditions.of_kind(STEERED)
    if not steered:
        return [], ""
    (condition,) = steered
    last = conditions.last
    spread = spreads(meaning, [each.name for each in conditions.every])
    ladder = sorted(
        [last, *(each for each in conditions.of_kind(LADDER) if each.temperature > last.temperature)],
        key=lambda each: each.temperature,
    )
    marks = [
        (kept(reads, each.name, last.name, reads.by_last, seed=seed)[0].value, spread[each.name]) for each in ladder
    ]
    target = kept(reads, condition.name, last.name, reads.by_last, seed=seed)[0]
    rows = [
        table_row("matched", "coherence kept", target, condition=condition.name, against=last.name),
        table_row("matched", PRIMARY, t_interval(spread[condition.name], unit="1 - cosine"), condition=condition.name),
    ]
    for (high, one), (low, other) in pairwise(marks):
        if low <= target.value <= high and high > low:
            share = (high - target.value) / (high - low)
            baseline = (1 - share) * one + share * other
            difference = t_interval(spread[condition.name] - baseline, unit="1 - cosine")
            name = "temperature at the same coherence"
            rows += [
                table_row("matched", PRIMARY, t_interval(baseline, unit="1 - cosine"), condition=name),
                table_row("matched", "difference", difference, condition=condition.name, against=name),
            ]
            verb = (
                "exceeds" if difference.low > 0 else "falls short of" if difference.high < 0 else "does not differ from"
            )
            return rows, (
                f"At {target.value:.2f} of coherence, the semantic spread of the steered texts {verb} what temperature "
                f"alone reaches there ({difference.value:+.3f}{_ends(difference)})."
            )
    reach = f"{marks[0][0]:.2f} to {marks[-1][0]:.2f}"
    return rows, (
        f"Steered, the {last.stage} model keeps {target.value:.2f} of coherence; the ladder of temperatures keeps "
        f"{reach}, so they cannot be compared."
    )


def _ends(estimate: Estimate) -> str:
    return f", {estimate.low:+.3f} to {estimate.high:+.3f}" if estimate.has_interval else ", no interval"


def nanmean(values: Float[np.ndarray, "prompt rest"]) -> Float[np.ndarray, " prompt"]:
    """Mean over what was measured, NaN where nothing was; in float64."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(1, dtype=np.float64)
    return np.divide(total, known.sum(1), out=np.full(len(values), np.nan), where=known.any(1))
