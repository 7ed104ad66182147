"""Folders of runs: every run is listed, in whatever state it is, newest first, and nothing is changed by looking."""

import json
import os
import subprocess
import sys

import pytest
from commands import everything
from fake_audit import fake_audit
from fake_pairs import refusal
from filelock import FileLock
from kept_runs import claimed, flip, keep, kept_sweep, rewritten

from creativity_lens.files import write_json
from creativity_lens.run_listing import describe_place, files_of, find_place, is_held, list_runs, size_text
from creativity_lens.runs import LEASE, LOCK
from creativity_lens.storage import open_storage


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def by_name(place="runs") -> dict:
    return {run.name: run for run in list_runs(place)}


def test_runs_of_every_kind_and_state(here):
    kept_sweep(here / "runs/a-001", cells=2, created="2025-01-01T12:00:00Z")
    kept_sweep(here / "runs/a-002", cells=3, finished=False, created="2025-01-03T12:00:00Z")
    audit = here / "runs/audit-001"
    audit.mkdir()
    write_json(audit / "run.json", {**fake_audit().meta, "created": "2025-01-02T12:00:00Z", "files": {}})
    claimed(here / "runs/claimed")
    (here / "runs/notes").mkdir()
    (here / "runs/readme.txt").write_text("mine")
    before = everything(here)
    found = list_runs("runs")
    assert [run.name for run in found] == ["a-002", "audit-001", "a-001", "claimed"], "the newest first"
    assert [run.status for run in found] == ["broken off", "finished", "finished", "broken off"]
    assert [run.kind for run in found] == ["sweep", "audit", "sweep", ""]
    assert [run.cells for run in found] == [3, 0, 2, 0]
    first, audited = by_name()["a-001"], by_name()["audit-001"]
    assert (first.model, first.outcome, first.chosen) == ("pocket-chat", "not enough evidence", "layer 0 x 0.2")
    assert audited.model == "pocket-base -> pocket-aligned"
    assert audited.outcome == "alignment cost diversity"
    assert first.size == sum(path.stat().st_size for path in (here / "runs/a-001").rglob("*") if path.is_file())
    assert everything(here) == before


def test_one_run_lists_itself(here):
    kept_sweep(here / "runs/a-001")
    assert [run.name for run in list_runs("runs/a-001")] == ["a-001"]
    (here / "runs/a-001").rename(here / "elsewhere")
    os.chdir("elsewhere")
    assert [run.name for run in list_runs(".")] == ["elsewhere"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "damaged (Expecting property name"),
        ("", "damaged (Expecting value"),
        ("[1]", "damaged (expected an object)"),
        ("[" * 100_000, "damaged ("),
        ("\xff", "damaged ("),
        (None, "no such file"),
    ],
)
def test_a_damaged_run_is_listed_as_damaged(here, text, said):
    run = kept_sweep(here / "runs/a-001", cells=1)
    kept_sweep(here / "runs/b-001")
    if text is None:
        (run / "run.json").unlink()
        (run / "run.json").symlink_to("nowhere")
    else:
        (run / "run.json").write_bytes(text.encode("latin-1"))
    found = by_name()
    assert found["b-001"].status == "finished"
    assert (found["a-001"].status, found["a-001"].cells) == ("damaged", 1)
    assert said in found["a-001"].problem
    assert found["a-001"].problem.startswith("runs/a-001/run.json: ")


@pytest.mark.parametrize(
    "parts",
    [{"model": 3}, {"model": {"name": ["x"]}}, {"verdict": "steers"}, {"choice": [1]}, {"choice": {"layer": "x"}},
     {"created": 4}, {"kind": 9}, {"models": {"a": 1}}, {"status": None}, {"choice": {"layer": 1, "strength": "a"}}],
)  # fmt: skip
def test_parts_of_another_kind_keep_no_run_off_the_list(here, parts):
    rewritten(kept_sweep(here / "runs/a-001"), **parts)
    (found,) = list_runs("runs")
    assert found.name == "a-001"
    assert all(isinstance(getattr(found, name), str) for name in ("kind", "model", "outcome", "chosen", "created"))


def test_a_huge_description_is_not_parsed(here, monkeypatch):
    kept_sweep(here / "runs/a-001")
    monkeypatch.setattr("creativity_lens.run_listing.LARGEST", 100)
    (found,) = list_runs("runs")
    assert found.status == "damaged"
    assert "expected at most 100" in found.problem


# who writes it


HOLD = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_run_whose_lock_another_process_holds_is_running(here):
    run = kept_sweep(here / "runs/a-001", finished=False, cells=1)
    command = [sys.executable, "-c", HOLD, str(run / LOCK)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        assert by_name()["a-001"].status == "running"
        assert by_name()["a-001"].status == "running", "looking does not break it"
        with pytest.raises(TimeoutError):
            FileLock(run / LOCK, timeout=0).acquire()
        other.stdin.close()
        other.wait()
    assert (run / LOCK).exists(), "what a killed process leaves"
    assert by_name()["a-001"].status == "broken off"


def test_looking_takes_no_lock(here):
    run = kept_sweep(here / "runs/a-001")
    assert not is_held(run)
    assert not (run / LOCK).exists()
    (run / LOCK).touch()
    assert not is_held(run)
    with FileLock(run / LOCK, timeout=0):
        assert is_held(run)
    (run / LOCK).unlink(missing_ok=True)
    (run / LOCK).mkdir()
    assert is_held(run), "what cannot be looked at counts as held"


# links and names


def test_links_are_listed_and_not_followed_into(here):
    outside = kept_sweep(here / "outside", cells=2)
    run = kept_sweep(here / "runs/a-001")
    (run / "cells").symlink_to(outside / "cells")
    (run / "link.csv").symlink_to(outside / "sweep.csv")
    (here / "runs/linked").symlink_to(outside)
    assert sorted(by_name()) == ["a-001", "outside"]
    assert by_name()["a-001"].cells == 0
    assert "link.csv" not in files_of(run)
    assert set(files_of(run)) == {"run.json", "sweep.csv", "generations.parquet", "scores.parquet"}


def test_a_run_is_found_by_its_folder_or_by_its_name_in_runs(here):
    kept_sweep(here / "runs/pocket-chat-001")
    assert find_place("pocket-chat-001") == "runs/pocket-chat-001"
    assert find_place("runs/pocket-chat-001/") == "runs/pocket-chat-001"
    assert "Did you mean 'pocket-chat-001'?" in refusal(lambda: find_place("pocket-chat-01"))
    assert "Did you mean 'pocket-chat-001'?" in refusal(lambda: find_place("runs/pocket-chat-003"))
    assert "there is none." in refusal(lambda: find_place("elsewhere/x"))


@pytest.mark.parametrize(("place", "said"), [("none", "no such folder"), ("file", "a file"), ("a" * 300, "cannot be")])
def test_no_folder_is_refused(here, place, said):
    (here / "file").touch()
    assert said in refusal(lambda: list_runs(place))


# object storage


def test_runs_on_object_storage(here):
    top = "memory://bucket-listing/runs"
    for name in ("a-001", "a-002"):
        run = kept_sweep(here / name, cells=1)
        keep(run, 7)
        storage = open_storage(f"{top}/{name}")
        for file in run.rglob("*.*"):
            storage.write(file.relative_to(run).as_posix(), file.read_bytes())
    found = by_name(top)
    assert sorted(found) == ["a-001", "a-002"]
    assert (found["a-001"].status, found["a-001"].cells, found["a-001"].size) == ("finished", 2, None)
    assert found["a-001"].place == f"{top}/a-001"
    assert [run.name for run in list_runs(f"{top}/a-002/")] == ["a-002"]
    assert find_place(f"{top}/a-001") == f"{top}/a-001"
    assert "there is none" in refusal(lambda: find_place(f"{top}/a-003"))
    lease = open_storage(f"{top}/a-001").within(LEASE)
    lease.write("00000001.json", json.dumps({"free": True}).encode())
    assert by_name(top)["a-001"].status == "finished"
    lease.write("00000002.json", json.dumps({"host": "h", "process": 3}).encode())
    assert by_name(top)["a-001"].status == "running", "nobody gave it back"


def test_a_damaged_run_on_object_storage():
    open_storage("memory://bucket-damaged/runs/x").write("run.json", b"{")
    (found,) = list_runs("memory://bucket-damaged/runs")
    assert found.status == "damaged"


def test_sizes_in_words():
    said = {0: "0 B", 999: "999 B", 1000: "1 kB", 12_345: "12 kB", 6_970_000: "7.0 MB", 2_100_000_000: "2.1 GB"}
    assert {size: size_text(size) for size in said} == said
    assert size_text(None) == ""


def test_a_flipped_bit_in_a_table_does_not_show_in_a_list(here):
    """Listing reads run.json alone: what is damaged beside it is for `verify`."""
    flip(kept_sweep(here / "runs/a-001") / "sweep.csv")
    assert describe_place("runs/a-001").status == "finished"
