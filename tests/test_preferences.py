"""Which of two texts a scorer prefers: counted by hand, against exact tests, and with a known truth."""

import numpy as np
import pytest
from scipy import stats

from creativity_lens.errors import InputError
from creativity_lens.preferences import preference, preference_difference
from creativity_lens.statistics import paired_accuracy

NAN = float("nan")
RATINGS = np.array([[4, 7], [8, 3], [5, 5], [2, 6], [6, 1], [3, 9.0]])
RIGHT = np.array([[0, 1], [1, 0], [0, 9], [0, 1], [1, 0], [0, 1.0]])  # the third pair is tied in rating
MIXED = np.array([[0, 1], [0, 1], [9, 0], [5, 5], [1, 0], [1, 0.0]])  # right, wrong, -, tie, right, wrong


def pairs(rng, right):
    """Rated pairs whose better text stands on either side, and a scorer that is right where it is told to be."""
    side = rng.random(len(right)) < 0.5
    ratings, scores = np.sort(rng.random((len(right), 2))), np.sort(rng.random((len(right), 2)))
    scores[~right] = scores[~right][:, ::-1]
    ratings[side], scores[side] = ratings[side][:, ::-1], scores[side][:, ::-1]
    return scores, ratings


def two_scorers(rng, n, a=0.8, b=0.65):
    """Two scorers that are right in shares `a` and `b` of all pairs, and mostly in the same ones."""
    shared, own = rng.standard_normal(n), rng.standard_normal((2, n))
    ability = np.sqrt(0.5) * shared + np.sqrt(0.5) * own
    right = ability < stats.norm.ppf([[a], [b]])
    first, ratings = pairs(rng, right[0])
    wanted = np.sign(ratings[:, 1] - ratings[:, 0])
    second = np.where(right[1], 1, -1)[:, None] * wanted[:, None] * np.array([-1.0, 1.0])
    return first, second, ratings, right


# -- by hand -------------------------------------------------------------------------------------------------------


def test_shares_by_hand():
    right, mixed, wrong = preference(np.stack([RIGHT, MIXED, -RIGHT]), RATINGS)
    assert (right.value, mixed.value, wrong.value) == (1.0, 2.5 / 5, 0.0)
    assert [each.n for each in (right, mixed, wrong)] == [5, 5, 5], "the pair tied in rating is left out"
    assert not right.has_interval, "five pairs are too few"


def test_difference_by_hand():
    found = preference_difference(RIGHT, MIXED, RATINGS)
    assert found.value == pytest.approx(0.5)  # ahead in three of five pairs: 1, 0.5 and 1
    assert found.p == pytest.approx(0.25)  # three heads of three
    assert (found.n, found.pairs) == (5, 5)
    back = preference_difference(MIXED, RIGHT, RATINGS)
    assert (back.value, back.p) == (-found.value, found.p)


def test_sides_and_units_do_not_matter():
    rng = np.random.default_rng(0)
    first, second, ratings, _ = two_scorers(rng, 60)
    swapped = preference(np.stack([first, second])[:, :, ::-1], ratings[:, ::-1])
    assert swapped == preference(np.stack([first, second]), ratings)
    assert preference(100 * first[None] - 3, 7 * ratings) == preference(first[None], ratings)


# -- independent references ----------------------------------------------------------------------------------------


def test_share_is_paired_accuracy():
    rng = np.random.default_rng(1)
    right = rng.random(80) < 0.7
    scores, ratings = pairs(rng, right)
    topics = [f"t{i // 4}" for i in range(80)]
    found = preference(scores[None], ratings, topics, draws=299, seed=5)[0]
    margins = (scores[:, 1] - scores[:, 0]) * (ratings[:, 1] - ratings[:, 0])
    assert found == paired_accuracy(margins, topics, draws=299, seed=5)
    assert found.value == right.mean()
    assert found.n == 20


def test_p_is_mcnemars_exact():
    rng = np.random.default_rng(2)
    first, second, ratings, right = two_scorers(rng, 150)
    better, worse = np.sum(right[0] & ~right[1]), np.sum(right[1] & ~right[0])
    found = preference_difference(first, second, ratings)
    assert found.p == pytest.approx(min(1, 2 * stats.binom.cdf(min(better, worse), better + worse, 0.5)), abs=1e-12)
    assert found.value == pytest.approx((better - worse) / 150, abs=1e-12)


def test_interval_of_many_pairs_is_students():
    rng = np.random.default_rng(3)
    first, second, ratings, right = two_scorers(rng, 400)
    lead = right[0].astype(float) - right[1]
    low, high = stats.t.interval(0.95, 399, loc=lead.mean(), scale=stats.sem(lead))
    found = preference_difference(first, second, ratings)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)


# -- the truth is known --------------------------------------------------------------------------------------------


def coverage(simulations, n, draws=199):
    rng = np.random.default_rng(n)
    share = lead = 0
    for seed in range(simulations):
        first, second, ratings, _ = two_scorers(rng, n)
        found = preference(first[None], ratings, draws=draws, seed=seed)[0]
        ahead = preference_difference(first, second, ratings, draws=draws, seed=seed)
        share += found.low <= 0.8 <= found.high
        lead += ahead.low <= 0.15 <= ahead.high
    return share / simulations, lead / simulations


def test_coverage_in_short():
    assert min(coverage(120, 40)) >= 0.89  # 3 standard errors below 95 %


@pytest.mark.slow
@pytest.mark.parametrize("n", [40, 100])
def test_intervals_cover_what_they_promise(n):
    share, lead = coverage(800, n)
    assert 0.92 <= share <= 0.985  # a share of few pairs is a lattice
    assert 0.92 <= lead <= 0.98


def test_equal_scorers_are_seldom_told_apart():
    rng = np.random.default_rng(4)
    claims = 0
    for _ in range(200):
        first, second, ratings, _ = two_scorers(rng, 80, a=0.7, b=0.7)
        claims += preference_difference(first, second, ratings, draws=2).p <= 0.05
    assert claims <= 18


# -- awkward cases -------------------------------------------------------------------------------------------------


def test_scorers_that_never_disagree():
    first, ratings = pairs(np.random.default_rng(5), np.arange(100) < 80)
    found = preference_difference(first, 2 * first, ratings)
    assert (found.value, found.p) == (0.0, 1.0)
    # no discordant pair in 100: their share may be as large as what leaves 2.5 % for seeing none
    assert (found.low, found.high) == pytest.approx((-(1 - 0.025**0.01), 1 - 0.025**0.01))


def test_a_cluster_is_one_observation():
    first, ratings = pairs(np.random.default_rng(6), np.ones(40, dtype=bool))
    topics = [f"t{i // 4}" for i in range(40)]
    found = preference_difference(first, -first, ratings, topics)
    assert (found.n, found.pairs, found.value) == (10, 40, 1.0)
    assert found.p == pytest.approx(2 / 2**10), "ten topics, not forty pairs"
    assert found.low < 0.9 < found.high == 1.0


def test_pairs_without_a_score_are_left_out():
    scores = RIGHT.copy()
    scores[0, 1] = NAN
    assert preference(scores[None], RATINGS)[0].n == 4
    assert preference_difference(scores, MIXED, RATINGS).pairs == 4
    nothing = preference_difference(np.full((6, 2), NAN), MIXED, RATINGS)
    assert np.isnan([nothing.value, nothing.p]).all()
    assert "no pair" in nothing.note
    assert np.isnan(preference(scores[None], np.ones((6, 2)))[0].value), "nobody preferred anything"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ratings": RATINGS[:4]}, "pairs: expected scores of 4 pairs"),
        ({"ratings": np.where(RATINGS == 9, NAN, RATINGS)}, "pairs: expected a finite rating of both texts"),
        ({"clusters": ["a"] * 5}, "clusters: expected 6 labels, one for each; got 5"),
    ],
)
def test_bad_input(change, message):
    given = {"ratings": RATINGS, "clusters": None} | change
    with pytest.raises(InputError, match=message):
        preference(MIXED[None], given["ratings"], given["clusters"])
    with pytest.raises(InputError, match=message):
        preference_difference(MIXED, RIGHT, given["ratings"], given["clusters"])
