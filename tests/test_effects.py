"""Effects equal what is computed by hand, add up, cover what they promise, and find nothing where nothing is."""

from dataclasses import fields

import numpy as np
import pytest
from scipy import stats

from creativity_lens.effects import FEW, NO_START, UNSURE, TwoByTwo, steps, two_by_two
from creativity_lens.errors import InputError
from creativity_lens.statistics import Estimate, t_interval

DIFFERENCES = (
    "total", "weights", "template", "weights_plain", "weights_template", "template_base", "template_aligned",
    "interaction",
)  # fmt: skip


def planted(rng, n, *, base=3.0, weights=-0.8, template=-0.4, interaction=-0.3, noise=0.3):
    """Cells [weights, format, prompt] with a prompt's own level and noise of its own size."""
    cells = np.array([[base, base + template], [base + weights, base + weights + template + interaction]])
    level, size = rng.normal(0, 0.5, n), noise * rng.uniform(0.5, 1.5, n)
    return cells[:, :, None] + level + size * rng.standard_normal((2, 2, n))


def same(one: Estimate, other: Estimate) -> bool:
    return [one.value, one.low, one.high] == pytest.approx([other.value, other.low, other.high], nan_ok=True)


# -- by hand -------------------------------------------------------------------------------------------------------


def test_a_table_computed_by_hand():
    """Per prompt: 10 -> 9 by the template, 10 -> 7 by the weights, 4 by both; and the same plus a little."""
    cells = np.array([[10.0, 9.0], [7.0, 4.0]])[:, :, None] + np.arange(8) / 10
    effects = two_by_two(cells, "nats")
    expected = {
        "total": -6, "weights": -4, "template": -2, "weights_plain": -3, "weights_template": -5,
        "template_base": -1, "template_aligned": -3, "interaction": -2,
    }  # fmt: skip
    for name, value in expected.items():
        assert same(getattr(effects, name), Estimate(*[float(value)] * 3, 8)), name
        assert (getattr(effects, name).n, getattr(effects, name).unit) == (8, "nats")
    assert same(effects.weights_share, Estimate(2 / 3, 2 / 3, 2 / 3, 8))
    assert same(effects.template_share, Estimate(1 / 3, 1 / 3, 1 / 3, 8))
    assert effects.template_share.unit == "share"
    assert (effects.left_out, effects.note) == (0, "")


def test_differences_carry_students_interval():
    cells = planted(np.random.default_rng(0), 12)
    own = cells[1, 1] - cells[0, 0]
    t = stats.ttest_1samp(own, 0).confidence_interval(0.95)
    found = two_by_two(cells, "nats").total
    assert (found.value, found.low, found.high) == pytest.approx((own.mean(), t.low, t.high))


def test_a_ladder_computed_by_hand():
    values = np.array([[4.0], [3.0], [1.0], [2.0]]) + np.zeros(9)
    ladder = steps(values, ["base", "sft", "dpo", "rl"], "nats")
    assert [(step.name, step.before) for step in ladder] == [("sft", "base"), ("dpo", "sft"), ("rl", "dpo")]
    assert [step.change.value for step in ladder] == [-1, -2, 1]
    assert [step.relative.value for step in ladder] == [-0.25, -0.5, 0.25]
    assert [step.since_first.value for step in ladder] == [-1, -3, -2]
    assert [step.relative_since_first.value for step in ladder] == [-0.25, -0.75, -0.5]
    assert {step.change.unit for step in ladder} == {"nats"}
    assert {step.relative.unit for step in ladder} == {"share"}


# -- identities ----------------------------------------------------------------------------------------------------


def test_identities_hold_whatever_the_values():
    for seed in range(20):
        cells = planted(np.random.default_rng(seed), 16, noise=0.1 + 0.2 * seed)
        effects = two_by_two(cells, "nats")
        value = {name: getattr(effects, name).value for name in DIFFERENCES}
        assert value["weights"] + value["template"] == pytest.approx(value["total"])
        assert value["weights"] == pytest.approx((value["weights_plain"] + value["weights_template"]) / 2)
        assert value["template"] == pytest.approx((value["template_base"] + value["template_aligned"]) / 2)
        assert value["interaction"] == pytest.approx(value["weights_template"] - value["weights_plain"])
        assert value["interaction"] == pytest.approx(value["template_aligned"] - value["template_base"])
        weights, template = effects.weights_share, effects.template_share
        if effects.note == "":
            assert weights.value + template.value == pytest.approx(1)
            assert (1 - weights.high, 1 - weights.low) == pytest.approx((template.low, template.high))
        # the axes change places, and so do their effects; the interaction is the same
        turned = two_by_two(cells.swapaxes(0, 1), "nats")
        assert same(turned.weights, effects.template)
        assert same(turned.template_share, effects.weights_share)
        assert same(turned.interaction, effects.interaction)


def test_shares_do_not_depend_on_the_unit_and_nothing_on_the_order_of_prompts():
    rng = np.random.default_rng(3)
    cells = planted(rng, 16)
    effects = two_by_two(cells, "nats")
    bits = two_by_two(cells / np.log(2) + 5, "bits")
    shuffled = two_by_two(cells[:, :, rng.permutation(16)], "nats")
    assert same(bits.template_share, effects.template_share)
    assert bits.total.value == pytest.approx(effects.total.value / np.log(2))
    for field in fields(TwoByTwo):
        if isinstance(getattr(effects, field.name), Estimate):
            assert same(getattr(shuffled, field.name), getattr(effects, field.name))


def test_steps_add_up_to_what_is_lost_in_all():
    rng = np.random.default_rng(4)
    values = np.array([[5.0], [4.0], [2.5], [2.4]]) + rng.normal(0, 0.4, (4, 16)) + rng.normal(0, 1, 16)
    ladder = steps(values, ["base", "sft", "dpo", "rl"])
    assert sum(step.change.value for step in ladder) == pytest.approx(ladder[-1].since_first.value)
    assert sum(step.relative.value for step in ladder) == pytest.approx(ladder[-1].relative_since_first.value)
    assert same(ladder[0].change, ladder[0].since_first)
    twice = steps(values[[0, 0]], ["base", "same"])[0]
    assert (twice.change.low, twice.change.high, twice.relative.low, twice.relative.high) == (0, 0, 0, 0)


# -- truth known ---------------------------------------------------------------------------------------------------


def test_nothing_is_found_where_nothing_is():
    """800 pairs of equal models on 16 prompts: in 5 % the total seems to differ; three standard errors allowed."""
    rng = np.random.default_rng(5)
    runs = 800
    found = 0
    for _ in range(runs):
        level, noise = rng.normal(3, 0.5, 16), rng.standard_normal((2, 2, 16)) * rng.uniform(0.1, 0.5, 16)
        total = t_interval((level + noise)[1, 1] - (level + noise)[0, 0])
        found += not total.low <= 0 <= total.high
    assert 0.027 <= found / runs <= 0.073


@pytest.mark.parametrize("n", [16, pytest.param(32, marks=pytest.mark.slow)])
def test_planted_effects_are_recovered_and_shares_cover_the_truth(n):
    """Template -0.4 in one order and -0.7 in the other, of -1.5 in all: a share of 0.3667."""
    truth = {"total": -1.5, "weights": -0.95, "template": -0.55, "interaction": -0.3}
    runs = [two_by_two(planted(np.random.default_rng(seed), n), "nats") for seed in range(150)]
    for name, value in truth.items():
        estimates = [getattr(run, name) for run in runs]
        assert np.mean([each.value for each in estimates]) == pytest.approx(value, abs=0.02), name
        covered = np.mean([each.low <= value <= each.high for each in estimates])
        assert 0.9 <= covered <= 0.99, name
    shares = [run.template_share for run in runs]
    assert np.median([each.value for each in shares]) == pytest.approx(0.55 / 1.5, abs=0.01)
    assert 0.9 <= np.mean([each.low <= 0.55 / 1.5 <= each.high for each in shares]) <= 0.99


@pytest.mark.parametrize("total", [-0.35, pytest.param(-0.6, marks=pytest.mark.slow)])
def test_shares_cover_the_truth_also_of_totals_that_are_just_found(total):
    """Shares are given only where the total was found, which must not spoil them."""
    rng = np.random.default_rng(6)
    covered, given = 0, 0
    for _ in range(200):
        cells = planted(rng, 16, weights=0.6 * total, template=0.4 * total, interaction=0.0, noise=0.35)
        share = two_by_two(cells).template_share
        given += share.has_interval
        covered += bool(share.low <= 0.4 <= share.high)
    assert given > 100
    assert covered / given >= 0.9


def test_relative_changes_cover_the_truth():
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(300):
        first = rng.gamma(9, 1 / 3, 16)
        second = 0.6 * first + rng.normal(0, 0.5, 16)
        relative = steps(np.stack([first, second]), ["base", "aligned"])[0].relative
        covered += relative.low <= -0.4 <= relative.high
    assert 0.91 <= covered / 300 <= 0.985


# -- what cannot be said -------------------------------------------------------------------------------------------


def test_no_share_of_a_total_that_may_be_nothing():
    effects = two_by_two(planted(np.random.default_rng(8), 16, weights=0.0, template=0.0, interaction=0.0), "nats")
    assert effects.total.low < 0 < effects.total.high
    assert np.isnan([effects.weights_share.value, effects.template_share.low]).all()
    assert effects.note == UNSURE
    equal = two_by_two(np.ones((2, 2, 9)), "nats")  # a model against itself, under the same luck
    assert (equal.total.low, equal.total.high, equal.note) == (0, 0, UNSURE)
    nothing = steps(np.stack([np.linspace(-1, 1, 12), np.linspace(0, 1, 12)]), ["base", "aligned"])[0]
    assert (nothing.note, np.isnan(nothing.relative.value)) == (NO_START, True)
    assert nothing.change.has_interval


def test_prompts_without_a_value_are_left_out_and_counted():
    cells = planted(np.random.default_rng(9), 14)
    holed = cells.copy()
    holed[0, 1, 3] = holed[1, 1, 3] = holed[1, 0, 7] = np.nan
    effects, whole = two_by_two(holed, "nats"), two_by_two(np.delete(cells, [3, 7], axis=2), "nats")
    assert (effects.left_out, effects.total.n, whole.left_out) == (2, 12, 0)
    for name in (*DIFFERENCES, "template_share"):
        assert same(getattr(effects, name), getattr(whole, name)), name
    holed_ladder = steps(np.stack([cells[0, 0], holed[0, 1]]), ["base", "aligned"])[0]
    assert holed_ladder.change.n == holed_ladder.relative.n == 13


@pytest.mark.parametrize("n", [0, 1, 7])
def test_few_prompts_give_no_interval_and_no_share(n):
    cells = planted(np.random.default_rng(10), n)
    effects = two_by_two(cells, "nats")
    assert not any(getattr(effects, name).has_interval for name in DIFFERENCES)
    assert np.isfinite(effects.total.value) == (n > 0)
    assert np.isnan(effects.template_share.value)
    assert effects.note == FEW
    assert steps(cells[0], ["base", "aligned"])[0].note == FEW


def test_a_ladder_has_two_stages_and_their_names():
    with pytest.raises(InputError, match=r"^stages: expected at least two[^\n]*got 1 stages and 1 names\.$"):
        steps(np.ones((1, 9)), ["base"])
    with pytest.raises(InputError, match=r"got 3 stages and 2 names\.$"):
        steps(np.ones((3, 9)), ["base", "sft"])
