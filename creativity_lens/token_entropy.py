"""Entropy of the next token: the one place that reads whole distributions, position by position.

H_t = -sum p log p of the distribution that text token t was drawn from, at temperature 1, in nats: over the full
vocabulary, over the nucleus (renormalised) and over the k likeliest ids (renormalised), beside the surprisal of the
token itself. The first token's distribution is the one that follows the start. Texts may be the model's own
(free-running) or anybody's (forced): the same pass reads both, and identical texts make models comparable.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from creativity_lens.errors import InputError
from creativity_lens.models import Model
from creativity_lens.prefix import continue_rows, prefill
from creativity_lens.progress import track
from creativity_lens.sampling import check_truncation
from creativity_lens.scoring import GPU_SOFTMAX_BYTES, SOFTMAX_BYTES, continue_logits, logit_room
from creativity_lens.steering import Steering, edit_table, steered

ZERO = -200.0  # a logit this far below the largest has probability 0 in float32; -inf would make 0 x -inf of it


@dataclass(frozen=True, eq=False)
class TokenEntropies:
    """Entropies and surprisals `[text, pos]` in nats, as wide as the longest text; NaN beyond a text's end."""

    full: Float[np.ndarray, "text pos"]
    truncated: Float[np.ndarray, "text pos"]  # of the nucleus, renormalised
    top_k: Float[np.ndarray, "text pos"]  # of the k likeliest ids, renormalised
    surprisal: Float[np.ndarray, "text pos"]  # of the token that stands there

    def __repr__(self) -> str:
        texts, width = self.full.shape
        return f"TokenEntropies({texts} texts of up to {width} tokens, nats)"


def token_entropies(
    model: Model,
    starts: Sequence[Sequence[int]],
    texts: Sequence[Sequence[int]],
    *,
    top_p: float = 0.9,
    top_k: int = 50,
    push: Sequence[Steering] = (),
    description: str = "entropy",
) -> TokenEntropies:
    """Entropies of every token of each text (token ids), given what stands in front of it.

    The model is clean, or it is steered by `push` as `generate` steers it: from the text's first token on, which itself
    is drawn from what follows the clean start.

    `starts[i]` are the ids in front of text i, in whatever format the model is to be asked; each distinct start runs
    once and its cache is shared by all of its texts. Values do not depend on what else is read, but for rounding (below
    1e-4; where an id stands on the nucleus's border, rounding can move it, and the truncated entropy by its share).
    Memory is that of one batch's logits, however many texts there are.

    Raises `InputError` for a start and text beyond the context, a start without a token and an unknown id.

    >>> read = token_entropies(model, [model.encode_prompt("Write.").ids], [model.encode_text("It rains.")])
    ... # doctest: +SKIP
    >>> read.full.shape                                                                         # doctest: +SKIP
    (1, 4)
    """
    check_truncation(top_p, top_k, 0.0)
    _check(model, starts, texts)
    keys = [tuple(start) for start in starts]
    width = max(map(len, texts), default=0)
    values = np.full((len(fields(TokenEntropies)), len(texts), width), np.nan, dtype=np.float32)
    order = sorted((i for i in range(len(texts)) if len(texts[i])), key=lambda i: (keys[i], len(texts[i]), i))
    room = logit_room(model) // (4 * model.vocabulary)
    with track(description, sum(map(len, texts)), unit="tokens") as advance, torch.inference_mode():
        while order:
            size = max(1, room // max(len(texts[i]) for i in order))
            rows, order = order[:size], order[size:]
            found = _read(model, [keys[i] for i in rows], [texts[i] for i in rows], top_p, top_k, push)
            for row, one in zip(rows, found.transpose(1, 0, 2), strict=True):
                values[:, row, : len(texts[row])] = one[:, : len(texts[row])]
            advance(sum(len(texts[i]) for i in rows))
    return TokenEntropies(*values)


def entropies_of(
    logits: Float[Tensor, "row vocab"], ids: Int[Tensor, " row"], top_p: float = 0.9, top_k: int = 50
) -> Float[Tensor, "4 row"]:
    """Entropy full, of the nucleus and of the `top_k` likeliest ids, and the surprisal of `ids`: nats, float32.

    The supports are those that `sampling.support` leaves: the shortest head that holds at least `top_p`, and the k
    likeliest, each with the ids tied with its last one; `top_k` 0 and `top_p` 1 cut nothing. Logits of -inf have
    probability 0; a row without any finite one, or with a NaN, is NaN. The logits are not changed.

    >>> [round(float(value), 3) for value in entropies_of(torch.zeros(1, 8), torch.tensor([3]), 0.5, 2)]
    [2.079, 2.079, 2.079, 2.079]
    """
    check_truncation(top_p, top_k, 0.0)
    size = max(1, (SOFTMAX_BYTES if logits.device.type == "cpu" else GPU_SOFTMAX_BYTES) // (16 * logits.shape[-1]))
    work = logits.new_empty((3, min(size, len(logits)), logits.shape[-1]), dtype=torch.float32)
    found = [
        _of_block(some, wanted, top_p, top_k, work[:, : len(some)])
        for some, wanted in zip(logits.split(size), ids.split(size), strict=True)
    ]
    return torch.cat(found, dim=1) if found else work.new_empty(4, 0)


def _of_block(logits: Tensor, ids: Tensor, top_p: float, top_k: int, work: Tensor) -> Tensor:
    """The four numbers of some rows, computed in work spaces of the block's size: fresh memory costs more.

    Sorted once, each truncation leaves a tail of the row, so that cumulative sums are all it takes. Numpy's sort is
    vectorised and quicker than torch's search for the 50 largest.
    """
    below, mass, sums = work  # each row's logits less the largest; their exponentials
    torch.sub(logits, logits.amax(-1, keepdim=True), out=below)
    asked = below.gather(1, ids[:, None])[:, 0]
    below.clamp_(min=ZERO)
    if below.device.type == "cpu":
        below.numpy().sort(axis=-1)
    else:
        below.copy_(below.sort(-1).values)
    torch.exp(below, out=mass)
    total = mass.sum(-1)
    full = nucleus = head = _entropy(total, torch.linalg.vecdot(mass, below))
    size = below.shape[-1]
    if 0 < top_k < size:
        one, at = mass[:, size - top_k], below[:, size - top_k].contiguous()
        extra = size - top_k - _first_tied(below, at[:, None])[:, 0]  # tied with the k-th
        head_mass, head_below = mass[:, size - top_k :], below[:, size - top_k :]
        head = _entropy(head_mass.sum(-1) + extra * one, torch.linalg.vecdot(head_mass, head_below) + extra * one * at)
    if top_p < 1.0:
        torch.cumsum(mass, -1, out=sums)  # from the least likely up; torch carries it in float64 on a processor
        last = torch.searchsorted(sums, (1.0 - top_p) * total[:, None], right=True).clamp(max=size - 1)
        first = _first_tied(below, below.gather(1, last))
        cut = (first - 1).clamp(min=0)
        rest = torch.where(first > 0, sums.gather(1, cut), 0.0)[:, 0]
        torch.cumsum(mass.mul_(below), -1, out=sums)
        rest_below = torch.where(first > 0, sums.gather(1, cut), 0.0)[:, 0]
        nucleus = _entropy(total - rest, sums[:, -1] - rest_below)
    return torch.stack([full, nucleus, head, total.log() - asked])


def _first_tied(below: Tensor, floor: Tensor) -> Tensor:
    """Where the ids begin that are as likely as the floor or likelier."""
    # a NaN row sorts nowhere; whatever is found there is NaN anyway, if it is a place at all
    return torch.searchsorted(below, floor).clamp(max=below.shape[-1] - 1)


def _entropy(total: Tensor, weighted: Tensor) -> Tensor:
    """log z - sum(m log m) / z for masses m = exp(below): never a logarithm of 0."""
    return (total.log() - weighted / total).clamp(min=0.0)


def _read(
    model: Model,
    starts: list[tuple[int, ...]],
    texts: list[Sequence[int]],
    top_p: float,
    top_k: int,
    push: Sequence[Steering],
) -> Float[np.ndarray, "4 row pos"]:
    """The four numbers of a batch of texts; what lies beyond a text's end means nothing."""
    for_start = {start: place for place, start in enumerate(dict.fromkeys(starts))}
    prefix = prefill(model, list(for_start))
    source = torch.tensor([for_start[start] for start in starts], device=model.device)
    width = max(map(len, texts))
    ids = torch.full((len(texts), width), model.pad_id)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(text)
    ids = ids.to(model.device)
    first = entropies_of(prefix.logits[source], ids[:, 0], top_p, top_k)
    with steered(model, edit_table([tuple(push)] * len(texts), model)):
        logits = continue_logits(model, *continue_rows(prefix, source, width), ids)
    rest = entropies_of(logits.flatten(0, 1), ids[:, 1:].flatten(), top_p, top_k)
    return torch.cat([first[:, :, None], rest.view(4, len(texts), width - 1)], dim=2).cpu().numpy()


def _check(model: Model, starts: Sequence[Sequence[int]], texts: Sequence[Sequence[int]]) -> None:
    if len(starts) != len(texts):
        raise InputError(f"starts: expected one for each of {len(texts)} texts, got {len(starts)}.")
    for start, text in zip(starts, texts, strict=True):
        if not len(start):
            raise InputError("start of 0 tokens: expected at least one in front of a text; pass model.start_ids.")
        if len(start) + len(text) > model.context:
            raise InputError(
                f"start and text of {len(start) + len(text)} tokens: expected at most the context of {model.context} "
                f"of {model.name}; cut the text."
            )
        for each in (start, text):
            if len(each) and not 0 <= min(each) <= max(each) < model.vocabulary:
                wrong = min(each) if min(each) < 0 else max(each)
                raise InputError(
                    f"token id {wrong}: expected ids from 0 to {model.vocabulary - 1} of {model.name}; encode the "
                    "text with this model's tokenizer."
                )
