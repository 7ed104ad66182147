"""A sweep's two stages on texts: dev draws every cell and chooses one, test draws the chosen one and judges it once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from creativity_lens.beside import against_prompt, against_temperature, gain_left, second_reader
from creativity_lens.cells import Cell
from creativity_lens.choice import Choice, best_layers, choose, describe_choice, layer_shares
from creativity_lens.concept import Concept
from creativity_lens.conditions import (
    Condition,
    Measured,
    Texts,
    gain_of,
    hooked_gaps,
    measure_surprisal,
    measure_texts,
    repetitions,
    write_texts,
)
from creativity_lens.controls import control_edits
from creativity_lens.ledger import Ledger
from creativity_lens.models import Model
from creativity_lens.plan import Plan
from creativity_lens.prompts import Prompt
from creativity_lens.sides import Sides
from creativity_lens.stages import (
    CellKey,
    cells_of,
    dev_conditions,
    leaks_of,
    stage_rows,
    test_conditions,
    unsteered,
)
from creativity_lens.statistics import t_interval
from creativity_lens.tables import texts_frame
from creativity_lens.verdict import Verdict, judge

SHOWN = ("unsteered", "chosen", "layer", "negated", "prompted", "isotropic")  # in the report, word by word


@dataclass(frozen=True, eq=False)
class _Stage:
    """A stage's texts, and what each concept's clean reader says of them."""

    texts: Texts
    measured: dict[str, Measured]
    surprisal: np.ndarray
    repetition: np.ndarray

    def cells(self, concept: Concept) -> dict[int, Cell]:
        return cells_of(self.texts, concept, self.measured[concept.name], self.surprisal, self.repetition)


def choose_on_dev(
    model: Model,
    concepts: list[Concept],
    prompts: Sequence[Prompt],
    plan: Plan,
    kl: dict[str, dict[CellKey, float]],
    ledger: Ledger,
) -> dict[str, Choice]:
    """Draw every cell on dev prompts, choose one per concept, and write the choice down."""
    main = concepts[0]
    ready = [concept for concept in concepts if concept.scorer is not None]
    conditions = [unsteered(plan, plan.samples)]
    conditions += [c for concept in ready for c in dev_conditions(concept, plan, small=concept is not main)]
    stage = _write_and_read(model, "dev", conditions, prompts, ready, plan, ledger)
    texts, choices = stage.texts, {}
    with ledger.step("dev: statistics"):
        for concept in ready:
            cells, seen = stage.cells(concept), stage.measured[concept.name]
            leaks = leaks_of(texts, concept, seen) if concept is main else {}
            ledger.rows += stage_rows("dev", concept, texts, seen, cells, leaks, kl[concept.name], seed=plan.seed)
            chosen = choose(concept, [texts.conditions[i] for i in cells], list(cells.values()))
            if chosen is not None:
                choices[concept.name] = chosen
            described = describe_choice(concept, chosen) if chosen is not None else None
            if concept is main:
                ledger.run["layer_set"] = {"selection_share": layer_shares(texts, cells, concept, seed=plan.seed)}
                ledger.run["choice"] = ledger.as_made(described)
            else:
                ledger.run["positive_control"] = {"concept": concept.name, "choice": described}
    ledger.write()  # the choice is on disk before any test text exists
    return choices


def judge_on_test(
    model: Model,
    reader: Model | None,
    concepts: list[Concept],
    choices: dict[str, Choice],
    prompts: Sequence[Prompt],
    plan: Plan,
    kl: dict[str, dict[CellKey, float]],
    nuisances: dict[str, Any],
    sides: Sides,
    ledger: Ledger,
) -> dict[str, Verdict]:
    """Draw the test rows of the chosen cells and judge them once."""
    main = concepts[0]
    ready = [concept for concept in concepts if concept.name in choices]
    conditions = [unsteered(plan, plan.baseline)]
    with ledger.step("matching controls"):
        for concept in ready:
            small, choice = concept is not main, choices[concept.name]
            flips, band = control_edits(model, concept, choice, plan, small=small)
            if not small and len(flips) < plan.controls:
                topics = len(set(concept.steering_pairs.topics))
                ledger.run["warnings"].append(
                    f"{len(flips)} control pushes, not {plan.controls}: {topics} topics have no more that differ."
                )
            conditions += test_conditions(concept, choice, plan, flips, band, urge=sides.urge, small=small)
    stage = _write_and_read(model, "test", conditions, prompts, ready, plan, ledger)
    texts, verdicts = stage.texts, {}
    with ledger.step("test: statistics"):
        for concept in ready:
            cells, seen, choice = stage.cells(concept), stage.measured[concept.name], choices[concept.name]
            leaks = leaks_of(texts, concept, seen) if concept is main else {}
            ledger.rows += stage_rows("test", concept, texts, seen, cells, leaks, kl[concept.name], seed=plan.seed)
            (chosen,) = texts.find("chosen", concept.name)
            pushes = texts.find("flip", concept.name)
            verdicts[concept.name] = judge(
                cells[chosen],
                np.array([t_interval(gain_of(texts, i, seen.score)).value for i in pushes]),
                concept.margins,
                concept.test_topics,
                seed=plan.seed,
                concept=concept.name,
                layer=choice.layer,
                strength=choice.strength,
            )
            if concept is main:
                ledger.run["layer_set"]["confidence_set"] = best_layers(texts, cells, concept, seed=plan.seed)
                rows, said = gain_left(concept, texts, seen, chosen, nuisances)
                ledger.rows += rows
                ledger.run["beside"] = [
                    against_temperature(texts, concept, seen, cells, chosen),
                    against_prompt(texts, concept, seen, chosen, sides),
                    *said,
                    *ledger.run.get("beside", []),
                ]
                if reader is not None:
                    row, sentence = second_reader(model, reader, concept, texts, chosen, plan.max_new_tokens)
                    ledger.rows += [row] if row else []
                    ledger.run["beside"].append(sentence)
    return verdicts


def _write_and_read(
    model: Model,
    stage: str,
    conditions: list[Condition],
    prompts: Sequence[Prompt],
    concepts: list[Concept],
    plan: Plan,
    ledger: Ledger,
) -> _Stage:
    """Generate a stage's texts and read them by the clean model; every one of the concepts has a scorer."""
    scorers = {concept.name: concept.scorer for concept in concepts if concept.scorer is not None}
    main, scorer = next(iter(scorers.items()))
    with ledger.step(f"{stage}: writing texts"):
        texts = write_texts(
            model,
            stage,
            conditions,
            prompts,
            max_new_tokens=plan.max_new_tokens,
            batch_rows=plan.batch_rows,
            probe=(scorer.layer, scorer.vector),
        )
    texts.frame["hooked_score"] = hooked_gaps(texts.frame["hooked_score"].to_numpy(float), scorer)
    ledger.run["rows"][stage] = len(texts.frame)
    with ledger.step(f"{stage}: reading texts"):
        shown = _shown(texts, main) if stage == "test" else ()
        measured = {
            name: measure_texts(model, texts, name, found, with_tokens=shown if name == main else ())
            for name, found in scorers.items()
        }
    with ledger.step(f"{stage}: surprisal"):
        surprisal, repetition = measure_surprisal(model, texts), repetitions(texts)
    ledger.keep(*texts_frame(model, texts.frame, measured, surprisal, repetition))
    return _Stage(texts, measured, surprisal, repetition)


def _shown(texts: Texts, main: str) -> list[int]:
    """Texts of which every token's score is kept: one luck of the conditions that the report shows."""
    frame = texts.frame
    first = frame["seed"] == frame["seed"].min()
    kept = first & frame["condition"].isin(SHOWN) & frame["concept"].isin([main, ""])
    return np.flatnonzero(kept.to_numpy()).tolist()
