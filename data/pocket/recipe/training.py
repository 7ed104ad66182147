"""Training that can be killed and goes on with the same numbers: optimiser, checkpoint, loop.

A checkpoint is one safetensors file, written whole: float32 weights, the state of every optimiser, the losses so far
and, as JSON in its metadata, the seconds trained and what is being trained. The order of the data and all else that is
random are functions of seed and step, so nothing more has to be kept of them.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from creativity_lens.errors import InputError
from creativity_lens.files import whole_file, write_json
from recipe.model import save_model
from recipe.settings import say


@dataclass(frozen=True)
class Schedule:
    """How long to train, and the learning rate on the way: warm-up, constant, linear decay over the last share."""

    steps: int  # 0: the minutes decide
    minutes: float
    warmup: int  # steps
    decay: float  # share of the whole

    def done(self, step: int, seconds: float) -> float:
        """Share of the training that lies behind."""
        return step / self.steps if self.steps else seconds / 60 / self.minutes

    def scale(self, step: int, done: float) -> float:
        """What the learning rates are multiplied by."""
        return max(min(1.0, (step + 1) / self.warmup) * min(1.0, (1 - done) / self.decay), 0.01)


@dataclass
class Progress:
    """Where a training stands."""

    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)  # of each step taken


class Muon(Optimizer):
    """Momentum made orthogonal by Newton-Schulz iterations, for matrices (Jordan et al. 2024)."""

    def __init__(self, weights: list[nn.Parameter], rate: float) -> None:
        super().__init__(weights, {"lr": rate})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every matrix."""
        for weight in self.param_groups[0]["params"]:
            momentum = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
            momentum.lerp_(weight.grad, 0.05)
            update = orthogonal(weight.grad.lerp(momentum, 0.95))
            rate = self.param_groups[0]["lr"]
            weight.mul_(1 - 0.01 * rate).add_(update, alpha=-rate * max(1, weight.size(0) / weight.size(1)) ** 0.5)


def orthogonal(matrix: Float[Tensor, "row column"], iterations: int = 5) -> Float[Tensor, "row column"]:
    """Roughly the orthogonal factor of a matrix: singular values between about 0.7 and 1.2, computed in bfloat16."""
    tall = matrix.size(0) > matrix.size(1)
    x = (matrix.T if tall else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return (x.T if tall else x).float()


def adamw(weights: list[nn.Parameter], rate: float, *, weight_decay: float) -> AdamW:
    """AdamW as both trainings use it."""
    return AdamW(weights, lr=rate, betas=(0.9, 0.95), weight_decay=weight_decay, fused=True)


def rows_at(step: int, *, batch: int, total: int, seed: int) -> Int[Tensor, " batch"]:
    """The rows of a step's batch: every pass over the data is shuffled anew, its incomplete last batch left out."""
    if total < batch:
        raise InputError(f"expected at least one batch of {batch} rows, got {total}; lower --batch or bring more text.")
    lap, number = divmod(step, total // batch)
    order = torch.randperm(total, generator=torch.Generator().manual_seed(1_000_003 * seed + lap))
    return order[number * batch : (number + 1) * batch]


@dataclass(frozen=True)
class Checkpoint:
    """The file that a killed training goes on from; one of other settings or other data is refused by name."""

    path: Path
    model: nn.Module
    optimisers: Mapping[str, Optimizer]
    identity: dict[str, Any]

    def save(self, progress: Progress) -> None:
        """Write the whole state whole."""
        tensors = {"losses": torch.tensor(progress.losses, dtype=torch.float64)}
        for name, weight in self.model.named_parameters():
            tensors[f"model/{name}"] = weight.detach()
            for label, optimiser in self.optimisers.items():
                tensors |= {f"{label}/{name}/{key}": value for key, value in optimiser.state.get(weight, {}).items()}
        kept = {"seconds": progress.seconds, "identity": self.identity}
        with whole_file(self.path) as temporary:
            save_file(tensors, temporary, {"progress": json.dumps(kept)})

    def load(self) -> Progress:
        """Put the state back into model and optimisers; a fresh start where there is no file."""
        if not self.path.exists():
            return Progress()
        try:
            with safe_open(self.path, framework="pt") as file:
                kept = json.loads(file.metadata()["progress"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{self.path}: damaged checkpoint ({error}); delete it to begin again.") from None
        for key, value in self.identity.items():
            if kept["identity"].get(key) != value:
                raise InputError(
                    f"{self.path}: of a training with {key} = {kept['identity'].get(key)}, now {value}; "
                    "give the same options, or another --out."
                )
        weights = dict(self.model.named_parameters())
        for key, value in tensors.items():
            label, *names = key.split("/")
            if label == "model":
                weights[names[0]].data.copy_(value)
            elif label in self.optimisers:
                weight = weights[names[0]]
                self.optimisers[label].state[weight][names[1]] = value.to(weight.device)
        return Progress(kept["seconds"], tensors["losses"].tolist())


def tell(progress: Progress) -> None:
    """A line every twenty steps."""
    if len(progress.losses) % 20 == 0:
        say(f"step {len(progress.losses)}, loss {progress.losses[-1]:.3f} nats a token, {progress.seconds:.0f} s")


def train(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    optimisers: Mapping[str, Optimizer],
    loss_at: Callable[[int], Float[Tensor, ""]],
    schedule: Schedule,
    *,
    out: Path,
    identity: dict[str, Any],
    save_every: int,
    clip: float = float("inf"),
    report: Callable[[Progress], None] = tell,
) -> Progress:
    """Train to the end, from the checkpoint in `out` if there is one, and save the model there.

    `loss_at(step)` is the loss of that step's batch. A finished model is never trained over.
    """
    checkpoint = Checkpoint(out / "checkpoint.safetensors", model, optimisers, identity)
    if (out / "model.safetensors").exists() and not checkpoint.path.exists():
        raise InputError(f"{out}: holds a finished model; choose another --out.")
    out.mkdir(parents=True, exist_ok=True)
    rates = {label: optimiser.param_groups[0]["lr"] for label, optimiser in optimisers.items()}
    progress = checkpoint.load()
    began = time.monotonic() - progress.seconds
    while (done := schedule.done(step := len(progress.losses), progress.seconds)) < 1:
        loss = loss_at(step)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        for label, optimiser in optimisers.items():
            optimiser.param_groups[0]["lr"] = rates[label] * schedule.scale(step, done)
            optimiser.step()
        model.zero_grad(set_to_none=True)
        progress.losses.append(loss.item())
        progress.seconds = time.monotonic() - began
        if (step + 1) % save_every == 0:
            checkpoint.save(progress)
        report(progress)
    checkpoint.save(progress)  # a model that is only half saved is saved again
    save_model(model, tokenizer, out)
    write_json(out / "training.json", {**identity, "seconds": progress.seconds, "losses": progress.losses})
    checkpoint.path.unlink()
    return progress
