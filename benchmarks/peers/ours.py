"""The worker that is this package, through the functions that its README shows."""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import creativity_lens as cl
from benchmarks.peers.meter import held, measured
from benchmarks.peers.talk import serve
from creativity_lens.activations import package_versions
from creativity_lens.generation import Row, generate_rows
from creativity_lens.prompts import ContrastivePair, Prompt
from creativity_lens.steering import edit_table, steered


class Ours:
    """One model at a time; prompts and texts are read as plain text, which the other tools do too."""

    def __init__(self, device: str) -> None:
        self._device = device

    def load(self, folder: str) -> dict[str, Any]:
        """Load a model in place of the one before."""
        self._model: Any = None
        self._model = cl.load_model(folder, template="none", device=self._device)
        versions = dict(package_versions())
        return {"tool": f"creativity-lens {versions.pop('creativity-lens')}", "versions": versions}

    def held(self) -> dict[str, Any]:
        """Bytes in use now."""
        return {"bytes": held(self._model.device)}

    def read_ids(self, texts: Sequence[str]) -> dict[str, Any]:
        """What it reads for each text under the rule "last": a line break after the text comes with it."""
        return {"ids": [self._model.encode_prompt(text).ids for text in texts]}

    def extract(self, pairs: Sequence[Sequence[str]], out: str | None = None) -> dict[str, Any]:
        """Directions of all layers; `out` is told the mean difference at the last token, [layer, d_model]."""
        given = [_pair(number, *sides) for number, sides in enumerate(pairs)]

        def work() -> tuple[Any, Any]:
            activations = cl.collect_activations(self._model, given, position="last", cache=False)
            return activations, cl.mean_difference(activations)

        (activations, _), numbers = measured(work, self._model.device)
        if out is not None:
            np.save(out, (activations.creative - activations.boring).mean(1).numpy())
        returned = sum(part.nbytes for part in (activations.creative, activations.boring, activations.norms))
        return {**numbers, "returned": returned}

    def pushes(self, pairs: Sequence[Sequence[str]], out: str) -> dict[str, Any]:
        """Write one vector a layer, as long as the residual stream there: what a strength of 1 adds."""
        given = [_pair(number, *sides) for number, sides in enumerate(pairs)]
        found = cl.mean_difference(cl.collect_activations(self._model, given, position="last", cache=False))
        np.save(out, (found.vectors * found.residual_norms[:, None]).numpy())
        return {"layers": list(found.layers)}

    def sweep(
        self, prompts: Sequence[str], cells: Sequence[Sequence[float]], tokens: int, pushes: str, scope: str
    ) -> dict[str, Any]:
        """Every cell's prompts in one call; the rows of a cell follow each other."""
        edits = [self._edit(pushes, *cell) for cell in cells]
        rows = [Row(Prompt(text, None, text), 0, edit, 0.0) for edit in edits for text in prompts]
        made, numbers = measured(
            lambda: generate_rows(self._model, rows, max_new_tokens=tokens, min_new_tokens=tokens, scope=scope),
            self._model.device,
        )
        return {**numbers, "tokens": [list(text.token_ids) for text in made]}

    def margins(self, forks: Sequence[dict[str, Any]], pushes: str) -> dict[str, Any]:
        """How far apart two tokens' logits are after a prompt and the tokens before the fork, by the cell's edit."""
        apart = []
        for fork in forks:
            edit = None if fork["cell"] is None else self._edit(pushes, *fork["cell"])
            ids = [*self._model.encode_prompt(fork["prompt"]).ids, *fork["before"]]
            with steered(self._model, edit_table([edit], self._model)):
                logits = self._model.forward(torch.tensor([ids], device=self._model.device), keep=1)[0, -1]
            one, other = fork["tokens"]
            apart.append(abs(float(logits[one] - logits[other])))
        return {"apart": apart}

    def _edit(self, pushes: str, layer: float, strength: float) -> cl.Steering | None:
        return cl.Steering(int(layer), strength * torch.from_numpy(np.load(pushes))[int(layer)], strength)


def _pair(number: int, one: str, other: str) -> ContrastivePair:
    return ContrastivePair(f"p{number}", f"t{number}", "any", "manner", None, one, one, other, one, other)


def main() -> None:
    """Take tasks until there are no more."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    side = Ours(options.device)
    names = ("load", "held", "read_ids", "extract", "pushes", "sweep", "margins")
    serve({name: getattr(side, name) for name in names})


if __name__ == "__main__":
    main()
