"""Activations: every distinct text of the pairs runs once, and one vector a layer is kept of it.

They are cached on disk by content: the same texts under the same model, layers and position rule are never run twice.
"""

import hashlib
import importlib.metadata
import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from creativity_lens.errors import InputError, check_choice
from creativity_lens.files import cache_folder, sha256_text, write_with
from creativity_lens.models import Model
from creativity_lens.prompts import ContrastivePair, fingerprint
from creativity_lens.reading import Batch, Passage, alone, own_means, read

POSITIONS = ("response", "instruction", "last", "text")
_FORMAT = "1"  # of the cache files


@dataclass(frozen=True)
class Source:
    """Where a measurement comes from. It rides unchanged from activations to the report's footer."""

    model: str
    revision: str | None
    config_hash: str
    weights_hash: str
    dtype: str
    template_hash: str
    pairs_sha256: str
    n_pairs: int
    position: str
    hook: str = "resid_post"
    versions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Activations:
    """One vector per layer, pair and side, for one position rule."""

    creative: Float[Tensor, "layer pair d_model"]  # float32, on the CPU
    boring: Float[Tensor, "layer pair d_model"]
    norms: Float[Tensor, "layer text"]  # each distinct text's median residual norm over its own positions
    layers: tuple[int, ...]  # which layers the first axis holds
    topics: tuple[str, ...]  # of the pairs
    n_layers: int  # of the whole model
    source: Source

    @property
    def residual_norms(self) -> Float[Tensor, " layer"]:
        """Median residual norm per layer, position 0 and template tokens left out: the unit of strength."""
        return self.norms.median(-1).values

    def __repr__(self) -> str:
        return f"Activations({len(self.topics)} pairs, layers {self.layers[0]}-{self.layers[-1]}, {self.source.model})"


def collect_activations(
    model: Model,
    pairs: Sequence[ContrastivePair],
    *,
    layers: str | Sequence[int] = "all",
    position: str = "response",
    batch_tokens: int | None = None,
    max_tokens: int | None = None,
    cache: bool = True,
) -> Activations:
    """Run each distinct text of `pairs` once and keep one float32 vector per wanted layer.

    Position rules: "response", the mean over the response's tokens, teacher-forced after its neutral instruction; "instruction",
    the mean over the instruction's own words; "last", their last token; "text", the mean over the response read alone.
    `max_tokens` cuts responses. Position 0 and template tokens are left out of all of them.

    >>> collect_activations(model, train).creative.shape      # doctest: +SKIP
    torch.Size([8, 33, 192])                                  # layer pair d_model
    """
    check_choice("position", position, POSITIONS)
    wanted = resolve_layers(model, layers)
    if not pairs:
        raise InputError("pairs: expected at least one pair, got none.")
    passages: dict[Passage, int] = {}  # distinct, in order of appearance
    sides = [
        [passages.setdefault(passage, len(passages)) for passage in passages_of(model, pair, position, max_tokens)]
        for pair in pairs
    ]
    means, norms = _cached(model, list(passages), wanted, position, batch_tokens) if cache else _run(
        model, list(passages), wanted, position, batch_tokens
    )  # fmt: skip
    creative, boring = (torch.tensor(side) for side in zip(*sides, strict=True))
    return Activations(
        means[:, creative], means[:, boring], norms, tuple(wanted), tuple(pair.topic for pair in pairs),
        model.n_layers, source_of(model, pairs, position),
    )  # fmt: skip


def resolve_layers(model: Model, layers: str | Sequence[int]) -> list[int]:
    """Layer numbers from "all", "0-7", "2,4" or a sequence, checked against the model, rising and without repeats."""
    if isinstance(layers, str):
        numbers = list(range(model.n_layers)) if layers.strip().lower() == "all" else _parse_layers(layers)
    else:
        numbers = list(layers)
    outside = [number for number in numbers if not 0 <= number < model.n_layers]
    if outside:
        raise InputError(f"layers: expected 0 to {model.n_layers - 1} for {model.name}, got {outside[0]}.")
    return sorted(set(numbers))


def _parse_layers(text: str) -> list[int]:
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.strip().isdecimal() or (dash and not last.strip().isdecimal()):
            raise InputError(f"layers: expected 'all', '0-7' or '2,4', got '{text}'.")
        start, end = int(first), int(last if dash else first)
        if end < start or end - start > 10_000:
            raise InputError(f"layers: expected a rising range such as 0-7, got '{part.strip()}'.")
        numbers += range(start, end + 1)
    return numbers


def passages_of(
    model: Model, pair: ContrastivePair, position: str, max_tokens: int | None
) -> tuple[Passage, Passage]:
    """The creative and the boring sequence of a pair under a position rule, with the measured positions marked."""
    if position in ("response", "text"):
        return (
            _response(model, pair, pair.creative_response, position, max_tokens),
            _response(model, pair, pair.boring_response, position, max_tokens),
        )
    return _instruction(model, pair.creative, position), _instruction(model, pair.boring, position)


def _response(model: Model, pair: ContrastivePair, text: str, position: str, max_tokens: int | None) -> Passage:
    ids = model.encode_text(text)[:max_tokens]
    if position == "text":
        passage = alone(model, ids)
    else:
        prompt = model.encode_prompt(pair.neutral).ids
        passage = Passage(prompt + ids, (False,) * len(prompt) + (True,) * len(ids))
    if len(passage.ids) > model.context:
        raise InputError(
            f"pair '{pair.id}': {len(passage.ids)} tokens, expected at most the context of {model.context} of {model.name}; "
            "shorten its response."
        )
    return passage


def _instruction(model: Model, instruction: str, position: str) -> Passage:
    ids, own = model.encode_prompt(instruction)
    if position == "last":
        last = max(index for index, mine in enumerate(own) if mine)
        own = tuple(index == last for index in range(len(own)))
    return Passage(ids, own)


def _run(
    model: Model, passages: list[Passage], layers: list[int], position: str, batch_tokens: int | None
) -> tuple[Tensor, Tensor]:
    means = torch.empty(len(layers), len(passages), model.d_model)
    norms = torch.empty(len(layers), len(passages))
    kept: list[Tensor] = []

    def see(batch: Batch, layer: int, residual: Tensor) -> None:
        own = batch.own.to(residual.device)
        length = torch.linalg.vector_norm(residual.float(), dim=-1).masked_fill(~own, torch.nan).nanmedian(-1).values
        kept.append(torch.cat([own_means(residual, own), length[:, None]], dim=-1))

    def copy(batch: Batch) -> None:
        block = torch.stack([part.to(kept[0].device) for part in kept]).cpu()
        means[:, batch.rows], norms[:, batch.rows] = block[..., :-1], block[..., -1]
        kept.clear()

    read(model, passages, layers, see, after=copy, batch_tokens=batch_tokens, description=f"reading {position}s")
    return means, norms


def _cached(
    model: Model, passages: list[Passage], layers: list[int], position: str, batch_tokens: int | None
) -> tuple[Tensor, Tensor]:
    key = sha256_text(
        _FORMAT, model.weights_hash, model.config_hash, str(model.dtype), model.device.type, str(layers), position,
        json.dumps([[p.ids, p.own] for p in passages]), str(batch_tokens), *(f"{n}={v}" for n, v in package_versions()),
    )  # fmt: skip
    path = cache_folder() / "activations" / f"{key}.safetensors"
    if path.exists():
        found = _load(path, key)
        if found is not None:
            return found
        warnings.warn(f"{path}: the cached activations are damaged; they are computed again.", stacklevel=3)
    means, norms = _run(model, passages, layers, position, batch_tokens)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {"means": means.contiguous(), "norms": norms.contiguous()}
        metadata = {"key": key, "checksum": _checksum(means, norms)}
        write_with(path, lambda temporary: save_file(tensors, temporary, metadata))
    except (OSError, InputError) as error:  # a full or read-only cache costs time, never the run
        warnings.warn(f"activations are not cached: {error}", stacklevel=3)
    return means, norms


def _load(path: Path, key: str) -> tuple[Tensor, Tensor] | None:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            means, norms = file.get_tensor("means"), file.get_tensor("norms")
    except (OSError, SafetensorError):
        return None
    whole = metadata.get("key") == key and metadata.get("checksum") == _checksum(means, norms)
    return (means, norms) if whole else None


def _checksum(*tensors: Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def source_of(model: Model, pairs: Sequence[ContrastivePair], position: str) -> Source:
    """The provenance of activations of these pairs under this model."""
    return Source(
        model=model.id,
        revision=model.revision,
        config_hash=model.config_hash,
        weights_hash=model.weights_hash,
        dtype=str(model.dtype).removeprefix("torch."),
        template_hash=model.template_hash,
        pairs_sha256=fingerprint(pairs),
        n_pairs=len(pairs),
        position=position,
        versions=package_versions(),
    )


def package_versions() -> tuple[tuple[str, str], ...]:
    """Versions of the packages that shape the numbers."""
    names = ("creativity-lens", "torch", "transformer-lens", "transformers", "numpy")
    return tuple((name, importlib.metadata.version(name)) for name in names)


def source_dict(source: Source) -> dict[str, object]:
    """Plain values for a file's metadata or for run.json."""
    return {**asdict(source), "versions": dict(source.versions)}


