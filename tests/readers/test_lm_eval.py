"""lm-evaluation-harness's own `steered` model loads our file and runs with it."""

import plain
import pytest
import torch
from lm_eval.api.registry import get_model


@pytest.mark.parametrize("condition", ["0", "1", "2", "1-2"])
def test_the_steered_model_gives_our_logits(prepared, condition, findings):
    shown = "`--model steered`"
    path = prepared.file(condition, "lm_eval.pt")
    assert torch.load(path, weights_only=True), "lm-eval unpickles; our file can also be loaded without that"
    model = get_model("steered")(str(prepared.model), str(path), device="cpu", dtype="float32")
    logits = model._model_call(torch.from_numpy(prepared.ids))[0].detach().numpy()
    findings.logits("lm_eval", shown, prepared, condition, logits)
    findings.logits("lm_eval", shown, prepared, "clean", plain.logits(model.model, prepared.ids))
