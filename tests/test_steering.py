"""An edit adds exactly its dose at its layer and row, touches nothing else, and is gone afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from creativity_lens.errors import InputError
from creativity_lens.models import Model
from creativity_lens.steering import Steering, edit_table, select_rows, steered

TEXT = "The tide came in over the sand and took the small boats one by one."


def unit(model: Model, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(model.d_model, generator=generator), dim=0)


def some_ids(model: Model, rows: int = 1) -> Tensor:
    return torch.tensor([model.start_ids + model.encode_text(TEXT)] * rows)


@contextmanager
def watched(model: Model) -> Iterator[dict[int, Tensor]]:
    """What each block's successor is given, seen by plain PyTorch hooks, which know nothing of TransformerLens."""
    seen: dict[int, Tensor] = {}

    def keep(layer):
        def hook(module, args, kwargs):
            seen[layer] = (args[0] if args else kwargs["hidden_states"]).clone()

        return hook

    blocks = list(model.bridge.original_model.model.layers)
    after = [*blocks[1:], model.bridge.original_model.model.norm]
    handles = [module.register_forward_pre_hook(keep(layer), with_kwargs=True) for layer, module in enumerate(after)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def hook_count(model: Model) -> int:
    points = {id(point): point for point in model.bridge.hook_dict.values()}
    return sum(len(point._forward_hooks) + len(point.fwd_hooks) for point in points.values())


@torch.inference_mode()
def residuals(model: Model, ids: Tensor, rows: list[Steering | None]) -> dict[int, Tensor]:
    with watched(model) as seen, steered(model, edit_table(rows, model)):
        model.forward(ids)
    return dict(seen)


@torch.inference_mode()
def test_strength_zero_is_bit_equal_to_no_steering(chat):
    ids = some_ids(chat, rows=3)
    clean = chat.forward(ids)
    nothing = [Steering(layer, torch.zeros(chat.d_model), 0.0) for layer in (0, 4, 7)]
    with steered(chat, edit_table(nothing, chat)):
        assert torch.equal(chat.forward(ids), clean)
    with steered(chat, edit_table([None] * 3, chat)):
        assert torch.equal(chat.forward(ids), clean)
    something = [Steering(layer, 0.1 * unit(chat, 0), 0.0) for layer in (0, 4, 7)]
    with steered(chat, edit_table(something, chat)):
        assert not torch.equal(chat.forward(ids), clean)  # the comparison can tell


@pytest.mark.parametrize("layer", [0, 3, 7])
def test_the_projection_rises_by_exactly_the_dose_at_its_layer(chat, layer):
    vector, dose = unit(chat, layer), 2.5
    ids = some_ids(chat, rows=2)
    clean = residuals(chat, ids, [None, None])
    edited = residuals(chat, ids, [None, Steering(layer, dose * vector, 0.1)])
    rise = (edited[layer] - clean[layer]) @ vector
    assert torch.allclose(rise[1], torch.full_like(rise[1], dose), atol=1e-4)
    across = (edited[layer] - clean[layer])[1] - dose * vector
    assert across.abs().max() < 1e-4  # and nothing in any other direction
    for below in range(layer):
        assert torch.equal(edited[below], clean[below])
    for above in range(layer + 1, chat.n_layers):
        assert not torch.allclose(edited[above][1], clean[above][1], atol=1e-2)
    for every in range(chat.n_layers):  # the other row is not touched anywhere
        assert torch.equal(edited[every][0], clean[every][0])


def test_rows_of_different_layers_share_a_batch_without_touching_each_other(chat):
    rows = [
        Steering(1, 2.0 * unit(chat, 1), 0.1),
        None,
        Steering(5, -3.0 * unit(chat, 2), 0.2),
        Steering(1, unit(chat, 3), 0.1),
    ]
    together = residuals(chat, some_ids(chat, rows=4), rows)
    for number, row in enumerate(rows):
        alone = residuals(chat, some_ids(chat), [row])
        for layer in range(chat.n_layers):
            assert torch.allclose(together[layer][number], alone[layer][0], atol=1e-4)


def test_equals_hooks_written_by_hand(chat):
    ids, edit = some_ids(chat), Steering(2, 4.0 * unit(chat, 5), 0.3)

    def by_hand(module, args, output):
        return (output[0] + edit.vector, *output[1:]) if isinstance(output, tuple) else output + edit.vector

    with torch.inference_mode(), steered(chat, edit_table([edit], chat)):
        steered_logits = chat.forward(ids)
    handle = chat.bridge.original_model.model.layers[2].register_forward_hook(by_hand)
    with torch.inference_mode():
        by_hand_logits = chat.bridge.original_model(ids).logits
    handle.remove()
    assert torch.allclose(steered_logits, by_hand_logits, atol=1e-5)


@torch.inference_mode()
def test_the_model_is_clean_after_the_block_and_after_an_exception(chat):
    ids = some_ids(chat)
    clean, before = chat.forward(ids), hook_count(chat)
    table = edit_table([Steering(layer, unit(chat, layer), 0.1) for layer in (1, 6)], chat)
    two = ids.repeat(2, 1)
    with steered(chat, table, probe=(3, lambda residual: None)):
        assert hook_count(chat) > before
        chat.forward(two)
    assert hook_count(chat) == before
    with pytest.raises(ZeroDivisionError), steered(chat, table):
        raise ZeroDivisionError
    assert hook_count(chat) == before

    def burst(residual: Tensor) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), steered(chat, table, probe=(3, burst)):  # in the middle of a forward pass
        chat.forward(two)
    assert hook_count(chat) == before
    with pytest.raises(RuntimeError), steered(chat, table):
        chat.forward(ids.repeat(3, 1))  # three rows, a table of two
    assert hook_count(chat) == before
    assert torch.equal(chat.forward(ids), clean)


@torch.inference_mode()
def test_a_hook_of_the_users_own_outlives_the_block(chat):
    seen = []
    chat.bridge.add_hook("blocks.2.hook_out", lambda residual, hook: seen.append(1))
    try:
        with steered(chat, edit_table([Steering(2, unit(chat, 0), 0.1)], chat)):
            chat.forward(some_ids(chat))
        chat.forward(some_ids(chat))
    finally:
        chat.bridge.reset_hooks()
    assert len(seen) == 2


@torch.inference_mode()
def test_the_probe_sees_the_stream_after_the_edit(chat):
    vector, seen = unit(chat, 4), []
    rows = [None, Steering(3, 2.0 * vector, 0.1)]
    with steered(chat, edit_table(rows, chat), probe=(3, lambda residual: seen.append(residual @ vector))):
        chat.forward(some_ids(chat, rows=2))
    assert len(seen) == 1
    assert torch.allclose(seen[0][1] - seen[0][0], torch.tensor(2.0), atol=1e-4)


def test_the_table_has_one_entry_a_layer_and_zeros_where_a_row_is_not_edited(chat):
    rows = [Steering(1, unit(chat, 1), 0.1), None, Steering(5, unit(chat, 2), 0.1), Steering(1, unit(chat, 3), 0.1)]
    table = edit_table(rows, chat)
    assert sorted(table) == [1, 5]
    assert torch.equal(table[1].added, torch.stack([rows[0].vector, *torch.zeros(2, chat.d_model), rows[3].vector]))
    assert edit_table([None, None], chat) == {}
    kept = select_rows(table, torch.tensor([3, 1]))
    assert sorted(kept) == [1]  # no row is edited at layer 5 any more
    assert torch.equal(kept[1].added, torch.stack([rows[3].vector, torch.zeros(chat.d_model)]))


@pytest.mark.parametrize(
    ("layer", "vector", "said"),
    [
        (8, torch.zeros(192), "layer 8: expected 0 to 7"),
        (-1, torch.zeros(192), "layer -1: expected 0 to 7"),
        (0, torch.zeros(191), r"width \(191,\): expected \(192,\)"),
        (0, torch.full((192,), torch.nan), "layer 0: an edit is not finite"),
        (0, torch.full((192,), torch.inf), "layer 0: an edit is not finite"),
    ],
)
def test_edits_that_the_model_cannot_take_are_refused(chat, layer, vector, said):
    with pytest.raises(InputError, match=f"^[^\n]*{said}[^\n]*$"):
        edit_table([None, Steering(layer, vector, 0.1)], chat)


# ---- other modes, and several edits of a row ----


def stream(model, rows, layer):
    """The residual stream `[row, pos, d_model]` after the edits at a layer, for the same text in every row."""
    return residuals(model, some_ids(model, len(rows)), rows)[layer]


def test_an_ablated_direction_is_gone_and_nothing_else_is(chat):
    vector = unit(chat, 3)
    clean, ablated = stream(chat, [None, Steering(3, vector, 0.0, mode="ablate")], 3)
    assert (clean @ vector).abs().min() > 1e-3, "the control: there was something to take away"
    assert torch.allclose(ablated @ vector, torch.zeros(len(ablated)), atol=1e-4)
    rest = torch.eye(chat.d_model) - torch.outer(vector, vector)
    assert torch.allclose(ablated, clean @ rest, atol=1e-4)


@pytest.mark.parametrize("hold", [-2.5, 0.0, 7.0])
def test_a_clamped_projection_is_held_at_its_value_at_every_position(chat, hold):
    vector = unit(chat, 2)
    clean, clamped = stream(chat, [None, Steering(2, vector, 0.1, mode="clamp", hold=hold)], 2)
    assert torch.allclose(clamped @ vector, torch.full((len(clamped),), hold), atol=1e-4)
    rest = torch.eye(chat.d_model) - torch.outer(vector, vector)
    assert torch.allclose(clamped @ rest, clean @ rest, atol=1e-4)


def test_rows_of_all_modes_share_a_batch_and_an_unsteered_row_stays_as_it_is_to_the_bit(chat):
    vector = unit(chat, 1)
    modes = [
        None,
        Steering(4, 3.0 * vector, 0.1),
        Steering(4, vector, 0.0, mode="ablate"),
        Steering(4, vector, 0.1, mode="clamp", hold=5.0),
        (Steering(2, vector, 0.1), Steering(4, 2.0 * vector, 0.1)),
    ]
    together = stream(chat, modes, 4)
    nothing = stream(chat, [None] * len(modes), 4)
    assert torch.equal(together[0], nothing[0])
    for row, edit in enumerate(modes):
        assert torch.allclose(together[row], stream(chat, [edit], 4)[0], atol=1e-4)


def test_edits_of_one_row_at_one_layer_add_up(chat):
    one, other = unit(chat, 1), unit(chat, 2)
    both = stream(chat, [(Steering(3, one, 0.1), Steering(3, 2.0 * other, 0.1))], 3)
    assert torch.allclose(both, stream(chat, [Steering(3, one + 2.0 * other, 0.1)], 3), atol=1e-5)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (Steering(1, torch.ones(192), 0.1, mode="ablate"), "unit length to ablate, got 13.86"),
        (Steering(1, torch.zeros(192), 0.1, mode="clamp"), "unit length to clamp, got 0"),
        (Steering(1, torch.eye(192)[0], 0.1, mode="clamp", hold=float("nan")), "not finite"),
        (Steering(1, torch.eye(192)[0], 0.1, mode="ad"), "expected one of add, ablate, clamp; got 'ad'. Did you mean"),
        ([Steering(1, torch.eye(192)[i], 0.1, mode="ablate") for i in (0, 1)], "ablated or clamped twice"),
    ],
)
def test_modes_that_make_no_sense_are_refused(chat, row, said):
    with pytest.raises(InputError, match=f"^[^\n]*{said}[^\n]*$"):
        edit_table([row], chat)
