"""Texts of an aligned model and its base mixed at several weights, side by side with the same luck."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from creativity_lens.cells import repeated_share
from creativity_lens.comparing import Push, Sampling, push_name
from creativity_lens.drawing import check_room
from creativity_lens.errors import InputError
from creativity_lens.generation import OnStep, Row, generate_rows
from creativity_lens.html_tables import html_columns
from creativity_lens.models import Model
from creativity_lens.prompts import Prompt
from creativity_lens.sampling import Mixing, Weight, check_gamma
from creativity_lens.scores import Generation
from creativity_lens.scoring import surprisals
from creativity_lens.vocabulary import in_plain, known_ids

GAMMA = 0.5  # where nobody says otherwise: both models count the same
TOP_P = 0.9  # the aligned model's truncation, where nobody says otherwise


@dataclass(frozen=True, eq=False)
class Decode:
    """How two models are mixed and tokens are drawn."""

    sampling: Sampling = field(default_factory=lambda: Sampling(top_p=TOP_P))
    mixing: Mixing = field(default_factory=Mixing)
    base_temperature: float | None = None  # None: the aligned model's

    def plain(self) -> dict[str, Any]:
        """The settings as rows and run.json hold them."""
        drawn = self.sampling
        return {
            "mix": self.mixing.mix,
            "truncate": self.mixing.truncate,
            "temperature": drawn.temperature,
            "base_temperature": drawn.temperature if self.base_temperature is None else self.base_temperature,
            "top_p": drawn.top_p,
            "top_k": drawn.top_k,
            "min_p": drawn.min_p,
        }


@dataclass(frozen=True, eq=False)
class Mixtures:
    """Texts for every prompt x (gamma x push) x sample."""

    model: str
    base: str
    prompts: tuple[Prompt, ...]
    columns: tuple[tuple[float, Push], ...]  # gamma and push of each; an empty push is no steering
    texts: tuple[Generation, ...]  # by prompt, then column, then sample
    surprisal: tuple[float, ...]  # of each text, nats per token, read by the aligned model given the prompt
    surprisal_base: tuple[float, ...]  # the same, read by the base model given the prompt in plain text
    decode: Decode

    @property
    def samples(self) -> int:
        """Texts per prompt and column."""
        return len(self.texts) // (len(self.prompts) * len(self.columns))

    @property
    def names(self) -> list[str]:
        """What each column is, in a few words."""
        return column_names(self.columns, self.decode.mixing)

    def text(self, prompt: int, column: int, sample: int) -> Generation:
        """One text, all three counted from 0."""
        return self.texts[(prompt * len(self.columns) + column) * self.samples + sample]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row of plain values per text, as `clens decode --out` writes them."""
        found = []
        for number, text in enumerate(self.texts):
            prompt, column = divmod(number // self.samples, len(self.columns))
            found.append(
                {
                    "prompt_id": text.prompt_id,
                    "prompt": self.prompts[prompt].text,
                    "gamma": self.columns[column][0],
                    **self.decode.plain(),
                    "layers": list(text.layers),
                    "strength": text.strength,
                    "mode": text.mode,
                    "method": text.method,
                    "seed": text.seed,
                    "text": text.text,
                    "tokens": len(text.token_ids),
                    "surprisal": self.surprisal[number],
                    "surprisal_base": self.surprisal_base[number],
                    "repetition": repeated_share(text.token_ids),
                    "model": self.model,
                    "base": self.base,
                }
            )
        return found

    def __repr__(self) -> str:
        of = f"{len(self.prompts)} prompts x {len(self.columns)} columns x {self.samples} samples"
        return f"Mixtures({of}, {self.model} and {self.base})"

    def _repr_html_(self) -> str:
        columns, samples = range(len(self.columns)), range(self.samples)
        groups = [
            (prompt.text, [[self.text(p, column, sample).text for column in columns] for sample in samples])
            for p, prompt in enumerate(self.prompts)
        ]
        return html_columns(self.names, groups)


def write_mixtures(
    aligned: Model,
    base: Model,
    prompts: Sequence[str | Prompt],
    gammas: Sequence[Weight] = (GAMMA,),
    *,
    pushes: Sequence[Push] = (),
    samples: int = 1,
    seed: int = 0,
    decode: Decode | None = None,
    on_step: OnStep | None = None,
    on_halved: Callable[[int], None] | None = None,
) -> Mixtures:
    """Texts at each gamma, unsteered and with each push, same luck, in shared batches; read back by both models.

    Each model is asked in its own form; pushes act on the aligned one. Raises `InputError` for an empty prompt, a gamma
    outside 0..1, models with different vocabularies, and a prompt that leaves no room in a context.

    >>> write_mixtures(aligned, base, ["Write about a lighthouse."], [0, 0.5])      # doctest: +SKIP
    """
    decode = decode or Decode()
    asked = checked_prompts(prompts)
    columns = checked_columns(gammas, pushes)
    if samples < 1:
        raise InputError(f"samples: expected 1 or more, got {samples}.")
    drawn, plain_base = decode.sampling, in_plain(base)
    for model in (aligned, base, plain_base):  # those that write, and those that read what was written
        check_prompts_fit(model, [prompt.text for prompt in asked], drawn.max_new_tokens)
    rows = [
        Row(prompt, seed + sample, push, drawn.temperature, gamma=gamma, partner_temperature=decode.base_temperature)
        for prompt, (gamma, push), sample in product(asked, columns, range(samples))
    ]
    texts = generate_rows(
        aligned, rows, partner=base, mixing=decode.mixing, max_new_tokens=drawn.max_new_tokens, top_p=drawn.top_p,
        top_k=drawn.top_k, min_p=drawn.min_p, scope=drawn.scope, on_step=on_step, on_halved=on_halved,
        description="writing",
    )  # fmt: skip
    given = [row.prompt.text for row in rows]
    own, other = (read_back(model, given, [text.token_ids for text in texts]) for model in (aligned, plain_base))
    return Mixtures(aligned.name, base.name, asked, columns, tuple(texts), tuple(own), tuple(other), decode)


def check_prompts_fit(model: Model, prompts: Sequence[str], new: int) -> None:
    """Refuse prompts that leave no room for `new` tokens in the model's context, before anything runs."""
    for prompt in prompts:
        check_room(model, len(model.encode_prompt(prompt).ids), new, prompt)


def read_back(model: Model, prompts: Sequence[str], texts: Sequence[tuple[int, ...]]) -> list[float]:
    """Surprisal of each text given its prompt, nats per token; an id that the model lacks is read as its beginning."""
    known = [known_ids(model, ids) for ids in texts]
    return surprisals(model, list(prompts), known, description=f"read by {model.name}").tolist()


def checked_prompts(prompts: Sequence[str | Prompt]) -> tuple[Prompt, ...]:
    """The prompts as rows; an `InputError` for none, and for one without a text."""
    if isinstance(prompts, str):
        raise InputError("prompts: expected a list of prompts, got one string; write [prompt].")
    asked = tuple(Prompt(each, None, each) if isinstance(each, str) else each for each in prompts)
    if not asked:
        raise InputError("prompts: expected at least one, got none.")
    if any(not prompt.text.strip() for prompt in asked):
        raise InputError("prompt: expected a text, got an empty one.")
    return asked


def checked_columns(gammas: Sequence[Weight], pushes: Sequence[Push] = ()) -> tuple[tuple[float, Push], ...]:
    """Every gamma without steering and with each push; an `InputError` for a gamma outside 0..1 or named twice."""
    if not gammas:
        raise InputError("gamma: expected one or more numbers from 0 to 1, got none.")
    for gamma in gammas:
        check_gamma(gamma)
    if len(set(gammas)) < len(gammas):
        twice = next(gamma for gamma in gammas if list(gammas).count(gamma) > 1)
        raise InputError(f"gamma: expected each one once, got {twice:g} twice.")
    every: tuple[Push, ...] = ((), *pushes)
    return tuple(product(map(float, gammas), every))


def column_names(columns: Sequence[tuple[Weight, Push]], mixing: Mixing | None = None) -> list[str]:
    """What each column is; steering is named where any column is steered.

    >>> column_names([(0.0, ()), (0.5, ())])
    ['gamma 0', 'gamma 0.5']
    """
    steered = any(push for _, push in columns)
    weight = "contrast" if mixing is not None and mixing.mix == "contrast" else "gamma"
    return [f"{weight} {gamma:g}" + (f", {push_name(push)}" if steered else "") for gamma, push in columns]
