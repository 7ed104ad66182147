"""Interventions for vLLM driven by TransformerLens, as JSON: what `forward(..., intervene=...)` takes."""

import json
from pathlib import Path

from creativity_lens.exports.payload import Payload
from creativity_lens.files import write_text


def write(payload: Payload, path: Path) -> None:
    """Write the file whole: `{"blocks.12.hook_out": {"op": "add", "value": [..]}}`, and nothing else, as it must be."""
    value = {
        f"blocks.{layer}.hook_out": {"op": "add", "value": vector.tolist()} for layer, vector in payload.vectors.items()
    }
    write_text(path, json.dumps(value) + "\n")


def usage(payload: Payload, path: Path) -> str:
    """How to use the file."""
    return (
        f"TransformerLens with vLLM:  bridge = RemoteBridge.boot_vllm({payload.place!r})\n"
        f"                            bridge.forward(text, intervene=json.load(open({str(path)!r})))\n"
        "Acts at every position, as `clens steer --scope all` does."
    )
