"""Raw float32 `[43][4096]` for antirez/ds4, which projects directions *out of* the feed-forward output of each block.

That is no addition to the residual stream, so only a direction taken at `hook_mlp_out` of a model of that shape fits.
"""

import shlex
from pathlib import Path

import numpy as np

from creativity_lens.errors import InputError
from creativity_lens.exports.payload import Payload
from creativity_lens.files import write_with

SHAPE = (43, 4096)
BYTES = 4 * SHAPE[0] * SHAPE[1]
HOOK = "hook_mlp_out"


def write(payload: Payload, path: Path) -> None:
    """Write the file whole: unit vectors, little-endian, layer by layer; zeros where none is exported."""
    shape = (payload.n_layers, payload.d_model)
    if shape != SHAPE:
        raise InputError(
            f"ds4: expected a model of {SHAPE[0]} layers and width {SHAPE[1]}, the only one its reader takes; got "
            f"{shape[0]} and {shape[1]}. Choose another format."
        )
    if payload.directions.source.hook != HOOK:
        raise InputError(
            f"ds4: expected a direction taken at {HOOK}, since its reader projects it out of the feed-forward output; "
            f"got one of {payload.directions.source.hook}, to be added to the residual stream. Choose another format."
        )
    value = np.zeros(SHAPE, "<f4")
    for layer in payload.layers:
        value[layer] = payload.directions.at(layer).vector.detach().cpu().numpy()
    write_with(path, lambda temporary: temporary.write_bytes(value.tobytes()))


def usage(payload: Payload, path: Path) -> str:
    """How to use the file."""
    return (
        f"ds4:  ds4 -m MODEL.gguf --dir-steering-file {shlex.quote(str(path))} --dir-steering-ffn -1\n"
        "A negative scale amplifies the direction, a positive one removes it; the vectors are of unit length."
    )
