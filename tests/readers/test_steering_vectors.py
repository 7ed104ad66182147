"""steering-vectors' class is made of what our file holds, which torch loads without unpickling anything."""

import plain
import pytest
import torch
from steering_vectors import SteeringVector


@pytest.mark.parametrize("condition", ["0", "1", "2", "1-2"])
def test_applied_to_a_model_it_gives_our_logits(prepared, condition, findings):
    reader, shown = "steering-vectors", "`SteeringVector(**dict).apply`"
    model = plain.load(prepared.model)
    vector = SteeringVector(**torch.load(prepared.file(condition, "steering_vectors.pt"), weights_only=True))
    with vector.apply(model):
        findings.logits(reader, shown, prepared, condition, plain.logits(model, prepared.ids))
    findings.logits(reader, shown, prepared, "clean", plain.logits(model, prepared.ids))
