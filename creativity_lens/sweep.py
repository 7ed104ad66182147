"""The layer sweep: dev chooses a layer and a strength, the choice is written down, test judges it once.

What chooses is never what is tested. The order is: read-out and directions from the pairs, screening without sampling, dev
texts, the choice, controls matched to it, test texts, the verdict. A positive control runs through the same code.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from creativity_lens.beside import against_prompt, against_temperature, gain_left, second_reader
from creativity_lens.cells import Cell, quality_of
from creativity_lens.concept import Concept, drawn_only, nuisance_directions, nuisance_rows, prepare
from creativity_lens.conditions import (
    Condition,
    Measured,
    Texts,
    gain_of,
    measure_surprisal,
    measure_texts,
    repetitions,
    write_texts,
)
from creativity_lens.directions import Directions, with_dev_scores
from creativity_lens.errors import InputError
from creativity_lens.figures import draw
from creativity_lens.models import Model
from creativity_lens.plan import Plan
from creativity_lens.prompts import ContrastivePair, Prompt, load_control, load_pairs, load_prompts
from creativity_lens.provenance import describe_model, describe_run, verdict_dict
from creativity_lens.stages import (
    Choice,
    cells_of,
    choose,
    control_edits,
    dev_conditions,
    leaks_of,
    screen_grid,
    stage_rows,
    test_conditions,
    unsteered,
)
from creativity_lens.statistics import confidence_set, selection_share
from creativity_lens.tables import TABLE_COLUMNS, read_run, texts_frame, write_run
from creativity_lens.verdict import Verdict, judge, with_control


@dataclass(frozen=True, eq=False)
class Sweep:
    """A finished sweep: the table of every measured number, the texts, and how it was made."""

    table: pd.DataFrame  # sweep.csv: one row per measured number
    texts: pd.DataFrame  # generations.parquet
    scores: pd.DataFrame  # scores.parquet: one row per text and measure
    run: dict[str, Any]  # run.json
    directions: Directions

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        return str(self.run["verdict"]["sentence"])

    def figure(self, name: str = "depth") -> Any:
        """A plotly figure: depth, map, tradeoff, control, readout, nuisance, dose or leak.

        >>> sweep.figure("map")            # doctest: +SKIP
        """
        return draw(name, self.table, self.run)

    def save(self, folder: str | Path) -> None:
        """Write run.json, sweep.csv, generations.parquet, scores.parquet and directions.safetensors, each whole."""
        write_run(Path(folder), self.table, self.texts, self.scores, self.run)
        self.directions.save(Path(folder) / "directions.safetensors")

    @classmethod
    def load(cls, folder: str | Path) -> "Sweep":
        """Read a run's folder back."""
        return cls(*read_run(Path(folder)), Directions.load(Path(folder) / "directions.safetensors"))

    def __repr__(self) -> str:
        return f"Sweep({self.run['model']['name']}: {self.sentence})"


@dataclass
class _Ledger:
    """What a running sweep has found so far; written out when a stage ends, so that a broken-off run keeps it."""

    out: Path | None
    run: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    texts: list[pd.DataFrame] = field(default_factory=list)
    scores: list[pd.DataFrame] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.run["timings"][name] = round(self.run["timings"].get(name, 0.0) + time.perf_counter() - start, 2)

    def keep(self, texts: pd.DataFrame, scores: pd.DataFrame) -> None:
        self.texts.append(texts)
        self.scores.append(scores)

    def frames(self) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        table = pd.DataFrame(self.rows).reindex(columns=list(TABLE_COLUMNS))
        table["layer"], table["control"] = table["layer"].astype("Int64"), table["control"].astype("Int64")
        join = [pd.concat(frames, ignore_index=True) if frames else pd.DataFrame() for frames in (self.texts, self.scores)]
        return table, join[0], join[1]

    def write(self) -> None:
        if self.out is not None:
            write_run(self.out, *self.frames(), self.run)


def sweep_layers(
    model: Model,
    pairs: Sequence[ContrastivePair] | None = None,
    *,
    plan: Plan | None = None,
    prompts: tuple[Sequence[Prompt], Sequence[Prompt]] | None = None,
    reader: Model | None = None,
    control: str | None = "auto",
    seed: int | None = None,
    out: str | Path | None = None,
    command: str = "",
) -> Sweep:
    """Sweep strength against depth: which layer steers, how well, against which controls.

    `prompts` is (dev, test); `control` names the positive control ("register", "sentiment", None for none; "auto" takes
    register for the built-in models); `out` is a folder that is written to as stages end.

    >>> sweep = sweep_layers(load_model("pocket-chat"), load_pairs(), seed=0)     # doctest: +SKIP
    >>> sweep.figure()                                                            # doctest: +SKIP
    """
    plan = plan or Plan()
    if seed is not None:
        plan = replace(plan, seed=seed)
    pairs = list(pairs) if pairs is not None else load_pairs()
    dev_prompts, test_prompts = prompts or load_prompts()
    if control == "auto":
        control = "register" if model.name.startswith("pocket-") else "sentiment"
    described = describe_run(model, reader, pairs, dev_prompts, test_prompts, plan, command)
    folder = Path(out) if out is not None else None
    ledger = _Ledger(folder, {"name": folder.resolve().name if folder else model.name, **described})
    concepts, kl, nuisances = _read_out(model, pairs, control, plan, ledger)
    main = concepts[0]
    verdicts: dict[str, Verdict] = {}
    if not plan.screen_only and main.scorer is not None and main.choosable:
        choices = _dev_stage(model, concepts, dev_prompts, plan, kl, ledger)
        verdicts = _test_stage(model, reader, concepts, choices, test_prompts, plan, kl, nuisances, ledger)
    ledger.run["verdict"] = verdict_dict(verdicts.get(main.name), main, plan)
    if control in verdicts:
        ledger.run["positive_control"] |= verdict_dict(verdicts[control], concepts[1], plan)
        ledger.run["verdict"] = verdict_dict(with_control(verdicts[main.name], verdicts[control]), main, plan)
    ledger.run["verdict"]["beside"] = ledger.run.pop("beside", [])
    ledger.run["status"] = "finished"
    table, texts, scores = ledger.frames()
    dev = [(f"{row['measure']}@{row['layer']}", row["estimate"]) for row in main.rows if row["measure"] in ("auc", "paired_accuracy") and row["condition"] == "direction" and row["method"] == "mean_difference"]
    sweep = Sweep(table, texts, scores, ledger.run, with_dev_scores(main.directions[plan.methods[0]], dev))
    if out is not None:
        sweep.save(out)
    return sweep


def _read_out(
    model: Model, pairs: list[ContrastivePair], control: str | None, plan: Plan, ledger: _Ledger
) -> tuple[list[Concept], dict[str, dict[tuple[int, float, str], float]], dict[str, Any]]:
    """Directions, read-out and screening of the main concept and of the positive control."""
    with ledger.step("read-out"):
        concepts = [prepare(model, "creativity", pairs, plan, full=True)]
        if control is not None and not plan.screen_only:
            concepts.append(prepare(model, control, load_control(control), replace(plan, position="response"), full=False))
        nuisances = nuisance_directions(model, concepts[0], plan)
    for concept in concepts:
        ledger.rows += concept.rows
    ledger.rows += nuisance_rows(concepts[0], nuisances)
    kl = {}
    with ledger.step("screening"):
        for concept in concepts:
            rows, kl[concept.name] = screen_grid(model, concept, plan, small=concept is not concepts[0])
            ledger.rows += rows
    directions = concepts[0].directions["mean_difference"]
    limit = drawn_only(model.n_layers)
    ledger.run |= {
        "layers": list(directions.layers),
        "drawn_only": [layer for layer in directions.layers if layer >= limit and len(directions.layers) > 1],
        "norms": [float(norm) for norm in directions.residual_norms],
        "gaps": [float(gap) for gap in directions.gaps],
        "readout": {c.name: {"layer": c.scorer.layer, "gap": c.scorer.gap} if c.scorer else None for c in concepts},
    }
    ledger.write()
    return concepts, kl, nuisances


def _write_and_read(
    model: Model, stage: str, conditions: list[Condition], prompts: Sequence[Prompt], concepts: list[Concept], plan: Plan, ledger: _Ledger
) -> tuple[Texts, dict[str, Measured], np.ndarray, np.ndarray]:
    """Generate a stage's texts and read them by the clean model."""
    scorer = concepts[0].scorer
    assert scorer is not None
    with ledger.step(f"{stage}: writing texts"):
        texts = write_texts(
            model, stage, conditions, prompts, max_new_tokens=plan.max_new_tokens, batch_rows=plan.batch_rows,
            probe=(scorer.layer, scorer.vector), on_halved=ledger.run["batches_halved"].append,
        )  # fmt: skip
    texts.frame["hooked_score"] = (texts.frame["hooked_score"] - float(scorer.center @ scorer.vector)) / scorer.gap
    ledger.run["rows"][stage] = len(texts.frame)
    with ledger.step(f"{stage}: reading texts"):
        shown = _shown(texts, stage)
        measured = {
            c.name: measure_texts(model, texts, c.name, c.scorer, with_tokens=shown if c is concepts[0] else ())
            for c in concepts
            if c.scorer is not None
        }
    with ledger.step(f"{stage}: surprisal"):
        surprisal, repetition = measure_surprisal(model, texts), repetitions(texts)
    ledger.keep(*texts_frame(model, texts.frame, measured, surprisal, repetition))
    return texts, measured, surprisal, repetition


def _shown(texts: Texts, stage: str) -> Sequence[int]:
    """Texts of which every token's score is kept: on test, one luck of the conditions that the report shows."""
    frame = texts.frame
    first = frame["seed"] == frame["seed"].min()
    names = frame["condition"].isin(["unsteered", "chosen", "layer", "negated", "prompted", "isotropic"])
    return np.flatnonzero((first & names).to_numpy()) if stage == "test" else ()


def _dev_stage(
    model: Model, concepts: list[Concept], prompts: Sequence[Prompt], plan: Plan, kl: dict[str, Any], ledger: _Ledger
) -> dict[str, Choice]:
    """Draw every cell on dev prompts, choose one per concept, and write the choice down."""
    ready = [concept for concept in concepts if concept.scorer is not None]
    conditions = [unsteered(plan)] + [
        condition for concept in ready for condition in dev_conditions(concept, plan, small=concept is not concepts[0])
    ]
    texts, measured, surprisal, repetition = _write_and_read(model, "dev", conditions, prompts, ready, plan, ledger)
    choices: dict[str, Choice] = {}
    with ledger.step("dev: statistics"):
        for concept in ready:
            cells = cells_of(texts, concept, measured[concept.name], surprisal, repetition)
            chosen = choose(concept, [texts.conditions[i] for i in cells], list(cells.values()), seed=plan.seed)
            if chosen is not None:
                choices[concept.name] = chosen
            leaks = leaks_of(texts, concept, measured[concept.name]) if concept is concepts[0] else {}
            ledger.rows += stage_rows(
                "dev", concept, texts, measured[concept.name], cells, leaks, kl[concept.name], seed=plan.seed
            )
            if concept is concepts[0]:
                ledger.run["layer_set"] = {"selection_share": _selection(texts, cells, concept, plan.seed)}
    main = concepts[0]
    for concept in ready:
        if concept.name in choices:
            described = _describe_choice(concept, choices[concept.name])
            if concept is main:
                ledger.run["choice"] = described
            else:
                ledger.run["positive_control"] = {"concept": concept.name, "choice": described}
    ledger.write()  # the choice is on disk before any test text exists
    return choices


def _describe_choice(concept: Concept, choice: Choice) -> dict[str, Any]:
    at = concept.directions[choice.method].at(choice.layer)
    raw = choice.strength * at.residual_norm
    return {
        "readout_layer": concept.scorer.layer if concept.scorer else None,
        "layer": choice.layer, "strength": choice.strength, "method": choice.method, "raw_dose": raw,
        "gap_dose": raw / at.gap, "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "per_layer_strength": {str(layer): strength for layer, strength in choice.per_layer.items()},
    }  # fmt: skip


def _selection(texts: Texts, cells: dict[int, Cell], concept: Concept, seed: int) -> dict[str, float]:
    """How often each layer is chosen when dev prompts are drawn again."""
    allowed = [i for i in cells if texts.conditions[i].keys["layer"] in concept.choosable]
    if not allowed:
        return {}
    some = [cells[i] for i in allowed]
    shares = selection_share(lambda weights: quality_of(weights, some), len(texts.prompts), seed=seed)
    found: dict[str, float] = {}
    for number, share in zip(allowed, shares, strict=True):
        layer = str(texts.conditions[number].keys["layer"])
        found[layer] = found.get(layer, 0.0) + float(share)
    return found


def _test_stage(
    model: Model, reader: Model | None, concepts: list[Concept], choices: dict[str, Choice], prompts: Sequence[Prompt],
    plan: Plan, kl: dict[str, Any], nuisances: dict[str, Any], ledger: _Ledger,
) -> dict[str, Verdict]:  # fmt: skip
    """Draw the test rows of the chosen cells and judge them once."""
    main = concepts[0]
    ready = [concept for concept in concepts if concept.name in choices]
    conditions = [unsteered(plan)]
    with ledger.step("matching controls"):
        for concept in ready:
            small = concept is not main
            flips, band = control_edits(model, concept, choices[concept.name], plan, small=small)
            conditions += test_conditions(model, concept, choices[concept.name], plan, flips, band, small=small)
    texts, measured, surprisal, repetition = _write_and_read(model, "test", conditions, prompts, ready, plan, ledger)
    verdicts: dict[str, Verdict] = {}
    with ledger.step("test: statistics"):
        for concept in ready:
            seen, choice = measured[concept.name], choices[concept.name]
            cells = cells_of(texts, concept, seen, surprisal, repetition)
            leaks = leaks_of(texts, concept, seen) if concept is main else {}
            ledger.rows += stage_rows("test", concept, texts, seen, cells, leaks, kl.get(concept.name, {}), seed=plan.seed)
            (chosen,) = texts.find("chosen", concept.name)
            controls = np.array([np.nanmean(gain_of(texts, i, seen.score)) for i in texts.find("flip", concept.name)])
            verdicts[concept.name] = judge(
                cells[chosen], controls, concept.margins, concept.test_topics, seed=plan.seed, concept=concept.name,
                layer=choice.layer, strength=choice.strength,
            )  # fmt: skip
            if concept is main:
                ledger.run["layer_set"]["confidence_set"] = _layer_set(texts, concept, cells, plan.seed)
                rows, said = gain_left(concept, texts, seen, chosen, nuisances)
                ledger.rows += rows
                ledger.run["beside"] = [
                    against_temperature(texts, concept, seen, cells, chosen),
                    against_prompt(texts, concept, seen, chosen),
                    *said,
                ]
                if reader is not None:
                    row, sentence = second_reader(model, reader, concept, texts, chosen, plan.max_new_tokens)
                    ledger.rows += [row] if row else []
                    ledger.run["beside"].append(sentence)
    return verdicts


def _layer_set(texts: Texts, concept: Concept, cells: dict[int, Cell], seed: int) -> list[int]:
    """Layers whose quality on test cannot be told from the best one's."""
    layers = [i for i in texts.find("layer", concept.name) if texts.conditions[i].keys["layer"] in concept.choosable]
    some = [cells[i] for i in layers]
    kept = confidence_set(lambda weights: quality_of(weights, some), len(texts.prompts), seed=seed)
    return [texts.conditions[i].keys["layer"] for i, keep in zip(layers, kept, strict=True) if keep]
