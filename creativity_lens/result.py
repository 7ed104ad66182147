"""A finished sweep: the table of every measured number, the texts, and how it was made. Saved, loaded and drawn."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from creativity_lens.activations import Source
from creativity_lens.directions import Directions
from creativity_lens.errors import InputError
from creativity_lens.figures import draw
from creativity_lens.holding import owned_folder
from creativity_lens.html_tables import html_table, html_text, with_interval
from creativity_lens.layer_table import layer_rows
from creativity_lens.runs import DIRECTIONS_FILE, SCORER_FILE, SCORING_FILE
from creativity_lens.tables import read_run, write_run
from creativity_lens.yardstick import Yardstick


@dataclass(frozen=True, eq=False)
class Sweep:
    """A finished sweep: the table of every measured number, the texts, and how it was made."""

    table: pd.DataFrame  # sweep.csv: one row per measured number
    texts: pd.DataFrame  # generations.parquet
    scores: pd.DataFrame  # scores.parquet: one row per text and measure
    run: dict[str, Any]  # run.json
    directions: Directions
    yardstick: Yardstick | None = None  # None where no layer reads the concept, and of runs from before it was kept
    scoring_directions: Directions | None = None  # of the pairs that score, at every layer; None of old runs

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        return str(self.run["verdict"]["sentence"])

    @property
    def layers(self) -> pd.DataFrame:
        """One row a layer: AUC on held-out topics; on test texts gain in gaps, coherence, faithfulness, quality, KL."""
        return pd.DataFrame(layer_rows(self.table, self.run))

    def figure(self, name: str = "depth") -> Any:
        """A plotly figure: depth, map, tradeoff, control, readout, transfer, nuisance, dose or leak.

        >>> sweep.figure("map")            # doctest: +SKIP
        """
        return draw(name, self.table, self.run)

    def save(self, folder: str | Path) -> None:
        """Write run.json, sweep.csv, the two tables of texts, the directions and the scorer, each file whole.

        The folder is made where it is not there; one that holds another run, or anything else, is refused.
        """
        folder = owned_folder(folder, self.run["created"])
        self.directions.save(folder / DIRECTIONS_FILE)  # before run.json, which says that all is there
        kept = {SCORER_FILE: self.yardstick, SCORING_FILE: self.scoring_directions}
        for name, part in kept.items():
            if part is not None:
                part.save(folder / name)
        beside = [DIRECTIONS_FILE, *(name for name, part in kept.items() if part is not None)]
        write_run(folder, self.table, self.texts, self.scores, self.run, beside=beside)

    @classmethod
    def load(cls, folder: str | Path) -> "Sweep":
        """Read a run's folder back, equal to what was saved.

        Raises `InputError` for a run that was broken off, a missing or damaged file, and directions that were measured
        on another model than the run's.
        """
        table, texts, scores, run = read_run(Path(folder))
        directions = Directions.load(Path(folder) / DIRECTIONS_FILE)
        _check_weights(Path(folder) / DIRECTIONS_FILE, "directions", directions.source, run)
        scorer = Path(folder) / SCORER_FILE
        yardstick = Yardstick.load(scorer) if scorer.exists() else None
        if yardstick is not None:
            _check_weights(scorer, "scores", yardstick.source, run)
        file = Path(folder) / SCORING_FILE
        scoring_directions = Directions.load(file) if file.exists() else None
        if scoring_directions is not None:
            _check_weights(file, "scores", scoring_directions.source, run)
        return cls(table, texts, scores, run, directions, yardstick, scoring_directions)

    def __repr__(self) -> str:
        return f"Sweep({self.run['model']['name']}: {self.sentence})"

    def _repr_html_(self) -> str:
        choice, verdict = self.run.get("choice"), self.run["verdict"]
        passed = {True: "passed", False: "not passed", None: "not measured"}
        parts = [
            [
                part["question"],
                with_interval(part["estimate"], part["low"], part["high"]) + f" {part['unit']}",
                part["needed"],
                passed[part["passed"]],
            ]
            for part in verdict["parts"]
        ]
        layers = [
            [
                f"{row['layer']}{' (chosen)' if row['chosen'] else ''}",
                with_interval(row["auc"]),
                "" if row["strength"] is None else f"{row['strength']:.3g}",
                with_interval(row["gain"], row["gain_low"], row["gain_high"], sign="+"),
                *(with_interval(row[name]) for name in ("coherence", "faithfulness", "quality")),
            ]
            for row in layer_rows(self.table, self.run)
        ]
        said = self.sentence
        if choice:
            said += f"\nChosen on dev: layer {choice['layer']}, strength {choice['strength']:.3g} of the residual norm."
        shown = html_text(f"Sweep of {self.run['model']['name']}, {self.run['concept']}: {verdict['outcome']}", said)
        if parts:
            headings = ["asked of the chosen cell's test texts", "found (95 % interval)", "needed", ""]
            shown += html_table("The verdict's parts", headings, parts)
        headings = ["layer", "AUC", "strength", "gain, gaps (95 % interval)", "coherence", "faithful", "quality"]
        note = "AUC: read-out of held-out pairs. The rest: test texts at the layer's best strength on dev."
        return shown + html_table("Layer by layer", headings, layers, note)


def _check_weights(file: Path, what: str, source: Source, run: dict[str, Any]) -> None:
    ours = run["model"]
    if ours.get("weights_hash") != source.weights_hash:
        raise InputError(
            f"{file}: {what} of {source.model}, expected those of {ours.get('name')}, the run's model (weights "
            "differ); put the run's own file back."
        )
