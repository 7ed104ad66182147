"""Steering: a table of edits `[row, d_model]` per layer, added to the residual stream inside a context manager.

Rows of one batch may be edited at different layers, with different strengths and directions, or not at all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from creativity_lens.errors import InputError
from creativity_lens.models import Model, ResidualHook

Table = Mapping[int, Tensor]  # layer -> edits [row, d_model], zero where a row is not edited at that layer


@dataclass(frozen=True, eq=False)
class Steering:
    """One edit: `vector` is added to the residual stream after block `layer`, at every position in scope."""

    layer: int
    vector: Float[Tensor, " d_model"]  # in residual units: the dose is already in it
    strength: float  # the dose as a fraction of the median residual norm at the layer, for the record
    method: str = "mean_difference"


def edit_table(rows: Sequence[Steering | None], model: Model) -> Table:
    """The table of a batch: one entry for each layer that any row is edited at.

    Raises `InputError` for a layer the model does not have, a vector of another width, or one that is not finite in the
    model's dtype (float16 ends at 65,504).
    """
    edited = [row for row in rows if row is not None]
    for edit in edited:
        if not 0 <= edit.layer < model.n_layers:
            raise InputError(f"layer {edit.layer}: expected 0 to {model.n_layers - 1} for {model.name}.")
        if edit.vector.shape != (model.d_model,):
            raise InputError(
                f"direction of width {tuple(edit.vector.shape)}: expected ({model.d_model},) for {model.name}."
            )
    table = {
        layer: torch.zeros(len(rows), model.d_model, dtype=model.dtype)
        for layer in sorted({row.layer for row in edited})
    }
    for index, row in enumerate(rows):
        if row is not None:
            table[row.layer][index] = row.vector.to(model.dtype)
    for layer, edits in table.items():
        if not edits.isfinite().all():
            raise InputError(
                f"layer {layer}: an edit is not finite in {str(model.dtype).removeprefix('torch.')}; expected numbers: "
                "lower the strength, or load the model with another dtype."
            )
    return {layer: edits.to(model.device) for layer, edits in table.items()}


def select_rows(table: Table, rows: Int[Tensor, " kept"]) -> Table:
    """The table of the rows that are still in the batch; layers that no row uses any more are dropped."""
    kept = {layer: edits[rows] for layer, edits in table.items()}
    return {layer: edits for layer, edits in kept.items() if edits.any()}


@contextmanager
def steered(model: Model, table: Table, *, probe: tuple[int, Callable[[Tensor], None]] | None = None) -> Iterator[None]:
    """Add the table's edits while the block runs; the model is as before afterwards, also after an exception.

    `probe = (layer, see)` is shown the residual stream `[row, pos, d_model]` of its layer *after* the edit.

    >>> with steered(model, edit_table([Steering(3, vector, 0.2), None], model)):   # doctest: +SKIP
    ...     logits = model.forward(ids)                                              # two rows, the first one steered
    """

    def hook(layer: int) -> ResidualHook:
        edits = table.get(layer)
        see = probe[1] if probe is not None and probe[0] == layer else None

        def edit(residual: Tensor) -> Tensor | None:
            changed = residual if edits is None else residual + edits.to(residual.device)[:, None, :]
            if see is not None:
                see(changed)
            return None if edits is None else changed

        return edit

    layers = set(table) | ({probe[0]} if probe is not None else set())
    with model.hooks({layer: hook(layer) for layer in sorted(layers)}):
        yield
