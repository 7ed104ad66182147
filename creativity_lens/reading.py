"""Reading: texts run through the clean model in length-sorted batches, seen layer by layer by a hook, stopped early.

A batch is padded on the right and needs no attention mask: in a causal model no token sees what comes after it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from creativity_lens.errors import InputError
from creativity_lens.models import Model
from creativity_lens.progress import track

CPU_BATCH_TOKENS = 2_048  # beyond this a block's work space leaves the cache of a processor
GPU_BATCH_TOKENS = 65_536


class Passage(NamedTuple):
    """A sequence to read: its token ids, and which positions are measured (never position 0, never template tokens)."""

    ids: tuple[int, ...]
    own: tuple[bool, ...]


class Batch(NamedTuple):
    """Some passages side by side."""

    rows: list[int]  # their places in the list that was read
    ids: Int[Tensor, "text pos"]
    own: Bool[Tensor, "text pos"]


See = Callable[[Batch, int, Tensor], None]  # batch, layer, residual stream [text, pos, d_model] on its device


def read(
    model: Model,
    passages: Sequence[Passage],
    layers: Sequence[int],
    see: See,
    *,
    batch_tokens: int | None = None,
    description: str = "reading",
    after: Callable[[Batch], None] | None = None,
) -> None:
    """Show `see` the residual stream of each batch at each wanted layer; blocks after the last one do not run.

    `after(batch)` is called when a batch is through, for the one copy off the device.
    """
    total = sum(len(passage.ids) for passage in passages)
    # not inference_mode: what `see` and `after` keep of its tensors could not take part in a user's gradient later
    with track(description, total, unit="tokens") as advance, torch.no_grad():
        for batch in batches(model, passages, batch_tokens=batch_tokens):
            hooks = {layer: _bind(see, batch, layer) for layer in layers}
            model.residuals(batch.ids, hooks)
            if after is not None:
                after(batch)
            advance(sum(len(passages[row].ids) for row in batch.rows))


def _bind(see: See, batch: Batch, layer: int) -> Callable[[Tensor], None]:
    return lambda residual: see(batch, layer, residual)


def batches(model: Model, passages: Sequence[Passage], *, batch_tokens: int | None = None) -> Iterator[Batch]:
    """Passages of like length together, at most `batch_tokens` positions a batch, padding included.

    A passage longer than that has a batch of its own.
    """
    if batch_tokens is not None and batch_tokens < 1:
        raise InputError(f"batch_tokens: expected a number of tokens above 0, got {batch_tokens}.")
    budget = batch_tokens or (GPU_BATCH_TOKENS if model.device.type == "cuda" else CPU_BATCH_TOKENS)
    order = sorted(range(len(passages)), key=lambda i: (len(passages[i].ids), i))
    while order:
        size = 1  # passages come in rising length: the last one taken sets the width
        while size < len(order) and (size + 1) * len(passages[order[size]].ids) <= budget:
            size += 1
        rows, order = order[:size], order[size:]
        width = len(passages[rows[-1]].ids)
        ids = torch.full((size, width), model.pad_id)
        own = torch.zeros(size, width, dtype=torch.bool)
        for index, row in enumerate(rows):
            length = len(passages[row].ids)
            ids[index, :length] = torch.tensor(passages[row].ids)
            own[index, :length] = torch.tensor(passages[row].own)
        yield Batch(rows, ids.to(model.device), own.to(model.device))


def alone(model: Model, ids: Sequence[int], *, length: int | None = None) -> Passage:
    """A text read by itself, cut to `length` tokens: nothing but the start token, which is not measured, before it."""
    cut = tuple(ids[:length])
    return Passage(model.start_ids + cut, (False,) * len(model.start_ids) + (True,) * len(cut))


def own_means(
    residual: Float[Tensor, "text pos d_model"], own: Bool[Tensor, "text pos"]
) -> Float[Tensor, "text d_model"]:
    """Mean over each text's own positions, accumulated in float32; NaN where a text has none."""
    weights = own.to(residual.device, torch.float32)
    return torch.bmm(weights[:, None, :], residual.float())[:, 0] / weights.sum(-1, keepdim=True)
