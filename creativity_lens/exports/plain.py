"""Plain files: all layers as `.npz` with a JSON beside it, or one direction as JSON."""

import json
from pathlib import Path

import numpy as np

from creativity_lens.errors import InputError
from creativity_lens.exports.payload import Payload
from creativity_lens.files import write_json, write_text, write_with
from creativity_lens.layers import layer_ranges
from creativity_lens.sides import sidecar_of


def write_npz(payload: Payload, path: Path) -> None:
    """Write `vectors`, float32 `[n_layers, d_model]`, zeros where no layer is exported, and what it is beside it."""
    value = np.zeros((payload.n_layers, payload.d_model), np.float32)
    for layer, vector in payload.vectors.items():
        value[layer] = vector

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # by name, numpy would add .npz to it
            np.savez(file, vectors=value)

    write_json(sidecar_of(path), payload.record())
    write_with(path, write)


def usage_npz(payload: Payload, path: Path) -> str:
    """How to use the file."""
    return (
        f'numpy:  vectors = np.load({str(path)!r})["vectors"]  # [{payload.n_layers}, {payload.d_model}]; row i is '
        f"added after block i, counted from 0\nWhat it is: {sidecar_of(path)}"
    )


def write_json_file(payload: Payload, path: Path) -> None:
    """Write one direction, with all that is known of it. Raises `InputError` for several layers."""
    if len(payload.layers) > 1:
        raise InputError(
            f"layers {layer_ranges(payload.layers)}: a JSON file holds one direction; name one layer, or choose npz."
        )
    ((layer, vector),) = payload.vectors.items()
    write_text(path, json.dumps({"layer": layer, "vector": vector.tolist(), **payload.record()}) + "\n")


def usage_json(payload: Payload, path: Path) -> str:
    """How to use the file."""
    return (
        f'Python:  vector = json.load(open({str(path)!r}))["vector"]  # add it to the residual stream after block '
        f"{payload.layers[0]}, counted from 0"
    )
