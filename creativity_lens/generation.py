"""Generation: every prompt is run once, and rows of any layer, strength, method and temperature share a batch.

The order of rows in the batches is fixed before the run (by prompt), finished rows leave their batch, and the luck of a
row is a function of its prompt and seed, so a text does not depend on which rows it was generated with.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from creativity_lens.errors import InputError, check_choice
from creativity_lens.memory import free_memory
from creativity_lens.models import Model
from creativity_lens.prefix import bytes_per_row, continue_rows, keep_rows, prefill
from creativity_lens.progress import track
from creativity_lens.prompts import Prompt
from creativity_lens.sampling import Luck, check_truncation, next_tokens
from creativity_lens.scores import Generation
from creativity_lens.steering import RowEdits, edit_table, edits_of, select_rows, steered

LEAVE_SHARE = 8  # finished rows leave once they are an eighth of the batch: leaving costs a copy of the cache
CPU_CACHE_BYTES = 3 << 28  # beyond this, larger batches gain nothing on a CPU
_BROKEN = -1  # in place of a token id: the row's logits were not numbers


@dataclass(frozen=True, eq=False)
class Row:
    """One text to generate: which prompt, with which luck, edited how."""

    prompt: Prompt
    seed: int
    steering: RowEdits = None
    temperature: float = 1.0
    ids: tuple[int, ...] | None = None  # what the model is given, where that is not the prompt alone (a conversation)


# a layer and a direction [d_model]: record each text's mean projection over the tokens it read back, edit in place
Probe = tuple[int, Tensor]
OnStep = Callable[[list[int], list[int]], None]  # rows that go on, as numbers in the list, and the token each drew


def generate(
    model: Model,
    prompts: Sequence[str | Prompt],
    *,
    steering: Sequence[RowEdits] = (None,),
    samples: int = 1,
    max_new_tokens: int = 48,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    min_p: float = 0.0,
    seed: int = 0,
    batch_rows: int | str = "auto",
    scope: str = "generated",
    on_step: OnStep | None = None,
) -> list[Generation]:
    """Texts for every prompt x steering x sample, in that order.

    Sample i draws luck number `seed + i`, the same in every steering row. `scope` is "generated" (edits act from the
    first generated token on, so the prompt's cache is shared) or "all" (also on the prompt). Temperature 0 is greedy. A
    text ends before its end token or after `max_new_tokens`. `on_step` is told every token as it is drawn.

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
        scope=scope, on_step=on_step,
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
    on_step: OnStep | None = None,
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
    encoded = _encode(model, rows)
    for row, ids in zip(rows, encoded, strict=True):
        if len(ids) + max_new_tokens > model.context:
            raise InputError(
                f"prompt of {len(ids)} tokens + {max_new_tokens} new ones: expected at most the context of "
                f"{model.context} of {model.name}; shorten '{' '.join(row.prompt.text.split())[:60]}' or "
                "--max-new-tokens."
            )
    decoding = _Decoding(max_new_tokens, min_new_tokens, top_p, top_k, min_p, scope, probe)
    # by prompt, so that a batch prefills few prompts; by prompt length, so that it pads little
    order = sorted(range(len(rows)), key=lambda i: (len(encoded[i]), rows[i].prompt.text, i))
    longest = max(map(len, encoded)) + max_new_tokens
    if batch_rows == "auto":  # as few batches as memory allows, all of a size: a small one takes nearly as long
        size = math.ceil(len(rows) / math.ceil(len(rows) / batch_size(model, longest)))
    else:
        size = int(batch_rows)
    results: list[Generation | None] = [None] * len(rows)
    bar = track(description, len(rows) * max_new_tokens, unit="tokens", quiet=on_step is not None)
    with bar as advance, torch.inference_mode():
        start = 0
        while start < len(order):
            batch = order[start : start + size]
            try:
                tell = None if on_step is None else _tell(on_step, batch)
                made = _generate_batch(model, [rows[i] for i in batch], [encoded[i] for i in batch], decoding, tell)
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


def _encode(model: Model, rows: Sequence[Row]) -> list[tuple[int, ...]]:
    """What the model is given for each row; every distinct prompt is put into its template once."""
    texts = dict.fromkeys(row.prompt.text for row in rows if row.ids is None)
    ids = {text: model.encode_prompt(text).ids for text in texts}
    return [ids[row.prompt.text] if row.ids is None else row.ids for row in rows]


def _tell(on_step: OnStep, batch: Sequence[int]) -> OnStep:
    """Rows numbered as the caller numbers them, not as the batch does."""
    return lambda rows, ids: on_step([batch[row] for row in rows], ids)


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
    model: Model,
    rows: Sequence[Row],
    encoded: list[tuple[int, ...]],
    decoding: _Decoding,
    on_step: OnStep | None,
) -> list[Generation]:
    table = edit_table([row.steering for row in rows], model)
    # which prefilled prompt each row continues; scope "all" changes the prompt's cache too, so each row has its own
    if decoding.scope == "all":
        with steered(model, table):
            prefix = prefill(model, encoded)
        source = torch.arange(len(rows))
    else:
        distinct = {ids: place for place, ids in enumerate(dict.fromkeys(encoded))}
        prefix = prefill(model, list(distinct))
        source = torch.tensor([distinct[ids] for ids in encoded])
    source = source.to(model.device)
    cache, mask = continue_rows(prefix, source, decoding.max_new_tokens)
    logits, position = prefix.logits[source], prefix.mask.sum(-1)[source]
    start = prefix.mask.shape[1]
    del prefix  # its keys and values were copied
    temperature = torch.tensor([row.temperature for row in rows], device=model.device)
    greedy = all(row.temperature == 0 for row in rows)
    luck = None if greedy else Luck([(row.prompt.id, row.seed) for row in rows], model.vocabulary, model.device)
    tokens = torch.zeros(len(rows), decoding.max_new_tokens, dtype=torch.long)
    lengths = torch.full((len(rows),), decoding.max_new_tokens)
    probes = _Probes(len(rows), decoding.probe, model)
    end_ids = tuple(end for end in model.end_ids if end < model.vocabulary)
    ends = torch.tensor([_BROKEN, *end_ids])
    alive = torch.arange(len(rows))  # rows still in the batch, as numbers in `rows`
    for step in range(decoding.max_new_tokens):
        noise = luck.at(step, alive) if luck else None
        drawn = next_tokens(
            logits, noise, temperature, top_p=decoding.top_p, top_k=decoding.top_k, min_p=decoding.min_p,
            banned=end_ids if step < decoding.min_new_tokens else (),
        )  # fmt: skip
        broken = logits.gather(-1, drawn[:, None])[:, 0].isnan()  # a NaN wins every argmax
        here = drawn.masked_fill(broken, _BROKEN).cpu()
        tokens[alive, step] = here
        ended = torch.isin(here, ends)
        lengths[alive[ended]] = lengths[alive[ended]].clamp(max=step)
        finished = lengths[alive] <= step
        if on_step is not None:
            on_step(alive[~finished].tolist(), here[~finished].tolist())
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
    made = zip(rows, ids, probes.means(), strict=True)
    return [_generation(model, row, row_ids, value) for row, row_ids, value in made]


def _generation(model: Model, row: Row, ids: tuple[int, ...], probe: float) -> Generation:
    edits = edits_of(row.steering)
    mode = edits[0].mode if edits else "none"
    doses = [edit.strength for edit in edits]
    return Generation(
        prompt_id=row.prompt.id,
        seed=row.seed,
        layers=tuple(edit.layer for edit in edits),
        strength=sum(doses) if mode == "add" else max(doses, default=0.0, key=abs),
        method=edits[0].method if edits else "none",
        mode=mode,
        temperature=row.temperature,
        text=model.decode(ids),
        token_ids=ids,
        probe=probe,
    )


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
