"""The layer sweep: dev chooses a layer and a strength, the choice is written down, test judges it once.

What chooses is never what is tested. The order is: read-out and directions from the pairs, screening without sampling,
dev texts, the choice, controls matched to it, test texts, the verdict. A positive control runs through the same code.
"""

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from creativity_lens.activations import source_dict
from creativity_lens.beside import adversarial_contrasts, against_prompt, against_temperature, gain_left, second_reader
from creativity_lens.cells import Cell
from creativity_lens.choice import Choice, best_layers, choose, describe_choice, layer_shares
from creativity_lens.concept import Concept, dev_scores, nuisance_directions, nuisance_rows, prepare
from creativity_lens.conditions import (
    Condition,
    Measured,
    Texts,
    check_prompts,
    gain_of,
    hooked_gaps,
    measure_surprisal,
    measure_texts,
    repetitions,
    write_texts,
)
from creativity_lens.controls import control_edits
from creativity_lens.directions import Directions, with_dev_scores
from creativity_lens.errors import InputError, check_choice
from creativity_lens.files import plain
from creativity_lens.generation import cache_room
from creativity_lens.given import SHARED_NOISE, plan_for
from creativity_lens.holding import new_run, store_of
from creativity_lens.layers import drawn_only
from creativity_lens.ledger import Ledger
from creativity_lens.models import Model
from creativity_lens.plan import Plan
from creativity_lens.prompts import CONTROLS, ContrastivePair, Prompt, load_control, load_pairs, load_prompts
from creativity_lens.provenance import describe_run, verdict_dict
from creativity_lens.result import Sweep
from creativity_lens.runs import begun
from creativity_lens.sides import Sides
from creativity_lens.stages import (
    CellKey,
    cells_of,
    dev_conditions,
    dose_notes,
    leaks_of,
    screen_grid,
    stage_rows,
    test_conditions,
    unsteered,
)
from creativity_lens.statistics import t_interval
from creativity_lens.tables import texts_frame
from creativity_lens.verdict import Verdict, blind, judge, with_control
from creativity_lens.yardstick import yardstick_of

OWN = ("mean_difference",)
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


def sweep_layers(
    model: Model,
    pairs: Sequence[ContrastivePair] | None = None,
    *,
    plan: Plan | None = None,
    prompts: tuple[Sequence[Prompt], Sequence[Prompt]] | None = None,
    reader: Model | None = None,
    control: str | None = "auto",
    seed: int | None = None,
    sides: Sides | None = None,
    directions: Directions | None = None,
    out: str | Path | None = None,
    command: str = "",
) -> Sweep:
    """Sweep strength against depth: which layer steers, how well, against which controls.

    `prompts` is (dev, test); `control` names the positive control ("register", "sentiment", None for none; "auto" takes
    register for the built-in models); `sides` names what the pairs contrast, where that is not creativity; with
    `directions` those are pushed along instead of the pairs' own, and judged alike.

    `out` is the run's folder, on this machine or on object storage. What is finished is kept there at once, and the
    same call goes on where another one was broken off, by whatever; `sweep.csv`, texts and directions are then equal to
    the byte to those of a run that was not (in float32 on one machine, unless a batch had to be halved for memory). A
    finished run is read. Raises `InputError` for pairs, prompts or a plan that do not fit the model or each other, and
    for a folder that holds a run with other inputs, or that another process writes.

    >>> sweep = sweep_layers(load_model("pocket-chat"), load_pairs(), seed=0)     # doctest: +SKIP
    >>> sweep.figure()                                                            # doctest: +SKIP
    """
    plan = plan or Plan()
    if seed is not None:
        plan = replace(plan, seed=seed)
    sides = sides or Sides()
    plan = plan_for(directions, model, plan)
    pairs = list(pairs) if pairs is not None else load_pairs()
    dev, test = prompts or load_prompts()
    if control == "auto":
        control = "register" if model.id.startswith("pocket-") else "sentiment"
    elif control is not None:
        check_choice("control", control, CONTROLS)
    if not plan.screen_only:
        check_prompts(model, dev, test, max_new_tokens=plan.max_new_tokens, front=sides.urge)
    described = describe_run(model, reader, pairs, dev, test, plan, command, sides) | {"control": control}
    if directions is not None:
        described["given"] = {"method": directions.method, "source": source_dict(directions.source)}
        described["warnings"].append(SHARED_NOISE)
    with new_run(out, model.name, resume=True) if out is not None else nullcontext() as folder:
        earlier = begun(folder, described) if folder is not None else None
        if folder is not None and earlier is not None and earlier.get("status") == "finished":
            try:
                return Sweep.load(folder)
            except InputError as error:  # a damaged file is made anew from what was kept
                warnings.warn(f"{error} It is made again.", stacklevel=2)
        run = {"name": folder.resolve().name if folder else model.name, **described}
        ledger = Ledger(folder, run, earlier=earlier)
        if folder is not None:
            models = _keeping([model, reader], folder, earlier, run)
            model, reader = models[0] or model, models[1]
            ledger.begin()
        concepts, kl, nuisances = _read_out(model, pairs, sides, control, plan, directions, ledger)
        main, verdicts = concepts[0], {}
        if not plan.screen_only and main.scorer is not None and main.choosable:
            choices = _dev_stage(model, concepts, dev, plan, kl, ledger)
            verdicts = _test_stage(model, reader, concepts, choices, test, plan, kl, nuisances, sides, ledger)
        _conclude(concepts, verdicts, plan, ledger)
        method = plan.methods[0]
        found = with_dev_scores(main.directions[method], dev_scores(main.rows, method))
        found = replace(found, positive=sides.creative)
        with ledger.step("scorer"):
            yardstick = yardstick_of(model, main, sides)
        scoring = replace(main.scoring_directions, positive=sides.creative)
        sweep = Sweep(*ledger.frames(), plain(ledger.run), found, yardstick, scoring)
        if folder is not None:
            sweep.save(folder)
    return sweep


def _keeping(
    models: Sequence[Model | None], folder: Path, earlier: dict[str, Any] | None, run: dict[str, Any]
) -> list[Model | None]:
    """The models, with results kept in the run's folder and batches as they were planned when the run began."""
    plan = (earlier or {}).get("batch_plan") or {}
    first = next(model for model in models if model is not None)
    room = plan.get("cache_bytes") or first.engine.room(first) or cache_room(first.device)
    run["batch_plan"] = {"cache_bytes": room, "threads": first.engine.threads}
    if earlier is not None:
        run |= {"created": earlier["created"], "resumed": earlier.get("resumed", 0) + 1}
    store = store_of(folder)
    return [
        None
        if model is None
        else replace(model, engine=model.engine.keeping(store, room, run["batches_halved"].append))
        for model in models
    ]


def _read_out(
    model: Model,
    pairs: list[ContrastivePair],
    sides: Sides,
    control: str | None,
    plan: Plan,
    given: Directions | None,
    ledger: Ledger,
) -> tuple[list[Concept], dict[str, dict[CellKey, float]], dict[str, Any]]:
    """Directions, read-out and screening of the main concept and of the positive control."""
    with ledger.step("read-out"):
        concepts = [prepare(model, sides.concept, pairs, plan, full=True, given=given)]
        if control is not None and not plan.screen_only:
            # a control's instructions do not differ, and it has directions of its own
            theirs = replace(plan, position="response", methods=OWN if given is not None else plan.methods)
            concepts.append(prepare(model, control, load_control(control), theirs, full=False))
        nuisances = nuisance_directions(model, concepts[0], plan)
        if sides.are_default and concepts[0].scorer is not None:
            rows, said = adversarial_contrasts(model, concepts[0].scorer)
            ledger.rows += [{"concept": sides.concept, **row} for row in rows]
            ledger.run["beside"] = [said]
    for concept in concepts:
        ledger.rows += concept.rows
    ledger.rows += nuisance_rows(concepts[0], nuisances)
    kl = {}
    with ledger.step("screening"):
        for concept in concepts:
            rows, kl[concept.name] = screen_grid(model, concept, plan, small=concept is not concepts[0])
            ledger.rows += rows
    directions = concepts[0].steering
    limit = drawn_only(model.n_layers)
    ledger.run |= {
        "layers": list(directions.layers),
        "drawn_only": [layer for layer in directions.layers if layer >= limit and len(directions.layers) > 1],
        "norms": [float(norm) for norm in directions.residual_norms],
        "gaps": [float(gap) for gap in directions.gaps],
        "readout": {c.name: {"layer": c.scorer.layer, "gap": c.scorer.gap} if c.scorer else None for c in concepts},
    }
    ledger.run["doses"], weak = dose_notes(concepts[0], plan)
    ledger.run["warnings"] += weak
    ledger.write()
    return concepts, kl, nuisances


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


def _dev_stage(
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


def _test_stage(
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


def _conclude(concepts: list[Concept], verdicts: dict[str, Verdict], plan: Plan, ledger: Ledger) -> None:
    """Write the verdict, in the light of the positive control, into run.json."""
    main, others, run = concepts[0], concepts[1:], ledger.run
    final = verdicts.get(main.name)
    for control in others:
        found = verdicts.get(control.name)
        described = run.get("positive_control", {"concept": control.name, "choice": None})
        run["positive_control"] = described | verdict_dict(found, control, plan)
        if final is not None:
            untested = "could not be tested (no layer that may be chosen reads it)"
            final = with_control(final, found) if found is not None else blind(final, control.name, untested)
    run["verdict"] = verdict_dict(final, main, plan) | {"beside": run.pop("beside", [])}
    run["status"] = "finished"
