"""The two stages that generate: dev chooses a cell, test judges it once. Which conditions each draws, and their tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from creativity_lens.cells import Cell, coherence_interval, measure, quality_of
from creativity_lens.concept import Concept
from creativity_lens.conditions import BE_CREATIVE, GAIN_ONLY, Condition, Measured, Texts, by_prompt, cell_of, gain_of
from creativity_lens.directions import isotropic
from creativity_lens.models import Model
from creativity_lens.plan import FEWEST_CONTROLS, Plan
from creativity_lens.readout import table_row
from creativity_lens.screening import Screen, match_divergence, screen
from creativity_lens.statistics import Estimate, t_interval
from creativity_lens.steering import Steering
from creativity_lens.verdict import LEAST_COHERENCE

BAND_PROMPTS = 16
MATCH_PAIRS = 4  # dev pairs on which controls are matched in KL; half as many for the band, which is a picture


@dataclass(frozen=True)
class Choice:
    """The cell that dev chose, and every layer's best strength; made before any test text exists."""

    layer: int
    strength: float
    method: str
    per_layer: dict[int, float]


def edit_grid(concept: Concept, plan: Plan, *, small: bool = False) -> list[Steering]:
    """Every layer x strength x method; `small` takes the middle strengths of the mean difference alone."""
    methods = plan.methods[:1] if small else plan.methods
    strengths = plan.strengths[1:3] or plan.strengths if small else plan.strengths
    return [
        along(concept, method, layer, fraction_of(concept, layer, strength, plan.strength_unit))
        for method in methods
        for layer in concept.directions[method].layers
        for strength in strengths
    ]


def fraction_of(concept: Concept, layer: int, strength: float, unit: str) -> float:
    """A strength in fractions of the median residual norm at the layer."""
    at = concept.directions["mean_difference"].at(layer)
    return strength * {"norm": 1.0, "gap": at.gap / at.residual_norm, "raw": 1.0 / at.residual_norm}[unit]


def along(concept: Concept, method: str, layer: int, strength: float) -> Steering:
    """The edit of a strength along the concept's direction; negative strengths push the other way."""
    at = concept.directions[method].at(layer)
    return Steering(layer, strength * at.residual_norm * at.vector, strength, method)


def screen_grid(
    model: Model, concept: Concept, plan: Plan, *, small: bool = False
) -> tuple[list[dict[str, Any]], dict[tuple[int, float, str], float]]:
    """Teacher-forced effect of every cell: table rows, and each cell's KL."""
    edits = edit_grid(concept, plan, small=small)
    pairs = concept.splits["dev"][: plan.screen_pairs]
    topics = sorted({pair.topic for pair in pairs})
    member = np.array([[pair.topic == topic for pair in pairs] for topic in topics], float)
    member /= member.sum(1, keepdims=True)  # pairs of one topic are one cluster
    found = screen(model, pairs, edits)
    rows = []
    for number, edit in enumerate(edits):
        keys = {"layer": edit.layer, "strength": edit.strength, "method": edit.method, "concept": concept.name}
        for measure_name, values in (("log_ratio_change", found.log_ratio_change), ("kl", found.kl)):
            estimate = t_interval(member @ values[number].numpy())
            rows.append(table_row("screen", "steered", measure_name, "nats/token", estimate, **keys))
    return rows, kl_by_cell(edits, found)


def kl_by_cell(edits: Sequence[Steering], found: Screen) -> dict[tuple[int, float, str], float]:
    """Mean KL of each screened edit, by layer, strength and method."""
    return {(e.layer, e.strength, e.method): float(kl) for e, kl in zip(edits, found.kl.mean(1), strict=True)}


def unsteered(plan: Plan) -> Condition:
    """The baseline that every condition of every concept is compared with."""
    return Condition("", "unsteered", tuple(range(plan.seed, plan.seed + plan.baseline)))


def dev_conditions(concept: Concept, plan: Plan, *, small: bool = False) -> list[Condition]:
    """One condition per cell."""
    seeds = tuple(range(plan.seed, plan.seed + (1 if small else plan.few)))
    return [Condition(concept.name, "steered", seeds, edit) for edit in edit_grid(concept, plan, small=small)]


def choose(concept: Concept, conditions: Sequence[Condition], cells: Sequence[Cell], *, seed: int) -> Choice | None:
    """The cell of the highest quality among the layers that may be chosen; by gain where no quality is above 0.

    Cells whose coherence on dev already has its interval's lower end where the verdict will want it come before all
    others: a stronger push has more quality on dev and would then fail on test. None where no layer may be chosen.
    """
    ones = np.ones((1, len(cells[0].gain)))
    quality = quality_of(ones, cells)[0]
    rank = [
        (bool(coherence_interval(cell, seed=seed).low >= LEAST_COHERENCE), float(q), float(np.nanmean(cell.gain)))
        for q, cell in zip(quality, cells, strict=True)
    ]
    best: dict[int, tuple[tuple[bool, float, float], Steering]] = {}
    for condition, value in zip(conditions, rank, strict=True):
        edit = condition.steering
        if edit is not None and (edit.layer not in best or value > best[edit.layer][0]):
            best[edit.layer] = (value, edit)
    allowed = {layer: found for layer, found in best.items() if layer in concept.choosable}
    if not allowed:
        return None
    edit = max(allowed.values(), key=lambda found: found[0])[1]
    return Choice(edit.layer, edit.strength, edit.method, {layer: found[1].strength for layer, found in sorted(best.items())})


def control_edits(model: Model, concept: Concept, choice: Choice, plan: Plan, *, small: bool) -> tuple[list[Steering], list[Steering]]:
    """Flips at the chosen layer, and unless `small` a band of them at every layer, each of its cell's KL.

    A control that pushes less than the direction proves nothing, so each is scaled until its KL on a few dev pairs is the cell's.
    """
    pairs = concept.splits["dev"][:MATCH_PAIRS]
    layers = concept.directions["mean_difference"].layers
    count = FEWEST_CONTROLS if small else plan.controls
    flips = concept.flips(count, plan.seed)[:, layers.index(choice.layer)]
    strengths = {**choice.per_layer, -1: choice.strength}
    cells = [along(concept, choice.method, choice.layer, choice.strength)]
    at = [(choice.layer, flip, 0) for flip in flips]
    edits = _matched(model, pairs, concept, at, cells, [strengths[-1]] * len(at), rounds=2)
    if small or plan.band < 1:
        return edits, []
    band = concept.flips(plan.band, plan.seed + 1)
    per_layer = [layer for layer in layers if layer in choice.per_layer]
    cells = [along(concept, choice.method, layer, choice.per_layer[layer]) for layer in per_layer]
    at = [(layer, band[k, layers.index(layer)], i) for i, layer in enumerate(per_layer) for k in range(plan.band)]
    return edits, _matched(
        model, pairs[: MATCH_PAIRS // 2], concept, at, cells, [choice.per_layer[layer] for layer, _, _ in at], rounds=1
    )


def _matched(
    model: Model, pairs: Any, concept: Concept, at: Sequence[tuple[int, Tensor, int]], cells: Sequence[Steering],
    start: Sequence[float], *, rounds: int,
) -> list[Steering]:  # fmt: skip
    norms = {layer: concept.directions["mean_difference"].at(layer).residual_norm for layer, _, _ in at}
    target = screen(model, pairs, cells, max_tokens=32).kl.mean(1)[[cell for _, _, cell in at]]

    def make(doses: Float[Tensor, " edit"]) -> list[Steering]:
        return [
            Steering(layer, float(dose) * norms[layer] * vector, float(dose), "flip")
            for (layer, vector, _), dose in zip(at, doses, strict=True)
        ]

    return make(match_divergence(model, pairs, make, torch.tensor(start), target, rounds=rounds))


def test_conditions(
    model: Model, concept: Concept, choice: Choice, plan: Plan, flips: list[Steering], band: list[Steering], *, small: bool
) -> list[Condition]:
    """Everything that test draws for a concept, without the shared baseline."""
    name, first = concept.name, plan.seed
    many, few = (tuple(range(first, first + n)) for n in (plan.samples, plan.few))
    edit = along(concept, choice.method, choice.layer, choice.strength)
    # a control draws one text a prompt; each takes another of the baseline's lucks, so that no one luck moves them all
    luck = [(first + k % plan.baseline,) for k in range(max(len(flips), len(band), 1))]
    conditions = [Condition(name, "chosen", many, edit)]
    conditions += [
        Condition(name, "layer", many[:1] if small else few, along(concept, choice.method, layer, strength))
        for layer, strength in choice.per_layer.items()
    ]
    conditions += [Condition(name, "flip", luck[k], flip, control=k) for k, flip in enumerate(flips)]
    if small:
        return conditions
    vector = isotropic(1, model.d_model, seed=plan.seed)[0]
    norm = concept.directions["mean_difference"].at(choice.layer).residual_norm
    random = Steering(choice.layer, choice.strength * norm * vector, choice.strength, "isotropic")
    conditions += [
        Condition(name, "negated", many, along(concept, choice.method, choice.layer, -choice.strength)),
        Condition(name, "prompted", many, front=BE_CREATIVE),
        Condition(name, "isotropic", few, random),
    ]
    conditions += [Condition(name, "temperature", few, temperature=t) for t in plan.temperatures]
    conditions += [
        Condition(name, "band", luck[k % plan.band], flip, control=k % plan.band, n_prompts=BAND_PROMPTS)
        for k, flip in enumerate(band)
    ]
    return conditions


def stage_rows(
    stage: str, concept: Concept, texts: Texts, measured: Measured, cells: dict[int, Cell], leaks: dict[int, float],
    kl: dict[tuple[int, float, str], float], *, seed: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Table rows of a concept's conditions in one stage."""
    rows: list[dict[str, Any]] = []
    for number, condition in enumerate(texts.conditions):
        if condition.concept != concept.name:
            continue
        keys = condition.keys
        name = keys.pop("condition")
        if name in GAIN_ONLY:
            rows.append(table_row(stage, name, "gain", "gaps", t_interval(gain_of(texts, number, measured.score)), **keys))
            continue
        found = measure(cells[number], seed=seed)
        for measure_name, estimate in found._asdict().items():
            note = "not measured" if np.isnan(estimate.value) else None
            unit = "gaps" if measure_name == "gain" else "share"
            rows.append(table_row(stage, name, measure_name, unit, estimate, note=note, **keys))
        for measure_name, unit, values in (
            ("surprisal", "nats/token", cells[number].surprisal),
            ("repetition", "share", cells[number].repetition),
        ):
            rows.append(table_row(stage, name, measure_name, unit, t_interval(values), **keys))
        if number in leaks:
            rows.append(table_row(stage, name, "leak", "gaps", leaks[number], **keys))
        edit = condition.steering
        if edit is not None and (edit.layer, edit.strength, edit.method) in kl:
            value = Estimate(kl[edit.layer, edit.strength, edit.method], np.nan, np.nan, 0)
            rows.append(table_row(stage, name, "kl", "nats/token", value, **keys))
    return rows


def cells_of(
    texts: Texts, concept: Concept, measured: Measured, surprisal: np.ndarray, repetition: np.ndarray
) -> dict[int, Cell]:
    """Each condition of a concept against the baseline; controls that are compared in gain alone are left out."""
    return {
        number: cell_of(texts, number, measured.score, measured.match, surprisal, repetition)
        for number, condition in enumerate(texts.conditions)
        if condition.concept == concept.name and condition.name not in GAIN_ONLY
    }


def leaks_of(texts: Texts, concept: Concept, measured: Measured) -> dict[int, float]:
    """How much of a rise the probe shows that the finished text does not: gain with hooks on minus gain with hooks off.

    Both are differences to no steering, so that reading in context or alone cancels.
    """
    hooked = texts.frame["hooked_score"].to_numpy(float)
    base = texts.find("unsteered")[0]
    return {
        number: float(
            np.nanmean(by_prompt(texts, number, hooked) - by_prompt(texts, base, hooked))
            - np.nanmean(gain_of(texts, number, measured.score))
        )
        for number, condition in enumerate(texts.conditions)
        if condition.concept == concept.name and condition.steering is not None and condition.name not in GAIN_ONLY
    }
