"""The model: a small Llama, made, read, saved, and asked for its loss."""

import json
from pathlib import Path

import torch
import torch.nn.functional as functional
from jaxtyping import Float, Int
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from creativity_lens.errors import InputError
from creativity_lens.files import write_json
from recipe.tokenizer import END, PAD

IGNORED = -100  # a label that no loss falls on
THETA = 10000.0  # of the rotary embeddings
LOCAL = {"transformers_version", "backend", "is_local", "local_files_only"}  # tell of whoever saved, not of the model


def new_model(
    *, vocabulary: int, context: int, width: int, layers: int, heads: int, feed_forward: int, seed: int
) -> LlamaForCausalLM:
    """A Llama with tied embeddings in float32, the same for the same seed; its blocks add nothing to begin with."""
    config = LlamaConfig(
        vocab_size=vocabulary, max_position_embeddings=context, hidden_size=width, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=heads, intermediate_size=feed_forward, tie_word_embeddings=True,
        bos_token_id=END, eos_token_id=END, pad_token_id=PAD,
        rope_parameters={"rope_theta": THETA, "rope_type": "default"},
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    for name, weight in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            torch.nn.init.zeros_(weight)
    return model


def read_model(folder: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Model, in float32, and tokenizer from a folder that `save_model` wrote."""
    if not (folder / "model.safetensors").is_file():
        raise InputError(f"{folder}: expected the folder of a model, with model.safetensors and its configuration.")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32), tokenizer


def place(model: LlamaForCausalLM, device: str) -> torch.device:
    """Move a model to `cpu`, `cuda`, or with `auto` to the GPU when there is one."""
    model.to(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)  # type: ignore[arg-type]
    return model.device


def save_model(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write bfloat16 weights, configuration and tokenizer, in words that transformers 4 understands too."""
    model.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    older = {
        "config.json": {"rope_theta": THETA, "torch_dtype": "bfloat16"},
        "generation_config.json": {},
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"},
    }
    for name, extra in older.items():
        value = json.loads((folder / name).read_text(encoding="utf-8")) | extra
        write_json(folder / name, {key: value[key] for key in sorted(value) if key not in LOCAL})


def token_losses(
    model: LlamaForCausalLM, ids: Int[Tensor, "batch pos"], labels: Int[Tensor, "batch pos"]
) -> Float[Tensor, " scored"]:
    """Nats of every label given the ids before it, labels of -100 left out. Padding belongs at the right."""
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    scored = labels[:, 1:] != IGNORED
    return functional.cross_entropy(model.lm_head(hidden[scored]).float(), labels[:, 1:][scored], reduction="none")
