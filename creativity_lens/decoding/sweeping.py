"""The sweep over gamma: diversity, quality and fidelity of mixtures, the knee, and what mixing has to beat."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from creativity_lens import __version__
from creativity_lens.comparing import Push, Sampling, push_name
from creativity_lens.decoding.baselines import ASK, BASELINES, Setting, against, write_baselines
from creativity_lens.decoding.knee import Knee, find_knee
from creativity_lens.decoding.measures import (
    BY_ALIGNED,
    FIDELITY,
    MIXTURE,
    SPREAD,
    Condition,
    measure_conditions,
    table_of,
)
from creativity_lens.decoding.writing import GAMMA, TOP_P, Decode, check_prompts_fit, checked_columns, checked_prompts
from creativity_lens.errors import InputError, check_choice
from creativity_lens.figures.gamma import gamma_figure, price_figure
from creativity_lens.files import plain, write_json, write_text, write_with
from creativity_lens.holding import owned_folder
from creativity_lens.html_tables import html_table, html_text, with_interval
from creativity_lens.models import Model
from creativity_lens.prompts import Prompt
from creativity_lens.provenance import describe_model
from creativity_lens.sampling import Weight
from creativity_lens.statistics import FEWEST
from creativity_lens.vocabulary import check_same_vocabulary, in_plain

GAMMAS = tuple(round(0.1 * step, 1) for step in range(11))
SAMPLES, LENGTH = 4, 48
DEFINITION = (
    "The knee is the gamma furthest above the chord from gamma 0 to the largest gamma, diversity (semantic spread) "
    "against its price (surprisal, read by the aligned model); its interval holds the gammas that cannot be told apart "
    "from it, 95 %, prompts resampled. There is none where the ends of the chord cannot be told apart from it either."
)


@dataclass(frozen=True, eq=False)
class GammaSweep:
    """A finished sweep over gamma."""

    table: pd.DataFrame  # one row per condition and measure; the semantic spread is primary
    texts: pd.DataFrame  # one row per text: condition, kind, gamma, prompt_id, prompt, seed, tokens, text
    knee: Knee
    meta: dict[str, Any]

    @property
    def sentence(self) -> str:
        """What was found, in one sentence."""
        return str(self.meta["sentence"])

    def figure(self, name: str = "price") -> Any:
        """A plotly figure: "price" (diversity against surprisal) or "gamma" (every measure against gamma)."""
        check_choice("figure", name, ("price", "gamma"))
        return (price_figure if name == "price" else gamma_figure)(self.table, self.meta)

    def save(self, folder: str | Path) -> None:
        """Write gamma.csv (the table), texts.jsonl and run.json (all else), each whole.

        The folder is made where it is not there; one that holds another run, or anything else, is refused.
        """
        folder = owned_folder(folder, self.meta["created"])
        write_with(folder / "gamma.csv", lambda path: self.table.to_csv(path, index=False))
        rows = self.texts.to_dict("records")
        write_text(folder / "texts.jsonl", "".join(json.dumps(plain(row), ensure_ascii=False) + "\n" for row in rows))
        write_json(folder / "run.json", self.meta)

    def __repr__(self) -> str:
        return f"GammaSweep({self.meta['model']['name']} and {self.meta['base']['name']}: {self.sentence})"

    def _repr_html_(self) -> str:
        title = f"{self.meta['model']['name']} mixed with {self.meta['base']['name']}"
        headings = ["", *dict.fromkeys(self.table["measure"])]
        rows = [
            [str(name), *(with_interval(row.estimate, row.low, row.high) for row in of.itertuples())]
            for name, of in self.table.groupby("condition", sort=False)
        ]
        return html_text(title, self.sentence) + html_table("Condition by condition", headings, rows, DEFINITION)


def sweep_gamma(
    aligned: Model,
    base: Model,
    prompts: Sequence[str | Prompt],
    gammas: Sequence[Weight] = GAMMAS,
    *,
    embedder: Any,
    samples: int = SAMPLES,
    decode: Decode | None = None,
    push: Push = (),
    baselines: Sequence[str] = BASELINES,
    seed: int = 0,
    command: str = "",
) -> GammaSweep:
    """Write with each gamma and each baseline, measure, and look for the knee.

    Every condition gets the same prompts, samples, luck and tokens (ends are not drawn before `max_new_tokens`). Gamma
    0 is always among them; baselines are matched to the gamma nearest to 0.5. `push` steers the aligned model in every
    condition. Raises `InputError` below 2 samples or 2 prompts, for fewer than 3 gammas, and for greedy sampling.

    >>> sweep_gamma(aligned, base, load_prompts()[0][:16], embedder=load_embedder()).sentence       # doctest: +SKIP
    """
    decode = decode or Decode(Sampling(LENGTH, top_p=TOP_P))
    asked, grid = checked_prompts(prompts), checked_sweep(gammas, samples, decode)
    if len(asked) < 2:
        raise InputError(f"prompts: expected at least 2 for fidelity, and {FEWEST} for intervals; got {len(asked)}.")
    for name in baselines:
        check_choice("baseline", name, BASELINES)
    check_same_vocabulary(aligned, base)
    longest = [f"{prompt.text} {ASK}" if "prompt" in baselines else prompt.text for prompt in asked]
    for model in (aligned, base, in_plain(base)):
        check_prompts_fit(model, longest, decode.sampling.max_new_tokens)
    start = time.perf_counter()
    setting = Setting(aligned, base, asked, samples, seed, decode, push)
    written = setting.write(grid)
    per = len(asked) * samples
    conditions = [
        Condition(f"gamma {gamma:g}", MIXTURE, gamma, tuple(written[place * per : (place + 1) * per]))
        for place, gamma in enumerate(grid)
    ]
    reference = min(conditions[1:], key=lambda condition: abs(condition.gamma - GAMMA))
    others, matched = write_baselines(setting, reference, baselines)
    took = {"writing": time.perf_counter() - start}
    values = measure_conditions([*conditions, *others], asked, aligned, base, embedder)
    took["measuring"] = time.perf_counter() - start - took["writing"]
    spread, price = (np.stack([values[each.name][what] for each in conditions]) for what in (SPREAD, BY_ALIGNED))
    knee = find_knee(grid, spread, price, seed=seed)
    compared = [
        {"condition": other.name} | row
        for other in others
        for row in against(values[other.name], values[reference.name])
    ]
    table = table_of([*conditions, *others], values, conditions[0].name)
    meta: dict[str, Any] = {
        "format": 1, "kind": "gamma", "status": "finished",
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "command": command,
        "versions": {"creativity-lens": __version__}, "model": describe_model(aligned), "base": describe_model(base),
        "embedder": {"name": embedder.name, "id": embedder.id}, "gammas": grid, "reference": reference.gamma,
        "samples": samples, "prompts": len(asked), "length": decode.sampling.max_new_tokens, "seed": seed,
        "decode": decode.plain(), "steering": push_name(push), "baselines": list(baselines),
        "matched": {name: vars(each) for name, each in matched.items()}, "against": compared,
        "knee": vars(knee) | {"found": knee.is_found}, "definition": DEFINITION,
        "notes": _notes(table, grid, len(asked)),
        "timings": {name: round(seconds, 2) for name, seconds in took.items()},
        "prompts_text": {prompt.id: prompt.text for prompt in asked},
    }  # fmt: skip
    meta["sentence"] = _sentence(table, knee, conditions)
    return GammaSweep(table, _texts([*conditions, *others], asked, samples), knee, meta)


def checked_sweep(gammas: Sequence[Weight], samples: int, decode: Decode) -> list[float]:
    """The gammas of a sweep, ascending and with 0; an `InputError` for what a sweep cannot be made of."""
    grid = sorted({0.0, *(gamma for gamma, _ in checked_columns(gammas))})
    if len(grid) < 3:
        raise InputError(f"gamma: expected at least 2 above 0 for a sweep, got {', '.join(f'{g:g}' for g in gammas)}.")
    if samples < 2:
        raise InputError(f"samples: expected 2 or more, for diversity is between texts of a prompt; got {samples}.")
    if decode.sampling.temperature == 0:
        raise InputError("temperature: expected above 0 for a sweep; greedy texts of a prompt are all the same.")
    if decode.mixing.mix == "contrast":
        raise InputError("mix: expected prob or logprob for a sweep, in which contrast is a baseline; got contrast.")
    return grid


def _sentence(table: pd.DataFrame, knee: Knee, conditions: Sequence[Condition]) -> str:
    top = table[(table["condition"] == conditions[-1].name) & (table["measure"] == SPREAD)].iloc[0]
    changed = f"semantic spread changes by {with_interval(top.change, top.change_low, top.change_high, sign='+')}"
    return f"From gamma 0 to {conditions[-1].gamma:g}, {changed} (n = {int(top.n)} prompts); {knee.sentence}."


def _notes(table: pd.DataFrame, grid: Sequence[float], prompts: int) -> list[str]:
    notes = []
    if prompts < FEWEST:
        notes.append(f"{prompts} prompts: no interval is given below {FEWEST}, and nothing can be claimed.")
    zero = table[(table["condition"] == f"gamma {grid[0]:g}") & (table["measure"] == FIDELITY)].iloc[0]
    if not zero.low > 0 and prompts >= FEWEST:
        notes.append("fidelity at gamma 0 is not above 0 for sure: these texts hardly follow their prompts.")
    return notes


def _texts(conditions: Sequence[Condition], prompts: Sequence[Prompt], samples: int) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "condition": condition.name, "kind": condition.kind, "gamma": condition.gamma,
                "prompt_id": prompts[number // samples].id, "prompt": prompts[number // samples].text,
                "seed": text.seed, "tokens": len(text.token_ids), "text": text.text,
            }
            for condition in conditions
            for number, text in enumerate(condition.texts)
        ]
    )  # fmt: skip
