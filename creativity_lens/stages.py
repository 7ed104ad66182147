"""The two stages that generate: dev chooses a cell, test judges it once. What each draws, and their tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from creativity_lens.cells import Cell, measure
from creativity_lens.choice import Choice
from creativity_lens.concept import Concept
from creativity_lens.conditions import GAIN_ONLY, Condition, Measured, Texts, cell_of, gain_of
from creativity_lens.directions import isotropic
from creativity_lens.layers import layer_ranges
from creativity_lens.models import Model
from creativity_lens.plan import Plan
from creativity_lens.prompts import ContrastivePair
from creativity_lens.readout import table_row
from creativity_lens.screening import Screen, screen
from creativity_lens.statistics import Estimate, t_interval
from creativity_lens.steering import Steering

BAND_PROMPTS = 12  # of the band, which is a picture, and of all that only serves to find the positive control
SAME = 0.9  # cosine from which two methods' directions push alike, so that only one of them is generated with

WEAK = 5  # % of the residual norm

CellKey = tuple[int, float, str]  # layer, strength, method


def edit_grid(concept: Concept, plan: Plan, *, small: bool = False) -> list[Steering]:
    """Every layer x strength x method; `small` takes the middle strengths of the first method alone.

    Where the first component all but equals the mean difference, and both were asked for, it is left out.
    """
    # a positive control has directions of its own where the main concept's were given
    methods = tuple(method for method in plan.methods if method in concept.directions) or ("mean_difference",)
    methods = methods[:1] if small else methods
    strengths = plan.strengths[1:3] or plan.strengths if small else plan.strengths
    return [
        along(concept, method, layer, fraction_of(concept, layer, strength, plan.strength_unit))
        for method in methods
        for layer in concept.directions[method].layers
        if method == "mean_difference" or "mean_difference" not in methods or not _is_same(concept, method, layer)
        for strength in strengths
    ]


def _is_same(concept: Concept, method: str, layer: int) -> bool:
    one, other = (concept.directions[name].at(layer).vector for name in (method, "mean_difference"))
    return float(one @ other) >= SAME


def fraction_of(concept: Concept, layer: int, strength: float, unit: str) -> float:
    """A strength in fractions of the median residual norm at the layer."""
    at = concept.directions["mean_difference"].at(layer)
    return strength * {"norm": 1.0, "gap": at.gap / at.residual_norm, "raw": 1.0 / at.residual_norm}[unit]


def dose_notes(concept: Concept, plan: Plan) -> tuple[list[str], list[str]]:
    """What strengths in other units are as shares of the residual norm; and warnings for those that are weak.

    A raw dose is a different push at every layer: arXiv 2412.06060 adds 3.0 residual units whatever the norm.
    """
    layers = concept.steering.layers
    named = {"norm": "of the residual norm", "gap": "gaps", "raw": "residual units"}[plan.strength_unit]
    said, weak = [], []
    for strength in plan.strengths:
        shares = [100 * fraction_of(concept, layer, strength, plan.strength_unit) for layer in layers]
        low, high = (f"{share:.2g}" for share in (min(shares), max(shares)))
        span = low if low == high else f"{low} to {high}"
        where = f"layer {layers[0]}" if len(layers) == 1 else f"layers {layer_ranges(layers)}"
        note = f"A strength of {strength:g} {named} is {span} % of the median residual norm at {where}."
        if min(shares) < WEAK:
            weak.append(f"{note} Below {WEAK} %, a push rarely changes a text.")
        elif plan.strength_unit != "norm":
            said.append(note)
    return said, weak


def along(concept: Concept, method: str, layer: int, strength: float) -> Steering:
    """The edit of a strength along the concept's direction; negative strengths push the other way."""
    at = concept.directions[method].at(layer)
    return Steering(layer, strength * at.residual_norm * at.vector, strength, method)


def screen_grid(
    model: Model, concept: Concept, plan: Plan, *, small: bool = False
) -> tuple[list[dict[str, Any]], dict[CellKey, float]]:
    """Teacher-forced effect of every cell: table rows, and each cell's KL."""
    edits = edit_grid(concept, plan, small=small)
    pairs = concept.splits["dev"][: plan.screen_pairs]
    found = screen(model, pairs, edits)
    rows = []
    for number, edit in enumerate(edits):
        keys = {"layer": edit.layer, "strength": edit.strength, "method": edit.method, "concept": concept.name}
        for measure_name, values in (("log_ratio_change", found.log_ratio_change), ("kl", found.kl)):
            estimate = t_interval(by_topic(pairs, values[number].numpy().astype(float)))
            rows.append(table_row("screen", "steered", measure_name, "nats/token", estimate, **keys))
    return rows, kl_by_cell(edits, found)


def by_topic(pairs: Sequence[ContrastivePair], values: Float[np.ndarray, " pair"]) -> Float[np.ndarray, " topic"]:
    """Mean of each topic's pairs, which are one cluster; NaN for a topic of which no pair was measured."""
    topics = sorted({pair.topic for pair in pairs})
    member = np.array([[pair.topic == topic for pair in pairs] for topic in topics], dtype=float)
    known = np.isfinite(values)
    count = member @ known.astype(float)
    return np.divide(member @ np.where(known, values, 0.0), count, out=np.full(len(topics), np.nan), where=count > 0)


def kl_by_cell(edits: Sequence[Steering], found: Screen) -> dict[CellKey, float]:
    """Mean KL of each screened edit, by layer, strength and method."""
    return {(e.layer, e.strength, e.method): float(kl) for e, kl in zip(edits, found.kl.nanmean(1), strict=True)}


def unsteered(plan: Plan, samples: int) -> Condition:
    """The baseline that every condition of every concept is compared with."""
    return Condition("", "unsteered", tuple(range(plan.seed, plan.seed + samples)))


def dev_conditions(concept: Concept, plan: Plan, *, small: bool = False) -> list[Condition]:
    """One condition per cell; the positive control's get fewer prompts, since it need only be found."""
    seeds = tuple(range(plan.seed, plan.seed + (1 if small else plan.dev_samples)))
    only = BAND_PROMPTS if small else None
    return [
        Condition(concept.name, "steered", seeds, edit, n_prompts=only)
        for edit in edit_grid(concept, plan, small=small)
    ]


def test_conditions(
    concept: Concept, choice: Choice, plan: Plan, flips: list[Steering], band: list[Steering], *, urge: str, small: bool
) -> list[Condition]:
    """Everything that test draws for a concept, without the shared baseline. `urge` asks for the concept in words."""
    name, first = concept.name, plan.seed
    many, few = (tuple(range(first, first + n)) for n in (plan.samples, plan.few))
    # a control draws one text a prompt; each takes another of the baseline's lucks, so that no one luck moves them all
    luck = [(first + k % plan.baseline,) for k in range(max(len(flips), len(band), 1))]
    conditions = [Condition(name, "chosen", many, choice.edit)]
    # the positive control need only be found: its layers and its controls get fewer prompts
    only, lucks = (BAND_PROMPTS, many[:1]) if small else (None, few)
    conditions += [Condition(name, "layer", lucks, edit, n_prompts=only) for edit in choice.per_layer.values()]
    conditions += [Condition(name, "flip", luck[k], flip, control=k, n_prompts=only) for k, flip in enumerate(flips)]
    if small:
        return conditions
    at = concept.directions[choice.method].at(choice.layer)
    vector = isotropic(1, len(at.vector), seed=plan.seed)[0]
    random = Steering(choice.layer, choice.strength * at.residual_norm * vector, choice.strength, "isotropic")
    conditions += [
        Condition(name, "negated", many, along(concept, choice.method, choice.layer, -choice.strength)),
        Condition(name, "prompted", many, front=urge),
        Condition(name, "isotropic", few, random),
    ]
    conditions += [Condition(name, "temperature", few, temperature=t) for t in plan.temperatures]
    conditions += [
        Condition(name, "band", luck[k % plan.band], flip, control=k % plan.band, n_prompts=BAND_PROMPTS)
        for k, flip in enumerate(band)
    ]
    return conditions


def stage_rows(
    stage: str,
    concept: Concept,
    texts: Texts,
    measured: Measured,
    cells: dict[int, Cell],
    leaks: dict[int, Estimate],
    kl: dict[CellKey, float],
    *,
    seed: int,
) -> list[dict[str, Any]]:
    """Table rows of a concept's conditions in one stage."""
    rows: list[dict[str, Any]] = []
    for number, condition in enumerate(texts.conditions):
        if condition.concept != concept.name:
            continue
        keys = condition.keys
        name = keys.pop("condition")
        if name in GAIN_ONLY:
            gain = t_interval(gain_of(texts, number, measured.score))
            rows.append(table_row(stage, name, "gain", "gaps", gain, **keys))
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
    texts: Texts,
    concept: Concept,
    measured: Measured,
    surprisal: Float[np.ndarray, " text"],
    repetition: Float[np.ndarray, " text"],
) -> dict[int, Cell]:
    """Each condition of a concept against the baseline; controls that are compared in gain alone are left out."""
    return {
        number: cell_of(texts, number, measured.score, measured.match, surprisal, repetition)
        for number, condition in enumerate(texts.conditions)
        if condition.concept == concept.name and condition.name not in GAIN_ONLY
    }


def leaks_of(texts: Texts, concept: Concept, measured: Measured) -> dict[int, Estimate]:
    """How much of a rise the probe shows that the finished text does not: gain with hooks on minus gain with hooks off.

    Both are differences to no steering, so that reading in context or alone cancels.
    """
    hooked = texts.frame["hooked_score"].to_numpy(float)
    return {
        number: t_interval(gain_of(texts, number, hooked) - gain_of(texts, number, measured.score))
        for number, condition in enumerate(texts.conditions)
        if condition.concept == concept.name and condition.steering is not None and condition.name not in GAIN_ONLY
    }
