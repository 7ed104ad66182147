"""What a running sweep has found so far; written out when a stage ends, so that a broken-off run keeps it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from creativity_lens.files import plain, write_json
from creativity_lens.runs import RUN_FILE
from creativity_lens.tables import table_frame, write_run


@dataclass(eq=False)
class Ledger:
    """Rows of the table, texts and their scores, and run.json, as they grow. Nothing in it lies on a device."""

    out: Path | None  # None: nothing is written
    run: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    texts: list[pd.DataFrame] = field(default_factory=list)
    scores: list[pd.DataFrame] = field(default_factory=list)
    earlier: dict[str, Any] | None = None  # run.json of the run that this one goes on with

    def begin(self) -> None:
        """Write down what was asked, before anything runs: by this a broken-off run is known again."""
        if self.out is not None:
            write_json(self.out / RUN_FILE, self.run)

    def as_made(self, choice: dict[str, Any] | None) -> dict[str, Any] | None:
        """A choice with the time at which it was first made: a run that goes on makes the same one again."""
        before = (self.earlier or {}).get("choice")
        if choice is None or not before or plain({**choice, "made_at": before["made_at"]}) != before:
            return choice
        return before

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the seconds that the block takes to the run's timings."""
        start = time.perf_counter()
        yield
        self.run["timings"][name] = round(self.run["timings"].get(name, 0.0) + time.perf_counter() - start, 2)

    def keep(self, texts: pd.DataFrame, scores: pd.DataFrame) -> None:
        """Keep a stage's texts and what was measured of them."""
        self.texts.append(texts)
        self.scores.append(scores)

    def frames(self) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """The table, the texts and their scores so far."""
        texts, scores = (
            pd.concat(frames, ignore_index=True) if frames else pd.DataFrame() for frames in (self.texts, self.scores)
        )
        return table_frame(self.rows), texts, scores

    def write(self) -> None:
        """Write all of it to the run's folder, each file whole."""
        if self.out is not None:
            write_run(self.out, *self.frames(), self.run)
