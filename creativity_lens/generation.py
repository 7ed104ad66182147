"""Generation: every prompt is run once, and rows of any layer, strength, method and temperature share a batch.

The order of rows in the batches is fixed before the run (by prompt), finished rows leave their batch, and the luck of a
row is a function of its prompt and seed, so a text does not depend on which rows it was generated with.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from creativity_lens.errors import InputError, check_choice
from creativity_lens.memory import free_memory
from creativity_lens.models import Model
from creativity_lens.prefix import bytes_per_row, continue_rows, keep_rows, prefill
from creativity_lens.progress import track
from creativity_lens.prompts import Prompt
from creativity_lens.sampling import check_truncation, gumbel_noise, next_tokens
from creativity_lens.scores import Generation
from creativity_lens.steering import Steering, edit_table, select_rows, steered

LEAVE_SHARE = 8  # finished rows leave once they are an eighth of the batch: leaving costs a copy of the cache
CPU_CACHE_BYTES = 3 << 28  # beyond this, larger batches gain nothing on a CPU
_BROKEN = -1  # in place of a token id: the row's logits were not numbers


@dataclass(frozen=True, eq=False)
class Row:
    """One text to generate: which prompt, with which luck, edited how."""

    prompt: Prompt
    seed: int
    steering: Steering | None = None
    temperature: float = 1.0


# a layer and a direction [d_model]: record each text's mean projection over the tokens it read back, edit in place
Probe = tuple[int, Tensor]


def generate(
    model: Model,
    prompts: Sequence[str | Prompt],
    *,
    steering: Sequence[Steering | None] = (None,),
    samples: int = 1,
    max_new_tokens: int = 48,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    min_p: float = 0.0,
    seed: int = 0,
    batch_rows: int | str = "auto",
    scope: str = "generated",
) -> list[Generation]:
    """Texts for every prompt x steering x sample, in that order.

    Sample i draws luck number `seed + i`, the same in every steering row. `scope` is "generated" (edits act from the
    first generated token on, so the prompt's cache is shared) or "all" (also on the prompt). Temperature 0 is greedy. A
    text ends before its end token or after `max_new_tokens`.

    >>> generate(model, ["Write about rain."], steering=[None, Steering(4, 8.0 * v, 0.2)], samples=2)  # doctest: +SKIP
    """
    if isinstance(prompts, str):
        raise InputError("prompts: expected a list of prompts, got one string; write [prompt].")
    wanted = [Prompt(prompt, None, prompt) if isinstance(prompt, str) else prompt for prompt in prompts]
    if samples < 1:
        raise InputError(f"samples: expected 1 or more, got {samples}.")
    rows = [
        Row(prompt, seed + sample, edit, temperature)
        for prompt, edit, sample in product(wanted, steering, range(samples))
    ]
    return generate_rows(
        model, rows, max_new_tokens=max_new_tokens, top_p=top_p, top_k=top_k, min_p=min_p, batch_rows=batch_rows,
        scope=scope,
    )  # fmt: skip


def generate_rows(
    model: Model,
    rows: Sequence[Row],
    *,
    max_new_tokens: int = 48,
    min_new_tokens: int = 0,
    top_p: float = 1.0,
    top_k: int = 0,
    min_p: float = 0.0,
    batch_rows: int | str = "auto",
    scope: str = "generated",
    probe: Probe | None = None,
    on_halved: Callable[[int], None] | None = None,
    description: str = "generating",
) -> list[Generation]:
    """One text per row, in the order of `rows`.

    Ends are not drawn before `min_new_tokens`. A batch that does not fit into memory is halved, and `on_halved(rows)`
    is told the new size. A text whose logits are not numbers any more (an edit can overflow float16) ends there. Raises
    `InputError` for a prompt that leaves no room in the context.
    """
    check_choice("scope", scope, ["generated", "all"])
    check_truncation(top_p, top_k, min_p)
    if max_new_tokens < 1:
        raise InputError(f"max_new_tokens: expected 1 or more, got {max_new_tokens}.")
    if batch_rows != "auto" and (not str(batch_rows).isdecimal() or int(batch_rows) < 1):
        raise InputError(f"batch_rows: expected 'auto' or a whole number of at least 1, got '{batch_rows}'.")
    for row in rows:
        if not 0.0 <= row.temperature < math.inf:
            raise InputError(f"temperature: expected 0 (greedy) or a positive number, got {row.temperature}.")
    if not rows:
        return []
    encoded = {text: model.encode_prompt(text).ids for text in dict.fromkeys(row.prompt.text for row in rows)}
    for text, ids in encoded.items():
        if len(ids) + max_new_tokens > model.context:
            raise InputError(
                f"prompt of {len(ids)} tokens + {max_new_tokens} new ones: expected at most the context of "
                f"{model.context} of {model.name}; shorten '{' '.join(text.split())[:60]}' or --max-new-tokens."
            )
    decoding = _Decoding(max_new_tokens, min_new_tokens, top_p, top_k, min_p, scope, probe)
    # by prompt, so that a batch prefills few prompts; by prompt length, so that it pads little
    order = sorted(range(len(rows)), key=lambda i: (len(encoded[rows[i].prompt.text]), rows[i].prompt.text, i))
    longest = max(map(len, encoded.values())) + max_new_tokens
    if batch_rows == "auto":  # as few batches as memory allows, all of a size: a small one takes nearly as long
        size = math.ceil(len(rows) / math.ceil(len(rows) / batch_size(model, longest)))
    else:
        size = int(batch_rows)
    results: list[Generation | None] = [None] * len(rows)
    with track(description, len(rows) * max_new_tokens, unit="tokens") as advance, torch.inference_mode():
        start = 0
        while start < len(order):
            batch = order[start : start + size]
            try:
                made = _generate_batch(model, [rows[i] for i in batch], encoded, decoding)
            except (RuntimeError, MemoryError) as error:
                if not _out_of_memory(error) or len(batch) == 1:
                    raise
                size = max(1, len(batch) // 2)
                if on_halved is not None:
                    on_halved(size)
                continue
            for index, result in zip(batch, made, strict=True):
                results[index] = result
            start += len(batch)
            advance(len(batch) * max_new_tokens)
    return [result for result in results if result is not None]


def batch_size(model: Model, length: int) -> int:
    """Rows of `length` positions that a batch may hold, from the memory that is free now."""
    free = free_memory(str(model.device)) or CPU_CACHE_BYTES
    budget = free // 2 if model.device.type == "cuda" else min(CPU_CACHE_BYTES, free // 4)
    return max(1, int(budget // bytes_per_row(model, length)))


def _out_of_memory(error: Exception) -> bool:
    said = ("can't allocate memory", "ALLOC_FAILED")  # by PyTorch on a CPU, and by the GPU's own libraries
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(words in str(error) for words in said)


@dataclass(frozen=True)
class _Decoding:
    max_new_tokens: int
    min_new_tokens: int
    top_p: float
    top_k: int
    min_p: float
    scope: str
    probe: Probe | None


def _generate_batch(
    model: Model, rows: Sequence[Row], encoded: dict[str, tuple[int, ...]], decoding: _Decoding
) -> list[Generation]:
    table = edit_table([row.steering for row in rows], model)
    # which prefilled prompt each row continues; scope "all" changes the prompt's cache too, so each row has its own
    if decoding.scope == "all":
        with steered(model, table):
            prefix = prefill(model, [encoded[row.prompt.text] for row in rows])
        source = torch.arange(len(rows))
    else:
        distinct = list(dict.fromkeys(row.prompt.text for row in rows))
        prefix = prefill(model, [encoded[text] for text in distinct])
        source = torch.tensor([distinct.index(row.prompt.text) for row in rows])
    source = source.to(model.device)
    cache, mask = continue_rows(prefix, source, decoding.max_new_tokens)
    logits, position = prefix.logits[source], prefix.mask.sum(-1)[source]
    start = prefix.mask.shape[1]
    del prefix  # its keys and values were copied
    temperature = torch.tensor([row.temperature for row in rows], device=model.device)
    luck = _Luck(rows, model)
    tokens = torch.zeros(len(rows), decoding.max_new_tokens, dtype=torch.long)
    lengths = torch.full((len(rows),), decoding.max_new_tokens)
    probes = _Probes(len(rows), decoding.probe, model)
    end_ids = tuple(end for end in model.end_ids if end < model.vocabulary)
    ends = torch.tensor([_BROKEN, *end_ids])
    alive = torch.arange(len(rows))  # rows still in the batch, as numbers in `rows`
    for step in range(decoding.max_new_tokens):
        drawn = next_tokens(
            logits, luck.at(step, alive), temperature, top_p=decoding.top_p, top_k=decoding.top_k, min_p=decoding.min_p,
            banned=end_ids if step < decoding.min_new_tokens else (),
        )  # fmt: skip
        broken = logits.gather(-1, drawn[:, None])[:, 0].isnan()  # a NaN wins every argmax
        here = drawn.masked_fill(broken, _BROKEN).cpu()
        tokens[alive, step] = here
        ended = torch.isin(here, ends)
        lengths[alive[ended]] = lengths[alive[ended]].clamp(max=step)
        finished = lengths[alive] <= step
        if finished.all() or step + 1 == decoding.max_new_tokens:
            break
        if int(finished.sum()) * LEAVE_SHARE >= len(alive):
            stay = (~finished).nonzero()[:, 0]
            alive, stay = alive[stay], stay.to(model.device)
            keep_rows(cache, stay)
            table, mask = select_rows(table, stay), mask[stay]
            drawn, temperature, position = drawn[stay], temperature[stay], position[stay]
        with steered(model, table, probe=probes.watch(alive, lengths, step)):
            logits = model.forward(
                drawn[:, None], mask=mask[:, : start + step + 1], positions=position[:, None], cache=cache, keep=1
            )[:, -1]
        position = position + 1
    ids = [tuple(row[:length].tolist()) for row, length in zip(tokens, lengths.tolist(), strict=True)]
    return [
        Generation(
            prompt_id=row.prompt.id,
            seed=row.seed,
            layer=row.steering.layer if row.steering else None,
            strength=row.steering.strength if row.steering else 0.0,
            method=row.steering.method if row.steering else "none",
            temperature=row.temperature,
            text=model.decode(row_ids),
            token_ids=row_ids,
            probe=value,
        )
        for row, row_ids, value in zip(rows, ids, probes.means(), strict=True)
    ]


class _Luck:
    """The batch's Gumbel noise: drawn once per (prompt, seed) and step, on the CPU, for all rows that share it."""

    def __init__(self, rows: Sequence[Row], model: Model) -> None:
        self._model = model
        self._keys = list(dict.fromkeys((row.prompt.id, row.seed) for row in rows))
        number = {key: index for index, key in enumerate(self._keys)}
        self._source = torch.tensor([number[row.prompt.id, row.seed] for row in rows])
        self._greedy = all(row.temperature == 0 for row in rows)
        self._rows = torch.empty(0 if self._greedy else len(rows), model.vocabulary, device=model.device)

    def at(self, step: int, alive: Int[Tensor, " row"]) -> Float[Tensor, "row vocab"] | None:
        if self._greedy:
            return None
        used, place = self._source[alive].unique(return_inverse=True)
        keys = [self._keys[index] for index in used.tolist()]
        noise = np.stack([gumbel_noise(prompt, seed, step, self._model.vocabulary) for prompt, seed in keys])
        device = self._model.device
        # into the same memory at every step: fresh memory of this size costs more than the copy
        return torch.index_select(torch.from_numpy(noise).to(device), 0, place.to(device), out=self._rows[: len(place)])


class _Probes:
    """Sums of a projection over each row's own tokens, taken where the edit is in place.

    The last of `max_new_tokens` is not among them: it is drawn and never read.
    """

    def __init__(self, rows: int, probe: Probe | None, model: Model) -> None:
        self._probe, self._counts = probe, torch.zeros(rows)
        self._sums = torch.zeros(rows, device=model.device)  # stays there: a copy each step would stall a GPU

    def watch(self, alive: Tensor, lengths: Tensor, step: int) -> tuple[int, Callable[[Tensor], None]] | None:
        if self._probe is None:
            return None
        layer, direction = self._probe

        def see(residual: Tensor) -> None:
            projected = residual[:, -1].float() @ direction.to(residual.device).float()
            own = lengths[alive] > step  # rows that ended ride along until enough have
            device = self._sums.device
            self._sums[alive[own].to(device)] += projected.to(device)[own.to(device)]
            self._counts[alive[own]] += 1

        return layer, see

    def means(self) -> list[float]:
        return (self._sums.cpu() / self._counts).tolist()
