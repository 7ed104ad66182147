"""Rank correlations against scipy, least squares and loops; intervals and p-values where the truth is known."""

import itertools

import numpy as np
import pytest
from rank_worlds import ALIKE, AUTHORS, HANNA, OVERALL, PLOTS, PROMPTS, SIZES, WITHIN_AUTHOR, covered, expected, grouped
from scipy import stats

from creativity_lens.correlation import detectable, partial, two_way, within
from creativity_lens.errors import InputError
from creativity_lens.rank_intervals import ARCSINE, FISHER
from creativity_lens.rank_resampling import PARTIAL, PLAIN, drawn_ranks, factor_ranks, fixed_ranks
from creativity_lens.ranks import Groups, Order, permuted, scaled_ranks

NAN = float("nan")
# any numbers, and what pingouin 0.7.0 makes of them (corr and partial_corr, method="spearman")
X = np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9.0])
Y = np.array([2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5, 9, 0, 4.0])
GIVEN = np.array([[1, 6, 1, 8, 0, 3, 3, 9, 8, 8, 7, 4, 9, 8, 9], [1, 4, 1, 4, 2, 1, 3, 5, 6, 2, 3, 7, 3, 0, 9.0]])


def table(rng, sizes, ties=True):
    """Scores of three scorers, ratings and labels in shuffled order, with ties in everything."""
    labels = np.array(grouped(sizes))[rng.permutation(sum(sizes))]
    ratings = rng.integers(1, 6, len(labels)).astype(float)
    scores = np.round(rng.standard_normal((3, len(labels))) + 0.4 * ratings, 1 if ties else 9)
    return scores, ratings, labels


def by_scipy(score, rating, labels):
    """sum (n_g - 1) rho_g / sum (n_g - 1) over groups whose ratings differ; a constant scorer counts as 0."""
    top = bottom = 0
    for label in np.unique(labels):
        x, y = score[labels == label], rating[labels == label]
        if len(set(y)) > 1:
            rho = stats.spearmanr(x, y).statistic if len(set(x)) > 1 else 0.0
            top, bottom = top + (len(y) - 1) * rho, bottom + len(y) - 1
    return top / bottom


def scaled_by_scipy(values, labels):
    """Ranks within groups with a sum of squares of n_g - 1, one group after the other."""
    out = np.zeros(len(values))
    for label in np.unique(labels):
        ranks = stats.rankdata(values[labels == label])
        ranks -= ranks.mean()
        length = np.sqrt((ranks**2).sum())
        out[labels == label] = ranks / length * np.sqrt(len(ranks) - 1) if length else 0
    return out


def left_over(values, design):
    return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]


def dummies(*factors):
    return np.concatenate([(np.asarray(f)[:, None] == np.unique(f)).astype(float) for f in factors], axis=1)


# -- point estimates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[2] * 9, HANNA, [1, 1, 4, 7, 12], [30]])
@pytest.mark.parametrize("seed", range(3))
def test_within_is_scipys_spearman_group_by_group(sizes, seed):
    scores, ratings, labels = table(np.random.default_rng(seed), sizes)
    found = within(scores, ratings, labels, permutations=1, draws=2).each
    assert [each.rho for each in found] == pytest.approx([by_scipy(x, ratings, labels) for x in scores], abs=1e-9)
    kept = [label for label in np.unique(labels) if len(set(ratings[labels == label])) > 1]
    n = int(np.isin(labels, kept).sum())
    assert {(each.n, each.groups, each.df) for each in found} == {(n, len(kept), n - len(kept))}


def test_overall_is_plain_spearman():
    found = within(X[None], Y, permutations=1, draws=2).each[0]
    assert found.rho == pytest.approx(stats.spearmanr(X, Y).statistic, abs=1e-12)
    assert found.rho == pytest.approx(0.17916174391114706, abs=1e-12)  # pingouin
    assert (found.n, found.groups, found.df) == (15, 1, 14)
    assert within(X[None], Y, ["one"] * 15, permutations=99).each[0].p == within(X[None], Y, permutations=99).each[0].p


def test_what_groups_share_makes_no_correlation():
    rng = np.random.default_rng(0)
    labels = grouped([10] * 30)
    level = np.repeat(rng.standard_normal(30), 10)
    scores, ratings = 3 * level + rng.standard_normal(300), 3 * level + rng.standard_normal(300)
    assert within(scores[None], ratings, permutations=1, draws=2).each[0].rho > 0.8
    assert abs(within(scores[None], ratings, labels, permutations=1, draws=2).each[0].rho) < 0.15


def test_detectable_is_what_a_test_detects():
    assert [round(detectable(df), 2) for df in (23, 33, 3009)] == [0.58, 0.49, 0.05]
    assert (detectable(3), detectable(0)) == (1.0, 1.0)
    rng = np.random.default_rng(0)  # power by simulation: correlations of normal texts, 100 degrees of freedom
    rho = detectable(100)
    first = rng.standard_normal((2000, 101))
    second = rho * first + np.sqrt(1 - rho**2) * rng.standard_normal((2000, 101))
    found = np.mean(stats.pearsonr(first, second, axis=1).pvalue <= 0.05)
    assert found == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("groups", [None, HANNA])
def test_partial_is_least_squares(groups):
    rng = np.random.default_rng(1)
    scores, ratings, labels = table(rng, groups or [40])
    covariates = np.stack([ratings + rng.integers(0, 4, len(labels)), rng.standard_normal(len(labels))])
    kept = np.isin(labels, [label for label in np.unique(labels) if len(set(ratings[labels == label])) > 1])
    found = partial(scores, ratings, covariates, labels if groups else None, draws=2)
    design = np.stack([scaled_by_scipy(each[kept], labels[kept]) for each in covariates], axis=1)
    target = left_over(scaled_by_scipy(ratings[kept], labels[kept]), design)
    for each, score in zip(found, scores, strict=True):
        left = left_over(scaled_by_scipy(score[kept], labels[kept]), design)
        rho = left @ target / np.sqrt((left @ left) * (target @ target))
        df = kept.sum() - len(np.unique(labels[kept])) - 2
        assert each.rho == pytest.approx(rho, abs=1e-9)
        assert each.df == df
        assert each.p == pytest.approx(2 * stats.t.sf(abs(rho) * np.sqrt((df - 1) / (1 - rho**2)), df - 1), abs=1e-9)


def test_partial_is_pingouins():
    both, one = (partial(X[None], Y, given, draws=2)[0] for given in (GIVEN, GIVEN[:1]))
    assert (both.rho, both.p) == pytest.approx((0.030790719399233554, 0.9204606680126559), abs=1e-12)
    assert (one.rho, one.p) == pytest.approx((0.021670321692008245, 0.9413836493738382), abs=1e-12)


def test_partial_given_one_is_the_closed_form():
    xy, xz, yz = (stats.spearmanr(a, b).statistic for a, b in ((X, Y), (X, GIVEN[0]), (Y, GIVEN[0])))
    closed = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert partial(X[None], Y, GIVEN[:1], draws=2)[0].rho == pytest.approx(closed, abs=1e-12)


def test_a_covariate_named_twice_counts_once():
    once, twice = (partial(X[None], Y, GIVEN[rows], draws=2)[0] for rows in ([0], [0, 0]))
    assert (twice.rho, twice.df, twice.p) == pytest.approx((once.rho, once.df, once.p), abs=1e-9)


def test_length_alone_is_seen_through():
    rng = np.random.default_rng(2)
    length = rng.uniform(50, 500, 400)
    ratings, scores = length + 60 * rng.standard_normal((2, 400))
    insight = ratings + 60 * rng.standard_normal(400)
    plain = within(np.stack([scores, insight]), ratings, permutations=99).each
    given = partial(np.stack([scores, insight]), ratings, length[None])
    assert min(each.rho for each in plain) > 0.75
    assert given[0].low < 0 < given[0].high
    assert given[1].low > 0.4, "the control: what is more than length is seen"


@pytest.mark.parametrize(("size", "left"), [(2, 0.20), (10, 0.13), (100, 0.03)])
def test_length_in_small_groups_is_seen_through_in_part_only(size, left):
    """The docstring's numbers: ranks within a small group say little of how much longer a text is."""
    rng = np.random.default_rng(3)
    length = rng.uniform(50, 500, 20000)
    ratings, scores = length + 60 * rng.standard_normal((2, 20000))
    found = partial(scores[None], ratings, length[None], grouped([size] * (20000 // size)), draws=2)[0]
    assert found.rho == pytest.approx(left, abs=0.02)


@pytest.mark.parametrize("full", [True, False])
def test_two_way_is_least_squares_on_dummies(full):
    rng = np.random.default_rng(3)
    keep = np.ones(36, dtype=bool) if full else rng.random(36) < 0.8
    first, second = np.array(PLOTS)[keep], np.array(AUTHORS)[keep]
    scores, ratings = rng.standard_normal((2, keep.sum())), rng.integers(0, 14, keep.sum()).astype(float)
    design = dummies(first, second)
    target = left_over(stats.rankdata(ratings), design)
    for each, score in zip(two_way(scores, ratings, first, second, permutations=1, draws=2), scores, strict=True):
        left = left_over(stats.rankdata(score), design)
        assert each.rho == pytest.approx(left @ target / np.sqrt((left @ left) * (target @ target)), abs=1e-9)
        assert each.df == keep.sum() - np.linalg.matrix_rank(design)
        assert each.groups == len(np.unique(first))
    assert not full or each.df == 36 - 14


# -- p-values ------------------------------------------------------------------------------------------------------


def everything(ratings, labels):
    """All ways of putting the ratings of each group into another order."""
    places = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    for orders in itertools.product(*(itertools.permutations(place) for place in places)):
        out = ratings.copy()
        for place, order in zip(places, orders, strict=True):
            out[place] = ratings[list(order)]
        yield out


def test_p_is_that_of_full_enumeration():
    rng = np.random.default_rng(4)
    labels = np.array(list("aaaabbbcc"))
    ratings, scores = np.array([1, 2, 3, 3, 1, 4, 2, 5, 6.0]), rng.standard_normal((3, 9))
    all_of_them = np.array([[by_scipy(x, y, labels) for x in scores] for y in everything(ratings, labels)])
    seen = np.array([by_scipy(x, ratings, labels) for x in scores])
    exact = np.mean(np.abs(all_of_them) >= np.abs(seen) - 1e-9, axis=0)
    largest = np.mean(np.abs(all_of_them).max(axis=1) >= np.abs(seen).max() - 1e-9)
    found = within(scores, ratings, labels, permutations=20000, draws=2)
    assert [each.p for each in found.each] == pytest.approx(list(exact), abs=0.015)  # four standard errors
    assert found.p_max == pytest.approx(largest, abs=0.015)
    assert found.largest == pytest.approx(np.abs(seen).max(), abs=1e-9)


def test_the_curve_is_paid_for():
    """Fifteen scorers of noise: some single p is small, that of the largest is not."""
    rng = np.random.default_rng(11)
    labels, ratings = grouped([5] * 20), rng.standard_normal(100)
    scores = rng.standard_normal((15, 100))
    found = within(scores, ratings, labels, draws=2)
    best = int(np.argmax([abs(each.rho) for each in found.each]))
    assert found.p_max > 3 * found.each[best].p
    alone = within(scores, ratings, labels, draws=2, curve=[best])
    assert (alone.largest, alone.p_max) == (abs(found.each[best].rho), found.each[best].p)
    others = [i for i in range(15) if i != best]
    assert within(scores, ratings, labels, draws=2, curve=others).largest < found.largest
    assert within(scores, ratings, labels, draws=2, curve=others).each == found.each, "the curve changes no scorer"


def test_permutations_stay_in_their_groups():
    labels = np.repeat(np.arange(4), [1, 2, 2, 5])
    groups, values = Groups.of(labels), np.arange(10.0)
    mixed = permuted(values, groups, 500, np.random.default_rng(0))
    for label in range(4):
        own = mixed[:, labels == label]
        assert (np.sort(own, axis=1) == values[labels == label]).all()
        assert own.mean(axis=0) == pytest.approx(values[labels == label].mean(), abs=0.5)  # every place, every value
    assert (mixed[:, 1] != mixed[:, 3] - 2).any(), "groups of one size are permuted apart"


def test_whole_plots_are_permuted_where_each_author_wrote_on_each():
    numbers = [np.unique(labels, return_inverse=True)[1] for labels in (AUTHORS, PLOTS)]
    groups = Groups.of(numbers[0])
    plots = numbers[1][groups.kept]
    mixed = permuted(plots.astype(float), groups, 50, np.random.default_rng(0), plots).reshape(50, 3, 12)
    assert (mixed == mixed[:, :1]).all(), "a plot's stories go together"
    assert len({tuple(row) for row in mixed[:, 0]}) == 50
    alone = permuted(
        plots[:-1].astype(float), Groups.of(numbers[0][groups.kept][:-1]), 50, np.random.default_rng(0), plots[:-1]
    )
    assert (alone[:, :11] != alone[:, 12:23]).any(), "with a story missing, stories go alone"


def test_freedman_lane_is_the_textbooks():
    rng = np.random.default_rng(5)
    scores, ratings = rng.standard_normal((2, 36)), rng.standard_normal(36)
    design = dummies(PLOTS, AUTHORS)
    found = two_way(scores, ratings, PLOTS, AUTHORS, permutations=200, draws=2, seed=9)
    ranks = stats.rankdata(ratings)
    fitted, target = ranks - left_over(ranks, design), left_over(ranks, design)
    shuffled = permuted(target, Groups.of(np.zeros(36, dtype=int)), 200, np.random.default_rng(9))
    for each, score in zip(found, scores, strict=True):
        left = left_over(stats.rankdata(score), design)
        drawn = [stats.pearsonr(left, left_over(fitted + noise, design)).statistic for noise in shuffled]
        assert each.p == (1 + np.sum(np.abs(drawn) >= abs(each.rho) - 1e-9)) / 201


# -- intervals: the same in loops ----------------------------------------------------------------------------------


def test_fixed_ranks_interval_in_loops():
    """The studentised bootstrap of whole groups, jackknife and all, with lists."""
    scores, ratings, labels = table(np.random.default_rng(6), [6, 4, 9, 7, 5, 8, 6, 4, 7, 6], ties=False)
    names = list(np.unique(labels))
    parts = [
        (stats.spearmanr(scores[0][labels == g], ratings[labels == g]).statistic, sum(labels == g) - 1) for g in names
    ]

    def rho(members):
        return sum(df * each for each, df in members) / sum(df for _, df in members)

    def error(members):
        left = [rho(members[:i] + members[i + 1 :]) for i in range(len(members))]
        mean = sum(left) / len(left)
        return np.sqrt((len(left) - 1) / len(left) * sum((each - mean) ** 2 for each in left))

    value = rho(parts)
    scale = error(parts) / np.sqrt(1 - value**2)
    t_values = []
    for row in np.random.default_rng(3).multinomial(10, np.full(10, 0.1), size=99):
        members = [part for part, times in zip(parts, row, strict=True) for _ in range(times)]
        own = error(members) / np.sqrt(1 - rho(members) ** 2)
        t_values.append(abs(np.arcsin(rho(members)) - np.arcsin(value)) / max(own, 0.1 * scale))
    half = sorted(t_values)[95 - 1] * scale  # the 95th of 99
    found = within(scores, ratings, labels, permutations=1, draws=99, seed=3).each[0]
    assert found.low == pytest.approx(np.sin(max(np.arcsin(value) - half, -np.pi / 2)), abs=1e-9)
    assert found.high == pytest.approx(np.sin(min(np.arcsin(value) + half, np.pi / 2)), abs=1e-9)


def weighted_ranks(values, weights):
    """For each text, the weight below it and half the weight of its equals."""
    return np.array([weights[values < each].sum() + weights[values == each].sum() / 2 for each in values])


def weighted_scaled(values, labels, weights, ratings):
    """Ranks within groups under weights, scaled to the weight's degrees of freedom."""
    out = np.zeros(len(values))
    for label in np.unique(labels):
        own = labels == label
        ranks, heavy = weighted_ranks(values[own], weights[own]), weights[own]
        ranks = ranks - heavy @ ranks / heavy.sum()
        length = np.sqrt(heavy @ ranks**2)
        seen = np.unique(ratings[own][heavy > 0])
        if length > 0 and len(seen) > 1:
            out[own] = ranks / length * np.sqrt(heavy.sum() * (own.sum() - 1) / own.sum())
    return out


def weighted_residual_correlation(x, y, design, weights):
    root = np.sqrt(weights)
    x, y = (left_over(root * each, root[:, None] * design) for each in (x, y))
    return x @ y / np.sqrt((x @ x) * (y @ y))


def slopes(statistic, weights, step=1e-5):
    """Derivatives in the weights of clusters, by differences, and the error they make."""
    found = []
    for cluster in range(len(weights)):
        moved = [weights.copy(), weights.copy()]
        moved[0][cluster] += step
        moved[1][cluster] -= step
        found.append((statistic(moved[0]) - statistic(moved[1])) / (2 * step))
    n = len(weights)
    return np.sqrt(n / (n - 1) * np.sum(weights * np.array(found) ** 2))


def crossed(seed, ties=True):
    """Four groups crossed by nine clusters, some cells empty and some double, and three draws of the clusters."""
    rng = np.random.default_rng(seed)
    labels, clusters = np.repeat(np.arange(4), 9), np.tile(np.arange(9), 4)
    keep = rng.random(36) < 0.9
    labels, clusters = labels[keep], clusters[keep]
    values = rng.standard_normal((5, len(labels)))
    values[1] += values[0]
    values[3:] += values[0] / 2
    draws = np.concatenate([np.ones((1, 9)), rng.multinomial(9, np.full(9, 1 / 9), size=3)])
    return np.round(values, 1 if ties else 9), labels, clusters, np.maximum(draws, 1e-3)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("covariates", [0, 2])
def test_drawn_ranks_and_their_errors_in_loops(covariates, seed):
    values, labels, clusters, draws = crossed(seed)
    groups = Groups.of(labels)
    score, rating, given = values[0], values[1], values[3 : 3 + covariates]

    def statistic(weights):
        heavy = weights[clusters]
        x, y, *z = (weighted_scaled(each, labels, heavy, rating) for each in (score, rating, *given))
        if covariates:
            return weighted_residual_correlation(x, y, np.array(z).T, heavy)
        return heavy @ (x * y) / (heavy @ y**2)

    orders = [Order.of(each, groups) for each in (score, rating, *given)]
    resampling = drawn_ranks(orders[:1], orders[1:], groups, clusters, PARTIAL if covariates else PLAIN)
    found, errors = resampling(draws)
    assert found[:, 0] == pytest.approx([statistic(draw) for draw in draws], abs=1e-9)
    assert errors[:, 0] == pytest.approx([slopes(statistic, draw) for draw in draws], abs=1e-5)
    assert found[0, 0] == pytest.approx(
        partial(score[None], rating, given, labels, draws=2)[0].rho if covariates else by_scipy(score, rating, labels)
    )


@pytest.mark.parametrize("nested", ["first", "second", "neither"])
def test_factor_ranks_and_their_errors_in_loops(nested):
    values, labels, columns, draws = crossed(2)
    score, rating = values[:2]
    first, second = (columns, labels) if nested == "first" else (labels, columns)
    clusters = columns if nested != "neither" else (np.arange(len(labels)) * 7) % 9
    design = dummies(first, second)

    def statistic(weights):
        heavy = weights[clusters]
        x, y = (weighted_ranks(each, heavy) for each in (score, rating))
        return weighted_residual_correlation(x, y, design, heavy)

    everyone = Groups.of(np.zeros(len(labels), dtype=int))
    orders = [Order.of(each, everyone) for each in (score, rating)]
    found, errors = factor_ranks(orders[:1], orders[1], first, second, clusters)(draws)
    assert found[:, 0] == pytest.approx([statistic(draw) for draw in draws], abs=1e-7)
    assert errors[:, 0] == pytest.approx([slopes(statistic, draw) for draw in draws], rel=1e-4, abs=1e-5)
    whole = two_way(score[None], rating, np.array(first), np.array(second), permutations=1, draws=2)[0]
    assert found[0, 0] == pytest.approx(whole.rho, abs=1e-9)


@pytest.mark.parametrize("statistic", [PLAIN, PARTIAL])
def test_a_draw_of_whole_groups_changes_no_rank(statistic):
    """Both ways to draw agree where both apply; the one with derivatives has the smaller error of few clusters."""
    rng = np.random.default_rng(7)
    groups = Groups.of(np.repeat(np.arange(40), 6))
    values = rng.standard_normal((4, 240)) + rng.standard_normal(240)
    orders = [Order.of(each, groups) for each in values]
    ranks = scaled_ranks(orders, groups)
    shared = slice(1, 2) if statistic is PLAIN else slice(1, 4)
    draws = rng.multinomial(40, np.full(40, 1 / 40), size=5).astype(float)
    one = fixed_ranks(ranks[:1], ranks[shared], groups.labels, statistic)(draws)
    other = drawn_ranks(orders[:1], orders[shared], groups, groups.labels, statistic)(draws)
    assert one[0] == pytest.approx(other[0], abs=1e-9)
    assert one[1] == pytest.approx(other[1], rel=0.1)


@pytest.mark.parametrize("scale", [ARCSINE, FISHER])
def test_scales_are_their_own_derivatives(scale):
    rho = np.array([-0.9, 0.0, 0.4])
    assert scale.back(scale.there(rho)) == pytest.approx(rho)
    slope = (scale.there(rho + 1e-6) - scale.there(rho - 1e-6)) / 2e-6
    assert 1 / scale.room(rho) == pytest.approx(slope, rel=1e-6)


# -- the truth is known: coverage and claims -----------------------------------------------------------------------


def study_within(world, rho, draws):
    def study(seed):
        scores, ratings, _ = world.make(rho, np.random.default_rng([seed, 1]))
        groups = None if world is OVERALL else world.groups
        return within(
            scores[None], ratings, groups, clusters=world.clusters, permutations=1, draws=draws, seed=seed
        ).each[0]

    return study


def study_partial(world, rho, draws):
    def study(seed):
        scores, ratings, given = world.make(rho, np.random.default_rng([seed, 2]), given=0.7)
        groups = None if world is OVERALL else world.groups
        return partial(scores[None], ratings, given, groups, clusters=world.clusters, draws=draws, seed=seed)[0]

    return study


def study_two_way(world, rho, draws):
    def study(seed):
        rng = np.random.default_rng([seed, 3])
        scores, ratings, _ = world.make(rho, rng)
        authors = np.unique(AUTHORS, return_inverse=True)[1]
        scores, ratings = scores + rng.standard_normal(3)[authors], ratings + rng.standard_normal(3)[authors]
        return two_way(scores[None], ratings, PLOTS, AUTHORS, permutations=1, draws=draws, seed=seed)[0]

    return study


STUDIES = [
    *[(study_within, world) for world in (PROMPTS, SIZES, WITHIN_AUTHOR, ALIKE, OVERALL)],
    *[(study_partial, world) for world in (PROMPTS, SIZES, WITHIN_AUTHOR, OVERALL)],
    (study_two_way, WITHIN_AUTHOR),
    (study_two_way, ALIKE),
]
NAMES = [f"{study.__name__[6:]}, {world.name}" for study, world in STUDIES]


@pytest.mark.slow
@pytest.mark.parametrize(("study", "world"), STUDIES, ids=NAMES)
def test_intervals_cover_what_they_promise(study, world):
    """The rest of the grid, at 0 and at 0.6, was run once and is as good; it takes minutes."""
    rho = 0.3
    truth = expected(study(world, rho, 2), 1500)
    assert 0.92 <= covered(study(world, rho, 299), truth, 500) <= 0.98


@pytest.mark.parametrize(("study", "world"), STUDIES[:1] + STUDIES[3:4] + STUDIES[-1:])
def test_coverage_in_short(study, world):
    truth = expected(study(world, 0.3, 2), 100)
    assert covered(study(world, 0.3, 99), truth, 60) >= 0.86  # 3 standard errors below 95 %


def claims(study, runs=200):
    return sum(study(seed).p <= 0.05 for seed in range(runs))


def shuffled(world, statistic):
    """A study of ratings in random order within their groups: there is nothing to be found."""

    def study(seed):
        rng = np.random.default_rng([seed, 4])
        scores, ratings, given = world.make(0.5, rng, given=0.7)
        ratings = np.round(ratings)
        for label in np.unique(world.groups):
            own = np.array(world.groups) == label
            ratings[own] = rng.permutation(ratings[own])
        groups = None if world is OVERALL else world.groups
        if statistic is within:
            return within(
                scores[None], ratings, groups, clusters=world.clusters, permutations=99, draws=2, seed=seed
            ).each[0]
        if statistic is partial:
            return partial(scores[None], ratings, given, groups, clusters=world.clusters, draws=2, seed=seed)[0]
        return two_way(scores[None], ratings, PLOTS, AUTHORS, permutations=99, draws=2, seed=seed)[0]

    return study


NOTHING_TO_FIND = [
    *[(world, within) for world in (PROMPTS, SIZES, WITHIN_AUTHOR)],
    *[(world, partial) for world in (PROMPTS, WITHIN_AUTHOR)],
    (WITHIN_AUTHOR, two_way),
]


@pytest.mark.parametrize(("world", "statistic"), NOTHING_TO_FIND)
def test_shuffled_ratings_are_seldom_claimed(world, statistic):
    assert claims(shuffled(world, statistic)) <= 18  # of 200 at 5 %


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "statistic"), [*NOTHING_TO_FIND, *[(OVERALL, s) for s in (within, partial)], (SIZES, partial)]
)
def test_shuffled_ratings_are_claimed_as_often_as_promised(world, statistic):
    assert 25 <= claims(shuffled(world, statistic), 1000) <= 75  # 3.6 standard errors on both sides of 50


def test_planted_agreement_is_found():
    """The control: with as many degrees of freedom, what is detectable is detected in about four runs of five."""
    rho = detectable(99) * 1.08  # ranks and groups of ten cost some of a normal correlation

    def study(seed):
        rng = np.random.default_rng([seed, 5])
        first, second = rng.standard_normal((2, 110))
        ratings = rho * first + np.sqrt(1 - rho**2) * second
        return within(first[None], ratings, grouped([10] * 11), permutations=99, draws=2, seed=seed).each[0]

    assert 140 <= claims(study) <= 180


def test_plots_that_are_alike_do_not_pass_for_agreement():
    """Stories of one plot resemble each other, in scores and in ratings, and nothing agrees: p must know of plots."""

    def study(clusters):
        def one(seed):
            scores, ratings, _ = ALIKE.make(0.0, np.random.default_rng([seed, 6]))
            return within(scores[None], ratings, AUTHORS, clusters=clusters, permutations=99, draws=2, seed=seed).each[
                0
            ]

        return one

    assert claims(study(PLOTS)) <= 18
    assert claims(study(None)) > 18, "the control: stories taken for independent"


# -- awkward cases -------------------------------------------------------------------------------------------------


def nothing(found, why):
    assert np.isnan([found.rho, found.low, found.high, found.p]).all()
    assert why in found.note


def test_groups_that_carry_nothing_are_left_out_and_counted():
    labels = list("aabbcde") + ["f"] * 4
    ratings = np.array([1, 2, 3, 3, 9, 9, 9, 1, 2, 3, 4.0])
    found = within(np.arange(11.0)[None], ratings, labels, permutations=99).each[0]
    assert (found.rho, found.n, found.groups, found.df) == (1.0, 6, 2, 4)
    assert (
        found.note
        == "no interval: 2 clusters, at least 8 are needed; groups left out: 3 of one text and 1 with equal ratings"
    )
    assert np.isnan([found.low, found.high]).all()
    assert found.p == pytest.approx(2 / 48, abs=0.05)


def test_a_scorer_constant_in_one_group_adds_nothing_there():
    labels, ratings = list("aaabbb"), np.array([1, 2, 3, 1, 2, 3.0])
    assert within(np.array([[5, 5, 5, 1, 2, 3.0]]), ratings, labels).each[0].rho == pytest.approx(0.5)
    assert within(np.array([[4, 5, 6, 1, 2, 3.0]]), ratings, labels).each[0].rho == pytest.approx(1.0)


def test_groups_that_all_agree_have_an_interval_all_the_same():
    labels = grouped([2] * 20)
    ratings = np.tile([1.0, 2.0], 20)
    found = within(ratings[None], ratings, labels, permutations=99).each[0]
    pull = stats.t.ppf(0.975, 19) ** 2 / 20
    assert (found.rho, found.high) == pytest.approx((1.0, 1.0))
    assert found.low == pytest.approx((1 - pull) / (1 + pull))  # Wilson's, 20 of 20, from -1 to 1 and with t for z
    assert found.p == 0.01


@pytest.mark.parametrize("groups", [None, HANNA])
def test_not_defined(groups):
    n = sum(groups or [40])
    labels = grouped(groups) if groups else None
    rng = np.random.default_rng(8)
    ratings, good = rng.standard_normal(n), rng.standard_normal(n)
    missing, infinite = good.copy(), good.copy()
    missing[3], infinite[5] = NAN, np.inf
    scores = np.stack([good, missing, np.zeros(n), infinite])
    calls = [
        lambda s, r: within(s, r, labels, permutations=9, draws=9).each,
        lambda s, r: partial(s, r, good[None] ** 3, labels),
    ]
    same, *rest = calls[0](scores, ratings)
    assert np.isfinite(same.rho)
    alone = calls[0](scores[:1], ratings)[0]
    assert (same.rho, same.p, same.high) == pytest.approx((alone.rho, alone.p, alone.high), nan_ok=True), (
        "bad ones apart"
    )
    for call in calls:
        for found, why in zip(call(scores, ratings)[1:], ["no score", "", "no score"], strict=True):
            nothing(found, why)
        for found in call(scores, np.full(n, 3.0)):
            nothing(found, "no two texts with different ratings")
    nothing(rest[1], "the score is the same for all texts")
    nothing(calls[1](scores, ratings)[0], "the covariates leave nothing")  # a rising function of the only covariate
    nothing(partial(scores, ratings, missing[None], labels)[0], "no value of a covariate")
    nothing(partial(scores, good, good[None] + 1, labels)[0], "the covariates leave nothing")
    found = within(np.full((2, n), NAN), ratings, labels)
    assert np.isnan([found.largest, found.p_max]).all()


def test_two_way_not_defined():
    rng = np.random.default_rng(9)
    ratings, good = rng.standard_normal((2, 36))
    by_plot = np.array([float(plot[5:]) for plot in PLOTS])
    found = two_way(np.stack([good, by_plot, np.where(good > 1, NAN, good)]), ratings, PLOTS, AUTHORS, permutations=9)
    assert np.isfinite(found[0].rho)
    nothing(found[1], "the two factors leave nothing")
    nothing(found[2], "no score for some text")
    nothing(two_way(good[None], np.ones(36), PLOTS, AUTHORS)[0], "the two factors leave nothing")
    nothing(two_way(good[None], ratings, PLOTS, [str(i) for i in range(36)])[0], "leave nothing")
    few = two_way(good[None], ratings, AUTHORS, PLOTS, permutations=9)[0]
    assert "no interval: 3 clusters" in few.note


def test_one_group_of_one_text():
    found = within(np.ones((1, 1)), np.ones(1), ["a"])
    nothing(found.each[0], "no two texts with different ratings to compare; groups left out: 1 of one text")
    assert (found.each[0].n, found.each[0].df, found.each[0].detectable) == (0, 0, 1.0)
    nothing(within(np.ones((1, 0)), np.ones(0), []).each[0], "no two texts")
    nothing(partial(np.ones((1, 1)), np.ones(1), np.ones((1, 1)), ["a"])[0], "no two texts")


def test_too_few_texts_for_the_covariates():
    nothing(partial(X[None, 3:6], Y[3:6], GIVEN[:, 3:6])[0], "the covariates leave nothing")


def test_the_same_seed_gives_the_same_and_order_does_not_matter():
    scores, ratings, labels = table(np.random.default_rng(10), [4] * 10, ties=False)
    one = within(scores, ratings, labels, permutations=99, draws=99, seed=4)
    assert one == within(scores, ratings, labels, permutations=99, draws=99, seed=4)
    assert one.each[0].low != within(scores, ratings, labels, permutations=99, draws=99, seed=5).each[0].low
    mixed = np.random.default_rng(0).permutation(len(labels))
    other = within(scores[:, mixed], ratings[mixed], labels[mixed], permutations=99, draws=99, seed=4)
    for here, there in zip(one.each, other.each, strict=True):
        assert (here.rho, here.low, here.high) == pytest.approx((there.rho, there.low, there.high), abs=1e-9)


BAD = [
    ({"ratings": Y[:5]}, "scores: expected one for each of 5 rated texts; got 15"),
    ({"ratings": np.where(Y == 9, NAN, Y)}, "ratings: expected finite numbers; 1 of 15 are not"),
    ({"groups": ["a"] * 4}, "expected 15 labels, one for each; got 4"),
    ({"groups": np.array(["a"] * 14 + [NAN], dtype=object)}, "number 15 of 15 has no label"),
    ({"clusters": ["a"] * 4}, "clusters: expected 15 labels"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input(change, message):
    given = {"ratings": Y, "groups": None, "clusters": None} | change
    labels = given["groups"] if given["groups"] is not None else ["a"] * 15
    with pytest.raises(InputError, match=message):
        within(X[None], given["ratings"], given["groups"], clusters=given["clusters"])
    with pytest.raises(InputError, match=message):
        partial(X[None], given["ratings"], GIVEN, given["groups"], clusters=given["clusters"])
    with pytest.raises(InputError, match=message):
        two_way(X[None], given["ratings"], labels, ["b"] * 15, clusters=given["clusters"])


def test_covariates_of_other_texts():
    with pytest.raises(InputError, match="covariates: expected a value for each of 15 texts; got 9"):
        partial(X[None], Y, GIVEN[:, :9])


@pytest.mark.parametrize("groups", [None, [f"author {text % 3}" for text in range(36)]])
def test_one_rating_that_differs_gives_no_warning_and_no_interval_beyond_its_bounds(groups):
    """Most draws leave the only text out that people rated otherwise: in them nothing varies."""
    scores = np.random.default_rng(0).normal(size=(2, 36))
    ratings = np.zeros(36)
    ratings[[3, 4]] = 1 / 3
    plots = [f"plot {text // 3}" for text in range(36)]
    covariates = np.random.default_rng(1).normal(size=(1, 36))
    found = within(scores, ratings, groups, clusters=plots).each + partial(
        scores, ratings, covariates, groups, clusters=plots
    )
    for each in found:
        assert np.isnan(each.low) or -1 <= each.low <= each.rho <= each.high <= 1
