"""Files are written whole or not at all, read with a plain reason, and hashed without ambiguity."""

import errno
import hashlib
import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_pairs import refusal
from full_disk import full_disk

from creativity_lens import files
from creativity_lens.errors import InputError
from creativity_lens.files import (
    cache_folder,
    data_folder,
    read_text,
    sha256_of,
    sha256_text,
    whole_file,
    write_json,
    write_text,
    write_with,
)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# -- written whole -------------------------------------------------------------------------------------------------


def test_new_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "run.json"
    with whole_file(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == tmp_path, "a rename is atomic only inside one file system"
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert left_in(tmp_path) == ["run.json"]


@pytest.mark.parametrize("error", [RuntimeError("inside"), KeyboardInterrupt()])
def test_exception_keeps_the_old_file_and_leaves_nothing(tmp_path, error):
    path = tmp_path / "run.json"
    path.write_text("old")

    def fail():
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert path.read_text() == "old"
    assert left_in(tmp_path) == ["run.json"]


def test_reader_that_has_the_old_file_open_keeps_it(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with path.open() as reader:
        write_text(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_flushed_before_it_is_renamed(tmp_path, monkeypatch):
    order = []
    real_sync, real_replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append("flush"), real_sync(handle)))
    monkeypatch.setattr(Path, "replace", lambda self, to: (order.append("rename"), real_replace(self, to)))
    write_text(tmp_path / "a", "x")
    assert order == ["flush", "rename"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_permissions_follow_the_umask_also_after_a_writer_that_replaces_the_file(tmp_path, umask, mode):
    def replace(path):
        path.unlink()
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))

    before = os.umask(umask)
    try:
        write_text(tmp_path / "plain", "x")
        write_with(tmp_path / "replaced", replace)
        assert os.umask(umask) == umask, "the process's own umask is left alone"
    finally:
        os.umask(before)
    for name in ("plain", "replaced"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode, name


def test_full_disk_is_one_line_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "texts.json"
    path.write_text("old")
    with full_disk(after=1000):
        message = refusal(write_text, path, "x" * 5000)
    assert message.startswith(f"{path}: could not be written (")
    assert message.endswith("nothing was changed.")
    assert path.read_text() == "old"
    assert left_in(tmp_path) == ["texts.json"]


def test_read_only_folder_is_one_line(tmp_path, monkeypatch):
    def refuse(*_args, **_options):  # root may write anywhere, so the refusal is made
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(files.os, "open", refuse)
    assert refusal(write_text, tmp_path / "a", "x") == (
        f"{tmp_path / 'a'}: cannot be written (Permission denied); choose another place."
    )
    assert left_in(tmp_path) == []


def test_error_without_a_reason_of_the_system_still_has_one(tmp_path):
    def fail(_path):
        raise OSError("the writer's own words\nin two lines")

    assert "(the writer's own words\\nin two lines)" in refusal(write_with, tmp_path / "a", fail)


def test_places_that_cannot_hold_a_file_are_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    places = {
        tmp_path: "got a folder",
        tmp_path / "none" / "a": "No such file or directory",
        tmp_path / "file" / "a": "Not a directory",
        tmp_path / ("n" * 300): "File name too long",
        tmp_path / "nul\0": "null byte",
        tmp_path / "pipe": "a device or a pipe",
        Path(os.devnull): "a device or a pipe",  # root's rename would replace it for the whole machine
    }

    def never(_path):
        pytest.fail("the work began")

    for place, reason in places.items():
        assert reason in refusal(write_with, place, never), place
    assert left_in(tmp_path) == ["file", "pipe"]
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_the_longest_possible_name_can_be_written(tmp_path):
    write_text(tmp_path / ("ä" * 127), "x")
    assert left_in(tmp_path) == ["ä" * 127]


def test_text_is_written_as_it_is(tmp_path):
    write_text(tmp_path / "a", "a\r\nb\n\u2028ü")
    assert (tmp_path / "a").read_bytes() == b"a\r\nb\n\xe2\x80\xa8\xc3\xbc"


# -- JSON ----------------------------------------------------------------------------------------------------------


def test_json_keeps_order_and_knows_numbers_of_numpy_and_torch(tmp_path):
    value = {
        "z": np.float32(0.5), "a": torch.tensor(2), "rows": np.arange(3), "vector": torch.tensor([0.25, float("nan")]),
        "flag": np.bool_(True), 7: (1, float("inf")), "deep": [{"x": -float("inf")}], "none": None, "text": "ü\u2028",
    }  # fmt: skip
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")

    def refuse(name):
        pytest.fail(f"{name} is no JSON")

    found = json.loads(text, parse_constant=refuse)
    assert found == {
        "z": 0.5, "a": 2, "rows": [0, 1, 2], "vector": [0.25, None], "flag": True, "7": [1, None], "none": None,
        "deep": [{"x": None}], "text": "ü\u2028",
    }  # fmt: skip
    assert list(found) == ["z", "a", "rows", "vector", "flag", "7", "deep", "none", "text"]
    assert isinstance(found["a"], int)
    assert text.endswith("}\n")


def test_json_survives_a_lone_surrogate(tmp_path):
    """The bytes of a file name that is not UTF-8 reach Python as surrogates, and the command line is recorded."""
    write_json(tmp_path / "a.json", {"command": "clens --pairs \udcff.jsonl"})
    assert json.loads((tmp_path / "a.json").read_bytes().decode()) == {"command": "clens --pairs \udcff.jsonl"}


# -- read ----------------------------------------------------------------------------------------------------------


def test_byte_order_mark_and_line_ends(tmp_path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfa\r\nb")
    assert read_text(tmp_path / "a", "x") == "a\r\nb"


def test_what_cannot_be_read_says_why(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "binary").write_bytes(b"PK\x03\x04\0\0")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    places = {
        tmp_path: "expected the pairs file, got a folder.",
        tmp_path / "none": "no such file; expected the pairs file.",
        tmp_path / "file" / "a": "cannot be read (Not a directory); expected the pairs file.",
        tmp_path / ("n" * 300): "cannot be read (File name too long); expected the pairs file.",
        tmp_path / "nul\0": "null byte); expected the pairs file.",
        tmp_path / "loop": "cannot be read (Too many levels of symbolic links); expected the pairs file.",
        tmp_path / "binary": "expected the pairs file as UTF-8 text, got a binary file.",
    }
    for place, reason in places.items():
        message = refusal(read_text, place, "the pairs file")
        assert message.endswith(reason), (place, message)
        assert str(tmp_path) in message


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_not_utf8_names_line_and_byte(tmp_path, mark):
    path = tmp_path / "latin1"
    path.write_bytes(mark + b"a\n\xe4\nb\n")
    message = refusal(read_text, path, "x")
    assert message == f"{path}:2: not UTF-8 (byte {len(mark) + 2}); save the file as UTF-8."


# -- hashes and places ---------------------------------------------------------------------------------------------


def test_hashes(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"x" * 100_000).hexdigest()
    parts = [("ab", "c"), ("a", "bc"), ("abc",), ("", "abc"), ("abc", ""), ("ab", "c", ""), ("\ud800",), ("?",)]
    assert len({sha256_text(*each) for each in parts}) == len(parts)
    assert sha256_text("ab", "c") == sha256_text("ab", "c")


def test_data_folder_holds_the_pairs():
    assert (data_folder() / "contrastive_pairs" / "pairs.jsonl").is_file()


def test_cache_folder_follows_the_environment_and_is_not_made(tmp_path, monkeypatch):
    monkeypatch.setenv("CLENS_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    assert not cache_folder().exists()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLENS_CACHE", "~/here")
    assert cache_folder() == tmp_path / "here"
    monkeypatch.setenv("CLENS_CACHE", "")
    assert cache_folder().name == "creativity-lens"


def test_input_error_inside_passes_as_it_is(tmp_path):
    def fail(_path):
        raise InputError("its own words")

    assert refusal(write_with, tmp_path / "a", fail) == "its own words"
