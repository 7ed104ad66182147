"""The audit's texts for the page's browser: a prompt's samples of every condition, side by side."""

import json
import math
import re
from typing import Any

import numpy as np
import pandas as pd

from creativity_lens.figures.audit_rows import CELL, conditions_of, kept, own_conditions, strings
from creativity_lens.figures.rating_rows import short

MOST_SAMPLES = 12  # of one prompt and condition
MOST_OPEN = 4  # conditions that are shown before a reader chooses
NUMBERS = ("entropy", "surprisal", "creativity", "repetition")
FIELDS = ("condition", "prompt_id", "prompt", "seed", "text", "coherent", "cluster", *NUMBERS)


def audit_texts(texts: pd.DataFrame, meta: dict[str, Any], *, budget: int) -> dict[str, Any]:
    """What the browser draws, at most `budget` bytes of JSON: whole prompts, the first ones that fit.

    Returns `{"prompts": [{"id", "text", "texts": [[{"text", "seed", ...}]]}], "columns": [{"name", "open"}], "of",
    "samples", "left", "scored"}`: `texts` has one list of samples per column, `samples` is the longest of them, `left`
    says how many samples are left out where a prompt and condition has more than `MOST_SAMPLES`, and `scored` what the
    score of a text is about.
    """
    conditions = conditions_of(meta)
    place = {each.name: number for number, each in enumerate(conditions)}
    frame = texts.reindex(columns=list(FIELDS))
    frame = kept(frame, "condition", place)
    frame = frame[np.array([isinstance(text, str) for text in frame["text"]], dtype=bool)]
    asked = meta.get("prompts_text") or {}
    found: dict[str, list[list[dict[str, Any]]]] = {}
    words: dict[str, str] = {}
    left = 0
    names, prompts, own = (strings(frame[column]) for column in ("condition", "prompt_id", "prompt"))
    for name, prompt, said, row in zip(names, prompts, own, frame.to_dict("records"), strict=True):
        columns = found.setdefault(prompt, [[] for _ in conditions])
        words.setdefault(prompt, str(asked.get(prompt) or said or prompt))
        samples = columns[place[name]]
        if len(samples) == MOST_SAMPLES:
            left += 1
            continue
        samples.append(_sample(row))
    shown: list[dict[str, Any]] = []
    used = 0
    for prompt, columns in found.items():
        entry = {"id": prompt, "text": words[prompt], "texts": columns}
        written = json.dumps(entry)
        used += len(written) + 5 * len(re.findall("[<>&]", written))  # these are written as \u003c and the like
        if used > budget:
            break
        shown.append(entry)
    samples_shown = max((len(samples) for entry in shown for samples in entry["texts"]), default=0)
    cells = [each.name for each in conditions if each.kind == CELL]
    first = cells if len(cells) <= MOST_OPEN else [each.name for each in own_conditions(meta)][:MOST_OPEN]
    columns_said = [{"name": each.name, "open": each.name in first} for each in conditions]
    return {
        "prompts": shown,
        "columns": columns_said,
        "of": len(found),
        "samples": samples_shown,
        "left": left,
        "scored": short(meta.get("scored") or "creativity", 60),
    }


def _sample(row: dict[Any, Any]) -> dict[str, Any]:
    coherent, cluster = row["coherent"], row["cluster"]
    return {
        "text": row["text"],
        "seed": str(row["seed"]),
        "coherent": None if coherent is None or pd.isna(coherent) else bool(coherent),
        "cluster": None if cluster is None or pd.isna(cluster) else int(cluster) + 1,
    } | {name: _finite(row[name]) for name in NUMBERS}


def _finite(value: Any) -> float | None:
    return None if value is None or pd.isna(value) or not math.isfinite(value) else round(float(value), 3)
