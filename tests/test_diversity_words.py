"""Words of any language, and tables of n-grams against plain counting."""

from collections import Counter

import numpy as np
import pytest

from creativity_lens.diversity.grams import (
    Sets,
    all_of,
    different,
    gram_tables,
    holders,
    in_sets,
    largest_elsewhere,
    one_set,
)
from creativity_lens.diversity.words import cut, numbered_words, spaced, tokens_of
from creativity_lens.errors import InputError

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't! The well-known Fox ran", ["don't", "!", "the", "well-known", "fox", "ran"]),
        ("it\u2019s", ["it's"]),
        ("- a -b- c_d 3.5", ["-", "a", "-", "b", "-", "c_d", "3", ".", "5"]),
        ("\u6d77\u306f\u5e83\u3044", ["\u6d77", "\u306f", "\u5e83", "\u3044"]),
        ("\u6d77 blue\u6d77", ["\u6d77", "blue", "\u6d77"]),
        ("\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", ["\u0e2a", "\u0e27\u0e31", "\u0e2a", "\u0e14\u0e35"]),
        ("\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e",
         ["\u0928\u092e\u0938\u094d\u0924\u0947", "\u0926\u0941\u0928\u093f\u092f\u093e"]),
        ("\u05e9\u05dc\u05d5\u05dd", ["\u05e9\u05dc\u05d5\u05dd"]),
        ("\u041c\u041e\u0420\u0415 \u043c\u043e\u0440\u0435", ["\u043c\u043e\u0440\u0435"] * 2),
        ("\ud55c\uad6d\uc5b4 \ub9d0", ["\ud55c\uad6d\uc5b4", "\ub9d0"]),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"]),
        (f"hi {FAMILY}\U0001f600", ["hi", FAMILY, "\U0001f600"]),
        ("caf\u00e9 cafe\u0301", ["caf\u00e9", "caf\u00e9"]),
        ("Stra\u00dfe", ["strasse"]),
        (" \t\n\u2028\u200b\u00ad", []),
        ("", []),
    ],
)  # fmt: skip
def test_words(text, words):
    assert tokens_of(text) == words


def test_texts_are_cut_at_words():
    text = "It rains, \u6d77 again."
    for length in range(1, 7):
        assert tokens_of(cut(text, length)) == tokens_of(text)[:length]
    assert cut(text, 3) == "It rains,"
    assert cut(text, 7) is None
    assert cut("", 1) is None
    with pytest.raises(InputError, match="expected 1 or more words, got 0"):
        cut(text, 0)


def test_only_letters_without_spaces_are_spaced():
    assert spaced("\u6d77\u306f blue") == " \u6d77  \u306f  blue"
    for text in ("plain, (as) it is.", "caf\u00e9 \u043c\u043e\u0440\u0435", ""):
        assert spaced(text) == text


def test_tables_count_what_counting_counts():
    random = np.random.default_rng(0)
    texts = [[str(word) for word in random.integers(0, 4, size=n)] for n in (9, 0, 3, 12, 1, 7)]
    places = Sets(np.array([0, 3, 3, 5, 2, 1]), np.array([0, 0, 0, 1, 1, 1]), 2)  # text 3 has two places
    kept = np.array([True, True, True, True, False, True])
    for n, grams in enumerate(gram_tables(numbered_words(texts), 4), start=1):
        plain = [Counter(tuple(text[i : i + n]) for i in range(len(text) - n + 1)) for text in texts]
        table = in_sets(grams, places)
        sets = [[plain[t] for t, m, k in zip(places.text, places.member, kept, strict=True) if m == s and k]
                for s in (0, 1)]  # fmt: skip
        assert different(table, kept).tolist() == [len(set().union(*each)) for each in sets]
        assert all_of(table, kept).tolist() == [sum(one.total() for one in each) for each in sets]
        assert grams.totals.tolist() == [one.total() for one in plain]
        # whatever the numbers of the n-grams, as many rows with the same counts come out
        found = sorted(zip(table.place.tolist(), table.count.tolist(), holders(table, kept).tolist(),
                           largest_elsewhere(table, kept).tolist(), strict=True))  # fmt: skip
        expected = []
        for place, (text, member) in enumerate(zip(places.text, places.member, strict=True)):
            others = [plain[t] for p, (t, m) in enumerate(zip(places.text, places.member, strict=True))
                      if m == member and kept[p] and p != place]  # fmt: skip
            for gram, count in plain[text].items():
                held = sum(gram in other for other in others)
                most = max((other[gram] for other in others), default=0)
                if kept[place]:
                    expected.append((place, count, held + 1, most))
        assert [row for row in found if kept[row[0]]] == sorted(expected)


def test_tables_of_nothing():
    for texts in ([], [[]], [["a"]]):
        for grams in gram_tables(numbered_words(texts), 4):
            table = in_sets(grams, one_set(len(texts)))
            assert all_of(table, table.sets.everyone).shape == (1,)
            assert largest_elsewhere(table, table.sets.everyone).sum() == 0
