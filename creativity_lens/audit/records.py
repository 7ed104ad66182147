"""What an audit keeps beside its table: every text as a row, what was left out, versions."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from creativity_lens import __version__
from creativity_lens.audit.conditions import CELL, STEERED, Conditions
from creativity_lens.audit.meaning import Meaning, picture
from creativity_lens.audit.measuring import nanmean
from creativity_lens.audit.plan import AuditPlan
from creativity_lens.audit.reads import Reads
from creativity_lens.audit.writing import LUCK, Written
from creativity_lens.diversity import Diversity
from creativity_lens.prompts import Prompt
from creativity_lens.yardstick import Yardstick

PACKAGES = ("torch", "transformers", "transformer-lens", "sentence-transformers", "numpy", "scipy", "pandas")


def texts_frame(
    written: Mapping[str, Written], prompts: Sequence[Prompt], reads: Reads, meaning: Meaning,
    coherent: Mapping[str, Any], conditions: Conditions, plan: AuditPlan,
) -> pd.DataFrame:  # fmt: skip
    """One row per text of every condition, prompt by prompt; the columns are `audit.TEXTS`."""
    names = [each.name for each in conditions.every]
    places = picture(meaning, [each.name for each in conditions.every if each.kind in (CELL, STEERED)])
    parts = []
    for number, name in enumerate(names):
        texts = written[name]
        count, samples = len(texts.flat), len(texts.ids[0])
        unknown = np.full((len(prompts), samples), np.nan)
        entropy = nanmean(reads.own[name].full) if name in reads.own else unknown.ravel()
        at = places.get(name, np.full((len(prompts), samples, 2), np.nan)).reshape(count, 2)
        parts.append(pd.DataFrame({
            "condition": name,
            "prompt_id": [prompt.id for prompt in prompts for _ in range(samples)],
            "prompt": [prompt.text for prompt in prompts for _ in range(samples)],
            "seed": [plan.seed + number * LUCK + sample for _ in prompts for sample in range(samples)],
            "text": texts.texts,
            "tokens": [len(ids) for ids in texts.flat],
            "entropy": entropy,
            "surprisal": reads.by_first[name].ravel(),
            "repetition": reads.repetition[name].ravel(),
            "creativity": reads.creativity.get(name, unknown).ravel(),
            "coherent": coherent[name].ravel(),
            "cluster": meaning.clusters(name).ravel(),
            "x": at[:, 0],
            "y": at[:, 1],
        }))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def notes_of(
    conditions: Conditions, diversity: Mapping[str, Diversity], yardstick: Yardstick | None, prompts: int
) -> list[str]:
    """What a reader of the numbers should know first, a sentence each."""
    notes = []
    if len(conditions.formats) < 2:
        notes.append(f"{conditions.stages[-1]} has no chat template in use: all stages were asked in plain text.")
    if prompts < 8:
        notes.append(f"{prompts} prompts: no interval is given below 8, so nothing can be claimed.")
    left = {name: found.left_out for name, found in diversity.items() if found.left_out}
    if left:
        length = next(iter(diversity.values())).length
        said = "; ".join(f"{name}: {parts}" for name, parts in left.items())
        notes.append(f"Left out of the measures of diversity, at {length} words a text. {said}.")
    if yardstick is None:
        notes.append("Creativity was not measured: no direction reads it.")
    elif not yardstick.sides.are_default:
        first, second = yardstick.sides.creative, yardstick.sides.boring
        notes.append(f"Where this report says creativity, it reads {first} against {second}: the contrast of the run.")
    if yardstick is not None and not yardstick.whole.low > 0:
        notes.append("The unit of creativity is uncertain: the 95 % interval of the dev pairs' gap contains 0.")
    return notes


def versions() -> dict[str, str]:
    """Of this package and of those whose version may change a number."""
    return {"creativity-lens": __version__, **{each: _version(each) for each in PACKAGES}}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
