"""Fine-tune the base model on instructions made from the same corpora; the loss falls on the answers alone.

Killed, it goes on from its last checkpoint when the same command is given again.

example: python -m recipe.finetune --corpus corpus --base new-base --out new-chat --steps 510
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerFast

from creativity_lens.files import sha256_of, sha256_text
from recipe.instructions import CHAT_TEMPLATE, Example, make_examples
from recipe.model import IGNORED, place, read_model, token_losses
from recipe.settings import command
from recipe.tokenizer import END, PAD
from recipe.training import Progress, Schedule, adamw, rows_at, tell, train


@dataclass(frozen=True)
class Finetuning:
    """Settings of this step."""

    corpus: Annotated[Path, "folder of the .jsonl.gz files"]
    base: Annotated[Path, "folder of the base model"]
    out: Annotated[Path, "folder to write the chat model to"]
    steps: Annotated[int, "steps to take; 0: the minutes decide"] = 510
    minutes: Annotated[float, "minutes to train when --steps is 0"] = 18.0
    batch: Annotated[int, "examples in a batch"] = 48
    rate: Annotated[float, "learning rate of AdamW"] = 6e-4
    warmup: Annotated[int, "steps of warm-up"] = 30
    seed: Annotated[int, "of the order of the examples"] = 0
    save_every: Annotated[int, "steps between checkpoints"] = 100
    device: Annotated[str, "cpu, cuda or auto"] = "auto"


FREE = {"corpus", "base", "out", "save_every", "device"}  # may change when a training goes on


def encode(
    tokenizer: PreTrainedTokenizerFast, examples: Sequence[Example]
) -> tuple[Int[Tensor, "batch pos"], Int[Tensor, "batch pos"]]:
    """Ids and labels of a batch, padded at the right; labels fall on the answer and its end alone."""
    ids, labels = [], []
    for example in examples:
        request = tokenizer(f"<|user|>{example.request}\n<|assistant|>").input_ids  # begins with <|endoftext|>
        answer = [*tokenizer(example.text, add_special_tokens=False).input_ids, END]
        ids.append(torch.tensor(request + answer))
        labels.append(torch.tensor([IGNORED] * len(request) + answer))
    return pad_sequence(ids, True, PAD), pad_sequence(labels, True, IGNORED)


def finetune(settings: Finetuning, *, report: Callable[[Progress], None] = tell) -> Progress:
    """Train the chat model and save it with its tokenizer and chat template."""
    model, tokenizer = read_model(settings.base)
    tokenizer.chat_template = CHAT_TEMPLATE
    device = place(model, settings.device)
    examples, _ = make_examples(settings.corpus)

    def loss_at(step: int) -> Float[Tensor, ""]:
        rows = rows_at(step, batch=settings.batch, total=len(examples), seed=settings.seed)
        ids, labels = encode(tokenizer, [examples[row] for row in rows])
        with torch.autocast(device.type, dtype=torch.bfloat16):
            return token_losses(model, ids.to(device), labels.to(device)).mean()

    identity = {key: value for key, value in asdict(settings).items() if key not in FREE}
    identity["data"] = sha256_text(*(part for example in examples for part in example))
    identity["weights"] = sha256_of(settings.base / "model.safetensors")
    return train(
        model, tokenizer, {"adamw": adamw([*model.parameters()], settings.rate, weight_decay=0.01)}, loss_at,
        Schedule(settings.steps, settings.minutes, settings.warmup, decay=0.5),
        out=settings.out, identity=identity, save_every=settings.save_every, clip=1.0, report=report,
    )  # fmt: skip


if __name__ == "__main__":
    command(Finetuning, finetune, __doc__)
