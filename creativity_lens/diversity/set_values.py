"""Every measure of every set, with all of its texts or with some left out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from creativity_lens.diversity.clusters import (
    FEWEST_DENSE,
    MOST,
    cluster_entropy,
    cluster_sizes,
    labels_in,
    largest_share,
)
from creativity_lens.diversity.grams import Grams, SetGrams, Sets, gram_tables, in_sets
from creativity_lens.diversity.lexical import REPEATED, compression_of, distinct_of, ead_of, self_repetition_of
from creativity_lens.diversity.self_bleu import HIGHEST, bleu_words, self_bleu_of
from creativity_lens.diversity.semantic import classes_by, unit_rows, vendi_of
from creativity_lens.diversity.words import Words

DISTINCT = 4  # highest order of distinct-n
LEXICAL = {
    **{f"distinct-{n}": "share" for n in range(1, DISTINCT + 1)},
    "EAD": "ratio",
    "self-BLEU": "of 100",
    "compression ratio": "ratio",
    "self-repetition": "log count",
}
SEMANTIC = {
    "Vendi score": "texts",
    "clusters": "clusters",
    "cluster entropy": "nats",
    "largest cluster": "share",
    "nearest distance": "cosine distance",
    "equivalence classes": "classes",
}
_OF_CLUSTERS = ("clusters", "cluster entropy", "largest cluster")

Values = dict[str, Float[np.ndarray, " set"]]


@dataclass(frozen=True, eq=False)
class Lexicon:
    """What lexical measures count in, before texts are put in sets."""

    texts: tuple[str, ...]  # cut to the common length; "" for those left out
    words: tuple[Grams, ...]  # n-grams of words, orders 1 to 4
    bleu: tuple[Grams, ...]  # of sacrebleu's tokens
    vocabulary: int


def lexicon_of(texts: Sequence[str], words: Words, vocabulary: int | None) -> Lexicon:
    """Tables of the n-grams of texts."""
    highest = max(DISTINCT, REPEATED)
    return Lexicon(
        tuple(texts), tuple(gram_tables(words, highest)), tuple(gram_tables(bleu_words(texts), HIGHEST)),
        words.vocabulary if vocabulary is None else vocabulary,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class LexicalSets:
    """The same tables for texts in sets, and every lexical measure of each set."""

    lexicon: Lexicon
    sets: Sets
    words: tuple[SetGrams, ...]
    bleu: tuple[SetGrams, ...]

    def values(self, kept: Bool[np.ndarray, " place"]) -> Values:
        """The `LEXICAL` measures of each set, of its kept places."""
        found = {f"distinct-{n}": distinct_of(self.words[n - 1], kept) for n in range(1, DISTINCT + 1)}
        found["EAD"] = ead_of(self.words[0], kept, self.lexicon.vocabulary)
        found["self-BLEU"] = self_bleu_of(self.bleu, kept)
        found["compression ratio"] = compression_of(self.lexicon.texts, self.sets, kept)
        found["self-repetition"] = self_repetition_of(self.words[REPEATED - 1], kept)
        return found


def lexical_sets(lexicon: Lexicon, sets: Sets) -> LexicalSets:
    """Put the texts in sets."""
    words, bleu = (tuple(in_sets(table, sets) for table in tables) for tables in (lexicon.words, lexicon.bleu))
    return LexicalSets(lexicon, sets, words, bleu)


@dataclass(frozen=True)
class Kinds:
    """When two texts count as the same."""

    threshold: float  # cosine distance at which clusters are cut; NaN where none could be found
    similarity: float  # cosine from which on a text is of a class
    method: str  # "average" or "hdbscan"

    def unmeasured(self, measure: str, size: int) -> str:
        """Why a measure of a set of `size` texts has no value; "" where it has one."""
        by_pairs = (*_OF_CLUSTERS, "nearest distance", "equivalence classes")
        if measure in by_pairs and size > MOST:
            return f"sets of more than {MOST:,} texts are not compared pair by pair; give fewer"
        missing = {"equivalence classes": self.similarity, **dict.fromkeys(_OF_CLUSTERS, self.threshold)}
        if not np.isfinite(missing.get(measure, 0.0)):
            return "no threshold: it is found between groups; give one"
        if measure in _OF_CLUSTERS and self.method == "hdbscan" and size < FEWEST_DENSE:
            return f"HDBSCAN needs more than {FEWEST_DENSE - 1} texts in a set, it has {size}"
        return ""


class SemanticSets:
    """The embeddings of texts in sets, and every semantic measure of each set; cosines are computed once a set."""

    def __init__(self, embeddings: Float[np.ndarray, "text dim"], sets: Sets, kinds: Kinds) -> None:
        self.embeddings, self.sets, self.kinds = embeddings, sets, kinds

    def values(self, keeps: Sequence[Bool[np.ndarray, " place"]]) -> list[Values]:
        """The `SEMANTIC` measures of each set, once for each choice of kept places."""
        found: list[Values] = [{name: np.full(self.sets.number, np.nan) for name in SEMANTIC} for _ in keeps]
        ends = np.cumsum(self.sets.sizes(self.sets.everyone))
        for number, places in enumerate(np.split(np.arange(len(self.sets.text)), ends[:-1])):
            rows = unit_rows(self.embeddings[self.sets.text[places]])
            cosines = rows @ rows.T if len(rows) <= MOST else None
            for values, keep in zip(found, keeps, strict=True):
                inside = keep[places]
                some = cosines
                if cosines is not None and not inside.all():
                    some = cosines[np.ix_(inside, inside)]
                for name, value in self._measured(rows[inside], some).items():
                    values[name][number] = value
        return found

    def _measured(
        self, rows: Float[np.ndarray, "text dim"], cosines: Float[np.ndarray, "text text"] | None
    ) -> dict[str, float]:
        found = {"Vendi score": vendi_of(rows, cosines)}
        n = len(rows)
        if cosines is None or n < 2:
            return found
        nearest = np.where(np.eye(n, dtype=bool), -np.inf, cosines).max(axis=1)
        found["nearest distance"] = float(np.maximum(1 - nearest, 0).mean())
        if not self.kinds.unmeasured("equivalence classes", n):
            classes = classes_by(n, lambda place, opened: cosines[place, opened], self.kinds.similarity)
            found["equivalence classes"] = float(classes.max() + 1)
        if not self.kinds.unmeasured("clusters", n):
            labels = labels_in(cosines, self.kinds.threshold, self.kinds.method)
            found["clusters"] = float(len(cluster_sizes(labels)))
            found["cluster entropy"], found["largest cluster"] = cluster_entropy(labels), largest_share(labels)
        return found
