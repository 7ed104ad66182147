"""repeng reads our GGUF control vectors to the last bit, and pushes with them as our hooks do."""

import plain
import pytest
from repeng import ControlModel, ControlVector


@pytest.mark.parametrize("condition", ["1", "2", "1-2"])
def test_vectors_are_equal_to_the_last_bit(prepared, condition, findings):
    read = ControlVector.import_gguf(str(prepared.file(condition, "vector.gguf")))
    assert read.model_type == prepared.shape
    findings.bits("repeng", "GGUF: `import_gguf`, equal to the last bit", prepared, condition, read.directions)


@pytest.mark.parametrize("condition", ["1", "2", "1-2"])
def test_control_model_gives_our_logits(prepared, condition, findings):
    shown = "GGUF: `ControlModel`"
    read = ControlVector.import_gguf(str(prepared.file(condition, "vector.gguf")))
    model = ControlModel(plain.load(prepared.model), list(read.directions))
    model.set_control(read, 1.0)
    findings.logits("repeng", shown, prepared, condition, plain.logits(model, prepared.ids))
    model.reset()
    findings.logits("repeng", shown, prepared, "clean", plain.logits(model, prepared.ids))


def test_our_check_warns_of_what_it_refuses(odd):
    refused = {path.stem for path in odd if not imports(path)}
    warned = {path.stem for path, problems in odd.items() if problems}
    assert refused == {"a word", "no hint"}, "the control: it does refuse some, and takes the rest as they are"
    assert refused <= warned
    assert "sound" not in warned


def imports(path) -> bool:
    try:
        return bool(ControlVector.import_gguf(str(path)))
    except ValueError:
        return False
