"""Files for the package steering-vectors, which has no format of its own: what its class is made of, by `torch.save`.

Added to the output of block i, which is our layer i. The file loads with `weights_only=True`; the class takes no other
fields, so it says nothing of itself.
"""

from pathlib import Path

from creativity_lens.exports.payload import Payload
from creativity_lens.exports.torch_file import write_torch


def write(payload: Payload, path: Path) -> None:
    """Write the file whole: `{"layer_activations": {layer: vector}, "layer_type": "decoder_block"}`."""
    vectors = {edit.layer: edit.vector.detach().cpu().float().clone() for edit in payload.edits}
    value = {"layer_activations": vectors, "layer_type": "decoder_block"}
    write_torch(path, value)


def usage(payload: Payload, path: Path) -> str:
    """How to use the file."""
    return (
        f"steering-vectors:  vector = SteeringVector(**torch.load({str(path)!r}, weights_only=True))\n"
        "                   with vector.apply(model, multiplier=1.0): model.generate(...)\n"
        "Acts at every position, as `clens steer --scope all` does."
    )
