"""A text's numbers equal those of plain transformers, whatever its company and however long it is."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_pairs import refusal
from tiny_models import block_outputs, plain_model, save_model
from yardsticks import by_hand, of_chat, responses

from creativity_lens import scoring, text_scores, token_readings
from creativity_lens.activations import source_of
from creativity_lens.files import data_folder
from creativity_lens.models import Model, load_model
from creativity_lens.reading import batches
from creativity_lens.sides import Sides
from creativity_lens.text_scores import EMPTY, FEW_TOPICS, LONG, NO_UNIT, NOT_FINITE, UNSURE, score_texts
from creativity_lens.yardstick import Yardstick

TEXTS = [
    "The tide came in over the sand and took the small boats one by one.",
    "Rain.",
    "",
    "An old key lay in the grass, and nobody knew what door it had been made for, nor who had lost it there.",
    "It was dark. It was dark. It was dark. It was dark.",
    "A cat \U0001f408 sat on \u65e5\u672c\u8a9e.",
]


@pytest.fixture(scope="module")
def plain():
    return plain_model(data_folder() / "pocket" / "chat")


def reference(plain, chat: Model, yardstick: Yardstick, ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Centred projections (residual units) and surprisals of a text's tokens, by hooks of torch and nothing of ours."""
    whole = torch.tensor([[*chat.start_ids, *ids]])
    blocks, logits = block_outputs(plain, plain.model.layers, whole)
    projections = blocks[yardstick.layer][0, len(chat.start_ids) :] @ yardstick.vector - yardstick.zero
    logs = logits[0, :-1].log_softmax(-1)[range(len(ids)), ids]
    return projections.numpy(), -logs.numpy()


# ---- against plain transformers ----


def test_numbers_equal_those_of_plain_transformers(chat, plain):
    yardstick = of_chat(chat)
    scores = score_texts(chat, yardstick, TEXTS, tokens=True)
    assert [row.text for row in scores.rows] == TEXTS
    for row in scores.rows:
        ids = list(chat.tokenizer(row.text, add_special_tokens=False).input_ids)
        assert row.n_tokens == len(ids)
        if not ids:
            continue
        projections, surprisals = reference(plain, chat, yardstick, ids)
        gap = yardstick.gaps(np.array([len(ids)]))[0].value
        assert row.score == pytest.approx(projections.mean() / gap, abs=1e-4) or (gap <= 0 and math.isnan(row.score))
        assert row.surprisal == pytest.approx(surprisals.mean(), abs=1e-4)
        assert row.tokens.projections * yardstick.whole.value == pytest.approx(projections, abs=1e-2)
        assert row.tokens.surprisals == pytest.approx(surprisals, abs=1e-3)
        assert "".join(row.tokens.pieces) == row.text
        references = yardstick.test.means(np.array([len(ids)]))[0]
        below = [100 * float((side < projections.mean()).mean()) for side in references]
        assert [row.percentile_creative, row.percentile_boring] == pytest.approx(below)
    assert len({round(row.score, 3) for row in scores.rows if row.score == row.score}) >= 4, "they do differ"


def test_it_tells_the_sides_apart(chat):
    """Held-out responses that played no part: the imaginative ones score about a gap above the plain ones."""
    from yardsticks import short_pairs

    yardstick = of_chat(chat)
    held = [pair for pair in short_pairs() if pair.topic in yardstick.test.topics]
    scores = score_texts(chat, yardstick, [text for p in held for text in (p.creative_response, p.boring_response)])
    values = scores.frame["score"].to_numpy().reshape(-1, 2)
    assert (values[:, 0] > values[:, 1]).mean() == 1.0
    assert 0.5 < (values[:, 0] - values[:, 1]).mean() < 1.5
    by_side = scores.frame["percentile_plain"].to_numpy().reshape(-1, 2).mean(0)
    assert by_side[0] > 90
    assert 40 < by_side[1] < 60, "among themselves they stand in the middle"


@pytest.mark.parametrize("kind", ["gpt2", "neox"])
def test_other_architectures(tmp_path, kind):
    """A random model: position embeddings that are learned, biases, other names of the blocks."""
    folder = save_model(tmp_path / "model", kind)
    model, plain = load_model(folder), plain_model(folder)
    yardstick = replace(of_a_random_direction(model), layer=1)
    text = TEXTS[0]
    ids = model.encode_text(text)
    whole = torch.tensor([[*model.start_ids, *ids]])
    blocks = plain.transformer.h if kind == "gpt2" else plain.gpt_neox.layers
    seen, logits = block_outputs(plain, blocks, whole)
    row = score_texts(model, yardstick, [text], tokens=True).rows[0]
    expected = (seen[1][0, 1:] @ yardstick.vector - yardstick.zero).numpy() / yardstick.whole.value
    assert row.tokens.projections == pytest.approx(expected, abs=1e-3)
    logs = logits[0, :-1].log_softmax(-1)[range(len(ids)), list(ids)]
    assert row.surprisal == pytest.approx(-float(logs.mean()), abs=1e-4)


def of_a_random_direction(model: Model, layer: int = 2) -> Yardstick:
    vector = torch.nn.functional.normalize(
        torch.randn(model.d_model, generator=torch.Generator().manual_seed(0)), dim=0
    )
    made = by_hand()
    return replace(made, layer=layer, vector=vector, n_layers=model.n_layers, source=source_of(model, [], "text"))


# ---- company ----


def test_a_texts_numbers_do_not_depend_on_its_company(chat, monkeypatch):
    yardstick = of_chat(chat)
    together = score_texts(chat, yardstick, TEXTS * 9, tokens=True)
    monkeypatch.setattr(scoring, "LOGIT_BYTES", 1)
    for row, text in zip(together.rows, TEXTS * 9, strict=True):
        alone = ALONE.setdefault(text, score_texts(chat, yardstick, [text], tokens=True).rows[0])
        assert row.text == text
        assert row.score == pytest.approx(alone.score, abs=1e-4, nan_ok=True)
        assert row.surprisal == pytest.approx(alone.surprisal, abs=1e-4, nan_ok=True)
        assert row.tokens.projections == pytest.approx(alone.tokens.projections, abs=1e-4)
        assert row.notes == alone.notes


ALONE: dict = {}


def test_each_text_runs_once(chat, monkeypatch):
    """One forward pass gives projection and surprisal."""
    runs = []
    forward = Model.forward
    monkeypatch.setattr(Model, "forward", lambda self, ids, **more: runs.append(len(ids)) or forward(self, ids, **more))
    yardstick = of_chat(chat)
    score_texts(chat, yardstick, TEXTS)
    assert sum(runs) == len(TEXTS) - 1, "the empty one needs none"
    assert not chat.bridge.hook_dict[f"blocks.{yardstick.layer}.hook_out"].fwd_hooks, "no hook stays behind"


# ---- long texts ----


def windows_by_hand(length: int, size: int) -> list[int]:
    """For each token the start of the window in which most stands before it: the earliest that holds it."""
    starts = range(0, max(1, length), size // 2)
    return [next(start for start in starts if start <= token < start + size) for token in range(length)]


@pytest.mark.parametrize("window", [3, 4, 9, 20, 21])
def test_long_texts_are_read_in_windows(chat, plain, window):
    yardstick = of_chat(chat)
    text = " ".join([TEXTS[0], TEXTS[3], TEXTS[4]])
    ids = chat.encode_text(text)
    row = score_texts(chat, yardstick, [TEXTS[1], text], tokens=True, window=window).rows[1]
    size = window - 1  # the start token takes one place
    expected = []
    for token, start in enumerate(windows_by_hand(len(ids), size)):
        values = reference(plain, chat, yardstick, list(ids[start : start + size]))
        expected.append([part[token - start] for part in values])
    projections, surprisals = np.array(expected).T
    assert row.tokens.projections * yardstick.whole.value == pytest.approx(projections, abs=1e-2)
    assert row.tokens.surprisals == pytest.approx(surprisals, abs=1e-3)
    assert row.n_tokens == len(ids)
    assert row.notes[-1] == f"read in windows of {size} tokens"
    assert row.surprisal == pytest.approx(surprisals.mean(), abs=1e-4)


@pytest.mark.parametrize(("length", "count"), [(1, 1), (7, 1), (8, 1), (9, 2), (12, 2), (13, 3), (100, 24)])
def test_each_token_is_measured_once(chat, length, count):
    found = token_readings._windows(chat, range(10, 10 + length), 8)
    assert len(found) == count
    assert np.concatenate([place for _, place in found]).tolist() == list(range(length))
    for passage, place in found:
        assert [i for i, own in zip(passage.ids, passage.own, strict=True) if own] == [10 + p for p in place]
        assert len(passage.ids) <= 1 + 8
    assert sum(len(passage.ids) - 1 for passage, _ in found) <= 2 * length


def test_a_text_of_the_contexts_length_is_one_window(chat):
    """Beside the start token there is room for context - 1 tokens."""
    yardstick = of_chat(chat)
    text = "a" + " a" * (chat.context - 2)
    assert len(chat.encode_text(text)) == chat.context - 1
    inside, beyond = score_texts(chat, yardstick, [text, text + " a"]).rows
    assert not any("windows" in note for note in inside.notes)
    assert f"read in windows of {chat.context - 1} tokens" in beyond.notes
    assert inside.surprisal == pytest.approx(beyond.surprisal, abs=0.05)
    assert inside.repetition > 0.9


def test_windows_without_room_are_refused(chat):
    assert "room for at least 2 tokens" in refusal(lambda: score_texts(chat, of_chat(chat), ["a"], window=2))


# ---- against the yardstick ----


def held(means: list[float], lengths: list[int], yardstick: Yardstick | None = None):
    return text_scores.held_against(yardstick or by_hand(), np.array(means, dtype=float), np.array(lengths, dtype=int))


def test_scores_and_percentiles_by_hand():
    scores, below, notes = held([5.0, 6.0, 2.0, 2.0], [1, 2, 1, 50])
    assert scores.tolist() == [2.0, 2.0, 0.8, 0.8]
    # creative and boring test responses: cut to 1 token 2 4 6 and 0 2 2, to 2 tokens 2 3 6 and 0 2 5
    third = 100 / 3
    expected = [[2 * third, 100], [2.5 * third, 100], [third / 2, 2 * third], [third / 2, 1.5 * third]]
    assert below == pytest.approx(np.array(expected))
    assert notes == [(FEW_TOPICS,), (LONG, FEW_TOPICS), (FEW_TOPICS,), (LONG, FEW_TOPICS)]


def test_where_there_is_no_unit_there_is_no_score():
    """The gap is -1 at one token and 1 at two: NaN and a note, never 0 and never another unit."""
    dev = responses([[0.0, 4.0]] * 8, [[1.0, 1.0]] * 8)
    scores, below, notes = held([3.0, 3.0], [1, 2], replace(by_hand(), dev=dev))
    assert math.isnan(scores[0])
    assert NO_UNIT in notes[0]
    assert scores[1] == 3.0
    assert NO_UNIT not in notes[1]
    assert below[0].tolist() == pytest.approx([100 / 3, 100.0]), "a percentile needs no unit"
    assert math.isnan(held([3.0], [1], replace(by_hand(), dev=responses([[2.0]] * 8, [[2.0]] * 8)))[0][0]), "gap 0"


def test_an_uncertain_unit_is_said():
    sure = responses([[2.0 + n / 10] for n in range(8)], [[1.0]] * 8)
    unsure = responses([[2.0 + 5 * (n - 3)] for n in range(8)], [[1.0]] * 8)
    assert held([1.0], [1], replace(by_hand(), dev=sure))[2] == [()]
    scores, _, notes = held([1.0], [1], replace(by_hand(), dev=unsure))
    assert notes == [(UNSURE,)]
    assert scores[0] == pytest.approx(1 / 3.5)


def test_what_was_not_measured_has_no_number():
    scores, below, notes = held([math.nan, math.inf, math.nan], [0, 1, 1])
    assert np.isnan(scores).all()
    assert np.isnan(below).all()
    assert notes == [(EMPTY,), (NOT_FINITE,), (NOT_FINITE,)]
    assert len(held([], [])[0]) == 0


# ---- results ----


def test_an_empty_text_keeps_its_place(chat):
    row = score_texts(chat, of_chat(chat), TEXTS, tokens=True).rows[2]
    assert (row.n_tokens, row.notes) == (0, (EMPTY,))
    numbers = (row.score, row.percentile_boring, row.percentile_creative, row.surprisal, row.repetition)
    assert all(map(math.isnan, numbers))
    assert row.tokens.pieces == ()
    assert len(score_texts(chat, of_chat(chat), [])) == 0
    assert score_texts(chat, of_chat(chat), []).frame.empty


def test_the_frame_names_the_sides(chat):
    scores = score_texts(chat, of_chat(chat), TEXTS)
    assert list(scores.frame) == [
        "text", "score", "percentile_plain", "percentile_imaginative", "surprisal", "repetition", "tokens", "note"
    ]  # fmt: skip
    assert scores.frame["tokens"].tolist() == [row.n_tokens for row in scores.rows]
    assert scores.frame["note"][2] == EMPTY
    assert scores.sides == Sides("imaginative", "plain")
    repeated = scores.frame["repetition"].tolist()
    assert repeated[4] > 0.3
    assert repeated[0] == 0.0
    assert all(row.tokens is None for row in scores.rows), "kept where they are asked for"


def test_in_a_notebook_it_is_a_table_that_trusts_no_text(chat):
    stick = replace(of_chat(chat), sides=Sides("<i>odd</i>", "plain"))
    shown = score_texts(chat, stick, ["<script>alert(1)</script>", "Rain."])._repr_html_()
    assert "<script" not in shown
    assert "<i>" not in shown
    assert "&lt;script&gt;" in shown
    assert "among 8 plain and 8" in shown


def test_another_model_and_broken_texts_are_refused(chat, base):
    assert "scorer: scores of pocket-chat" in refusal(score_texts, base, of_chat(chat), ["a"])
    assert "holds a lone surrogate" in refusal(score_texts, chat, of_chat(chat), ["fine", "a\ud800b"])


def test_what_is_not_finite_is_said(chat, monkeypatch):
    stick = of_chat(chat)
    nothing = np.full((1, 3), np.nan, np.float32)
    monkeypatch.setattr(text_scores, "read_tokens", lambda model, probes, ids, size: (nothing, nothing[0]))
    row = score_texts(chat, stick, ["a b c"]).rows[0]
    assert row.notes == (NOT_FINITE,)
    assert math.isnan(row.score)


def test_batches_are_those_of_reading(chat):
    """The control for the company test: with that little room, every text has a batch of its own."""
    passages = [passage for text in TEXTS for passage, _ in token_readings._windows(chat, chat.encode_text(text), 99)]
    assert [len(rows) for rows, _ in batches(chat, passages, batch_tokens=1)] == [1] * 5
