"""Every byte of a run that a checksum covers is checked; loading a run of any kind; what a damaged one says."""

import json
from pathlib import Path

import pytest
from commands import everything
from fake_audit import fake_audit
from fake_pairs import refusal
from filelock import FileLock
from kept_runs import claimed, flip, keep, kept_sweep, rewritten

from creativity_lens.audit.audit import TEXTS, Audit
from creativity_lens.files import write_json
from creativity_lens.run_checks import check_run, load_run
from creativity_lens.runs import LOCK
from creativity_lens.storage import open_storage


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def kept_audit(folder: Path, **options) -> Path:
    found = fake_audit(prompts=8, samples=2, **options)
    texts = found.texts.reindex(columns=[*TEXTS])
    Audit(found.table, texts, found.meta).save(folder)
    return folder


def uploaded(run: Path, place: str) -> str:
    storage = open_storage(place)
    for name, data in everything(run).items():
        storage.write(name, data)
    return place


def test_a_whole_run_is_well(here):
    run = kept_sweep(here / "run", cells=3)
    before = everything(here)
    found = check_run(run)
    assert (found.wrong, found.notes, found.files, found.cells) == ((), (), 3, 3)
    assert everything(here) == before


def test_a_whole_audit_is_well_and_a_damaged_one_is_not(here):
    run = kept_audit(here / "audit")
    assert check_run(run).wrong == ()
    flip(run / "audit.csv", 40)
    assert check_run(run).wrong == ("audit.csv: damaged (not as the run wrote it)",)


@pytest.mark.parametrize("name", ["sweep.csv", "generations.parquet", "scores.parquet"])
@pytest.mark.parametrize("place", [0, 300, -1])
def test_any_flipped_bit_is_found(here, name, place):
    run = kept_sweep(here / "run")
    flip(run / name, place)
    assert check_run(run).wrong == (f"{name}: damaged (not as the run wrote it)",)


@pytest.mark.parametrize("place", [0, 5, 30, 88, 95, 200, -1])
def test_any_flipped_bit_of_a_kept_result_is_found(here, place):
    run = kept_sweep(here / "run", cells=3)
    cell = sorted((run / "cells").iterdir())[1]
    flip(cell, place)
    (said,) = check_run(run).wrong
    assert said.startswith(f"cells/{cell.name}: damaged")


def test_cut_missing_and_swapped_files(here):
    run = kept_sweep(here / "run", cells=3)
    one, two, three = sorted((run / "cells").iterdir())
    one.write_bytes(one.read_bytes()[: one.stat().st_size // 2])
    two.write_bytes(three.read_bytes())
    (run / "scores.parquet").unlink()
    (run / "sweep.csv").write_bytes(b"")
    assert [said.split(":")[0] for said in check_run(run).wrong] == [
        "sweep.csv", "scores.parquet", f"cells/{one.name}", f"cells/{two.name}",
    ]  # fmt: skip
    assert "scores.parquet: no such file, though the run is finished" in check_run(run).wrong
    assert f"cells/{two.name}: holds another work's result" in check_run(run).wrong


def test_a_checksum_that_fits_does_not_make_a_table(here):
    """Where the bytes are those that were written, the run is read all the same."""
    run = kept_sweep(here / "run")
    (run / "sweep.csv").write_text("a,b\n1,2\n")
    hashes = json.loads((run / "run.json").read_text())["files"]
    import hashlib

    rewritten(run, files={**hashes, "sweep.csv": hashlib.sha256(b"a,b\n1,2\n").hexdigest()})
    assert check_run(run).wrong == ("sweep.csv: damaged (no column 'concept')",)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"../outside.csv": "0"}, "names '../outside.csv'"),
        ({"/etc/hostname": "0"}, "names '/etc/hostname'"),
        ({"cells/a.cell": "0"}, "names 'cells/a.cell'"),
        ({"a\\b": "0"}, "names"),
        ({"a\0b": "0"}, "names"),
        ([1], "'files' is no object"),
        ({"sweep.csv": 4}, "sweep.csv: damaged"),
    ],
)
def test_a_description_that_names_files_elsewhere_is_damaged(here, files, said):
    (here / "outside.csv").write_text("mine")
    run = kept_sweep(here / "run")
    rewritten(run, files=files)
    assert any(said in line for line in check_run(run).wrong)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": NaN', "[" * 100_000])
def test_a_damaged_description(here, text):
    run = kept_sweep(here / "run", cells=1)
    (run / "run.json").write_text(text)
    (said,) = check_run(run).wrong
    assert said.startswith("run.json: damaged (")


def test_an_unfinished_runs_kept_results_are_checked(here):
    run = kept_sweep(here / "run", cells=3, finished=False)
    (run / "sweep.csv").write_text("of another moment than run.json")
    found = check_run(run)
    assert found.wrong == ()
    assert found.notes == ("it was broken off; 3 results are kept",)
    flip(sorted((run / "cells").iterdir())[0])
    assert len(check_run(run).wrong) == 1
    bare = claimed(here / "bare")
    keep(bare, 0)
    assert (check_run(bare).wrong, check_run(bare).cells) == ((), 1)


def test_leftovers_are_told_and_are_no_damage(here):
    run = kept_sweep(here / "run", cells=1)
    (run / "cells/.x.cell.1234abcd.partial").write_bytes(b"half")
    (run / ".sweep.csv.1234abcd.partial").write_bytes(b"half")
    found = check_run(run)
    assert found.wrong == ()
    assert [note.split(":")[0] for note in found.notes] == [
        ".sweep.csv.1234abcd.partial", "cells/.x.cell.1234abcd.partial",
    ]  # fmt: skip
    with FileLock(run / LOCK, timeout=0):
        assert check_run(run).notes == ("it is being written now",), "then they are no leftovers"


def test_what_has_no_checksum_is_told(here):
    run = kept_sweep(here / "run")
    (run / "directions.safetensors").write_bytes(b"")
    assert check_run(run).notes == ("directions.safetensors: not checked, for run.json holds no checksum of it",)
    gamma = here / "gamma"
    gamma.mkdir()
    (gamma / "gamma.csv").write_text("a")
    write_json(gamma / "run.json", {"kind": "gamma", "status": "finished"})
    assert check_run(gamma).wrong == ()
    assert "gamma.csv: not checked" in check_run(gamma).notes[0]


def test_ratings_beside_a_run_are_checked_too(here):
    run = kept_sweep(here / "run")
    (run / "ratings.csv").write_text("a")
    write_json(run / "ratings.json", {"files": {"ratings.csv": "0" * 64}})
    assert check_run(run).wrong == ("ratings.csv: damaged (not as the run wrote it)",)
    (run / "ratings.json").write_text("{")
    (said,) = check_run(run).wrong
    assert said.startswith("ratings.json: damaged (")


# on object storage


def test_a_run_on_object_storage_is_checked_and_loaded_alike(here):
    run = kept_sweep(here / "run", cells=2)
    place = uploaded(run, "memory://bucket-checks/run")
    assert check_run(place) == check_run(run)
    there, local = load_run(place), load_run(run)
    assert there.table.equals(local.table)
    assert there.texts.equals(local.texts)
    assert there.run == local.run
    storage = open_storage(place)
    cell = next(name for name in storage.names() if name.endswith(".cell"))
    data = bytearray(storage.read(cell))
    data[-1] ^= 1
    storage.write(cell, bytes(data))
    storage.write("sweep.csv", b"a")
    storage.delete("scores.parquet")
    assert [said.split(":")[0] for said in check_run(place).wrong] == ["sweep.csv", "scores.parquet", cell]
    said = refusal(lambda: load_run(place))
    assert said.startswith(f"{place}/sweep.csv: damaged"), "the copy's place is nobody's business"


# loading


def test_loading_gives_the_tables_of_a_finished_run_alone(here):
    sweep = load_run(kept_sweep(here / "a"))
    assert (sweep.kind, sweep.status) == ("sweep", "finished")
    assert len(sweep.table)
    assert set(sweep.hashes) == {"sweep.csv", "generations.parquet", "scores.parquet"}
    broken = load_run(kept_sweep(here / "b", finished=False))
    assert (broken.status, len(broken.table), len(broken.texts)) == ("broken off", 0, 0)
    audit = load_run(kept_audit(here / "c"))
    assert (audit.kind, audit.status) == ("audit", "finished")
    assert len(audit.table)
    assert len(audit.texts)
    flip(here / "a/sweep.csv")
    assert "damaged" in refusal(lambda: load_run(here / "a"))
