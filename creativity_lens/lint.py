"""The linter of a file of contrastive pairs: does anything but the concept tell its two sides apart?

What is measured as an AUC has an interval over topics. Over all pairs the far end of the interval must be within the
limit; in a single split only a value that is beyond it for certain fails (Holm's step-down over splits and checks),
since two dozen pairs cannot tell 0.62 from 0.5. Everything else is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from creativity_lens.leaks import Columns, beyond, character_scores, feature_columns, word_scores
from creativity_lens.progress import track
from creativity_lens.prompts import SPLITS, ContrastivePair, split_pairs
from creativity_lens.statistics import FEWEST, LEVEL, Estimate, auc_interval
from creativity_lens.text_features import FEATURES, words_of
from creativity_lens.wording import lopsided_words, manner_wordings, near_duplicates, spoiled, unreadable

ALL = "all"
MEDIAN_RATIO = (0.9, 1.1)  # creative / boring, words
EVERY_RATIO = (0.75, 1.33)
WORDS_OF_INSTRUCTIONS = (0.0, 0.65)  # AUC of the bag of words
WORDS_OF_RESPONSES = (0.0, 0.70)
ONE_FEATURE = (0.38, 0.62)  # AUC of one feature, either way
FEWEST_WORDINGS = 25

Limit = tuple[float, float]


@dataclass(frozen=True)
class Finding:
    """One check: its values by part ("all", "train", "dev", "test"), its limit, and where it is passed.

    `limit` is None for what is only reported. `failing` names the parts beyond the limit; `details` what to mend.
    """

    check: str
    values: dict[str, Estimate]
    limit: Limit | None = None
    failing: tuple[str, ...] = ()
    details: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether no part is beyond the limit."""
        return not self.failing

    def row(self) -> dict[str, Any]:
        """The finding as JSON values; NaN becomes None."""
        return {
            "check": self.check,
            "limit": self.limit,
            "passed": self.passed if self.limit else None,
            "failing": self.failing,
            "details": self.details,
            "values": {
                part: {"value": _json(e.value), "low": _json(e.low), "high": _json(e.high), "n": e.n}
                for part, e in self.values.items()
            },
        }


def lint_pairs(pairs: Sequence[ContrastivePair], *, seed: int = 0) -> list[Finding]:
    """Every check on a set of pairs: form first, then what gives a side away.

    Splits are those of `split_pairs`. Raises `InputError` for pairs that cannot be split, or without textblob.

    >>> all(finding.passed for finding in lint_pairs(load_pairs()))
    True
    """
    return [*lint_form(pairs), *lint_leaks(pairs, seed=seed)]


def lint_form(pairs: Sequence[ContrastivePair]) -> list[Finding]:
    """What must hold of any pairs: lengths, no doubles, readable English without markup, topics and wordings apart."""
    differ = [pair for pair in pairs if pair.creative_response != pair.boring_response]
    ratios = {pair.id: _length(pair.creative_response) / max(1, _length(pair.boring_response)) for pair in differ}
    sizes = [_length(text) for pair in differ for text in (pair.creative_response, pair.boring_response)]
    uneven = [f"{name}: {ratio:.2f}" for name, ratio in ratios.items() if not _within(ratio, EVERY_RATIO)]
    found = [_median_ratio(differ), _count("pairs with a length ratio outside 0.75 to 1.33", uneven, len(pairs))]
    if sizes:
        found.append(Finding("shortest response, words", {ALL: _number(min(sizes), len(sizes))}))
        found.append(Finding("longest response, words", {ALL: _number(max(sizes), len(sizes))}))
    alike = [f"{one} and {other}: {value:.2f}" for value, one, other in near_duplicates(pairs)]
    found.append(_count("near-duplicates between pairs", alike, len(pairs)))
    found.append(_count("topics in two splits", _divided_topics(pairs), len({pair.topic for pair in pairs})))
    for what, places in spoiled(pairs).items():
        found.append(_count(f"texts with {'a ' if what == 'placeholder' else ''}{what}", places, 5 * len(pairs)))
    found.append(_count("responses that are not readable English", unreadable(pairs), 2 * len(pairs)))
    return [*found, *_wordings(pairs)]


def lint_leaks(pairs: Sequence[ContrastivePair], *, seed: int = 0) -> list[Finding]:
    """What could tell the sides apart without the concept: bags of words, single features, lopsided words."""
    by_part = dict(zip(SPLITS, split_pairs(pairs, seed=seed), strict=True))
    split_of = {pair.id: split for split, part in by_part.items() for pair in part}
    of_kind = {kind: [pair for pair in pairs if pair.kind == kind] for kind in ("premise", "manner")}
    texts_of = (
        ("premise instructions", WORDS_OF_INSTRUCTIONS, of_kind["premise"], ("creative", "boring")),
        ("manner instructions", None, of_kind["manner"], ("creative", "boring")),
        ("responses", WORDS_OF_RESPONSES, list(pairs), ("creative_response", "boring_response")),
    )
    measured: list[tuple[str, Limit | None, dict[str, Estimate]]] = []
    with track("linting", 5 + len(FEATURES), unit="checks") as advance:

        def measure(check: str, limit: Limit | None, of: Sequence[ContrastivePair], columns: Columns) -> None:
            measured.append((check, limit, _by_part(of, columns, split_of)))
            advance(1)

        for name, limit, of, fields in texts_of:
            of = [pair for pair in of if getattr(pair, fields[0]) != getattr(pair, fields[1])]
            if len({pair.topic for pair in of}) < FEWEST:
                continue
            texts = ([getattr(pair, fields[0]) for pair in of], [getattr(pair, fields[1]) for pair in of])
            measure(f"bag of words, {name}", limit, of, word_scores(of, texts))
            if limit is not None:
                measure(f"character n-grams, {name}", None, of, character_scores(of, texts))
            if name == "responses":
                for feature, columns in feature_columns(texts).items():
                    measure(feature, ONE_FEATURE, of, columns)
    return [*_judged(measured), _lopsided(pairs)]


def _judged(measured: Sequence[tuple[str, Limit | None, dict[str, Estimate]]]) -> list[Finding]:
    """All pairs by the far end of the interval, the splits together by Holm."""
    tried = [(check, split) for check, limit, values in measured if limit for split in values if split != ALL]
    limits = {check: limit for check, limit, _ in measured if limit}
    values_of = {check: values for check, _, values in measured}
    out = beyond([(values_of[check][split], *limits[check]) for check, split in tried])
    surely = {place for place, is_beyond in zip(tried, out, strict=True) if is_beyond}
    findings = []
    for check, limit, values in measured:
        failing = [part for part in values if (check, part) in surely]
        whole = values[ALL]
        ends = (whole.low, whole.high) if whole.has_interval else (whole.value, whole.value)
        if limit and not all(_within(end, limit) for end in ends):
            failing.insert(0, ALL)
        exempt = ("reported only: such instructions name their side",) if check.endswith("manner instructions") else ()
        findings.append(Finding(check, values, limit, tuple(failing), exempt))
    return findings


def _by_part(of: Sequence[ContrastivePair], columns: Columns, split_of: dict[str, str]) -> dict[str, Estimate]:
    values = {}
    for part in (ALL, *SPLITS):
        kept = [i for i, pair in enumerate(of) if part == ALL or split_of[pair.id] == part]
        if kept:
            values[part] = auc_interval(columns[0][kept], columns[1][kept], [of[i].topic for i in kept])
    return values


def _median_ratio(pairs: Sequence[ContrastivePair]) -> Finding:
    """Median of creative / boring words, with a percentile interval over resampled topics."""
    by_topic: dict[str, list[float]] = {}
    for pair in pairs:
        by_topic.setdefault(pair.topic, []).append(_length(pair.creative_response) / _length(pair.boring_response))
    topics = list(by_topic.values())
    if not topics:
        return Finding(
            "median length ratio", {ALL: Estimate(float("nan"), float("nan"), float("nan"), 0)}, MEDIAN_RATIO
        )
    value, low, high = float(np.median(np.concatenate(topics))), float("nan"), float("nan")
    if len(topics) >= FEWEST:
        random = np.random.default_rng(0)
        drawn = [
            np.median(np.concatenate([topics[i] for i in random.integers(len(topics), size=len(topics))]))
            for _ in range(999)
        ]
        low, high = (float(end) for end in np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    ends = (low, high) if len(topics) >= FEWEST else (value, value)
    failing = () if all(_within(end, MEDIAN_RATIO) for end in ends) else (ALL,)
    return Finding("median length ratio", {ALL: Estimate(value, low, high, len(topics))}, MEDIAN_RATIO, failing)


def _wordings(pairs: Sequence[ContrastivePair]) -> list[Finding]:
    """How many wordings name each side in `manner` instructions, and which of test's are in train too."""
    manner = [pair for pair in pairs if pair.kind == "manner"]
    if not manner:
        return []
    used = {side: manner_wordings(manner, side) for side in ("creative", "boring")}
    fewest = min(len(wordings) for wordings in used.values())
    limit = (float(FEWEST_WORDINGS), float("inf")) if len(manner) >= FEWEST_WORDINGS else None
    few = limit is not None and fewest < FEWEST_WORDINGS
    shared = [
        f"{side}: {text!r}" for side in used for text, splits in used[side].items() if {"train", "test"} <= splits
    ]
    return [
        Finding("different wordings of manner, each side", {ALL: _number(fewest, len(manner))}, limit, (ALL,) * few),
        _count("wordings of manner in train and in test", shared, len(manner)),
    ]


def _divided_topics(pairs: Sequence[ContrastivePair]) -> list[str]:
    """Topics whose pairs lie in two splits; a plural and a change of case are the same topic."""
    splits: dict[str, set[str]] = {}
    for pair in pairs:
        name = " ".join(word.rstrip("s") for word in words_of(pair.topic))
        splits.setdefault(name, set()).add(pair.split or "")
    return [f"{topic}: {', '.join(sorted(found))}" for topic, found in splits.items() if len(found) > 1]


def _lopsided(pairs: Sequence[ContrastivePair]) -> Finding:
    details = [f"{word}: {one:.1%} of creative, {other:.1%} of boring" for word, one, other in lopsided_words(pairs)]
    return _count("words in over 8 % of one side and under 2 % of the other", details, len(pairs))


def _count(check: str, places: Sequence[str], n: int) -> Finding:
    """Something that must not be there at all."""
    return Finding(check, {ALL: _number(len(places), n)}, (0.0, 0.0), (ALL,) * bool(places), tuple(places))


def _number(value: float | int, n: int) -> Estimate:
    return Estimate(float(value), float("nan"), float("nan"), n)


def _length(text: str) -> int:
    return len(words_of(text))


def _within(value: float, limit: Limit) -> bool:
    return bool(limit[0] <= value <= limit[1])


def _json(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
