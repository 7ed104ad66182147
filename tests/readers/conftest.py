"""What our own hooks gave, for other people's programs to be compared with, and the table of what was found.

Runs in environments without this package; `prepare.py` has written what is read here. The numbers of a run are printed
as the rows of the README's table and stored beside the prepared folder.
"""

import json
import math
import os
import sys
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

os.environ.setdefault("OMP_NUM_THREADS", "1")  # so small models gain nothing from more
os.environ["HF_HUB_OFFLINE"] = "1"  # nothing here is on a hub: whoever asks for it there is to fail at once

PREPARED = Path(__file__).parents[2] / "build" / "readers"
TOLERANCE = 1e-4  # of logits in float32
APART = 0.1  # at least as far are the logits without the push, or with it after another block


@dataclass(frozen=True, eq=False)
class Prepared:
    """One model, our files for it, and the logits that our own hooks gave."""

    shape: str
    folder: Path
    tensors: dict[str, np.ndarray]

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def ids(self) -> np.ndarray:
        return self.tensors["ids"]  # [1, pos]

    @property
    def logits(self) -> dict[str, np.ndarray]:
        """[pos, vocab] unsteered ("clean"), and steered at the layers that the name says."""
        steered = {name.removeprefix("steered."): value for name, value in self.tensors.items() if "steered." in name}
        return {"clean": self.tensors["clean"], **steered}

    def vectors(self, condition: str) -> dict[int, np.ndarray]:
        """What is added after each block, counted from 0."""
        start = f"vector.{condition}."
        return {int(name.removeprefix(start)): value for name, value in self.tensors.items() if name.startswith(start)}

    def file(self, condition: str, name: str) -> Path:
        return self.folder / condition / name


@dataclass
class Row:
    """What one reader was shown to do: differences of logits, the largest over conditions, positions and tokens."""

    reader: str
    shown: str
    same: dict[str, float] = field(default_factory=dict)  # by model: from what our own hooks give
    apart: dict[str, float] = field(default_factory=dict)  # by model: from no push, and pushes after other blocks


ROWS = pytest.StashKey[dict[tuple[str, str], Row]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = {}


@pytest.fixture(params=("llama", "gpt2"))
def prepared(request: pytest.FixtureRequest) -> Prepared:
    return read_prepared(request.param)


def read_prepared(shape: str) -> Prepared:
    return Prepared(shape, PREPARED / shape, load_file(PREPARED / shape / "reference.safetensors"))


@pytest.fixture
def odd() -> dict[Path, list[str]]:
    """GGUF files that are odd in one way each, and what `clens export --check` says of them."""
    said = json.loads((PREPARED / "odd" / "said.json").read_text())
    return {PREPARED / "odd" / f"{name}.gguf": problems for name, problems in said.items()}


@dataclass(frozen=True)
class Findings:
    """Asserts what a reader is to do, and keeps what was found for the table."""

    rows: dict[tuple[str, str], Row]

    def row(self, reader: str, shown: str) -> Row:
        name = reader if " " in reader else f"{reader} {version(reader)}"
        return self.rows.setdefault((name, shown), Row(name, shown))

    def logits(self, reader: str, shown: str, prepared: Prepared, condition: str, found: np.ndarray) -> None:
        """They are those of the condition, and of no other."""
        apart = {other: float(abs(found - ours).max()) for other, ours in prepared.logits.items()}
        same = apart.pop(condition)
        assert same < TOLERANCE, f"{condition}: {same}"
        assert min(apart.values()) > APART, f"{condition}: {apart}"
        row, shape = self.row(reader, shown), prepared.shape
        row.same[shape] = max(same, row.same.get(shape, 0.0))
        row.apart[shape] = min(*apart.values(), row.apart.get(shape, math.inf))

    def bits(self, reader: str, shown: str, prepared: Prepared, condition: str, found: dict[int, np.ndarray]) -> None:
        """The vectors are ours to the last bit, by our layers."""
        ours = prepared.vectors(condition)
        assert list(found) == list(ours)
        for layer, vector in ours.items():
            assert found[layer].dtype == np.float32
            assert found[layer].shape == vector.shape
            assert found[layer].tobytes() == vector.tobytes(), f"{condition}: layer {layer}"
        self.row(reader, shown)


@pytest.fixture
def findings(request: pytest.FixtureRequest) -> Findings:
    return Findings(request.config.stash[ROWS])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = list(config.stash[ROWS].values())
    if not rows:
        return
    name = Path(sys.prefix).name.lstrip(".")
    libraries = ", ".join(f"{each} {version(each)}" for each in ("transformers", "torch", "numpy") if is_there(each))
    terminalreporter.section(f"{name}: {libraries}")
    write = terminalreporter.write_line
    write("| reader | shown | largest difference: Llama | GPT-2 | smallest to a push elsewhere, or none |")
    write("|---|---|---|---|---|")
    for row in rows:
        llama, gpt2 = (f"{row.same[shape]:.1e}" if shape in row.same else "" for shape in ("llama", "gpt2"))
        apart = f"{min(row.apart.values()):.1f}" if row.apart else ""
        write(f"| {row.reader} | {row.shown} | {llama} | {gpt2} | {apart} |")
    (PREPARED.parent / f"readers-{name}.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def is_there(package: str) -> bool:
    try:
        return bool(version(package))
    except ImportError:
        return False
