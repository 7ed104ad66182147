"""Batches hold every passage once and within the budget; what is seen is what the model computes, layer by layer."""

import random
from collections.abc import Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import torch
from fake_pairs import refusal

from creativity_lens import reading, work
from creativity_lens.models import Model
from creativity_lens.reading import Passage, alone, batch_rows, batches, means_at, own_means, padded, read, show


def passages_of_lengths(lengths: list[int]) -> list[Passage]:
    generator = random.Random(0)
    return [
        Passage(
            tuple(generator.randrange(2, 4000) for _ in range(length)), (False, *[True] * (length - 2), False)[:length]
        )
        for length in lengths
    ]


LENGTHS = [5, 40, 3, 17, 17, 90, 1, 33, 8, 60, 2, 25]


@pytest.mark.parametrize("budget", [1, 50, 200, 10_000, None])
def test_batches_hold_every_passage_once_within_the_budget(chat: Model, budget):
    passages = passages_of_lengths(LENGTHS)
    found = list(batches(chat, passages, batch_tokens=budget))
    assert sorted(row for rows, _ in found for row in rows) == list(range(len(passages)))
    widths = [batch.ids.shape[1] for _, batch in found]
    assert widths == sorted(widths)
    for rows, batch in found:
        assert batch.ids.numel() <= (budget or reading.CPU_BATCH_TOKENS) or len(rows) == 1
        assert batch.ids.shape[1] == max(len(passages[row].ids) for row in rows), "no wider than its longest"
        for row, ids, own in zip(rows, batch.ids.tolist(), batch.own.tolist(), strict=True):
            padding = len(ids) - len(passages[row].ids)
            assert ids == [*passages[row].ids, *[chat.pad_id] * padding]
            assert own == [*passages[row].own, *[False] * padding]
    if budget == 10_000:
        assert len(found) == 1


def test_batches_are_as_full_as_the_budget_allows(chat: Model):
    found = batch_rows(chat, passages_of_lengths([10] * 25), batch_tokens=100)
    assert [len(rows) for rows in found] == [10, 10, 5]


@pytest.mark.parametrize("budget", [0, -5])
def test_a_budget_of_nothing_is_refused(chat: Model, budget):
    message = refusal(lambda: list(batches(chat, passages_of_lengths([3]), batch_tokens=budget)))
    assert message == f"batch_tokens: expected a number of tokens above 0, got {budget}."


def lengths_of(model: Model, settings: int, passages: Sequence[Passage]) -> dict[str, np.ndarray]:
    """A verb that measures no more than its batch."""
    width = padded(model, passages).ids.shape[1]
    return {
        "length": np.array([settings * len(passage.ids) for passage in passages]),
        "places": np.tile(np.arange(width, dtype=float), (len(passages), 1)),
    }


def test_what_is_read_comes_back_in_the_order_of_the_passages(chat: Model):
    found = read(chat, passages_of_lengths(LENGTHS), lengths_of, 3, batch_tokens=200)
    assert found["length"].tolist() == [3 * length for length in LENGTHS]
    assert found["places"].shape == (len(LENGTHS), max(LENGTHS)), "narrower batches are filled up"
    assert np.isnan(found["places"][LENGTHS.index(1), 40:]).all()


def test_every_wanted_layer_is_shown_and_no_block_after_the_last(chat: Model):
    seen: list[int] = []
    batch = padded(chat, passages_of_lengths(LENGTHS))

    def see(layer, residual):
        assert residual.shape == (*batch.ids.shape, chat.d_model)
        assert not residual.is_inference(), "kept, it could still take part in a gradient"
        seen.append(layer)

    with chat.hooks({7: partial(see, "a later block")}):
        show(chat, batch, {layer: partial(see, layer) for layer in (1, 2, 6)})
    assert seen == [1, 2, 6]


def test_means_at_a_layer_are_those_of_its_residual_stream(chat: Model):
    passages, kept = passages_of_lengths(LENGTHS), []
    batch = padded(chat, passages)
    show(chat, batch, {4: kept.append})
    expected = [row[list(own)].double().mean(0) for row, own in zip(kept[0], batch.own.tolist(), strict=True)]
    torch.testing.assert_close(
        torch.from_numpy(read(chat, passages, means_at, 4, batch_tokens=300)["means"]),
        torch.stack(expected).float(), rtol=1e-4, atol=1e-4, equal_nan=True,
    )  # fmt: skip


def test_progress_ends_at_its_total(chat: Model, monkeypatch):
    totals, steps = [], []

    @contextmanager
    def track(description, total, *, unit, quiet):
        totals.append(total)
        yield steps.append

    monkeypatch.setattr(work, "track", track)
    read(chat, passages_of_lengths(LENGTHS), means_at, 0, batch_tokens=200)
    assert len(steps) > 1
    assert [sum(steps)] == totals == [sum(LENGTHS)]


def test_own_means_by_hand():
    generator = torch.Generator().manual_seed(0)
    residual = 100 * torch.randn(3, 7, 5, generator=generator)
    own = torch.rand(3, 7, generator=generator) < 0.5
    own[2] = False
    means = own_means(residual, own)
    for row in (0, 1):
        expected = residual[row].double()[own[row]].mean(0).float()
        torch.testing.assert_close(means[row], expected, rtol=1e-6, atol=1e-5)
    assert means[2].isnan().all()


def test_own_means_accumulate_in_float32():
    """Summed in bfloat16, 2,000 ones would stop at 256."""
    means = own_means(torch.ones(1, 2000, 4, dtype=torch.bfloat16), torch.ones(1, 2000, dtype=torch.bool))
    assert means.dtype == torch.float32
    torch.testing.assert_close(means, torch.ones(1, 4))


def test_alone_puts_the_start_token_first_and_does_not_measure_it(chat: Model):
    ids = chat.encode_text("The tide came in.")
    whole = alone(chat, ids)
    assert whole == Passage((*chat.start_ids, *ids), (False, *[True] * len(ids)))
    assert alone(chat, ids, length=2) == Passage((*chat.start_ids, *ids[:2]), (False, True, True))
    assert alone(chat, ()) == Passage(chat.start_ids, (False,))
