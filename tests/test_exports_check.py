"""`--check` replays the readers' own rules: what they would turn down is found, and said in one line each."""

import io
import json
import struct

import numpy as np
import pytest
from fake_pairs import refusal
from handed_over import config_only, directions_of, make_gguf

from creativity_lens.exports import export
from creativity_lens.exports.check import CHECKS, check_file
from creativity_lens.exports.host import load_host

ONE = [0.5, -1.0, 2.0]
KEYS = {"general.architecture": "controlvector", "controlvector.model_hint": "llama", "controlvector.layer_count": 1}
TWO = KEYS | {"controlvector.layer_count": 2}


def said(path, to, data) -> list[str]:
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return [problem.said for problem in check_file(path, to).problems]


@pytest.mark.parametrize("to", ["gguf", "svec", "npz", "json", "vllm"])
def test_what_we_write_passes(tmp_path, to):
    directions = directions_of(config_only(tmp_path / "llama"))
    path = tmp_path / {"svec": "a.svec"}.get(to, f"a.{to}")
    export(directions, to, path, layers=[1], scale=0.3)
    found = check_file(path, to, load_host(tmp_path / "llama"))
    assert found.problems == ()
    assert list(found.vectors) == [1]
    assert found.width == 32
    assert found.norms()[1] == pytest.approx(0.3 * 20)
    assert found.vectors[1].dtype == np.float32


def test_the_independent_writer_passes(tmp_path):
    """The control of the next test: each of its files has one fault more than this one."""
    assert said(tmp_path / "a", "gguf", make_gguf({"direction.3": ONE}, keys=KEYS)) == []
    assert said(tmp_path / "a", "gguf", make_gguf({"direction.3": ONE}, keys=KEYS, version=2)) == []
    assert (
        said(
            tmp_path / "a",
            "gguf",
            make_gguf({"direction.3": ONE, "direction.1": ONE}, keys={**KEYS, "controlvector.layer_count": 2}),
        )
        == []
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (make_gguf({"direction.x": ONE}, keys=KEYS), "llama.cpp: tensor 'direction.x': expected only names"),
        (make_gguf({"blk.0.weight": ONE}, keys=KEYS), "llama.cpp: tensor 'blk.0.weight': expected only names"),
        (make_gguf({"direction.3.1": ONE}, keys=KEYS), "llama.cpp reads a number as far as it goes"),
        (make_gguf({"direction.-3": ONE}, keys=KEYS), "llama.cpp: tensor 'direction.-3': expected only names"),
        (make_gguf({"direction.": ONE}, keys=KEYS), "llama.cpp: tensor 'direction.': expected only names"),
        (make_gguf({"direction.2000000": ONE}, keys=KEYS), "N from 1 to 4,096; the whole file is rejected."),
        (make_gguf({"direction.0": ONE}, keys=KEYS), "llama.cpp: direction.0: N counts from 1"),
        (make_gguf({"direction.03": ONE}, keys=KEYS), "a number with zeros in front"),
        (make_gguf({"direction.3": ONE}, keys=KEYS, kinds={"direction.3": 1}), "is not F32 (type 1)"),
        (make_gguf({"direction.3": ONE}, keys=KEYS, kinds={"direction.3": 28}), "is not F32 (type 28)"),
        (
            make_gguf({"direction.3": [1.0] * 4}, keys=KEYS, shapes={"direction.3": (2, 2)}),
            "llama.cpp: tensor 'direction.3' has shape (2, 2), expected one dimension.",
        ),
        (
            make_gguf({"direction.3": ONE}, keys=KEYS, shapes={"direction.3": (3, 1)}),
            "repeng: tensor 'direction.3' has shape (3, 1), expected one dimension.",
        ),
        (
            make_gguf({"direction.3": ONE, "direction.4": ONE[:2]}, keys=KEYS),
            "widths differ: direction.3 has 3, direction.4 has 2; readers refuse it.",
        ),
        (make_gguf({"direction.3": [1.0, float("nan")]}, keys=KEYS), "direction.3: NaN or infinity"),
        (make_gguf({"direction.3": [0.0, 0.0]}, keys=KEYS), "direction.3: only zeros, which push nowhere."),
        (make_gguf({}, keys=KEYS), "llama.cpp and repeng: it holds no direction.N"),
        (make_gguf({"direction.3": ONE}, keys={}), "repeng and EasySteer: no controlvector.model_hint"),
        (
            make_gguf({"direction.3": ONE}, keys={**KEYS, "controlvector.layer_count": 7}),
            "controlvector.layer_count says 7, the file holds 1: one is wrong.",
        ),
        (make_gguf({"direction.3": ONE}, keys=KEYS)[:-20], "llama.cpp: the file ends before the padding"),
        (make_gguf({"d" * 64: ONE}, keys=KEYS), "has a name of more than 63 bytes"),
    ],
)  # fmt: skip
def test_each_rule_of_the_gguf_readers(tmp_path, data, reason):
    problems = said(tmp_path / "a.gguf", "gguf", data)
    assert any(reason in problem for problem in problems), problems
    assert all(problem.isprintable() and len(problem) < 300 for problem in problems)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"GG", "it does not begin with GGUF"),
        (make_gguf({"direction.3": ONE}, magic=b"GGML"), "it does not begin with GGUF"),
        (make_gguf({"direction.3": ONE})[:60], "cut off"),
        (make_gguf({"direction.3": ONE * 100})[:-600], "cut off: tensor 'direction.3' ends at"),
        (make_gguf({"direction.3": ONE}, version=1), "version 1, expected 2 or 3"),
        (make_gguf({"direction.3": ONE}, version=3 << 24), "it is big-endian"),
        (make_gguf({"direction.3": ONE}, count=2_000_000), "it claims 2,000,000 where at most 4,096 tensors"),
        (make_gguf({"direction.3": ONE}, kinds={"direction.3": 999}), "is of unknown type 999"),
        (make_gguf({"direction.3": ONE}, shapes={"direction.3": (2**40,)}), "cut off: tensor"),
        (make_gguf({"direction.3": ONE}, shapes={"direction.3": (3, 1, 1, 1, 1)}), "claims 5 dimensions"),
        (make_gguf({"direction.3": ONE, "direction.4": ONE}, offsets={"direction.4": 0}), "is at 0, expected 32"),
        (make_gguf({"direction.3": ONE}, keys={**KEYS, "general.alignment": 24}), "its alignment is no power of two"),
        (make_gguf({"direction.3": ONE}, keys={"controlvector.model_hint": b"\xff"}), "not UTF-8"),
    ],
)  # fmt: skip
def test_a_damaged_gguf_file_is_no_gguf_file(tmp_path, data, reason):
    path = tmp_path / "a.gguf"
    path.write_bytes(data)
    message = refusal(check_file, path, "gguf")
    assert reason in message
    assert message.startswith(f"{path}: ")
    assert message.endswith("expected a GGUF control vector.")


def test_two_million_tensors_that_are_there(tmp_path):
    """Not only claimed: a file that really lists them is refused by their number."""
    info = struct.pack("<Q", 11) + b"direction.1" + struct.pack("<IQIQ", 1, 1, 0, 0)
    path = tmp_path / "a.gguf"
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 2_000_000, 0) + info * 2_000_000)
    assert "claims 2,000,000" in refusal(check_file, path, "gguf")


def test_many_problems_are_counted(tmp_path):
    problems = said(tmp_path / "a", "gguf", make_gguf({f"blk.{n}": ONE for n in range(20)}, keys=KEYS))
    assert len(problems) == 9
    assert problems[-1] == "and 13 more."


SVEC = {"model_type": "llama", "directions": {"3": ONE}, "explained_variances": {"3": 0.5}}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"directions": {"3": [ONE]}}, None),  # as AISteer360 writes one
        ({"explained_variances": {"3": 0.5, "4": 1}}, None),
        ({"model_type": None}, "both readers: no 'model_type', so they refuse the file."),
        ({"directions": {}}, "both readers: no 'directions' with a list a layer."),
        ({"directions": [ONE]}, "both readers: no 'directions' with a list a layer."),
        ({"directions": {"three": ONE}}, "layer 'three': expected a number from 0 to 4,096."),
        ({"directions": {"2000000": ONE}}, "layer '2000000': expected a number from 0 to 4,096."),
        ({"directions": {"3": ONE, "03": ONE}}, "layer '03': stands twice."),
        ({"directions": {"3": "abc"}}, "layer '3': expected one list of numbers."),
        ({"directions": {"3": [ONE, ONE]}}, "layer '3': expected one list of numbers."),
        ({"directions": {"3": ["1"]}}, "layer '3': expected one list of numbers."),
        ({"directions": {"3": ONE, "4": ONE[:2]}}, "widths differ: layer 3 has 3, layer 4 has 2; readers refuse it."),
        ({"directions": {"3": [1.0, float("nan")]}}, "layer 3: NaN or infinity"),
        ({"directions": {"3": [1.0, 1e300]}}, "layer 3: NaN or infinity"),
        ({"directions": {"3": []}}, "layer 3: only zeros"),
        ({"explained_variances": None}, "activation-steering: no 'explained_variances', so it refuses the file."),
        ({"explained_variances": {}}, "activation-steering: 'explained_variances' lacks a layer."),
        ({"explained_variances": {"3": "x"}}, "'explained_variances' holds what is no number by layer."),
    ],
)
def test_each_rule_of_the_svec_readers(tmp_path, change, reason):
    problems = said(tmp_path / "a.svec", "svec", SVEC | change)
    assert problems == [] if reason is None else any(reason in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"blocks.3.hook_out": {"op": "add", "value": ONE}}, None),
        ({"blocks.3.hook_out": {"op": "add", "value": ONE, "pos": 3}}, None),
        ({"blocks.3.hook_in": {"op": "add", "value": ONE}}, "expected the name of a residual hook, blocks.N.hook_out."),
        ({"blocks.3.hook_out": {"op": "set", "value": ONE}}, 'expected {"op": "add", "value": [..]}.'),
        ({"blocks.3.hook_out": {"op": "add"}}, 'expected {"op": "add", "value": [..]}.'),
        ({"blocks.3.hook_out": {"op": "add", "value": ONE, "note": 1}}, "refuses the unknown key 'note'."),
    ],
)  # fmt: skip
def test_each_rule_of_the_vllm_driver(tmp_path, spec, reason):
    problems = said(tmp_path / "a.json", "vllm", spec)
    assert problems == [] if reason is None else any(reason in problem for problem in problems), problems


def test_the_driver_itself_agrees():
    from transformer_lens.model_bridge.sources.vllm.intervention_specs import validate_spec

    assert validate_spec("blocks.3.hook_out", {"op": "add", "value": ONE}, width=3)
    with pytest.raises(ValueError, match="unknown spec key"):
        validate_spec("blocks.3.hook_out", {"op": "add", "value": ONE, "note": 1}, width=3)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"layer": 3, "vector": ONE}, None),
        ({"layer": 3, "vector": ONE, "n_layers": 8, "d_model": 3}, None),
        ({"vector": ONE}, "expected 'layer', a whole number from 0."),
        ({"layer": True, "vector": ONE}, "expected 'layer', a whole number from 0."),
        ({"layer": -1, "vector": ONE}, "expected 'layer', a whole number from 0."),
        ({"layer": 3}, "expected 'vector', a list of numbers."),
        ({"layer": 3, "vector": ONE, "n_layers": 3}, "do not fit its n_layers 3 and d_model None."),
        ({"layer": 3, "vector": ONE, "d_model": 4}, "do not fit its n_layers None and d_model 4."),
    ],
)
def test_each_rule_of_plain_json(tmp_path, value, reason):
    problems = said(tmp_path / "a.json", "json", value)
    assert problems == [] if reason is None else any(reason in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "not JSON that can be read"),
        (b"[1, 2]", "expected"),
        (b"\xff\xfe{}", "not JSON that can be read"),
        (b"[" * 10_000, "not JSON that can be read"),
        (b'{"directions": {"3": [1, 2,]}}', "a list holds what is no number"),
        (b'{"directions": {"3": [1 2]}}', "a list holds what is no number"),
        (b'{"directions": {"3": [1-2]}}', "a list holds what is no number"),
        (b'{"directions": {"3": [,]}}', "a list holds what is no number"),
        (b'{"x": ' + b"9" * 5000 + b"}", "not JSON that can be read"),
        (b'{"x": "' + b"a" * 100_000 + b'"}', "more than 64 KiB beside its lists of numbers"),
        (b"[" + b"[1]," * 5000 + b"[]]", "more than 4,096 lists of numbers"),
    ],
)
@pytest.mark.parametrize("to", ["svec", "json", "vllm"])
def test_json_that_cannot_be_read(tmp_path, data, reason, to):
    (tmp_path / "a").write_bytes(data)
    assert reason in refusal(check_file, tmp_path / "a", to)


def test_brackets_in_texts_mean_nothing(tmp_path):
    odd = SVEC | {"clens": {"note": 'a [1, 2] and a \\" and a " [3', "dialect": "[1]"}}
    path = tmp_path / "a.svec"
    path.write_text(json.dumps(odd))
    found = check_file(path, "svec")
    assert found.problems == ()
    assert np.array_equal(found.vectors[3], np.array(ONE, np.float32))
    assert found.notes == ("Written in the dialect of [1].",)


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (npz(vectors=np.zeros((3, 2), np.float32)), "all rows are zeros, which push nowhere."),
        (npz(vectors=np.array([[1.0, np.nan]])), "row 0: NaN or infinity"),
        (npz(vectors=np.array([[1.0, 1e300]])), "row 0: NaN or infinity"),
    ],
)
def test_each_rule_of_arrays(tmp_path, data, reason):
    assert any(reason in problem for problem in said(tmp_path / "a.npz", "npz", data))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (npz(a=np.ones((2, 3))), None),
        (npz(a=np.ones((2, 3)), vectors=np.ones((2, 3)), note=np.ones(4)), None),
        (npz(a=np.ones((2, 3), np.float16)), None),
        (npz(a=np.ones((2, 3), ">f8")), None),
        (npz(a=np.ones(3)), "expected one array with two axes, or one named 'vectors', got a (3,)"),
        (npz(a=np.ones((2, 3)), b=np.ones((2, 3))), "got a (2, 3), b (2, 3)"),
        (npz(), "got none"),
        (npz(a=np.ones((2, 3), int)), "numbers of type int64, expected float16, float32 or float64"),
        (npz(a=np.array([["x"]], object)), "it holds pickled objects, which are not read"),
        (npz(a=np.asfortranarray(np.ones((2, 3)))), "stored column by column"),
        (npz(a=np.ones((5000, 1))), "an array of 5,000 rows and 1 columns"),
        (npz(a=np.ones((2, 3)))[:100], "not an archive, or cut off"),
        (b"PK\x05\x06" + b"\0" * 18, "got none"),
        (b"\x93NUMPY" + b"\0" * 100, "not an archive, or cut off"),
    ],
)
def test_what_is_no_archive_of_directions(tmp_path, data, reason):
    path = tmp_path / "a.npz"
    path.write_bytes(data)
    if reason is None:
        assert sorted(check_file(path, "npz").vectors) == [0, 1]
    else:
        assert reason in refusal(check_file, path, "npz")


def test_ds4_is_judged_by_its_size(tmp_path):
    path = tmp_path / "a.f32"
    value = np.zeros((43, 4096), "<f4")
    value[7] = 1
    path.write_bytes(value.tobytes())
    assert list(check_file(path, "ds4").vectors) == [7]
    path.write_bytes(value.tobytes()[:-4])
    assert "expected 704,512 bytes, 43 x 4096 float32 numbers, got 704,508" in refusal(check_file, path, "ds4")
    path.write_bytes(bytes(704_512))
    assert [each.said for each in check_file(path, "ds4").problems] == ["all rows are zeros, which steer nowhere."]


def test_against_a_model(tmp_path):
    host = load_host(config_only(tmp_path / "llama"))  # 3 layers, 32 wide
    path = tmp_path / "a.gguf"
    path.write_bytes(make_gguf({"direction.7": ONE}, keys={**KEYS, "controlvector.model_hint": "gpt2"}))
    problems = [problem.said for problem in check_file(path, "gguf", host).problems]
    assert [problem.split(":")[0] for problem in problems[:2]] == ["width 3", "direction.7"]
    assert "made for model type 'gpt2'" in problems[2]


@pytest.mark.parametrize("to", CHECKS)
def test_what_is_no_file(tmp_path, to):
    assert "no such file" in refusal(check_file, tmp_path / "none", to)
    assert "got a folder" in refusal(check_file, tmp_path, to)
    assert "File name too long" in refusal(check_file, tmp_path / ("n" * 300), to)
    assert "got a device" in refusal(check_file, "/dev/null", to)
    assert "null" in refusal(check_file, "a\0b", to)


def test_what_is_not_checked_says_why(tmp_path):
    assert "never read back" in refusal(check_file, tmp_path / "a.pt", "lm-eval")
    assert "never read back" in refusal(check_file, tmp_path / "a.pt", "steering-vectors")
    assert "check its control_vector.gguf" in refusal(check_file, tmp_path, "hub")
    assert "Did you mean 'gguf'?" in refusal(check_file, tmp_path / "a", "guff")
