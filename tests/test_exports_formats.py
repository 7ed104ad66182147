"""Exported files mean what `clens steer` means: read by other code, their vectors give the logits of our own hooks."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_pairs import refusal
from full_disk import full_disk
from handed_over import config_only, directions_of, parse_gguf
from huggingface_hub import constants
from tiny_models import BLOCKS, plain_model, put_in_cache, save_model

from creativity_lens.directions import Directions
from creativity_lens.dosing import Chosen, dose
from creativity_lens.errors import InputError
from creativity_lens.exports import FORMATS, export
from creativity_lens.models import load_model
from creativity_lens.steering import edit_table, steered

NAMES = {
    "gguf": "a.gguf", "svec": "a.svec", "lm-eval": "a.pt", "steering-vectors": "b.pt", "npz": "a.npz", "json": "a.json",
    "snippet": "a.py", "vllm": "v.json", "hub": "hub", "ds4": "a.f32",
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    return {kind: save_model(tmp_path_factory.mktemp(kind), kind) for kind in ("llama", "gpt2", "neox")}


@pytest.fixture
def llama(tmp_path) -> Directions:
    return directions_of(config_only(tmp_path / "llama"))


def read_back(to: str, path: Path, blocks: str) -> dict[int, np.ndarray]:
    """Vectors by our layer, as each reader's own description says they act."""
    if to == "gguf":
        _, tensors, _ = parse_gguf(path.read_bytes())
        return {int(name.removeprefix("direction.")): numbers for name, (_, _, numbers) in tensors.items()}
    if to == "svec":
        held = json.loads(path.read_text())["directions"]
        return {int(key): np.array(value, np.float32) for key, value in held.items()}
    if to == "lm-eval":
        held = torch.load(path, weights_only=True)
        assert all(
            set(entry) >= {"steering_vector", "steering_coefficient", "action", "bias"} for entry in held.values()
        )
        assert {(e["action"], e["bias"], e["head_index"]) for e in held.values()} == {("add", None, None)}
        assert {tuple(entry["steering_vector"].shape) for entry in held.values()} == {(1, 32)}
        return {
            int(point.removeprefix(f"{blocks}.")): (e["steering_coefficient"] * e["steering_vector"])[0].numpy()
            for point, e in held.items()
        }
    if to == "steering-vectors":
        held = torch.load(path, weights_only=True)
        assert set(held) == {"layer_activations", "layer_type"}
        assert held["layer_type"] == "decoder_block"
        return {layer: vector.numpy() for layer, vector in held["layer_activations"].items()}
    if to == "npz":
        with np.load(path, allow_pickle=False) as archive:
            held = archive["vectors"]
        assert held.dtype == np.float32
        assert held.shape == (3, 32)
        return {layer: row for layer, row in enumerate(held) if row.any()}
    if to == "json":
        held = json.loads(path.read_text())
        return {held["layer"]: np.array(held["vector"], np.float32)}
    held = json.loads(path.read_text())
    assert all(set(spec) == {"op", "value"} and spec["op"] == "add" for spec in held.values())
    return {int(hook.split(".")[1]): np.array(spec["value"], np.float32) for hook, spec in held.items()}


READABLE = ("gguf", "svec", "lm-eval", "steering-vectors", "npz", "vllm")


@pytest.mark.parametrize("kind", ["llama", "gpt2", "neox"])
def test_every_format_gives_the_logits_of_our_own_hooks(folders, kind, tmp_path):
    """The reference is plain transformers with hooks of torch on the modules that the files name."""
    folder = folders[kind]
    directions = directions_of(folder)
    model, plain = load_model(folder), plain_model(folder)
    ids = torch.randint(2, 4096, (1, 9), generator=torch.Generator().manual_seed(0))
    edits = dose(directions, "1-2", 0.4)
    with steered(model, edit_table([edits], model)):
        ours = model.forward(ids)
    unsteered = model.forward(ids)
    blocks = BLOCKS[kind].split(".", 1)[1]
    for to in READABLE:
        made = export(directions, to, tmp_path / NAMES[to], layers="1-2", scale=0.4)
        vectors = read_back(to, made.path, blocks)
        assert set(vectors) == {1, 2}
        for edit in edits:
            assert np.array_equal(vectors[edit.layer], edit.vector.numpy()), f"{to}: equal to the last bit"
        handles = [
            plain.get_submodule(f"{BLOCKS[kind]}.{layer}").register_forward_hook(add(torch.from_numpy(vector)))
            for layer, vector in vectors.items()
        ]
        with torch.no_grad():
            theirs = plain(ids).logits
        for handle in handles:
            handle.remove()
        assert torch.allclose(theirs, ours, atol=1e-4), to
        assert (theirs - unsteered).abs().max() > 0.1, "the control: the push moves the logits"


def add(vector):
    def hook(module, inputs, output):
        hidden = output[0] if isinstance(output, tuple) else output
        return (hidden + vector, *output[1:]) if isinstance(output, tuple) else hidden + vector

    return hook


def test_a_layer_off_by_one_would_be_seen(folders, tmp_path):
    """The control of the test above: the same vector one block later gives other logits."""
    plain, directions = plain_model(folders["llama"]), directions_of(folders["llama"])
    ids = torch.arange(5, 14)[None]
    vector = torch.from_numpy(
        read_back("gguf", export(directions, "gguf", tmp_path / "a.gguf", layers=[1], scale=0.4).path, "")[1]
    )
    logits = []
    for layer in (1, 2):
        handle = plain.model.layers[layer].register_forward_hook(add(vector))
        with torch.no_grad():
            logits.append(plain(ids).logits)
        handle.remove()
    assert (logits[0] - logits[1]).abs().max() > 0.01


def test_activation_steering_counts_the_inputs_of_blocks(llama, tmp_path):
    made = export(llama, "svec", tmp_path / "a.svec", layers="0-1", scale=0.2, dialect="activation-steering")
    held = json.loads(made.path.read_text())
    plain = json.loads(export(llama, "svec", tmp_path / "b.svec", layers="0-1", scale=0.2).path.read_text())
    assert list(held["directions"]) == ["1", "2"]
    assert list(plain["directions"]) == ["0", "1"]
    assert list(held["directions"].values()) == list(plain["directions"].values())
    assert set(held["explained_variances"]) == {"1", "2"}
    assert held["model_type"] == "llama"
    assert "behavior_layer_ids=[1, 2]" in made.usage
    message = refusal(
        lambda: export(llama, "svec", tmp_path / "c.svec", layers=[2], scale=1.0, dialect="activation-steering")
    )
    assert message.startswith("layer 2: activation-steering adds at the input of a block, and after the last")


@pytest.mark.parametrize(
    ("kind", "path"),
    [("llama", "layers"), ("gpt2", "h"), ("gpt_neox", "layers"), ("opt", "decoder.layers"), ("mixtral", "layers")],
)
def test_hookpoints_are_looked_up_in_the_model(tmp_path, kind, path):
    """Also where the list lies deeper, and in a mixture of as many experts as blocks."""
    directions = directions_of(config_only(tmp_path / kind, kind))
    made = export(directions, "lm-eval", tmp_path / "a.pt", layers=[1], scale=0.1)
    assert list(torch.load(made.path, weights_only=True)) == [f"{path}.1"]


def test_torch_files_hold_no_code(llama, tmp_path):
    """What a pickle may call: tensors are rebuilt and nothing else; nothing of this package is named."""
    for to in ("lm-eval", "steering-vectors"):
        made = export(llama, to, tmp_path / NAMES[to], layers=[1], scale=0.1)
        with zipfile.ZipFile(made.path) as archive:
            (pickle,) = [archive.read(name) for name in archive.namelist() if name.endswith("data.pkl")]
        assert b"creativity_lens" not in pickle
        assert b"numpy" not in pickle


# -- the dose, and what is recorded ----------------------------------------------------------------------------------


def test_several_layers_share_the_dose_and_scale_is_what_one_stands_for(llama, tmp_path):
    one = read_back("npz", export(llama, "npz", tmp_path / "1.npz", layers=[1], scale=0.3).path, "")
    three = read_back("npz", export(llama, "npz", tmp_path / "3.npz", layers="0-2", scale=0.3).path, "")
    assert np.linalg.norm(one[1]) == pytest.approx(0.3 * 20)
    assert [np.linalg.norm(three[layer]) for layer in (0, 1, 2)] == pytest.approx([1.0, 2.0, 3.0])
    assert np.allclose(3 * three[1], one[1])


def test_a_run_brings_its_layer_strength_and_notes(llama, tmp_path):
    chosen = Chosen(llama, 2, 0.25, "runs/x", {"verdict": {"outcome": "steers"}}, ("a note.",))
    made = export(chosen, "json", tmp_path / "a.json")
    held = json.loads(made.path.read_text())
    assert (made.layers, made.strength, made.notes) == ((2,), 0.25, ("a note.",))
    assert (held["layer"], held["strength"], held["strengths"]) == (2, 0.25, [0.25])
    assert np.linalg.norm(held["vector"]) == pytest.approx(0.25 * 30)
    assert export(chosen, "json", tmp_path / "b.json", layers=[1], scale=0.1).notes == (), "no default was used"
    llama.save(tmp_path / "d.safetensors")
    assert export(tmp_path / "d.safetensors", "json", tmp_path / "c.json").strength == 0.1


def test_layers_and_strength_are_recorded_wherever_a_format_holds_metadata(llama, tmp_path):
    records = {}
    for to in ("gguf", "svec", "lm-eval", "npz", "json"):
        path = export(llama, to, tmp_path / NAMES[to], layers=[1], scale=0.3).path
        if to == "gguf":
            prefix = "controlvector.clens."
            metadata, _, _ = parse_gguf(path.read_bytes())
            records[to] = {key.removeprefix(prefix): v for key, v in metadata.items() if key.startswith(prefix)}
        elif to == "lm-eval":
            records[to] = json.loads(torch.load(path, weights_only=True)["layers.1"]["clens"])
        elif to == "npz":
            records[to] = json.loads((tmp_path / "a.npz.meta.json").read_text())
        else:
            held = json.loads(path.read_text())
            records[to] = held["clens"] if to == "svec" else held
    for to, record in records.items():
        assert record["layers"] == [1], to
        assert record["strength"] == 0.3, to
        assert record["strengths"] == [pytest.approx(0.3)], to
        assert record["residual_norms"] == [20.0], to
        assert record["sign"] == "positive is more creative", to
        assert record["model"] == "llama", "a folder's name, never its path"
        assert record["config_hash"] == llama.source.config_hash, to
    assert records["svec"]["dialect"] == "aisteer360"
    assert not any(str(tmp_path).encode() in (tmp_path / NAMES[to]).read_bytes() for to in records)


def test_gguf_by_an_independent_parser(llama, tmp_path):
    made = export(llama, "gguf", tmp_path / "a.gguf", layers="1-2", scale=0.4)
    data = made.path.read_bytes()
    metadata, tensors, version = parse_gguf(data)
    assert version == 3
    assert metadata["general.architecture"] == "controlvector"
    assert metadata["controlvector.model_hint"] == "llama"
    assert metadata["controlvector.layer_count"] == 2
    own = set(metadata) - {"general.architecture", "controlvector.model_hint", "controlvector.layer_count"}
    assert all(key.startswith("controlvector.clens.") for key in own)
    assert {name: (shape, kind) for name, (shape, kind, _) in tensors.items()} == {
        "direction.1": ((32,), 0),
        "direction.2": ((32,), 0),
    }
    assert len(data) % 32 == 0


def test_ds4_takes_one_shape_and_one_hook(llama, tmp_path):
    said = refusal(lambda: export(llama, "ds4", tmp_path / "a.f32", layers=[1], scale=0.1))
    assert said.startswith(
        "ds4: expected a model of 43 layers and width 4096, the only one its reader takes; got 3 and 32."
    )
    vectors = torch.nn.functional.normalize(torch.ones(2, 4096), dim=-1)
    large = replace(
        llama, vectors=vectors, centers=torch.zeros(2, 4096), layers=(3, 42), gaps=torch.ones(2),
        residual_norms=torch.ones(2), n_layers=43,
    )  # fmt: skip
    said = refusal(lambda: export(large, "ds4", tmp_path / "a.f32", layers=[3], scale=0.1))
    assert "expected a direction taken at hook_mlp_out" in said
    fits = replace(large, source=replace(large.source, hook="hook_mlp_out"))
    made = export(fits, "ds4", tmp_path / "a.f32", layers=[3, 42], scale=0.1)
    value = np.frombuffer(made.path.read_bytes(), "<f4").reshape(43, 4096)
    assert made.path.stat().st_size == 704_512
    assert [row for row in range(43) if value[row].any()] == [3, 42]
    assert np.array_equal(value[42], vectors[1].numpy()), "unit length: its reader projects"


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"to": "ggfu"}, "snippet, vllm, hub, ds4; got 'ggfu'. Did you mean 'gguf'?"),
        ({"layers": "0-1"}, "layer 0: a GGUF control vector cannot act after block 0"),
        ({"to": "hub", "out": "hub", "layers": "0-1"}, "layer 0: a GGUF control vector cannot act after block 0"),
        ({"layers": "2-5"}, "layers: expected 0 to 2 for them, got 5."),
        ({"scale": 0.0}, "--scale 0.0: expected a strength above 0"),
        ({"scale": -1.0}, "the other way, use the file at a negative scale"),
        ({"scale": float("nan")}, "--scale nan: expected a strength above 0"),
        ({"scale": 1e39}, "layer 1: expected finite numbers, got a vector with NaN or infinity"),
        ({"scale": 1e-60}, "layer 1: expected a vector to add, got one of zeros"),
        ({"dialect": "aisteer360"}, "--dialect aisteer360: expected only with --to svec"),
        ({"to": "svec", "out": "a.svec", "dialect": "aisteer"}, "Did you mean 'aisteer360'?"),
        ({"to": "svec"}, "expected a name that ends in .svec, as --to svec needs."),
        ({"to": "lm-eval"}, "expected a name that ends in .pt or .pth"),
        ({"to": "snippet"}, "expected a name that ends in .py"),
        ({"to": "json", "layers": "1-2"}, "layers 1-2: a JSON file holds one direction; name one layer"),
        ({"out": "."}, "expected the name of a file to write, got a folder"),
        ({"out": "none/a.gguf"}, "cannot be written (No such file or directory)"),
        ({"out": "n" * 300}, "cannot be looked at (File name too long)"),
        ({"scale": None}, "layers, scale: expected both for directions in memory"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused_and_nothing_is_left(llama, tmp_path, options, said):
    given = {"to": "gguf", "out": "a.gguf", "layers": [1], "scale": 0.3, **options}
    target = tmp_path / "empty"
    target.mkdir()
    message = refusal(lambda: export(llama, given.pop("to"), target / given.pop("out"), **given))
    assert said in message
    assert list(target.iterdir()) == []


def test_an_existing_file_is_kept_unless_forced(llama, tmp_path):
    for to in FORMATS:
        if to in ("hub", "ds4"):
            continue
        path = tmp_path / NAMES[to]
        path.write_text("mine")
        message = refusal(lambda to=to, path=path: export(llama, to, path, layers=[1], scale=0.1))
        assert message == f"{path}: exists; choose another name or add --force."
        assert path.read_text() == "mine"
        export(llama, to, path, layers=[1], scale=0.1, force=True)
        assert path.read_bytes() != b"mine"
        path.unlink()
    sidecar = tmp_path / "b.npz.meta.json"
    sidecar.write_text("mine")
    assert "meta.json: exists" in refusal(lambda: export(llama, "npz", tmp_path / "b.npz", layers=[1], scale=0.1))
    assert sidecar.read_text() == "mine"


def test_a_full_disk_leaves_nothing(llama, tmp_path):
    for to in ("gguf", "lm-eval", "steering-vectors", "npz", "json", "svec"):
        with full_disk(after=100):
            message = refusal(lambda to=to: export(llama, to, tmp_path / NAMES[to], layers=[1], scale=0.1))
        assert "could not be written" in message, to
        assert not (tmp_path / NAMES[to]).exists()
        assert not list(tmp_path.glob(".*partial"))


def test_the_model_must_be_known_and_the_same(llama, tmp_path):
    other = config_only(tmp_path / "other", "gpt2")
    message = refusal(lambda: export(llama, "gguf", tmp_path / "a.gguf", layers=[1], scale=0.1, model=other))
    assert "is not the one that the directions were measured with" in message
    moved = replace(llama, source=replace(llama.source, model=str(tmp_path / "gone")))
    message = refusal(lambda: export(moved, "gguf", tmp_path / "a.gguf", layers=[1], scale=0.1))
    assert "no such folder" in message
    assert message.endswith("Name it with --model.")
    made = export(moved, "gguf", tmp_path / "a.gguf", layers=[1], scale=0.1, model=tmp_path / "llama")
    assert parse_gguf(made.path.read_bytes())[0]["controlvector.model_hint"] == "llama"
    on_hub = replace(llama, source=replace(llama.source, model="nobody/nothing"))
    message = refusal(lambda: export(on_hub, "gguf", tmp_path / "b.gguf", layers=[1], scale=0.1))
    assert "nobody/nothing: expected its config.json on this machine" in message
    for to in ("npz", "json", "steering-vectors"):
        export(on_hub, to, tmp_path / f"x-{NAMES[to]}", layers=[1], scale=0.1)  # they name no model
    with pytest.raises(InputError, match="is not the one"):
        export(llama, "npz", tmp_path / "z.npz", layers=[1], scale=0.1, model=other)


def test_a_model_of_the_hub_is_found_in_its_cache_at_its_revision(llama, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    other = config_only(tmp_path / "newer", vocab_size=65)
    put_in_cache(tmp_path / "cache", "some/model", tmp_path / "llama", commit="a" * 40)
    put_in_cache(tmp_path / "cache", "some/model", other, commit="b" * 40)
    on_hub = replace(llama, source=replace(llama.source, model="some/model", revision="a" * 40))
    made = export(on_hub, "gguf", tmp_path / "a.gguf", layers=[1], scale=0.1)
    metadata, _, _ = parse_gguf(made.path.read_bytes())
    assert metadata["controlvector.clens.model"] == "some/model"
    assert metadata["controlvector.clens.revision"] == "a" * 40
    newer = replace(on_hub, source=replace(on_hub.source, revision="b" * 40))
    message = refusal(lambda: export(newer, "gguf", tmp_path / "b.gguf", layers=[1], scale=0.1))
    assert "is not the one that the directions were measured with" in message


def test_a_config_without_a_kind_or_of_no_kind_is_refused(tmp_path):
    folder = config_only(tmp_path / "odd", model_type="nothing-known")
    directions = directions_of(folder)
    message = refusal(lambda: export(directions, "lm-eval", tmp_path / "a.pt", layers=[1], scale=0.1))
    assert "transformers cannot build it" in message
    (folder / "config.json").write_text(json.dumps({"hidden_size": 32, "num_hidden_layers": 3}))
    message = refusal(lambda: export(directions_of(folder), "gguf", tmp_path / "a.gguf", layers=[1], scale=0.1))
    assert "expected a model_type in its config.json" in message
