"""Self-BLEU: how much each text says what the others say, in sacrebleu's definition, for all texts at once.

The score of a text is what `sacrebleu.sentence_bleu(text, others)` gives with its defaults: all other texts of the set
as references, orders 1 to 4, counts clipped by the largest count in any one reference, precision 0 replaced by
1 / (2^k total) for the k-th order without a match ("exp" smoothing), orders for which the text is too short left out
(effective order), brevity penalty against the reference whose length is nearest (the shorter of two), tokenizer 13a,
case kept, 0 to 100. Letters of scripts without spaces get spaces around them first, since 13a would take a whole
sentence for one word; other texts reach it as they are.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from creativity_lens.diversity.grams import (
    SetGrams,
    Sets,
    gram_tables,
    in_sets,
    largest_elsewhere,
    mean_by_set,
    one_set,
    sum_by_place,
)
from creativity_lens.diversity.words import Words, numbered_words, spaced

HIGHEST = 4  # order of n-grams


def self_bleu(texts: Sequence[str]) -> float:
    """Mean over texts of the BLEU of each against all others, 0 to 100; NaN below 2 texts.

    0 when no text shares a word with another, 100 when each has a twin (and 4 words or more or less). It grows with the
    number of texts: only equal numbers compare.
    Source: Zhu et al. 2018, Texygen; BLEU as in sacrebleu (Post 2018).

    >>> self_bleu(["the cat sat on the mat"] * 3)
    100.0...
    """
    scores = self_bleu_scores(texts)
    return float(scores.mean()) if len(scores) > 1 else float("nan")


def self_bleu_scores(texts: Sequence[str]) -> Float[np.ndarray, " text"]:
    """The BLEU of each text against all others; NaN where there are none."""
    one = one_set(len(texts))
    orders = [in_sets(table, one) for table in gram_tables(bleu_words(texts), HIGHEST)]
    return bleu_scores(orders, one.everyone)


def bleu_words(texts: Sequence[str]) -> Words:
    """sacrebleu's tokens of the texts, as numbers."""
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    split = Tokenizer13a()
    return numbered_words([split(spaced(text).rstrip()).split() for text in texts])


def self_bleu_of(orders: Sequence[SetGrams], kept: Bool[np.ndarray, " place"]) -> Float[np.ndarray, " set"]:
    """`self_bleu` of each set, from its tables of orders 1 to 4."""
    return mean_by_set(orders[0].sets, np.nan_to_num(bleu_scores(orders, kept)[kept]), kept)


def bleu_scores(orders: Sequence[SetGrams], kept: Bool[np.ndarray, " place"]) -> Float[np.ndarray, " place"]:
    """The BLEU of each kept place against the other kept places of its set; NaN for the rest."""
    sets, lengths = orders[0].sets, orders[0].totals
    matches = np.stack([
        sum_by_place(table, np.minimum(table.count, largest_elsewhere(table, kept))) for table in orders
    ])  # fmt: skip
    totals = np.stack([table.totals for table in orders]).astype(float)  # [order, place]
    known = totals > 0
    missed = known & (matches == 0)
    halved = np.cumsum(missed, axis=0)  # every further order without a match counts half as much as the last
    shares = np.divide(np.where(missed, 0.5**halved, matches), totals, out=np.ones_like(totals), where=known)
    means = np.log(shares).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    nearest = _nearest_length(lengths, sets, kept)
    penalty = np.minimum(0.0, 1 - nearest / np.maximum(lengths, 1))
    scores = np.where(matches.any(axis=0), 100 * np.exp(penalty + means), 0.0)
    return np.where(np.isfinite(nearest), scores, np.nan)


def _nearest_length(
    lengths: Int[np.ndarray, " place"], sets: Sets, kept: Bool[np.ndarray, " place"]
) -> Float[np.ndarray, " place"]:
    """The length nearest to each text's among the others of its set, the shorter of two; NaN where there is none.

    In a set sorted by length the nearest stands beside it.
    """
    found = np.full(len(lengths), np.nan)
    rows = np.flatnonzero(kept)
    rows = rows[np.lexsort((lengths[rows], sets.member[rows]))]
    own = lengths[rows].astype(float)
    same = sets.member[rows][1:] == sets.member[rows][:-1]
    shorter, longer = np.full(len(rows), -np.inf), np.full(len(rows), np.inf)
    shorter[1:][same] = own[:-1][same]
    longer[:-1][same] = own[1:][same]
    nearest = np.where(own - shorter <= longer - own, shorter, longer)
    found[rows] = np.where(np.isfinite(nearest), nearest, np.nan)
    return found
