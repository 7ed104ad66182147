"""The gguf package finds in our file what the format asks for, and nothing that llama.cpp would stumble over."""

import pytest
from gguf import GGMLQuantizationType, GGUFReader


@pytest.mark.parametrize("condition", ["1", "2", "1-2"])
def test_fields_and_tensors(prepared, condition, findings):
    path = prepared.file(condition, "vector.gguf")
    reader, ours = GGUFReader(path), prepared.vectors(condition)
    fields = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    assert path.read_bytes()[:8] == b"GGUF\3\0\0\0"
    assert fields["general.architecture"] == "controlvector"
    assert fields["controlvector.model_hint"] == prepared.shape
    assert fields["controlvector.layer_count"] == len(ours)
    own = {name for name in fields if name.startswith("controlvector.clens.")}
    assert set(fields) - own == {"general.architecture", "controlvector.model_hint", "controlvector.layer_count"}
    assert fields["controlvector.clens.strength"] == 0.5
    assert all(tensor.name.startswith("direction.") for tensor in reader.tensors)
    assert {tensor.tensor_type for tensor in reader.tensors} == {GGMLQuantizationType.F32}
    read = {int(tensor.name.removeprefix("direction.")): tensor.data for tensor in reader.tensors}
    findings.bits("gguf", "GGUF: `GGUFReader`, fields as documented, equal to the last bit", prepared, condition, read)
