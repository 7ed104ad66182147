"""Doses: directions become edits of the residual stream, at the layer and strength that a run chose or a user asks for.

Several layers share a dose: a strength of 0.3 at three layers is 0.1 at each. What is exported at scale 1 is exactly
what steering with the same layers and strength adds.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from creativity_lens.directions import Direction, Directions
from creativity_lens.errors import InputError, check_choice
from creativity_lens.files import read_text
from creativity_lens.layers import choose_layers, drawn_only
from creativity_lens.runs import DIRECTIONS_FILE, RUN_FILE, find_run
from creativity_lens.steering import MODES, Steering

UNITS = ("norm", "gap", "raw")
FOREIGN = (".gguf", ".svec", ".npz")  # endings of files that `clens import` reads
STRENGTH = 0.1  # where no run has chosen one


@dataclass(frozen=True, eq=False)
class Chosen:
    """Directions, with the layer and the strength to use them at where nothing else is asked for."""

    directions: Directions
    layer: int
    strength: float  # a fraction of the median residual norm at the layer
    name: str  # the run's folder or the file, as it was asked for
    run: dict[str, Any] | None  # run.json, where it is a run
    notes: tuple[str, ...]  # what a user should know before trusting the defaults, a sentence each


def load_chosen(path: str | Path) -> Chosen:
    """A run's folder (its chosen layer and strength) or a file of directions (the layer that reads best on dev).

    Raises `InputError` for what is neither, a broken-off run without directions, and a damaged file.
    """
    path = Path(path)
    if not path.is_dir():
        if path.suffix in FOREIGN:
            raise InputError(f"{path}: a file of another tool, expected directions; bring it in with `clens import`.")
        directions = Directions.load(path)
        layer = _best_layer(directions)
        note = f"{path} is not a run, so nothing chose a cell: layer {layer}, strength {STRENGTH:g}."
        return Chosen(directions, layer, STRENGTH, str(path), None, (note,))
    run = _read_run(find_run(path))
    directions = Directions.load(path / DIRECTIONS_FILE)
    choice = run.get("choice") or {}
    verdict = run.get("verdict") or {}
    try:
        layer, strength = int(choice["layer"]), float(choice["strength"])
        directions.at(layer)
    except (LookupError, TypeError, ValueError):
        layer = _best_layer(directions)
        note = f"{path} chose no layer and strength: layer {layer}, strength {STRENGTH:g}."
        return Chosen(directions, layer, STRENGTH, str(path), run, (note,))
    steers = verdict.get("outcome") == "steers"
    note = f"{path} did not show that pushing along its direction works: see its verdict."
    return Chosen(directions, layer, strength, str(path), run, () if steers else (note,))


def dose(
    directions: Directions,
    layers: str | Sequence[int],
    strength: float,
    *,
    unit: str = "norm",
    mode: str = "add",
) -> tuple[Steering, ...]:
    """Edits at some layers, the dose shared among them.

    `unit` is "norm" (a fraction of the median residual norm), "gap" (the training pairs' mean difference) or "raw"
    (residual units). Modes: "add" adds strength x unit x direction; "ablate" projects the direction out and takes no
    strength; "clamp" holds the centred projection at the strength, at each layer in full. A strength below 0 pushes to
    the other side. Raises `InputError` for a layer that the directions do not hold.

    >>> dose(directions, "3-5", 0.3)[0].strength      # doctest: +SKIP
    0.1
    """
    check_choice("strength unit", unit, UNITS)
    check_choice("mode", mode, MODES)
    if not math.isfinite(strength):
        raise InputError(f"strength: expected a number, got {strength}.")
    chosen = [directions.at(layer) for layer in choose_layers(_held(layers, directions), directions.n_layers, "them")]
    share = strength / len(chosen) if mode == "add" else strength
    return tuple(_edit(at, share, unit, mode, directions.method) for at in chosen)


def _held(layers: str | Sequence[int], directions: Directions) -> str | Sequence[int]:
    return directions.layers if layers == "all" else layers


def _edit(at: Direction, share: float, unit: str, mode: str, method: str) -> Steering:
    size = share * {"norm": at.residual_norm, "gap": at.gap, "raw": 1.0}[unit]
    fraction = size / at.residual_norm if at.residual_norm > 0 else math.nan
    if mode == "add":
        return Steering(at.layer, size * at.vector, fraction, method)
    if mode == "ablate":
        return Steering(at.layer, at.vector, 0.0, method, mode="ablate")
    return Steering(at.layer, at.vector, fraction, method, mode="clamp", hold=float(at.center @ at.vector) + size)


def _best_layer(directions: Directions) -> int:
    """The layer with the highest AUC on dev that the file records, the last fifth left out; else the middle one."""
    scores = dict(directions.dev)
    limit = drawn_only(directions.n_layers)
    layers = [layer for layer in directions.layers if layer < limit] or list(directions.layers)
    middle = layers[len(layers) // 2]
    return max(layers, key=lambda layer: (scores.get(f"auc@{layer}", -math.inf), layer == middle))


def _read_run(folder: Path) -> dict[str, Any]:
    file = folder / RUN_FILE
    try:
        run = json.loads(read_text(file, "a run's description"))
    except (json.JSONDecodeError, RecursionError):
        run = None
    if not isinstance(run, dict):
        raise InputError(f"{file}: damaged; expected a run's description, as `clens sweep` writes.")
    return run
