"""Prompts run once: their key-value cache is shared out to every row that continues them.

The cache of a batch is reserved at its final length and written in place. Growing it by concatenation, as the default
cache does, copies all of it at every step, which at some hundred rows costs more than the model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from creativity_lens.errors import InputError
from creativity_lens.models import Model


class _ReservedLayer(DynamicLayer):
    """One layer's keys and values `[row, head, pos, head_dim]`, of fixed capacity, filled up to `length`."""

    def __init__(self, keys: Tensor, values: Tensor, length: int) -> None:
        super().__init__()
        self._keys, self._values, self.length = keys, values, length
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        end = self.length + key_states.shape[-2]
        self._keys[:, :, self.length : end] = key_states
        self._values[:, :, self.length : end] = value_states
        self.length = end
        return self._keys[:, :, :end], self._values[:, :, :end]

    def get_seq_length(self) -> int:
        return self.length

    def keep_rows(self, rows: Tensor) -> None:
        self._keys, self._values = self._keys[rows.to(self.device)], self._values[rows.to(self.device)]


@dataclass(frozen=True, eq=False)
class Prefix:
    """Prompts after their one pass: left-padded to a common length, with the logits that follow them."""

    keys: tuple[Tensor, ...]  # one a layer, [prompt, head, pos, head_dim]
    values: tuple[Tensor, ...]
    mask: Int[Tensor, "prompt pos"]  # 1 where a token stands, 0 on the padding to its left
    logits: Float[Tensor, "prompt vocab"]  # for the token after the prompt


def prefill(model: Model, prompts: Sequence[Sequence[int]]) -> Prefix:
    """Run each prompt once, all in one left-padded batch."""
    length = max(map(len, prompts))
    ids = torch.full((len(prompts), length), model.pad_id)
    mask = torch.zeros(len(prompts), length, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, length - len(prompt) :] = torch.tensor(prompt)
        mask[row, length - len(prompt) :] = 1
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache = DynamicCache()
    ids, mask, positions = (tensor.to(model.device) for tensor in (ids, mask, positions))
    logits = model.forward(ids, mask=mask, positions=positions, cache=cache, keep=1)[:, -1]
    layers: list[Any] = cache.layers
    unsupported = [type(layer).__name__ for layer in layers if type(layer) is not DynamicLayer]
    if unsupported:
        raise InputError(f"{model.name}: generation needs a key-value cache per layer, got {unsupported[0]}.")
    return Prefix(tuple(layer.keys for layer in layers), tuple(layer.values for layer in layers), mask, logits)


def continue_rows(prefix: Prefix, rows: Int[Tensor, " row"], steps: int) -> tuple[Cache, Int[Tensor, "row pos"]]:
    """A cache and a mask for rows that each continue prompt `rows[i]` by at most `steps` tokens.

    The mask is at its final length; pass `mask[:, :n]` for n positions.
    """
    length = prefix.mask.shape[1]

    prompts, counts = torch.unique_consecutive(rows, return_counts=True)

    def reserve(source: Tensor) -> Tensor:
        whole = _room(source, (len(rows), source.shape[1], length + steps, source.shape[-1]))
        for part, prompt in zip(whole.split(counts.tolist()), prompts.tolist(), strict=True):
            part[:, :, :length] = source[prompt]
        return whole

    layers: list[Any] = [
        _ReservedLayer(reserve(keys), reserve(values), length)
        for keys, values in zip(prefix.keys, prefix.values, strict=True)
    ]
    mask = torch.cat([prefix.mask[rows], prefix.mask.new_ones(len(rows), steps)], dim=1)
    return Cache(layers=layers), mask


def _room(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Memory that is not set, as `like.new_empty`. On a CPU it comes in huge pages, which numpy asks for, torch not."""
    if like.device.type != "cpu":
        return like.new_empty(shape)
    return torch.from_numpy(np.empty(math.prod(shape) * like.element_size(), np.uint8)).view(like.dtype).view(shape)


def keep_rows(cache: Cache, rows: Int[Tensor, " kept"]) -> None:
    """Let all but some rows leave the batch."""
    layers: list[Any] = cache.layers
    for layer in layers:
        layer.keep_rows(rows)


def bytes_per_row(model: Model, length: int) -> int:
    """Size of one row's keys and values, plus its logits and a block's work space, in bytes; an upper estimate."""
    item = torch.finfo(model.dtype).bits // 8
    return model.n_layers * model.shape.cached * length * item + 4 * model.vocabulary * 4 + 32 * model.d_model * item
