"""Token by token: what the clean model says of finished texts, at one layer or at all, in one pass over each text.

A text longer than the context is read in windows that overlap by half; a token's numbers come from the window in which
most stands before it, so that every token counts once.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from creativity_lens.errors import InputError
from creativity_lens.models import Model
from creativity_lens.progress import track
from creativity_lens.reading import CPU_BATCH_TOKENS, GPU_BATCH_TOKENS, Passage, batches
from creativity_lens.scoring import logit_room, token_log_probabilities


class Probe(NamedTuple):
    """What is read at a layer: the projection on a vector, less what is called 0."""

    layer: int
    vector: Float[Tensor, " d_model"]  # float32, unit length
    zero: float  # residual units


def window_size(model: Model, window: int | None) -> int:
    """Tokens of a text that fit into one window, of `window` tokens with the start token, by default the context."""
    size = (model.context if window is None else min(window, model.context)) - len(model.start_ids)
    if size < 2:
        raise InputError(f"window: expected room for at least 2 tokens beside the start token, got {window}.")
    return size


def read_tokens(
    model: Model, probes: Sequence[Probe], ids: Sequence[Sequence[int]], size: int, *, description: str = "scoring"
) -> tuple[Float[np.ndarray, "probe token"], Float[np.ndarray, " token"]]:
    """Centred projections (residual units) and surprisal (nats) of every token of all texts, one after the other.

    One probe a layer. A token's numbers do not depend on the other texts, but for rounding (below 1e-4).
    """
    passages, places, start = [], [], 0
    for text in ids:
        for passage, place in _windows(model, text, size):
            passages.append(passage)
            places.append(start + place)
        start += len(text)
    values = np.empty((len(probes) + 1, start), dtype=np.float32)
    gpu = model.device.type == "cuda"
    room = logit_room(model) // (4 * model.vocabulary)
    budget = max(1, min(GPU_BATCH_TOKENS if gpu else CPU_BATCH_TOKENS, room))
    kept: dict[int, Tensor] = {}
    hooks = {probe.layer: partial(_keep, kept, probe) for probe in probes}
    with track(description, start, unit="tokens") as advance, torch.no_grad(), model.hooks(hooks):
        for rows, batch in batches(model, passages, batch_tokens=budget):
            logits = model.forward(batch.ids)
            # what follows each position; what follows the last one is not asked for
            logs = token_log_probabilities(logits, batch.ids.roll(-1, 1).to(logits.device)).roll(1, 1)
            found = [kept.pop(probe.layer).to(logs.device) for probe in probes]
            read = torch.stack([*found, -logs])[:, batch.own.to(logs.device)]
            values[:, np.concatenate([places[row] for row in rows])] = read.cpu().numpy()
            advance(read.shape[1])
    return values[:-1], values[-1]


def means_of(
    values: Float[np.ndarray, "probe token"], lengths: Int[np.ndarray, " text"]
) -> Float[np.ndarray, "probe text"]:
    """Mean over each text's tokens; NaN for an empty one. What is not finite in one text stays in that text."""
    text = np.repeat(np.arange(len(lengths)), lengths)
    total = np.stack([np.bincount(text, weights=row, minlength=len(lengths)) for row in values])
    return np.divide(total, lengths, out=np.full(total.shape, np.nan), where=np.broadcast_to(lengths > 0, total.shape))


def _keep(kept: dict[int, Tensor], probe: Probe, residual: Tensor) -> None:
    kept[probe.layer] = residual.float() @ probe.vector.to(residual.device) - probe.zero


def _windows(model: Model, ids: Sequence[int], size: int) -> list[tuple[Passage, Int[np.ndarray, " token"]]]:
    """A text's windows, and which of its tokens each one measures: those that no earlier window holds."""
    front, found, measured = len(model.start_ids), [], 0
    for start in range(0, max(1, len(ids)), size // 2):
        end = min(start + size, len(ids))
        if end <= measured:
            break
        own = (False,) * (front + measured - start) + (True,) * (end - measured)
        found.append((Passage(model.start_ids + tuple(ids[start:end]), own), np.arange(measured, end)))
        measured = end
    return found
