"""Directions of small models with known vectors, and readers of exported files that share no code with the package."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from planted import SOURCE

from creativity_lens.directions import Directions
from creativity_lens.model_files import config_hash, describe_config, read_config


def directions_of(folder: Path, layers=(0, 1, 2), **source) -> Directions:
    """Random unit vectors for the model in a folder, of which only config.json is read; norms differ by layer."""
    config = read_config(folder, "test")
    about = describe_config(config)
    generator = torch.Generator().manual_seed(1)
    vectors = torch.nn.functional.normalize(torch.randn(len(layers), about["width"], generator=generator), dim=-1)
    return Directions(
        vectors=vectors,
        gaps=torch.arange(1.0, len(layers) + 1),
        residual_norms=torch.tensor([10.0 * (layer + 1) for layer in layers]),
        centers=torch.zeros_like(vectors),
        layers=tuple(layers),
        method="mean_difference",
        n_layers=about["layers"],
        source=replace(SOURCE, **{"model": str(folder), "config_hash": config_hash(config), **source}),
    )


def config_only(folder: Path, kind: str = "llama", **changes) -> Path:
    """A folder that holds a config.json and nothing else: what an export needs to know of a model."""
    shapes = {
        "llama": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4},
        "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 128},
        "gpt_neox": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4},
        "opt": {"hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
                "word_embed_proj_dim": 32},
        "mixtral": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
                    "num_key_value_heads": 4, "num_local_experts": 3},
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_type": kind, "vocab_size": 64, **shapes[kind], **changes}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


# -- independent readers ---------------------------------------------------------------------------------------------

SIZES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


def parse_gguf(data: bytes) -> tuple[dict, dict[str, tuple[tuple[int, ...], int, np.ndarray]], int]:
    """A GGUF file by struct alone: metadata, tensors as (shape, type, numbers), and the version."""
    at = 0

    def number(code):
        nonlocal at
        (value,) = struct.unpack_from("<" + code, data, at)
        at += struct.calcsize(code)
        return value

    def text():
        nonlocal at
        length = number("Q")
        at += length
        return data[at - length : at].decode("utf-8")

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            inner, count = number("I"), number("Q")
            return [value(inner) for _ in range(count)]
        return number(SIZES[kind])

    assert data[:4] == b"GGUF"
    at = 4
    version, tensors, keys = number("I"), number("Q"), number("Q")
    metadata = {}
    for _ in range(keys):
        key = text()
        metadata[key] = value(number("I"))
    infos = []
    for _ in range(tensors):
        name = text()
        shape = tuple(number("Q") for _ in range(number("I")))
        infos.append((name, shape, number("I"), number("Q")))
    start = -(-at // 32) * 32
    found = {}
    for name, shape, kind, offset in infos:
        count = int(np.prod(shape))
        numbers = struct.unpack_from(f"<{count}f", data, start + offset) if kind == 0 else ()
        found[name] = (shape, kind, np.array(numbers, np.float32))
    return metadata, found, version


def make_gguf(
    vectors: dict[str, list[float]],
    *,
    version=3,
    magic=b"GGUF",
    kinds=None,
    shapes=None,
    keys=None,
    count=None,
    offsets=None,
) -> bytes:
    """A GGUF file by struct alone, with any fault that is asked for. Keys: name -> text or whole number."""
    keys = {"general.architecture": "controlvector", "controlvector.model_hint": "llama"} if keys is None else keys
    codes = {0: "f", 1: "e", 28: "d"}

    def text(value):
        value = value.encode() if isinstance(value, str) else value
        return struct.pack("<Q", len(value)) + value

    head = magic + struct.pack("<IQQ", version, len(vectors) if count is None else count, len(keys))
    for key, value in keys.items():
        number = struct.pack("<II", 4, value) if isinstance(value, int) else None
        head += text(key) + (number if number is not None else struct.pack("<I", 8) + text(value))
    body, infos = b"", b""
    for name, numbers in vectors.items():
        kind = (kinds or {}).get(name, 0)
        shape = (shapes or {}).get(name, (len(numbers),))
        offset = (offsets or {}).get(name, len(body))
        infos += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
        data = struct.pack(f"<{len(numbers)}{codes.get(kind, 'f')}", *numbers)
        body += data + b"\0" * (-len(data) % 32)
    head += infos
    return head + b"\0" * (-len(head) % 32) + body
