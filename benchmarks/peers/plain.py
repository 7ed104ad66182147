"""The worker that is Hugging Face's transformers alone: the limit. It runs in either environment.

`Plain` also loads and reads for the two peers, which steer the same class of model.
"""

import argparse
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.peers.meter import held, measured
from benchmarks.peers.talk import serve

BATCH = 32
CACHE_BYTES = 3 << 28  # of keys and values in one batch of the limit, as of ours

Steered = Callable[[int, float], AbstractContextManager[Any]]


class Plain:
    """A model and its tokenizer as the peers' documentation loads them, in float32."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)

    def load(self, folder: str) -> dict[str, Any]:
        """Load a model in place of the one before."""
        self._model: Any = None
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().to(self._device)
        versions = {name: version(name) for name in ("torch", "transformers", "numpy")}
        return {"tool": self.tool(), "versions": versions}

    def tool(self) -> str:
        """Whose code it is, with its version."""
        return f"transformers {version('transformers')}"

    def held(self) -> dict[str, Any]:
        """Bytes in use now."""
        return {"bytes": held(self._device)}

    def read_ids(self, texts: Sequence[str]) -> dict[str, Any]:
        """What it reads for each text."""
        return {"ids": [self._tokenizer(text).input_ids for text in texts]}

    def forward(self, pairs: Sequence[Sequence[str]], out: str | None = None) -> dict[str, Any]:
        """The body alone (no LM head, no hooks, nothing kept) on ready batches of 32 texts of like length.

        `out` is told the mean difference at the last token after the final norm, [1, d_model].
        """
        texts = [text for pair in pairs for text in pair]
        ids = [self._tokenizer(text).input_ids for text in texts]
        order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
        groups = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        pad = self._tokenizer.pad_token_id
        ready = []
        for group in groups:
            width = max(len(ids[place]) for place in group)
            ready.append(torch.tensor([ids[place] + [pad] * (width - len(ids[place])) for place in group]))
        ready = [batch.to(self._device) for batch in ready]

        def work(see: Callable[[list[int], torch.Tensor], None] | None = None) -> None:
            with torch.inference_mode():
                for group, batch in zip(groups, ready, strict=True):
                    last = self._model.model(input_ids=batch, use_cache=False).last_hidden_state
                    if see is not None:
                        see(group, last)

        _, numbers = measured(work, self._device)
        if out is not None:
            ends = torch.empty(len(ids), self._model.config.hidden_size)

            def see(group: list[int], last: torch.Tensor) -> None:
                for row, place in enumerate(group):
                    ends[place] = last[row, len(ids[place]) - 1].cpu()

            work(see)
            np.save(out, (ends[::2] - ends[1::2]).mean(0, keepdim=True).numpy())
        return numbers

    def unsteered(self, prompts: Sequence[str], cells: int, tokens: int) -> dict[str, Any]:
        """The rows of a sweep without any steering, in as few and even batches as `CACHE_BYTES` allow.

        The rows of a cell follow each other; `rows` is the size of the batches.
        """
        texts = [text for _ in range(cells) for text in prompts]
        config = self._model.config
        width = config.num_key_value_heads * (config.hidden_size // config.num_attention_heads)
        longest = tokens + max(len(ids) for ids in self._tokenizer(list(prompts)).input_ids)
        fit = max(1, CACHE_BYTES // (2 * 4 * config.num_hidden_layers * width * longest))
        size = -(-len(texts) // -(-len(texts) // fit))

        def work() -> list[list[int]]:
            order = sorted(range(len(texts)), key=lambda place: (len(texts[place]), texts[place]))  # pads little
            made: list[list[int]] = [[] for _ in texts]
            for start in range(0, len(order), size):
                some = order[start : start + size]
                for place, ids in zip(
                    some, self.write([texts[place] for place in some], tokens, self._model), strict=True
                ):
                    made[place] = ids
            return made

        made, numbers = measured(work, self._device)
        return {**numbers, "tokens": made, "rows": size}

    def write(self, texts: Sequence[str], tokens: int, model: Any) -> list[list[int]]:
        """Greedy texts of that many tokens each, in one batch."""
        self._tokenizer.padding_side = "left"
        inputs = self._tokenizer(list(texts), return_tensors="pt", padding=True).to(self._device)
        inputs.pop("token_type_ids", None)
        made = model.generate(
            **inputs, do_sample=False, max_new_tokens=tokens, min_new_tokens=tokens,
            pad_token_id=self._tokenizer.pad_token_id,
        )[:, inputs["input_ids"].shape[1] :]  # fmt: skip
        self._tokenizer.batch_decode(made, skip_special_tokens=True)  # the texts, as a user wants them
        return made.tolist()

    def by_cells(
        self, prompts: Sequence[str], cells: Sequence[Sequence[float]], batch: int, tokens: int, steered: Steered
    ) -> list[list[int]]:
        """Texts of each cell's prompts, `batch` at a time, written by what `steered(layer, strength)` yields."""
        made = []
        for layer, strength in cells:
            with steered(int(layer), strength) as model:
                for start in range(0, len(prompts), batch):
                    made += self.write(prompts[start : start + batch], tokens, model)
        return made


def take_tasks(side_type: type[Plain], *own: str) -> None:
    """Do the tasks that all of these sides know, and their own, until there are no more."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    side = side_type(options.device)
    serve({name: getattr(side, name) for name in ("load", "held", "read_ids", *own)})


if __name__ == "__main__":
    take_tasks(Plain, "forward", "unsteered")
