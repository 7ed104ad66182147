"""Where the words of the task get their vectors, and which words there are: a file of vectors, or a sentence embedder.

The scale of a score is that of its vectors: numbers of two sources are not compared, and `scale` says so.
"""

import warnings
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from creativity_lens.association.parsing import is_word
from creativity_lens.errors import InputError
from creativity_lens.glove import check_glove, read_glove
from creativity_lens.rows import read_lines

PUBLISHED = "GPT-4 89.06, GPT-3.5 80.78, Vicuna-13B 69.13 (arXiv 2310.11158)"
_WORDS = "a list of words, one a line"

Vectors = Mapping[str, Float[np.ndarray, " dim"]]


@dataclass(frozen=True, eq=False)
class WordSource:
    """Gives vectors of words. Made by `word_source`."""

    source: Any  # Embedder, or the path of a file of vectors
    words: Container[str] | None  # a dictionary; None: every word of the file
    words_name: str

    def vectors(self, candidates: Iterable[str]) -> tuple[Vectors, str, str]:
        """Vectors of those candidates that are words, what they are from, and what the scale of their scores is."""
        asked = sorted({word for word in candidates if self.words is None or word in self.words})
        if isinstance(self.source, Path):
            glove = read_glove(self.source, asked)
            scale = (
                f"the published scale (GloVe 840B 300d), on which {PUBLISHED} were measured"
                if glove.is_published
                else "its own scale, not that of published scores, which are of GloVe 840B 300d"
            )
            return glove.vectors, glove.id, scale
        rows = self.source.embed(asked, description="embedding words")
        scale = "its own scale, of sentence embeddings: not to be held against published scores, which are of GloVe"
        return dict(zip(asked, rows, strict=True)), self.source.id, scale

    @property
    def checked(self) -> str:
        """What makes a word valid, in a sentence."""
        loose = ", of which some are misspelt: --words gives a dictionary, as the published task has"
        return (
            f"Valid: one of the first ten items, in {self.words_name}{loose if self.words is None else ''}, and not "
            "said before. Whether a word is a noun, and what it means, is not checked."
        )


def word_source(source: Any, words: str | Path | None = None) -> WordSource:
    """What gives vectors: an embedder (`load_embedder()`), or the path of a file of vectors such as GloVe's.

    `words` is a file with a dictionary, one word a line, outside of which nothing is a word. Without it: every word of
    the file of vectors; for an embedder, which has a vector for anything, the English lexicon of textblob (54,000 words
    in small letters; of ten words that people named, nine are in it). Raises `InputError` where a file cannot be used,
    after a look at its beginning and end, and where textblob is needed and not installed.
    """
    is_file = isinstance(source, str | Path)
    if is_file:
        source = Path(source)
        check_glove(source)
    elif not hasattr(source, "embed"):
        raise InputError(f"source: expected an embedder or the path of word vectors, got {type(source).__name__}.")
    if words is not None:
        kept = _listed(Path(words))
        return WordSource(source, kept, f"the {len(kept):,} words of {Path(words).name}")
    if is_file:
        return WordSource(source, None, f"the small-lettered words of {source.name}")
    lexicon = _lexicon()
    return WordSource(source, lexicon, f"the {len(lexicon):,} words of textblob's lexicon")


def _listed(path: Path) -> frozenset[str]:
    lines = read_lines(path, _WORDS)
    kept = frozenset(word for _, line in lines if is_word(word := line.strip().lower()))
    if not kept:
        raise InputError(f"{path}: no word of two or more letters a-z on a line of its own; expected {_WORDS}.")
    return kept


def _lexicon() -> frozenset[str]:
    try:
        from textblob.en import lexicon
    except ImportError:
        raise InputError(
            "textblob: not installed; expected it for the list of English words. Run: pip install "
            "'creativity-lens[lint]', or give a list of words (--words FILE)."
        ) from None
    with warnings.catch_warnings():  # its data load at the first use, from files that it leaves open
        warnings.simplefilter("ignore", ResourceWarning)
        return frozenset(word for word in lexicon if is_word(word))
