"""Fieller's interval equals the t tests it is made of; differences of estimates equal what is known in closed form."""

import numpy as np
import pytest
from scipy import stats

from creativity_lens.ratios import difference_of, ratio_of_means
from creativity_lens.statistics import Estimate, t_interval


def test_fiellers_ends_are_the_ratios_that_a_t_test_does_not_tell_from_0():
    rng = np.random.default_rng(1)
    bottom = rng.normal(1.0, 0.8, 14)
    top = 0.4 * bottom + rng.normal(0, 0.5, 14)
    found = ratio_of_means(top, bottom)
    assert found.value == pytest.approx(top.mean() / bottom.mean())
    for end in (found.low, found.high):
        assert stats.ttest_1samp(top - end * bottom, 0).pvalue == pytest.approx(0.05)
    middle = (found.low + found.high) / 2
    assert stats.ttest_1samp(top - middle * bottom, 0).pvalue > 0.05


def test_fiellers_interval_exists_exactly_where_the_denominator_is_sure():
    rng = np.random.default_rng(2)
    seen = set()
    for _ in range(200):
        bottom = rng.normal(0.6, 1.0, 10)
        interval = t_interval(bottom)
        sure = not interval.low <= 0 <= interval.high
        assert ratio_of_means(rng.normal(0, 1, 10), bottom).has_interval == sure
        seen.add(sure)
    assert seen == {True, False}


def test_a_ratio_of_constants_has_an_interval_of_no_width():
    found = ratio_of_means(np.full(9, 2.0), np.full(9, 8.0), unit="nats a token")
    assert (found.value, found.low, found.high, found.n, found.unit) == (0.25, 0.25, 0.25, 9, "nats a token")


@pytest.mark.parametrize("n", [0, 1, 7])
def test_few_prompts_give_no_interval(n):
    found = ratio_of_means(np.arange(1.0, n + 1), np.full(n, 2.0))
    assert (found.n, found.has_interval) == (n, False)
    assert np.isnan(found.value) == (n == 0)


def test_nothing_is_divided_by_0():
    assert np.isnan(ratio_of_means(np.ones(9), np.zeros(9)).value)


@pytest.mark.parametrize("correlation", [-0.6, 0.0, 0.8])
def test_a_difference_of_symmetric_estimates_is_the_usual_one(correlation):
    one, other = Estimate(0.5, 0.3, 0.7, 16, "share"), Estimate(0.1, 0.0, 0.2, 20, "share")
    half = np.sqrt(0.2**2 + 0.1**2 - 2 * correlation * 0.2 * 0.1)
    found = difference_of(one, other, correlation)
    assert (found.value, found.low, found.high) == pytest.approx((0.4, 0.4 - half, 0.4 + half))
    assert (found.n, found.unit) == (16, "share")
    back = difference_of(other, one, correlation)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))


def test_a_difference_goes_as_far_as_the_ends_that_matter():
    """Only the first's lower and the second's upper end bear on the lower end of their difference."""
    one, other = Estimate(0.9, 0.4, 1.0, 16), Estimate(0.2, 0.2, 0.2, 16)
    found = difference_of(one, other, 0.0)
    assert (found.low, found.high) == pytest.approx((0.2, 0.8))
    assert not difference_of(Estimate(0.9, np.nan, np.nan, 5), other, 0.0).has_interval
