"""The worker that is repeng, used as its documentation shows."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np
import repeng.extract
from repeng import ControlModel, ControlVector, DatasetEntry

from benchmarks.peers.meter import measured
from benchmarks.peers.plain import Plain, take_tasks


class Repeng(Plain):
    """A model whose block at the steered layer is wrapped; the vector is added at every position, the prompt's too."""

    def tool(self) -> str:
        """Whose code it is, with its version."""
        return f"repeng {version('repeng')}"

    def extract(self, pairs: Sequence[Sequence[str]], batch: int, out: str | None = None) -> dict[str, Any]:
        """Its default, the first principal component of the pairs' differences at the last token, here of all layers.

        `reading` is what the activations alone take of the seconds. It has no mean difference, so `out` is told that of
        the activations it read, [layer, d_model]; its last row is after the final norm.
        """
        self._tokenizer.padding_side = "right"
        entries = [DatasetEntry(one, other) for one, other in pairs]
        layers = list(range(self._model.config.num_hidden_layers))
        read = repeng.extract.batched_get_hiddens
        seen: dict[str, Any] = {}

        def timed(*given: Any) -> dict[int, np.ndarray]:
            start, busy = time.perf_counter(), time.process_time()
            seen["hidden"] = read(*given)
            seen.update(wall=time.perf_counter() - start, cpu=time.process_time() - busy)
            return seen["hidden"]

        def work() -> ControlVector:
            return ControlVector.train(self._model, self._tokenizer, entries, hidden_layers=layers, batch_size=batch)

        repeng.extract.batched_get_hiddens = timed
        try:
            _, numbers = measured(work, self._device)
        finally:
            repeng.extract.batched_get_hiddens = read
        if out is not None:
            np.save(out, np.stack([(seen["hidden"][at][::2] - seen["hidden"][at][1::2]).mean(0) for at in layers]))
        return {**numbers, "reading": {"wall": seen["wall"], "cpu": seen["cpu"]}}

    def sweep(
        self, prompts: Sequence[str], cells: Sequence[Sequence[float]], tokens: int, pushes: str, batch: int
    ) -> dict[str, Any]:
        """Cell after cell, `batch` prompts at a time; the rows of a cell follow each other."""
        vectors = np.load(pushes)

        @contextmanager
        def steered(layer: int, strength: float) -> Iterator[Any]:
            wrapped = ControlModel(self._model, [layer])
            try:
                wrapped.set_control(ControlVector(self._model.config.model_type, {layer: vectors[layer]}), strength)
                yield wrapped
            finally:
                wrapped.unwrap()

        made, numbers = measured(lambda: self.by_cells(prompts, cells, batch, tokens, steered), self._device)
        return {**numbers, "tokens": made}


if __name__ == "__main__":
    take_tasks(Repeng, "extract", "sweep")
