"""Texts as words, in any language: what lexical measures count, and by which texts are cut to a common length.

A word is a run of letters, marks and digits, with the apostrophes and hyphens inside it; each letter of a script that
is written without spaces (Chinese, Japanese kana, Thai, Lao, Khmer, Burmese and their kin) is a word by itself; every
other visible sign, an emoji with all its parts too, is one. Case is folded, and composed and decomposed letters are
the same.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import regex
from jaxtyping import Int

from creativity_lens.errors import InputError

_SCRIPTS = (
    "Han Hiragana Katakana Bopomofo Yi Thai Lao Khmer Myanmar Tibetan Javanese Balinese Tai_Tham Tai_Le New_Tai_Lue"
)
_ALONE = r"[\p{L}&&[" + "".join(rf"\p{{{script}}}" for script in _SCRIPTS.split()) + "]]"
_INNER = rf"[[\p{{L}}\p{{N}}_]--{_ALONE}]"
_MARKS = r"[\p{M}\p{Cf}]*"  # of the letter in front: accents, vowel signs, joiners
_WORD = regex.compile(
    rf"{_ALONE}{_MARKS}|(?:{_INNER}{_MARKS})+(?:['’\-‐](?:{_INNER}{_MARKS})+)*|(?=[^\s\p{{C}}\p{{M}}])\X",
    flags=regex.V1,
)
_SPACED = regex.compile(rf"({_ALONE}{_MARKS})", flags=regex.V1)


@dataclass(frozen=True, eq=False)
class Words:
    """The words of some texts as numbers; equal numbers are equal words."""

    ids: tuple[Int[np.ndarray, " _"], ...]  # of each text
    vocabulary: int  # different words in all of the texts


def tokens_of(text: str) -> list[str]:
    """The words of a text, as measures compare them.

    >>> tokens_of("Don't! The well-known Fox ran")
    ["don't", '!', 'the', 'well-known', 'fox', 'ran']
    >>> tokens_of("海は広い")
    ['海', 'は', '広', 'い']
    """
    if text.isascii():  # nothing to compose, and typographic signs are absent
        return [found.lower() for found in _WORD.findall(text)]
    return [unicodedata.normalize("NFC", found).casefold().replace("’", "'") for found in _WORD.findall(text)]


def cut(text: str, length: int) -> str | None:
    """The text up to the end of its word number `length`; None where it has fewer.

    >>> cut("It rains, again and again.", 3), cut("It rains.", 4)
    ('It rains,', None)
    """
    if length < 1:
        raise InputError(f"length: expected 1 or more words, got {length}; give a larger one.")
    for number, found in enumerate(_WORD.finditer(text), start=1):
        if number == length:
            return text[: found.end()]
    return None


def numbered_words(texts: Sequence[Sequence[str]]) -> Words:
    """Words given as strings, text by text, as numbers in the order in which they come first."""
    places: dict[str, int] = {}
    ids = tuple(np.array([places.setdefault(word, len(places)) for word in text], dtype=np.int64) for text in texts)
    return Words(ids, len(places))


def spaced(text: str) -> str:
    """The text with a space around each letter of the scripts without spaces, for tokenizers that split at spaces.

    A text in another script comes back as it was.

    >>> spaced("海は blue")
    ' 海  は  blue'
    """
    return text if text.isascii() else _SPACED.sub(r" \1 ", text)
