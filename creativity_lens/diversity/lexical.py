"""Lexical diversity of one set of texts: distinct n-grams, EAD, compression ratio, self-repetition.

All of them depend on the length and the number of the texts, and only EAD corrects for the length in part: compare sets
of equal number and equal length (`measure_diversity` sees to it). Words are those of `words.tokens_of`. Nothing is
rounded.

Where the `diversity` package (Shaib et al. 2024), which cannot be installed beside TransformerLens 4, differs, in the
versions looked at: it splits at white space; its n-gram diversity adds the shares of all orders up to n, over the
joined texts, so that n-grams reach across their borders; its compression ratio is of texts joined by a space, and by
gzip, with header and trailer, in some versions twice over; its self-repetition is the one here, of its words; its
homogenization score (ROUGE-L, BERTScore or BLEU of one text against one other, over pairs, in some versions rounded to
3 digits) is no self-BLEU, which holds each text against all others at once.
"""

import zlib
from collections.abc import Sequence
from itertools import islice

import numpy as np
from jaxtyping import Bool, Float, Int

from creativity_lens.diversity.grams import (
    SetGrams,
    Sets,
    all_of,
    different,
    gram_tables,
    holders,
    in_sets,
    mean_by_set,
    one_set,
    sum_by_place,
)
from creativity_lens.diversity.words import numbered_words, tokens_of
from creativity_lens.errors import InputError

SEPARATOR = "\n"  # between texts that are compressed together
LEVEL = 6  # of deflate; 9 finds 0.5 % more in prose, and takes six times as long where words are all alike
REPEATED = 4  # words of the n-grams of self-repetition


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Share of the texts' n-grams that are different: unique / all, within texts; NaN without n-grams.

    1 when no n-gram stands twice; m equal texts have 1/m of what one has.
    Source: Li et al. 2016, A Diversity-Promoting Objective Function for Neural Conversation Models.

    >>> distinct_n(["the cat sat", "the cat ran"], 2)  # the cat, cat sat, the cat, cat ran
    0.75
    """
    table = _table(texts, n)
    return float(distinct_of(table, table.sets.everyone)[0])


def ead(texts: Sequence[str], vocabulary: int | None = None) -> float:
    """Expectation-adjusted distinct: unique words / the number expected of as many random ones; NaN without words.

    U / (V (1 - ((V-1)/V)^C)), with U different words among C, and V words in the vocabulary; V is the number of
    different words of all texts that are compared (of these texts by default, which is of little use: give it). About
    1 for words drawn evenly from the vocabulary, U/V for very long texts; it may be above 1.
    Source: Liu et al. 2022, Rethinking and Refining the Distinct Metric.

    >>> ead(["the cat sat", "the cat ran"], vocabulary=4)  # 4 / (4 (1 - 0.75^6))
    1.216...
    """
    table = _table(texts, 1)
    kept = table.sets.everyone
    return float(ead_of(table, kept, int(different(table, kept)[0]) if vocabulary is None else vocabulary)[0])


def compression_ratio(texts: Sequence[str]) -> float:
    """Bytes of the texts, joined by line ends, for each byte of them deflated once; NaN without text.

    The more alike, the larger: 1 and less for noise, above 1,000 for one sign said over and over. Bytes are UTF-8;
    deflate is raw (no header), at zlib's own level 6, and looks back 32 KB at most. The texts are sorted first, so
    that their order does not matter.

    >>> compression_ratio(["ab " * 100] * 10) > 50
    True
    """
    data = SEPARATOR.join(sorted(texts)).encode("utf-8", "surrogatepass")
    if not any(texts):
        return float("nan")
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return len(data) / (len(packer.compress(data)) + len(packer.flush()))


def self_repetition(texts: Sequence[str], n: int = REPEATED) -> float:
    """Mean over texts of log(1 + number of times that one of its n-grams stands in another text); NaN below 2 texts.

    For each different n-gram of a text, the other texts that hold it are counted, the counts are added up, 1 is added,
    and the natural logarithm taken: 0 when no two texts share an n-gram, log(1 + k (m-1)) when m texts are the same
    and have k different n-grams each. Source: Salkar et al. 2022, Self-Repetition in Abstractive Neural Summarizers.

    >>> self_repetition(["a b c d e", "a b c d f", "x y z v w"])  # (log 2 + log 2 + log 1) / 3
    0.462...
    """
    table = _table(texts, n)
    return float(self_repetition_of(table, table.sets.everyone)[0])


def distinct_of(table: SetGrams, kept: Bool[np.ndarray, " place"]) -> Float[np.ndarray, " set"]:
    """`distinct_n` of each set."""
    return _ratio(different(table, kept), all_of(table, kept))


def ead_of(table: SetGrams, kept: Bool[np.ndarray, " place"], vocabulary: int) -> Float[np.ndarray, " set"]:
    """`ead` of each set, from its table of single words."""
    if vocabulary < 1:
        return np.full(table.sets.number, np.nan)
    words = all_of(table, kept).astype(float)
    if vocabulary == 1:
        return _ratio(different(table, kept), np.minimum(words, 1))
    return _ratio(different(table, kept), -vocabulary * np.expm1(words * np.log1p(-1 / vocabulary)))


def self_repetition_of(table: SetGrams, kept: Bool[np.ndarray, " place"]) -> Float[np.ndarray, " set"]:
    """`self_repetition` of each set."""
    elsewhere = sum_by_place(table, holders(table, kept) - 1)
    means = mean_by_set(table.sets, np.log1p(elsewhere[kept]), kept)
    return np.where(all_of(table, kept) == 0, np.nan, means)


def compression_of(texts: Sequence[str], sets: Sets, kept: Bool[np.ndarray, " place"]) -> Float[np.ndarray, " set"]:
    """`compression_ratio` of each set."""
    inside: list[list[str]] = [[] for _ in range(sets.number)]
    for text, member in zip(sets.text[kept], sets.member[kept], strict=True):
        inside[member].append(texts[text])
    return np.array([compression_ratio(each) for each in inside])


def _table(texts: Sequence[str], n: int) -> SetGrams:
    """The table of one set that holds all the texts."""
    if n < 1:
        raise InputError(f"n: expected n-grams of 1 word or more, got {n}; give a larger one.")
    words = numbered_words([tokens_of(text) for text in texts])
    return in_sets(next(islice(gram_tables(words, n), n - 1, None)), one_set(len(texts)))


def _ratio(
    part: Int[np.ndarray, " set"], whole: Int[np.ndarray, " set"] | Float[np.ndarray, " set"]
) -> Float[np.ndarray, " set"]:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
