"""GGUF control vectors, each odd in one way, and what our check says of them; their readers judge them beside it."""

import json
from pathlib import Path

import numpy as np
from gguf import GGUFWriter

from creativity_lens.errors import InputError
from creativity_lens.exports.check import check_file

ONE = np.linspace(-1, 1, 32, dtype=np.float32)
ODD: dict[str, dict[str, np.ndarray]] = {
    "sound": {"direction.1": ONE, "direction.2": -ONE},
    "beyond": {"direction.1": ONE, "direction.40": ONE},
    "row": {"direction.1": ONE[None]},
    "nothing": {},
    "block 0": {"direction.0": ONE, "direction.1": ONE},
    "float16": {"direction.1": ONE.astype(np.float16)},
    "float64": {"direction.1": ONE.astype(np.float64)},
    "matrix": {"direction.1": np.stack([ONE, ONE])},
    "widths": {"direction.1": ONE, "direction.2": ONE[:16]},
    "another name": {"steering.1": ONE},
    "a word": {"direction.one": ONE},
    "negative": {"direction.-1": ONE},
    "one more tensor": {"direction.1": ONE, "norm": ONE},
    "a suffix": {"direction.1.weight": ONE},
    "a blank": {"direction. 1": ONE},
    "no hint": {"direction.1": ONE},
}


def write_odd_vectors(folder: Path) -> None:
    """The files, and `said.json`: by name, every problem that `clens export --check` finds."""
    folder.mkdir(parents=True, exist_ok=True)
    said: dict[str, list[str]] = {}
    for name, tensors in ODD.items():
        path = folder / f"{name}.gguf"
        writer = GGUFWriter(path, "controlvector")
        if name != "no hint":
            writer.add_string("controlvector.model_hint", "llama")
        writer.add_uint32("controlvector.layer_count", len(tensors))
        for tensor, value in tensors.items():
            writer.add_tensor(tensor, value)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        try:
            said[name] = [problem.said for problem in check_file(path, "gguf").problems]
        except InputError as error:
            said[name] = [str(error)]
    (folder / "said.json").write_text(json.dumps(said, indent=1) + "\n")
