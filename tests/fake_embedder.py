"""A sentence embedder without weights: hashed words and pairs of words. Light, deterministic, and honest about overlap.

Texts that share words are near, texts that share none are nearly orthogonal, and the order of words matters a little.
"""

import hashlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np


class FakeEmbedder:
    """Has what `creativity_lens.embeddings.Embedder` has: `name`, `id`, `width`, `max_tokens`, `embed`."""

    name = "fake"
    id = "fake embedder (hashed words)"
    max_tokens = None

    def __init__(self, width: int = 64) -> None:
        self.width = width
        self.calls: list[list[str]] = []  # what was asked for, call by call

    def embed(self, texts: Sequence[str], *, description: str = "embedding") -> np.ndarray:
        self.calls.append(list(texts))
        rows = np.full((len(texts), self.width), np.nan, dtype=np.float32)
        for row, text in enumerate(texts):
            words = text.lower().split()
            if words:
                pairs = [" ".join(two) for two in pairwise(words)]
                total = sum(map(self._vector, words)) + 0.3 * sum(map(self._vector, pairs))
                rows[row] = total / np.linalg.norm(total)
        return rows

    def _vector(self, word: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()[:8], "little")
        return np.random.default_rng(seed).normal(size=self.width)
