"""Made-up runs in folders, in every state that a run can be in: finished, broken off, damaged, with kept results."""

import hashlib
import json
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from fake_sweep import fake_sweep

from creativity_lens.cell_store import CellStore
from creativity_lens.files import write_json
from creativity_lens.runs import CELLS
from creativity_lens.storage import open_storage
from creativity_lens.tables import sum_of, write_run
from creativity_lens.work import Result


def kept_sweep(
    folder: Path, *, seed: int = 0, cells: int = 0, finished: bool = True, created: str = "2025-01-01T12:00:00Z", **run
) -> Path:
    """A small sweep whose texts and tables follow from the seed; further keywords go into run.json."""
    files, about = _tables(seed)
    about = about | {"status": "finished" if finished else "running", "created": created, "concept": "creativity"}
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    _describe(folder, about | run)
    for number in range(cells):
        keep(folder, number)
    return folder


@cache
def _tables(seed: int) -> tuple[dict[str, bytes], dict]:
    """The files of a small sweep as they are written, and its run.json with their checksums."""
    table, texts, about = fake_sweep(seed=seed, layers=2, prompts=8)
    scores = pd.DataFrame({"text_id": ["t0"], "measure": ["score"], "value": [0.5], "unit": ["gaps"], "note": ["x"]})
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        write_run(made, table, texts.assign(control=None, temperature=1.0), scores, about)
        files = {path.name: path.read_bytes() for path in made.iterdir()}
    return files, json.loads(files.pop("run.json"))


def keep(folder: Path, number: int) -> Path:
    """A kept result, as a run keeps one."""
    key = hashlib.sha256(str(number).encode()).hexdigest()
    CellStore(open_storage(folder).within(CELLS)).write(key, Result({"ids": np.arange(40) + number}))
    return folder / CELLS / f"{key}.cell"


def claimed(folder: Path) -> Path:
    """A run that was claimed and did not come further."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"status": "running", "process": 1}) + "\n")
    return folder


def flip(file: Path, place: int = -1) -> None:
    """One bit of a file, the other way round."""
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)


def rewritten(folder: Path, **changes) -> None:
    """run.json with some of its parts changed."""
    run = json.loads((folder / "run.json").read_text("utf-8"))
    _describe(folder, run | changes)


def _describe(folder: Path, run: dict) -> None:
    """Write run.json with the sum of what it says."""
    said = {name: value for name, value in run.items() if name != "sum"}
    write_json(folder / "run.json", said | {"sum": sum_of(said)})
