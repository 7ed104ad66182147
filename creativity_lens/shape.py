"""A model's shape: the numbers that planning needs, without its weights."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shape:
    """What planning needs to know of a model, wherever its weights are."""

    n_layers: int
    d_model: int
    vocabulary: int  # number of logits, which may exceed the tokenizer's entries
    context: int  # longest sequence in tokens; 2,048 where positions are relative and none is named
    end_ids: tuple[int, ...]  # tokens that end a text: the tokenizer's, and those of the generation config
    cached: int  # numbers that a cached token takes in one layer: keys and values of all their heads


def shape_of(bridge: Any, tokenizer: Any) -> Shape:
    """The shape of a bridged model."""
    language_model = bridge.original_model
    config = language_model.config.get_text_config()
    vocabulary = int(language_model.get_output_embeddings().weight.shape[0])
    listed = getattr(getattr(language_model, "generation_config", None), "eos_token_id", None)
    ends = [*(listed if isinstance(listed, list) else [listed]), tokenizer.eos_token_id]
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return Shape(
        n_layers=int(bridge.cfg.n_layers),
        d_model=int(bridge.cfg.d_model),
        vocabulary=vocabulary,
        context=int(bridge.cfg.n_ctx or 2048),
        end_ids=tuple(sorted({int(i) for i in ends if i is not None and i < vocabulary})),
        cached=2 * int(heads) * int(width),
    )
