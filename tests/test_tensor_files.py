"""What is read back is what was written, or nothing: every flipped byte and every truncation is found."""

import stat
from pathlib import Path

import pytest
import torch
from fake_pairs import refusal
from full_disk import full_disk
from safetensors import safe_open
from safetensors.torch import save_file

from creativity_lens.errors import InputError
from creativity_lens.files import data_folder
from creativity_lens.tensor_files import load_tensors, save_tensors

TENSORS = {"means": torch.arange(6.0).reshape(2, 3) / 7, "norms": torch.tensor([-0.0, 1e-42])}
METADATA = {"layers": "[0, 3]", "who": "ü \u2028"}


def load(path: Path, *, form: str = "test 1"):
    return load_tensors(path, tuple(TENSORS), form=form, what="test tensors")


@pytest.fixture
def path(tmp_path) -> Path:
    save_tensors(tmp_path / "a.safetensors", TENSORS, METADATA, form="test 1")
    return tmp_path / "a.safetensors"


def test_round_trip_is_bit_equal(path):
    tensors, metadata = load(path)
    assert metadata == {**METADATA, "format": "test 1"}
    for name, tensor in TENSORS.items():
        assert tensors[name].numpy().tobytes() == tensor.numpy().tobytes()
        assert tensors[name].shape == tensor.shape


def test_no_flipped_byte_and_no_truncation_gives_other_numbers(path):
    whole = path.read_bytes()
    spoilt = [whole[:length] for length in range(0, len(whole), 5)] + [whole[:-1], whole + b"\0"]
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        spoilt.append(bytes(changed))
    for data in spoilt:
        path.write_bytes(data)
        with pytest.raises(InputError):
            load(path)


def test_same_bytes_in_another_shape_are_found(path, tmp_path):
    _, metadata = load(path)
    with safe_open(path, framework="pt") as file:
        metadata["checksum"] = file.metadata()["checksum"]
    save_file({**TENSORS, "means": TENSORS["means"].reshape(3, 2)}, tmp_path / "turned", metadata)
    assert "checksum does not match" in refusal(load, tmp_path / "turned")
    save_file(TENSORS, tmp_path / "same", metadata)
    load(tmp_path / "same")


def test_views_of_shared_memory_and_gradients_can_be_written(tmp_path):
    table = torch.arange(12.0).reshape(4, 3)
    save_tensors(tmp_path / "a", {"means": table[1:3], "norms": table[2].requires_grad_()}, {}, form="test 1")
    found, _ = load(tmp_path / "a")
    assert torch.equal(found["means"], torch.tensor([[3.0, 4.0, 5.0], [6.0, 7.0, 8.0]]))
    assert torch.equal(found["norms"], torch.tensor([6.0, 7.0, 8.0]))
    save_tensors(tmp_path / "a", {"means": table.detach().T, "norms": table.detach()[:, 1]}, {}, form="test 1")
    found, _ = load(tmp_path / "a")
    assert torch.equal(found["means"], torch.arange(12.0).reshape(4, 3).T)
    assert torch.equal(found["norms"], torch.tensor([1.0, 4.0, 7.0, 10.0]))


def test_loaded_tensors_are_no_view_of_the_file(path):
    tensors, _ = load(path)
    path.write_bytes(bytes(path.stat().st_size))  # in place: a mapped tensor would turn to zeros
    assert torch.equal(tensors["means"], TENSORS["means"])


def test_permissions_are_those_of_any_other_file(path, tmp_path):
    (tmp_path / "other").write_text("x")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_full_disk_is_one_line_and_keeps_the_old_file(path):
    before = path.read_bytes()
    with full_disk(after=4000):
        message = refusal(lambda: save_tensors(path, {"means": torch.zeros(5000)}, {}, form="test 1"))
    assert "could not be written (" in message
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_other_files_are_refused_by_name(path, tmp_path):
    save_file({"means": torch.zeros(2), "norms": torch.zeros(2)}, tmp_path / "foreign", {"format": "pt"})
    save_file({"x": torch.zeros(2)}, tmp_path / "bare")
    save_file({name: torch.zeros(2).half() for name in TENSORS}, tmp_path / "half", {"format": "test 1"})
    save_file({name: torch.zeros(2) for name in TENSORS}, tmp_path / "unsealed", {"format": "test 1"})
    save_tensors(tmp_path / "others", {"x": torch.zeros(2)}, {}, form="test 1")
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("not tensors at all, and long enough to have a header")
    (tmp_path / "folder").mkdir()
    reasons = {
        tmp_path / "foreign": "expected test tensors of format 'test 1', got a safetensors file of format 'pt'.",
        tmp_path / "bare": "got a safetensors file of format 'none'.",
        tmp_path / "half": "damaged or not a safetensors file; expected test tensors.",
        tmp_path / "unsealed": "damaged (its checksum does not match); expected test tensors as they were written.",
        tmp_path / "others": "got a safetensors file of other tensors.",
        tmp_path / "empty": "damaged or not a safetensors file; expected test tensors.",
        tmp_path / "text": "damaged or not a safetensors file; expected test tensors.",
        tmp_path / "folder": "expected test tensors, got a folder.",
        tmp_path / "none": "no such file; expected test tensors.",
        tmp_path / ("n" * 300): "cannot be read (File name too long); expected test tensors.",
        tmp_path / "nul\0": "null byte); expected test tensors.",
    }
    for place, reason in reasons.items():
        message = refusal(load, place)
        assert message.endswith(reason), (place, message)
    assert "got a safetensors file of format 'test 1'" in refusal(lambda: load(path, form="test 2"))


def test_a_foreign_file_is_refused_before_its_tensors_are_read(monkeypatch):
    weights = data_folder() / "pocket" / "chat" / "model.safetensors"
    monkeypatch.setattr(torch.Tensor, "clone", lambda _: pytest.fail("a tensor was read"))
    assert "got a safetensors file of format" in refusal(load, weights)
