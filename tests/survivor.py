"""A sweep in small, without a model: what the tests kill, starve and damage.

It goes the way of `sweep_layers`: it claims its folder, has works done by the engine, chooses by their results what is
done next, and writes its files. Neither PyTorch nor TransformerLens is imported, so that it can be started often.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from creativity_lens.cell_store import CellStore
from creativity_lens.engines.local import Local
from creativity_lens.errors import InputError
from creativity_lens.files import sha256_of, sha256_text, write_json, write_text, write_with
from creativity_lens.holding import new_run, store_of
from creativity_lens.runs import CELLS, DIRECTIONS_FILE, RUN_FILE, TABLE_FILE, begun
from creativity_lens.storage import open_storage
from creativity_lens.tensor_header import ordered_file
from creativity_lens.work import Arrays, Work, carry_out_rows, work_key

TEXTS_FILE = "texts.json"
HEAVY = ("torch", "transformers", "transformer_lens", "pandas", "scipy", "sklearn")
WIDTHS = (3, 1, 2)  # rows of the batches, in turn


class OneThread(Local):
    """The local engine, which need not ask PyTorch."""

    @property
    def threads(self) -> int:
        return 1


@dataclass(frozen=True)
class Asked:
    """What is asked of a run."""

    seed: int = 0
    layers: int = 3
    prompts: int = 8
    weights: str = "sha256:one"
    version: str = "1.0"


@dataclass(frozen=True, eq=False)
class Fake:
    """As much of a model as works need; `log` gets a line, the work's key, whenever a verb runs."""

    identity: dict[str, Any]
    engine: OneThread
    log: Path
    pause: float = 0.0  # seconds that a work takes
    fits: int = 99  # rows of the largest batch that fits into memory
    name: str = "fake"
    is_hooked = False


def draw(model: Fake, settings: tuple[str, int, int], rows: Sequence[str]) -> Arrays:
    """Verb: `values [row, token]` and `length [row]`, as wild as a model's texts and as repeatable."""
    key = work_key(Work(draw, settings, tuple(rows), 0), model.identity | {"threads": 1})
    handle = os.open(model.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, f"{key}\n".encode())  # what the system has, a kill does not take away
    os.close(handle)
    if len(rows) > model.fits:
        raise MemoryError
    time.sleep(model.pause)
    lengths = [2 + int(sha256_text(*map(str, settings), row)[:2], 16) % 5 for row in rows]
    values = np.full((len(rows), max(lengths)), np.nan, np.float32)
    for row, length, line in zip(rows, lengths, values, strict=True):
        generator = np.random.default_rng(
            int(sha256_text(model.identity["weights_hash"], *map(str, settings), row), 16)
        )
        line[:length] = generator.standard_normal(length)
    return {"values": values, "length": np.array(lengths)}


def sweep(out: str | Path, log: str | Path, *, pause: float = 0.0, fits: int = 99, **asked: Any) -> dict[str, Any]:
    """Sweep into `out`, or go on there; what run.json holds in the end."""
    chosen = Asked(**asked)
    with new_run(out, "fake", resume=True) as folder:
        run = describe(chosen)
        earlier = begun(folder, run)
        if earlier is not None:
            run |= {"created": earlier["created"], "resumed": earlier.get("resumed", 0) + 1}
        engine = OneThread(store_of(folder), 1, run["batches_halved"].append)
        identity = {"weights_hash": chosen.weights, "versions": run["versions"]}
        model = Fake(identity, engine, Path(log), pause, fits)
        write_json(folder / RUN_FILE, run)

        dev = {layer: stage(model, "dev", layer, chosen) for layer in range(chosen.layers)}
        run["choice"] = max(dev, key=lambda layer: float(np.nanmean(dev[layer])))
        write_text(folder / TABLE_FILE, table({f"dev,{layer}": found for layer, found in dev.items()}))
        write_json(folder / RUN_FILE, run)  # the choice is on disk before anything is tested

        test = stage(model, "test", run["choice"], chosen)
        write_text(
            folder / TABLE_FILE,
            table({f"dev,{layer}": found for layer, found in dev.items()} | {f"test,{run['choice']}": test}),
        )
        write_json(folder / TEXTS_FILE, {"test": test})
        blob = ordered_file(save({"test": test, "dev": np.stack([np.nanmean(each, 1) for each in dev.values()])}, META))
        write_with(folder / DIRECTIONS_FILE, lambda path: path.write_bytes(blob))
        files = {name: sha256_of(folder / name) for name in (TABLE_FILE, TEXTS_FILE, DIRECTIONS_FILE)}
        write_json(folder / RUN_FILE, run | {"status": "finished", "files": files})
    return run


META = {"format": "made", "about": "a ∂irection", "b": "2", "a": "1"}


def refused(*arguments: Any, **options: Any) -> int:
    """The same as the command line would: bad input is one line, and status 2."""
    try:
        sweep(*arguments, **options)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(str(stop) or "nothing was written", file=sys.stderr)
        return 130
    return 0


def describe(asked: Asked) -> dict[str, Any]:
    return {
        "format": 1, "status": "running", "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": {"made": asked.version}, "model": {"id": "fake", "weights_hash": asked.weights},
        "options": {key: value for key, value in asdict(asked).items() if key not in ("weights", "version")},
        "seed": asked.seed, "batches_halved": [],
    }  # fmt: skip


def stage(model: Fake, name: str, layer: int, asked: Asked) -> np.ndarray:
    """Values of every prompt at a layer, in batches of differing sizes whose rows do not lie side by side."""
    order = np.random.default_rng(asked.seed).permutation(asked.prompts).tolist()
    groups = []
    while order:
        groups.append([order.pop() for _ in range(min(WIDTHS[len(groups) % len(WIDTHS)], len(order)))])
    prompts = [f"{name} {number}" for number in range(asked.prompts)]
    works = [
        Work(draw, (name, layer, asked.seed), tuple(prompts[row] for row in group), 10 * len(group)) for group in groups
    ]
    return carry_out_rows(model, works, groups, asked.prompts, description=name)["values"]


def table(found: dict[str, np.ndarray]) -> str:
    lines = [
        f"{name},{row},{float(np.nanmean(each[row]))!r}" for name, each in found.items() for row in range(len(each))
    ]
    return "\n".join(["stage,layer,row,mean", *lines, ""])


def claim(out: str, times: int, mixed: str) -> int:
    """Claim a folder again and again: how often it was had. A file `mixed` is left if somebody else had it too."""
    had = 0
    for _ in range(times):
        try:
            with new_run(out, "fake", resume=True) as folder:
                inside = folder / "inside"
                try:
                    os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    Path(mixed).write_text("two were in the folder at once")
                write_json(folder / RUN_FILE, {"created": "then"})
                time.sleep(0.001)
                inside.unlink(missing_ok=True)
                had += 1
        except InputError:
            pass
    return had


def light(told: str) -> None:
    """Which of the heavy packages this process has imported."""
    write_text(Path(told), "\n".join(name for name in HEAVY if name in sys.modules))


def ready() -> None:
    """Sweep once, so that whatever is imported on the way is imported before the first fork."""
    with tempfile.TemporaryDirectory() as folder:
        sweep(Path(folder) / "run", Path(folder) / "log")


def outgrow(place: str, log: str, told: str, copy: str) -> None:
    """Sweep on a disk that is one page larger at each try, and once on one that may not be written.

    To be called where mounting is allowed. `told` gets what became of each try, `copy` the run's files.
    """
    tries: list[dict[str, Any]] = []
    options = "size=4k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    while not tries or tries[-1]["said"]:
        said = ""
        try:
            sweep(Path(place) / "run", log)
        except InputError as error:
            said = str(error)
        store = CellStore(open_storage(Path(place) / "run" / CELLS))
        tries.append({
            "options": options, "said": said, "cells": {name: store.check(name) for name in store.names()},
            "partial": [str(path) for path in Path(place).rglob("*.partial")],
            "ran": Path(log).read_text("utf-8").split() if Path(log).exists() else [],
        })  # fmt: skip
        options = "ro" if len(tries) == 8 else f"rw,size={4 * len(tries) + 4}k"
        subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)
    shutil.copytree(Path(place) / "run", copy)
    write_text(Path(told), json.dumps(tries))
