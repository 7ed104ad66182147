"""Semantic measures: worked by hand, against brute force, and on mixtures whose truth is known."""

import math
from itertools import combinations

import numpy as np
import pytest

from creativity_lens.diversity import (
    cluster_entropy,
    clusters_of,
    cross_spread,
    equivalence_classes,
    largest_share,
    nearest_distance,
    semantic_spread,
    spread_by,
    threshold_of,
    vendi,
)
from creativity_lens.diversity import semantic as module
from creativity_lens.diversity.semantic import cross_spread_without
from creativity_lens.errors import InputError

N = 1500  # simulated prompts
TWO_AND_ONE = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def cloud(n, dim=16, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)) + 0.5


def mixture(modes, each, noise=0.1, dim=24, seed=0):
    """Texts of `modes` kinds that have nothing in common, shuffled; and which kind each is of."""
    random = np.random.default_rng(seed)
    kinds = random.permutation(np.repeat(np.arange(modes), each))
    return unit(np.eye(dim)[kinds] + noise * random.normal(size=(len(kinds), dim)) / np.sqrt(dim)), kinds


def test_by_hand():
    assert semantic_spread(TWO_AND_ONE) == pytest.approx(2 / 3)
    assert nearest_distance(TWO_AND_ONE) == pytest.approx(1 / 3)
    assert vendi(TWO_AND_ONE) == pytest.approx(math.exp(-(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3))))
    assert spread_by(TWO_AND_ONE, ["a", "a", "b"]) == {"a": 0.0, "b": pytest.approx(math.nan, nan_ok=True)}
    assert cross_spread(TWO_AND_ONE, ["a", "a", "b"]) == 1
    assert cross_spread(TWO_AND_ONE, ["a", "b", "b"]) == pytest.approx(0.5)
    assert semantic_spread(np.array([[1.0, 0.0], [-1.0, 0.0]])) == 2
    assert cluster_entropy(np.array([0, 0, 0, 1, -1])) == pytest.approx(0.75 * math.log(4 / 3) + 0.25 * math.log(4))
    assert largest_share(np.array([0, 0, 0, 1, -1])) == 0.75


@pytest.mark.parametrize("n", [2, 3, 17])
def test_spread_is_the_mean_over_pairs(n):
    rows = cloud(n)
    pairs = [float(unit(rows)[i] @ unit(rows)[j]) for i, j in combinations(range(n), 2)]
    assert semantic_spread(rows) == pytest.approx(1 - np.mean(pairs), abs=1e-12)
    assert semantic_spread(rows.astype(np.float32)) == pytest.approx(1 - np.mean(pairs), abs=1e-6)


def test_spread_across_is_the_mean_over_pairs_of_groups():
    rows, groups = unit(cloud(11)), list("aabbbbcccde")
    by_pair = {}
    for i, j in combinations(range(11), 2):
        if groups[i] != groups[j]:
            by_pair.setdefault((groups[i], groups[j]), []).append(rows[i] @ rows[j])
    assert cross_spread(rows, groups) == pytest.approx(1 - np.mean([np.mean(each) for each in by_pair.values()]))
    without = cross_spread_without(rows, groups)
    for place, left in enumerate("abcde"):
        kept = [i for i in range(11) if groups[i] != left]
        assert without[place] == pytest.approx(cross_spread(rows[kept], [groups[i] for i in kept]))


@pytest.mark.parametrize(("n", "dim"), [(5, 40), (40, 5), (12, 12)])
def test_vendis_small_gram_matrix_gives_the_big_ones_score(n, dim):
    rows = cloud(n, dim)
    values = np.linalg.eigvalsh(unit(rows) @ unit(rows).T / n)
    values = values[values > 1e-12]
    assert vendi(rows) == pytest.approx(math.exp(-(values * np.log(values)).sum()), rel=1e-9)
    assert vendi(np.concatenate([rows, rows])) == pytest.approx(vendi(rows), rel=1e-9), "copies add nothing"


def test_nearest_and_threshold_against_brute_force(monkeypatch):
    rows, groups = unit(cloud(40)), [str(i % 7) for i in range(40)]
    distances = 1 - rows @ rows.T
    np.fill_diagonal(distances, np.inf)
    across = [distances[i, j] for i, j in combinations(range(40), 2) if groups[i] != groups[j]]
    for at_once in (1024, 7):
        monkeypatch.setattr(module, "AT_ONCE", at_once)
        assert nearest_distance(rows) == pytest.approx(distances.min(axis=1).mean())
        assert threshold_of(rows, groups) == pytest.approx(np.quantile(across, 0.01))
    monkeypatch.setattr(module, "MOST_PAIRED", 30)
    assert threshold_of(rows, groups, quantile=0.5) == pytest.approx(np.median(across), abs=0.1)


def test_all_equal_is_the_extreme():
    rows = np.tile(cloud(1), (9, 1))
    assert semantic_spread(rows) == pytest.approx(0, abs=1e-12)
    assert vendi(rows) == pytest.approx(1)
    assert nearest_distance(rows) == pytest.approx(0, abs=1e-12)
    assert threshold_of(rows, list("aaabbbccc")) == pytest.approx(0, abs=1e-12)
    labels = clusters_of(rows, 0.0)
    assert labels.tolist() == [0] * 9
    assert cluster_entropy(labels) == 0
    assert largest_share(labels) == 1
    assert equivalence_classes(rows, 1.0).tolist() == [0] * 9


def test_all_different_is_the_other_extreme():
    rows = np.eye(9)
    assert semantic_spread(rows) == 1
    assert vendi(rows) == pytest.approx(9)
    assert nearest_distance(rows) == 1
    assert sorted(clusters_of(rows, 0.5)) == list(range(9))
    assert cluster_entropy(clusters_of(rows, 0.5)) == pytest.approx(math.log(9))
    assert equivalence_classes(rows, 0.5).tolist() == list(range(9))


def test_order_and_scale_do_not_matter():
    rows, groups = cloud(30), [str(i % 5) for i in range(30)]
    order = np.random.default_rng(3).permutation(30)
    moved, names = (rows * np.linspace(0.1, 9, 30)[:, None])[order], [groups[i] for i in order]
    for measure in (semantic_spread, vendi, nearest_distance):
        assert measure(moved) == pytest.approx(measure(rows), rel=1e-9)
    for measure in (cross_spread, threshold_of):
        assert measure(moved, names) == pytest.approx(measure(rows, groups), rel=1e-9)
    labels, again = clusters_of(rows, 0.5), clusters_of(moved, 0.5)
    assert 1 < labels.max() < 29
    assert {frozenset(np.flatnonzero(labels == k).tolist()) for k in set(labels)} == {
        frozenset(order[again == k].tolist()) for k in set(again)
    }


def test_texts_without_an_embedding_are_left_out():
    rows = np.concatenate([TWO_AND_ONE, [[math.nan, 0.0], [0.0, 0.0]]])
    assert semantic_spread(rows) == semantic_spread(TWO_AND_ONE)
    assert vendi(rows) == vendi(TWO_AND_ONE)
    assert clusters_of(rows, 0.1).tolist() == [0, 0, 1, -1, -1]
    assert equivalence_classes(rows, 0.9).tolist() == [0, 0, 1, -1, -1]
    assert cross_spread(rows, ["a", "a", "b", "c", "c"]) == 1
    assert len(cross_spread_without(rows, ["a", "a", "b", "c", "d"])) == 2


def test_too_few_are_not_measured():
    for rows in (np.empty((0, 3)), cloud(1)):
        assert math.isnan(semantic_spread(rows))
        assert math.isnan(nearest_distance(rows))
        assert math.isnan(cross_spread(rows, ["a"] * len(rows)))
        assert math.isnan(threshold_of(rows, ["a"] * len(rows)))
        assert clusters_of(rows, 0.1).tolist() == [0] * len(rows)
    assert math.isnan(vendi(np.empty((0, 3))))
    assert math.isnan(cluster_entropy(np.array([-1])))
    assert math.isnan(largest_share(np.empty(0, dtype=int)))
    assert np.isnan(cross_spread_without(TWO_AND_ONE, ["a", "a", "b"])).all()


def test_classes_go_to_the_first_representative():
    """The second text is near the first, the third near the second alone: it opens a class, as its words would say."""
    angles = np.deg2rad([0, 30, 60, 25])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert equivalence_classes(rows, math.cos(math.radians(35))).tolist() == [0, 0, 1, 0]
    assert equivalence_classes(rows[[1, 0, 2]], math.cos(math.radians(35))).tolist() == [0, 0, 0]


@pytest.mark.parametrize("modes", [1, 3, 8])
def test_the_number_of_modes_is_found(modes):
    rows, kinds = mixture(modes, 12)
    labels = clusters_of(rows, 0.3)
    assert labels.max() + 1 == modes
    assert {len(set(kinds[labels == k])) for k in range(modes)} == {1}
    assert cluster_entropy(labels) == pytest.approx(math.log(modes))
    assert vendi(rows) == pytest.approx(modes, rel=0.1)
    assert equivalence_classes(rows, 0.7).max() + 1 == modes


def test_unequal_modes_count_less():
    rows, _ = mixture(2, 20)
    uneven = np.concatenate([rows[:5], rows[:1].repeat(60, axis=0)])
    assert vendi(uneven) < vendi(rows)
    assert cluster_entropy(clusters_of(uneven, 0.3)) < math.log(2)


def test_dense_regions():
    rows, kinds = mixture(3, 50)
    labels = clusters_of(rows, 0.2, method="hdbscan")
    assert labels.max() + 1 == 3
    assert {len(set(kinds[labels == k])) for k in range(3)} == {1}
    one, _ = mixture(1, 120)
    assert clusters_of(one, 0.2, method="hdbscan").tolist() == [0] * 120, "one mode is one region, and not all noise"
    far = unit(np.random.default_rng(1).normal(size=(4, 24)))
    with_far = clusters_of(np.concatenate([one, far]), 0.2, method="hdbscan")
    assert np.bincount(with_far).tolist() == [120, 1, 1, 1, 1], "an outlier is a cluster of its own"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threshold": -0.1}, "expected a cosine distance from 0 to 2, got -0.1"),
        ({"threshold": math.nan}, "expected a cosine distance"),
        ({"threshold": 0.1, "method": "avrage"}, "Did you mean 'average'"),
        ({"threshold": 0.1, "method": "hdbscan"}, "expected more than 100 texts in a group, got 9"),
    ],
)
def test_clustering_refuses(options, said):
    with pytest.raises(InputError, match=said):
        clusters_of(cloud(9), **options)


def test_groups_of_another_length_are_refused():
    with pytest.raises(InputError, match="expected one for each of 3 texts; got 2"):
        cross_spread(TWO_AND_ONE, ["a", "b"])


def test_spread_is_unbiased_in_the_number_of_texts_where_others_are_not():
    random = np.random.default_rng(0)
    rows = unit(random.normal(size=(N * 20, 8)) + 0.6).reshape(N, 20, 8)
    few = np.array([semantic_spread(each[:3]) for each in rows])
    many = np.array([semantic_spread(each) for each in rows])
    error = math.hypot(few.std() / math.sqrt(N), many.std() / math.sqrt(N))
    assert abs(few.mean() - many.mean()) < 4 * error
    assert nearest_distance(rows[0][:3]) > 1.5 * nearest_distance(rows[0]), "the control: this one falls"
    assert vendi(rows[0]) > 1.5 * vendi(rows[0][:3]), "and this one grows"
