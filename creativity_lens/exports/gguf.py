"""GGUF control vectors, for llama.cpp, repeng and EasySteer.

`direction.N` acts after block N, counted from 0, at every position: our layer N. Block 0 has no place in the format.
"""

import shlex
from pathlib import Path

from creativity_lens.errors import InputError
from creativity_lens.exports.payload import Payload
from creativity_lens.files import write_with

ARCHITECTURE = "controlvector"
OWN = f"{ARCHITECTURE}.clens."  # keys of our own, which readers skip


def write(payload: Payload, path: Path) -> None:
    """Write the file whole: GGUF version 3, one F32 tensor a layer, metadata as key-values."""
    check(payload)
    write_with(path, lambda temporary: _write(payload, payload.host.model_type, temporary))


def check(payload: Payload) -> None:
    """Refuse what the format has no place for."""
    if 0 in payload.layers:
        raise InputError(
            "layer 0: a GGUF control vector cannot act after block 0 (its tensors are counted from direction.1, which "
            "acts after block 1); choose other layers, or another format."
        )


def _write(payload: Payload, model_type: str, temporary: Path) -> None:
    from gguf import GGUFWriter

    writer = GGUFWriter(temporary, ARCHITECTURE)
    try:
        writer.add_string(f"{ARCHITECTURE}.model_hint", model_type)
        writer.add_uint32(f"{ARCHITECTURE}.layer_count", len(payload.layers))
        for key, value in payload.record().items():
            if isinstance(value, float):
                writer.add_float64(OWN + key, value)
            elif isinstance(value, int):
                writer.add_uint32(OWN + key, value)
            elif isinstance(value, list):
                writer.add_array(OWN + key, value)
            elif value is not None:
                writer.add_string(OWN + key, value)
        for layer, vector in payload.vectors.items():
            writer.add_tensor(f"direction.{layer}", vector)  # float32: the writer takes other types without a word
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def usage(payload: Payload, path: Path) -> str:
    """How to use the file."""
    layers = list(payload.layers)
    return (
        f"llama.cpp:  llama-cli -m MODEL.gguf --control-vector-scaled {shlex.quote(f'{path}:1.0')}\n"
        f"repeng:     ControlModel(model, {layers}).set_control(ControlVector.import_gguf({str(path)!r}), 1.0)\n"
        "Acts at every position, as `clens steer --scope all` does."
    )
