"""Generation: every prompt is run once, and rows of any layer, strength, method and temperature share a batch.

The order of rows in the batches is fixed before the run (by prompt), finished rows leave their batch, and the luck of a
row is a function of its prompt and seed, so a text does not depend on which rows it was generated with. With a partner,
a base model beside the aligned one, each row says by its gamma how much of it is mixed in; a model reads only the rows
that need it.
"""

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch

from creativity_lens.backends.edits import by_edit, check_writable
from creativity_lens.drawing import Decoding, Ids, Probe, Row, check_rows, encode_rows
from creativity_lens.engines import Local
from creativity_lens.errors import InputError
from creativity_lens.memory import free_memory
from creativity_lens.models import Model
from creativity_lens.prefix import bytes_per_row, prefill
from creativity_lens.prompts import Prompt
from creativity_lens.sampling import Luck, Mixing, Weight
from creativity_lens.scores import Generation
from creativity_lens.steering import RowEdits, edit_table, edits_of
from creativity_lens.streams import Draws, Probes, Stream
from creativity_lens.work import Arrays, Work, carry_out

__all__ = ["OnStep", "Probe", "Row", "batch_size", "generate", "generate_rows"]

LEAVE_SHARE = 8  # finished rows leave once they are an eighth of the batch: leaving costs a copy of the cache
PART_ROWS = 128  # a part is no smaller: below, a batch takes nearly as long with fewer rows
CPU_ROWS, CPU_CACHE_BYTES = 512, 3 << 28  # beyond either, larger batches gain nothing on a CPU

Both = tuple[Ids | None, Ids | None]  # what a row's model and its partner are given
OnStep = Callable[[list[int], list[int]], None]  # rows that go on, as numbers in the list, and the token each drew


def generate(
    model: Model,
    prompts: Sequence[str | Prompt],
    *,
    steering: Sequence[RowEdits] = (None,),
    partner: Model | None = None,
    gamma: Sequence[Weight] | Weight = 0.0,
    mixing: Mixing | None = None,
    samples: int = 1,
    max_new_tokens: int = 48,
    temperature: float = 1.0,
    partner_temperature: float | None = None,
    top_p: float = 1.0,
    top_k: int = 0,
    min_p: float = 0.0,
    seed: int = 0,
    batch_rows: int | str = "auto",
    scope: str = "generated",
    on_step: OnStep | None = None,
) -> list[Generation]:
    """Texts for every prompt x steering x gamma x sample, in that order.

    Sample i draws luck number `seed + i`, the same in every steering row. `scope` is "generated" (edits act from the
    first generated token on, so the prompt's cache is shared) or "all" (also on the prompt). Temperature 0 is greedy. A
    text ends before its end token or after `max_new_tokens`. `on_step` is told every token as it is drawn.

    `partner` is the base model of which the share `gamma` is mixed in (see `sampling.mixed`), each at its temperature,
    each given the prompt in its own form. Edits act on the model, never on the partner. At gamma 0 the partner is not
    run; at gamma 1 the model is not, unless its truncation is needed. A greedy mixture takes its likeliest token, both
    models at temperature 1.

    >>> generate(model, ["Write about rain."], steering=[None, Steering(4, 8.0 * v, 0.2)], samples=2)  # doctest: +SKIP
    """
    if isinstance(prompts, str):
        raise InputError("prompts: expected a list of prompts, got one string; write [prompt].")
    wanted = [Prompt(prompt, None, prompt) if isinstance(prompt, str) else prompt for prompt in prompts]
    if samples < 1:
        raise InputError(f"samples: expected 1 or more, got {samples}.")
    weights = [gamma] if isinstance(gamma, int | float) else list(gamma)
    rows = [
        Row(prompt, seed + sample, edit, temperature, gamma=weight, partner_temperature=partner_temperature)
        for prompt, edit, weight, sample in product(wanted, steering, weights, range(samples))
    ]
    return generate_rows(
        model, rows, partner=partner, mixing=mixing, max_new_tokens=max_new_tokens, top_p=top_p, top_k=top_k,
        min_p=min_p, batch_rows=batch_rows, scope=scope, on_step=on_step,
    )  # fmt: skip


def generate_rows(
    model: Model,
    rows: Sequence[Row],
    *,
    partner: Model | None = None,
    mixing: Mixing | None = None,
    max_new_tokens: int = 48,
    min_new_tokens: int = 0,
    top_p: float = 1.0,
    top_k: int = 0,
    min_p: float = 0.0,
    batch_rows: int | str = "auto",
    parts: int = 1,
    scope: str = "generated",
    probe: Probe | None = None,
    on_halved: Callable[[int], None] | None = None,
    on_step: OnStep | None = None,
    description: str = "generating",
) -> list[Generation]:
    """One text per row, in the order of `rows`.

    Ends are not drawn before `min_new_tokens`. With `batch_rows` "auto" there are at least `parts` batches, as long as
    each has 128 rows: so many workers can share them, and so little is lost with one. A batch that does not fit into
    memory is halved, and `on_halved(rows)` is told the new size. A text whose logits are not numbers any more (an edit
    can overflow float16) ends there. A mixture ends at an end token of either model. Raises `InputError` for a prompt
    that leaves no room in the context of a model that reads it, and for a partner with another vocabulary.
    """
    decoding = Decoding(
        max_new_tokens, min_new_tokens, top_p, top_k, min_p, scope, probe, partner, mixing or Mixing()
    )  # fmt: skip
    decoding.check()
    if batch_rows != "auto" and (not str(batch_rows).isdecimal() or int(batch_rows) < 1):
        raise InputError(f"batch_rows: expected 'auto' or a whole number of at least 1, got '{batch_rows}'.")
    check_rows(model, rows, decoding)
    if not rows:
        return []
    encoded = encode_rows(model, rows, decoding)
    lengths = [max(len(ids) for ids in both if ids is not None) for both in encoded]
    # by prompt, so that a batch prefills few prompts; by prompt length, so that it pads little
    order = sorted(range(len(rows)), key=lambda i: (lengths[i], rows[i].prompt.text, i))
    longest = max(lengths) + max_new_tokens
    beside = partner if any(other is not None for _, other in encoded) else None
    if batch_rows == "auto":  # as few batches as memory allows, all of a size: a small one takes nearly as long
        fewest = max(math.ceil(len(rows) / batch_size(model, longest, beside)), min(parts, len(rows) // PART_ROWS))
        size = math.ceil(len(rows) / fewest)
    else:
        size = int(batch_rows)
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    if model.writer is not None:  # it plans its own batches, each of one edit
        check_writable(decoding, rows, gpus=model.writer.gpus)
        if on_step is not None:
            raise InputError("on_step: expected none with a backend that draws whole texts; leave one of the two away.")
        batches = [[order[place] for place in group] for group in by_edit([rows[number] for number in order])]
    numbered = on_step is not None  # a key is made of the rows alone
    works = [
        Work(
            _write,
            (decoding, on_step),
            tuple(_Asked(rows[i], encoded[i], i if numbered else 0) for i in batch),
            len(batch) * max_new_tokens,
        )
        for batch in batches
    ]
    # a second model, and a listener, are of this process
    engine = None if partner is None and on_step is None else Local(on_halved=on_halved)
    made = carry_out(model, works, description=description, quiet=on_step is not None, engine=engine)
    if on_halved is not None and engine is None:
        for size_left in (each for result in made for each in result.halved):
            on_halved(size_left)
    found: list[Generation | None] = [None] * len(rows)
    for batch, result in zip(batches, made, strict=True):
        for place, number in enumerate(batch):
            writer = partner if partner is not None and result.arrays["is_partners"][place] else model
            ids = tuple(result.arrays["tokens"][place, : result.arrays["length"][place]].tolist())
            found[number] = _generation(writer, rows[number], ids, float(result.arrays["probe"][place]))
    return [text for text in found if text is not None]


class _Asked(NamedTuple):
    """A row of a batch, what each model is given for it, and its number in the caller's list, where one listens."""

    row: Row
    ids: Both
    number: int


def cache_room(device: torch.device) -> int:
    """Bytes that the caches of a batch may take, from the memory that is free now."""
    free = free_memory(str(device)) or CPU_CACHE_BYTES
    return free // 2 if device.type == "cuda" else min(CPU_CACHE_BYTES, free // 4)


def batch_size(model: Model, length: int, partner: Model | None = None) -> int:
    """Rows of `length` positions that a batch is given, read by one model or two, from the memory that is free now."""
    room = model.engine.room(model)
    bytes_ = bytes_per_row(model, length) + (bytes_per_row(partner, length) if partner is not None else 0)
    fit = (cache_room(model.device) if room is None else room) // bytes_
    return max(1, min(fit, CPU_ROWS) if model.device.type == "cpu" else fit)


def _write(model: Model, settings: tuple[Decoding, OnStep | None], asked: Sequence[_Asked]) -> Arrays:
    """Verb: `tokens [row, step]`, `length`, `probe` and `is_partners` `[row]` of the texts that are drawn."""
    decoding, on_step = settings
    rows = [each.row for each in asked]
    if model.writer is not None:
        return _as_arrays(model.writer.write(model, decoding, rows, [each.ids[0] for each in asked]), decoding)
    with torch.inference_mode():
        draws = Draws(rows, model, decoding)
        streams = [_stream(model, rows, [each.ids[0] for each in asked], decoding)]
        if decoding.partner is not None:
            streams.append(_stream(decoding.partner, rows, [each.ids[1] for each in asked], decoding, is_partner=True))
        running = [stream for stream in streams if stream is not None]
        luck = (
            None
            if draws.is_greedy
            else Luck([(row.prompt.id, row.seed) for row in rows], draws.vocabulary, model.device)
        )
        tokens = torch.zeros(len(rows), decoding.max_new_tokens, dtype=torch.int32)
        lengths = torch.full((len(rows),), decoding.max_new_tokens)
        probes = Probes(len(rows), decoding.probe, model)
        alive = torch.arange(len(rows))  # rows still in the batch, as numbers in `rows`
        for step in range(decoding.max_new_tokens):
            drawn, ended = draws.draw(alive, running, luck.at(step, alive) if luck else None, step)
            here = drawn.cpu()
            tokens[alive, step] = here.int()
            lengths[alive[ended]] = lengths[alive[ended]].clamp(max=step)
            finished = lengths[alive] <= step
            if on_step is not None:
                numbers = [asked[row].number for row in alive[~finished].tolist()]
                on_step(numbers, here[~finished].tolist())
            if finished.all() or step + 1 == decoding.max_new_tokens:
                break
            if int(finished.sum()) * LEAVE_SHARE >= len(alive):
                stay = ~finished
                for stream in running:
                    stream.keep(stay[torch.searchsorted(alive, stream.rows)].nonzero()[:, 0])
                alive, drawn = alive[stay], drawn[stay.to(drawn.device)]
                running = [stream for stream in running if len(stream.rows)]
            for stream in running:
                places = torch.searchsorted(alive, stream.rows).to(drawn.device)
                stream.feed(drawn[places], None if stream.is_partner else probes.watch(stream.rows, lengths, step))
    return {
        "tokens": tokens.numpy(),
        "length": lengths.numpy(),
        "probe": np.array(probes.means(), dtype=np.float64),
        "is_partners": np.array([decoding.partner is not None and draws.is_partners(i) for i in range(len(rows))]),
    }


def _as_arrays(texts: Sequence[Ids], decoding: Decoding) -> Arrays:
    """The texts of a writer, of which no probe is read."""
    tokens = np.zeros((len(texts), decoding.max_new_tokens), dtype=np.int32)
    for row, ids in enumerate(texts):
        tokens[row, : len(ids)] = ids
    return {
        "tokens": tokens,
        "length": np.array([len(ids) for ids in texts]),
        "probe": np.full(len(texts), np.nan),
        "is_partners": np.zeros(len(texts), dtype=bool),
    }


def _stream(
    model: Model, rows: Sequence[Row], encoded: Sequence[Ids | None], decoding: Decoding, *, is_partner: bool = False
) -> Stream | None:
    """The rows that a model reads, after their prompts; None where it reads none."""
    numbers = [number for number, ids in enumerate(encoded) if ids is not None]
    if not numbers:
        return None
    prompts = [ids for ids in encoded if ids is not None]
    table = edit_table([None if is_partner else rows[number].steering for number in numbers], model)
    steps, source = decoding.max_new_tokens, None
    if decoding.scope == "all" and not is_partner:  # edits change the prompt's cache too, so each row has its own
        prefix = prefill(model, prompts, table=table, steps=steps)
    else:
        distinct = {ids: place for place, ids in enumerate(dict.fromkeys(prompts))}
        prefix = prefill(model, list(distinct))
        source = torch.tensor([distinct[ids] for ids in prompts], device=model.device)
    return Stream(model, torch.tensor(numbers), prefix, source, steps, table, is_partner=is_partner)


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
