"""Pre-train the base model on packed tokens: Muon on the blocks' matrices, AdamW on the rest, bfloat16 autocast.

Killed, it goes on from its last checkpoint when the same command is given again.

example: python -m recipe.pretrain --tokens tokens --out new-base --steps 3302
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from creativity_lens.errors import InputError
from creativity_lens.files import sha256_of
from recipe.model import new_model, place, token_losses
from recipe.settings import command
from recipe.training import Muon, Progress, Schedule, adamw, rows_at, tell, train


@dataclass(frozen=True)
class Pretraining:
    """Settings of this step."""

    tokens: Annotated[Path, "folder that recipe.tokenizer wrote"]
    out: Annotated[Path, "folder to write the model to"]
    steps: Annotated[int, "steps to take; 0: the minutes decide"] = 3302
    minutes: Annotated[float, "minutes to train when --steps is 0"] = 90.0
    batch: Annotated[int, "rows in a batch"] = 32
    length: Annotated[int, "tokens in a row"] = 256
    matrix_rate: Annotated[float, "learning rate of Muon"] = 0.02
    rest_rate: Annotated[float, "learning rate of AdamW: embeddings and norms"] = 0.003
    warmup: Annotated[int, "steps of warm-up"] = 60
    seed: Annotated[int, "of the first weights and of the order of the data"] = 0
    width: Annotated[int, "d_model"] = 192
    layers: Annotated[int, "blocks"] = 8
    heads: Annotated[int, "attention heads"] = 3
    feed_forward: Annotated[int, "width of the feed-forward part"] = 512
    save_every: Annotated[int, "steps between checkpoints"] = 200
    device: Annotated[str, "cpu, cuda or auto"] = "auto"


FREE = {"tokens", "out", "save_every", "device"}  # may change when a training goes on


def pretrain(settings: Pretraining, *, report: Callable[[Progress], None] = tell) -> Progress:
    """Train the base model and save it with its tokenizer."""
    packed = settings.tokens / "tokens.safetensors"
    if not packed.is_file():
        raise InputError(f"{packed}: no such file; make it with `python -m recipe.tokenizer`.")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(settings.tokens)
    model = new_model(
        vocabulary=len(tokenizer), context=tokenizer.model_max_length, width=settings.width, layers=settings.layers,
        heads=settings.heads, feed_forward=settings.feed_forward, seed=settings.seed,
    )  # fmt: skip
    device = place(model, settings.device)
    matrices = {name: weight for name, weight in model.named_parameters() if weight.ndim == 2 and "embed" not in name}
    rest = [weight for name, weight in model.named_parameters() if name not in matrices]
    # rows share one token with the next, so that every token is predicted once
    rows = load_file(packed)["train"].int().unfold(0, settings.length + 1, settings.length)

    def loss_at(step: int) -> Float[Tensor, ""]:
        picked = rows_at(step, batch=settings.batch, total=len(rows), seed=settings.seed)
        ids = rows[picked].long().to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            return token_losses(model, ids, ids).mean()

    muon = Muon([*matrices.values()], settings.matrix_rate)
    identity = {key: value for key, value in asdict(settings).items() if key not in FREE}
    identity["data"] = sha256_of(packed)
    return train(
        model, tokenizer, {"muon": muon, "adamw": adamw(rest, settings.rest_rate, weight_decay=0)}, loss_at,
        Schedule(settings.steps, settings.minutes, settings.warmup, decay=0.3),
        out=settings.out, identity=identity, save_every=settings.save_every, report=report,
    )  # fmt: skip


if __name__ == "__main__":
    command(Pretraining, pretrain, __doc__)
