"""Measure the diversity of texts in groups: at one length, one number of texts, within groups and across them.

A group is a prompt with its texts. Pooling all texts would hide that texts on different prompts converge, so every
measure is taken within each group, and over sets that hold one text of each group. Nearly all measures change with the
length and the number of texts, so texts are cut to a common length and measured in sets of a common number.

Semantic spread and the token measures do not depend on the number of texts: they use all texts of the common length,
and groups with 2 of them. Text after text, means over groups have Student's t; measures across groups a delete-a-block
jackknife over groups.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from creativity_lens.diversity.clusters import METHODS
from creativity_lens.diversity.diversity import PRIMARY, TOKENS, UNITS, Diversity, LeftOut
from creativity_lens.diversity.found import Found, missing, noted, over_groups, scores_of, table_of
from creativity_lens.diversity.jackknife import jackknife_interval
from creativity_lens.diversity.semantic import (
    cross_spread,
    cross_spread_without,
    known_rows,
    numbered,
    spread_by,
    threshold_of,
)
from creativity_lens.diversity.set_values import (
    LEXICAL,
    SEMANTIC,
    Kinds,
    Lexicon,
    SemanticSets,
    Values,
    lexical_sets,
    lexicon_of,
)
from creativity_lens.diversity.sets import Arrangement, arrange, default_count, default_length
from creativity_lens.diversity.words import cut, numbered_words, tokens_of
from creativity_lens.errors import InputError, check_choice
from creativity_lens.statistics import FEWEST

_NO_EMBEDDER = "no embedder was given"
_ONE_TEXT = "needs 2 texts of a group"
_ONE_GROUP = "needs 2 groups"


def measure_diversity(
    texts: Sequence[str],
    groups: Sequence[str],
    *,
    embedder: Any = None,
    embeddings: Float[np.ndarray, "text dim"] | None = None,
    tokens: Mapping[str, Any] | None = None,
    length: int | None = None,
    count: int | None = None,
    coherent: Sequence[bool] | Bool[np.ndarray, " text"] | None = None,
    threshold: float | None = None,
    similarity: float | None = None,
    method: str = "average",
    vocabulary: int | None = None,
    seed: int = 0,
) -> Diversity:
    """Every measure of the texts, within groups and across them, of all texts and of the coherent ones alone.

    `embedder` (`load_embedder()`) embeds the texts as they were cut; or `embeddings` are given, one row a text; with
    neither, semantic measures are "not measured". `tokens` holds arrays by measure ("entropy", "truncated entropy",
    "top-k entropy", "surprisal"), an array of values in nats for each text, NaN where there is no token. `coherent`
    says which texts are; without it there is no twin.

    What is left open is chosen so: `length`, the words that 95 % of the texts have (shorter ones are left out);
    `count`, the texts that 90 % of the groups have (`sets.default_count`; groups with more are measured in several
    sets, drawn by the seed, and averaged); `threshold`, the cosine distance at the 1 % point between groups;
    `similarity`, 1 - threshold; `vocabulary` of EAD, the different words of the texts that are measured. To compare
    conditions, give all of them the same `length`, `count`, `threshold` and `vocabulary`, or use `compare_diversity`.

    A measure that the texts cannot carry is NaN with a note. Raises `InputError` for no texts, all of them empty or
    shorter than `length`, columns of different lengths, and numbers out of range.

    >>> found = measure_diversity(texts, prompts, embedder=load_embedder())          # doctest: +SKIP
    >>> found.estimate("semantic spread")                                            # doctest: +SKIP
    """
    _check(texts, embedder, embeddings, length, count, threshold, similarity, method, vocabulary)
    names, group = numbered(groups, len(texts))
    of_each = [tokens_of(text) for text in texts]
    sizes = np.array([len(words) for words in of_each])
    length = _length(sizes, length)
    usable = sizes >= length
    short = [cut(text, length) or "" if use else "" for text, use in zip(texts, usable.tolist(), strict=True)]
    if embedder is not None:
        embeddings = embedder.embed(short)
    unembedded = 0
    if embeddings is not None:
        known = known_rows(_of(embeddings, texts, "embeddings"))
        unembedded = int((usable & ~known).sum())
        usable = usable & known
    mask = None if coherent is None else np.asarray(_of(coherent, texts, "coherent"), dtype=bool)
    count = default_count(group, len(names), usable, mask) if count is None else count
    words = numbered_words([each[:length] if use else [] for each, use in zip(of_each, usable.tolist(), strict=True)])
    lexicon = lexicon_of(short, words, vocabulary)
    kinds = _kinds(embeddings, usable, groups, threshold, similarity, method, seed)
    by_text = _token_means(tokens or {}, texts)
    found: dict[tuple[str, str, str], Found] = {}
    full = np.zeros(len(names), dtype=bool)
    for twin, some in (("all", usable), ("coherent", None if mask is None else usable & mask)):
        if some is None:
            continue
        sets = arrange(group, names, short, some, count, seed=seed)
        full = sets.full if twin == "all" else full
        for (measure, scope), each in _measured(sets, names, lexicon, embeddings, kinds, by_text).items():
            found[measure, scope, twin] = each
    return Diversity(
        tuple(scores_of(found, names)), table_of(found),
        LeftOut(int((sizes == 0).sum()), int(((sizes > 0) & (sizes < length)).sum()), unembedded,
                tuple(name for name, there in zip(names, full, strict=True) if not there)),
        length, count, kinds.threshold, kinds.similarity, lexicon.vocabulary, int(full.sum()), int(usable.sum()),
        "" if embeddings is None else "given" if embedder is None else str(embedder.id), method,
    )  # fmt: skip


def _measured(
    sets: Arrangement,
    names: Sequence[str],
    lexicon: Lexicon,
    embeddings: Float[np.ndarray, "text dim"] | None,
    kinds: Kinds,
    by_text: dict[str, Float[np.ndarray, " text"]],
) -> dict[tuple[str, str], Found]:
    """All measures of one twin, by measure and scope."""
    found = {(PRIMARY, scope): _spread(sets, names, embeddings, scope) for scope in ("within", "across")}
    for scope, measure_all in (("within", _within), ("across", _across)):
        found |= {(name, scope): each for name, each in measure_all(sets, lexicon, embeddings, kinds).items()}
    for name, values in by_text.items():
        kept = sets.usable & np.isfinite(values)
        sums = np.bincount(sets.group[kept], weights=values[kept], minlength=len(names))
        numbers = np.bincount(sets.group[kept], minlength=len(names))
        means = np.divide(sums, numbers, out=np.full(len(names), np.nan), where=numbers > 0)
        found[name, "within"] = over_groups(name, means, "" if kept.any() else "no text has a value")
    return found


def _spread(
    sets: Arrangement, names: Sequence[str], embeddings: Float[np.ndarray, "text dim"] | None, scope: str
) -> Found:
    """Semantic spread, which has the same expectation for any number of texts: all usable ones count."""
    unit = UNITS[PRIMARY]
    if embeddings is None:
        return missing(PRIMARY, _NO_EMBEDDER)
    rows, groups = embeddings[sets.usable], [names[place] for place in sets.group[sets.usable]]
    if scope == "within":
        spreads = spread_by(rows, groups)
        values = np.array([spreads.get(name, np.nan) for name in names])
        return over_groups(PRIMARY, values, "" if np.isfinite(values).any() else _ONE_TEXT)
    value = cross_spread(rows, groups)
    without = cross_spread_without(rows, groups)
    estimate = jackknife_interval(value, without, groups=len(without), unit=unit)
    return Found(estimate, None, noted(estimate, "" if np.isfinite(value) else _ONE_GROUP))


def _within(
    sets: Arrangement, lexicon: Lexicon, embeddings: Float[np.ndarray, "text dim"] | None, kinds: Kinds
) -> dict[str, Found]:
    """Every measure of the sets of each group, averaged over its sets, then over groups."""
    if sets.count < 2 or not sets.within.number:
        why = _ONE_TEXT if sets.count < 2 else f"no group has {sets.count} texts"
        return {name: missing(name, why) for name in (*LEXICAL, *SEMANTIC)}
    everyone = sets.within.everyone
    values = lexical_sets(lexicon, sets.within).values(everyone)
    if embeddings is not None:
        values |= SemanticSets(embeddings, sets.within, kinds).values([everyone])[0]
    weights = np.bincount(sets.within_group, minlength=len(sets.full))
    found = {}
    for name in (*LEXICAL, *SEMANTIC):
        if name not in values:
            found[name] = missing(name, _NO_EMBEDDER)
            continue
        sums = np.bincount(sets.within_group, weights=values[name], minlength=len(sets.full))
        means = np.divide(sums, weights, out=np.full(len(sums), np.nan), where=weights > 0)
        found[name] = over_groups(name, means, _why(name, means, sets.count, kinds))
    return found


def _across(
    sets: Arrangement, lexicon: Lexicon, embeddings: Float[np.ndarray, "text dim"] | None, kinds: Kinds
) -> dict[str, Found]:
    """Every measure of sets that hold one text of each group, averaged over such sets."""
    groups = int(sets.there.sum())
    if groups < 2:
        return {name: missing(name, _ONE_GROUP) for name in (*LEXICAL, *SEMANTIC)}
    keeps = [sets.across.everyone]
    keeps += [sets.without(block) for block in range(sets.blocks if groups >= FEWEST else 0)]
    tables = lexical_sets(lexicon, sets.across)
    values: list[Values] = [tables.values(keep) for keep in keeps]
    if embeddings is not None:
        semantic = SemanticSets(embeddings, sets.across, kinds).values(keeps)
        values = [lexical | meant for lexical, meant in zip(values, semantic, strict=True)]
    found = {}
    for name in (*LEXICAL, *SEMANTIC):
        if name not in values[0]:
            found[name] = missing(name, _NO_EMBEDDER)
            continue
        means = np.array([each[name].mean() for each in values])
        estimate = jackknife_interval(
            float(means[0]), means[1:], groups=groups, in_block=sets.in_block, unit=UNITS[name]
        )
        found[name] = Found(estimate, None, noted(estimate, _why(name, means[:1], groups, kinds)))
    return found


def _why(name: str, values: Float[np.ndarray, " some"], size: int, kinds: Kinds) -> str:
    """Why a measure of sets of `size` texts has no value; "" where it has one."""
    if np.isfinite(values).any():
        return ""
    return kinds.unmeasured(name, size) or "the common length is too short for its n-grams"


def _kinds(
    embeddings: Float[np.ndarray, "text dim"] | None,
    usable: Bool[np.ndarray, " text"],
    groups: Sequence[str],
    threshold: float | None,
    similarity: float | None,
    method: str,
    seed: int,
) -> Kinds:
    if threshold is None and embeddings is not None:
        kept = [groups[place] for place in np.flatnonzero(usable).tolist()]
        threshold = threshold_of(embeddings[usable], kept, seed=seed)
    threshold = float("nan") if threshold is None else threshold
    return Kinds(threshold, 1 - threshold if similarity is None else similarity, method)


def _token_means(tokens: Mapping[str, Any], texts: Sequence[str]) -> dict[str, Float[np.ndarray, " text"]]:
    """The mean of each text's values; NaN for a text without any."""
    found = {}
    for name, values in tokens.items():
        check_choice("tokens", name, TOKENS)
        rows = [np.asarray(row, dtype=float) for row in _of(values, texts, f"tokens: {name}")]
        found[name] = np.array([row[np.isfinite(row)].mean() if np.isfinite(row).any() else np.nan for row in rows])
    return found


def _length(sizes: Int[np.ndarray, " text"], length: int | None) -> int:
    if not sizes.any():
        raise InputError(f"texts: all {len(sizes)} are empty; expected texts with words.")
    length = default_length(sizes) if length is None else length
    if length > sizes.max():
        raise InputError(f"length: no text has {length} words, the longest has {sizes.max()}; give a smaller one.")
    return length


def _of(values: Any, texts: Sequence[str], name: str) -> Any:
    if len(values) != len(texts):
        raise InputError(f"{name}: expected one for each of {len(texts)} texts; got {len(values)}; give them all.")
    return values


def _check(
    texts: Sequence[str],
    embedder: Any,
    embeddings: Any,
    length: int | None,
    count: int | None,
    threshold: float | None,
    similarity: float | None,
    method: str,
    vocabulary: int | None,
) -> None:
    if isinstance(texts, str):
        raise InputError("texts: expected a list of texts, got one string; write [text].")
    if not len(texts):
        raise InputError("texts: expected some, got none.")
    if embedder is not None and embeddings is not None:
        raise InputError("embedder and embeddings: expected one of them, got both; leave one away.")
    for name, number in (("length", length), ("count", count), ("vocabulary", vocabulary)):
        if number is not None and number < 1:
            raise InputError(f"{name}: expected 1 or more, got {number}; give a larger one.")
    for name, value, low, high in (("threshold", threshold, 0, 2), ("similarity", similarity, -1, 1)):
        if value is not None and not low <= value <= high:
            raise InputError(f"{name}: expected a number from {low} to {high}, got {value:g}; give another.")
    check_choice("method", method, METHODS)
