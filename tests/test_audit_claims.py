"""What an audit claims, where the truth is known: a planted loss is found, a model against itself is not accused."""

import math

import numpy as np
import pytest

from creativity_lens.audit.claims import ADDED, COST, NOT_ENOUGH, claim, verdict_of
from creativity_lens.audit.conditions import CELL, LADDER, STEERED, Condition, Conditions
from creativity_lens.audit.measuring import PRIMARY, Measured, effect_rows, step_rows
from creativity_lens.audit.rows import table_of
from creativity_lens.diversity.semantic import semantic_spread
from creativity_lens.models import Model
from creativity_lens.statistics import Estimate

PROMPTS, SAMPLES, DIM = 32, 10, 24


NO_MODEL = object.__new__(Model)  # none is asked


def conditions_of(*stages: str, formats=("plain", "template")) -> Conditions:
    cells = [Condition(f"{s} {f}", s, f, CELL, NO_MODEL, 1.0) for s in stages for f in formats]
    return Conditions(tuple(cells), stages)


def spread_of(rng: np.random.Generator, modes: int) -> np.ndarray:
    """Spread of each prompt's texts, each near one of `modes` directions of its prompt."""
    centres = rng.normal(size=(PROMPTS, modes, DIM))
    drawn = rng.integers(modes, size=(PROMPTS, SAMPLES))
    texts = np.take_along_axis(centres, drawn[:, :, None], axis=1) + 0.3 * rng.normal(size=(PROMPTS, SAMPLES, DIM))
    return np.array([semantic_spread(each) for each in texts])


def measured_of(values: dict[str, np.ndarray]) -> Measured:
    return Measured({PRIMARY: values}, {PRIMARY: "1 - cosine"})


def claimed(conditions: Conditions, values: dict[str, np.ndarray]) -> dict:
    measured = measured_of(values)
    rows, effects = effect_rows(measured, conditions)
    table = table_of([*rows, *step_rows(measured, conditions)])
    return claim(measured, effects, conditions, table, "")


def test_a_model_against_itself_is_seldom_accused():
    conditions = conditions_of("base", "aligned", formats=("plain",))
    claims = 0
    for run in range(100):
        rng = np.random.default_rng(run)
        found = claimed(conditions, {"base plain": spread_of(rng, 6), "aligned plain": spread_of(rng, 6)})
        claims += found["outcome"] != NOT_ENOUGH
    assert claims <= 11


def test_a_planted_loss_is_found_and_given_to_where_it_belongs():
    rng = np.random.default_rng(0)
    values = {
        "base plain": spread_of(rng, 12), "base template": spread_of(rng, 12),
        "aligned plain": spread_of(rng, 2), "aligned template": spread_of(rng, 2),
    }  # fmt: skip
    found = claimed(conditions_of("base", "aligned"), values)
    assert found["outcome"] == COST
    lost = found["lost"]
    assert lost["before"] == pytest.approx(values["base plain"].mean())
    assert lost["change"] == pytest.approx((values["aligned template"] - values["base plain"]).mean())
    assert f"Alignment cost {-lost['change'] / lost['before']:.0%}" in found["sentence"]
    (template,) = [said for said in found["detail"] if "template's share" in said]
    share = float(template.split(" is ")[1].split("%")[0])
    assert abs(share) < 15, "the template did nothing, the weights did all"


def test_a_gain_is_called_a_gain():
    rng = np.random.default_rng(1)
    values = {"base plain": spread_of(rng, 2), "aligned plain": spread_of(rng, 12)}
    found = claimed(conditions_of("base", "aligned", formats=("plain",)), values)
    assert found["outcome"] == ADDED
    assert "no chat template" in found["detail"][0]


def test_the_stage_that_cost_most_is_named():
    rng = np.random.default_rng(2)
    modes = {"base": 12, "sft": 10, "dpo": 2, "rl": 2}
    values = {f"{stage} {form}": spread_of(rng, n) for stage, n in modes.items() for form in ("plain", "template")}
    found = claimed(conditions_of(*modes), values)
    (said,) = [said for said in found["detail"] if said.startswith("Most of it")]
    assert said.startswith("Most of it came with dpo; ")
    assert "sft" in said
    assert "rl" in said


def test_the_whole_interval_decides():
    assert verdict_of(Estimate(-0.1, -0.2, -0.01, 9)) == COST
    assert verdict_of(Estimate(-0.1, -0.2, 0.01, 9)) == NOT_ENOUGH
    assert verdict_of(Estimate(0.1, 0.01, 0.2, 9)) == ADDED
    assert verdict_of(Estimate(-0.1, math.nan, math.nan, 4)) == NOT_ENOUGH


def test_stages_are_asked_as_they_are_used():
    conditions = conditions_of("base", "sft", "dpo")
    assert (conditions.first.name, conditions.last.name) == ("base plain", "dpo template")
    assert conditions.own("sft").name == "sft template"
    assert conditions.formats == ("plain", "template")
    assert conditions_of("base", "aligned", formats=("plain",)).last.name == "aligned plain"
    assert conditions.of_kind(LADDER) == conditions.of_kind(STEERED) == ()
