"""What vLLM can be asked for: which rows share an edit, what it cannot do and why, and its words for the rest.

TransformerLens's hooks inside vLLM compute `x * scale + bias` of a block's output, with one scale and one bias a layer
that hold for every row of a forward pass. So one batch has one edit, and an edit is a sum of added vectors. Taking a
direction out, or holding it at a value, multiplies by a matrix and cannot be said in those words.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from creativity_lens.drawing import Decoding, Row
from creativity_lens.errors import InputError
from creativity_lens.models import Model
from creativity_lens.steering import RowEdits, edit_table, edits_of

COLDEST = 0.01  # vLLM raises lower temperatures to this one, with a line in its log

Specs = dict[str, dict[str, Any]]  # TransformerLens's words: hook name -> {"op": "add", "value": [d_model]}


def by_edit(rows: Sequence[Row]) -> list[list[int]]:
    """Numbers of the rows, those with equal edits together, groups and rows in the order in which they come.

    Edits are equal where layer, mode, value held and vector are, to the bit; their names and doses do not count.

    >>> by_edit([Row(prompt, 0), Row(prompt, 0, edit), Row(prompt, 1)])  # doctest: +SKIP
    [[0, 2], [1]]
    """
    groups: dict[tuple[Any, ...], list[int]] = {}
    known: dict[int, tuple[Any, ...]] = {}  # rows share their edits' values: each is looked at once
    for number, row in enumerate(rows):
        if id(row.steering) not in known:
            known[id(row.steering)] = _key(row.steering)
        groups.setdefault(known[id(row.steering)], []).append(number)
    return list(groups.values())


def _key(steering: RowEdits) -> tuple[Any, ...]:
    return tuple(
        (edit.layer, edit.mode, edit.hold, edit.vector.detach().float().cpu().contiguous().numpy().tobytes())
        for edit in edits_of(steering)
    )


def check_writable(decoding: Decoding, rows: Sequence[Row], *, gpus: int = 1) -> None:
    """Refuse, before anything runs, what vLLM cannot do as this package means it.

    Refused are mixtures of two models, modes other than "add", temperatures between 0 and 0.01, min-p beside top-p, and
    scope "generated" over several GPUs. A probe is not refused: nothing of it is measured, its values are missing.
    """
    decoding.check()
    if decoding.partner is not None or any(row.gamma for row in rows):
        raise InputError("backend vllm: expected one model, got a mixture of two; leave --backend out.")
    if decoding.scope == "generated" and gpus > 1:
        raise InputError(
            f"backend vllm: expected scope 'all' over {gpus} GPUs, got 'generated'; over several GPUs vLLM does not "
            "say when a prompt has been read: use --scope all, or one GPU."
        )
    if decoding.min_p > 0 and decoding.top_p < 1:
        raise InputError(
            f"backend vllm: expected top-p or min-p, got both ({decoding.top_p:g} and {decoding.min_p:g}); vLLM cuts "
            "in another order than this package: leave one out."
        )
    for row in rows:
        if 0 < row.temperature < COLDEST:
            raise InputError(
                f"backend vllm: expected temperature 0 or at least {COLDEST:g}, got {row.temperature:g}; vLLM raises "
                "what lies between."
            )
    modes = {edit.mode for row in rows for edit in edits_of(row.steering)} - {"add"}
    if modes:
        raise InputError(
            f"backend vllm: expected mode 'add', got '{min(modes)}'; TransformerLens's edits inside vLLM scale and "
            "add, and cannot project a direction out: leave --backend out."
        )


def specs_of(steering: RowEdits, model: Model) -> Specs:
    """A row's edit in TransformerLens's words, in the model's own number type; {} for none.

    Raises `InputError` for a layer or a width that the model does not have, and for numbers that overflow its type.
    """
    table = edit_table([steering], model)
    return {hook_name(layer): {"op": "add", "value": edits.added[0].tolist()} for layer, edits in table.items()}


def hook_name(layer: int) -> str:
    """The residual stream after block `layer`, as bridges call it."""
    return f"blocks.{layer}.hook_out"


def drawing_of(row: Row, decoding: Decoding, end_ids: Sequence[int]) -> Mapping[str, Any]:
    """How a row is drawn, as the arguments of `vllm.SamplingParams`.

    Texts end at the model's end ids and at no other. The chosen tokens' log-probabilities are asked for because they
    alone tell when logits are not numbers any more.
    """
    return {
        "temperature": row.temperature,
        "top_p": decoding.top_p,
        "top_k": decoding.top_k,
        "min_p": decoding.min_p,
        "seed": seed_of(row.prompt.id, row.seed),
        "max_tokens": decoding.max_new_tokens,
        "min_tokens": min(decoding.min_new_tokens, decoding.max_new_tokens),
        "stop_token_ids": list(end_ids),
        "ignore_eos": True,
        "logprobs": 0,
        "detokenize": False,
    }


def seed_of(prompt_id: str, seed: int) -> int:
    """The seed of a row's own generator in vLLM: a function of its prompt and its luck, 0 to 2^63 - 1.

    >>> seed_of("rain", 0) == seed_of("rain", 0) != seed_of("rain", 1)
    True
    """
    digest = hashlib.blake2b(f"{seed}:{prompt_id}".encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
