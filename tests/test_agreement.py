"""Agreement of raters against published tables, other people's code, loops, and what simulated raters truly share."""

import numpy as np
import pytest
from krippendorff import alpha
from scipy import stats

from creativity_lens.agreement import agreement, agreement_two_way
from creativity_lens.errors import InputError

NAN = float("nan")
JUDGES = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7.0]])

# four observers and twelve units, with missing values: Krippendorff, "Computing Krippendorff's alpha-reliability"
OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
).T


def rated(rng, items, raters, *, share=0.3, missing=0.0, effects=None):
    """Ratings of which `share` is the item's; and which rater skipped what is chance."""
    truth = np.sqrt(share) * rng.standard_normal(items) + (0 if effects is None else effects)
    values = truth[:, None] + np.sqrt(1 - share) * rng.standard_normal((items, raters))
    values[rng.random(values.shape) < missing] = NAN
    return values


def loops(values, groups):
    """The one-way table of items within groups, with lists and sums."""
    between = within = 0.0
    df_between = df_within = 0
    n_all, lost = 0, 0.0
    for group in sorted(set(groups)):
        items = [[v for v in row if v == v] for row, g in zip(values.tolist(), groups, strict=True) if g == group]
        items = [item for item in items if item]
        if len(items) < 2:
            continue
        everything = [v for item in items for v in item]
        centre = sum(everything) / len(everything)
        for item in items:
            mean = sum(item) / len(item)
            between += len(item) * (mean - centre) ** 2
            within += sum((v - mean) ** 2 for v in item)
            df_within += len(item) - 1
        df_between += len(items) - 1
        n_all += len(everything)
        lost += sum(len(item) ** 2 for item in items) / len(everything)
    return between / df_between, within / df_within, df_between, df_within, (n_all - lost) / df_between


# -- independent references ----------------------------------------------------------------------------------------


def test_shrout_and_fleiss():
    found = agreement(JUDGES)
    assert (round(found.icc1, 2), round(found.icck, 2)) == (0.17, 0.44)  # their table 4
    # pingouin 0.7.0, intraclass_corr: ICC(1,1), ICC(1,k), its interval to two digits
    assert found.icc1 == pytest.approx(0.1657417684054755, abs=1e-12)
    assert found.icck == pytest.approx(0.44279713367926876, abs=1e-12)
    assert (round(found.icck_low, 2), round(found.icck_high, 2)) == (-0.88, 0.91)
    assert (found.k, found.n_items, found.n_ratings, found.note) == (4.0, 6, 24, "")
    assert np.isnan(found.ceiling), "the interval reaches below 0: no ceiling"


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_icc_is_scipys_f(missing):
    values = rated(np.random.default_rng(1), 30, 5, share=0.6, missing=missing)
    values = values[np.isfinite(values).any(axis=1)]
    rows = [row[np.isfinite(row)] for row in values]
    ratio, p = stats.f_oneway(*rows)
    found = agreement(values)
    n, total = len(rows), sum(map(len, rows))
    k = (total - sum(len(row) ** 2 for row in rows) / total) / (n - 1)
    assert found.icck == pytest.approx(1 - 1 / ratio, abs=1e-9)
    assert found.icc1 == pytest.approx((ratio - 1) / (ratio + k - 1), abs=1e-9)
    assert found.k == pytest.approx(k)
    assert stats.f.sf(ratio, n - 1, total - n) == pytest.approx(p)
    # the ends of the interval: the true ratio of variances under which the F seen is an outer 2.5 %
    for end, tail in ((found.icck_low, stats.f.sf), (found.icck_high, stats.f.cdf)):
        assert tail(ratio * (1 - end), n - 1, total - n) == pytest.approx(0.025, abs=1e-9)
    assert found.ceiling == pytest.approx(np.sqrt(found.icck))


def test_k0_by_hand():
    values = np.array([[1, 2, 4, NAN], [2, 3, NAN, NAN], [5, 4, 4, 3.0]])  # 3, 2 and 4 ratings
    assert agreement(values).k == pytest.approx((9 - 29 / 9) / 2)


@pytest.mark.parametrize("missing", [0.0, 0.35])
def test_within_groups_is_the_table_in_loops(missing):
    rng = np.random.default_rng(2)
    groups = [f"g{i % 9}" for i in range(40)] + ["alone"]
    effects = np.array([3.0 * int(group[1:]) if group != "alone" else 50.0 for group in groups])
    values = rated(rng, 41, 4, missing=missing, effects=effects)
    values[40] = [50.0, 51, 52, 49]
    between, within, df_between, df_within, k = loops(values, groups)
    found = agreement(values, groups)
    assert found.icck == pytest.approx(1 - within / between, abs=1e-9)
    assert found.icc1 == pytest.approx((between - within) / (between + (k - 1) * within), abs=1e-9)
    assert found.k == pytest.approx(k)
    ratio = between / within
    assert found.icck_low == pytest.approx(1 - stats.f.ppf(0.975, df_between, df_within) / ratio, abs=1e-9)
    assert found.icck_high == pytest.approx(1 - stats.f.ppf(0.025, df_between, df_within) / ratio, abs=1e-9)
    assert found.note == "left out: 1 group of one text"
    assert agreement(values).icck > found.icck + 0.3, "groups that differ inflate agreement over all"


def test_alpha_is_the_published_one():
    assert round(agreement(OBSERVERS).alpha, 3) == 0.849
    assert agreement(OBSERVERS).alpha == pytest.approx(alpha(OBSERVERS.T, level_of_measurement="interval"), abs=1e-12)


def test_alpha_by_hand():
    values = np.array([[1, 2, NAN], [3, 3, 3], [NAN, 2, NAN]])  # the last is not pairable: 1 2 | 3 3 3
    # observed: (2 * 1 / 1) / 5; expected: 2 * sum of squares / 4 with mean 2.4, squares 1.96 + .16 + 3 * .36 = 3.2
    assert agreement(values).alpha == pytest.approx(1 - (2 / 5 / 2) / (3.2 / 4))


@pytest.mark.parametrize("seed", range(3))
def test_alpha_is_the_packages(seed):
    rng = np.random.default_rng(seed)
    values = np.round(rated(rng, 25, 4, share=0.5, missing=0.3) * 2)
    assert agreement(values).alpha == pytest.approx(alpha(values.T, level_of_measurement="interval"), abs=1e-9)


def test_alpha_within_groups_is_the_packages_on_centred_values():
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(6), [2, 3, 4, 5, 6, 7])
    values = np.round(3 * rated(rng, 27, 4, share=0.4, missing=0.1, effects=2.0 * groups))
    values = values[np.isfinite(values).sum(axis=1) > 1]  # all pairable, which is the package's business otherwise
    assert len(values) == 27
    means = np.array([np.nanmean(values[groups == group]) for group in groups])
    plain = alpha((values - means[:, None]).T, level_of_measurement="interval")
    n = np.isfinite(values).sum()
    found = agreement(values, [str(group) for group in groups])
    assert found.alpha == pytest.approx(1 - (1 - plain) * (n - 6) / (n - 1), abs=1e-9)
    assert agreement(values, ["one"] * 27) == agreement(values), "one group is no group"


# -- the truth is known --------------------------------------------------------------------------------------------


def test_agreement_of_twins_and_of_strangers():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal(200)
    twins = agreement(truth[:, None] + 0.05 * rng.standard_normal((200, 3)))
    strangers = agreement(rng.standard_normal((200, 3)))
    assert twins.icc1 > 0.98
    assert twins.alpha > 0.98
    assert twins.ceiling > 0.99
    assert abs(strangers.icc1) < 0.15
    assert abs(strangers.alpha) < 0.15
    assert np.isnan(strangers.ceiling)


def coverage(simulations, groups, raters=3, share=0.4, missing=0.0):
    rng = np.random.default_rng(simulations)
    truth = raters * share / (1 + (raters - 1) * share)  # Spearman and Brown
    effects = None if groups is None else 5.0 * groups
    labels = None if groups is None else [str(group) for group in groups]
    items = 30 if groups is None else len(groups)
    found = [agreement(rated(rng, items, raters, share=share, effects=effects), labels) for _ in range(simulations)]
    return np.mean([each.icck_low <= truth <= each.icck_high for each in found])


@pytest.mark.parametrize("groups", [None, np.repeat(np.arange(19), [2] * 16 + [3, 3, 4])])
def test_coverage_in_short(groups):
    assert 0.92 <= coverage(300, groups) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("groups", [None, np.repeat(np.arange(3), 12), np.repeat(np.arange(19), [2] * 16 + [3, 3, 4])])
def test_intervals_cover_what_they_promise(groups, share):
    assert 0.935 <= coverage(2000, groups, share=share) <= 0.965


# -- not defined: said, not guessed --------------------------------------------------------------------------------

UNDEFINED = [
    (np.array([[1.0], [2.0], [3.0]]), None, "no text has two ratings"),
    (np.array([[1.0, NAN], [NAN, 2.0]]), None, "no text has two ratings"),
    (np.full((4, 3), 2.1), None, "the ratings are all equal"),
    (
        np.array([[1.0, 1.0], [1.0, 1.0], [5.0, 5.0], [5.0, 5.0]]),
        list("aabb"),
        "the ratings are all equal in each group",
    ),
    (np.array([[1.0, 2.0], [2.0, 4.0]]), ["a", "b"], "no two rated texts to compare in any group; left out: 2 groups"),
    (np.full((3, 2), NAN), None, "no two rated texts"),
    (np.zeros((0, 3)), None, "no two rated texts"),
]


@pytest.mark.parametrize(("values", "groups", "why"), UNDEFINED)
def test_not_defined(values, groups, why):
    found = agreement(values, groups)
    assert np.isnan(
        [found.icc1, found.icck, found.icck_low, found.icck_high, found.alpha, found.k, found.ceiling]
    ).all()
    assert why in found.note


def test_raters_who_never_differ():
    found = agreement(np.array([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]]))
    assert (found.icc1, found.icck, found.alpha, found.ceiling) == (1.0, 1.0, 1.0, 1.0)
    assert found.note == "the raters never differ"


def test_texts_whose_means_are_equal():
    found = agreement(np.array([[1.0, 3.0], [3.0, 1.0], [1.0, 3.0]]))
    assert found.icc1 == -1.0
    assert np.isnan([found.icck, found.ceiling]).all()
    assert "means are all equal" in found.note


def test_rounding_is_no_disagreement():
    values = np.array([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]]) / 3 + 1e6
    assert agreement(values).note == "the raters never differ"


@pytest.mark.parametrize(
    ("values", "groups", "message"),
    [
        (np.zeros((3, 2)), ["a", "b"], "groups: expected 3 labels, one for each; got 2"),
        (np.zeros((2, 2)), np.array(["a", NAN], dtype=object), "groups: number 2 of 2 has no label"),
        (np.array([[1.0, np.inf]]), None, "ratings: expected finite numbers"),
    ],
)
def test_bad_input(values, groups, message):
    with pytest.raises(InputError, match=message):
        agreement(values, groups)


# ---- two factors held fixed ----


def crossed(seed=0, raters=3):
    """12 plots by 3 authors, rated by some; a planted spread beside both factors' effects."""
    rng = np.random.default_rng(seed)
    plots, authors = np.repeat(np.arange(12), 3), np.tile(np.arange(3), 12)
    own = rng.normal(size=36)
    values = (3 * rng.normal(size=12)[plots] + 5 * rng.normal(size=3)[authors] + own)[:, None]
    return values + 0.5 * rng.normal(size=(36, raters)), plots.astype(str), authors.astype(str)


def test_two_factors_are_least_squares_on_all_ratings():
    """Independent: one regression on the factors and one on the items, over single ratings, with some missing."""
    values, plots, authors = crossed()
    values[::5, 0] = np.nan
    found = agreement_two_way(values, plots, authors)
    item, rater = np.nonzero(np.isfinite(values))
    y = values[item, rater]

    def left(*factors):
        design = np.concatenate([(each[:, None] == np.unique(each)).astype(float) for each in factors], axis=1)
        fit = design @ np.linalg.lstsq(design, y, rcond=None)[0]
        return float(np.sum((y - fit) ** 2)), np.linalg.matrix_rank(design), design

    whole, rank, design = left(plots[item], authors[item])
    within, items, dummies = left(item)
    df, df_within = items - rank, len(y) - items
    hat = design @ np.linalg.pinv(design)
    k = (len(y) - np.trace(hat @ dummies @ dummies.T)) / df  # the expected mean square: E = s2 + k0 * t2
    ratio = ((whole - within) / df) / (within / df_within)
    assert found.k == pytest.approx(k, rel=1e-9)
    assert found.icck == pytest.approx(1 - 1 / ratio, rel=1e-9)
    assert found.icc1 == pytest.approx((ratio - 1) / (ratio + k - 1), rel=1e-9)
    assert found.icck_low == pytest.approx(1 - stats.f.ppf(0.975, df, df_within) / ratio, rel=1e-9)
    assert np.isnan(found.alpha) == bool((np.isfinite(values).sum(axis=1) < 2).any())
    assert found.icck > 0.8, "the control: what the items have of their own is seen"


def test_a_second_factor_that_is_one_for_all_changes_nothing():
    values, plots, _ = crossed(seed=1)
    one, two = agreement(values, plots), agreement_two_way(values, plots, ["all"] * 36)
    for name in ("icc1", "icck", "icck_low", "icck_high", "alpha", "k"):
        assert getattr(two, name) == pytest.approx(getattr(one, name), rel=1e-9)


def test_two_factors_not_defined():
    values, plots, authors = crossed()
    assert "no text has two ratings" in agreement_two_way(values[:, :1], plots, authors).note
    assert "all equal" in agreement_two_way(np.ones((36, 3)), plots, authors).note
    alone = [str(n) for n in range(36)]
    found = agreement_two_way(values, alone, authors)
    assert np.isnan(found.icck)
    assert "leave nothing to compare" in found.note
