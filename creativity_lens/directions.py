"""Directions: one unit vector per layer that points from boring to creative, and the controls it is compared with.

**Positive means more creative**, by construction on the pairs it was fitted on. The file of directions describes
itself.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from creativity_lens.activations import Activations, Source, source_dict
from creativity_lens.errors import InputError
from creativity_lens.html_tables import html_table, with_interval
from creativity_lens.layers import layer_ranges
from creativity_lens.models import Model
from creativity_lens.tensor_files import load_tensors, save_tensors

FORMAT = "directions 1"
SIGN = "positive is more "
HOOK = "resid_post"


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
    positive: str = "creative"  # the side that positive projections lean to

    def at(self, layer: int) -> Direction:
        """The direction at one layer; `InputError` where it was not measured."""
        if layer not in self.layers:
            raise InputError(
                f"layer {layer}: expected one of {layer_ranges(self.layers)}, which these directions hold."
            )
        i = self.layers.index(layer)
        return Direction(layer, self.vectors[i], float(self.gaps[i]), float(self.residual_norms[i]), self.centers[i])

    def project(self, activations: Activations) -> tuple[Float[Tensor, "layer pair"], Float[Tensor, "layer pair"]]:
        """Centred projections of the creative and the boring side, in residual units.

        Raises `InputError` for activations of other layers or of another model.
        """
        if activations.layers != self.layers:
            ours, theirs = layer_ranges(self.layers), layer_ranges(activations.layers)
            raise InputError(f"activations of layers {theirs}: expected {ours}, as the directions have.")
        if activations.source.weights_hash != self.source.weights_hash:
            ours, theirs = self.source.model, activations.source.model
            raise InputError(f"activations of {theirs}: expected those of {ours}, as the directions (weights differ).")
        sides = (activations.creative, activations.boring)
        creative, boring = (torch.einsum("lpd,ld->lp", side - self.centers[:, None], self.vectors) for side in sides)
        return creative, boring

    def save(self, path: str | Path) -> None:
        """Write a self-describing safetensors file, whole."""
        metadata = {
            "layers": json.dumps(self.layers),
            "layer_index": "0-based",
            "hook": self.source.hook,
            "n_layers": str(self.n_layers),
            "d_model": str(self.vectors.shape[1]),
            "method": self.method,
            "sign": SIGN + self.positive,
            "dev": json.dumps(dict(self.dev)),
            "source": json.dumps(source_dict(self.source)),
        }
        save_tensors(Path(path), {name: getattr(self, name) for name in _TENSORS}, metadata, form=FORMAT)

    @classmethod
    def load(cls, path: str | Path, model: Model | None = None) -> "Directions":
        """Read a file of directions; with `model`, refuse by name one that was measured on another model.

        Raises `InputError` for a missing, damaged or foreign file, another format version, model, revision or width.
        """
        tensors, metadata = load_tensors(
            Path(path), _TENSORS, form=FORMAT, what="directions written by creativity-lens"
        )
        try:
            source = json.loads(metadata["source"])
            directions = cls(
                **tensors,
                layers=tuple(json.loads(metadata["layers"])),
                method=metadata["method"],
                n_layers=int(metadata["n_layers"]),
                source=Source(**{**source, "versions": tuple(source["versions"].items())}),
                dev=tuple(json.loads(metadata["dev"]).items()),
                positive=metadata["sign"].removeprefix(SIGN),
            )
            signed = metadata["sign"].startswith(SIGN) and bool(directions.positive)
            sound = _is_sound(directions) and signed and metadata["hook"] == HOOK
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
            sound = False
        if not sound:
            raise InputError(f"{path}: what it says of itself does not fit; measure the directions again.")
        if model is not None:
            check_model(directions, model, str(path))
        return directions

    def __repr__(self) -> str:
        held = f"layers {layer_ranges(self.layers)}, {self.source.n_pairs} pairs"
        return f"Directions({self.method}, {held}, {self.source.model})"

    def _repr_html_(self) -> str:
        dev = dict(self.dev)
        told = any(f"auc@{layer}" in dev for layer in self.layers)
        rows = [
            [str(layer), f"{gap:.4g}", f"{norm:.4g}"]
            + ([with_interval(*(dev.get(f"auc{end}@{layer}") for end in ("", "_low", "_high")))] if told else [])
            for layer, gap, norm in zip(self.layers, self.gaps.tolist(), self.residual_norms.tolist(), strict=True)
        ]
        title = f"Directions of {self.source.model}: {self.method} of {self.source.n_pairs} pairs"
        headings = ["layer", "gap", "median residual norm", *(["AUC, held out (95 % interval)"] if told else [])]
        note = (
            f"Positive is more {self.positive}. Position rule: {self.source.position}. Gap: what the two sides of the "
            "pairs differ by along the direction; gap and norm in residual units."
        )
        return html_table(title, headings, rows, note)


_TENSORS = ("vectors", "gaps", "residual_norms", "centers")


def _is_sound(directions: Directions) -> bool:
    """Whether the parts fit each other; that they are what was written, the file's checksum says."""
    layers = list(directions.layers)
    shapes = [tuple(getattr(directions, name).shape) for name in _TENSORS]
    wide, flat = (len(layers), *shapes[0][1:]), (len(layers),)
    rising = layers == sorted(set(layers)) and layers[0] >= 0 and layers[-1] < directions.n_layers
    whole = all(type(layer) is int for layer in layers)
    finite = all(bool(getattr(directions, name).isfinite().all()) for name in _TENSORS)
    unit = bool(((torch.linalg.vector_norm(directions.vectors, dim=-1) - 1).abs() < 1e-3).all())
    return rising and whole and finite and unit and len(wide) == 2 and shapes == [wide, flat, flat, wide]


def check_model(directions: Directions, model: Model, name: str) -> None:
    """Refuse directions that were measured on another model, by the first thing that differs."""
    refuse_other_model(
        directions.source,
        model,
        d_model=directions.vectors.shape[1],
        n_layers=directions.n_layers,
        name=name,
        what="directions",
    )


def refuse_other_model(source: Source, model: Model, *, d_model: int, n_layers: int, name: str, what: str) -> None:
    """Refuse `what` was measured on another model, by the first thing that differs; `name` is its file.

    Equal weights without a revision on one side (a folder copied from the hub) are the same model.
    """
    revised = None not in (source.revision, model.revision)
    expected: list[tuple[str, object, object]] = [
        ("d_model", d_model, model.d_model),
        ("n_layers", n_layers, model.n_layers),
        ("config hash", source.config_hash, model.config_hash),
        ("revision", source.revision if revised else None, model.revision if revised else None),
        ("weights hash", source.weights_hash, model.weights_hash),
    ]
    for kind, theirs, ours in expected:
        if theirs != ours:
            there, here = str(theirs)[:19], str(ours)[:19]  # "sha256:" and 12 of its 64 characters
            raise InputError(
                f"{name}: {what} of {source.model} ({kind} {there}), expected {model.name} ({kind} {here}); "
                f"measure {what} on this model, or load the model they were measured on."
            )


def mean_difference(activations: Activations) -> Directions:
    """Unit vector of mean(creative) - mean(boring) at each layer, accumulated in float32.

    >>> mean_difference(activations).vectors.shape        # doctest: +SKIP
    torch.Size([8, 192])                                  # layer d_model
    """
    return _directions(activations, _differences(activations).mean(1), "mean_difference")


def first_component(activations: Activations) -> Directions:
    """First principal component of the paired differences at each layer, uncentred, its sign set on the labels.

    Centring would remove the mean difference, which is the concept itself.
    """
    differences = _differences(activations)
    components = torch.linalg.svd(differences, full_matrices=False).Vh[:, 0]
    signs = torch.einsum("lpd,ld->l", differences, components).sign()
    signs[signs == 0] = 1.0
    return _directions(activations, components * signs[:, None], "first_component")


def _differences(activations: Activations) -> Float[Tensor, "layer pair d_model"]:
    """Creative - boring, of which something is left at every layer."""
    differences = activations.creative - activations.boring
    for layer, block in zip(activations.layers, differences, strict=True):
        if not block.isfinite().all():
            raise InputError(f"layer {layer}: expected finite activations; load the model with another dtype.")
        if not block.any():
            raise InputError(f"layer {layer}: creative and boring activations do not differ; expected pairs that do.")
    return differences


def _directions(activations: Activations, raw: Float[Tensor, "layer d_model"], method: str) -> Directions:
    length = torch.linalg.vector_norm(raw, dim=-1, keepdim=True)
    if not bool((length > 0).all()):
        layer = activations.layers[int((length[:, 0] <= 0).nonzero()[0])]
        raise InputError(f"layer {layer}: the pairs' differences cancel out; expected pairs that agree in direction.")
    vectors = raw / length
    difference = _differences(activations).mean(1)
    return Directions(
        vectors=vectors,
        gaps=(difference * vectors).sum(-1).clamp(min=0),  # rounding alone could take a zero below
        residual_norms=activations.residual_norms,
        centers=(activations.creative.mean(1) + activations.boring.mean(1)) / 2,
        layers=activations.layers,
        method=method,
        n_layers=activations.n_layers,
        source=activations.source,
    )


def balanced_flips(activations: Activations, count: int, *, seed: int) -> Float[Tensor, "control layer d_model"]:
    """Control directions of unit length: the mean difference with labels flipped topic by topic.

    v_k = sum_i s_i d_i with s = +-1 constant within a topic and summing to 0 over topics (with an odd number of topics,
    one drawn at random gets 0), so that what the concept adds cancels while the texts' own variation stays. No two are
    equal, as a rank among them needs; few topics have fewer than `count` of them (6 topics 20, 7 topics 140), and then
    all are given. The first controls of a seed do not depend on `count`. Raises `InputError` below 4 topics, and where
    nothing but the concept varies.
    """
    topics = sorted(set(activations.topics))
    if len(topics) < 4:
        raise InputError(f"controls: expected pairs of at least 4 topics, got {len(topics)}.")
    generator = torch.Generator().manual_seed(seed)
    differences = _differences(activations)
    member = torch.tensor([[topic == name for name in topics] for topic in activations.topics]).float()
    half = len(topics) // 2
    patterns = math.comb(2 * half, half) * (len(topics) if len(topics) % 2 else 1)
    signs: dict[tuple[float, ...], None] = {}  # in the order they were drawn
    while len(signs) < min(count, patterns):
        order, row = torch.randperm(len(topics), generator=generator), torch.zeros(len(topics))
        row[order[:half]], row[order[half : 2 * half]] = 1.0, -1.0
        signs.setdefault(tuple(row.tolist()))
    flipped = torch.einsum("kp,lpd->kld", torch.tensor(list(signs)).view(-1, len(topics)) @ member.T, differences)
    if not bool(flipped.any(-1).all()):
        raise InputError("controls: expected pairs of different texts; all differ by the same vector.")
    return torch.nn.functional.normalize(flipped, dim=-1)


def isotropic(count: int, d_model: int, *, seed: int) -> Float[Tensor, "control d_model"]:
    """Unit vectors uniform on the sphere: a weak control (a push along one moves a model three to five times less)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, d_model, generator=generator), dim=-1)


def with_dev_scores(directions: Directions, scores: Sequence[tuple[str, float]]) -> Directions:
    """The same directions with dev scores recorded in them."""
    return replace(directions, dev=tuple(scores))
