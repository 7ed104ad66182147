"""Weights packed in 4 bits as they are loaded: when that can be done, and what transformers is told to do it."""

import importlib.util
from typing import Any

import torch

from creativity_lens.errors import InputError, check_choice

QUANTIZE = ("4bit",)


def check_quantize(quantize: str | None, dtype: str, place: torch.device) -> None:
    """Refuse to quantise into what is unknown, in another dtype, without a GPU, or without bitsandbytes."""
    if quantize is None:
        return
    check_choice("quantize", quantize, QUANTIZE)
    if dtype not in ("auto", "bfloat16"):
        raise InputError(
            f"quantize '{quantize}': expected dtype 'bfloat16' or 'auto', got '{dtype}'; drop one of them."
        )
    if place.type != "cuda":
        raise InputError(
            f"quantize '{quantize}': expected a GPU, got device '{place}'; leave quantize out, or take a smaller model."
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise InputError(
            f"quantize '{quantize}': expected the package bitsandbytes, found none; run "
            "`pip install 'creativity-lens[quantize]'`."
        )


def check_quantizable(name: str, fused: int, quantize: str | None) -> None:
    """Refuse to pack matrices that TransformerLens has to cut: packed, they cannot be read as numbers."""
    if quantize is not None and fused:
        raise InputError(
            f"{name}: expected query, key and value in matrices of their own to load it in {quantize}, got fused ones; "
            "load it without quantize, in bfloat16."
        )


def quantized(quantize: str | None) -> dict[str, Any]:
    """What transformers is told to pack weights as they are read: NF4, twice quantised, computed in bfloat16."""
    if quantize is None:
        return {}
    from transformers import BitsAndBytesConfig

    how = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"quantization_config": how}


def target_of(place: torch.device, gpus: int, quantize: str | None) -> dict[str, Any]:
    """Where TransformerLens is told to put a model: on one device, or balanced over the first `gpus` GPUs.

    Packed weights are packed on their device: they are read to it, not moved there.
    """
    if gpus > 1:
        return {"n_devices": gpus}
    if quantize is None:
        return {"device": str(place)}
    return {"device_map": {"": str(place) if place.index is not None or place.type == "cpu" else f"{place.type}:0"}}
