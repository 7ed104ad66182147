"""From logits to a token: truncations, and luck that is shared between conditions.

Sampling is `argmax(logits + T * noise)` with Gumbel noise from a counter-based generator keyed by (prompt, seed) and
counted by (step, token id). The same prompt and seed therefore draw the same luck in every condition and every batch,
which makes differences between conditions far less noisy than independent draws would (the Gumbel-max trick, used as
common random numbers). A temperature of 0 is greedy.
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from creativity_lens.errors import InputError


def gumbel_noise(prompt_id: str, seed: int, step: int, size: int) -> Float[np.ndarray, " vocab"]:
    """Standard Gumbel noise for the `size` token ids of one step; a function of its arguments alone.

    Always finite, between -2.82 and 16.64: an id that trails the best one by more than 19.5 T logits is never drawn.

    >>> bool((gumbel_noise("p", 0, 3, 10) == gumbel_noise("p", 0, 3, 20)[:10]).all())
    True
    """
    key = np.frombuffer(hashlib.blake2b(f"{seed}:{prompt_id}".encode(), digest_size=16).digest(), np.uint64)
    bits = np.random.Philox(key=key, counter=[0, 0, 0, step]).random_raw((size + 1) // 2).view(np.uint32)[:size]
    # 23 bits and a half step are exact in float32: never 0, never 1, both logarithms finite (24 bits would round to 1)
    uniform = ((bits >> 9).astype(np.float32) + np.float32(0.5)) * np.float32(2**-23)
    return -np.log(-np.log(uniform))


def next_tokens(
    logits: Float[Tensor, "row vocab"],
    noise: Float[Tensor, "row vocab"] | None,
    temperature: Float[Tensor, " row"],
    *,
    top_p: float = 1.0,
    top_k: int = 0,
    min_p: float = 0.0,
    banned: tuple[int, ...] = (),
) -> Int[Tensor, " row"]:
    """One token id a row. Rows of temperature 0 are greedy; without noise all rows are.

    Truncations apply to the distribution at the row's temperature, in the order top-k, top-p, min-p; `banned` ids are
    never drawn. A row whose logits hold a NaN draws the id of a NaN.

    >>> next_tokens(torch.tensor([[0.0, 2.0, 1.0]]), None, torch.tensor([0.0]), banned=(1,))
    tensor([2])
    """
    logits = logits.float()
    never = torch.tensor(banned, dtype=torch.long, device=logits.device)
    if top_k > 0 or top_p < 1.0 or min_p > 0.0:
        logits = logits.index_fill(-1, never, -math.inf)
        kept = support(logits / temperature.clamp(min=1e-4)[:, None], top_p=top_p, top_k=top_k, min_p=min_p)
        logits = logits.masked_fill(~kept, -math.inf)
    # one pass over the vocabulary, then the few banned ids in place: a copy of all logits would cost as much again
    scores = logits.clone() if noise is None else torch.addcmul(logits, noise, temperature[:, None])
    return scores.index_fill_(-1, never, -math.inf).argmax(-1)


def support(
    logits: Float[Tensor, "row vocab"], *, top_p: float = 1.0, top_k: int = 0, min_p: float = 0.0
) -> Bool[Tensor, "row vocab"]:
    """The token ids that the truncations leave. The likeliest id is always among them.

    top-k: the k likeliest; top-p (nucleus): the shortest head that holds at least `top_p` of what top-k left; min-p:
    those at least `min_p` times as likely as the likeliest. Ids tied with the last one kept are kept, so the order of
    ids never matters. The nucleus is found from growing heads of the distribution, not by sorting every vocabulary.
    """
    check_truncation(top_p, top_k, min_p)
    kept = torch.ones_like(logits, dtype=torch.bool)
    if top_k > 0 and top_k < logits.shape[-1]:
        kept &= logits >= logits.topk(top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(~kept, -math.inf)
    probabilities = logits.softmax(-1)
    if top_p < 1.0:
        kept &= probabilities >= _nucleus_floor(probabilities, top_p)
        # what is cut is renormalised away before min-p, which is a ratio and does not notice
    if min_p > 0.0:
        kept &= probabilities >= min_p * probabilities.amax(-1, keepdim=True)
    return kept


def _nucleus_floor(probabilities: Float[Tensor, "row vocab"], top_p: float) -> Float[Tensor, "row one"]:
    """The smallest probability in each row's nucleus: the shortest head whose sum reaches `top_p`."""
    size = probabilities.shape[-1]
    floor = torch.zeros_like(probabilities[:, :1])
    rows = torch.arange(len(probabilities), device=probabilities.device)
    width = min(64, size)
    while len(rows):
        head = probabilities[rows].topk(width, dim=-1).values
        total = head.cumsum(-1)
        reached = (total[:, -1] >= top_p) | (width == size)
        length = (total < top_p).sum(-1).clamp(max=width - 1)
        floor[rows[reached]] = head.gather(1, length[:, None])[reached]
        rows, width = rows[~reached], min(4 * width, size)
    return floor


def check_truncation(top_p: float, top_k: int, min_p: float) -> None:
    """Refuse truncations outside their range."""
    if not 0.0 < top_p <= 1.0:
        raise InputError(f"top_p: expected a number above 0 and at most 1, got {top_p}.")
    if top_k < 0:
        raise InputError(f"top_k: expected 0 (off) or a positive whole number, got {top_k}.")
    if not 0.0 <= min_p < 1.0:
        raise InputError(f"min_p: expected a number from 0 to below 1, got {min_p}.")


class Luck:
    """A batch's Gumbel noise: drawn once per (prompt, seed) and step, on the CPU, for all rows that share it."""

    def __init__(self, keys: Sequence[tuple[str, int]], vocabulary: int, device: torch.device) -> None:
        self._keys = list(dict.fromkeys(keys))
        number = {key: index for index, key in enumerate(self._keys)}
        self._source = torch.tensor([number[key] for key in keys])
        self._rows = torch.empty(len(keys), vocabulary, device=device)

    def at(self, step: int, alive: Int[Tensor, " row"]) -> Float[Tensor, "row vocab"]:
        """The noise of the rows that are still in the batch; overwritten by the next call."""
        used, place = self._source[alive].unique(return_inverse=True)
        keys = [self._keys[index] for index in used.tolist()]
        device, vocabulary = self._rows.device, self._rows.shape[1]
        noise = np.stack([gumbel_noise(prompt, seed, step, vocabulary) for prompt, seed in keys])
        # into the same memory at every step: fresh memory of this size costs more than the copy
        return torch.index_select(torch.from_numpy(noise).to(device), 0, place.to(device), out=self._rows[: len(place)])
