"""What is wrong with the wording of pairs whatever they are about: doubles, markup, placeholders, other languages."""

import difflib
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

from creativity_lens.prompts import ContrastivePair
from creativity_lens.text_features import known_share, words_of

ALIKE = 0.5  # Jaccard of character 5-grams beyond which two texts are near-duplicates
EQUAL = 1 - 1e-9
BLOCK = 512  # texts compared with all others at a time: every two share some grams, so memory grows with both
FEWEST_WORDS = 8  # below it only equal texts are duplicates
READABLE = 0.85  # share of words that an English lexicon knows
OFTEN, SELDOM = 0.08, 0.02  # a word in more texts of one side than OFTEN and in fewer of the other than SELDOM

_SPOILED = {
    "markup": re.compile(
        r"</?[a-z][^>]*>|^\s{0,3}#{1,6} |\*\*|__|```|^\s*[-*+•] |^\s*\d+[.)] |\[[^\]]*\]\(|&[a-z]+;|\\[a-z]+\{",
        re.I | re.M,
    ),
    "placeholder": re.compile(
        r"\[[^\]]*\]|\{[^}]*\}|<[a-z][^>]*>|\bX{2,}\b|\bTODO\b|\bTBD\b|lorem ipsum|_{3,}|\binsert \w+ here\b", re.I
    ),
}
_INSTRUCTIONS = ("neutral", "creative", "boring")
_RESPONSES = ("creative_response", "boring_response")


def near_duplicates(pairs: Sequence[ContrastivePair]) -> list[tuple[float, str, str]]:
    """(Jaccard of character 5-grams, id, id) of different pairs of which two responses, or two instructions, are alike.

    The two sides of one pair may be alike by design and are not compared. Case, spaces and punctuation do not count.
    Texts of fewer than eight words ("Write about the box.") share most of their letters anyway: they must be equal.
    """
    found: dict[tuple[str, str], float] = {}
    for fields in (_RESPONSES, _INSTRUCTIONS):
        texts = [" ".join(words_of(getattr(pair, field))) for pair in pairs for field in fields]
        owner = np.repeat(np.arange(len(pairs)), len(fields))
        counts = CountVectorizer(analyzer=_five_grams, binary=True).fit_transform(texts)
        size = np.asarray(counts.sum(axis=1)).ravel()
        short = np.array([len(text.split()) < FEWEST_WORDS for text in texts])
        for start in range(0, len(texts), BLOCK):
            shared = (counts[start : start + BLOCK] @ counts.T).tocoo()
            row, column = shared.row + start, shared.col
            jaccard = shared.data / (size[row] + size[column] - shared.data)
            limit = np.where(short[row] | short[column], EQUAL, ALIKE)
            kept = (owner[row] < owner[column]) & (jaccard > limit)
            for one, other, value in zip(row[kept], column[kept], jaccard[kept], strict=True):
                key = (pairs[owner[one]].id, pairs[owner[other]].id)
                found[key] = max(found.get(key, 0.0), float(value))
    return sorted(((value, *ids) for ids, value in found.items()), reverse=True)


def spoiled(pairs: Sequence[ContrastivePair]) -> dict[str, list[str]]:
    """Where a text holds markup or a placeholder: "id, field: what was found"."""
    return {
        name: [
            f"{pair.id}, {field}: {found[0].strip()!r}"
            for pair in pairs
            for field in (*_INSTRUCTIONS, *_RESPONSES)
            if (found := pattern.search(getattr(pair, field)))
        ]
        for name, pattern in _SPOILED.items()
    }


def unreadable(pairs: Sequence[ContrastivePair]) -> list[str]:
    """Responses of which an English lexicon knows too few words: "id, field: share"."""
    return [
        f"{pair.id}, {field}: {share:.2f} of the words"
        for pair in pairs
        for field in _RESPONSES
        if not (share := known_share(getattr(pair, field))) >= READABLE
    ]


def lopsided_words(pairs: Sequence[ContrastivePair]) -> list[tuple[str, float, float]]:
    """(word, share of creative responses with it, share of boring ones): frequent on one side and rare on the other.

    Stop words (scikit-learn's list) are left aside.
    """
    found = []
    creative, boring = (_text_shares([getattr(pair, field) for pair in pairs]) for field in _RESPONSES)
    for word in sorted(set(creative) | set(boring)):
        one, other = creative.get(word, 0.0), boring.get(word, 0.0)
        if max(one, other) > OFTEN and min(one, other) < SELDOM and word not in ENGLISH_STOP_WORDS:
            found.append((word, one, other))
    return sorted(found, key=lambda row: -abs(row[1] - row[2]))


def manner_wordings(pairs: Sequence[ContrastivePair], side: str) -> dict[str, set[str]]:
    """The wordings by which `manner` instructions name their side, with the splits that each is used in.

    A wording is what an instruction adds to its neutral one, in lower case.
    """
    used: dict[str, set[str]] = {}
    for pair in pairs:
        if pair.kind == "manner":
            used.setdefault(_added(pair.neutral, getattr(pair, side)), set()).add(pair.split or "")
    return used


def _five_grams(text: str) -> list[str]:
    return [text[i : i + 5] for i in range(max(1, len(text) - 4))]


def _added(neutral: str, instruction: str) -> str:
    before, after = words_of(neutral), words_of(instruction)
    steps = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return " ".join(" ".join(after[start:end]) for step, _, _, start, end in steps if step in ("insert", "replace"))


def _text_shares(texts: Sequence[str]) -> dict[str, float]:
    """Word -> share of the texts that have it."""
    counts = Counter(word for text in texts for word in set(words_of(text)))
    return {word: count / len(texts) for word, count in counts.items()}
