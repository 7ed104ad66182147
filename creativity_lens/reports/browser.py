"""The browser's texts: for every prompt one unsteered text and its steered twins, cut into coloured pieces.

One text per prompt and condition, all of a prompt with the same luck (seed) where the run has it. The pieces of a text,
joined, are the text: what a reader sees is what was scored.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from creativity_lens.figures.rows import choice_of, drawn_only, main_concept, per_layer_strength, percent, sides_of

STEERED = ("layer", "chosen", "steered")
OTHERS = {
    "prompted": "asked to be {side}, not steered",
    "negated": "direction negated",
    "isotropic": "isotropic vector of the same norm",
}
FIELDS = (
    *("concept", "stage", "condition", "layer", "strength", "prompt_id", "seed", "text", "tokens", "token_scores"),
    *("score", "surprisal", "hooked_score"),
)
# Byte-level and SentencePiece vocabularies spell spaces and line ends with these.
SPELLINGS = str.maketrans({"Ġ": " ", "Ċ": "\n", "▁": " "})


def browser_texts(texts: pd.DataFrame, run: dict[str, Any], *, budget: int) -> dict[str, Any]:
    """What the report's browser draws, at most `budget` bytes of JSON: whole prompts, the first ones that fit.

    Returns `{"prompts": [{"id", "text", "texts": [...] }], "columns": [{"label", ...}], "limit", "of", "stage"}`; the
    texts of a prompt are in the order of `columns`, None where one is missing; scores are in hundredths of a gap, and
    `limit` is the score at which the colours end.
    """
    texts = texts.reindex(columns=list(FIELDS))
    texts = texts[texts["condition"].isin(["unsteered", *STEERED, *OTHERS]) & texts["text"].notna()]
    # Unsteered texts serve every concept, so they name none.
    texts = texts[texts["concept"].isin([main_concept(run), ""]) | texts["concept"].isna()]
    stage = "test" if (texts["stage"] == "test").any() else "dev"
    texts = texts[texts["stage"] == stage]
    columns = _columns(texts, run)
    prompts: dict[str, list[dict[Any, Any]]] = {}
    for row in texts.to_dict("records"):
        prompts.setdefault(str(row["prompt_id"]), []).append(row)
    names = run.get("prompts_text") or {}
    shown: list[dict[str, Any]] = []
    scores: list[float] = []
    used = 0
    for prompt in sorted(prompts):
        picked = [_pick(prompts[prompt], column) for column in columns]
        entry = {"id": prompt, "text": str(names.get(prompt, prompt)), "texts": picked}
        written = json.dumps(entry)
        used += len(written) + 5 * len(re.findall("[<>&]", written))  # these are written as \u003c and the like
        if used > budget:
            break
        shown.append(entry)
        scores += [abs(score) for text in picked if text for score in text["scores"] if score is not None]
    limit = max(50.0, round(float(np.quantile(scores, 0.95)), 1)) if scores else 100.0
    return {"prompts": shown, "columns": columns, "limit": limit, "of": len(prompts), "stage": stage}


def _columns(texts: pd.DataFrame, run: dict[str, Any]) -> list[dict[str, Any]]:
    """Unsteered first, then every layer at its dev strength, then what stands beside; only what the run has."""
    concept, choice = main_concept(run), choice_of(run, main_concept(run))
    conditions = set(texts["condition"].dropna())
    columns: list[dict[str, Any]] = []
    if "unsteered" in conditions:
        columns.append({"condition": "unsteered", "layer": None, "strength": None, "label": "not steered"})
    steered = texts[texts["condition"].isin(STEERED) & texts["layer"].notna()]
    own = per_layer_strength(run, concept)
    for layer in sorted({int(layer) for layer in steered["layer"]}):
        here = steered[steered["layer"] == layer]
        strengths = sorted({float(strength) for strength in here["strength"].dropna()})
        wanted = own.get(layer)
        near = min(strengths, key=lambda strength: abs(strength - (wanted or strengths[-1])), default=None)
        marks = [("chosen on dev", layer == choice.get("layer")), ("not up for choice", layer in drawn_only(run))]
        label = f"layer {layer}" + ("" if near is None else f", strength {percent(near)}")
        label += "".join(f", {text}" for text, holds in marks if holds)
        columns.append({"condition": "layer", "layer": layer, "strength": near, "label": label})
    for name, label in OTHERS.items():
        if name in conditions:
            columns.append(
                {"condition": name, "layer": None, "strength": None, "label": label.format(side=sides_of(run)[0])}
            )
    return columns


def _pick(rows: list[dict[Any, Any]], column: dict[str, Any]) -> dict[str, Any] | None:
    """One text of a prompt for a column: with the seed that most of the prompt's conditions share."""
    seeds = Counter(seed for seed, _ in {(row["seed"], row["condition"]) for row in rows})
    common = min(seeds, key=lambda seed: (-seeds[seed], str(seed)))
    here = [row for row in rows if _belongs(row, column)]
    if not here:
        return None
    row = next((row for row in here if row["seed"] == common), here[0])
    pieces, scores = cut(row["text"], _list(row["tokens"]), _list(row["token_scores"]))
    numbers = {name: _finite(row[name]) for name in ("score", "surprisal", "hooked_score")}
    return {"pieces": pieces, "scores": scores, "seed": str(row["seed"])} | numbers


def _belongs(row: dict[Any, Any], column: dict[str, Any]) -> bool:
    if column["layer"] is None:
        return bool(row["condition"] == column["condition"])
    if row["condition"] not in STEERED or pd.isna(row["layer"]) or row["layer"] != column["layer"]:
        return False
    return column["strength"] is None or abs(row["strength"] - column["strength"]) < 1e-6


def cut(text: str, tokens: Sequence[str], scores: Sequence[float]) -> tuple[list[str], list[int | None]]:
    """Cut a text at its tokens: pieces that join to exactly `text`, and their scores in hundredths of a gap.

    Tokens that are only part of a character, or are spelled otherwise than the text, share one piece and their mean.

    >>> cut("a cat", ["a", " cat"], [0.5, -0.25])
    (['a', ' cat'], [50, -25])
    """
    if len(tokens) != len(scores):
        return [text], [None]
    pieces: list[str] = []
    means: list[int | None] = []
    waiting: list[float] = []
    position = 0

    def put(piece: str, values: list[float]) -> None:
        known = [value for value in values if math.isfinite(value)]
        pieces.append(piece)
        means.append(round(100 * sum(known) / len(known)) if known else None)

    for token, score in zip(tokens, scores, strict=True):
        score = float("nan") if score is None else float(score)
        spelled = token if text.startswith(token, position) else token.translate(SPELLINGS)
        if position == 0 and not text.startswith(spelled) and text.startswith(spelled.lstrip()):
            spelled = spelled.lstrip()  # a text is often kept without its first space
        # After unreadable tokens the next readable one is looked for nearby; a token has at most a few characters.
        at = text.find(spelled, position, position + len(spelled) + 4 * len(waiting)) if spelled else -1
        if at < 0 or "\ufffd" in spelled:
            waiting.append(score)
            continue
        if at > position:
            put(text[position:at], waiting)
        put(spelled, [score])
        waiting, position = [], at + len(spelled)
    if position < len(text):
        put(text[position:], waiting)
    return pieces, means


def _list(value: Any) -> list[Any]:
    """A list column back from Parquet is an array; a missing one is NaN."""
    return list(value) if isinstance(value, list | tuple | np.ndarray) else []


def _finite(value: Any) -> float | None:
    return None if value is None or pd.isna(value) or not math.isfinite(value) else round(float(value), 3)
