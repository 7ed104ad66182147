"""Conditions: what a stage of the sweep generates, the texts it gets, what is measured of them, prompt by prompt."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from creativity_lens.cells import Cell, repeated_share
from creativity_lens.errors import InputError
from creativity_lens.generation import Probe, Row, generate_rows
from creativity_lens.models import Model
from creativity_lens.prompts import Prompt
from creativity_lens.reading import Passage
from creativity_lens.scoring import Scorer, read_passages, read_texts, surprisals
from creativity_lens.steering import Steering

PARTS = 8  # batches of a stage, at least: what a lost worker loses, and how many can share the stage
GAIN_ONLY = ("flip", "band")  # controls are compared in gain alone: no surprisal is measured of them


@dataclass(frozen=True, eq=False)
class Condition:
    """One way of generating: an edit, a temperature, or an added instruction, and the luck it draws."""

    concept: str  # whose direction or control it is; "" where it serves all (unsteered)
    name: str  # steered, unsteered, chosen, negated, prompted, isotropic, temperature, layer, flip, band
    seeds: tuple[int, ...]
    steering: Steering | None = None
    temperature: float = 1.0
    control: int | None = None
    front: str = ""  # said before the prompt
    n_prompts: int | None = None  # only the first so many

    @property
    def keys(self) -> dict[str, Any]:
        """What tells it from others in the tables."""
        edit = self.steering
        return {
            "concept": self.concept,
            "condition": self.name,
            "layer": edit.layer if edit else None,
            "strength": edit.strength if edit else 0.0,
            "method": edit.method if edit else None,
            "temperature": self.temperature,
            "control": self.control,
        }


@dataclass(frozen=True, eq=False)
class Texts:
    """The texts of one stage, one row each, in the order of conditions x prompts x seeds."""

    frame: pd.DataFrame  # the columns of generations.parquet
    place: Int[np.ndarray, "text 2"]  # number of its condition, number of its prompt
    conditions: tuple[Condition, ...]
    prompts: tuple[Prompt, ...]

    def of(self, number: int) -> Bool[np.ndarray, " text"]:
        """Which rows belong to a condition."""
        return self.place[:, 0] == number

    def find(self, name: str, concept: str = "") -> list[int]:
        """Numbers of the conditions of a name."""
        return [i for i, c in enumerate(self.conditions) if c.name == name and c.concept == concept]


def check_prompts(
    model: Model, dev: Sequence[Prompt], test: Sequence[Prompt], *, max_new_tokens: int, front: str
) -> None:
    """Refuse prompts that cannot be written for, with `front` before them too, or that both stages would draw."""
    both = [*dev, *test]
    if not dev or not test:
        raise InputError(f"prompts: expected some for dev and for test, got {len(dev)} and {len(test)}.")
    for what, values in (("id", [prompt.id for prompt in both]), ("text", [prompt.text for prompt in both])):
        again = next((value for number, value in enumerate(values) if value in values[:number]), None)
        if again is not None:
            raise InputError(
                f"prompts: the {what} '{again[:60]}' stands twice; every prompt is drawn in one stage only."
            )
    for prompt in both:
        length = len(model.encode_prompt(front + prompt.text).ids) + max_new_tokens
        if length > model.context:
            raise InputError(
                f"prompt '{prompt.id}': {length} tokens with {max_new_tokens} new ones, expected at most the context of"
                f" {model.context} of {model.name}; shorten it, or set --max-new-tokens."
            )


def write_texts(
    model: Model,
    stage: str,
    conditions: Sequence[Condition],
    prompts: Sequence[Prompt],
    *,
    max_new_tokens: int,
    batch_rows: int | str,
    probe: Probe | None,
) -> Texts:
    """Generate every condition x prompt x seed in shared batches. Ends are not drawn: all texts are equally long."""
    place = np.array(
        [
            (c, p)
            for c, condition in enumerate(conditions)
            for p in range(len(prompts))[: condition.n_prompts]
            for _ in condition.seeds
        ]
    )
    rows = [
        Row(replace(prompt, text=condition.front + prompt.text), seed, condition.steering, condition.temperature)
        for condition in conditions
        for prompt in prompts[: condition.n_prompts]
        for seed in condition.seeds
    ]
    made = generate_rows(
        model, rows, max_new_tokens=max_new_tokens, min_new_tokens=max_new_tokens, batch_rows=batch_rows, parts=PARTS,
        probe=probe, description=f"writing {stage} texts",
    )  # fmt: skip
    keys = [condition.keys for condition in conditions]
    frame = pd.DataFrame(
        {
            "text_id": f"{stage}-{number:05d}",
            **keys[c],
            "stage": stage,
            "prompt_id": text.prompt_id,
            "seed": text.seed,
            "text": text.text,
            "token_ids": list(text.token_ids),
            "hooked_score": text.probe,
        }
        for number, (text, (c, _)) in enumerate(zip(made, place, strict=True))
    )
    frame["layer"], frame["control"] = frame["layer"].astype("Int64"), frame["control"].astype("Int64")
    return Texts(frame, place, tuple(conditions), tuple(prompts))


@dataclass(frozen=True, eq=False)
class Measured:
    """What one concept's clean reader says of a stage's texts; NaN where a text was not read."""

    score: Float[np.ndarray, " text"]  # gaps
    match: Float[np.ndarray, " text"]  # sim(own prompt) - mean sim(other prompts)
    means: Float[Tensor, "text d_model"]
    tokens: dict[int, Tensor]  # token scores in gaps, of the texts that were asked for


def measure_texts(
    model: Model, texts: Texts, concept: str, scorer: Scorer, *, with_tokens: Sequence[int] = ()
) -> Measured:
    """Read the concept's texts, and the ones that serve all, by the clean model at the scorer's layer."""
    mine = np.flatnonzero(texts.frame["concept"].isin([concept, ""]).to_numpy())
    ids = texts.frame["token_ids"].tolist()
    readings = read_texts(
        model, [ids[i] for i in mine], scorer.layer, length=scorer.length, description=f"reading {concept}"
    )
    score = np.full(len(ids), np.nan)
    score[mine] = scorer.score(readings.means).numpy()
    means = torch.full((len(ids), model.d_model), torch.nan)
    means[mine] = readings.means
    tokens = {}
    if len(with_tokens):
        again = read_texts(model, [ids[i] for i in with_tokens], scorer.layer, length=scorer.length, scorer=scorer)
        tokens = dict(zip(with_tokens, again.tokens, strict=True))
    return Measured(score, _match(model, texts, means, scorer, mine), means, tokens)


def _match(model: Model, texts: Texts, means: Tensor, scorer: Scorer, mine: np.ndarray) -> Float[np.ndarray, " text"]:
    """Closeness of each text to its own prompt over that to the others, on centred activations with w projected out."""
    passages = [Passage(*model.encode_prompt(prompt.text)) for prompt in texts.prompts]
    prompts = _unit(read_passages(model, passages, scorer.layer), scorer.vector, None)
    unsteered = np.isin(texts.place[:, 0], texts.find("unsteered"))
    vectors = _unit(means[mine], scorer.vector, means[unsteered])
    cosine = vectors @ prompts.T
    own = torch.from_numpy(texts.place[mine, 1])
    mine_own = cosine.gather(1, own[:, None])[:, 0]
    others = (cosine.sum(1) - mine_own) / max(1, len(texts.prompts) - 1)
    match = np.full(len(means), np.nan)
    match[mine] = (mine_own - others).numpy()
    return match


def _unit(means: Tensor, remove: Tensor, around: Tensor | None) -> Tensor:
    centered = means - (means if around is None else around).mean(0)
    return torch.nn.functional.normalize(centered - (centered @ remove)[:, None] * remove, dim=-1)


def hooked_gaps(projections: Float[np.ndarray, " text"], scorer: Scorer) -> Float[np.ndarray, " text"]:
    """A probe's mean projections, taken with the edit in place, in the scorer's gaps; NaN for a score that is a cosine.

    A cosine is no function of the projection alone.
    """
    if scorer.cosine:
        return np.full(len(projections), np.nan)
    return (projections - float(scorer.center @ scorer.vector)) / scorer.gap


def measure_surprisal(model: Model, texts: Texts) -> Float[np.ndarray, " text"]:
    """Nats per token under the clean model given the *neutral* prompt, whatever the text was written under."""
    wanted = np.flatnonzero(~texts.frame["condition"].isin(GAIN_ONLY).to_numpy())
    ids, values = texts.frame["token_ids"].tolist(), np.full(len(texts.frame), np.nan)
    prompts = [texts.prompts[texts.place[i, 1]].text for i in wanted]
    values[wanted] = surprisals(model, prompts, [ids[i] for i in wanted]).numpy()
    return values


def repetitions(texts: Texts) -> Float[np.ndarray, " text"]:
    """Share of repeated 4-grams of every text."""
    return np.array([repeated_share(ids) for ids in texts.frame["token_ids"]])


def by_prompt(texts: Texts, number: int, values: Float[np.ndarray, " text"]) -> Float[np.ndarray, " prompt"]:
    """Mean of a condition's texts per prompt; NaN for prompts it did not get."""
    rows = texts.of(number)
    prompt = texts.place[rows, 1]
    total = np.bincount(prompt, weights=values[rows], minlength=len(texts.prompts))
    count = np.bincount(prompt, minlength=len(texts.prompts))
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def cell_of(
    texts: Texts,
    number: int,
    score: Float[np.ndarray, " text"],
    match: Float[np.ndarray, " text"],
    surprisal: Float[np.ndarray, " text"],
    repetition: Float[np.ndarray, " text"],
) -> Cell:
    """A condition against no steering, everything per prompt."""
    base = texts.find("unsteered")[0]
    pairs = {
        name: (by_prompt(texts, number, values), by_prompt(texts, base, values))
        for name, values in (("gain", score), ("surprisal", surprisal), ("repetition", repetition), ("match", match))
    }
    return Cell(
        gain=pairs["gain"][0] - pairs["gain"][1],
        surprisal=pairs["surprisal"][0],
        surprisal_0=pairs["surprisal"][1],
        repetition=pairs["repetition"][0],
        repetition_0=pairs["repetition"][1],
        match=pairs["match"][0],
        match_0=pairs["match"][1],
    )


def gain_of(texts: Texts, number: int, score: Float[np.ndarray, " text"]) -> Float[np.ndarray, " prompt"]:
    """A condition's gain per prompt: its mean score less that of no steering."""
    return by_prompt(texts, number, score) - by_prompt(texts, texts.find("unsteered")[0], score)
