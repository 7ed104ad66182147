"""From logits to a token: truncations, mixtures of two models, and luck that is shared between conditions.

Sampling is `argmax(logits + T * noise)` with Gumbel noise from a counter-based generator keyed by (prompt, seed) and
counted by (step, token id). The same prompt and seed therefore draw the same luck in every condition and every batch,
which makes differences between conditions far less noisy than independent draws would (the Gumbel-max trick, used as
common random numbers). A temperature of 0 is greedy.

A mixture of two models is one more set of logits, log q, drawn from at temperature 1: each model's own temperature acts
before they are mixed (conformative decoding, arXiv 2507.20956).
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from creativity_lens.errors import InputError, check_choice

MIXES = ("prob", "logprob", "contrast")
TRUNCATES = ("instruct-first", "after-mix")
Weight = float | int  # gamma: 0 and 1 are as good as 0.0 and 1.0
COLDEST = 1e-4  # a temperature of 0 as a distribution: all on the likeliest id


@dataclass(frozen=True)
class Mixing:
    """How two models' distributions become one; the weight gamma of the base model is each row's own.

    `mix`: "prob" is (1 - gamma) p + gamma b, "logprob" p^(1 - gamma) b^gamma, and "contrast", the other direction,
    p (p / b)^gamma: what the aligned model likes more than its base. `truncate`: "instruct-first" keeps the ids that
    the aligned model's truncated distribution leaves, "after-mix" truncates the mixture. Then all is renormalised.
    """

    mix: str = "prob"
    truncate: str = "instruct-first"

    def __post_init__(self) -> None:
        check_choice("mix", self.mix, MIXES)
        check_choice("truncate", self.truncate, TRUNCATES)

    def needs(self, gamma: Weight | None, *, truncated: bool) -> tuple[bool, bool]:
        """Whether a row of that gamma needs the aligned model, and whether it needs the base model.

        >>> Mixing().needs(0.0, truncated=True), Mixing().needs(1.0, truncated=False)
        ((True, False), (False, True))
        """
        if not gamma:
            return True, False
        support_is_its_own = truncated and self.truncate == "instruct-first"
        return gamma < 1 or self.mix == "contrast" or support_is_its_own, True


def check_gamma(gamma: Weight) -> None:
    """Refuse a weight outside 0..1, NaN among them."""
    if not 0.0 <= gamma <= 1.0:
        raise InputError(f"gamma: expected a number from 0 (the aligned model) to 1 (its base), got {gamma}.")


def mixed(
    aligned: Float[Tensor, "row vocab"],
    base: Float[Tensor, "row base_vocab"],
    gamma: Float[Tensor, " row"],
    temperature: Float[Tensor, " row"],
    base_temperature: Float[Tensor, " row"],
    *,
    mixing: Mixing | None = None,
    top_p: float = 1.0,
    top_k: int = 0,
    min_p: float = 0.0,
    banned: tuple[int, ...] = (),
) -> Float[Tensor, "row vocab"]:
    """log q, the natural log of the mixture of two models' next-token distributions; each row sums to 1.

    Each row's temperatures act first; a row whose aligned temperature is 0 is greedy, and a 0 there counts as 1. On T,
    the ids that the truncation leaves, q is as `Mixing` says, elsewhere 0. Where the mixture has nothing on T, q is the
    aligned model's own distribution on T; where b is 0, a contrast leaves p as it is. Ids that only the base model has
    are dropped, ids that it lacks have b = 0. A row with a NaN in either model's logits is NaN throughout.

    >>> one, other = torch.tensor([[0.5, 0.5, 0.0]]).log(), torch.tensor([[0.0, 0.5, 0.5]]).log()
    >>> mixed(one, other, torch.tensor([0.5]), torch.ones(1), torch.ones(1)).exp()
    tensor([[0.2500, 0.5000, 0.2500]])
    """
    mixing = mixing or Mixing()
    never = torch.tensor(banned, dtype=torch.long, device=aligned.device)
    greedy = temperature == 0
    own = _heated(aligned.float(), temperature.masked_fill(greedy, 1.0), never)
    other_temperature = base_temperature.masked_fill(greedy & (base_temperature == 0), 1.0)
    other = _heated(_of_width(base.to(aligned.device).float(), own.shape[-1]), other_temperature, never)
    weight = gamma.to(own)[:, None]
    if mixing.mix == "prob":
        logs = torch.lerp(own.softmax(-1), other.softmax(-1), weight).log_()
    else:
        logs = _mixed_logs(own.log_softmax(-1), other.log_softmax(-1), weight, mixing.mix)
    broken = logs.sum(-1).isnan()
    truncated = is_truncated(top_p, top_k, min_p)
    kept = (
        support(own, top_p=top_p, top_k=top_k, min_p=min_p)
        if truncated and mixing.truncate == "instruct-first"
        else None
    )
    if kept is not None:
        logs.masked_fill_(~kept, -math.inf)
    lost = logs.amax(-1) == -math.inf
    if lost.any():
        alone = own.log_softmax(-1)
        logs = torch.where(lost[:, None], alone if kept is None else alone.masked_fill(~kept, -math.inf), logs)
    if truncated and mixing.truncate == "after-mix":
        logs = logs.masked_fill(~support(logs, top_p=top_p, top_k=top_k, min_p=min_p), -math.inf)
    return logs.log_softmax(-1).masked_fill_(broken[:, None], math.nan)


def _heated(logits: Tensor, temperature: Tensor, never: Tensor) -> Tensor:
    heated = logits / temperature.clamp(min=COLDEST)[:, None]
    return heated.index_fill_(-1, never, -math.inf) if len(never) else heated


def _of_width(logits: Tensor, width: int) -> Tensor:
    """Logits of another model for as many ids as the first one has."""
    if logits.shape[-1] >= width:
        return logits[:, :width]
    return torch.nn.functional.pad(logits, (0, width - logits.shape[-1]), value=-math.inf)


def _mixed_logs(own: Tensor, other: Tensor, weight: Tensor, mix: str) -> Tensor:
    """Mixtures of logs; 0 x -inf, which is NaN, does not come up."""
    if mix == "contrast":
        pushed = (1 + weight) * own - weight * other
        return torch.where((own == -math.inf) | (other == -math.inf) | (weight == 0), own, pushed)
    between = (1 - weight) * own + weight * other
    return torch.where(weight == 0, own, torch.where(weight == 1, other, between))


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
    if is_truncated(top_p, top_k, min_p):
        logits = logits.index_fill(-1, never, -math.inf)
        kept = support(logits / temperature.clamp(min=COLDEST)[:, None], top_p=top_p, top_k=top_k, min_p=min_p)
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


def is_truncated(top_p: float, top_k: int, min_p: float) -> bool:
    """Whether any of the truncations is on."""
    return top_k > 0 or top_p < 1.0 or min_p > 0.0


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
