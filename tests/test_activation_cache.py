"""The cache of activations: a hit costs no pass of the model, a damaged file no wrong number, a full disk no run."""

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from collecting import CUT, Ran, collect, ran, some_pairs
from fake_pairs import refusal
from full_disk import full_disk

from creativity_lens.activations import Activations
from creativity_lens.models import Model
from creativity_lens.prompts import ContrastivePair


@pytest.fixture(scope="module")
def pairs() -> list[ContrastivePair]:
    return some_pairs()


@pytest.fixture
def stored(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("CLENS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "activations"


def cached(model: Model, pairs, **options) -> Activations:
    return collect(model, pairs, cache=True, **options)


def same(one: Activations, other: Activations) -> bool:
    parts = ("creative", "boring", "norms")
    rest = ("layers", "topics", "n_layers", "source")
    equal = all(torch.equal(getattr(one, part), getattr(other, part)) for part in parts)
    return equal and all(getattr(one, name) == getattr(other, name) for name in rest)


def test_a_hit_gives_equal_tensors_without_running_the_model(chat: Model, pairs, stored):
    plain, first = collect(chat, pairs), cached(chat, pairs)
    assert len(list(stored.iterdir())) == 1
    with ran(chat) as count:
        second = cached(chat, pairs)
    assert count == Ran()
    assert same(first, second)
    assert same(plain, first)


def test_not_asked_for_it_is_not_written(chat: Model, pairs, stored):
    collect(chat, pairs)
    assert not stored.exists()


DAMAGES = {
    "a flipped byte": lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
    "a flipped byte of the header": lambda data: data.replace(b"F32", b"I32", 1),
    "cut off": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_reported_and_rebuilt(chat: Model, pairs, stored, damage):
    first = cached(chat, pairs)
    (path,) = stored.iterdir()
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.warns(UserWarning, match="damaged.*They are computed again"), ran(chat) as count:
        again = cached(chat, pairs)
    assert count.rows == first.norms.shape[1]
    assert same(first, again)
    with ran(chat) as count:
        assert same(cached(chat, pairs), first)
    assert count.rows == 0, "the file is whole again"


def test_another_texts_file_under_this_name_is_not_believed(chat: Model, pairs, stored):
    cached(chat, pairs[:2])
    (other,) = stored.iterdir()
    taken = other.read_bytes()
    other.unlink()
    first = cached(chat, pairs)
    (path,) = stored.iterdir()
    path.write_bytes(taken)
    with pytest.warns(UserWarning, match="damaged"):
        assert same(cached(chat, pairs), first)


def test_a_cache_that_cannot_be_written_costs_a_warning_not_the_run(chat: Model, pairs, stored):
    stored.parent.write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="not cached .CLENS_CACHE names another folder."):
        found = cached(chat, pairs)
    assert same(found, collect(chat, pairs))
    assert stored.parent.is_file()


def test_a_full_disk_costs_a_warning_not_the_run(chat: Model, pairs, stored):
    with pytest.warns(UserWarning, match="not cached"), full_disk(after=2000):
        found = cached(chat, pairs)
    assert same(found, collect(chat, pairs))
    assert list(stored.iterdir()) == []


def test_whatever_changes_the_numbers_has_a_file_of_its_own(chat: Model, base: Model, pairs, stored):
    """None of these may be answered with another's file; asked again, none makes a new one."""
    pairs = pairs[:2]
    asked = [
        (chat, pairs, {}),
        (base, pairs, {}),
        (replace(chat, weights_hash="sha256:other"), pairs, {}),
        (replace(chat, dtype=torch.bfloat16), pairs, {}),
        (replace(chat, template="none"), pairs, {}),
        (chat, pairs[:1], {}),
        (chat, [replace(pairs[0], creative_response="Other words."), *pairs[1:]], {}),
        (chat, pairs, {"position": "text"}),
        (chat, pairs, {"position": "instruction"}),
        (chat, pairs, {"position": "last"}),
        (chat, pairs, {"layers": [2, 5]}),
        (chat, pairs, {"max_tokens": CUT - 1}),
        (chat, pairs, {"batch_tokens": 100}),
    ]
    for number, (model, texts, options) in enumerate(asked, start=1):
        cached(model, texts, **options)
        assert len(list(stored.iterdir())) == number, options
    for model, texts, options in asked:
        with ran(model) as count:
            cached(model, texts, **options)
        assert count.rows == 0
    renamed = [replace(pair, topic=f"other {pair.topic}") for pair in pairs]
    found = cached(chat, renamed)
    assert len(list(stored.iterdir())) == len(asked), "texts count, not the names of topics"
    assert found.topics == tuple(pair.topic for pair in renamed)


def test_an_edited_model_neither_fills_nor_reads_the_cache(chat: Model, pairs, stored):
    clean = collect(chat, pairs)
    with chat.hooks({2: lambda residual: residual + 1.0}):
        edited = cached(chat, pairs)
        assert not stored.exists()
    assert not same(edited, clean), "the control: the hook did act"
    assert same(cached(chat, pairs), clean)
    with chat.hooks({2: lambda residual: residual + 1.0}):
        assert same(cached(chat, pairs), edited)


def test_activations_that_are_not_finite_are_refused_and_not_cached(chat: Model, pairs, stored):
    def overflow(residual):
        return residual * float("inf")

    with chat.hooks({4: overflow}):
        message = refusal(lambda: cached(chat, pairs))
    assert message == "layer 4: activations of pocket-chat are not finite in float32; use another dtype."
    assert not stored.exists()


def test_no_warning_in_an_ordinary_run(chat: Model, pairs, stored, capfd):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cached(chat, pairs)
        cached(chat, pairs)
    assert caught == []
    assert capfd.readouterr() == ("", "")
