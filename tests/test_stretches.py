"""Common stretches equal those of difflib and of counting by hand; planted ones are found, and nothing else is."""

from difflib import SequenceMatcher
from itertools import combinations

import numpy as np
import pytest

from creativity_lens import stretches
from creativity_lens.errors import InputError
from creativity_lens.stretches import Stretch, common_stretches, longest_common, shared_stretches

PHRASE = (900, 901, 902, 903, 904, 905, 906, 907)


def noise(seed, texts=40, length=30, vocabulary=400):
    return np.random.default_rng(seed).integers(0, vocabulary, (texts, length)).tolist()


def longest_by_difflib(first, second) -> int:
    return SequenceMatcher(None, first, second, autojunk=False).find_longest_match().size


def shared_by_hand(texts, shortest):
    """Every stretch of every text, counted; kept where two texts hold it and no longer one around it as many."""
    holders = {}
    for number, text in enumerate(texts):
        for start in range(len(text)):
            for end in range(start + 1, len(text) + 1):
                holders.setdefault(tuple(text[start:end]), set()).add(number)
    common = {ids: len(held) for ids, held in holders.items() if len(held) > 1}
    around = {}
    for ids, count in common.items():
        for part in (ids[1:], ids[:-1]):
            around[part] = max(around.get(part, 0), count)
    return {ids: count for ids, count in common.items() if len(ids) >= shortest and around.get(ids, 0) < count}


# -- the longest of two --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vocabulary", [2, 5, 60])
def test_the_longest_equals_difflibs(vocabulary):
    rng = np.random.default_rng(vocabulary)
    first, second = ([rng.integers(0, vocabulary, size).tolist() for size in rng.integers(0, 26, 80)] for _ in range(2))
    assert longest_common(first, second).tolist() == list(map(longest_by_difflib, first, second))


def test_the_longest_does_not_depend_on_who_is_first_nor_on_the_blocks(monkeypatch):
    texts = noise(0, vocabulary=4)
    first, second = texts[:20], texts[20:]
    whole = longest_common(first, second)
    assert (longest_common(second, first) == whole).all()
    assert (longest_common([text[::-1] for text in first], [text[::-1] for text in second]) == whole).all()
    monkeypatch.setattr(stretches, "AT_ONCE", 1)
    assert (longest_common(first, second) == whole).all()
    assert longest_common([], []).shape == (0,)
    assert longest_common([[], [1], []], [[], [], [1]]).tolist() == [0, 0, 0]


def test_very_long_texts_do_not_run_over():
    long = list(range(33_000))
    assert longest_common([long[:40]], [long]).tolist() == [40]


# -- within and across ---------------------------------------------------------------------------------------------


def test_means_computed_by_hand():
    texts = [[1, 2, 3, 4], [9, 2, 3, 9], [1, 2, 3, 5], [7, 7, 7], [8, 7, 7], [6]]
    found = common_stretches(texts, ["a", "a", "a", "b", "b", "c"], shortest=2)
    assert found.within.value == pytest.approx(((2 + 3 + 2) / 3 + 2) / 2)  # c has no pair
    assert (found.within.n, found.across.n, found.across.value) == (2, 3, 0.0)
    assert (found.within.unit, found.within.has_interval) == ("tokens", False)


def test_within_is_above_its_floor_where_prompts_share_a_phrase_and_level_with_it_where_all_do():
    texts = noise(1, 96)
    groups = [f"p{i % 12}" for i in range(96)]
    for i, text in enumerate(texts):
        text[4:10] = [1000 + 10 * (i % 12) + j for j in range(6)]
    own = common_stretches(texts, groups)
    assert own.within.value == pytest.approx(6, abs=0.1)
    assert own.across.value < 2
    assert own.within.n == own.across.n == 12
    for text in texts:
        text[12:22] = range(2000, 2010)
    everybody = common_stretches(texts, groups)
    assert everybody.within.value == pytest.approx(10, abs=0.1)
    assert everybody.across.value == pytest.approx(10, abs=0.1)


def test_texts_in_any_order_share_the_same():
    texts, groups = noise(2, 30, vocabulary=6), [f"p{i % 10}" for i in range(30)]
    order = np.random.default_rng(0).permutation(30)
    before = common_stretches(texts, groups, shortest=3)
    after = common_stretches([texts[i] for i in order], [groups[i] for i in order], shortest=3)
    assert after.within.value == pytest.approx(before.within.value)
    assert after.within.low == pytest.approx(before.within.low)
    assert after.shared == before.shared
    assert common_stretches(texts, groups, seed=0).across == common_stretches(texts, groups, seed=0).across
    draws = {common_stretches(texts, groups, seed=seed).across.value for seed in range(6)}
    assert len(draws) > 1


def test_equal_texts_share_all_of_themselves():
    texts, groups = [list(range(20))] * 20, [f"p{i % 10}" for i in range(20)]
    found = common_stretches(texts, groups)
    assert (found.within.value, found.within.low, found.across.high) == (20, 20, 20)
    assert found.shared == (Stretch(tuple(range(20)), 20, 20, 10),)
    cut = common_stretches(texts, groups, length=8)
    assert (cut.within.value, cut.shared[0].ids) == (8, tuple(range(8)))


def test_many_pairs_are_drawn(monkeypatch):
    texts, groups = noise(3, 60, 12, vocabulary=3), ["a"] * 40 + ["b"] * 20
    whole = common_stretches(texts, groups)
    monkeypatch.setattr(stretches, "MOST_PAIRS", 400)
    some = common_stretches(texts, groups)
    assert some.within.value == pytest.approx(whole.within.value, abs=0.3)
    assert some.within.value != whole.within.value


# -- what most texts share -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("vocabulary", "shortest"), [(2, 3), (3, 1), (8, 2)])
def test_shared_stretches_equal_those_counted_by_hand(vocabulary, shortest):
    rng = np.random.default_rng(vocabulary)
    for _ in range(8):
        texts = [rng.integers(0, vocabulary, size).tolist() for size in rng.integers(1, 14, 9)]
        found = shared_stretches(texts, np.arange(9) // 3, shortest)
        assert {each.ids: each.texts for each in found} == shared_by_hand(texts, shortest)
        assert len(found) == len({each.ids for each in found})
        covered = [each.texts * len(each.ids) for each in found]
        assert covered == sorted(covered, reverse=True)


def test_a_planted_stretch_is_found_with_its_counts_and_chance_gives_none():
    texts, groups = noise(4), [f"p{i // 4}" for i in range(40)]
    assert common_stretches(texts, groups).shared == ()
    for i in (0, 1, 5, 21, 22, 23, 39):
        texts[i][i % 20 : i % 20 + len(PHRASE)] = PHRASE
    texts[30][:6] = PHRASE[:6]  # one more text holds most of it
    found = common_stretches(texts, groups).shared
    assert found == (Stretch(PHRASE, 7, 40, 4),)  # what overlaps with it and covers less is not listed
    assert Stretch(PHRASE[:6], 8, 40, 5) in shared_stretches(texts, np.arange(40) // 4, 6)


def test_a_text_that_repeats_itself_counts_once():
    texts = [[1, 2, 3, 1, 2, 3, 1, 2, 3], [4, 1, 2, 3], [5, 5, 5]]
    assert shared_stretches(texts, np.array([0, 1, 2]), 3) == [Stretch((1, 2, 3), 2, 3, 2)]
    assert shared_stretches(texts[2:], np.array([0]), 1) == []


def test_every_pair_holds_the_longest_that_the_whole_shares():
    """An invariant that ties the two measures together."""
    texts = noise(5, 8, 20, vocabulary=3)
    longest = max(longest_common([a], [b])[0] for a, b in combinations(texts, 2))
    assert max(len(each.ids) for each in shared_stretches(texts, np.zeros(8, dtype=int), 1)) == longest


# -- what cannot be measured ---------------------------------------------------------------------------------------


def test_empty_texts_are_left_out_and_few_are_said():
    found = common_stretches([[1, 2], [], [1, 2], []], ["a", "a", "a", "b"], shortest=2)
    assert (found.left_out, found.within.value, found.within.n) == (2, 2.0, 1)
    assert np.isnan(found.across.value)  # no other group has a text
    for texts in ([], [[]], [[1, 2, 3]]):
        none = common_stretches(texts, ["a"] * len(texts))
        assert np.isnan(none.within.value)
        assert (none.within.n, none.shared) == (0, ())


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"^groups: expected one for each of 2 texts, got 1\.$"):
        common_stretches([[1], [2]], ["a"])
    with pytest.raises(InputError, match=r"^shortest: expected at least 1 token, got 0\.$"):
        common_stretches([[1], [2]], ["a", "a"], shortest=0)
