"""The worker that is steering-vectors, used as its documentation shows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from steering_vectors import SteeringVector, train_steering_vector

from benchmarks.peers.meter import measured
from benchmarks.peers.plain import Plain, take_tasks


class SteeringVectors(Plain):
    """Hooks that add a vector to what a block returns, at every position, the prompt's too."""

    def tool(self) -> str:
        """Whose code it is, with its version."""
        return f"steering-vectors {version('steering-vectors')}"

    def extract(self, pairs: Sequence[Sequence[str]], batch: int, out: str | None = None) -> dict[str, Any]:
        """Its default: the mean difference at the last token, all layers. `out` is told it, [layer, d_model]."""
        self._tokenizer.padding_side = "right"
        samples = [(one, other) for one, other in pairs]
        found, numbers = measured(
            lambda: train_steering_vector(self._model, self._tokenizer, samples, batch_size=batch), self._device
        )
        if out is not None:
            by_layer = found.layer_activations
            np.save(out, torch.stack([by_layer[layer] for layer in sorted(by_layer)]).cpu().numpy())
        return numbers

    def sweep(
        self, prompts: Sequence[str], cells: Sequence[Sequence[float]], tokens: int, pushes: str, batch: int
    ) -> dict[str, Any]:
        """Cell after cell, `batch` prompts at a time; the rows of a cell follow each other."""
        vectors = torch.from_numpy(np.load(pushes)).to(self._device)

        @contextmanager
        def steered(layer: int, strength: float) -> Iterator[Any]:
            with SteeringVector({layer: vectors[layer]}).apply(self._model, multiplier=strength):
                yield self._model

        made, numbers = measured(lambda: self.by_cells(prompts, cells, batch, tokens, steered), self._device)
        return {**numbers, "tokens": made}


if __name__ == "__main__":
    take_tasks(SteeringVectors, "extract", "sweep")
