"""Texts side by side: the same prompts with the same luck, without and with pushes, and what each push costs.

A push is a set of edits. A gate leaves prompts unsteered whose reading does not pass its threshold.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
from jaxtyping import Float

from creativity_lens.cells import Cell, coherence_of, repeated_share
from creativity_lens.errors import InputError
from creativity_lens.gating import Gate, GateReading, opened
from creativity_lens.generation import OnStep, Row, generate_rows
from creativity_lens.html_tables import html_columns
from creativity_lens.layers import layer_ranges
from creativity_lens.models import Model
from creativity_lens.prompts import Prompt
from creativity_lens.scores import Generation
from creativity_lens.scoring import surprisals
from creativity_lens.steering import Steering

COHERENT = 0.8  # what a sweep asks of the cell it chooses

Push = tuple[Steering, ...]


@dataclass(frozen=True, eq=False)
class Sampling:
    """How the next token is drawn."""

    max_new_tokens: int = 100
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    scope: str = "generated"  # or "all": the prompt is steered too


@dataclass(frozen=True)
class Cost:
    """What a push costs, over the texts that it steered; NaN where there are none."""

    coherence: float  # share kept, 1 = as fluent and as fresh as without steering
    surprisal: float  # nats per token under the clean model, given the prompt
    surprisal_0: float  # the same without steering
    repetition: float  # share of repeated 4-grams
    repetition_0: float
    prompts: int  # at which both texts could be measured

    @property
    def is_coherent(self) -> bool:
        """Whether as much is kept as a sweep asks of the cell it chooses; True where nothing could be measured."""
        return not self.coherence < COHERENT


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Texts for every prompt x push x sample; push 0 is no steering."""

    model: str
    prompts: tuple[Prompt, ...]
    pushes: tuple[Push, ...]
    texts: tuple[Generation, ...]  # by prompt, then push, then sample
    surprisal: tuple[float, ...]  # of each text, nats per token; NaN for an empty one
    costs: tuple[Cost, ...]  # of each push, that of no steering first
    gate: Gate | None
    readings: tuple[GateReading, ...]  # of each prompt by the gate; none without one

    @property
    def samples(self) -> int:
        """Texts per prompt and push."""
        return len(self.texts) // (len(self.prompts) * len(self.pushes))

    def text(self, prompt: int, push: int, sample: int) -> Generation:
        """One text, all three counted from 0."""
        return self.texts[(prompt * len(self.pushes) + push) * self.samples + sample]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row of plain values per text, as `clens steer --out` writes them."""
        found = []
        for number, (text, surprisal) in enumerate(zip(self.texts, self.surprisal, strict=True)):
            prompt = number // (len(self.pushes) * self.samples)
            row: dict[str, Any] = {
                "prompt_id": text.prompt_id,
                "prompt": self.prompts[prompt].text,
                "push": number // self.samples % len(self.pushes),
                "layers": list(text.layers),
                "strength": text.strength,
                "mode": text.mode,
                "method": text.method,
                "seed": text.seed,
                "temperature": text.temperature,
                "text": text.text,
                "tokens": len(text.token_ids),
                "surprisal": surprisal,
                "repetition": repeated_share(text.token_ids),
                "model": self.model,
            }
            if self.readings:
                reading = self.readings[prompt]
                row |= {"gate_open": reading.is_open, "gate_projection": reading.projection}
            found.append(row)
        return found

    def __repr__(self) -> str:
        of = f"{len(self.prompts)} prompts x {len(self.pushes)} pushes x {self.samples} samples"
        return f"SideBySide({of}, {self.model})"

    def _repr_html_(self) -> str:
        pushes, samples = range(len(self.pushes)), range(self.samples)
        groups = [
            (prompt.text, [[self.text(p, push, sample).text for push in pushes] for sample in samples])
            for p, prompt in enumerate(self.prompts)
        ]
        return html_columns([push_name(push) for push in self.pushes], groups)


def push_name(push: Push) -> str:
    """What a push does, in a few words.

    >>> push_name(())
    'unsteered'
    """
    if not push:
        return "unsteered"
    layers = tuple(edit.layer for edit in push)
    where = f"layer {layers[0]}" if len(layers) == 1 else f"layers {layer_ranges(layers)}"
    mode = push[0].mode
    if mode == "ablate":
        return f"{where}, ablated"
    dose = sum(edit.strength for edit in push) if mode == "add" else push[0].strength
    return f"{where}, strength {dose:.3g}" if mode == "add" else f"{where}, held at {dose:.3g}"


def side_by_side(
    model: Model,
    prompts: Sequence[str | Prompt],
    pushes: Sequence[Push],
    *,
    samples: int = 1,
    seed: int = 0,
    sampling: Sampling | None = None,
    gate: Gate | None = None,
    on_step: OnStep | None = None,
    on_halved: Callable[[int], None] | None = None,
) -> SideBySide:
    """Texts without steering and with each push, same luck, in one batch; and each push's cost.

    Where the gate is closed a prompt's rows are not edited at all: they are the unsteered texts. Raises `InputError`
    for an empty prompt, one that leaves no room in the context, and edits that do not fit the model.

    >>> side_by_side(model, ["Write about rain."], [dose(directions, [4], 0.1)])      # doctest: +SKIP
    """
    sampling = sampling or Sampling()
    if isinstance(prompts, str):
        raise InputError("prompts: expected a list of prompts, got one string; write [prompt].")
    asked = tuple(Prompt(each, None, each) if isinstance(each, str) else each for each in prompts)
    for prompt in asked:
        if not prompt.text.strip():
            raise InputError("prompt: expected a text, got an empty one.")
    if not asked:
        raise InputError("prompts: expected at least one, got none.")
    if samples < 1:
        raise InputError(f"samples: expected 1 or more, got {samples}.")
    readings = tuple(opened(model, gate, [prompt.text for prompt in asked])) if gate is not None else ()
    is_open = [reading.is_open for reading in readings] or [True] * len(asked)
    every: tuple[Push, ...] = ((), *pushes)
    rows = [
        Row(prompt, seed + sample, push if is_open[p] else None, sampling.temperature)
        for p, prompt in enumerate(asked)
        for push in every
        for sample in range(samples)
    ]
    texts = generate_rows(
        model, rows, max_new_tokens=sampling.max_new_tokens, top_p=sampling.top_p, top_k=sampling.top_k,
        min_p=sampling.min_p, scope=sampling.scope, on_step=on_step, on_halved=on_halved, description="writing",
    )  # fmt: skip
    surprisal = surprisals(model, [row.prompt.text for row in rows], [text.token_ids for text in texts])
    shape = (len(asked), len(every), samples)
    clean = np.broadcast_to(np.arange(len(rows)).reshape(shape)[:, :1], shape).ravel()  # which text is unsteered
    repeated = np.array([_repeated(text.token_ids, texts[i].token_ids) for text, i in zip(texts, clean, strict=True)])
    u = surprisal.numpy().astype(float)
    measured = np.stack([u, u[clean], *repeated.T]).reshape(4, *shape)[:, is_open]
    costs = [_cost(measured[:, :, push]) for push in range(len(every))]
    return SideBySide(model.name, asked, every, tuple(texts), tuple(u.tolist()), tuple(costs), gate, readings)


def _repeated(steered: Sequence[int], clean: Sequence[int]) -> tuple[float, float]:
    """Shares of repeated 4-grams of two texts cut to the same length, for the share grows with it."""
    length = min(len(steered), len(clean))
    return repeated_share(steered[:length]), repeated_share(clean[:length])


def _cost(measured: Float[np.ndarray, "4 prompt sample"]) -> Cost:
    """From surprisal and repetition, each of the push and without: means over prompts where all were measured."""
    by_prompt = np.stack([_means(values) for values in measured])
    by_prompt = by_prompt[:, np.isfinite(by_prompt).all(0)]
    if not by_prompt.size:
        return Cost(nan, nan, nan, nan, nan, 0)
    u, u_0, rho, rho_0 = by_prompt
    none = np.full(len(u), nan)
    k = float(coherence_of(np.ones((1, len(u))), Cell(none, u, u_0, rho, rho_0, none, none))[0])
    return Cost(k, float(u.mean()), float(u_0.mean()), float(rho.mean()), float(rho_0.mean()), len(u))


def _means(values: Float[np.ndarray, "prompt sample"]) -> Float[np.ndarray, " prompt"]:
    """Mean over samples that could be measured, NaN where none could."""
    count = np.isfinite(values).sum(1)
    return np.divide(np.nansum(values, axis=1), count, out=np.full(len(values), nan), where=count > 0)
