"""Gain, coherence, faithfulness and quality of a cell: by hand, in simulation, and where something is missing."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from creativity_lens.cells import (
    Cell,
    coherence_interval,
    coherence_of,
    faithfulness_of,
    is_faithfulness_measured,
    measure,
    quality_of,
    repeated_share,
)
from creativity_lens.errors import InputError
from creativity_lens.statistics import confidence_set, selection_share, t_interval


def cell_of(rng, n=32, *, gain=0.5, surprise=0.1, repeats=0.05, match=0.3, match_0=0.4):
    """A cell with these true means, prompts of unequal noise, and what a prompt's texts share under both conditions."""
    noise = rng.uniform(0.3, 1.7, n)
    surprisal_0 = 3 + 0.4 * rng.standard_normal(n)
    repetition_0 = 0.05 + 0.02 * rng.standard_normal(n)
    return Cell(
        gain=gain + 0.5 * noise * rng.standard_normal(n),
        surprisal=surprisal_0 + surprise + 0.25 * noise * rng.standard_normal(n),
        surprisal_0=surprisal_0,
        repetition=repetition_0 + repeats + 0.05 * noise * rng.standard_normal(n),
        repetition_0=repetition_0,
        match=match + 0.2 * noise * rng.standard_normal(n),
        match_0=match_0 + 0.15 * rng.standard_normal(n),
    )


def constant_cell(n=8, *, gain=0.5, surprisal=3.1, repetition=0.1, match=0.3):
    """Nothing varies between prompts, so that every number follows by hand."""
    full = [np.full(n, value) for value in (gain, surprisal, 3.0, repetition, 0.05, match, 0.4)]
    return Cell(*full)


def ones(n=8):
    return np.ones((1, n))


# -- by hand -------------------------------------------------------------------------------------------------------


def test_numbers_by_hand():
    cell = constant_cell()
    k, f = np.exp(-0.1) * 0.95, 0.75
    found = measure(cell, seed=0)
    assert found.gain.value == pytest.approx(0.5)
    assert found.coherence.value == pytest.approx(k) == 0.8595955
    assert found.faithfulness.value == pytest.approx(f)
    assert found.quality.value == pytest.approx(3 / (1 / 0.5 + 1 / k + 1 / f)) == stats.hmean([0.5, k, f])
    assert [part.unit for part in found] == ["gaps", "share", "share", "share"]
    assert [part.n for part in found] == [8] * 4


@pytest.mark.parametrize(
    ("surprisal", "repetition", "kept"),
    [
        (3.0, 0.05, 1.0),  # no change
        (2.0, 0.00, 1.0),  # less surprising and less repetitive: capped
        (3.0 + np.log(2), 0.05, 0.5),  # a factor of two in likelihood per token
        (2.0, 0.25, 0.8),  # being more predictable does not pay for repeating
        (3.0 + np.log(2), 0.00, 0.5),  # nor the other way round
        (3.0 + np.log(2), 0.25, 0.4),
        (3.0, 1.05, 0.0),
    ],
)
def test_coherence_by_hand(surprisal, repetition, kept):
    cell = constant_cell(surprisal=surprisal, repetition=repetition)
    assert coherence_of(ones(), cell)[0] == pytest.approx(kept)
    assert coherence_interval(cell, draws=99).value == pytest.approx(kept)


def test_coherence_is_of_the_means_not_the_mean_of_coherences():
    half = np.repeat([0.0, 1.0], 4)
    cell = replace(constant_cell(repetition=0.05), surprisal=3.0 + 2 * np.log(2) * half)
    assert coherence_of(ones(), cell)[0] == pytest.approx(0.5)  # the mean of 1 and 1/4 would be 0.625
    only_first = np.array([[1.0, 0, 0, 0, 0, 0, 0, 0]])
    assert coherence_of(only_first, cell)[0] == pytest.approx(1)


@pytest.mark.parametrize(("match", "kept"), [(0.3, 0.75), (0.9, 1.0), (-0.2, 0.0), (0.0, 0.0)])
def test_faithfulness_by_hand(match, kept):
    assert faithfulness_of(ones(), constant_cell(match=match))[0] == pytest.approx(kept)
    assert measure(constant_cell(match=match)).faithfulness.value == pytest.approx(kept)


@pytest.mark.parametrize(
    "zero", [{"gain": 0.0}, {"gain": -0.4}, {"repetition": 1.05}, {"match": 0.0}, {"match": -0.3, "gain": -0.2}]
)
def test_quality_is_zero_when_any_part_is(zero):
    assert quality_of(ones(), [constant_cell(**zero)])[0, 0] == 0
    assert measure(constant_cell(**zero)).quality.value == 0


def test_quality_counts_a_gain_above_one_as_one_but_the_gain_is_not_clipped():
    assert quality_of(ones(), [constant_cell(gain=3.0)]) == pytest.approx(quality_of(ones(), [constant_cell(gain=1.0)]))
    assert measure(constant_cell(gain=3.0)).gain.value == pytest.approx(3)
    assert measure(constant_cell(gain=-0.4)).gain.value == pytest.approx(-0.4)


@pytest.mark.parametrize(
    ("tokens", "n", "share"),
    [
        ([], 4, 0.0),
        ([1, 2, 3], 4, 0.0),  # shorter than n
        ([1, 2, 3, 4], 4, 0.0),
        ([1, 2, 3, 4, 5, 6, 7, 8], 4, 0.0),
        ([1, 2, 3, 4, 1, 2, 3, 4], 4, 0.2),  # 1234 2341 3412 4123 and 1234 again
        ([7] * 8, 4, 0.8),
        ([1, 2, 3, 1, 2, 3], 3, 0.25),
        ([1, 1, 2, 2], 1, 0.5),
    ],
)
def test_repeated_share_by_hand(tokens, n, share):
    assert repeated_share(tokens, n=n) == pytest.approx(share)
    assert repeated_share(np.array(tokens, dtype=np.int64), n=n) == pytest.approx(share)


# -- what was not measured -----------------------------------------------------------------------------------------


def test_faithfulness_without_a_base_is_not_measured_and_left_out():
    rng = np.random.default_rng(0)
    vague = cell_of(rng, match_0=0.0)
    assert not is_faithfulness_measured(vague)
    found = measure(vague)
    assert np.isnan([found.faithfulness.value, found.faithfulness.low, found.faithfulness.high]).all()
    assert found.quality.value == pytest.approx(stats.hmean([found.gain.value, found.coherence.value]))
    assert found.quality.has_interval
    below = replace(
        vague, match_0=vague.match_0 - 1
    )  # texts nearer to other prompts than to their own: a ratio of what?
    assert not is_faithfulness_measured(below)


def test_prompts_without_a_value_are_left_out_where_they_are_needed():
    cell = cell_of(np.random.default_rng(0), 16)
    gap = np.r_[np.nan, np.zeros(15)]
    without = measure(replace(cell, match=cell.match + gap, surprisal=cell.surprisal + gap[::-1]), seed=3)
    assert [part.n for part in without] == [16, 15, 15, 14]
    rest = Cell(**{name: values[1:15] for name, values in vars(cell).items()})
    assert without.quality == measure(rest, seed=3).quality
    assert without.gain == t_interval(cell.gain, unit="gaps")


def test_nothing_measured_is_nan_not_zero():
    nothing = Cell(*[np.full(12, np.nan)] * 7)
    assert all(np.isnan(part.value) and part.n == 0 for part in measure(nothing))


def test_no_intervals_below_eight_prompts():
    found = measure(cell_of(np.random.default_rng(0), 7))
    assert not any(part.has_interval for part in found)
    assert np.isfinite([found.gain.value, found.coherence.value, found.quality.value]).all()


# -- intervals -----------------------------------------------------------------------------------------------------


def coverage(estimate_of, truth, n, simulations, **cell_options):
    rng = np.random.default_rng(n)
    found = [estimate_of(cell_of(rng, n, **cell_options), seed) for seed in range(simulations)]
    return np.mean([estimate.low <= truth <= estimate.high for estimate in found])


def coherence_estimate(cell, seed):
    return coherence_interval(cell, seed=seed, draws=199)


@pytest.mark.slow
@pytest.mark.parametrize("n", [8, 16, 32])
@pytest.mark.parametrize(("surprise", "repeats"), [(0.1, 0.05), (0.3, -0.1), (-0.3, 0.15)])
def test_coherence_interval_covers_what_it_promises(n, surprise, repeats):
    truth = min(1, np.exp(-surprise)) * (1 - max(0, repeats))
    assert 0.92 <= coverage(coherence_estimate, truth, n, 1000, surprise=surprise, repeats=repeats) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("n", [8, 16, 32])
def test_low_end_of_coherence_holds_on_the_kink(n):
    """With no true change k is 1, its largest value, and a low end cannot be above it; near it, it must still hold."""
    rng = np.random.default_rng(n)
    too_high = 0
    for seed in range(400):
        too_high += coherence_estimate(cell_of(rng, n, surprise=0.02, repeats=0.0), seed).low > np.exp(-0.02)
    assert too_high <= 19  # 2.5 % of 400 and three standard errors


@pytest.mark.slow
@pytest.mark.parametrize("n", [12, 24])
def test_quality_interval_covers_also_without_gain(n):
    for gain in (0.5, 0.0):
        truth = stats.hmean([gain, np.exp(-0.1) * 0.95, 0.75]) if gain else 0
        covered = coverage(lambda cell, seed: measure(cell, seed=seed, draws=199).quality, truth, n, 300, gain=gain)
        assert 0.90 <= covered <= 0.99


def test_coverage_in_short():
    truth = np.exp(-0.1) * 0.95
    assert 0.90 <= coverage(coherence_estimate, truth, 12, 200) <= 0.99
    faithfulness = coverage(lambda cell, seed: measure(cell, seed=seed, draws=99).faithfulness, 0.75, 12, 100)
    assert faithfulness >= 0.88


def test_coherence_at_its_cap_is_certain_only_when_clearly_above_it():
    rng = np.random.default_rng(0)
    clearly = coherence_interval(cell_of(rng, surprise=-0.5, repeats=-0.2))
    assert (clearly.low, clearly.value, clearly.high) == (1, 1, 1)
    barely = coherence_interval(cell_of(rng, surprise=0.0, repeats=0.0))
    assert 0.8 < barely.low < 1
    assert barely.high == 1


def test_order_of_prompts_does_not_matter():
    cell = cell_of(np.random.default_rng(0), 16)
    order = np.random.default_rng(1).permutation(16)
    shuffled = Cell(**{name: values[order] for name, values in vars(cell).items()})
    for one, other in zip(measure(cell), measure(shuffled), strict=True):
        assert one.value == pytest.approx(other.value)
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=0.1 * (one.high - one.low))


def test_coherence_sees_differences_only():
    cell = cell_of(np.random.default_rng(0), 16)
    moved = replace(cell, surprisal=cell.surprisal + 2, surprisal_0=cell.surprisal_0 + 2)
    before, after = coherence_interval(cell), coherence_interval(moved)
    assert (before.low, before.value, before.high) == pytest.approx((after.low, after.value, after.high))


# -- comparing cells -----------------------------------------------------------------------------------------------


def test_best_layer_is_found_and_the_others_dropped():
    rng = np.random.default_rng(0)
    gains = [-0.3, 0.1, 0.8, 0.2]
    cells = [cell_of(rng, gain=gain) for gain in gains]

    def statistic(weights):
        return quality_of(weights, cells)

    assert confidence_set(statistic, 32).tolist() == [False, False, True, False]
    assert selection_share(statistic, 32)[2] > 0.95
    assert statistic(np.ones((3, 32))).shape == (3, 4)


def test_quality_of_agrees_with_measure():
    cells = [cell_of(np.random.default_rng(seed), 16) for seed in range(3)]
    together = quality_of(np.ones((1, 16)), cells)[0]
    assert together == pytest.approx([measure(cell, draws=99).quality.value for cell in cells])


def test_cells_of_other_prompts_are_refused():
    with pytest.raises(InputError, match="expected cells of 16 prompts; got one of 8"):
        quality_of(np.ones((1, 16)), [constant_cell(16), constant_cell(8)])
