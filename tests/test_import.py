"""Directions of other tools, brought in: numbering converted, unit length, sign as it came, all else measured."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_pairs import refusal
from handed_over import make_gguf

from creativity_lens.activations import collect_activations
from creativity_lens.directions import Directions, check_model, mean_difference
from creativity_lens.exports import export
from creativity_lens.exports.importing import check_fit, check_numbering, import_direction, read_foreign
from creativity_lens.models import Model
from creativity_lens.prompts import load_control, split_pairs

KEYS = {"general.architecture": "controlvector", "controlvector.model_hint": "llama"}
LAYERS = (2, 3, 4)


@pytest.fixture(scope="module")
def pairs():
    """Pairs that the built-in model is sure to read."""
    train, dev, test = split_pairs(load_control("register"), seed=0)
    return train, [*dev, *test]


@pytest.fixture(scope="module")
def ours(chat: Model, pairs) -> Directions:
    return mean_difference(collect_activations(chat, pairs[0], layers=LAYERS))


def gguf(path: Path, vectors: dict[int, np.ndarray], **options) -> Path:
    named = {f"direction.{number}": vector.tolist() for number, vector in vectors.items()}
    path.write_bytes(make_gguf(named, **{"keys": KEYS, **options}))
    return path


@pytest.mark.parametrize("form", ["gguf", "repeng", "svec", "npz"])
def test_what_was_exported_comes_back(chat: Model, ours, pairs, tmp_path, form):
    to = "gguf" if form == "repeng" else form
    made = export(ours, to, tmp_path / f"a.{to}", layers=LAYERS, scale=0.3)
    numbering = None if form == "repeng" else "post"
    back = import_direction(chat, read_foreign(made.path, form, numbering), *pairs, form=form)
    assert back.directions.layers == LAYERS
    difference = (back.directions.vectors - ours.vectors).abs()
    assert difference.max() <= 2**-24, "a rounding of float32 where the dose came and went"
    again = import_direction(chat, read_foreign(made.path, form, numbering), *pairs, form=form)
    assert torch.equal(again.directions.vectors, back.directions.vectors)
    assert torch.allclose(back.directions.gaps, ours.gaps, rtol=1e-4)
    assert torch.equal(back.directions.residual_norms, ours.residual_norms)
    assert torch.equal(back.directions.centers, ours.centers)
    assert back.directions.source == ours.source
    assert back.directions.method == f"imported from {form}"
    assert all(cosine == pytest.approx(1, abs=1e-6) for cosine in back.cosines.values())
    for layer in LAYERS:
        assert back.norms[layer] == pytest.approx(0.3 / 3 * ours.at(layer).residual_norm, rel=1e-5)
        assert dict(back.directions.dev)[f"auc@{layer}"] > 0.7


def test_a_unit_vector_comes_back_to_the_last_bit(chat: Model, ours, pairs, tmp_path):
    """What has unit length already is divided by 1 within rounding; powers of two change no bit."""
    vectors = {layer: ours.at(layer).vector.numpy() for layer in LAYERS}
    units = import_direction(chat, read_foreign(gguf(tmp_path / "a", vectors), "gguf", "post"), *pairs, form="gguf")
    doubled = {layer: 64 * vector for layer, vector in vectors.items()}
    scaled = import_direction(chat, read_foreign(gguf(tmp_path / "b", doubled), "gguf", "post"), *pairs, form="gguf")
    assert torch.equal(units.directions.vectors, scaled.directions.vectors)
    assert (units.directions.vectors - ours.vectors).abs().max() <= 2**-25


def test_it_is_a_file_of_directions_like_any_other(chat: Model, ours, pairs, tmp_path):
    vectors = {4: ours.at(4).vector.numpy()}
    made = import_direction(
        chat, read_foreign(gguf(tmp_path / "a", vectors), "gguf", "post"), *pairs, form="gguf", positive="formal"
    )
    made.directions.save(tmp_path / "in.safetensors")
    held = Directions.load(tmp_path / "in.safetensors", chat)
    check_model(held, chat, "x")
    assert held.positive == "formal"
    assert held.method == "imported from gguf"
    assert export(held, "gguf", tmp_path / "b.gguf", layers=[4], scale=0.2).layers == (4,)


# -- numbering -------------------------------------------------------------------------------------------------------


def test_pre_is_one_layer_lower(tmp_path):
    path = gguf(tmp_path / "a.gguf", {3: np.ones(4), 5: np.full(4, 2.0)})
    assert {n: v[0] for n, v in read_foreign(path, "gguf", "post").vectors.items()} == {3: 1.0, 5: 2.0}
    assert {n: v[0] for n, v in read_foreign(path, "gguf", "pre").vectors.items()} == {2: 1.0, 4: 2.0}


def test_pre_and_post_meet_in_the_two_dialects_of_svec(ours, tmp_path):
    one = export(ours, "svec", tmp_path / "a.svec", layers=LAYERS, scale=0.3).path
    other = export(ours, "svec", tmp_path / "b.svec", layers=LAYERS, scale=0.3, dialect="activation-steering").path
    post, pre = read_foreign(one, "svec", "post").vectors, read_foreign(other, "svec", "pre").vectors
    assert list(post) == list(pre) == list(LAYERS)
    assert all(np.array_equal(post[layer], pre[layer]) for layer in LAYERS)


def test_a_file_that_says_how_it_counts_is_believed(ours, tmp_path):
    ours_too = export(ours, "gguf", tmp_path / "a.gguf", layers=[4], scale=0.3).path
    other = export(ours, "svec", tmp_path / "b.svec", layers=[4], scale=0.3, dialect="activation-steering").path
    assert "says itself that it counts 'post'; use that." in refusal(read_foreign, ours_too, "gguf", "pre")
    assert "says itself that it counts 'pre'; use that." in refusal(read_foreign, other, "svec", "post")


def test_numbering_is_asked_for_and_explained():
    assert check_numbering("repeng", None) == "post"
    assert check_numbering("repeng", "post") == "post"
    assert check_numbering("npz", "pre") == "pre"
    message = refusal(check_numbering, "gguf", None)
    assert "expected post (N acts after block N) or pre (N acts after block N - 1), got none" in message
    assert "llama.cpp's own generator wrote 'pre'" in message
    assert "activation-steering 'pre'" in refusal(check_numbering, "svec", None)
    assert "hidden_states" in refusal(check_numbering, "npz", None)
    assert "repeng's N acts after block N" in refusal(check_numbering, "repeng", "pre")
    assert "Did you mean 'post'?" in refusal(check_numbering, "gguf", "pots")
    assert "Did you mean 'gguf'?" in refusal(check_numbering, "gguff", "post")


def test_the_input_of_the_first_block_is_no_layer(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, vectors=np.ones((3, 4), np.float32))
    assert "number 0 in the numbering 'pre' is the input of block 0" in refusal(read_foreign, path, "npz", "pre")
    value = np.ones((3, 4), np.float32)
    value[0] = 0
    np.savez(path, vectors=value)
    assert list(read_foreign(path, "npz", "pre").vectors) == [0, 1]


# -- the sign, and what does not fit ---------------------------------------------------------------------------------


def test_the_sign_is_kept_and_a_warning_given(chat: Model, ours, pairs, tmp_path):
    path = gguf(tmp_path / "a.gguf", {4: -ours.at(4).vector.numpy()})
    with pytest.warns(UserWarning, match="layer 4: on held-out pairs the direction does not point to what is formal"):
        made = import_direction(chat, read_foreign(path, "gguf", "post"), *pairs, form="gguf", positive="formal")
    assert torch.allclose(made.directions.at(4).vector, -ours.at(4).vector, atol=1e-6)
    assert made.directions.at(4).gap == pytest.approx(-ours.at(4).gap, rel=1e-4)
    assert made.cosines[4] == pytest.approx(-1, abs=1e-6)
    assert dict(made.directions.dev)["auc@4"] < 0.3


def test_what_does_not_fit_the_model_is_refused_by_name(chat: Model, pairs, tmp_path):
    narrow = read_foreign(gguf(tmp_path / "a", {4: np.ones(32)}), "gguf", "post")
    message = refusal(lambda: import_direction(chat, narrow, *pairs, form="gguf"))
    assert message == "vectors of width 32: expected 192 for pocket-chat; import them for their model."
    deep = read_foreign(gguf(tmp_path / "b", {8: np.ones(192)}), "gguf", "post")
    message = refusal(lambda: import_direction(chat, deep, *pairs, form="gguf"))
    assert message.startswith("layer 8: expected 0 to 7 for pocket-chat; the file is of another model, or is numbered")
    check_fit(read_foreign(tmp_path / "b", "gguf", "pre"), chat.name, chat.n_layers, chat.d_model)  # our layer 7


@pytest.mark.parametrize(
    ("vectors", "options", "said"),
    [
        ({3: [1.0, np.nan]}, {}, "direction.3: NaN or infinity"),
        ({3: [0.0, 0.0]}, {}, "direction.3: only zeros"),
        ({3: [1.0, 2.0], 4: [1.0]}, {}, "widths differ: direction.3 has 2, direction.4 has 1; readers refuse it."),
        ({3: [1.0, 2.0]}, {"kinds": {"direction.3": 1}}, "is not F32"),
        ({3: [1.0, 2.0]}, {"count": 2_000_000}, "it claims 2,000,000"),
        ({3: [1.0, 2.0]}, {"magic": b"GGLA"}, "it does not begin with GGUF"),
        ({2_000_000: [1.0, 2.0]}, {}, "expected only names direction.N"),
        ({}, {}, "it holds no direction.N"),
    ],
)
def test_a_broken_file_is_refused(tmp_path, vectors, options, said):
    path = gguf(tmp_path / "a.gguf", {number: np.array(vector) for number, vector in vectors.items()}, **options)
    message = refusal(read_foreign, path, "gguf", "post")
    assert said in message
    assert message.startswith(f"{path}: ")


def test_what_only_a_reader_minds_can_be_imported(tmp_path):
    """llama.cpp turns a file with direction.0 down, repeng one without a model hint; their vectors are sound."""
    path = gguf(tmp_path / "a.gguf", {0: np.ones(2), 1: np.ones(2)}, keys={})
    assert list(read_foreign(path, "gguf", "post").vectors) == [0, 1]
    assert "no controlvector.model_hint, which repeng writes" in refusal(read_foreign, path, "repeng")
    value = {"directions": {"1": [[1.0, 2.0]]}}
    (tmp_path / "a.svec").write_text(json.dumps(value))
    assert list(read_foreign(tmp_path / "a.svec", "svec", "post").vectors) == [1]
