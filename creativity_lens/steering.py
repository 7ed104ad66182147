"""Steering: tables of edits `[row, d_model]` per layer, made to the residual stream inside a context manager.

Rows of one batch may be edited at different layers, in different modes, with different strengths and directions, or not
at all: adding zeros leaves a row's numbers as they are, to the bit.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

import torch
from jaxtyping import Float, Int
from torch import Tensor

from creativity_lens.errors import InputError, check_choice
from creativity_lens.models import Model, ResidualHook

MODES = ("add", "ablate", "clamp")


@dataclass(frozen=True, eq=False)
class Steering:
    """One edit of the residual stream x after block `layer`, at every position in scope.

    "add": x + vector, the dose already in the vector. "ablate": x - (x . v) v, the direction v projected out. "clamp":
    x + (hold - x . v) v, the projection held at a value. In the last two `vector` is of unit length.
    """

    layer: int
    vector: Float[Tensor, " d_model"]  # residual units
    strength: float  # the dose as a fraction of the median residual norm at the layer, for the record
    method: str = "mean_difference"
    mode: str = "add"
    hold: float = 0.0  # of "clamp", in residual units


RowEdits = Steering | Sequence[Steering] | None  # what one row gets: at most one edit that is not "add" a layer


def edits_of(row: RowEdits) -> tuple[Steering, ...]:
    """A row's edits as a tuple, empty where it is not steered."""
    return () if row is None else (row,) if isinstance(row, Steering) else tuple(row)


@dataclass(frozen=True, eq=False)
class LayerEdits:
    """The edits of a batch at one layer. A row that is not held has zeros for its direction."""

    added: Float[Tensor, "row d_model"]
    directions: Float[Tensor, "row d_model"] | None = None  # unit vectors, float32; None where no row is held
    values: Float[Tensor, " row"] | None = None  # what the projections are held at, float32

    def apply(self, residual: Float[Tensor, "row pos d_model"]) -> Float[Tensor, "row pos d_model"]:
        """The edited residual stream."""
        changed = residual + self.added.to(residual.device)[:, None, :]
        if self.directions is None or self.values is None:
            return changed
        directions, values = self.directions.to(residual.device), self.values.to(residual.device)
        missing = values[:, None] - torch.einsum("rpd,rd->rp", residual.float(), directions)
        return changed + (missing[:, :, None] * directions[:, None, :]).to(residual.dtype)

    def rows(self, kept: Int[Tensor, " kept"]) -> "LayerEdits":
        """The edits of some rows."""
        if self.directions is None or self.values is None:
            return LayerEdits(self.added[kept])
        return LayerEdits(self.added[kept], self.directions[kept], self.values[kept])

    def any(self) -> bool:
        """Whether any row is edited."""
        return bool(self.added.any()) or (self.directions is not None and bool(self.directions.any()))


Table = Mapping[int, LayerEdits]
NO_EDITS: Table = MappingProxyType({})


def edit_table(rows: Sequence[RowEdits], model: Model) -> Table:
    """The table of a batch: one entry for each layer that any row is edited at.

    Raises `InputError` for a layer the model does not have, a vector of another width, one that is not finite in the
    model's dtype (float16 ends at 65,504), and a row held twice at one layer.
    """
    listed = [(index, edit) for index, row in enumerate(rows) for edit in edits_of(row)]
    for _, edit in listed:
        _check(edit, model)
    return {
        layer: _layer_edits([(index, edit) for index, edit in listed if edit.layer == layer], len(rows), layer, model)
        for layer in sorted({edit.layer for _, edit in listed})
    }


def _check(edit: Steering, model: Model) -> None:
    check_choice("mode", edit.mode, MODES)
    if not 0 <= edit.layer < model.n_layers:
        raise InputError(f"layer {edit.layer}: expected 0 to {model.n_layers - 1} for {model.name}.")
    if edit.vector.shape != (model.d_model,):
        raise InputError(
            f"direction of width {tuple(edit.vector.shape)}: expected ({model.d_model},) for {model.name}."
        )
    if edit.mode != "add" and abs(float(edit.vector.norm()) - 1) > 1e-3:
        raise InputError(
            f"layer {edit.layer}: expected a vector of unit length to {edit.mode}, got {edit.vector.norm():.4g}."
        )


def _layer_edits(edits: Sequence[tuple[int, Steering]], rows: int, layer: int, model: Model) -> LayerEdits:
    added = torch.zeros(rows, model.d_model)
    directions, values = torch.zeros(rows, model.d_model), torch.zeros(rows)
    held = [index for index, edit in edits if edit.mode != "add"]
    if len(set(held)) < len(held):
        raise InputError(f"layer {layer}: a row is ablated or clamped twice; expected one such edit a layer.")
    for index, edit in edits:
        if edit.mode == "add":
            added[index] += edit.vector.float()
        else:
            directions[index] = edit.vector.float() / edit.vector.float().norm()
            values[index] = edit.hold if edit.mode == "clamp" else 0.0
    added = added.to(model.dtype)
    if not (added.isfinite().all() and values.isfinite().all()):
        raise InputError(
            f"layer {layer}: an edit is not finite in {str(model.dtype).removeprefix('torch.')}; expected numbers: "
            "lower the strength, or load the model with another dtype."
        )
    if not held:
        return LayerEdits(added.to(model.device))
    return LayerEdits(*(part.to(model.device) for part in (added, directions, values)))


def select_rows(table: Table, rows: Int[Tensor, " kept"]) -> Table:
    """The table of the rows that are still in the batch; layers that no row uses any more are dropped."""
    kept = {layer: edits.rows(rows) for layer, edits in table.items()}
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
            changed = residual if edits is None else edits.apply(residual)
            if see is not None:
                see(changed)
            return None if edits is None else changed

        return edit

    layers = set(table) | ({probe[0]} if probe is not None else set())
    with model.hooks({layer: hook(layer) for layer in sorted(layers)}):
        yield
