"""IBM's `.svec` files, by the logic of their two readers **written anew here**: neither is on the package index.

activation-steering (`SteeringVector.load`, `LeashLayer`): directions and explained variances by layer, both needed; the
vector is added to what goes *into* the block. It rounds the vector to float16 first, which is left out here.
AISteer360 (`SteeringVector.load`, `CAA` with token_scope "all"): lists of one or two axes by layer, explained variances
if they are there; the vector is added to what comes out of the block.
"""

import json
from pathlib import Path

import numpy as np
import plain
import pytest
import torch


def load_activation_steering(path: Path) -> dict[int, np.ndarray]:
    data = json.loads(path.read_text())
    assert isinstance(data["model_type"], str)
    directions = {int(layer): np.array(values) for layer, values in data["directions"].items()}
    explained = {int(layer): value for layer, value in data["explained_variances"].items()}
    assert explained.keys() == directions.keys()
    return directions


def load_aisteer360(path: Path) -> dict[int, torch.Tensor]:
    data = json.loads(path.read_text())
    assert data["model_type"]
    directions = {int(layer): torch.tensor(v, dtype=torch.float32) for layer, v in data["directions"].items()}
    assert all(float(value) > 0 for value in data.get("explained_variances", {}).values())
    assert not {"num_heads", "head_dim", "probe_accuracies"} & set(data), "of other methods"
    return {layer: v[None] if v.ndim == 1 else v for layer, v in directions.items()}


def blocks_of(model):
    return model.base_model.layers if hasattr(model.base_model, "layers") else model.base_model.h


@pytest.mark.parametrize("condition", ["0", "1"])
def test_activation_steering_adds_at_the_input_of_the_next_block(prepared, condition, findings):
    model = plain.load(prepared.model)
    for layer, vector in load_activation_steering(prepared.file(condition, "activation_steering.svec")).items():
        added = torch.tensor(vector, dtype=torch.float32)
        blocks_of(model)[layer].register_forward_pre_hook(
            lambda module, given, added=added: (given[0] + added, *given[1:])
        )
    reader = "activation-steering (its logic, rewritten)"
    findings.logits(reader, "`.svec`", prepared, condition, plain.logits(model, prepared.ids))


@pytest.mark.parametrize("condition", ["0", "1", "2", "1-2"])
def test_aisteer360_adds_at_the_output_of_the_block(prepared, condition, findings):
    model = plain.load(prepared.model)
    read = load_aisteer360(prepared.file(condition, "aisteer360.svec"))
    for layer, vector in prepared.vectors(condition).items():
        assert read[layer][0].numpy().tobytes() == vector.tobytes(), "decimal numbers that come back to the last bit"
    for layer, vector in read.items():
        blocks_of(model)[layer].register_forward_hook(
            lambda module, given, out, v=vector: (out[0] + v, *out[1:]) if isinstance(out, tuple) else out + v
        )
    findings.logits(
        "AISteer360 (its logic, rewritten)", "`.svec`", prepared, condition, plain.logits(model, prepared.ids)
    )
