"""Files for `lm_eval --model steered`: torch files of plain types, loadable with `weights_only=True`.

A hookpoint is a module's path inside `model.base_model`; its output is the residual stream after the block, our layer.
"""

import json
import shlex
from pathlib import Path

from creativity_lens.exports.payload import Payload
from creativity_lens.exports.torch_file import write_torch


def write(payload: Payload, path: Path) -> None:
    """Write the file whole: one entry a layer, its vector `[1, d_model]` with the dose in it, coefficient 1."""
    record = json.dumps(payload.record())
    value = {
        hookpoint: {
            "steering_vector": edit.vector.detach().cpu().float().reshape(1, -1).clone(),
            "steering_coefficient": 1.0,
            "action": "add",
            "bias": None,
            "head_index": None,
            "clens": record,  # the reader takes the keys it knows
        }
        for hookpoint, edit in zip(hookpoints(payload), payload.edits, strict=True)
    }
    write_torch(path, value)


def hookpoints(payload: Payload) -> list[str]:
    """Where the blocks are: `layers.3` for Llama and NeoX, `h.3` for GPT-2."""
    return [f"{payload.host.blocks}.{layer}" for layer in payload.layers]


def usage(payload: Payload, path: Path) -> str:
    """How to use the file."""
    given = f"pretrained={payload.place},steer_path={path}"
    return (
        f"lm-eval:  lm_eval --model steered --model_args {shlex.quote(given)} "
        "--tasks TASKS\n"
        "Acts at every position, as `clens steer --scope all` does."
    )
