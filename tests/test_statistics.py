"""Intervals that cover what they promise, agreement with other people's code, and the awkward cases."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from creativity_lens import statistics
from creativity_lens.errors import InputError
from creativity_lens.statistics import (
    Estimate,
    auc,
    auc_interval,
    cluster_bootstrap,
    confidence_set,
    paired_accuracy,
    rank_p,
    selection_share,
    smallest_detectable,
    t_interval,
)

SIZES = [8, 16, 32]


def mean_of(values):
    return lambda weights: weights @ values / weights.sum(axis=1)


def means_of(table):
    return lambda weights: weights @ table / weights.sum(axis=1, keepdims=True)


def ratio_of(top, bottom):
    return lambda weights: (weights @ top) / (weights @ bottom)


# -- one simulated study each: (estimate, truth) -------------------------------------------------------------------


def study_of_mean(rng, n, seed):
    noise = rng.uniform(0.3, 1.7, n)  # clusters are not equally noisy
    return t_interval(0.3 + noise * rng.standard_normal(n)), 0.3


def study_of_auc(rng, n, seed, pairs=3, distance=1.2, spread=0.7):
    """Scores that share a topic effect. Couples within a topic do not see it, couples between topics do."""
    topics = np.repeat(np.arange(n), pairs)
    effect = spread * rng.standard_normal(n)[topics]
    high, low = distance + effect + rng.standard_normal(len(topics)), effect + rng.standard_normal(len(topics))
    between, within = stats.norm.cdf(distance / np.sqrt(2 + 2 * spread**2)), stats.norm.cdf(distance / np.sqrt(2))
    return auc_interval(high, low, topics, draws=499, seed=seed), between * (1 - 1 / n) + within / n


def study_of_ratio(rng, n, seed):
    bottom = rng.gamma(6, 1 / 6, n)
    top = 0.7 * bottom + 0.2 * rng.standard_normal(n)
    return cluster_bootstrap(ratio_of(top, bottom), n, draws=499, seed=seed), 0.7


def study_of_accuracy(rng, n, seed, truth=0.8):
    topics = np.repeat(np.arange(n), 3)
    own, shared = rng.standard_normal(len(topics)), rng.standard_normal(n)[topics]
    margins = stats.norm.ppf(truth) + np.sqrt(0.8) * own + np.sqrt(0.2) * shared
    return paired_accuracy(margins, topics, draws=499, seed=seed), truth


STUDIES = [study_of_mean, study_of_auc, study_of_ratio, study_of_accuracy]


def coverage(study, n, simulations):
    rng = np.random.default_rng(n)
    found = [study(rng, n, seed) for seed in range(simulations)]
    return np.mean([estimate.low <= truth <= estimate.high for estimate, truth in found])


@pytest.mark.slow
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("study", STUDIES[:3])
def test_intervals_cover_what_they_promise(study, n):
    assert 0.92 <= coverage(study, n, 1000) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("n", SIZES)
def test_accuracy_interval_covers_at_least_what_it_promises(n):
    # a share of few pairs is a lattice: exactly 95 % is out of reach, so it may err on the long side
    assert coverage(study_of_accuracy, n, 1000) >= 0.92


@pytest.mark.parametrize("study", STUDIES[:3])
def test_coverage_in_short(study):
    assert 0.90 <= coverage(study, 12, 200) <= 0.99  # 3.2 standard errors below 95 %, 2.6 above


def test_samples_taken_for_clusters_do_not_cover():
    """The mistake that the cluster in "cluster bootstrap" prevents, so that the coverage tests can fail."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        means = rng.standard_normal(12)
        samples = (means[:, None] + 0.5 * rng.standard_normal((12, 10))).ravel()
        estimate = t_interval(samples)
        covered += estimate.low <= 0 <= estimate.high
    assert covered < 0.7 * 200


# -- independent references ----------------------------------------------------------------------------------------


def test_t_interval_is_scipys():
    means = np.random.default_rng(0).normal(0.4, 0.3, 17)
    estimate = t_interval(means, unit="gaps")
    by_hand = stats.t.interval(0.95, 16, loc=means.mean(), scale=stats.sem(means))
    by_test = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert (estimate.low, estimate.high) == pytest.approx(by_hand)
    assert (estimate.low, estimate.high) == pytest.approx(tuple(by_test))
    assert (estimate.value, estimate.n, estimate.unit) == (pytest.approx(means.mean()), 17, "gaps")


def test_bootstrap_is_the_textbooks():
    """The same interval written out with lists, loops and no weights."""
    rng = np.random.default_rng(3)
    top, bottom = rng.normal(1, 0.4, 9), rng.gamma(5, 0.2, 9)

    def ratio(members):
        return sum(top[i] for i in members) / sum(bottom[i] for i in members)

    def jackknife_error(members):
        values = [ratio(members[:i] + members[i + 1 :]) for i in range(len(members))]
        centre = sum(values) / len(values)
        return np.sqrt((len(values) - 1) / len(values) * sum((value - centre) ** 2 for value in values))

    counts = np.random.default_rng(11).multinomial(9, np.full(9, 1 / 9), size=199)
    value = ratio(list(range(9)))
    t_values = []
    for row in counts:
        members = [i for i in range(9) for _ in range(row[i])]
        t_values.append((ratio(members) - value) / jackknife_error(members))
    ordered, error = sorted(t_values), jackknife_error(list(range(9)))

    estimate = cluster_bootstrap(ratio_of(top, bottom), 9, draws=199, seed=11)
    assert estimate.value == pytest.approx(value)
    assert estimate.low == pytest.approx(value - ordered[195 - 1] * error)  # the 195th of 199 is the 97.5 % point
    assert estimate.high == pytest.approx(value - ordered[5 - 1] * error)


def test_bootstrap_of_a_mean_approaches_t():
    means = np.random.default_rng(0).normal(0.5, 0.3, 60)
    drawn, exact = cluster_bootstrap(mean_of(means), 60, seed=1), t_interval(means)
    width = exact.high - exact.low
    assert drawn.low == pytest.approx(exact.low, abs=0.06 * width)
    assert drawn.high == pytest.approx(exact.high, abs=0.06 * width)


def test_auc_is_scikit_learns_and_scipys():
    rng = np.random.default_rng(0)
    high, low = rng.integers(2, 9, 40) / 2.0, rng.integers(0, 8, 30) / 2.0  # many ties
    labels = np.r_[np.ones(40), np.zeros(30)]
    assert auc(high, low) == pytest.approx(roc_auc_score(labels, np.r_[high, low]))
    assert auc(high, low) == pytest.approx(stats.mannwhitneyu(high, low).statistic / (40 * 30))
    assert auc(low, high) == pytest.approx(1 - auc(high, low))


def test_auc_by_hand():
    assert auc(np.array([3.0, 2.0]), np.array([1.0, 2.0])) == 0.875
    assert np.isnan(auc(np.array([]), np.array([1.0])))


def test_auc_interval_is_about_the_auc_of_all_pairs():
    rng = np.random.default_rng(0)
    topics = [f"topic {i // 4}" for i in range(40)]
    high, low = rng.normal(0.7, 1, 40).round(1), rng.normal(0, 1, 40).round(1)
    estimate = auc_interval(high, low, topics)
    assert estimate.value == pytest.approx(auc(high, low))
    assert estimate.n == 10
    assert 0 <= estimate.low < estimate.value < estimate.high <= 1


@pytest.fixture(scope="module")
def oracle():
    """TransformerLens's own statistics of an axis of examples."""
    return pytest.importorskip("transformer_lens.utilities.statistics")


def test_transformer_lens_agrees_on_standard_error_and_bootstrap(oracle):
    import torch

    means = np.random.default_rng(4).normal(0.2, 0.5, 50)
    tensor = torch.tensor(means)
    ours = t_interval(means)
    error = float(oracle.standard_error(tensor))
    assert (ours.high - ours.low) / 2 == pytest.approx(error * stats.t.ppf(0.975, 49))
    assert smallest_detectable(means) == pytest.approx(
        (stats.t.ppf(0.975, 49) + stats.t.ppf(0.8, 49)) * error, rel=0.01
    )
    percentile = [float(end) for end in oracle.bootstrap_ci(tensor, n_resamples=4000)]
    drawn = cluster_bootstrap(mean_of(means), 50)
    assert (drawn.low, drawn.high) == pytest.approx(percentile, abs=0.3 * error)
    # theirs is a percentile interval, shorter than t: ours may not be shorter than that
    assert drawn.high - drawn.low > percentile[1] - percentile[0]


@pytest.mark.parametrize("shift", [0.0, 0.15, 0.3, 0.6])
def test_transformer_lens_sign_flips_agree_on_what_is_above_zero(oracle, shift):
    import torch

    means = np.random.default_rng(5).normal(0, 0.5, 24)
    means += shift - means.mean()
    p = float(oracle.sign_flip_permutation_pvalue(torch.tensor(means), n_permutations=4000))
    by_t = stats.ttest_1samp(means, 0).pvalue
    assert p == pytest.approx(by_t, abs=0.03)
    estimate = t_interval(means)
    assert (not estimate.low <= 0 <= estimate.high) == (by_t < 0.05)


@pytest.mark.parametrize(("right", "n"), [(8, 8), (20, 20), (32, 32), (30, 32), (18, 24), (12, 24)])
def test_transformer_lens_exact_interval_is_near_paired_accuracy(oracle, right, n):
    """One pair a topic is a plain share: the exact interval is known, also where every pair is right."""
    margins = np.r_[np.ones(right), -np.ones(n - right)]
    exact = oracle.success_rate_ci([margin > 0 for margin in margins])
    ours = paired_accuracy(margins, [str(i) for i in range(n)])
    assert ours.value == exact.point_estimate
    assert ours.low == pytest.approx(exact.ci_low, abs=0.06)
    assert ours.high == pytest.approx(exact.ci_high, abs=0.06)


# -- invariances ---------------------------------------------------------------------------------------------------


def test_intervals_move_and_stretch_with_the_numbers():
    means = np.random.default_rng(0).normal(0.5, 0.3, 12)
    for interval in (t_interval, lambda values: cluster_bootstrap(mean_of(values), len(values), seed=2)):
        before, moved, stretched = interval(means), interval(means + 3), interval(means * 5)
        assert (moved.low, moved.value, moved.high) == pytest.approx(
            (before.low + 3, before.value + 3, before.high + 3)
        )
        assert (stretched.low, stretched.high) == pytest.approx((5 * before.low, 5 * before.high))


def test_order_does_not_matter():
    rng = np.random.default_rng(0)
    margins, topics = rng.normal(0.4, 1, 48), np.repeat(np.arange(16), 3)
    order = rng.permutation(48)
    assert paired_accuracy(margins[order], topics[order]) == paired_accuracy(margins, topics)
    assert t_interval(margins[order]).low == pytest.approx(t_interval(margins).low)
    high, low = margins, rng.normal(0, 1, 48)
    shuffled, straight = auc_interval(high[order], low[order], topics[order]), auc_interval(high, low, topics)
    assert (shuffled.low, shuffled.high) == pytest.approx((straight.low, straight.high))


def test_auc_interval_depends_on_order_of_scores_only():
    rng = np.random.default_rng(0)
    high, low, topics = rng.normal(0.7, 1, 36), rng.normal(0, 1, 36), np.repeat(np.arange(12), 3)
    assert auc_interval(np.exp(high), np.exp(low), topics) == auc_interval(high, low, topics)


def test_copies_within_a_topic_add_no_evidence():
    rng = np.random.default_rng(0)
    high, low, topics = rng.normal(0.7, 1, 30), rng.normal(0, 1, 30), np.repeat(np.arange(10), 3)
    twice = [np.tile(column, 2) for column in (high, low, topics)]
    once_auc, twice_auc = auc_interval(high, low, topics), auc_interval(*twice)
    assert (once_auc.low, once_auc.high, once_auc.n) == pytest.approx((twice_auc.low, twice_auc.high, twice_auc.n))
    once, double = paired_accuracy(high - low, topics), paired_accuracy(twice[0] - twice[1], twice[2])
    assert (once.low, once.high, once.n) == pytest.approx((double.low, double.high, double.n))


def test_seed_decides_the_draws():
    means = np.random.default_rng(0).normal(0.5, 0.3, 12)
    one, again, other = (cluster_bootstrap(mean_of(means), 12, seed=seed, draws=99) for seed in (1, 1, 2))
    assert one == again != other


def test_memory_blocks_change_nothing(monkeypatch):
    table = np.random.default_rng(0).normal(0, 0.3, (12, 5)) + np.linspace(0, 0.4, 5)
    statistic = mean_of(table[:, 0])
    before = cluster_bootstrap(statistic, 12), confidence_set(means_of(table), 12), selection_share(means_of(table), 12)
    monkeypatch.setattr(statistics, "AT_ONCE", 5000)
    after = cluster_bootstrap(statistic, 12), confidence_set(means_of(table), 12), selection_share(means_of(table), 12)
    assert before[0] == after[0]
    assert (before[1] == after[1]).all()
    assert before[2] == pytest.approx(after[2])


# -- awkward cases -------------------------------------------------------------------------------------------------


def test_nan_clusters_are_dropped_and_counted():
    means = np.r_[np.random.default_rng(0).normal(0.5, 0.3, 10), np.nan, np.nan]
    assert t_interval(means) == t_interval(means[:10])
    assert t_interval(means).n == 10
    margins, topics = np.r_[means, 1.0], np.arange(13)
    assert paired_accuracy(margins, topics).n == 11


@pytest.mark.parametrize("n", [0, 1, 7])
def test_no_interval_below_eight_clusters(n):
    values = np.linspace(0.1, 0.7, n)
    topics = [str(i) for i in range(n)]
    estimates = [
        t_interval(values),
        cluster_bootstrap(mean_of(values), n),
        paired_accuracy(values, topics),
        auc_interval(values + 0.1, values, topics),
    ]
    for estimate in estimates:
        assert not estimate.has_interval
        assert estimate.n == n
        assert np.isnan(estimate.value) == (n == 0)
    assert np.isnan(smallest_detectable(values))
    if n:
        assert confidence_set(means_of(np.c_[values, values + 5]), n).all()  # nothing is told apart


def test_ten_pairs_of_one_topic_are_one_cluster():
    assert paired_accuracy(np.ones(10), ["sea"] * 10).n == 1
    assert not paired_accuracy(np.ones(10), ["sea"] * 10).has_interval


def test_perfect_separation_is_not_certainty():
    for n in SIZES:
        topics = np.repeat(np.arange(n), 3)
        noise = np.random.default_rng(n).uniform(0, 1, 3 * n)
        for estimate in (auc_interval(2 + noise, noise, topics), paired_accuracy(1 + noise, topics)):
            assert (estimate.value, estimate.high) == (1, pytest.approx(1))
            assert 0.5 < estimate.low < 1 - 1 / n
    assert paired_accuracy(np.ones(20), np.arange(20)).low == pytest.approx(0.82, abs=0.005)  # as the docstring says


def test_all_ties_are_chance_and_claim_nothing():
    estimate = auc_interval(np.ones(30), np.ones(30), np.repeat(np.arange(10), 3))
    assert estimate.low < 0.45 < estimate.value == 0.5 < 0.55 < estimate.high


def test_clusters_without_any_difference_have_no_width():
    for estimate in (cluster_bootstrap(mean_of(np.full(12, 0.25)), 12), t_interval(np.full(12, 0.25))):
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.25, 0.25, 0.25))


def test_draws_on_a_boundary_do_not_blow_up_the_interval():
    """31 of 32 right: in a third of the draws nothing is wrong and there is no error to divide by."""
    estimate = paired_accuracy(np.r_[np.ones(31), -1.0], np.arange(32))
    assert 0.75 < estimate.low < 0.9 < estimate.value < estimate.high <= 1


def test_bounds_clip_the_ends_and_nothing_else():
    top = np.linspace(0.5, 1.4, 12)
    free = cluster_bootstrap(mean_of(top), 12)
    clipped = cluster_bootstrap(mean_of(top), 12, bounds=(0.0, 1.0))
    assert free.high > 1
    assert (clipped.value, clipped.low, clipped.high) == (free.value, free.low, 1.0)


def test_columns_of_different_length_are_refused():
    with pytest.raises(InputError, match="one label for each of 12 pairs; got 3"):
        paired_accuracy(np.ones(12), ["a", "b", "c"])


def test_paired_accuracy_by_hand():
    estimate = paired_accuracy(np.array([0.2, 0.1, -0.3, 0.0]), ["sea", "sea", "bread", "tax"])
    assert (estimate.value, estimate.n, estimate.unit) == (0.625, 3, "share")


# -- ranks, detectable gains, the best candidate -------------------------------------------------------------------


def test_rank_p_by_hand():
    controls = np.array([0.1, 0.2, 0.3, np.nan])
    assert rank_p(0.25, controls) == 0.5
    assert rank_p(0.3, controls) == 0.5  # a tie counts against the value
    assert rank_p(9.0, controls) == 0.25
    assert rank_p(-9.0, controls) == 1
    assert rank_p(1.0, np.array([])) == 1
    assert np.isnan(rank_p(np.nan, controls))


def test_rank_p_is_exact_under_exchange():
    values = np.random.default_rng(0).standard_normal(40)
    p = [rank_p(values[i], np.delete(values, i)) for i in range(40)]
    assert sorted(p) == pytest.approx(np.arange(1, 41) / 40)
    assert sum(np.array(p) <= 0.05) == 2


@pytest.mark.parametrize("n", [8, 32])
def test_smallest_detectable_gain_is_detected_four_times_in_five(n):
    rng = np.random.default_rng(n)
    planted = smallest_detectable(stats.zscore(rng.standard_normal(n), ddof=1))  # noise of exactly 1
    samples = planted + rng.standard_normal((4000, n))
    assert np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05) == pytest.approx(0.8, abs=0.02)


def test_smallest_detectable_gain_does_not_depend_on_the_gain():
    means = np.random.default_rng(0).normal(0, 0.4, 16)
    assert smallest_detectable(means + 7) == pytest.approx(smallest_detectable(means))
    assert smallest_detectable(means, power=0.95) > smallest_detectable(means)
    assert smallest_detectable(means, level=0.01) > smallest_detectable(means)


def test_confidence_set_drops_what_is_worse_and_keeps_what_is_not():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 1, (32, 1))  # prompts differ a lot, but in the same way for all layers
    table = shared + rng.normal(0, 0.2, (32, 5)) + np.array([0.0, 0.5, 0.5, 0.3, -1.0])
    kept = confidence_set(means_of(table), 32)
    assert kept.tolist() == [False, True, True, False, False]
    assert confidence_set(means_of(np.c_[table[:, 1], table[:, 1]]), 32).all()  # the same thing twice
    assert confidence_set(means_of(np.c_[table[:, 1], table[:, 1] - 0.1]), 32).tolist() == [True, False]


def test_confidence_set_leaves_out_what_was_not_measured():
    values = np.linspace(-1, 1, 12)
    table = np.c_[np.full(12, np.nan), values, -values]
    assert confidence_set(means_of(table), 12).tolist() == [False, True, True]
    assert not confidence_set(means_of(np.full((12, 2), np.nan)), 12).any()
    assert selection_share(means_of(np.full((12, 2), np.nan)), 12).tolist() == [0, 0]


@pytest.mark.parametrize("truth", [np.zeros(6), np.array([0, 0.1, 0.2, 0.2, 0.1, -0.5])])
def test_confidence_set_holds_the_best(truth):
    rng = np.random.default_rng(1)
    held, best = 0, int(truth.argmax())
    for seed in range(200):
        table = rng.normal(0, 1, (16, 1)) + rng.uniform(0.2, 0.8, (16, 1)) * rng.standard_normal((16, 6)) + truth
        held += confidence_set(means_of(table), 16, draws=199, seed=seed)[best]
    assert held >= 181  # 95 % of 200 less three standard errors


def test_selection_share_by_hand():
    first = np.zeros(10)
    second = np.r_[1.0, np.full(9, -0.05)]  # ahead exactly when the first cluster is drawn (0.55 > 0)
    share = selection_share(means_of(np.c_[first, second]), 10)
    assert share.sum() == pytest.approx(1)
    assert share[1] == pytest.approx(1 - 0.9**10, abs=0.03)
    tied = selection_share(means_of(np.c_[first, first, first - 1, np.full(10, np.nan)]), 10)
    assert tied == pytest.approx([0.5, 0.5, 0, 0])


def test_estimate_is_a_value():
    assert Estimate(0.5, 0.4, 0.6, 9) == Estimate(0.5, 0.4, 0.6, 9, "")
    with pytest.raises(AttributeError):
        Estimate(0.5, 0.4, 0.6, 9).value = 1.0
