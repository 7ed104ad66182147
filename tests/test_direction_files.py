"""A file of directions says what it is: read back bit-equal on its own model, refused by name anywhere else."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from collecting import collect, some_pairs
from fake_pairs import refusal
from full_disk import full_disk
from planted import planted
from safetensors import safe_open
from tiny_models import save_model

from creativity_lens.directions import Directions, check_model, first_component, mean_difference, with_dev_scores
from creativity_lens.files import data_folder
from creativity_lens.models import Model, load_model
from creativity_lens.tensor_files import load_tensors, save_tensors

TENSORS = ("vectors", "gaps", "residual_norms", "centers")
REST = ("layers", "method", "n_layers", "source", "dev")


@pytest.fixture(scope="module")
def directions(chat: Model) -> Directions:
    found = mean_difference(collect(chat, some_pairs(), layers="1-2,6"))
    return with_dev_scores(found, [("auc_layer_2", 0.75), ("auc_layer_2_low", 0.1 + 0.2)])


@pytest.fixture
def path(directions: Directions, tmp_path) -> Path:
    directions.save(tmp_path / "creative.safetensors")
    return tmp_path / "creative.safetensors"


def test_round_trip_is_bit_equal(chat: Model, directions: Directions, path):
    for found in (Directions.load(path), Directions.load(str(path), chat)):
        for name in TENSORS:
            assert torch.equal(getattr(found, name), getattr(directions, name)), name
        for name in REST:
            assert getattr(found, name) == getattr(directions, name), name
    component = first_component(planted()[0])
    component.save(path)
    assert torch.equal(Directions.load(path).vectors, component.vectors)
    assert Directions.load(path).method == "first_component"


def test_the_file_describes_itself_to_other_readers(chat: Model, path):
    with safe_open(path, framework="np") as file:
        metadata, names = file.metadata(), set(file.keys())
    assert names == set(TENSORS)
    assert metadata["format"] == "directions 1"
    assert (metadata["hook"], metadata["layer_index"]) == ("resid_post", "0-based")
    assert (metadata["n_layers"], metadata["d_model"], metadata["method"]) == ("8", "192", "mean_difference")
    assert metadata["sign"] == "positive is more creative"
    assert json.loads(metadata["layers"]) == [1, 2, 6]
    assert json.loads(metadata["dev"])["auc_layer_2"] == 0.75
    source = json.loads(metadata["source"])
    assert (source["model"], source["revision"], source["position"]) == ("pocket-chat", None, "response")
    assert (source["n_pairs"], source["config_hash"]) == (len(some_pairs()), chat.config_hash)


# -- another model -------------------------------------------------------------------------------------------------


def test_another_model_is_refused_by_name(chat: Model, base: Model, directions: Directions, path, tmp_path):
    message = refusal(Directions.load, path, base)
    assert message.startswith(f"{path}: directions of pocket-chat (")
    assert "expected pocket-base (" in message
    tiny = load_model(save_model(tmp_path / "tiny", "gpt2"))
    message = refusal(Directions.load, path, tiny)
    assert "directions of pocket-chat (d_model 192), expected" in message
    assert "(d_model 32); measure directions on this model" in message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"config_hash": "a" * 64},
            "(config hash {config:.19}), expected pocket-chat (config hash aaaaaaaaaaaaaaaaaaa)",
        ),
        ({"weights_hash": "sha256:" + "a" * 64}, "expected pocket-chat (weights hash sha256:aaaaaaaaaaaa)"),
        ({"revision": "b" * 40}, "(revision aaaaaaaaaaaaaaaaaaa), expected pocket-chat (revision bbbbbbbbbbbbbbbbbbb)"),
    ],
)
def test_the_first_thing_that_differs_is_named(chat: Model, directions: Directions, change, said):
    of_a_commit = replace(directions, source=replace(directions.source, revision="a" * 40))
    message = refusal(check_model, of_a_commit, replace(chat, **change), "creative.safetensors")
    assert said.format(config=chat.config_hash) in message


def test_layers_of_another_depth_are_refused(chat: Model, directions: Directions):
    message = refusal(check_model, replace(directions, n_layers=12), chat, "x")
    assert "(n_layers 12), expected pocket-chat (n_layers 8)" in message


def test_a_folder_copied_from_the_hub_is_the_same_model(chat: Model, directions: Directions):
    """It has no revision, and the very same weights."""
    of_a_commit = replace(directions, source=replace(directions.source, revision="a" * 40))
    check_model(of_a_commit, chat, "x")
    check_model(directions, replace(chat, revision="a" * 40, dtype=torch.bfloat16), "x")


# -- damaged and foreign files -------------------------------------------------------------------------------------


def test_a_damaged_file_is_refused(path):
    whole = path.read_bytes()
    spoilt = {
        "a vector's byte": whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:],
        "a layer's number": whole.replace(b"[1, 2, 6]", b"[1, 2, 5]", 1),
        "the method": whole.replace(b"mean_difference", b"mean_difgerence", 1),
        "cut off": whole[: len(whole) // 2],
        "header alone": whole[:300],
        "empty": b"",
        "text": b"layer,value\n" * 100,
    }
    for name, data in spoilt.items():
        assert data != whole
        path.write_bytes(data)
        assert "damaged" in refusal(Directions.load, path), name


def test_what_is_no_file_of_directions_is_refused(tmp_path):
    weights = data_folder() / "pocket" / "chat" / "model.safetensors"
    cached = tmp_path / "cached.safetensors"
    save_tensors(cached, {"means": torch.ones(2), "norms": torch.ones(2)}, {"key": "x"}, form="activations 1")
    wanted = "expected directions written by creativity-lens"
    reasons = {
        weights: f"{wanted} of format 'directions 1', got a safetensors file of format 'pt'.",
        cached: f"{wanted} of format 'directions 1', got a safetensors file of format 'activations 1'.",
        tmp_path: f"{wanted}, got a folder.",
        tmp_path / "none": f"no such file; {wanted}.",
        tmp_path / ("n" * 300): f"cannot be read (File name too long); {wanted}.",
    }
    for place, reason in reasons.items():
        message = refusal(Directions.load, place)
        assert message == f"{place}: {reason}"


def spoil(**changes: str) -> Callable[[dict, dict], None]:
    return lambda _, metadata: metadata.update(changes)


@pytest.mark.parametrize(
    "change",
    [
        spoil(layers="[1, 2]"), spoil(layers="[6, 2, 1]"), spoil(layers="[1, 2, 8]"), spoil(layers="[-1, 2, 6]"),
        spoil(layers="[1.0, 2.0, 6.0]"), spoil(layers="7"), spoil(layers="[" * 100_000), spoil(n_layers="eight"),
        spoil(sign="positive is more "), spoil(sign="more is less"), spoil(hook="resid_pre"),
        spoil(source="{}"), spoil(source="[]"),
        spoil(dev="[1]"), lambda _, metadata: metadata.pop("method"),
        lambda tensors, _: tensors.update(gaps=torch.ones(4)),
        lambda tensors, _: tensors["vectors"][0].fill_(torch.nan),
        lambda tensors, _: tensors.update(centers=torch.ones(3, 5)),
        lambda tensors, _: tensors.update(vectors=torch.ones(3)),
    ],
)  # fmt: skip
def test_a_file_whose_parts_do_not_fit_is_refused(path, change):
    """Its checksum is right: somebody else's program wrote it."""
    tensors, metadata = load_tensors(path, TENSORS, form="directions 1", what="directions")
    change(tensors, metadata)
    save_tensors(path, tensors, metadata, form="directions 1")
    message = refusal(Directions.load, path)
    assert message == f"{path}: what it says of itself does not fit; measure the directions again."


def test_a_full_disk_keeps_the_old_file(directions: Directions, path):
    before = path.read_bytes()
    with full_disk(after=2000):
        assert "could not be written (" in refusal(directions.save, path)
    assert path.read_bytes() == before
    assert "got a folder; choose another name" in refusal(directions.save, path.parent)
