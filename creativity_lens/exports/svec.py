"""IBM's `.svec` files, JSON: for AISteer360, and for activation-steering, which counts otherwise.

AISteer360 adds after block i. activation-steering adds at the *input* of block i, so our layer i is its i + 1.
"""

import json
from pathlib import Path

from creativity_lens.errors import InputError
from creativity_lens.exports.payload import Payload
from creativity_lens.files import write_text

DIALECTS = ("aisteer360", "activation-steering")


def write(payload: Payload, path: Path, dialect: str = "aisteer360") -> None:
    """Write the file whole: one list a layer, and the explained variance that one of the readers asks for.

    The latter is 1, which readers that multiply by it pass over: a mean difference explains no share of a variance.
    """
    layers = keys(payload, dialect)
    value = {
        "model_type": payload.host.model_type,
        "directions": {str(key): vector.tolist() for key, vector in zip(layers, payload.vectors.values(), strict=True)},
        "explained_variances": {str(key): 1.0 for key in layers},
        "clens": {**payload.record(), "dialect": dialect},
    }
    write_text(path, json.dumps(value) + "\n")


def keys(payload: Payload, dialect: str) -> list[int]:
    """The layers as the dialect counts them."""
    if dialect == "aisteer360":
        return list(payload.layers)
    if payload.n_layers - 1 in payload.layers:
        raise InputError(
            f"layer {payload.n_layers - 1}: activation-steering adds at the input of a block, and after the last block "
            "comes none; choose other layers, or the dialect aisteer360."
        )
    return [layer + 1 for layer in payload.layers]


def usage(payload: Payload, path: Path, dialect: str = "aisteer360") -> str:
    """How to use the file."""
    layers = keys(payload, dialect)
    if dialect == "aisteer360":
        calls = ", ".join(f"CAA(steering_vector=vector, layer_id={layer}, multiplier=1.0)" for layer in layers)
        controls = f"SteeringPipeline(..., controls=[{calls}])"
        scope = 'Acts from the first generated token on, as `clens steer` does; token_scope="all" everywhere.'
        return f"AISteer360:  vector = SteeringVector.load({str(path)!r}); {controls}\n{scope}"
    return (
        f"activation-steering:  malleable_model.steer(behavior_vector=SteeringVector.load({str(path)!r}), "
        f"behavior_layer_ids={layers}, behavior_vector_strength=1.0)\n"
        "Acts at every position, as `clens steer --scope all` does."
    )
