"""Ours against steering-vectors and repeng, with transformers alone as the limit: speed and memory, taking turns.

It first shows that all sides do the same thing and ends with status 1 where they do not. It prints Markdown and writes
results.json and peers.svg.

    python -m benchmarks.peers --quick
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import material, plan, results, table
from benchmarks.peers.checks import Check, Fork, refusal, same_directions, same_ids, same_tokens
from benchmarks.peers.figure import draw
from benchmarks.peers.results import Outcome, Timed
from benchmarks.peers.talk import Worker, WorkerError

ROOT = Path(__file__).parents[2]
CHECK_PAIRS, CHECK_PROMPTS, CHECK_TOKENS = 8, 3, 16


def main() -> int:
    """Measure, print and write; 0, or 1 where the sides do not do the same thing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="next to nothing, to see that it runs")
    parser.add_argument("--threads", type=int, default=1, help="of each side; others share a machine's second core")
    parser.add_argument("--clock", default="wall", choices=("wall", "cpu"), help="cpu: seconds of the processor")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--models", default=",".join(plan.MODELS), help="some of them, with commas")
    parser.add_argument("--peers-python", type=Path, default=ROOT / ".venv-peers" / "bin" / "python")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "peers")
    parser.add_argument("--figure", type=Path, help="also draw it here, as docs/peers.svg is")
    options = parser.parse_args()
    blocks = plan.quick() if options.quick else plan.full()
    unknown = set(options.models.split(",")) - set(plan.MODELS)
    if unknown:
        parser.error(f"--models: expected some of {', '.join(plan.MODELS)}, got {', '.join(sorted(unknown))}")
    if not options.peers_python.exists():
        parser.error(f"--peers-python: no {options.peers_python}; run `make bench-peers`, which sets it up")
    blocks = [block for block in blocks if block.model in options.models.split(",")]
    start = time.perf_counter()
    try:
        with ExitStack() as stack:
            bench = Bench(start_workers(options, stack), options.out, options.clock)
            for block in blocks:
                bench.run(block)
    except WorkerError as error:
        print(f"bench-peers: {error}", file=sys.stderr)
        return 1
    minutes = (time.perf_counter() - start) / 60
    report(bench, options, minutes)
    return 1 if refusal(bench.checks) else 0


def start_workers(options: argparse.Namespace, stack: ExitStack) -> dict[str, Worker]:
    """All at once, since importing takes them longest; from here on one works at a time."""
    threads = str(options.threads)
    environment = {
        "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    workers = {}
    for name, (where, module) in plan.WORKERS.items():
        python = sys.executable if where == plan.OURS else str(options.peers_python)
        command = [python, "-m", f"benchmarks.peers.{module}", "--threads", threads, "--device", options.device]
        log = options.out / "logs" / f"{name.replace(', ', '-').replace(chr(39), '').replace(' ', '-')}.log"
        workers[name] = Worker(name, command, log=log, folder=ROOT, environment=environment)
        stack.callback(workers[name].close)
    return workers


class Bench:
    """The workers, the model they have loaded, and what was found so far."""

    def __init__(self, workers: dict[str, Worker], out: Path, clock: str) -> None:
        self._workers, self._out, self._clock = workers, out.resolve(), clock
        self._out.mkdir(parents=True, exist_ok=True)
        self._model = ""
        self._held: dict[str, int | None] = {}
        self._layers = 0
        self.checks: list[Check] = []
        self.outcomes: list[Outcome] = []
        self.versions: dict[str, dict[str, Any]] = {}

    def run(self, block: plan.Block) -> None:
        """Measure a block, after its model has been loaded and the sides have been compared on it.

        Nothing is timed once sides were found to differ.
        """
        if block.model != self._model:
            self._load(block.model)
        if refusal(self.checks):
            return
        say(table.title(block))
        measure = self._directions(block) if block.kind == "directions" else self._sweep(block)
        is_flat = block.kind == "sweep"
        sides = {way.name: Timed(way.name, held=self._held[way.worker], is_flat=is_flat) for way in block.ways}
        for number in range(block.rounds):
            turn = number % len(block.ways)  # another one begins each round
            for way in block.ways[turn:] + block.ways[:turn]:
                answer, share = measure(way)
                self._note(sides[way.name], answer, share)
                if "reading" in answer:
                    self._note(sides.setdefault(plan.READING, Timed(plan.READING)), answer["reading"], share)
        self.outcomes.append(Outcome(block, sides))

    def _note(self, side: Timed, answer: dict[str, Any], share: float) -> None:
        side.share = share
        side.seconds.append(answer[self._clock] / share)
        side.peaks.append(answer.get("peak"))
        side.returned, side.rows = answer.get("returned", 0), answer.get("rows")

    def _load(self, name: str) -> None:
        say(f"loading {name}, comparing the sides")
        folder = material.model_folder(name, self._out)
        for worker in self._workers.values():
            worker.send({"do": "load", "folder": str(folder)})
        self.versions = {side: worker.receive() for side, worker in self._workers.items()}
        self._model = name
        self._compare()
        self._held = {side: worker.ask({"do": "held"})["bytes"] for side, worker in self._workers.items()}

    def _path(self, name: str) -> str:
        return str(self._out / f"{self._model}-{name}.npy")

    def _compare(self) -> None:
        """All sides on a little of both tasks, which also warms them up."""
        workers, pairs = self._workers, material.texts_of_pairs(CHECK_PAIRS)
        prompts = material.prompts_of_sweep(CHECK_PROMPTS)
        texts = [text for pair in pairs for text in pair] + prompts
        ours_read = workers["ours"].ask({"do": "read_ids", "texts": texts})["ids"]
        asked = {"do": "read_ids", "texts": [*texts[: -len(prompts)], *as_asked(prompts)]}
        for side in workers:
            if side != "ours":
                theirs = workers[side].ask(asked)["ids"]
                self._add([
                    same_ids(f"{side}, texts of pairs", ours_read[: -len(prompts)], theirs[: -len(prompts)], more=1),
                    same_ids(f"{side}, prompts", ours_read[-len(prompts) :], theirs[-len(prompts) :]),
                ])  # fmt: skip

        def vectors(side: str, do: str, **more: Any) -> np.ndarray:
            out = self._path(side.split(",")[0])
            workers[side].ask({"do": do, "pairs": pairs, "out": out, **more})
            return np.load(out)

        ours, bare = vectors("ours", "extract"), vectors("plain", "forward")
        there = vectors("repeng", "extract", batch=32)
        self._add([
            same_directions(plan.SV_1, ours, vectors("steering-vectors", "extract", batch=1)),
            same_directions(plan.SV_32, ours, vectors("steering-vectors", "extract", batch=32)),
            same_directions(f"{plan.RE_32}, all layers but the last", ours[:-1], there[:-1]),
            # repeng reads its last layer after the final norm, which is what the bare body returns
            same_directions(f"{plan.RE_32}, last layer, against the bare body", bare, there[-1:]),
        ])  # fmt: skip
        found = workers["ours"].ask({"do": "pushes", "pairs": pairs, "out": self._path("pushes")})
        self._layers = len(found["layers"])
        self._compare_texts(prompts)

    def _compare_texts(self, prompts: list[str]) -> None:
        workers = self._workers
        cells = [(layer, dose) for layer in plan.spread_layers(2, self._layers) for dose in plan.strengths(2)]
        common = {"do": "sweep", "prompts": prompts, "cells": cells, "tokens": CHECK_TOKENS}
        common["pushes"] = self._path("pushes")
        ours = workers["ours"].ask({**common, "scope": "all"})["tokens"]
        common["prompts"] = as_asked(prompts)
        for side in ("steering-vectors", "repeng"):
            for batch in (1, 2):
                theirs = workers[side].ask({**common, "batch": batch})["tokens"]
                self._add([self._same_texts(f"{side}, prompts {batch} at a time", ours, theirs, prompts, cells)])
        clean = workers["ours"].ask({**common, "prompts": prompts, "cells": [(0, 0.0)], "scope": "all"})["tokens"]
        for side in ("plain", "plain, peers' environment"):
            asked = {"do": "unsteered", "prompts": as_asked(prompts), "cells": 1, "tokens": CHECK_TOKENS}
            theirs = workers[side].ask(asked)["tokens"]
            self._add([self._same_texts(f"{side}, unsteered", clean, theirs, prompts, [(0, 0.0)])])
        changed = sum(one != other for one, other in zip(ours, clean * len(cells), strict=True))
        self._add([Check("ours: the pushes change texts", f"{changed} of {len(ours)}", changed > 0)])

    def _same_texts(
        self, name: str, ours: list[list[int]], theirs: list[list[int]], prompts: Sequence[str], cells: Sequence[Any]
    ) -> Check:
        def margins(forks: list[Fork]) -> list[float]:
            asked = [
                {"prompt": prompts[fork.row % len(prompts)], "cell": cells[fork.row // len(prompts)],
                 "before": fork.before, "tokens": fork.tokens}
                for fork in forks
            ]  # fmt: skip
            return self._workers["ours"].ask({"do": "margins", "forks": asked, "pushes": self._path("pushes")})["apart"]

        return same_tokens(name, ours, theirs, margins)

    def _add(self, checks: Sequence[Check]) -> None:
        for check in checks:
            self.checks.append(Check(f"{self._model}: {check.text}", check.found, check.is_same))

    def _directions(self, block: plan.Block) -> Callable[[plan.Way], tuple[dict[str, Any], float]]:
        pairs = material.texts_of_pairs(block.size)

        def measure(way: plan.Way) -> tuple[dict[str, Any], float]:
            some = pairs[: plan.part_of_pairs(len(pairs), way.share)]
            batch = {} if way.batch is None else {"batch": way.batch}
            do = "forward" if way.worker == "plain" else "extract"
            return self._workers[way.worker].ask({"do": do, "pairs": some, **batch}), len(some) / len(pairs)

        return measure

    def _sweep(self, block: plan.Block) -> Callable[[plan.Way], tuple[dict[str, Any], float]]:
        prompts = material.prompts_of_sweep(block.prompts)
        layers = plan.spread_layers(block.cells[0], self._layers)
        cells = [(layer, dose) for layer in layers for dose in plan.strengths(block.cells[1])]
        written: dict[str, list[list[int]]] = {}

        def measure(way: plan.Way) -> tuple[dict[str, Any], float]:
            worker = self._workers[way.worker]
            if way.worker.startswith("plain"):
                given = as_asked(prompts)
                asked = {"do": "unsteered", "prompts": given, "cells": len(cells), "tokens": block.tokens}
                return worker.ask(asked), 1.0
            taken, count = plan.part_of_calls(len(cells), len(prompts), way.share)
            chosen = {"batch": way.batch} if way.scope is None else {"scope": way.scope}
            given = as_asked(prompts[:count]) if way.scope is None else prompts[:count]
            asked = {"do": "sweep", "prompts": given, "cells": [cells[place] for place in taken]}
            answer = worker.ask({**asked, "tokens": block.tokens, "pushes": self._path("pushes"), **chosen})
            if way.name == plan.OUR_SWEEP:
                written.setdefault("ours", answer["tokens"])
            elif way.scope is None and way.name not in written and "ours" in written:
                written[way.name] = answer["tokens"]
                ours = [written["ours"][place * len(prompts) + row] for place in taken for row in range(count)]
                some = [cells[place] for place in taken]
                name = f"{way.name}, {block.tokens} tokens, as timed"
                self._add([self._same_texts(name, ours, answer["tokens"], prompts[:count], some)])
            return answer, len(taken) * count / block.size

        return measure


def as_asked(prompts: Sequence[str]) -> list[str]:
    """Prompts with the line break that ours puts after them."""
    return [f"{prompt}\n" for prompt in prompts]


def report(bench: Bench, options: argparse.Namespace, minutes: float) -> None:
    """Print the tables and write the files."""
    tools = {name: found["tool"] for name, found in bench.versions.items()}
    ours, theirs = (bench.versions[name]["versions"] for name in ("ours", "repeng"))
    machine = {"cores": os.cpu_count(), "threads": options.threads, "device": options.device, "clock": options.clock}
    print(f"# {tools['ours']} beside {tools['steering-vectors']} and {tools['repeng']}\n")
    threads = f"{options.threads} thread{'s' if options.threads > 1 else ''} a side"
    clock = ", seconds of the processor" if options.clock == "cpu" else ""
    print(f"{threads} on {options.device}{clock}, {minutes:.0f} min; float32; our environment: {shown_versions(ours)}; "
          f"the peers': {shown_versions(theirs)}.\n")  # fmt: skip
    if options.quick:
        print("A quick run, to see that everything works: its numbers mean little.\n")
    print("## The same thing\n")
    print(table.checks_list(bench.checks))
    refused = refusal(bench.checks)
    goals = []
    if not (refused or options.quick):  # they are about the sizes of the full run
        goals = [goal for outcome in bench.outcomes for goal in results.speed_goals(outcome)]
        goals += results.memory_goals(bench.outcomes)
    if refused:
        print(f"\nNo ratios: the sides do not do the same thing. {refused}")
    else:
        print("\n## Speed and memory\n")
        print("\n\n".join(table.speed_table(outcome) for outcome in bench.outcomes))
        if goals:
            print("\n## Goals\n")
            print(table.goals_table(goals))
    found = {
        "quick": options.quick, "minutes": minutes, "machine": machine, "tools": tools,
        "versions": {"ours": ours, "peers": theirs}, "checks": [asdict(check) for check in bench.checks],
        "blocks": [{**asdict(o.block), "sides": [asdict(side) for side in o.sides.values()]} for o in bench.outcomes],
        "goals": [asdict(goal) for goal in goals],
    }  # fmt: skip
    (options.out / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    if not refused:
        for path in (options.out / "peers.svg", options.figure):
            if path is not None:
                path.write_text(
                    draw(bench.outcomes, f"{tools['ours']}, {tools['steering-vectors']}, {tools['repeng']}")
                )


def shown_versions(versions: dict[str, str]) -> str:
    """Names and numbers in one line."""
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def say(what: str) -> None:
    """Where the measurement is, on standard error."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
