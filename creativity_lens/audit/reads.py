"""What models say of an audit's texts: entropies of those who wrote them and of others, surprisal, creativity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from creativity_lens.audit.conditions import LADDER, STEERED, Condition, Conditions
from creativity_lens.audit.plan import AuditPlan
from creativity_lens.audit.writing import Ids, Written
from creativity_lens.cells import repeated_share
from creativity_lens.prompts import Prompt
from creativity_lens.scoring import surprisals
from creativity_lens.token_entropy import TokenEntropies, token_entropies
from creativity_lens.token_readings import means_of, read_tokens, window_size
from creativity_lens.vocabulary import known_ids
from creativity_lens.yardstick import Yardstick

PerText = Float[np.ndarray, "prompt sample"]
PerToken = Float[np.ndarray, "prompt sample pos"]


@dataclass(frozen=True, eq=False)
class Reads:
    """Every reading, by condition's name; token by token in nats, texts `[prompt, sample]`."""

    own: dict[str, TokenEntropies]  # each cell's and the steered texts by the model as it wrote them, `[text, pos]`
    forced: dict[str, TokenEntropies]  # by each cell: the same texts, drawn from all cells in equal numbers
    forced_writers: tuple[str, ...]  # who wrote the forced texts: `[prompt, writer, sample]`, flattened
    by_first: dict[str, PerText]  # surprisal of every condition's texts under the first cell
    by_last: dict[str, PerText]  # and under the last one; empty where nothing is steered, which alone asks for it
    repetition: dict[str, PerText]  # share of repeated 4-grams
    creativity: dict[str, PerText]  # in gaps of whole responses, read alone by the last stage; empty without yardstick


def read_all(
    conditions: Conditions,
    written: Mapping[str, Written],
    prompts: Sequence[Prompt],
    plan: AuditPlan,
    yardstick: Yardstick | None,
) -> Reads:
    """Read every text as often as is needed, and no oftener."""
    first, last = conditions.first, conditions.last
    own: dict[str, TokenEntropies] = {}
    forced: dict[str, TokenEntropies] = {}
    by_first: dict[str, PerText] = {}
    by_last: dict[str, PerText] = {}
    readers = [(first, by_first)] + [(last, by_last)] * bool(conditions.of_kind(STEERED))
    shared = [
        ids
        for p in range(len(prompts))
        for cell in conditions.cells
        for ids in written[cell.name].ids[p][: plan.forced_samples]
    ]
    each = len(shared) // len(prompts)
    for cell in conditions.cells:
        forced[cell.name] = _read(cell, prompts, [each] * len(prompts), shared, "forced")
    for condition in conditions.every:
        name, texts = condition.name, written[condition.name]
        if condition.kind != LADDER:  # what a text was drawn from at another temperature is not asked
            own[name] = _read(condition, prompts, _counts(texts), texts.flat, "own")
        asked = [prompt.text for prompt, count in zip(prompts, _counts(texts), strict=True) for _ in range(count)]
        for reader, found in readers:
            known = [known_ids(reader.model, ids) for ids in texts.flat]
            read = surprisals(reader.model, asked, known, description=f"{name}, read by {reader.stage}")
            found[name] = read.numpy().astype(float).reshape(len(prompts), -1)
    return Reads(
        own=own,
        forced=forced,
        forced_writers=tuple(cell.name for cell in conditions.cells),
        by_first=by_first,
        by_last=by_last,
        repetition={
            name: np.array([[repeated_share(ids) for ids in of_prompt] for of_prompt in texts.ids])
            for name, texts in written.items()
        },
        creativity={} if yardstick is None else _creativity(last, written, yardstick, len(prompts)),
    )


def _counts(written: Written) -> list[int]:
    return [len(of_prompt) for of_prompt in written.ids]


def _read(
    reader: Condition, prompts: Sequence[Prompt], counts: Sequence[int], texts: Sequence[Ids], what: str
) -> TokenEntropies:
    starts = [
        start for prompt, count in zip(prompts, counts, strict=True) for start in [reader.encode(prompt.text)] * count
    ]
    known = [known_ids(reader.model, ids) for ids in texts]
    return token_entropies(reader.model, starts, known, push=reader.push, description=f"entropy: {reader.name}, {what}")


def _creativity(
    last: Condition, written: Mapping[str, Written], yardstick: Yardstick, prompts: int
) -> dict[str, PerText]:
    """Each text's mean projection, read alone; one unit for all, since all texts are equally long."""
    flat = [known_ids(last.model, ids) for texts in written.values() for ids in texts.flat]
    lengths = np.array([len(ids) for ids in flat], dtype=int)
    size = window_size(last.model, None)
    means = means_of(read_tokens(last.model, [yardstick.probe], flat, size, description="creativity")[0], lengths)[0]
    scores, found, start = means / yardstick.whole.value, {}, 0
    for name, texts in written.items():
        end = start + len(texts.flat)
        found[name], start = scores[start:end].reshape(prompts, -1), end
    return found
