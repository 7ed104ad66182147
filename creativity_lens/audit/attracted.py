"""Attractors: whether a model that is made to begin elsewhere comes back, and what its texts share word for word."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from creativity_lens.attractors import Pull, pull_difference, pull_of
from creativity_lens.audit.conditions import Conditions
from creativity_lens.audit.rows import Row, table_row
from creativity_lens.audit.writing import Ids, Perturbed, Written
from creativity_lens.models import Model
from creativity_lens.prompts import Prompt
from creativity_lens.stretches import common_stretches

Vectors = Float[np.ndarray, "prompt sample dim"]


def pull_rows(embedder: Any, perturbed: Sequence[Perturbed], *, seed: int) -> list[Row]:
    """Pull, return rate with its floor, and radius of every stage and beginning; and the stages' difference in pull."""
    parts = [[_texts(each, part) for part in (each.free, each.perturbed, each.followed)] for each in perturbed]
    flat = [text for three in parts for part in three for of_prompt in part for text in of_prompt]
    vectors = np.asarray(embedder.embed(flat, description="embedding what followed"), dtype=np.float32)
    rows, found, start = [], {}, 0
    for each, three in zip(perturbed, parts, strict=True):
        shaped: list[Vectors] = []
        for part in three:
            size = len(part) * len(part[0])
            shaped.append(vectors[start : start + size].reshape(len(part), len(part[0]), -1))
            start += size
        pull = pull_of(*shaped, seed=seed)
        found[each.condition.stage, each.tokens] = pull
        rows += _rows(pull, each.condition.stage, each.tokens)
    stages = list(dict.fromkeys(each.condition.stage for each in perturbed))
    for tokens in dict.fromkeys(each.tokens for each in perturbed):
        difference = pull_difference(found[stages[-1], tokens], found[stages[0], tokens])
        rows.append(
            table_row(
                "attractors", "pull difference", difference, condition=stages[-1], against=stages[0], position=tokens
            )
        )
    return rows


def _rows(pull: Pull, stage: str, tokens: int) -> list[Row]:
    measures = {
        "pull": pull.pull, "projected pull": pull.projected, "return rate": pull.return_rate,
        "return floor": pull.return_floor, "radius": pull.radius,
    }  # fmt: skip
    return [
        table_row("attractors", name, value, condition=stage, position=tokens, note=pull.note * (name == "pull"))
        for name, value in measures.items()
    ]


def _texts(each: Perturbed, part: Sequence[Sequence[Ids]]) -> list[list[str]]:
    return [[each.condition.model.decode(ids) for ids in of_prompt] for of_prompt in part]


def stretch_rows(
    conditions: Conditions, written: Mapping[str, Written], prompts: Sequence[Prompt], *, seed: int
) -> tuple[list[Row], list[dict[str, Any]]]:
    """Longest stretches that two texts share, within prompts and across them; and the stretches shared by most."""
    rows, quoted = [], []
    groups = {name: [p.id for p in prompts for _ in texts.ids[0]] for name, texts in written.items()}
    for condition in conditions.cells + conditions.of_kind("steered"):
        name = condition.name
        found = common_stretches(written[name].flat, groups[name], seed=seed)
        for scope in ("within", "across"):
            rows.append(
                table_row("stretches", "longest common stretch", getattr(found, scope), condition=name, scope=scope)
            )
        quoted += [_quoted(name, condition.model, stretch) for stretch in found.shared[:4]]
    return rows, sorted(quoted, key=lambda each: (-each["count"] / each["of"], each["condition"]))


def _quoted(name: str, model: Model, stretch: Any) -> dict[str, Any]:
    return {
        "condition": name, "text": model.decode(stretch.ids), "count": stretch.texts, "of": stretch.of,
        "prompts": stretch.groups,
    }  # fmt: skip
