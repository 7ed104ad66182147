"""What conditions of a sweep over gamma are compared by: diversity, quality and fidelity, prompt by prompt.

Diversity is the semantic spread of a prompt's texts (primary) and their EAD. Quality is surprisal, which depends on who
reads: the aligned model asked in its own form, and the base model given the prompt in plain text; and repeated 4-grams.
Fidelity is how much nearer texts lie to their own prompt than to the others. All at equal counts and equal length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from creativity_lens.cells import repeated_share
from creativity_lens.decoding.writing import read_back
from creativity_lens.diversity import ead, semantic_spread, tokens_of
from creativity_lens.models import Model
from creativity_lens.prompts import Prompt
from creativity_lens.scores import Generation
from creativity_lens.statistics import Estimate, t_interval
from creativity_lens.vocabulary import in_plain

SPREAD, EAD = "semantic spread", "EAD"
BY_ALIGNED, BY_BASE = "surprisal, read by aligned", "surprisal, read by base"
REPETITION, FIDELITY = "repetition", "fidelity"
UNITS = {
    SPREAD: "1 - cosine", EAD: "ratio", BY_ALIGNED: "nats per token", BY_BASE: "nats per token",
    REPETITION: "share of 4-grams", FIDELITY: "cosine difference",
}  # fmt: skip
MIXTURE, BASELINE = "mixture", "baseline"

ByPrompt = Float[np.ndarray, " prompt"]


@dataclass(frozen=True, eq=False)
class Condition:
    """One way of writing, and its texts for every prompt x sample, in that order."""

    name: str
    kind: str  # "mixture" or "baseline"
    gamma: float  # of a mixture; that a baseline is compared at
    texts: tuple[Generation, ...]
    note: str = ""


def measure_conditions(
    conditions: Sequence[Condition], prompts: Sequence[Prompt], aligned: Model, base: Model, embedder: Any
) -> dict[str, dict[str, ByPrompt]]:
    """Each condition's value of each measure for each prompt, NaN where it could not be measured.

    All texts are read against the prompt as it was given, also those of a condition that added to it.
    """
    samples = len(conditions[0].texts) // len(prompts)
    texts = [text for condition in conditions for text in condition.texts]
    given = [prompt.text for _ in conditions for prompt in prompts for _ in range(samples)]
    ids = [text.token_ids for text in texts]
    shape = (len(conditions), len(prompts), samples)
    own, other = (np.reshape(read_back(model, given, ids), shape) for model in (aligned, in_plain(base)))
    repeated = np.reshape([repeated_share(each) for each in ids], shape)
    embedded = embedder.embed([text.text for text in texts], description="embedding").reshape(*shape, -1)
    asked = embedder.embed([prompt.text for prompt in prompts], description="embedding prompts")
    words = len({word for text in texts for word in tokens_of(text.text)})
    found: dict[str, dict[str, ByPrompt]] = {}
    for c, condition in enumerate(conditions):
        said = [[text.text for text in condition.texts[p * samples : (p + 1) * samples]] for p in range(len(prompts))]
        found[condition.name] = {
            SPREAD: np.array([semantic_spread(embedded[c, p]) for p in range(len(prompts))]),
            EAD: np.array([ead(each, vocabulary=words) for each in said]),
            BY_ALIGNED: own[c].mean(-1),
            BY_BASE: other[c].mean(-1),
            REPETITION: repeated[c].mean(-1),
            FIDELITY: fidelity(embedded[c], asked),
        }
    return found


def fidelity(texts: Float[np.ndarray, "prompt sample dim"], prompts: Float[np.ndarray, "prompt dim"]) -> ByPrompt:
    """Mean cosine of each prompt's texts with it, less their mean cosine with the other prompts; unit rows expected.

    0 when texts say nothing of what they were asked for. NaN with one prompt, and where a text could not be embedded.

    >>> fidelity(np.eye(2)[:, None], np.eye(2)).tolist()
    [1.0, 1.0]
    """
    n = len(prompts)
    if n < 2:
        return np.full(n, np.nan)
    cosines = np.einsum("psd,qd->pq", texts.astype(float), prompts.astype(float)) / texts.shape[1]
    own = np.diagonal(cosines)
    return own - (cosines.sum(1) - own) / (n - 1)


def table_of(conditions: Sequence[Condition], values: dict[str, dict[str, ByPrompt]], base_name: str) -> pd.DataFrame:
    """One row per condition and measure: mean over prompts with its interval, and the paired change from `base_name`.

    n is prompts. Columns: condition, kind, gamma, measure, estimate, low, high, n, unit, change, change_low,
    change_high, primary, note.
    """
    rows = []
    for condition in conditions:
        for measure, unit in UNITS.items():
            mine = values[condition.name][measure]
            estimate = t_interval(mine, unit=unit)
            change = (
                Estimate(0.0, np.nan, np.nan, estimate.n)
                if condition.name == base_name
                else t_interval(mine - values[base_name][measure])
            )
            rows.append(
                {
                    "condition": condition.name, "kind": condition.kind, "gamma": condition.gamma, "measure": measure,
                    "estimate": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n,
                    "unit": unit, "change": change.value, "change_low": change.low, "change_high": change.high,
                    "primary": measure == SPREAD, "note": condition.note,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)
