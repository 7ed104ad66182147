"""The verdict claims seldom without an effect, nearly always with one, and never when a part cannot be measured."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from creativity_lens.cells import Cell
from creativity_lens.statistics import t_interval
from creativity_lens.verdict import BLIND, NOT_ENOUGH, STEERS, judge, with_control

DRAWS = 99  # coherence and read-out are far from their limits in the simulations, and 1,999 draws say the same


def simulated(
    rng,
    *,
    gain=0.0,
    every_push=0.0,
    spread=0.15,
    samples=4,
    control_samples=1,
    prompts=32,
    controls=39,
    surprise=0.05,
    readout=1.0,
    topics=12,
):
    """A test table without a model: what `judge` takes.

    Each push has its own effect, `every_push` plus noise of `spread` gaps, drawn alike for the chosen one and the
    controls; the chosen one has `gain` on top. A push works better on some prompts than on others, prompts are
    unequally noisy, and all pushes are compared with the same unsteered texts (8 a prompt). Coherence and read-out are
    true unless asked otherwise.
    """
    noise = rng.uniform(0.2, 1.0, prompts)  # of one text's score, in gaps
    effects = every_push + spread * rng.standard_normal((controls + 1, 1))
    effects = effects + 0.2 * rng.standard_normal((controls + 1, prompts))
    counts = np.r_[samples, np.full(controls, control_samples)][:, None]
    scores = effects + noise * rng.standard_normal((controls + 1, prompts)) / np.sqrt(counts)
    gains = scores - noise * rng.standard_normal(prompts) / np.sqrt(8)
    surprisal_0 = 3 + 0.4 * rng.standard_normal(prompts)
    repetition_0 = np.full(prompts, 0.03)
    cell = Cell(
        gain=gains[0] + gain,
        surprisal=surprisal_0 + surprise + 0.1 * noise * rng.standard_normal(prompts),
        surprisal_0=surprisal_0,
        repetition=repetition_0 + 0.02 * rng.standard_normal(prompts),
        repetition_0=repetition_0,
        match=0.3 + 0.1 * rng.standard_normal(prompts),
        match_0=0.4 + 0.1 * rng.standard_normal(prompts),
    )
    labels = [f"topic {i // 3}" for i in range(3 * topics)]
    margins = readout + 0.7 * rng.standard_normal(3 * topics)
    return cell, gains[1:].mean(axis=1), margins, labels


def verdict_of(seed=0, **options):
    return judge(*simulated(np.random.default_rng(seed), **options), seed=seed, draws=DRAWS)


def verdicts(count, **options):
    rng = np.random.default_rng(7)
    return [judge(*simulated(rng, **options), seed=seed, draws=DRAWS) for seed in range(count)]


def passed(verdict):
    return {part.key: part.passed for part in verdict.parts}


def claims(found):
    return sum(verdict.outcome == STEERS for verdict in found)


# -- error rates ---------------------------------------------------------------------------------------------------

MOST_CLAIMS = stats.binom.ppf(0.99, 200, 0.05)  # 18 of 200: the 99 % point at a true 5 %


@pytest.mark.parametrize("every_push", [0.0, 0.5], ids=["no effect", "every push raises the score"])
@pytest.mark.parametrize(
    ("control_samples", "spread"),
    [
        pytest.param(1, 0.4, id="as in the sweep, pushes differ"),
        pytest.param(1, 0.0, id="as in the sweep, pushes alike", marks=pytest.mark.slow),
        pytest.param(4, 0.4, id="sampled like the cell, pushes differ", marks=pytest.mark.slow),
        pytest.param(4, 0.0, id="sampled like the cell, pushes alike", marks=pytest.mark.slow),
    ],
)
def test_false_claims_are_rare(every_push, control_samples, spread):
    found = verdicts(200, every_push=every_push, control_samples=control_samples, spread=spread)
    assert claims(found) <= MOST_CLAIMS
    # the test has teeth: coherence and read-out let everything pass, and the gain's interval alone far too much
    others = [passed(verdict) for verdict in found]
    assert sum(part["coherence"] and part["readout"] for part in others) == 200
    if every_push or spread:
        assert sum(part["gain"] for part in others) > 2 * MOST_CLAIMS


def test_a_planted_gain_is_found():
    assert claims(verdicts(60, gain=0.6)) >= 54


def test_a_planted_gain_is_found_where_every_push_raises_the_score():
    assert claims(verdicts(60, gain=0.6, every_push=0.5)) >= 54


@pytest.mark.slow
def test_the_false_claims_come_at_the_nominal_rate_when_only_the_controls_protect():
    """As many samples for the controls as for the cell make the rank exact: a far lower rate would mean a dead test."""
    found = verdicts(400, every_push=0.8, samples=4, control_samples=4, spread=0.15)
    assert 0.025 <= claims(found) / 400 <= 0.08


# -- each part alone can stop a claim ------------------------------------------------------------------------------


def test_all_parts_pass_with_a_planted_gain():
    verdict = verdict_of(gain=0.8)
    assert verdict.outcome == STEERS
    assert passed(verdict) == {"gain": True, "controls": True, "coherence": True, "readout": True}
    assert [part.key for part in verdict.parts] == ["gain", "controls", "coherence", "readout"]


@pytest.mark.parametrize(
    ("options", "failing", "why"),
    [
        ({"gain": -0.5, "spread": 0.0}, {"gain", "controls"}, "not shown to be above 0"),
        (
            {"gain": 0.0, "every_push": 0.6, "spread": 0.3},
            {"controls"},
            "matched control pushes did as well",
        ),
        ({"gain": 0.8, "surprise": 0.6}, {"coherence"}, "of coherence is kept"),
        ({"gain": 0.8, "readout": 0.0}, {"readout"}, "not shown to be better than chance"),
        ({"gain": 0.8, "readout": -1.0}, {"readout"}, "not shown to be better than chance"),
    ],
)
def test_a_part_that_fails_stops_the_claim_and_is_named(options, failing, why):
    verdict = verdict_of(**options)
    assert verdict.outcome == NOT_ENOUGH
    assert {key for key, yes in passed(verdict).items() if yes is False} == failing
    assert why in verdict.sentence


@pytest.mark.parametrize(
    ("options", "unmeasured", "why"),
    [
        ({"topics": 7}, {"readout"}, "7 topics of test pairs are too few"),
        ({"prompts": 7}, {"gain", "coherence"}, "7 prompts are too few"),
        ({"controls": 18}, {"controls"}, "18 measured control pushes are too few"),
        ({"controls": 0}, {"controls"}, "0 measured control pushes are too few"),
    ],
)
def test_a_part_that_cannot_be_measured_stops_the_claim(options, unmeasured, why):
    verdict = verdict_of(gain=2.0, **options)
    assert verdict.outcome == NOT_ENOUGH
    assert {key for key, yes in passed(verdict).items() if yes is None} == unmeasured
    assert why in verdict.sentence


def test_blind_or_broken_runs_never_claim():
    for broken in ({"surprise": 0.5}, {"readout": 0.0}, {"topics": 6}, {"prompts": 6}):
        assert claims(verdicts(15, gain=1.0, **broken)) <= 1


def test_values_that_were_not_measured_do_not_claim():
    cell, controls, margins, topics = simulated(np.random.default_rng(0), gain=0.8)
    nan = np.full(32, np.nan)
    for lost in ({"gain": nan}, {"surprisal": nan}, {"repetition_0": nan}):
        verdict = judge(replace(cell, **lost), controls, margins, topics, seed=0, draws=DRAWS)
        assert verdict.outcome == NOT_ENOUGH
        assert "nan" not in verdict.sentence
    assert judge(cell, controls, np.full(36, np.nan), topics, seed=0, draws=DRAWS).outcome == NOT_ENOUGH
    assert judge(cell, np.full(39, np.nan), margins, topics, seed=0, draws=DRAWS).outcome == NOT_ENOUGH


@pytest.mark.parametrize(("scatter", "passes"), [(0.8, False), (0.2, True)])
def test_the_low_end_decides_and_not_the_estimate(scatter, passes):
    cell, controls, margins, topics = simulated(np.random.default_rng(0))
    wide = scatter * stats.zscore(np.random.default_rng(1).standard_normal(32), ddof=1)
    cell = replace(cell, gain=0.2 + wide, surprisal=cell.surprisal_0 + 0.1 + wide, repetition=cell.repetition_0)
    gain, _, coherence, _ = judge(cell, controls - 3, margins, topics, seed=0).parts
    assert gain.estimate.value > 0
    assert coherence.estimate.value > 0.8
    assert gain.passed is coherence.passed is passes


@pytest.mark.parametrize(("better", "outcome"), [(0, STEERS), (1, STEERS), (2, NOT_ENOUGH)])
def test_one_of_39_controls_may_be_as_good(better, outcome):
    cell, _, margins, topics = simulated(np.random.default_rng(0), gain=0.8)
    controls = np.r_[np.full(better, 5.0), np.linspace(-0.2, 0.2, 39 - better)]
    verdict = judge(cell, controls, margins, topics, seed=0, draws=DRAWS)
    assert verdict.outcome == outcome
    assert verdict.parts[1].estimate.value == (1 + better) / 40
    if outcome == STEERS:
        assert f"more than {39 - better} of 39 matched control pushes" in verdict.sentence
    else:
        assert "2 of 39 matched control pushes did as well (rank p 0.075)" in verdict.sentence


# -- words ---------------------------------------------------------------------------------------------------------


def test_sentence_of_a_claim_carries_its_numbers():
    table = simulated(np.random.default_rng(0), gain=0.8)
    verdict = judge(*table, seed=0, layer=4, strength=0.2, draws=DRAWS)
    gain = t_interval(table[0].gain)
    assert verdict.sentence == (
        "Pushing along the direction at layer 4 with strength 0.20 makes texts score "
        f"{gain.value:.2f} gaps more creative (95 % interval {gain.low:.2f} to {gain.high:.2f}, 32 prompts), "
        "more than 39 of 39 matched control pushes did, "
        f"with {verdict.parts[2].estimate.value:.2f} of coherence kept."
    )
    assert verdict.parts[0].estimate.unit == "gaps"


def test_sentence_without_a_claim_says_what_could_have_been_seen():
    verdict = verdict_of(gain=-0.5)
    assert verdict.sentence.startswith(
        "Not enough evidence that pushing along the direction makes texts more creative: "
    )
    assert verdict.sentence.endswith(
        f"; the smallest gain this run could have detected is {verdict.smallest_detectable_gain:.2f} gaps."
    )
    assert 0.05 < verdict.smallest_detectable_gain < 0.5
    for few in (verdict_of(gain=0.8, prompts=5), verdict_of(gain=0.8, controls=12)):
        assert np.isnan(few.smallest_detectable_gain)
        assert few.sentence.endswith("; a run of this size could not have shown a gain of any size.")


@pytest.mark.parametrize("width", [0.0, 0.4])
def test_smallest_detectable_gain_is_detected_four_times_in_five(width):
    """By the whole verdict, controls included: whichever of the two asks for more decides."""
    rng = np.random.default_rng(0)
    cell, _, margins, topics = simulated(rng)
    controls = np.linspace(-width, width, 39)
    noise = 0.5 * stats.zscore(rng.standard_normal(32), ddof=1)
    gain = judge(replace(cell, gain=noise), controls, margins, topics, seed=0, draws=DRAWS).smallest_detectable_gain
    limit = controls[-2]
    assert gain == pytest.approx(limit + 0.5 / np.sqrt(32) * (0.853 if width else 2.9), rel=0.01)
    fresh = gain + 0.5 * rng.standard_normal((2000, 32))
    found = (stats.ttest_1samp(fresh, 0, axis=1).pvalue < 0.05) & (fresh.mean(axis=1) > limit)
    assert found.mean() == pytest.approx(0.8, abs=0.03)


def test_rounding_does_not_hide_the_side_of_a_limit():
    cell, controls, margins, topics = simulated(np.random.default_rng(0))
    noise = stats.zscore(np.random.default_rng(1).standard_normal(32), ddof=1) / np.sqrt(32)  # standard error 1 / 32
    for low, text in ((0.002, "0.002 to"), (-0.002, "-0.002 to")):
        gain = noise + stats.t.ppf(0.975, 31) / 32 + low
        verdict = judge(replace(cell, gain=gain), controls - 3, margins, topics, seed=0, draws=DRAWS)
        assert text in verdict.sentence


@pytest.mark.parametrize(
    ("concept", "words"),
    [("register", "more imaginative"), ("sentiment", "more positive"), ("rhyme", "more rhyme")],
)
def test_other_concepts_have_their_own_words(concept, words):
    table = simulated(np.random.default_rng(0), gain=0.8)
    assert f"gaps {words} (" in judge(*table, seed=0, concept=concept, draws=DRAWS).sentence


@pytest.mark.parametrize("options", [{"gain": 0.8}, {}, {"prompts": 5, "topics": 5, "controls": 3}, {"surprise": 2.0}])
def test_a_verdict_is_one_sentence_without_nan(options):
    verdict = verdict_of(**options)
    for text in (verdict.sentence, with_control(verdict, verdict_of(gain=-1.0)).sentence):
        assert text.endswith(".")
        assert ". " not in text
        assert "nan" not in text


# -- the positive control ------------------------------------------------------------------------------------------


def test_a_positive_control_that_passes_changes_nothing():
    control = verdict_of(gain=1.0)
    for verdict in (verdict_of(gain=0.8), verdict_of(gain=-0.5)):
        assert with_control(verdict, control) is verdict


@pytest.mark.parametrize("gain", [0.8, -0.5])
def test_a_positive_control_that_fails_makes_the_assay_blind(gain):
    verdict = verdict_of(gain=gain)
    control = judge(*simulated(np.random.default_rng(1), gain=-0.5), seed=0, concept="register", draws=DRAWS)
    blind = with_control(verdict, control)
    assert blind.outcome == BLIND
    assert blind.sentence.startswith(
        "The assay found nothing it should have found: its positive control, register, failed"
    )
    assert blind.sentence.endswith("so this run cannot say whether pushing makes texts more creative.")
    assert blind.parts == verdict.parts
    assert blind.smallest_detectable_gain == verdict.smallest_detectable_gain


def test_same_seed_same_verdict():
    table = simulated(np.random.default_rng(0), gain=0.5)
    assert judge(*table, seed=4, draws=DRAWS) == judge(*table, seed=4, draws=DRAWS)
