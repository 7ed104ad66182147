"""A run's folder is claimed at once, never another's, and never left behind empty."""

import json
import os
from pathlib import Path

import pytest
from fake_pairs import refusal
from full_disk import full_disk

from creativity_lens.files import write_json
from creativity_lens.holding import new_run, owned_folder
from creativity_lens.runs import check_file, find_run, newest_run


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finish(folder: Path, created: str = "then") -> None:
    """As if a sweep had been written."""
    (folder / "sweep.csv").write_text("measured\n")
    write_json(folder / "run.json", {"status": "finished", "created": created})


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def enter(out, model="pocket-chat"):
    with new_run(out, model) as folder:
        return folder


def fail(out, error, *, measured=False):
    with new_run(out, "m") as folder:
        if measured:
            (folder / "sweep.csv").write_text("dev")
        raise error


def test_without_a_name_runs_are_numbered():
    made = []
    for model in ("pocket-chat", "pocket-chat", "meta-llama/Llama-2-7b-hf", "./models/My Model/", "pocket-chat"):
        with new_run(None, model) as folder:
            finish(folder)
        made.append(str(folder))
    stems = ("pocket-chat-001", "pocket-chat-002", "llama-2-7b-hf-001", "my-model-001", "pocket-chat-003")
    assert made == [f"runs/{stem}" for stem in stems]


def test_numbers_go_on_after_the_highest_whatever_else_lies_there(here):
    for name in ("a-007", "a-notes", "a-b-050", "a-\u00b2", "a-" + "9" * 40):
        (here / "runs" / name).mkdir(parents=True)
    with new_run(None, "a") as folder:
        finish(folder)
        assert folder == Path("runs/a-008")


@pytest.mark.parametrize("model", ["///", "", "\u6a21\u578b", "x" * 300])
def test_any_name_gives_a_folder(model):
    with new_run(None, model) as folder:
        finish(folder)
    assert folder.name.endswith("-001")
    assert len(folder.name) < 80


def test_an_empty_folder_is_taken_and_a_path_is_made(here):
    (here / "empty").mkdir()
    for out in ("empty", "a/b/c", here / "whole"):
        with new_run(out, "m") as folder:
            finish(folder)
            assert (folder / "run.json").is_file()


def test_another_run_is_refused_and_stays_as_it_is(here):
    with new_run("mine", "m") as folder:
        finish(folder)
    before = everything(here)
    said = refusal(enter, "mine")
    assert said.startswith("--out mine: holds another run; choose another folder, delete this one, or leave --out away")
    (here / "notes").mkdir()
    (here / "notes" / "a.txt").write_text("mine")
    assert refusal(enter, "notes").startswith("--out notes: holds other files")
    (here / "file").write_text("x")
    assert refusal(enter, "file") == "--out file: expected a folder, got a file; choose another name."
    (here / "notes" / "a.txt").unlink()
    (here / "notes").rmdir()
    (here / "file").unlink()
    assert everything(here) == before


@pytest.mark.parametrize("out", ["file/run", "x" * 300, "nul\0"])
def test_what_cannot_be_a_folder(here, out):
    (here / "file").write_text("x")
    assert refusal(enter, out).startswith("--out ")
    assert list(everything(here)) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(here):
    (here / "closed").mkdir(mode=0o500)
    assert "cannot be made" in refusal(enter, "closed/run")


def test_a_full_disk_is_found_before_the_run_and_leaves_nothing(here):
    with full_disk(after=0):
        assert "could not be written" in refusal(enter, "a/b")
    assert list(here.iterdir()) == []
    (here / "empty").mkdir()
    with full_disk(after=0):
        refusal(enter, "empty")
    assert list(here.iterdir()) == [here / "empty"], "what was there stays"


@pytest.mark.parametrize("error", [ValueError, MemoryError, SystemExit])
def test_a_run_that_fails_before_it_measured_leaves_nothing(here, error):
    with pytest.raises(error):
        fail("a/b", error)
    assert list(here.iterdir()) == []


def test_what_was_measured_is_kept(here):
    with pytest.raises(ValueError, match="why"):
        fail("mine", ValueError("why"), measured=True)
    assert set(everything(here)) == {"mine/run.json", "mine/sweep.csv"}


def test_an_interruption_says_what_became_of_the_run(here):
    with pytest.raises(KeyboardInterrupt, match="nothing was written"):
        fail("one", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt, match="two holds what was finished"):
        fail("two", KeyboardInterrupt(), measured=True)
    assert not (here / "one").exists()


def test_a_folder_claimed_outside_is_taken_inside():
    with new_run("mine", "m") as outer, new_run(outer, "m") as inner:
        assert inner == outer
        finish(inner)


def test_who_claimed_a_folder_gives_it_back(here):
    def both():
        with new_run("mine", "m") as outer:
            with pytest.raises(ValueError, match="why"):
                fail(outer, ValueError("why"))
            assert outer.exists()
            raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        both()
    assert list(here.iterdir()) == []


def test_a_folder_that_another_process_claimed_is_refused(here):
    (here / "theirs").mkdir()
    (here / "theirs" / "run.json").write_text(json.dumps({"status": "running", "process": os.getpid() + 1}) + "\n")
    assert "holds another run" in refusal(enter, "theirs")


def test_a_run_may_be_written_again_into_its_own_folder():
    for name in ("new", "new/deep"):
        finish(owned_folder(name, "then"))
    assert owned_folder("new/deep", "then") == Path("new/deep")
    assert "holds another run" in refusal(owned_folder, "new/deep", "now")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"x"', "\x00\xff", "[" * 100_000])
def test_a_folder_with_a_damaged_description_is_anothers(here, text):
    (here / "odd").mkdir()
    (here / "odd" / "run.json").write_text(text, encoding="latin-1")
    assert "holds another run" in refusal(owned_folder, "odd", "then")


def test_find_run(here):
    assert refusal(find_run, "none") == "none: expected a run folder with run.json, as `clens sweep` writes."
    with new_run("mine", "m") as folder:
        finish(folder)
    assert find_run("mine") == Path("mine")


def test_a_file_is_tried_without_a_trace(here):
    check_file("a.safetensors")
    (here / "old.safetensors").write_text("old")
    check_file("old.safetensors")
    assert everything(here) == {"old.safetensors": b"old"}
    assert "cannot be written" in refusal(check_file, "none/a.safetensors")
    assert "got a folder" in refusal(check_file, ".")


def test_the_newest_run_that_holds_a_file(here):
    assert newest_run("x.safetensors") is None
    created = {"a": "2026-02-01", "b": "2026-03-01", "c": "2026-01-01", "bare": "2027", "list": ["2028"]}
    for name in (*created, "broken"):
        (here / "runs" / name).mkdir(parents=True)
        if name in created:
            write_json(here / "runs" / name / "run.json", {"created": created[name]})
        if name != "bare":
            (here / "runs" / name / "x.safetensors").touch()
    assert newest_run("x.safetensors") == Path("runs/b")
    assert newest_run("x.safetensors", here / "runs") == here / "runs" / "b"
