"""Reading: texts run through the clean model in length-sorted batches, measured at some layers, stopped early.

A batch is padded on the right and needs no attention mask: in a causal model no token sees what comes after it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from creativity_lens.errors import InputError
from creativity_lens.models import Model, ResidualHook
from creativity_lens.work import Arrays, Verb, Work, carry_out_rows

CPU_BATCH_TOKENS = 1_024  # beyond this a block's work space leaves the cache of a processor
GPU_BATCH_TOKENS = 65_536


class Passage(NamedTuple):
    """A sequence to read: its token ids, and which positions are measured (never position 0, never template tokens)."""

    ids: tuple[int, ...]
    own: tuple[bool, ...]


class Batch(NamedTuple):
    """Some passages side by side."""

    ids: Int[Tensor, "text pos"]
    own: Bool[Tensor, "text pos"]


def read(
    model: Model,
    passages: Sequence[Passage],
    verb: Verb,
    settings: Any,
    *,
    batch_tokens: int | None = None,
    description: str = "reading",
) -> dict[str, np.ndarray]:
    """Have `verb(model, settings, passages)` read every passage once; its arrays, in the order of the passages.

    There must be at least one passage.
    """
    groups = batch_rows(model, passages, batch_tokens=batch_tokens)
    works = [
        Work(verb, settings, tuple(passages[row] for row in rows), sum(len(passages[row].ids) for row in rows))
        for rows in groups
    ]
    return carry_out_rows(model, works, groups, len(passages), description=description)


def means_at(model: Model, layer: int, passages: Sequence[Passage]) -> Arrays:
    """Verb: `means [text, d_model]`, the mean activation at a layer over each passage's own positions."""
    batch, kept = padded(model, passages), []
    show(model, batch, {layer: lambda residual: kept.append(own_means(residual, batch.own))})
    return {"means": kept[0].cpu().numpy()}


def show(model: Model, batch: Batch, hooks: Mapping[int, ResidualHook]) -> None:
    """Show each hook the residual stream `[text, pos, d_model]` of its layer; blocks after the last one do not run."""
    # not inference_mode: what hooks keep of its tensors could not take part in a user's gradient later
    with torch.no_grad():
        model.residuals(batch.ids, hooks)


def tokens_a_pass(model: Model) -> int:
    """So many tokens in a pass keep the model's device busy; more take no less time each."""
    return GPU_BATCH_TOKENS if model.device.type == "cuda" else CPU_BATCH_TOKENS


def batch_rows(model: Model, passages: Sequence[Passage], *, batch_tokens: int | None = None) -> list[list[int]]:
    """Passages of like length together, at most `batch_tokens` positions a batch, padding included.

    A passage longer than that has a batch of its own.
    """
    if batch_tokens is not None and batch_tokens < 1:
        raise InputError(f"batch_tokens: expected a number of tokens above 0, got {batch_tokens}.")
    budget = batch_tokens or tokens_a_pass(model)
    groups: list[list[int]] = []
    for row in sorted(range(len(passages)), key=lambda i: (len(passages[i].ids), i)):
        # passages come in rising length: the last one taken sets the width
        if not groups or (len(groups[-1]) + 1) * len(passages[row].ids) > budget:
            groups.append([])
        groups[-1].append(row)
    return groups


def padded(model: Model, passages: Sequence[Passage]) -> Batch:
    """Passages side by side on the model's device, padded on the right."""
    width = max(len(passage.ids) for passage in passages)
    ids = torch.full((len(passages), width), model.pad_id)
    own = torch.zeros(len(passages), width, dtype=torch.bool)
    for row, passage in enumerate(passages):
        ids[row, : len(passage.ids)] = torch.tensor(passage.ids)
        own[row, : len(passage.own)] = torch.tensor(passage.own)
    return Batch(ids.to(model.device), own.to(model.device))


def batches(
    model: Model, passages: Sequence[Passage], *, batch_tokens: int | None = None
) -> Iterator[tuple[list[int], Batch]]:
    """Batches ready to be read, one after the other, each with the places of its passages in the list."""
    for rows in batch_rows(model, passages, batch_tokens=batch_tokens):
        yield rows, padded(model, [passages[row] for row in rows])


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
