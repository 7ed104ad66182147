"""Which conditions each stage draws and how many rows that is; grids, doses and leaks by hand."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from prepared import concept_of

from creativity_lens import stages
from creativity_lens.cells import measure
from creativity_lens.choice import Choice
from creativity_lens.conditions import Condition, Measured, Texts
from creativity_lens.models import Model
from creativity_lens.plan import PRESETS, Plan
from creativity_lens.prompts import Prompt, load_prompts
from creativity_lens.screening import Screen, screen
from creativity_lens.sides import Sides
from creativity_lens.stages import (
    BAND_PROMPTS,
    along,
    by_topic,
    cells_of,
    dev_conditions,
    dose_notes,
    edit_grid,
    fraction_of,
    kl_by_cell,
    leaks_of,
    screen_grid,
    stage_rows,
    unsteered,
)
from creativity_lens.statistics import t_interval
from creativity_lens.steering import Steering

URGE = Sides().urge
NAN = float("nan")


@pytest.fixture(scope="module")
def concept(chat: Model):
    return concept_of(chat)


@pytest.fixture(scope="module")
def choice(concept) -> Choice:
    per_layer = {layer: along(concept, "mean_difference", layer, 0.1 + 0.01 * layer) for layer in range(8)}
    return Choice(per_layer[3], per_layer)


def edits(count: int, layer: int = 3) -> list[Steering]:
    return [Steering(layer, torch.ones(192), 0.1, "flip") for _ in range(count)]


# -- how many rows -------------------------------------------------------------------------------------------------


def rows_of(conditions, prompts: int) -> Counter:
    """Texts by name of the condition."""
    found: Counter = Counter()
    for condition in conditions:
        found[condition.name] += len(condition.seeds) * len(range(prompts)[: condition.n_prompts])
    return found


def test_there_are_as_many_prompts_as_the_design_says():
    assert [len(part) for part in load_prompts()] == [32, 32]


def test_rows_of_dev_with_the_defaults(concept):
    plan = Plan()
    found = rows_of([unsteered(plan, plan.samples), *dev_conditions(concept, plan)], 32)
    assert found == {"unsteered": 32 * 4, "steered": 8 * 4 * 32}


def test_rows_of_test_with_the_defaults(concept, choice):
    plan = Plan()
    drawn = stages.test_conditions(concept, choice, plan, edits(39), edits(8 * 19), urge=URGE, small=False)
    found = rows_of([unsteered(plan, plan.baseline), *drawn], 32)
    assert found == {
        "unsteered": 32 * 8,
        "chosen": 32 * 4,
        "negated": 32 * 4,
        "prompted": 32 * 4,
        "isotropic": 32 * 2,
        "layer": 8 * 32 * 2,
        "temperature": 5 * 32 * 2,
        "flip": 39 * 32,
        "band": 8 * 19 * 12,
    }


def test_rows_of_a_positive_control_are_few(concept, choice):
    plan = Plan()
    dev = rows_of(dev_conditions(concept, plan, small=True), 32)
    assert dev == {"steered": 8 * 2 * 12}, "the middle strengths, one luck, some of the prompts"
    test = rows_of(stages.test_conditions(concept, choice, plan, edits(19), [], urge=URGE, small=True), 32)
    assert set(test) == {"chosen", "layer", "flip"}
    assert test["chosen"] == 32 * 4, "judged like the main concept"
    assert test["layer"] <= 8 * 32
    assert test["flip"] <= 19 * 32


def test_all_of_it_is_about_what_the_design_says(concept, choice):
    plan = Plan()
    main = stages.test_conditions(concept, choice, plan, edits(39), edits(8 * 19), urge=URGE, small=False)
    control = stages.test_conditions(concept, choice, plan, edits(19), [], urge=URGE, small=True)
    dev = [unsteered(plan, plan.samples), *dev_conditions(concept, plan), *dev_conditions(concept, plan, small=True)]
    total = rows_of(dev, 32).total() + rows_of([unsteered(plan, plan.baseline), *main, *control], 32).total()
    assert 6_000 < total < 6_800


def test_options_scale_the_rows(concept, choice):
    plan = Plan(samples=2, temperatures=(0.7,), band=2)
    drawn = stages.test_conditions(concept, choice, plan, edits(19), edits(16), urge=URGE, small=False)
    found = rows_of([unsteered(plan, plan.baseline), *drawn], 10)
    assert found["unsteered"] == 10 * 4
    assert found["chosen"] == 10 * 2
    assert found["layer"] == 8 * 10
    assert found["temperature"] == 10
    assert found["band"] == 16 * 10, "no more prompts than there are"


def test_what_each_condition_of_test_is(concept, choice):
    plan = Plan(seed=5, band=2)
    drawn = stages.test_conditions(concept, choice, plan, edits(39), edits(16), urge=URGE, small=False)
    by_name = {name: [c for c in drawn if c.name == name] for name in {c.name for c in drawn}}
    (chosen,), (negated,), (prompted,), (random,) = (
        by_name[name] for name in ("chosen", "negated", "prompted", "isotropic")
    )
    assert chosen.steering is choice.edit
    assert chosen.seeds == negated.seeds == prompted.seeds == (5, 6, 7, 8)
    torch.testing.assert_close(negated.steering.vector, -choice.edit.vector)
    assert negated.steering.strength == -choice.strength
    assert (prompted.front, prompted.steering) == (URGE, None)
    assert float(random.steering.vector.norm()) == pytest.approx(float(choice.edit.vector.norm()), rel=1e-4)
    assert [c.steering for c in by_name["layer"]] == list(choice.per_layer.values())
    assert [c.temperature for c in by_name["temperature"]] == list(plan.temperatures)
    assert all(c.steering is None for c in by_name["temperature"])
    assert [c.control for c in by_name["flip"]] == list(range(39))
    assert [c.control for c in by_name["band"]] == [0, 1] * 8
    assert {c.n_prompts for c in by_name["band"]} == {BAND_PROMPTS}
    lucks = Counter(c.seeds[0] for c in by_name["flip"])
    assert set(lucks) == set(unsteered(plan, plan.baseline).seeds), (
        "every luck of the baseline is used, so that none moves them all"
    )
    assert max(lucks.values()) - min(lucks.values()) <= 1
    assert {c.concept for c in drawn} == {"creativity"}


def test_luck_is_shared_with_the_baseline(concept, choice):
    """Paired by luck: whatever a condition draws, the baseline has drawn it too."""
    plan = Plan(seed=11)
    base = set(unsteered(plan, plan.baseline).seeds)
    dev = dev_conditions(concept, plan)
    assert all(set(condition.seeds) <= set(unsteered(plan, plan.samples).seeds) for condition in dev)
    test = stages.test_conditions(concept, choice, plan, edits(39), edits(8 * 19), urge=URGE, small=False)
    assert all(set(condition.seeds) <= base for condition in [*dev, *test])


# -- the grid and its units ----------------------------------------------------------------------------------------


def test_the_grid_is_layers_by_strengths(concept):
    plan = Plan(strengths=(0.1, 0.3))
    found = edit_grid(concept, plan)
    assert [(edit.layer, edit.strength) for edit in found] == [(layer, s) for layer in range(8) for s in (0.1, 0.3)]
    for edit in found:
        at = concept.directions["mean_difference"].at(edit.layer)
        torch.testing.assert_close(edit.vector, edit.strength * at.residual_norm * at.vector)


def test_units_are_one_push(concept):
    at = concept.directions["mean_difference"].at(3)
    raw, gaps = 0.1 * at.residual_norm, 0.1 * at.residual_norm / at.gap
    for unit, strength in (("norm", 0.1), ("raw", raw), ("gap", gaps)):
        assert fraction_of(concept, 3, strength, unit) == pytest.approx(0.1)
        (edit,) = [e for e in edit_grid(concept, Plan(strengths=(strength,), strength_unit=unit)) if e.layer == 3]
        assert float(edit.vector.norm()) == pytest.approx(raw, rel=1e-4)


def test_a_dose_of_three_is_three_residual_units(concept):
    for edit in edit_grid(concept, Plan(strengths=(3.0,), strength_unit="raw")):
        assert float(edit.vector.norm()) == pytest.approx(3.0, rel=1e-4)


def test_a_second_method_is_drawn_only_where_it_differs(concept):
    plan = Plan(strengths=(0.1,), methods=("mean_difference", "first_component"))
    one, other = (concept.directions[name] for name in plan.methods)
    cosines = torch.cosine_similarity(one.vectors, other.vectors, dim=-1)
    turned = replace(other, vectors=torch.where(torch.arange(8)[:, None] == 5, other.vectors.roll(7, 1), one.vectors))
    changed = replace(concept, directions={"mean_difference": one, "first_component": turned})
    found = [edit.layer for edit in edit_grid(changed, plan) if edit.method == "first_component"]
    assert found == [5]
    assert len(edit_grid(changed, plan)) == 8 + 1
    real = [edit.layer for edit in edit_grid(concept, plan) if edit.method == "first_component"]
    assert real == [layer for layer in range(8) if cosines[layer] < 0.9]
    alone = replace(plan, methods=("first_component",))
    assert len(edit_grid(changed, alone)) == 8, "asked for by itself it is drawn everywhere"


@pytest.mark.parametrize(
    ("strengths", "kept"),
    [((0.1,), [0.1]), ((0.1, 0.2), [0.2]), ((0.1, 0.2, 0.3), [0.2, 0.3]), ((0.1, 0.2, 0.3, 0.4), [0.2, 0.3])],
)
def test_a_positive_control_gets_the_middle_strengths(concept, strengths, kept):
    found = edit_grid(concept, Plan(strengths=strengths, methods=("mean_difference", "first_component")), small=True)
    assert [edit.strength for edit in found[: len(kept)]] == kept
    assert len(found) == 8 * len(kept)
    assert {edit.method for edit in found} == {"mean_difference"}


# -- what is said of doses -----------------------------------------------------------------------------------------


def test_the_papers_dose_is_under_two_percent_of_the_built_in_models_norm(concept):
    """The preset's dose at its own layer, and over all layers: 0.4 to 1.4 %."""
    at = {layer: 100 * fraction_of(concept, layer, 3.0, "raw") for layer in range(8)}
    assert 0.3 < min(at.values()) < max(at.values()) < 1.6
    said, weak = dose_notes(concept, replace(PRESETS["olson2024"], layers="all"))
    assert said == []
    (note,) = weak
    assert note == (
        f"A strength of 3 residual units is {min(at.values()):.2g} to {max(at.values()):.2g} % of the median residual "
        "norm at layers 0-7. Below 5 %, a push rarely changes a text."
    )


def test_strong_doses_are_said_and_not_warned_of(concept):
    assert dose_notes(concept, Plan()) == ([], []), "fractions of the norm say it themselves"
    assert dose_notes(concept, Plan(strengths=(0.05,))) == ([], [])
    said, weak = dose_notes(concept, Plan(strengths=(0.01, 0.2)))
    assert (said, len(weak)) == ([], 1)
    assert weak[0].startswith("A strength of 0.01 of the residual norm is 1 % of")
    said, weak = dose_notes(concept, Plan(strengths=(20.0,), strength_unit="gap"))
    assert (len(said), weak) == (1, [])
    assert said[0].startswith("A strength of 20 gaps is ")


# -- screening -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_screening_rows_equal_the_screen(chat):
    concept = concept_of(chat, "2,4")
    plan = Plan(layers="2,4", strengths=(0.1, 0.3), screen_pairs=4)
    rows, kl = screen_grid(chat, concept, plan)
    pairs = concept.splits["dev"][:4]
    found = screen(chat, pairs, edit_grid(concept, plan))
    assert len(rows) == 2 * 2 * 2
    assert set(kl) == {(layer, s, "mean_difference") for layer in (2, 4) for s in (0.1, 0.3)}
    for number, (key, value) in enumerate(kl.items()):
        assert value == pytest.approx(float(found.kl[number].mean()), rel=1e-4)
        (row,) = [r for r in rows if (r["layer"], r["strength"], r["measure"]) == (*key[:2], "kl")]
        assert row["estimate"] == pytest.approx(
            t_interval(by_topic(pairs, found.kl[number].numpy().astype(float))).value
        )
        assert row["n"] == len({pair.topic for pair in pairs})
    assert kl[2, 0.3, "mean_difference"] > kl[2, 0.1, "mean_difference"] > 0


def test_topics_are_the_clusters_of_pairs(concept):
    pairs = [replace(pair, topic=topic) for pair, topic in zip(concept.splits["dev"], "aabbcc", strict=False)]
    found = by_topic(pairs, np.array([1.0, 3.0, 5.0, NAN, NAN, NAN]))
    np.testing.assert_array_equal(found, [2.0, 5.0, NAN])


def test_the_kl_of_a_cell_leaves_out_what_was_not_measured():
    kl = torch.tensor([[1.0, 3.0, NAN], [2.0, 2.0, 2.0]])
    found = kl_by_cell([Steering(1, torch.ones(2), 0.1), Steering(2, torch.ones(2), 0.2)], Screen(kl, kl))
    assert found == {(1, 0.1, "mean_difference"): 2.0, (2, 0.2, "mean_difference"): 2.0}


# -- rows of a stage -----------------------------------------------------------------------------------------------

PROMPTS = 10


@pytest.fixture
def stage():
    """Ten prompts; unsteered, a steered cell, a temperature and a flip; made-up scores."""
    conditions = (
        Condition("", "unsteered", (0,)),
        Condition("creativity", "layer", (0,), Steering(3, torch.ones(2), 0.1)),
        Condition("creativity", "temperature", (0,), temperature=1.3),
        Condition("creativity", "flip", (0,), Steering(3, torch.ones(2), 0.12, "flip"), control=4),
        Condition("register", "layer", (0,), Steering(3, torch.ones(2), 0.1)),
    )
    place = np.array([(c, p) for c in range(5) for p in range(PROMPTS)])
    prompts = tuple(Prompt(f"p{p}", None, f"About {p}.") for p in range(PROMPTS))
    rng = np.random.default_rng(0)
    score, match, surprisal, repetition, hooked = rng.standard_normal((5, 50))
    frame = pd.DataFrame({"hooked_score": hooked})
    measured = Measured(score, match + 3.0, torch.zeros(50, 2), {})
    return Texts(frame, place, conditions, prompts), measured, surprisal + 3, np.abs(repetition) / 20


def test_rows_of_a_stage(concept, stage):
    texts, measured, surprisal, repetition = stage
    cells = cells_of(texts, concept, measured, surprisal, repetition)
    assert sorted(cells) == [1, 2], "the concept's own, without what is compared in gain alone"
    leaks = leaks_of(texts, concept, measured)
    assert sorted(leaks) == [1], "where something was pushed"
    kl = {(3, 0.1, "mean_difference"): 0.25}
    rows = stage_rows("test", concept, texts, measured, cells, leaks, kl, seed=3)
    got = Counter((row["condition"], row["measure"]) for row in rows)
    every = {"gain", "coherence", "faithfulness", "quality", "surprisal", "repetition"}
    assert set(got) == (
        {("layer", name) for name in every | {"leak", "kl"}}
        | {("temperature", name) for name in every}
        | {("flip", "gain")}
    )
    assert set(got.values()) == {1}
    assert {row["concept"] for row in rows} == {"creativity"}
    found = {(row["condition"], row["measure"]): row for row in rows}
    for name, estimate in measure(cells[1], seed=3)._asdict().items():
        row = found["layer", name]
        assert (row["estimate"], row["low"], row["high"]) == (estimate.value, estimate.low, estimate.high)
        assert row["unit"] == ("gaps" if name == "gain" else "share")
    flip = found["flip", "gain"]
    assert (flip["control"], flip["layer"], flip["strength"], flip["n"]) == (4, 3, 0.12, PROMPTS)
    assert found["temperature", "gain"]["temperature"] == 1.3
    assert found["layer", "kl"]["estimate"] == 0.25
    assert found["layer", "gain"]["layer"] == 3


def test_what_was_not_measured_says_so(concept, stage):
    texts, measured, surprisal, repetition = stage
    blind = replace(measured, match=np.zeros(50))
    cells = cells_of(texts, concept, blind, surprisal, repetition)
    rows = stage_rows("test", concept, texts, blind, cells, {}, {}, seed=0)
    notes = {row["measure"]: row["note"] for row in rows if row["condition"] == "layer"}
    assert notes["faithfulness"] == "not measured"
    assert notes["gain"] is None


def test_a_leak_is_what_the_probe_shows_beyond_the_text(concept, stage):
    texts, measured, *_ = stage
    hooked, score = texts.frame["hooked_score"].to_numpy(), measured.score
    by_hand = (hooked[10:20] - hooked[:10]) - (score[10:20] - score[:10])
    found = leaks_of(texts, concept, measured)[1]
    assert found.value == pytest.approx(by_hand.mean())
    assert (found.low, found.high) == pytest.approx((t_interval(by_hand).low, t_interval(by_hand).high))
    honest = replace(measured, score=hooked.astype(float))
    assert leaks_of(texts, concept, honest)[1].value == pytest.approx(0.0), "a rise that is in the text is no leak"
    texts.frame["hooked_score"] = NAN
    assert np.isnan(leaks_of(texts, concept, measured)[1].value), "a cosine has no leak, and no warning"
