"""Lists of words out of what a model wrote: a tolerant grammar, and how an item becomes a word.

Understood: one item a line; numbers ("1.", "2)", "#3") and bullets, also several on one line; commas, semicolons, bars;
bold, quotes, JSON lists; a gloss after the word ("river - flowing water", "river (noun)"). Headings, exclamations and
what a model writes between <think> and </think> are no items. Spaces never part items: a sentence is no list of words.
"""

import re
import unicodedata
from collections.abc import Container

WANTED = 10  # words that are asked for; what comes after the tenth item is not looked at
LONGEST = 3  # words of an item without number or bullet; what is longer is a sentence

_THOUGHT = re.compile(r"<think>.*?(</think>|$)", re.DOTALL | re.IGNORECASE)
_MARKS = re.compile(r"[*`_\"“”„«»\[\]{}]+|^\s*>+")
_BRACKETS = re.compile(r"\([^()]*[^()\d][^()]*\)")  # not "(1)", which numbers an item
_MARKER = re.compile(r"(?:^|(?<=\s))(?:\(?#?\d{1,3}[.):]|#\d{1,3}(?=\s))\s*")  # 1. 1) (1) #1 1:
_BULLET = re.compile(r"^\s*[-–—•·‣◦▪●*+→]+\s+|^\s*[•·‣◦▪●]")
_PART = re.compile(r"[,;|/、，；\t]")
_GLOSS = re.compile(r"\s+[-–—=→]+\s+|\s*[–—:(]|\s+because\s+", re.IGNORECASE)
_AND = re.compile(r"^(?:and|or|&)\s+", re.IGNORECASE)
_WORD = re.compile(r"[a-z][a-z-]*[a-z]")


def items_of(text: str) -> tuple[str, ...]:
    """The items of a list, as they were written but for the marks around them; at most the first ten.

    Where some lines have a number or a bullet, only those are items; elsewhere an item has at most three words, so that
    sentences are none. An item need be no word: `word_of` says.

    >>> items_of("Here you are:\\n1. **River** - flowing water\\n2. tax\\n\\nI hope this helps!")
    ('River', 'tax')
    >>> items_of("river, tax, and giraffe")
    ('river', 'tax', 'giraffe')
    """
    found: list[str] = []
    marked: list[str] = []
    for raw in _THOUGHT.sub("", text).splitlines():
        bulleted = _BULLET.match(raw) is not None
        line = _BRACKETS.sub(" ", _MARKS.sub("", _BULLET.sub("", raw))).strip()
        parts = _MARKER.split(line)
        if len(parts) > 1:  # what stands before the first number is a heading
            marked += [item for part in parts[1:] for item in _items(part)]
        elif bulleted:
            marked += _items(line)
        elif not line.endswith((":", "!", "?")):
            found += [item for item in _items(_without_heading(line)) if len(item.split()) <= LONGEST]
    return tuple((marked or found)[:WANTED])


def _items(line: str) -> list[str]:
    """The items of a line: one with its gloss, or several that are parted by commas."""
    head = _GLOSS.split(line, maxsplit=1)[0]
    explained = head != line and not _PART.search(head)  # the commas, if any, are those of the explanation
    parts = [head] if explained else _PART.split(line)
    heads = (_GLOSS.split(_AND.sub("", part.strip()), maxsplit=1)[0] for part in parts)
    return [item for part in heads if (item := part.strip(" .,;:!?'’()"))]


def _without_heading(line: str) -> str:
    """What stands behind "Ten nouns:", where that is a list of some length."""
    heading, colon, rest = line.partition(":")
    is_heading = bool(colon) and not _PART.search(heading) and len(_PART.findall(rest)) >= 4
    return rest if is_heading else line


def word_of(item: str, vocabulary: Container[str]) -> str | None:
    """The word of the vocabulary that an item stands for, or None.

    Lower case, accents dropped, only letters, hyphens and spaces kept. As in the published task a hyphenated word also
    counts in one piece ("top-hat": "tophat"), and one with spaces hyphenated or in one piece ("cul de sac":
    "cul-de-sac"), whichever the vocabulary has first.

    >>> word_of("Cul de Sac", {"cul-de-sac"}), word_of("Top-hat", {"tophat"}), word_of("the old river", {"river"})
    ('cul-de-sac', 'tophat', None)
    """
    return next((candidate for candidate in candidates_of(item) if candidate in vocabulary), None)


def candidates_of(item: str) -> list[str]:
    """The ways in which an item may stand in a vocabulary, the first to be tried first; none for what is no word."""
    plain = unicodedata.normalize("NFKD", item).lower()
    clean = " ".join(re.sub(r"[^a-z -]", "", plain).split()).strip("-")
    ways = [clean.replace(" ", "-"), re.sub(r"[ -]+", "", clean)] if {" ", "-"} & set(clean) else [clean]
    return [way for way in dict.fromkeys(ways) if _WORD.fullmatch(way)]


def is_word(text: str) -> bool:
    """Whether a line of a word list counts: two letters or more, small, with hyphens inside."""
    return _WORD.fullmatch(text) is not None
