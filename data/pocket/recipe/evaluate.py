"""Held-out loss as JSON on standard out, of all texts and by collection: nats per token, characters per token.

A base model is measured on the held-out passages, packed into rows as in training; a model with a chat template on the
held-out answers alone, their ends included. Weights and arithmetic are float32, and every token counts alike.

example: python -m recipe.evaluate --corpus corpus --model chat
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from recipe.corpus import Passage, split_passages
from recipe.finetune import encode
from recipe.instructions import Example, make_examples
from recipe.model import place, read_model, token_losses
from recipe.settings import command
from recipe.tokenizer import pack

Batches = Iterator[tuple[Int[Tensor, "batch pos"], Int[Tensor, "batch pos"]]]


@dataclass(frozen=True)
class Evaluation:
    """Settings of this step."""

    corpus: Annotated[Path, "folder of the .jsonl.gz files"]
    model: Annotated[Path, "folder of the model"]
    rows: Annotated[int, "rows of packed text at most; 0: all"] = 0
    length: Annotated[int, "tokens in a row of packed text"] = 256
    device: Annotated[str, "cpu, cuda or auto"] = "auto"


def passage_batches(tokenizer: PreTrainedTokenizerFast, texts: list[str], *, length: int, rows: int) -> Batches:
    """Rows of packed text that share one token with the next; an incomplete last row is left out."""
    tokens = torch.from_numpy(pack(tokenizer, texts)).long()
    packed = tokens.unfold(0, length + 1, length) if len(tokens) > length else tokens[None]
    for ids in packed[: rows or None].split(16):
        yield ids, ids


def answer_batches(tokenizer: PreTrainedTokenizerFast, examples: list[Example]) -> Batches:
    """Examples of similar length together."""
    ordered = sorted(examples, key=lambda example: len(example.text))
    for start in range(0, len(ordered), 50):
        yield encode(tokenizer, ordered[start : start + 50])


@torch.inference_mode()
def evaluate(settings: Evaluation) -> dict[str, dict[str, float]]:
    """The figures by collection, and of `all`."""
    model, tokenizer = read_model(settings.model)
    device = place(model.eval(), settings.device)
    held: Sequence[Example | Passage]
    _, held = (make_examples if tokenizer.chat_template else split_passages)(settings.corpus)
    figures = {}
    for name in ["all", *sorted({item.collection for item in held})]:
        chosen = [item for item in held if name in ("all", item.collection)]
        texts = [item.text for item in chosen]
        if tokenizer.chat_template:
            batches = answer_batches(tokenizer, [item for item in chosen if isinstance(item, Example)])
        else:
            batches = passage_batches(tokenizer, texts, length=settings.length, rows=settings.rows)
        losses = torch.cat([token_losses(model, ids.to(device), labels.to(device)).cpu() for ids, labels in batches])
        figures[name] = {
            "nats_per_token": losses.double().mean().item(),
            "characters_per_token": sum(map(len, texts)) / len(pack(tokenizer, texts)),
            "texts": len(texts),
            "tokens": len(losses),
        }
    return figures


if __name__ == "__main__":
    command(Evaluation, lambda settings: print(json.dumps(evaluate(settings), indent=2)), __doc__)
