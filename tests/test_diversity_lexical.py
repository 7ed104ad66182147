"""Lexical measures: worked by hand, against sacrebleu and zlib, and at their extremes."""

import math
import zlib

import numpy as np
import pytest
import sacrebleu

from creativity_lens.diversity import (
    compression_ratio,
    distinct_n,
    ead,
    self_bleu,
    self_bleu_scores,
    self_repetition,
    semantic_spread,
)
from creativity_lens.diversity.words import spaced
from creativity_lens.errors import InputError

CATS = ["the cat sat", "the cat ran"]
ODD = [
    "",
    "a",
    "a b",
    "zzz",
    "Wait -- what?! (No.)",
    "caf\u00e9, caf\u00e9; \u6d77\u306f\u5e83\u3044\u3002",
    "3.5 % of $10,000",
    "  led ",
]


def random_texts(n, seed=0, words=300, longest=30):
    random = np.random.default_rng(seed)
    names = [f"w{i}" for i in range(words)]
    chances = 1 / np.arange(1, words + 1)
    chances /= chances.sum()
    return [" ".join(random.choice(names, size=random.integers(0, longest), p=chances)) + "." for _ in range(n)]


def test_distinct_by_hand():
    assert distinct_n(CATS, 1) == 4 / 6
    assert distinct_n(CATS, 2) == 3 / 4
    assert distinct_n(CATS, 3) == 1
    assert math.isnan(distinct_n(CATS, 4))
    assert distinct_n(["a b", "b a"], 2) == 1, "no n-gram across a border: 'b b' would be a third"
    assert distinct_n(["b b a", "a b b"], 2) == 3 / 4
    assert math.isnan(distinct_n([], 1))
    with pytest.raises(InputError, match="1 word or more"):
        distinct_n(CATS, 0)


@pytest.mark.parametrize("copies", [1, 2, 7])
def test_copies_divide_distinct(copies):
    assert distinct_n(["the cat sat on a mat"] * copies, 2) == pytest.approx(1 / copies)


def test_ead_by_hand():
    assert ead(CATS, 10) == pytest.approx(4 / (10 * (1 - 0.9**6)), rel=1e-12)
    assert ead(CATS, 4) == pytest.approx(4 / (4 * (1 - 0.75**6)), rel=1e-12)
    assert ead(CATS) == ead(CATS, 4)
    assert ead(["a a a"], 1) == 1
    assert math.isnan(ead(["", ""], 5))
    assert math.isnan(ead(["", ""]))
    assert ead(CATS, 10**9) == pytest.approx(4 / 6, rel=1e-6), "a boundless vocabulary: distinct-1"


def test_ead_does_not_fall_with_length_where_distinct_does():
    random = np.random.default_rng(0)
    short, long = ([" ".join(str(i) for i in random.integers(0, 500, size=n)) for _ in range(5)] for n in (40, 400))
    assert distinct_n(long, 1) < 0.5 * distinct_n(short, 1)
    assert ead(short, 500) == pytest.approx(1, abs=0.05)
    assert ead(long, 500) == pytest.approx(1, abs=0.05)


def test_compression_against_zlib():
    texts = random_texts(20)
    data = "\n".join(sorted(texts)).encode()
    stream = zlib.compress(data)[2:-4]  # without zlib's header and check sum
    assert compression_ratio(texts) == len(data) / len(stream)
    assert zlib.decompress(stream, -15) == data
    assert compression_ratio(texts[::-1]) == compression_ratio(texts)
    assert compression_ratio(texts[:5] * 4) > 2 * compression_ratio(texts)
    assert math.isnan(compression_ratio([]))
    assert math.isnan(compression_ratio(["", ""]))
    assert compression_ratio(["\u6d77"]) < 1, "bytes, not letters: nothing to gain in three of them"


def test_self_repetition_by_hand():
    texts = ["a b c d e", "a b c d f", "x y z v w"]
    assert self_repetition(texts) == pytest.approx((math.log(2) + math.log(2) + 0) / 3)
    assert self_repetition(texts, 1) == pytest.approx((2 * math.log(5) + 0) / 3)
    # a text's own repetitions do not count, nor does the number of times that another has it
    assert self_repetition(["a b a b", "a b c"], 2) == pytest.approx(math.log(2))
    same = ["one two three four five six"] * 4
    assert self_repetition(same) == pytest.approx(math.log(1 + 3 * 3)), "3 different 4-grams, 3 other texts"
    assert math.isnan(self_repetition(same[:1]))
    assert math.isnan(self_repetition(["too short", "too short"])), "no 4-gram: not measured, rather than 0"


def test_self_bleu_by_hand():
    # precisions 3/4, 2/3, 1/2, and 1/2 for the order without a match
    assert self_bleu(["a b c d", "a b c e"]) == pytest.approx(100 * (3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** 0.25)
    # counts are clipped by the most that one reference has: "a" 1 of 2; the nearest length has 2, so no penalty
    assert self_bleu_scores(["a a", "a b", "a c d e"])[0] == pytest.approx(100 * (1 / 2 * 1 / 2) ** 0.5)
    # shorter than every reference: exp(1 - 4 / 2)
    assert self_bleu_scores(["a b", "a b c d", "x y z w"])[0] == pytest.approx(100 * math.exp(-1))
    assert self_bleu(["the cat sat on the mat"] * 3) == pytest.approx(100)
    assert self_bleu(["a b c d", "e f g h"]) == 0
    assert math.isnan(self_bleu(["alone"]))
    assert math.isnan(self_bleu([]))


@pytest.mark.parametrize("seed", range(3))
def test_self_bleu_is_sacrebleus(seed):
    texts = random_texts(40, seed) + ODD + ["The cat sat.", "The cat sat."]
    found = self_bleu_scores(texts)
    for place, text in enumerate(texts):
        others = [spaced(other) for other in texts[:place] + texts[place + 1 :]]
        assert found[place] == pytest.approx(sacrebleu.sentence_bleu(spaced(text), others).score, abs=1e-6)


def test_letters_without_spaces_are_words_to_self_bleu():
    first, second = "\u6d77\u306f\u5e83\u3044\u3068\u601d\u3046", "\u6d77\u306f\u5e83\u3044\u3068\u8a00\u3046"
    assert self_bleu([first, second]) > 30
    assert sacrebleu.sentence_bleu(first, [second]).score == 0, "the control: 13a takes a sentence for one word"


@pytest.mark.parametrize(
    "measure", [lambda texts: distinct_n(texts, 2), ead, compression_ratio, self_repetition, self_bleu]
)
def test_order_does_not_matter(measure):
    texts = random_texts(30) + ODD
    order = np.random.default_rng(1).permutation(len(texts))
    assert measure([texts[i] for i in order]) == pytest.approx(measure(texts), rel=1e-12)


def test_lexical_variety_is_not_semantic_variety():
    """Two kinds of texts told in many words: every lexical measure rises while meaning does not."""
    few, many = random_texts(30, words=20), random_texts(30, words=3000)
    assert distinct_n(many, 2) > distinct_n(few, 2)
    assert self_bleu(many) < self_bleu(few)
    assert compression_ratio(many) < compression_ratio(few)
    same = np.tile([1.0, 0.0], (30, 1))
    assert semantic_spread(same) == 0
