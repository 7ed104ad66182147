"""Dispersion by hand: bits, Jaccard of empty sets, equal counts exactly; and what the two nulls promise."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from creativity_lens.monoculture.dispersion import Pool, entropy_bits, expected_entropy, jaccard
from creativity_lens.monoculture.nulls import split_test, swap_test


def labels(*texts):
    """A pool of labels, one letter a text."""
    return Pool(codes=np.unique(list("".join(texts)), return_inverse=True)[1].astype(int))


# ---- by hand ----


@pytest.mark.parametrize(
    ("counts", "bits"),
    [
        ([4], 0.0),
        ([0, 4], 0.0),
        ([1, 1], 1.0),
        ([2, 1, 1], 1.5),
        ([1, 1, 1, 1], 2.0),
        ([9, 1], 0.4689955935892812),
        ([7, 3], 0.8812908992306927),
        ([5, 3, 2], 1.4854752972273344),
        ([0, 0], 0.0),
    ],
)
def test_entropies_in_bits(counts, bits):
    assert float(entropy_bits(np.array(counts, dtype=float))) == pytest.approx(bits, abs=1e-12)
    if sum(counts):
        assert bits == pytest.approx(stats.entropy(counts, base=2), abs=1e-12)


def test_jaccard_and_that_of_empty_sets():
    sets = [frozenset("ab"), frozenset("bc"), frozenset("abc"), frozenset(), frozenset()]
    found = jaccard(sets)
    assert np.allclose(np.diag(found), 1)
    assert found[0, 1] == pytest.approx(1 / 3)
    assert found[0, 2] == pytest.approx(2 / 3)
    assert found[0, 3] == 0
    assert found[3, 4] == 1, "two empty sets are equal"
    assert jaccard([frozenset(), frozenset()]).tolist() == [[1, 1], [1, 1]], "also where there is no member at all"


def test_mean_distance_of_pairs():
    pool = Pool(distances=np.array([[0, 1, 4], [1, 0, 3], [4, 3, 0]], dtype=float))
    assert pool.of(np.array([[0, 1, 2]])).tolist() == [pytest.approx(8 / 3)]
    assert pool.of(np.array([[0, 1], [0, 2]])).tolist() == [1, 4]
    assert pool.alike(np.array([0, 1])) == 0
    assert labels("aab").alike(np.arange(3)) == pytest.approx(1 / 3), "one of three pairs has one label"


def test_entropy_at_a_smaller_count_is_the_mean_over_all_choices():
    texts = "aaabbc"
    pool = labels(texts)
    for count in range(2, 7):
        chosen = np.array(list(combinations(range(6), count)))
        assert pool.at(np.arange(6), count) == pytest.approx(pool.of(chosen).mean(), abs=1e-12)
    assert expected_entropy(np.array([2, 2]), 2) == pytest.approx(2 / 3)
    assert expected_entropy(np.array([3, 0, 1]), 9) == pytest.approx(stats.entropy([3, 1], base=2))


def test_distances_at_a_smaller_count_are_the_mean_over_all_choices():
    rng = np.random.default_rng(0)
    points = rng.normal(size=6)
    pool = Pool(distances=np.abs(points[:, None] - points[None]))
    chosen = np.array(list(combinations(range(6), 3)))
    assert pool.at(np.arange(6), 3) == pytest.approx(pool.of(chosen).mean(), abs=1e-12)


def test_many_distances_are_taken_in_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    points = rng.normal(size=20)
    pool = Pool(distances=np.abs(points[:, None] - points[None]))
    chosen = rng.permuted(np.tile(np.arange(20), (50, 1)), axis=1)[:, :8]
    whole = pool.of(chosen)
    monkeypatch.setattr("creativity_lens.monoculture.dispersion.AT_ONCE", 200)
    assert pool.of(chosen).tolist() == whole.tolist()


# ---- swapped labels ----


def test_exact_p_of_a_tiny_case():
    """Two texts a side, three of one label and one of another: the odd one makes its side the wider one, always."""
    alone = labels("aa", "ab")
    found = swap_test([alone] * 3, [(2, 2)] * 3)
    assert found.exact
    assert found.share == 1.0
    assert found.p == pytest.approx(2 / 2**3)
    assert found.null == pytest.approx(0.5)
    mixed = swap_test([alone, alone, labels("ab", "aa")], [(2, 2)] * 3)
    assert mixed.share == pytest.approx(2 / 3)
    assert mixed.p == 1.0, "2 or more of 3 have a chance of 1/2, doubled"
    ties = swap_test([labels("aa", "aa")] * 5, [(2, 2)] * 5)
    assert (ties.share, ties.p) == (0.5, 1.0)


def test_exact_p_against_all_ways_of_swapping():
    """Every way of dealing out two items at once, one by one, against the sum of their laws."""
    pools, sizes = [labels("aab", "abc"), labels("aa", "bc")], [(3, 3), (2, 2)]

    def narrower(pool, chosen, n):
        rest = [i for i in range(n) if i not in chosen]
        one, other = (float(pool.of(np.array([side]))[0]) for side in (chosen, rest))
        return 0.5 if abs(one - other) < 1e-9 else float(one < other)

    both = list(zip(pools, sizes, strict=True))
    laws = [[narrower(pool, c, 2 * n) for c in combinations(range(2 * n), n)] for pool, (n, _) in both]
    shares = np.array([np.mean(each) for each in product(*laws)])
    seen = np.mean([law[0] for law in laws])
    expected = min(1, 2 * min(np.mean(shares >= seen - 1e-9), np.mean(shares <= seen + 1e-9)))
    assert swap_test(pools, sizes).p == pytest.approx(expected)


def test_random_swaps_agree_with_all_of_them():
    rng = np.random.default_rng(3)
    pools = [labels("".join(rng.choice(list("aab"), 5)), "".join(rng.choice(list("abc"), 5))) for _ in range(12)]
    exact = swap_test(pools, [(5, 5)] * 12, draws=999)  # 252 ways each
    drawn = swap_test(pools, [(5, 5)] * 12, draws=200, seed=1)
    assert exact.exact
    assert not drawn.exact
    assert drawn.share == exact.share
    assert drawn.p == pytest.approx(exact.p, abs=0.1)
    assert (drawn.null_low, drawn.null_high) == pytest.approx((exact.null_low, exact.null_high), abs=0.1)


@pytest.mark.parametrize(
    ("kind", "sizes"), [("labels", (4, 4)), ("points", (10, 10)), ("labels", (4, 11)), ("points", (4, 11))]
)
def test_equal_sources_are_claimed_in_at_most_one_of_twenty(kind, sizes):
    """Generated and human texts from one distribution: p is at most 0.05 in 5 % of worlds, and roughly uniform."""
    rng = np.random.default_rng([sizes[1], kind == "labels"])
    worlds, items, n = 100, 10, sum(sizes)
    found = []
    for _ in range(worlds):
        if kind == "labels":
            chance = rng.dirichlet([2, 1, 1], size=items)
            pools = [Pool(codes=rng.choice(3, n, p=each).astype(int)) for each in chance]
        else:
            points = rng.normal(size=(items, n)) ** 3  # heavy tails: spreads are skewed
            pools = [Pool(distances=np.abs(each[:, None] - each[None])) for each in points]
        found.append(swap_test(pools, [sizes] * items, draws=99, seed=int(rng.integers(2**31))))
    p = np.array([one.p for one in found])
    assert np.mean(p <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / worlds)
    assert np.mean(p <= 0.5) == pytest.approx(0.5, abs=0.2), "discrete p are a little large"
    assert np.mean([one.share for one in found]) == pytest.approx(0.5, abs=0.04)


def test_a_planted_monoculture_is_found():
    rng = np.random.default_rng(5)
    pools = [
        Pool(codes=np.concatenate([rng.choice(2, 10, p=[0.95, 0.05]), rng.choice(2, 10, p=[0.6, 0.4])]).astype(int))
        for _ in range(20)
    ]
    found = swap_test(pools, [(10, 10)] * 20, draws=499)
    assert found.share > 0.85
    assert found.p <= 2 / 500
    turned = [Pool(codes=np.roll(pool.codes, 10)) for pool in pools]
    other = swap_test(turned, [(10, 10)] * 20, draws=499)
    assert other.share == pytest.approx(1 - found.share)
    assert other.p <= 2 / 500, "wider is found as well"


# ---- people against people ----


def test_two_halves_of_one_source_are_narrower_half_of_the_time():
    rng = np.random.default_rng(6)
    pools = [Pool(codes=rng.choice(3, 20, p=[0.6, 0.3, 0.1]).astype(int)) for _ in range(25)]
    found = split_test(pools, [(10, 10)] * 25, draws=400)
    assert found.share == pytest.approx(0.5, abs=0.02)
    assert found.n == 25
    assert 0.25 < found.low < 0.42
    assert 0.58 < found.high < 0.75


def test_only_source_texts_are_split():
    """Generated texts of one label, human ones of two: a split that saw the generated ones would find ties."""
    pools = [labels("aaaa", "bbcd")] * 8
    found = split_test(pools, [(4, 4)] * 8, draws=300)
    # bb|cd and cd|bb decide, the other four of six ways tie
    assert found.high - found.low > 0.1
    alike = split_test([labels("abcd", "eeee")] * 8, [(4, 4)] * 8)
    assert (alike.share, alike.low, alike.high) == (0.5, 0.5, 0.5)


def test_too_few_texts_to_split():
    found = split_test([labels("ab", "abc")] * 3, [(2, 3)] * 3)
    assert found.n == 0
    assert np.isnan(found.share)
