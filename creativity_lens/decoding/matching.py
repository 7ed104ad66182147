"""The temperature at which the aligned model alone is as uncertain as a mixture: the fair opponent of mixing.

Entropy is that of the distribution which tokens are really drawn from, truncated and renormalised, in nats, and both
are measured at the same places: after the same prompts and the mixture's own texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from creativity_lens.comparing import Push
from creativity_lens.decoding.writing import Decode
from creativity_lens.models import Model
from creativity_lens.prefix import continue_rows, prefill
from creativity_lens.progress import track
from creativity_lens.prompts import Prompt
from creativity_lens.sampling import COLDEST, is_truncated, mixed, support
from creativity_lens.scoring import continue_logits
from creativity_lens.steering import NO_EDITS, edit_table, steered

LADDER = np.geomspace(0.25, 4.0, 17)  # temperatures whose entropies are measured; between them they are interpolated


@dataclass(frozen=True)
class Truncation:
    """What is left of a distribution; nothing is cut by default."""

    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0

    def of(self, logits: Float[Tensor, "row vocab"], temperature: float) -> Float[Tensor, "row vocab"]:
        """Probabilities at a temperature, truncated and renormalised."""
        heated = logits.float() / max(temperature, COLDEST)
        if is_truncated(self.top_p, self.top_k, self.min_p):
            kept = support(heated, top_p=self.top_p, top_k=self.top_k, min_p=self.min_p)
            heated = heated.masked_fill(~kept, -torch.inf)
        return heated.softmax(-1)


@dataclass(frozen=True)
class Matched:
    """A temperature and the entropies that it matches."""

    temperature: float
    entropy: float  # mean of the mixture, nats
    reached: float  # mean of the aligned model at that temperature, as interpolated
    is_reached: bool  # False where no temperature of the ladder is as uncertain


def match_temperatures(
    aligned: Model, base: Model, prompts: Sequence[Prompt], texts: Sequence[Sequence[int]], gamma: float,
    decode: Decode, *, truncations: Sequence[Truncation], push: Push = (),
) -> list[Matched]:  # fmt: skip
    """For each truncation, the aligned model's temperature at which its mean entropy is the mixture's.

    `texts[i]` are token ids that the mixture wrote after `prompts[i]`, steered by `push`. The mixture is truncated as
    `decode` says.
    """
    drawn = decode.sampling
    heat = drawn.temperature
    other = heat if decode.base_temperature is None else decode.base_temperature
    target, counted = 0.0, 0
    ladder: np.ndarray = np.zeros((len(truncations), len(LADDER)))
    with track("matching entropy", len(texts), unit="texts") as advance, torch.inference_mode():
        for prompt, ids in zip(prompts, texts, strict=True):
            advance(1)
            if not len(ids):
                continue
            mine = _logits(aligned, aligned.encode_prompt(prompt.text).ids, ids, push, drawn.scope)
            theirs = _logits(base, base.encode_prompt(prompt.text).ids, ids, (), "generated").to(mine.device)
            of_all = torch.ones(len(mine), device=mine.device)
            logs = mixed(
                mine, theirs, gamma * of_all, heat * of_all, other * of_all, mixing=decode.mixing,
                top_p=drawn.top_p, top_k=drawn.top_k, min_p=drawn.min_p,
            )  # fmt: skip
            target += float(entropy(logs.exp()).sum())
            counted += len(mine)
            for place, truncation in enumerate(truncations):
                ladder[place] += [float(entropy(truncation.of(mine, rung)).sum()) for rung in LADDER.tolist()]
    if not counted:
        return [Matched(heat, np.nan, np.nan, False) for _ in truncations]
    return [_match(target / counted, each / counted) for each in ladder]


def entropy(probabilities: Float[Tensor, "row vocab"]) -> Float[Tensor, " row"]:
    """-sum p log p of each row in nats; 0 log 0 is 0."""
    return torch.special.entr(probabilities).sum(-1)


def _match(target: float, reached: Float[np.ndarray, " rung"]) -> Matched:
    """Interpolated in the logarithm of the temperature; truncated entropies may wobble, so they are made to ascend."""
    ascending = np.maximum.accumulate(reached)
    temperature = float(np.exp(np.interp(target, ascending, np.log(LADDER))))
    within = bool(ascending[0] <= target <= ascending[-1])
    return Matched(temperature, target, float(np.clip(target, ascending[0], ascending[-1])), within)


def _logits(
    model: Model, prompt: Sequence[int], ids: Sequence[int], push: Push, scope: str
) -> Float[Tensor, "pos vocab"]:
    """Logits that each token of a text was drawn from, steered as when it was written."""
    known = torch.tensor([[i if i < model.vocabulary else model.start_ids[0] for i in ids]], device=model.device)
    table = edit_table([push], model)
    prefix = prefill(model, [prompt], table=table if scope == "all" else NO_EDITS)
    row = torch.zeros(1, dtype=torch.long, device=model.device)
    with steered(model, table):
        rest = continue_logits(model, *continue_rows(prefix, row, len(ids)), known)
    return torch.cat([prefix.logits, rest[0]])
