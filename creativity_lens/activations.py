"""Activations: every distinct text of the pairs runs once, and one vector a layer is kept of it.

They are cached on disk by content: the same texts under the same model, layers and position rule are never run twice.
"""

import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from creativity_lens.errors import InputError, check_choice
from creativity_lens.files import cache_folder, sha256_text
from creativity_lens.html_tables import html_table
from creativity_lens.layers import choose_layers, layer_ranges
from creativity_lens.models import Model, package_versions
from creativity_lens.prompts import ContrastivePair, fingerprint
from creativity_lens.reading import Passage, alone, own_means, padded, read, show
from creativity_lens.tensor_files import load_tensors, save_tensors
from creativity_lens.work import Arrays

POSITIONS = ("response", "instruction", "last", "text")
_FORMAT = "activations 1"  # of the cache files

Collected = tuple[Float[Tensor, "layer text d_model"], Float[Tensor, "layer text"]]  # means, median norms


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
    max_tokens: int | None = None  # responses are cut to this many


@dataclass(frozen=True, eq=False)
class Activations:
    """One vector per layer, pair and side, for one position rule."""

    creative: Float[Tensor, "layer pair d_model"]  # float32, on the CPU
    boring: Float[Tensor, "layer pair d_model"]
    norms: Float[Tensor, "layer text"]  # each distinct text's median residual norm, creative ones first
    layers: tuple[int, ...]  # which layers the first axis holds
    topics: tuple[str, ...]  # of the pairs
    n_layers: int  # of the whole model
    source: Source

    @property
    def residual_norms(self) -> Float[Tensor, " layer"]:
        """Median residual norm per layer, position 0 and template tokens left out: the unit of strength."""
        return self.norms.median(-1).values

    def __repr__(self) -> str:
        return f"Activations({len(self.topics)} pairs, layers {layer_ranges(self.layers)}, {self.source.model})"

    def _repr_html_(self) -> str:
        apart = torch.linalg.vector_norm((self.creative - self.boring).mean(1), dim=-1)
        rows = [
            [str(layer), f"{norm:.4g}", f"{distance:.4g}", f"{distance / norm:.2f}"]
            for layer, norm, distance in zip(self.layers, self.residual_norms.tolist(), apart.tolist(), strict=True)
        ]
        pairs, width = self.creative.shape[1:]
        title = f"Activations of {self.source.model}: {pairs} pairs of {len(set(self.topics))} topics, {width} wide"
        note = (
            f"Position rule: {self.source.position}. Layer l is the residual stream after block l, counted from 0. "
            "Distance: between the means of the two sides, in residual units."
        )
        return html_table(title, ["layer", "median residual norm", "distance of the sides", "of the norm"], rows, note)


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

    Position rules: "response", the mean over the response's tokens, teacher-forced after its neutral instruction;
    "instruction", the mean over the instruction's own words; "last", their last token; "text", the mean over the
    response read alone. `max_tokens` cuts responses. Position 0 and template tokens are left out of all of them.

    The cache is left alone while hooks of others are in place (inside `steered`, say): the results are not the clean
    model's. Weights that were changed in memory it cannot see: use `cache=False`. Raises `InputError` for a layer, a
    position rule or a number that does not exist, a text without tokens or beyond the context, and activations that
    are not finite.

    >>> collect_activations(model, train).creative.shape      # doctest: +SKIP
    torch.Size([8, 33, 192])                                  # layer pair d_model
    """
    check_choice("position", position, POSITIONS)
    wanted = resolve_layers(model, layers)
    if not pairs:
        raise InputError("pairs: expected at least one pair, got none.")
    if max_tokens is not None and max_tokens < 1:
        raise InputError(f"max_tokens: expected a number of tokens above 0, got {max_tokens}.")
    passages: dict[Passage, int] = {}  # distinct; the creative ones first, so that each side is a run of them
    sides = zip(*(passages_of(model, pair, position, max_tokens) for pair in pairs), strict=True)
    creative, boring = ([passages.setdefault(passage, len(passages)) for passage in side] for side in sides)
    collect = _cached if cache and not model.is_hooked else _run
    means, norms = collect(model, list(passages), wanted, position, batch_tokens)
    return Activations(
        _some(means, creative), _some(means, boring), norms, tuple(wanted), tuple(pair.topic for pair in pairs),
        model.n_layers, source_of(model, pairs, position, max_tokens=max_tokens),
    )  # fmt: skip


def _some(means: Float[Tensor, "layer text d_model"], texts: list[int]) -> Float[Tensor, "layer some d_model"]:
    """Some of the texts; not copied where they follow each other."""
    first, last = texts[0], texts[-1]
    return means[:, first : last + 1] if texts == list(range(first, last + 1)) else means[:, texts]


def resolve_layers(model: Model, layers: str | Sequence[int]) -> list[int]:
    """Layer numbers from "all", "0-7", "2,4" or a sequence, checked against the model, rising and without repeats."""
    return choose_layers(layers, model.n_layers, model.name)


def passages_of(model: Model, pair: ContrastivePair, position: str, max_tokens: int | None) -> tuple[Passage, Passage]:
    """The creative and the boring sequence of a pair under a position rule, with the measured positions marked."""
    if position in ("response", "text"):
        sides = _responses(model, pair, position, max_tokens)
    else:
        sides = [instruction_passage(model, text, position) for text in (pair.creative, pair.boring)]
    for side, passage in zip(("creative", "boring"), sides, strict=True):
        if not any(passage.own):
            raise InputError(f"pair '{pair.id}': its {side} text has no token of its own to measure; lengthen it.")
    return sides[0], sides[1]


def _responses(model: Model, pair: ContrastivePair, position: str, max_tokens: int | None) -> list[Passage]:
    texts = [ids[:max_tokens] for ids in model.encode_texts([pair.creative_response, pair.boring_response])]
    if position == "text":
        passages = [alone(model, ids) for ids in texts]
    else:
        prompt = model.encode_prompt(pair.neutral).ids
        passages = [Passage(prompt + ids, (False,) * len(prompt) + (True,) * len(ids)) for ids in texts]
    longest = max(len(passage.ids) for passage in passages)
    if longest > model.context:
        raise InputError(
            f"pair '{pair.id}': {longest} tokens, expected at most the context of {model.context} of {model.name}; "
            "shorten its response, or set max_tokens."
        )
    return passages


def instruction_passage(model: Model, instruction: str, position: str) -> Passage:
    """A prompt as it is asked, its own words marked, or under the rule "last" the last of their tokens alone."""
    ids, own = model.encode_prompt(instruction)
    own = (False, *own[1:])  # a template may begin with the message itself
    if position == "last":
        last = max((index for index, mine in enumerate(own) if mine), default=-1)
        own = tuple(index == last for index in range(len(own)))
    return Passage(ids, own)


def _run(
    model: Model, passages: list[Passage], layers: list[int], position: str, batch_tokens: int | None
) -> Collected:
    found = read(
        model, passages, _means_and_norms, tuple(layers), batch_tokens=batch_tokens, description=f"reading ({position})"
    )
    means, norms = torch.from_numpy(found["means"]).transpose(0, 1), torch.from_numpy(found["norms"]).T.contiguous()
    infinite = [layer for layer, block in zip(layers, means, strict=True) if not block.isfinite().all()]
    if infinite:
        dtype = str(model.dtype).removeprefix("torch.")
        raise InputError(
            f"layer {infinite[0]}: activations of {model.name} are not finite in {dtype}; use another dtype."
        )
    return means, norms


def _means_and_norms(model: Model, layers: Sequence[int], passages: Sequence[Passage]) -> Arrays:
    """Verb: `means [text, layer, d_model]` and `norms [text, layer]`, over each passage's own positions."""
    batch, kept = padded(model, passages), list[Tensor]()

    def see(residual: Tensor) -> None:
        own = batch.own.to(residual.device)
        length = torch.linalg.vector_norm(residual.float(), dim=-1).masked_fill(~own, torch.nan).nanmedian(-1).values
        kept.append(torch.cat([own_means(residual, own), length[:, None]], dim=-1))

    show(model, batch, dict.fromkeys(layers, see))
    block = torch.stack([part.to(kept[0].device) for part in kept], dim=1).cpu()  # one copy off the device
    return {"means": block[..., :-1].numpy(), "norms": block[..., -1].numpy()}


def _cached(
    model: Model, passages: list[Passage], layers: list[int], position: str, batch_tokens: int | None
) -> Collected:
    key = sha256_text(
        _FORMAT, model.weights_hash, model.config_hash, str(model.dtype), str(model.quantize), model.device.type,
        str(layers), position, json.dumps([[p.ids, p.own] for p in passages]), str(batch_tokens),
        *(f"{n}={v}" for n, v in package_versions()),
    )  # fmt: skip
    path = cache_folder() / "activations" / f"{key}.safetensors"
    if os.path.exists(path):  # unlike Path.exists, False also where the folder may not be looked into
        try:
            tensors, metadata = load_tensors(path, ("means", "norms"), form=_FORMAT, what="cached activations")
            if metadata.get("key") != key:
                raise InputError(f"{path}: damaged (another file's name); expected cached activations.")
            return tensors["means"], tensors["norms"]
        except InputError as error:
            warnings.warn(f"{error} They are computed again.", stacklevel=3)
    means, norms = _run(model, passages, layers, position, batch_tokens)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_tensors(path, {"means": means, "norms": norms}, {"key": key}, form=_FORMAT)
    except (OSError, InputError) as error:  # a full or read-only cache costs time, never the run
        warnings.warn(f"activations are not cached (CLENS_CACHE names another folder): {error}", stacklevel=3)
    return means, norms


def source_of(
    model: Model, pairs: Sequence[ContrastivePair], position: str, *, max_tokens: int | None = None
) -> Source:
    """The provenance of activations of these pairs under this model."""
    return Source(
        model=model.id,
        revision=model.revision,
        config_hash=model.config_hash,
        weights_hash=model.weights_hash,
        dtype=", ".join(filter(None, (str(model.dtype).removeprefix("torch."), model.quantize))),
        template_hash=model.template_hash,
        pairs_sha256=fingerprint(pairs),
        n_pairs=len(pairs),
        position=position,
        versions=package_versions(),
        max_tokens=max_tokens,
    )


def source_dict(source: Source) -> dict[str, object]:
    """Plain values for a file's metadata or for run.json."""
    return {**asdict(source), "versions": dict(source.versions)}
