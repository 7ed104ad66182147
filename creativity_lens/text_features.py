"""Countable features of an English text, any one of which could give a side of a pair away without being the concept.

Parts of speech, sentiment and the vocabulary are those of textblob, whose data come with it: nothing is downloaded. It
is in the extra `lint`.
"""

import re
import warnings
from functools import cache
from typing import Any

from creativity_lens.errors import InputError

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_PUNCTUATION = re.compile(r"[^\w\s]")
_FIRST_PERSON = frozenset(["i", "me", "my", "mine", "myself", "we", "us", "our", "ours", "ourselves"])
_NEGATIONS = frozenset(
    ["no", "not", "never", "nothing", "nobody", "none", "nor", "neither", "nowhere", "cannot", "without"]
)

FEATURES = (
    "length",
    "word length",
    "type-token ratio",
    "adjectives",
    "adverbs",
    "sentiment",
    "punctuation",
    "first person",
    "negation",
)


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case, with the apostrophes and hyphens inside them.

    >>> words_of("Don't, said the well-known fox.")
    ["don't", 'said', 'the', 'well-known', 'fox']
    """
    return [word.lower().replace("’", "'") for word in _WORD.findall(text)]


def text_features(text: str) -> dict[str, float]:
    """The `FEATURES` of a text: length in words, word length in characters, sentiment from -1 to 1, the rest per word.

    Raises `InputError` where textblob is not installed.

    >>> text_features("I did not like the green soup.")["negation"]  # one word of seven
    0.14285714285714285
    """
    words = words_of(text)
    n = max(1, len(words))
    tags = [tag for token, tag in _textblob().PatternTagger().tag(text) if _WORD.search(token)]
    return {
        "length": float(len(words)),
        "word length": sum(map(len, words)) / n,
        "type-token ratio": len(set(words)) / n,
        "adjectives": sum(tag.startswith("JJ") for tag in tags) / n,
        "adverbs": sum(tag.startswith("RB") for tag in tags) / n,
        "sentiment": float(_textblob().sentiment(text)[0]),
        "punctuation": len(_PUNCTUATION.findall(text)) / n,
        "first person": sum(word in _FIRST_PERSON or word.startswith(("i'", "we'")) for word in words) / n,
        "negation": sum(word in _NEGATIONS or word.endswith("n't") for word in words) / n,
    }


def known_share(text: str) -> float:
    """Share of a text's words (of letters only) that stand in an English lexicon of 94,000 words; NaN without words.

    English prose has 0.96 and more, another language 0.3 to 0.7.
    """
    words = re.findall(r"[^\W\d_]+", text)
    lexicon = _textblob().lexicon
    return sum(word in lexicon or word.lower() in lexicon for word in words) / len(words) if words else float("nan")


@cache
def _textblob() -> Any:
    """What is used of textblob, imported when first needed: it takes seconds."""
    from types import SimpleNamespace

    try:
        from textblob.en import lexicon, sentiment
        from textblob.en.taggers import PatternTagger
    except ImportError:
        raise InputError(
            "textblob: not installed; expected it for lint. Run: pip install 'creativity-lens[lint]'"
        ) from None
    with warnings.catch_warnings():  # its data load at the first use, from files that it leaves open
        warnings.simplefilter("ignore", ResourceWarning)
        PatternTagger().tag("A first text.")
        sentiment("A first text.")
    return SimpleNamespace(PatternTagger=PatternTagger, lexicon=lexicon, sentiment=sentiment)
