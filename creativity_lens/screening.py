"""Screening: what an edit does to the next token, teacher-forced and without sampling.

Two numbers per edit: the change of log p(creative_response) - log p(boring_response) given the neutral prompt, in nats
per token, and KL(steered || clean) of the next token. The second makes edits of different layers and directions
comparable: equal fractions of the residual norm are not equal effects.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from creativity_lens.models import Model
from creativity_lens.prefix import Prefix, continue_rows, prefill
from creativity_lens.prompts import ContrastivePair
from creativity_lens.scoring import continue_logits, logit_room
from creativity_lens.steering import Steering, edit_table, steered
from creativity_lens.work import Arrays, Work, carry_out


@dataclass(frozen=True, eq=False)
class Screen:
    """One row per edit. NaN for a pair with a response of a single token, which no edit can reach."""

    log_ratio_change: Float[Tensor, "edit pair"]  # nats per token
    kl: Float[Tensor, "edit pair"]  # nats per token, >= 0


def screen(
    model: Model,
    pairs: Sequence[ContrastivePair],
    edits: Sequence[Steering],
    *,
    max_tokens: int = 64,
    description: str = "screening",
) -> Screen:
    """Teacher-force both responses of every pair under every edit. The prompt is run once and shared by all edits.

    The edit acts on the response's own tokens; both responses of a pair are cut to one length, at most `max_tokens`.
    Both numbers are means over the tokens after the first, which follows the unedited prompt.

    >>> screen(model, dev, [Steering(4, 8.0 * v, 0.2)]).kl.shape      # doctest: +SKIP
    torch.Size([1, 24])                                               # edit pair
    """
    works = [Work(_screen, (pair, max_tokens), tuple(edits), 2 * len(edits) * max_tokens) for pair in pairs]
    results = carry_out(model, works, description=description)
    found = [
        torch.from_numpy(np.stack([result.arrays[name] for result in results], axis=1)) for name in ("change", "kl")
    ]
    return Screen(*found)


def _screen(model: Model, settings: tuple[ContrastivePair, int], edits: Sequence[Steering]) -> Arrays:
    """Verb: `change [edit]` and `kl [edit]` on one pair, in nats per token."""
    pair, max_tokens = settings
    change, divergence = torch.zeros(len(edits)), torch.zeros(len(edits))
    sides = [model.encode_text(text)[:max_tokens] for text in (pair.creative_response, pair.boring_response)]
    width = min(map(len, sides))
    with torch.inference_mode():
        ids = torch.tensor([side[:width] for side in sides], device=model.device)
        prefix = prefill(model, [model.encode_prompt(pair.neutral).ids])
        clean = _log_softmax(model, prefix, ids, [None])
        base = _response_means(clean, ids)
        size = max(1, logit_room(model) // (2 * 4 * width * model.vocabulary))
        for start in range(0, len(edits), size):
            some = edits[start : start + size]
            logs = _log_softmax(model, prefix, ids, some)
            means = _response_means(logs, ids.repeat(len(some), 1)) - base.repeat(len(some))
            change[start : start + len(some)] = (means[0::2] - means[1::2]).cpu()
            moved = (logs.view(len(some), 2, *logs.shape[1:]) - clean).flatten(0, 1)
            kl = torch.einsum("rpv,rpv->rp", logs.exp_(), moved).mean(-1)
            kl = kl.clamp(min=0)  # float32 rounds it below 0 where nothing changed
            divergence[start : start + len(some)] = (kl[0::2] + kl[1::2]).div(2).cpu()
    return {"change": change.numpy(), "kl": divergence.numpy()}


def _log_softmax(
    model: Model, prefix: Prefix, ids: Tensor, edits: Sequence[Steering | None]
) -> Float[Tensor, "row pos vocab"]:
    """Log probabilities of the tokens after the first, for both responses under each edit (rows: edit-major)."""
    rows = torch.zeros(2 * len(edits), dtype=torch.long, device=model.device)
    tokens = ids.repeat(len(edits), 1)
    cache, mask = continue_rows(prefix, rows, ids.shape[1])
    with steered(model, edit_table([edit for edit in edits for _ in range(2)], model)):
        logits = continue_logits(model, cache, mask, tokens)
    return logits.float().log_softmax(-1)


def _response_means(logs: Tensor, ids: Tensor) -> Float[Tensor, " row"]:
    return logs.gather(-1, ids[:, 1:, None])[..., 0].mean(-1)


def match_divergence(
    model: Model,
    pairs: Sequence[ContrastivePair],
    make: Callable[[Float[Tensor, " edit"]], Sequence[Steering]],
    start: Float[Tensor, " edit"],
    target: Float[Tensor, " edit"],
    *,
    rounds: int = 2,
    max_tokens: int = 32,
) -> Float[Tensor, " edit"]:
    """Doses at which each edit's mean KL equals its `target`, by secant steps on log KL against log dose.

    `make(doses)` gives the edits. KL grows with the square of a small dose, which is the first step's slope. Every step
    screens once; the doses returned are not screened again.
    """
    doses = start.clone()
    slope = torch.full_like(doses, 2.0)
    before: tuple[Tensor, Tensor] | None = None
    for number in range(rounds):
        kl = screen(
            model, pairs, make(doses), max_tokens=max_tokens, description=f"matching controls {number + 1}/{rounds}"
        ).kl.nanmean(1)
        kl = kl.clamp(min=1e-9)
        if before is not None:
            change = (doses / before[0]).log()
            steps = (kl / before[1]).log() / change
            slope = torch.where(change.abs() > 1e-3, steps.clamp(0.5, 4.0), slope)
        before = (doses, kl)
        doses = doses * ((target / kl).log() / slope).clamp(-2.0, 2.0).exp()
    return doses
