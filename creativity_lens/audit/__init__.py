"""The price of alignment: how much diversity a model lost on the way from its base, where, and to what."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from creativity_lens.audit.attracted import pull_rows, stretch_rows
from creativity_lens.audit.audit import Audit
from creativity_lens.audit.claims import claim
from creativity_lens.audit.conditions import CELL, STEERED, Conditions, Push, conditions_of
from creativity_lens.audit.meaning import PICTURE, Meaning, attractors, embed_texts, similarity_rows
from creativity_lens.audit.measuring import (
    FORCED,
    FREE,
    NATS,
    PRIMARY,
    Measured,
    coherent_texts,
    correlation_rows,
    effect_rows,
    entropies,
    entropy_rows,
    frontier_rows,
    matched_rows,
    reader_rows,
    spreads,
    step_rows,
)
from creativity_lens.audit.plan import AuditPlan
from creativity_lens.audit.reads import Reads, read_all
from creativity_lens.audit.records import notes_of, texts_frame, versions
from creativity_lens.audit.rows import Row, table_of
from creativity_lens.audit.writing import Written, check_prompts, write_conditions, write_personas, write_perturbed
from creativity_lens.diversity import UNITS, Diversity, common_ground, compare_diversity
from creativity_lens.errors import InputError
from creativity_lens.files import plain
from creativity_lens.models import Model
from creativity_lens.personas import load_persona_prompts, personas_of
from creativity_lens.prompts import Prompt, load_prompts
from creativity_lens.provenance import describe_model
from creativity_lens.sides import Sides
from creativity_lens.yardstick import Yardstick

__all__ = ["Audit", "AuditPlan", "audit_models"]

CREATIVITY = Sides().concept


def audit_models(
    stages: Mapping[str, Model],
    *,
    embedder: Any,
    prompts: Sequence[Prompt] | None = None,
    plan: AuditPlan | None = None,
    push: Push = (),
    yardstick: Yardstick | None = None,
    command: str = "",
    name: str = "",
) -> Audit:
    """Compare the stages of a model, the base first, in how different the texts are that each writes.

    Every stage writes the same prompts, in plain text and in the last stage's template, with luck of its own; the same
    texts are read by all. The one number that is tested is the semantic spread within prompts, from the first stage in
    plain text to the last as it is used. `push` (see `dose`) adds the last stage steered; `yardstick` (of the last
    stage) adds creativity, in gaps. `prompts` are by default the shipped test prompts.

    Raises `InputError` for fewer than two stages, stages whose vocabularies differ, fewer than two prompts, and a
    yardstick of another model.

    >>> found = audit_models({"base": base, "aligned": chat}, embedder=load_embedder())       # doctest: +SKIP
    >>> found.sentence                                                                        # doctest: +SKIP
    """
    plan = plan or AuditPlan()
    plan.check()
    asked = list(load_prompts()[1] if prompts is None else prompts)
    if len(asked) < 2:
        raise InputError(f"prompts: expected at least two, got {len(asked)}; spread across prompts needs others.")
    conditions = conditions_of(stages, plan, push)
    if yardstick is not None:
        yardstick.check(conditions.last.model, "yardstick")
    personas = load_persona_prompts() if plan.persona_samples else []
    check_prompts(conditions, asked, personas, plan)
    clock = _Clock()
    written = write_conditions(conditions, asked, plan)
    perturbed = write_perturbed(conditions, written, asked, plan)
    clock.lap("writing")
    persona_rows, attributes, parse_rate = _personas(conditions, personas, plan)
    clock.lap("personas")
    reads = read_all(conditions, written, asked, plan, yardstick)
    clock.lap("reading")
    shown = [each.name for each in conditions.every if each.kind in (CELL, STEERED)]
    coherent = coherent_texts(reads, conditions)
    texts = _Texts(written, asked, shown, coherent)
    words = common_ground(texts.texts, texts.groups, texts.conditions, coherent=texts.coherent).length
    meaning = embed_texts(embedder, written, asked, [cell.name for cell in conditions.cells], words=words)
    pulls = pull_rows(embedder, perturbed, seed=plan.seed) if perturbed else []
    clock.lap("embedding")

    diversity = _diversity(texts, meaning, reads, words, plan.seed)
    measured = _measured(meaning, reads, diversity, asked, shown)
    effects, two_by_two = effect_rows(measured, conditions)
    matched, matched_said = matched_rows(reads, meaning, conditions, seed=plan.seed)
    stretches, quoted = stretch_rows(conditions, written, asked, seed=plan.seed)
    rows: list[Row] = [
        *_diversity_rows(diversity),
        *entropy_rows(reads, len(asked)),
        *effects,
        *step_rows(measured, conditions),
        *similarity_rows(meaning, shown),
        *pulls,
        *stretches,
        *persona_rows,
        *frontier_rows(reads, meaning, conditions, seed=plan.seed),
        *reader_rows(reads, len(asked)),
        *correlation_rows(reads, measured, conditions, [prompt.id for prompt in asked], seed=plan.seed),
        *matched,
    ]
    table = table_of(rows)
    scored = yardstick.sides.concept if yardstick is not None else CREATIVITY
    verdict = claim(measured, two_by_two, conditions, table, matched_said, scored)
    clock.lap("measuring")
    meta = {
        "format": 1,
        "kind": "audit",
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": command,
        "name": name,
        "stages": list(conditions.stages),
        "conditions": [each.about for each in conditions.every],
        "first": conditions.first.name,
        "last": conditions.last.name,
        "models": {stage: describe_model(model) for stage, model in stages.items()},
        "embedder": {"name": embedder.name, "id": embedder.id},
        "prompts_text": {prompt.id: prompt.text for prompt in asked},
        "samples": plan.samples,
        "length": plan.max_new_tokens,
        "words": words,
        "temperature": plan.temperature,
        "seed": plan.seed,
        "threshold": meaning.threshold,
        "scored": scored,
        "picture": PICTURE,
        "attractors": attractors(meaning, written, asked, [conditions.first.name, conditions.last.name]),
        "stretches": quoted,
        "personas": {"parse_rate": parse_rate, "attributes": attributes},
        "verdict": verdict,
        "notes": notes_of(conditions, diversity, yardstick, len(asked)),
        "timings": clock.laps,
        "versions": versions(),
    }
    return Audit(table, texts_frame(written, asked, reads, meaning, coherent, conditions, plan), plain(meta))


class _Clock:
    """Seconds of each part."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = round(now - self._last, 2), now


def _personas(
    conditions: Conditions, prompts: Sequence[Prompt], plan: AuditPlan
) -> tuple[list[Row], dict[str, dict[str, Any]], dict[str, float]]:
    if not prompts:
        return [], {}, {}
    groups = [prompt.id for prompt in prompts for _ in range(plan.persona_samples)]
    rows: list[Row] = []
    attributes: dict[str, dict[str, Any]] = {}
    rates: dict[str, float] = {}
    for name, texts in write_personas(conditions, prompts, plan).items():
        found = personas_of(texts, groups)
        rates[name] = found.parse_rate.value
        rows += [{**row, "condition": name} for row in found.rows()]
        for attribute, counts in found.attributes.items():
            attributes.setdefault(attribute, {})[name] = counts
    return rows, attributes, rates


class _Texts:
    """The texts of some conditions one after the other, as the measures of diversity take them."""

    def __init__(
        self,
        written: Mapping[str, Written],
        prompts: Sequence[Prompt],
        names: Sequence[str],
        coherent: Mapping[str, Any],
    ) -> None:
        self.names = list(names)
        self.texts = [text for name in names for text in written[name].texts]
        self.conditions = [name for name in names for _ in written[name].flat]
        self.groups = [prompt.id for name in names for prompt in prompts for _ in written[name].ids[0]]
        self.coherent = np.concatenate([coherent[name].ravel() for name in names])


def _diversity(texts: _Texts, meaning: Meaning, reads: Reads, words: int, seed: int) -> dict[str, Diversity]:
    """Every measure of every condition, at one length in words, one number of texts, one threshold."""
    fields = {"entropy": "full", "truncated entropy": "truncated", "top-k entropy": "top_k", "surprisal": "surprisal"}
    vectors = [meaning.texts[name].reshape(-1, meaning.prompts.shape[1]) for name in texts.names]
    return compare_diversity(
        texts.texts,
        texts.groups,
        texts.conditions,
        embeddings=np.concatenate(vectors),
        tokens={
            measure: [row for name in texts.names for row in getattr(reads.own[name], field)]
            for measure, field in fields.items()
        },
        length=words,
        coherent=texts.coherent,
        threshold=meaning.threshold,
        seed=seed,
    ).conditions


def _diversity_rows(diversity: Mapping[str, Diversity]) -> list[Row]:
    """The measures of every condition; clusters within prompts once more, where the report looks for them."""
    rows: list[Row] = []
    clusters = {"clusters": "clusters", "cluster entropy": "cluster entropy", "largest cluster": "largest share"}
    for name, found in diversity.items():
        for row in found.table.drop(columns="primary").to_dict("records"):
            rows.append({"part": "diversity", "condition": name, **{str(key): value for key, value in row.items()}})
            if (row["scope"], row["twin"]) == ("within", "all") and row["measure"] in clusters:
                rows.append({**rows[-1], "part": "clusters", "measure": clusters[row["measure"]], "scope": ""})
    return rows


def _measured(
    meaning: Meaning, reads: Reads, diversity: Mapping[str, Diversity], prompts: Sequence[Prompt], names: Sequence[str]
) -> Measured:
    lexical = {name: found.by_group("EAD") for name, found in diversity.items()}
    by_prompt = {
        PRIMARY: spreads(meaning, names),
        "EAD": {name: np.array([each.get(prompt.id, np.nan) for prompt in prompts]) for name, each in lexical.items()},
        **entropies(reads, len(prompts)),
    }
    return Measured(by_prompt, {PRIMARY: UNITS[PRIMARY], "EAD": UNITS["EAD"], FREE: NATS, FORCED: NATS})
