"""Prompts run once: their key-value cache is shared out to every row that continues them.

The cache of a batch is reserved at its final length and written in place. Growing it by concatenation, as the default
cache does, copies all of it at every step, which at some hundred rows costs more than the model.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from creativity_lens.errors import InputError
from creativity_lens.models import Model
from creativity_lens.reading import tokens_a_pass
from creativity_lens.steering import NO_EDITS, Table, select_rows, steered


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
    """Prompts after their one pass: left-padded to a common length, with the logits that follow them.

    Keys and values may have room beyond the prompt, for the tokens that continue it.
    """

    keys: tuple[Tensor, ...]  # one a layer, [prompt, head, pos and room, head_dim]
    values: tuple[Tensor, ...]
    mask: Int[Tensor, "prompt pos"]  # 1 where a token stands, 0 on the padding to its left
    logits: Float[Tensor, "prompt vocab"]  # for the token after the prompt


def prefill(model: Model, prompts: Sequence[Sequence[int]], *, table: Table = NO_EDITS, steps: int = 0) -> Prefix:
    """Run each prompt once, under its edits in `table`, with room for `steps` tokens after it.

    All are padded to one length, and run in passes of as many tokens as the device reads best.
    """
    length = max(map(len, prompts))
    ids = torch.full((len(prompts), length), model.pad_id)
    mask = torch.zeros(len(prompts), length, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, length - len(prompt) :] = torch.tensor(prompt)
        mask[row, length - len(prompt) :] = 1
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    ids, mask, positions = (tensor.to(model.device) for tensor in (ids, mask, positions))
    held: list[tuple[Tensor, Tensor]] = []
    logits = []
    size = max(1, tokens_a_pass(model) // length)
    for start in range(0, len(prompts), size):
        some, cache = slice(start, start + size), DynamicCache()
        rows = torch.arange(len(prompts), device=model.device)[some]
        with steered(model, select_rows(table, rows)):
            read = model.forward(ids[some], mask=mask[some], positions=positions[some], cache=cache, keep=1)
        logits.append(read[:, -1])
        layers = [_keys_and_values(model, layer) for layer in cache.layers]
        if not held:
            held = [(_room(keys, len(prompts), length + steps), _room(values, len(prompts), length + steps))
                    for keys, values in layers]  # fmt: skip
        for wholes, parts in zip(held, layers, strict=True):
            for whole, part in zip(wholes, parts, strict=True):
                whole[some, :, :length] = part
    keys, values = zip(*held, strict=True)
    return Prefix(keys, values, mask, torch.cat(logits))


def _keys_and_values(model: Model, layer: Any) -> tuple[Tensor, Tensor]:
    if type(layer) is not DynamicLayer:
        raise InputError(f"{model.name}: generation needs a key-value cache per layer, got {type(layer).__name__}.")
    return cast(Tensor, layer.keys), cast(Tensor, layer.values)


def continue_rows(prefix: Prefix, rows: Int[Tensor, " row"] | None, steps: int) -> tuple[Cache, Int[Tensor, "row pos"]]:
    """A cache and a mask for rows that each continue prompt `rows[i]` by at most `steps` tokens.

    None: each prompt is continued once, in the room that `prefill` made for it. The mask is at its final length; pass
    `mask[:, :n]` for n positions.
    """
    length = prefix.mask.shape[1]
    held: Iterable[tuple[Tensor, Tensor]] = zip(prefix.keys, prefix.values, strict=True)
    mask = prefix.mask
    if rows is not None:
        held, mask = _shared_out(prefix, rows, steps), prefix.mask[rows]
    layers: list[Any] = [_ReservedLayer(keys, values, length) for keys, values in held]
    return Cache(layers=layers), torch.cat([mask, mask.new_ones(len(mask), steps)], dim=1)


def _shared_out(prefix: Prefix, rows: Int[Tensor, " row"], steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Each layer's keys and values, with those of every row's prompt in them."""
    length = prefix.mask.shape[1]
    prompts, counts = torch.unique_consecutive(rows, return_counts=True)

    def reserve(source: Tensor) -> Tensor:
        whole = _room(source, len(rows), length + steps)
        for part, prompt in zip(whole.split(counts.tolist()), prompts.tolist(), strict=True):
            part[:, :, :length] = source[prompt, :, :length]
        return whole

    for keys, values in zip(prefix.keys, prefix.values, strict=True):
        yield reserve(keys), reserve(values)


def _room(like: Tensor, rows: int, length: int) -> Tensor:
    """Memory for keys or values as those of `like`, not set. On a CPU it comes in huge pages: numpy asks, torch not."""
    shape = (rows, like.shape[1], length, like.shape[-1])
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
