"""The layer sweep: dev chooses a layer and a strength, the choice is written down, test judges it once.

What chooses is never what is tested. The order is: read-out and directions from the pairs, screening without sampling,
dev texts, the choice, controls matched to it, test texts, the verdict. A positive control runs through the same code.
"""

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from creativity_lens.activations import source_dict
from creativity_lens.beside import adversarial_contrasts
from creativity_lens.concept import Concept, dev_scores, nuisance_directions, nuisance_rows, prepare
from creativity_lens.conditions import (
    check_prompts,
)
from creativity_lens.directions import Directions, with_dev_scores
from creativity_lens.errors import InputError, check_choice
from creativity_lens.files import plain
from creativity_lens.generation import cache_room
from creativity_lens.given import SHARED_NOISE, plan_for
from creativity_lens.holding import new_run, store_of
from creativity_lens.judging import choose_on_dev, judge_on_test
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
    dose_notes,
    screen_grid,
)
from creativity_lens.verdict import Verdict, blind, with_control
from creativity_lens.yardstick import yardstick_of

OWN = ("mean_difference",)


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
            choices = choose_on_dev(model, concepts, dev, plan, kl, ledger)
            verdicts = judge_on_test(model, reader, concepts, choices, test, plan, kl, nuisances, sides, ledger)
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
