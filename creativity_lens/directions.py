"""Directions: one unit vector per layer that points from boring to creative, and the controls it is compared with.

**Positive means more creative**, by construction on the pairs it was fitted on. The file of directions describes itself.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from creativity_lens.activations import Activations, Source, source_dict
from creativity_lens.errors import InputError
from creativity_lens.files import write_with
from creativity_lens.models import Model

FORMAT = "1"
SIGN = "positive is more creative"


@dataclass(frozen=True, eq=False)
class Direction:
    """The direction at one layer."""

    layer: int
    vector: Float[Tensor, " d_model"]  # unit length
    gap: float  # mean projected difference creative - boring on the training pairs, residual units
    residual_norm: float  # median residual norm at the layer
    center: Float[Tensor, " d_model"]  # midpoint of the two sides' means


@dataclass(frozen=True, eq=False)
class Directions:
    """One unit vector per layer, with the scales that make it readable in other units."""

    vectors: Float[Tensor, "layer d_model"]  # float32, unit length
    gaps: Float[Tensor, " layer"]  # >= 0 on the pairs it was fitted on, residual units
    residual_norms: Float[Tensor, " layer"]
    centers: Float[Tensor, "layer d_model"]
    layers: tuple[int, ...]  # which layers the first axis holds
    method: str
    n_layers: int  # of the whole model
    source: Source
    dev: tuple[tuple[str, float], ...] = ()  # dev scores, recorded by the sweep

    def at(self, layer: int) -> Direction:
        """The direction at one layer; `InputError` where it was not measured."""
        if layer not in self.layers:
            raise InputError(f"layer {layer}: expected one of {_ranges(self.layers)}, which these directions hold.")
        i = self.layers.index(layer)
        return Direction(layer, self.vectors[i], float(self.gaps[i]), float(self.residual_norms[i]), self.centers[i])

    def project(
        self, activations: Activations
    ) -> tuple[Float[Tensor, "layer pair"], Float[Tensor, "layer pair"]]:
        """Centred projections of the creative and the boring side, in residual units."""
        if activations.layers != self.layers:
            raise InputError(
                f"activations of layers {_ranges(activations.layers)}: expected {_ranges(self.layers)}, as the directions have."
            )
        sides = (activations.creative, activations.boring)
        creative, boring = (
            torch.einsum("lpd,ld->lp", side - self.centers[:, None], self.vectors) for side in sides
        )
        return creative, boring

    def save(self, path: str | Path) -> None:
        """Write a self-describing safetensors file, whole."""
        tensors = {name: getattr(self, name).contiguous() for name in _TENSORS}
        metadata = {
            "format": FORMAT,
            "layers": json.dumps(self.layers),
            "layer_index": "0-based",
            "n_layers": str(self.n_layers),
            "d_model": str(self.vectors.shape[1]),
            "method": self.method,
            "sign": SIGN,
            "dev": json.dumps(dict(self.dev)),
            "source": json.dumps(source_dict(self.source)),
            "checksum": _checksum(tensors),
        }
        write_with(Path(path), lambda temporary: save_file(tensors, temporary, metadata))

    @classmethod
    def load(cls, path: str | Path, model: Model | None = None) -> "Directions":
        """Read a file of directions; with `model`, refuse by name one that was measured on another model.

        Raises `InputError` for a missing, damaged or foreign file, another format version, model, revision or width.
        """
        path = Path(path)
        tensors, metadata = _read(path)
        source = json.loads(metadata["source"])
        directions = cls(
            **tensors,
            layers=tuple(json.loads(metadata["layers"])),
            method=metadata["method"],
            n_layers=int(metadata["n_layers"]),
            source=Source(**{**source, "versions": tuple(source["versions"].items())}),
            dev=tuple(json.loads(metadata["dev"]).items()),
        )
        if model is not None:
            check_model(directions, model, str(path))
        return directions

    def __repr__(self) -> str:
        return f"Directions({self.method}, layers {_ranges(self.layers)}, {self.source.n_pairs} pairs, {self.source.model})"


_TENSORS = ("vectors", "gaps", "residual_norms", "centers")


def check_model(directions: Directions, model: Model, name: str) -> None:
    """Refuse directions that were measured on another model, by the first thing that differs."""
    expected: list[tuple[str, Any, Any]] = [
        ("d_model", directions.vectors.shape[1], model.d_model),
        ("n_layers", directions.n_layers, model.n_layers),
        ("config hash", directions.source.config_hash, model.config_hash),
        ("revision", directions.source.revision, model.revision),
        ("weights hash", directions.source.weights_hash, model.weights_hash),
    ]
    for what, theirs, ours in expected:
        if theirs != ours:
            raise InputError(
                f"{name}: directions of {directions.source.model} ({what} {theirs}), expected {model.name} ({what} {ours}); "
                "measure directions on this model, or load the model they were measured on."
            )


def mean_difference(activations: Activations) -> Directions:
    """Unit vector of mean(creative) - mean(boring) at each layer, accumulated in float32.

    >>> mean_difference(activations).vectors.shape        # doctest: +SKIP
    torch.Size([8, 192])                                  # layer d_model
    """
    return _directions(activations, (activations.creative - activations.boring).mean(1), "mean_difference")


def first_component(activations: Activations) -> Directions:
    """First principal component of the paired differences at each layer, uncentred, its sign set on the labels.

    Centring would remove the mean difference, which is the concept itself.
    """
    differences = activations.creative - activations.boring
    components = torch.linalg.svd(differences, full_matrices=False).Vh[:, 0]
    signs = torch.einsum("lpd,ld->l", differences, components).sign()
    signs[signs == 0] = 1.0
    return _directions(activations, components * signs[:, None], "first_component")


def _directions(activations: Activations, raw: Float[Tensor, "layer d_model"], method: str) -> Directions:
    length = torch.linalg.vector_norm(raw, dim=-1, keepdim=True)
    if not bool((length > 0).all()):
        layer = activations.layers[int((length[:, 0] <= 0).nonzero()[0])]
        raise InputError(f"layer {layer}: creative and boring activations do not differ; expected pairs whose texts differ.")
    vectors = raw / length
    difference = (activations.creative - activations.boring).mean(1)
    return Directions(
        vectors=vectors,
        gaps=(difference * vectors).sum(-1),
        residual_norms=activations.residual_norms,
        centers=(activations.creative.mean(1) + activations.boring.mean(1)) / 2,
        layers=activations.layers,
        method=method,
        n_layers=activations.n_layers,
        source=activations.source,
    )


def balanced_flips(activations: Activations, count: int, *, seed: int) -> Float[Tensor, "control layer d_model"]:
    """Control directions of unit length: the mean difference with labels flipped topic by topic.

    v_k = sum_i s_i d_i with s = +-1 constant within a topic and summing to 0 over topics (with an odd number of topics, one
    drawn at random gets 0), so that what the concept adds cancels while the texts' own variation stays.
    """
    topics = sorted(set(activations.topics))
    if len(topics) < 4:
        raise InputError(f"controls: expected pairs of at least 4 topics, got {len(topics)}.")
    generator = torch.Generator().manual_seed(seed)
    differences = activations.creative - activations.boring
    member = torch.tensor([[topic == name for name in topics] for topic in activations.topics]).float()
    half = len(topics) // 2
    signs = torch.zeros(count, len(topics))
    for row in signs:
        order = torch.randperm(len(topics), generator=generator)
        row[order[:half]], row[order[half : 2 * half]] = 1.0, -1.0
    flipped = torch.einsum("kp,lpd->kld", signs @ member.T, differences)
    return torch.nn.functional.normalize(flipped, dim=-1)


def isotropic(count: int, d_model: int, *, seed: int) -> Float[Tensor, "control d_model"]:
    """Unit vectors uniform on the sphere: a weak control (a push along one moves a model three to five times less)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, d_model, generator=generator), dim=-1)


def with_dev_scores(directions: Directions, scores: Sequence[tuple[str, float]]) -> Directions:
    """The same directions with dev scores recorded in them."""
    return replace(directions, dev=tuple(scores))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected directions written by creativity-lens.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        raise InputError(f"{path}: damaged or not a safetensors file; expected directions written by creativity-lens.") from None
    if metadata.get("format") != FORMAT or set(tensors) != set(_TENSORS):
        raise InputError(f"{path}: expected directions of format {FORMAT}, got format {metadata.get('format', 'none')}.")
    if metadata.get("checksum") != _checksum({name: tensors[name] for name in _TENSORS}):
        raise InputError(f"{path}: damaged (its checksum does not match); restore it or measure the directions again.")
    return tensors, metadata


def _checksum(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in _TENSORS:
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def _ranges(layers: Sequence[int]) -> str:
    whole = list(range(layers[0], layers[-1] + 1)) == list(layers)
    return f"{layers[0]}-{layers[-1]}" if whole and len(layers) > 1 else ",".join(map(str, layers))
