"""A model's sizes by its config.json: parameters, bytes of weights and of a cached token, arithmetic of a token.

Counted for decoders of the Llama, GPT-2 and GPT-NeoX kinds: attention, one multilayer perceptron a block, no experts.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from creativity_lens.errors import InputError, check_choice

Number = float | int

BYTES: Mapping[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
# NF4 in double quantisation: a scale of 8 bits for 64 numbers, and a scale of 32 bits for 256 of those.
BITS_4BIT = 4 + 8 / 64 + 32 / (64 * 256)
# What `generation.batch_size` lets a batch take of the memory that is free once the weights are there.
GPU_SHARE, CPU_SHARE, CPU_CACHE_BYTES, CPU_ROWS = 1 / 2, 1 / 4, 3 << 28, 512

_WITH_BIASES = ("gpt2", "gpt_neox", "opt", "bloom", "phi")  # of every matrix, and norms of two vectors
_UNGATED = (*_WITH_BIASES, "gptj", "falcon", "starcoder2")
_TIED = ("gpt2", "gemma", "gemma2", "gemma3_text", "opt", "bloom")  # where config.json does not say


@dataclass(frozen=True)
class Dimensions:
    """The sizes of a decoder that decide what it costs."""

    layers: int
    width: int  # of the residual stream
    heads: int
    kv_heads: int  # fewer than heads where queries share keys and values
    head_dim: int
    inner: int  # width inside the multilayer perceptron
    vocabulary: int
    context: int
    gated: bool = True  # three matrices in the multilayer perceptron, not two
    tied: bool = False  # one matrix embeds tokens and gives the logits
    positions: int = 0  # learned position embeddings
    small: int = 0  # numbers in norms and biases
    experts: int = 1

    @property
    def matrices(self) -> int:
        """Numbers in the blocks' matrices: what every token is multiplied by, and what is quantised."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = 2 * self.width * queries + 2 * self.width * keys
        return self.layers * (attention + (3 if self.gated else 2) * self.width * self.inner * self.experts)

    @property
    def embedding(self) -> int:
        """Numbers in the matrix from tokens to the residual stream, or from it to logits."""
        return self.vocabulary * self.width

    @property
    def parameters(self) -> int:
        """All numbers of the model, a tied matrix counted once."""
        return self.matrices + self.embedding * (1 if self.tied else 2) + self.positions * self.width + self.small


def dimensions_of(config: Mapping[str, Any]) -> Dimensions:
    """The sizes that a config.json (as a dict) names, under any of the names in use.

    Norms and biases are exact for Llama, Mistral, Qwen2, GPT-2 and GPT-NeoX; elsewhere some are missed, which is less
    than a thousandth. Raises `InputError` for a config without layers, width, heads or vocabulary.

    >>> dimensions_of({"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12, "vocab_size": 50257,
    ...                "n_positions": 1024}).parameters
    124439808
    """
    inner_config = config.get("text_config")
    source = {**config, **inner_config} if isinstance(inner_config, dict) else config
    kind = str(source.get("model_type", ""))

    def find(*keys: str) -> int | None:
        found = (source.get(key) for key in keys)
        return next((value for value in found if isinstance(value, int) and not isinstance(value, bool)), None)

    def need(*keys: str) -> int:
        value = find(*keys)
        if value is None or value < 1:
            raise InputError(f"config.json: expected {keys[0]}, a whole number above 0, got {value}; fetch it again.")
        return value

    layers, width = need("num_hidden_layers", "n_layer", "num_layers"), need("hidden_size", "n_embd", "d_model")
    heads, vocabulary = need("num_attention_heads", "n_head", "num_heads"), need("vocab_size")
    kv_heads = find("num_key_value_heads") or (1 if source.get("multi_query") else heads)
    head_dim = find("head_dim") or width // heads
    inner = find("intermediate_size", "n_inner", "ffn_dim") or 4 * width
    context = find("n_positions", "max_position_embeddings", "n_ctx", "seq_length") or 2048
    biased = kind in _WITH_BIASES
    gated = kind not in _UNGATED
    small = (2 if biased else 1) * width * (2 * layers + 1)  # two norms a block and one at the end
    if biased:
        small += layers * ((heads + 2 * kv_heads) * head_dim + width + inner + width)
    elif kind == "qwen2" or source.get("attention_bias"):
        small += layers * (heads + 2 * kv_heads) * head_dim
    return Dimensions(
        layers, width, heads, kv_heads, head_dim, inner, vocabulary, context, gated,
        tied=bool(source.get("tie_word_embeddings", kind in _TIED)),
        positions=context if kind in ("gpt2", "opt") else 0,
        small=small,
        experts=find("num_local_experts", "num_experts", "n_routed_experts") or 1,
    )  # fmt: skip


def weight_bytes(sizes: Dimensions, dtype: str, *, quantize: str | None = None, numbers: int | None = None) -> int:
    """Bytes of the weights in a dtype, or packed in "4bit". `numbers` is the model's true count, where it is known.

    "4bit" packs the blocks' matrices; embeddings, the matrix to the logits and norms stay in `dtype`. Experts stay too,
    since they are no plain matrices.

    >>> llama = Dimensions(32, 4096, 32, 32, 128, 11008, 32000, 4096, small=65 * 4096)
    >>> weight_bytes(llama, "bfloat16"), weight_bytes(llama, "bfloat16", quantize="4bit")
    (13476831232, 3865591808)
    """
    each = BYTES[check_choice("dtype", dtype, BYTES)]
    total = sizes.parameters if numbers is None else numbers
    if quantize is None or sizes.experts > 1:
        return total * each
    check_choice("quantize", quantize, ("4bit",))
    return (total - sizes.matrices) * each + math.ceil(sizes.matrices * BITS_4BIT / 8)


def token_bytes(sizes: Dimensions, dtype: str) -> int:
    """Bytes that one token takes in a row's cache: its keys and values at every layer."""
    return 2 * sizes.layers * sizes.kv_heads * sizes.head_dim * BYTES[dtype]


def row_bytes(sizes: Dimensions, length: int, dtype: str) -> int:
    """Bytes of a row of `length` tokens while it is written: its cache, its logits, a block's work space.

    An upper estimate, the one by which batches are planned.
    """
    return token_bytes(sizes, dtype) * length + 4 * sizes.vocabulary * 4 + 32 * sizes.width * BYTES[dtype]


def rows_that_fit(sizes: Dimensions, length: int, dtype: str, left: Number, *, on_gpu: bool = True) -> int:
    """Rows of `length` tokens that a batch may hold where `left` bytes are free beside the weights; at least 1."""
    budget = left * GPU_SHARE if on_gpu else min(CPU_CACHE_BYTES, left * CPU_SHARE)
    fit = int(budget // row_bytes(sizes, length, dtype))
    return max(1, fit if on_gpu else min(fit, CPU_ROWS))


def flops_per_token(sizes: Dimensions, position: Number, *, logits: bool = True) -> Number:
    """Multiplications and additions of one token's forward pass, which looks back on `position` others.

    Two for every number of the blocks' matrices (and of the one to the logits), and four for every position, head and
    width of a head: two products, of queries with keys and of the pattern with values.
    """
    matrices = 2 * sizes.matrices + (2 * sizes.embedding if logits else 0)
    return matrices + 4 * sizes.layers * sizes.heads * sizes.head_dim * position
