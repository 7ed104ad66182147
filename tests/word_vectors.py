"""Small files of word vectors, and lists of words with a known score."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from creativity_lens.scores import Generation

WORDS = ("river", "tax", "giraffe", "violin", "cloud", "justice", "soup", "hammer", "moon", "letter")


def lines_of(vectors: Mapping[str, Sequence[float]]) -> str:
    """The text of a file, one row a word."""
    return "".join(f"{word} {' '.join(f'{x:.4f}' for x in row)}\n" for word, row in vectors.items())


def written(path: Path, vectors: Mapping[str, Sequence[float]]) -> Path:
    path.write_bytes(lines_of(vectors).encode())
    return path


def orthogonal(words: Sequence[str] = WORDS) -> dict[str, np.ndarray]:
    """Words that have nothing in common: any seven of them score 100."""
    return dict(zip(words, np.eye(len(words)), strict=True))


def answer(text: str, seed: int = 0, temperature: float = 1.0, strength: float = 0.0) -> Generation:
    """What a model is made to have written."""
    layers, mode = ((3,), "add") if strength else ((), "none")
    return Generation("divergent association", seed, layers, strength, "none", mode, temperature, text, (1,), np.nan)
