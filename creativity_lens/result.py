"""A finished sweep: the table of every measured number, the texts, and how it was made. Saved, loaded and drawn."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from creativity_lens.directions import Directions
from creativity_lens.errors import InputError
from creativity_lens.figures import draw
from creativity_lens.runs import DIRECTIONS_FILE, owned_folder
from creativity_lens.tables import read_run, write_run


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
        """A plotly figure: depth, map, tradeoff, control, readout, transfer, nuisance, dose or leak.

        >>> sweep.figure("map")            # doctest: +SKIP
        """
        return draw(name, self.table, self.run)

    def save(self, folder: str | Path) -> None:
        """Write run.json, sweep.csv, generations.parquet, scores.parquet and directions.safetensors, each whole.

        The folder is made where it is not there; one that holds another run, or anything else, is refused.
        """
        folder = owned_folder(folder, self.run["created"])
        self.directions.save(folder / DIRECTIONS_FILE)  # before run.json, which says that all is there
        write_run(folder, self.table, self.texts, self.scores, self.run)

    @classmethod
    def load(cls, folder: str | Path) -> "Sweep":
        """Read a run's folder back, equal to what was saved.

        Raises `InputError` for a run that was broken off, a missing or damaged file, and directions that were measured
        on another model than the run's.
        """
        table, texts, scores, run = read_run(Path(folder))
        file = Path(folder) / DIRECTIONS_FILE
        directions = Directions.load(file)
        ours, theirs = run["model"], directions.source
        if ours.get("weights_hash") != theirs.weights_hash:
            raise InputError(
                f"{file}: directions of {theirs.model}, expected those of {ours.get('name')}, the run's model (weights "
                "differ); put the run's own file back."
            )
        return cls(table, texts, scores, run, directions)

    def __repr__(self) -> str:
        return f"Sweep({self.run['model']['name']}: {self.sentence})"
