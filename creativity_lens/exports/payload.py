"""What a foreign file is to hold: vectors with their dose in them, and where they come from.

**A file used at scale 1 does what `clens steer` does with the same layers and strength.** Vectors are in residual units
and act after block `layer`, counted from 0; each format converts that numbering to its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from creativity_lens import __version__
from creativity_lens.directions import SIGN, Directions
from creativity_lens.errors import InputError
from creativity_lens.exports.host import Host, find_host
from creativity_lens.layers import layer_ranges
from creativity_lens.model_names import BUILT_IN
from creativity_lens.steering import Steering


@dataclass(frozen=True, eq=False)
class Payload:
    """The edits to hand over and what they were made from."""

    edits: tuple[Steering, ...]  # of mode "add", one a layer, layers rising
    directions: Directions
    strength: float  # what scale 1 stands for: a fraction of the median residual norm, shared by the layers
    run: Mapping[str, Any] | None = None  # run.json, where it is a run
    model: str | None = None  # where the model's config.json is, if not where the directions say

    def __post_init__(self) -> None:
        """Refuse what would break every text, or none."""
        for edit in self.edits:
            where = f"layer {edit.layer}"
            if edit.mode != "add":
                raise InputError(f"{where}: expected an edit that adds a vector, got '{edit.mode}'; steer with `add`.")
            if edit.vector.shape != (self.d_model,):
                raise InputError(f"{where}: expected a vector of width {self.d_model}, got {tuple(edit.vector.shape)}.")
            if not bool(edit.vector.isfinite().all()):
                raise InputError(f"{where}: expected finite numbers, got a vector with NaN or infinity; measure again.")
            if not bool(edit.vector.any()):
                raise InputError(f"{where}: expected a vector to add, got one of zeros; measure again.")

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers of this package: after which block, counted from 0."""
        return tuple(edit.layer for edit in self.edits)

    @property
    def n_layers(self) -> int:
        """Blocks of the whole model."""
        return self.directions.n_layers

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.directions.vectors.shape[1])

    @cached_property
    def vectors(self) -> dict[int, np.ndarray]:
        """What scale 1 adds, by layer: float32 `[d_model]`, residual units."""
        return {edit.layer: edit.vector.detach().cpu().float().contiguous().numpy() for edit in self.edits}

    @cached_property
    def host(self) -> Host:
        """The model that the vectors are for, as its config.json on this machine describes it."""
        return find_host(self.directions, self.model)

    @property
    def base_model(self) -> str:
        """The model's id; of a folder its name alone, for a path says nothing elsewhere."""
        model = self.directions.source.model
        return Path(model).name if Path(model).is_absolute() else model

    @property
    def place(self) -> str:
        """What a loader on this machine is given to find the model: a hub's id, or a folder."""
        model = self.directions.source.model
        local = model in BUILT_IN or Path(model).is_absolute()
        return str(self.host.folder) if local else model

    @property
    def dose(self) -> str:
        """Layers and strength in words."""
        many = "layers" if len(self.layers) > 1 else "layer"
        return f"{many} {layer_ranges(self.layers)}, strength {self.strength:g}"

    def record(self) -> dict[str, Any]:
        """What the file says of itself, as plain values; every format that can hold metadata holds it."""
        source = self.directions.source
        held = [self.directions.at(layer) for layer in self.layers]
        return {
            "written_by": f"creativity-lens {__version__}",
            "model": self.base_model,
            "revision": source.revision,
            "config_hash": source.config_hash,
            "weights_hash": source.weights_hash,
            "n_layers": self.n_layers,
            "d_model": self.d_model,
            "hook": source.hook,
            "layers": list(self.layers),
            "layer_index": "0-based, after the block",
            "strength": self.strength,
            "strength_unit": "fraction of the median residual norm, shared by the layers",
            "strengths": [edit.strength for edit in self.edits],
            "residual_norms": [at.residual_norm for at in held],
            "gaps": [at.gap for at in held],
            "scale": "1.0 adds the vectors as they are: the strength above",
            "sign": SIGN + self.directions.positive,
            "method": self.directions.method,
            "position": source.position,
            "pairs_sha256": source.pairs_sha256,
            "n_pairs": source.n_pairs,
        }
