"""What may go and what stays: finished and checked runs' results, leftovers, what broke; never what is in use."""

from pathlib import Path

import pytest
from commands import everything
from fake_pairs import refusal
from filelock import FileLock
from kept_runs import claimed, flip, keep, kept_sweep, rewritten

from creativity_lens.run_cleaning import carry_out, plan_cleaning
from creativity_lens.runs import LOCK

LEFT = "cells/.x.cell.1234abcd.partial"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def gone(here: Path, place="runs", **options) -> set[str]:
    """What a cleaning removes, in truth; the plan said no more and no less."""
    before = everything(here)
    found = plan_cleaning(place, **options)
    assert everything(here) == before, "a plan changes nothing"
    planned = {f"{removal.place}/{name}" for removal in found.removals for name in removal.files}
    assert found.size == sum(len(before[name]) for name in planned)
    assert [carry_out(removal) for removal in found.removals] == [""] * len(found.removals)
    after = everything(here)
    assert {name: data for name, data in before.items() if name in after} == after, "what stays is as it was"
    assert set(before) - set(after) == planned
    return planned


def test_results_of_finished_and_checked_runs_go(here):
    kept_sweep(here / "runs/done", cells=3)
    kept_sweep(here / "runs/broken", cells=2, finished=False)
    claimed(here / "runs/claimed")
    removed = gone(here)
    assert len(removed) == 3
    assert all(name.startswith("runs/done/cells/") for name in removed)
    assert not (here / "runs/done/cells").exists()
    assert plan_cleaning("runs").removals == (), "once is enough"


def test_a_finished_run_that_is_damaged_keeps_its_results(here):
    """They are what it is mended from; those that are damaged themselves are of no use."""
    run = kept_sweep(here / "runs/done", cells=3)
    flip(run / "sweep.csv")
    bad = sorted((run / "cells").iterdir())[0]
    flip(bad)
    found = plan_cleaning("runs")
    (said,) = found.left
    assert said.startswith("done: its results stay, for the run needs them to be mended (sweep.csv: damaged")
    assert gone(here) == {f"runs/done/cells/{bad.name}"}


def test_damaged_results_and_leftovers_go_from_any_run(here):
    run = kept_sweep(here / "runs/broken", cells=3, finished=False)
    bad = sorted((run / "cells").iterdir())[2]
    bad.write_bytes(b"")
    (run / LEFT).write_bytes(b"half")
    (run / ".run.json.1234abcd.partial").write_bytes(b"half")
    (run / "notes.partial").write_text("somebody's own")
    assert gone(here) == {f"runs/broken/{name}" for name in (f"cells/{bad.name}", LEFT, ".run.json.1234abcd.partial")}


def test_a_run_that_is_being_written_is_left_alone(here):
    run = kept_sweep(here / "runs/done", cells=2)
    other = kept_sweep(here / "runs/broken", cells=2, finished=False)
    for folder in (run, other):
        (folder / LEFT).write_bytes(b"being written")
    with FileLock(run / LOCK, timeout=0), FileLock(other / LOCK, timeout=0):
        found = plan_cleaning("runs")
        assert found.removals == ()
        assert set(found.left) == {"done: is being written now", "broken: is being written now"}
        assert "is being written now" in refusal(lambda: plan_cleaning("runs", broken=["broken"]))


def test_what_changes_after_the_plan_is_left_alone(here):
    run = kept_sweep(here / "runs/done", cells=2)
    (removal,) = plan_cleaning("runs").removals
    before = everything(here)
    with FileLock(run / LOCK, timeout=0):
        assert carry_out(removal) == "done: is being written now"
    (run / LOCK).unlink(missing_ok=True)
    assert everything(here) == before
    rewritten(run, status="running")
    before = everything(here)
    assert carry_out(removal) == "done: has changed meanwhile"
    assert everything(here) == before


def test_broken_off_runs_go_only_by_name(here):
    for name in ("gpt2-001", "gpt2-002", "pocket-001"):
        kept_sweep(here / "runs" / name, cells=1, finished=False)
    kept_sweep(here / "runs/gpt2-003", cells=0)
    assert plan_cleaning("runs").removals == ()
    cell = next((here / "runs/pocket-001/cells").iterdir()).name
    files = ("run.json", "sweep.csv", "generations.parquet", "scores.parquet", f"cells/{cell}")
    assert gone(here, broken=["pocket-001"]) == {f"runs/pocket-001/{name}" for name in files}
    assert not (here / "runs/pocket-001").exists()
    assert len(gone(here, broken=["gpt2-*"])) == 10
    assert sorted(path.name for path in (here / "runs").iterdir()) == ["gpt2-003"], "a finished run does not fit"


def test_names_that_fit_no_broken_off_run_are_refused(here):
    kept_sweep(here / "runs/gpt2-001", finished=False)
    kept_sweep(here / "runs/done")
    assert "Did you mean 'gpt2-001'?" in refusal(lambda: plan_cleaning("runs", broken=["gpt-001"]))
    assert "is finished: delete its folder yourself" in refusal(lambda: plan_cleaning("runs", broken=["done"]))
    assert "fits no run" in refusal(lambda: plan_cleaning("runs", broken=["gpt2-001", "x*"]))
    assert "fits no run" in refusal(lambda: plan_cleaning("runs", broken=["../runs/gpt2-001"]))


def test_a_run_with_a_damaged_description_can_go_by_name(here):
    run = kept_sweep(here / "runs/x", cells=2)
    (run / "run.json").write_text("{")
    assert plan_cleaning("runs").removals == ()
    assert len(gone(here, broken=["x"])) == 6


def test_files_that_no_run_writes_stay(here):
    run = kept_sweep(here / "runs/x", cells=1, finished=False)
    (run / "notes.txt").write_text("mine")
    (run / "cells/mine.csv").write_text("mine")
    (run / "plots").mkdir()
    (run / "plots/run.json").write_text("mine")
    found = plan_cleaning("runs", broken=["x"])
    assert found.left == ("x: 3 files that no run writes stay (cells/mine.csv ...)",)
    gone(here, broken=["x"])
    assert set(everything(run)) == {"notes.txt", "cells/mine.csv", "plots/run.json"}


def test_links_are_not_followed(here):
    outside = kept_sweep(here / "outside", cells=3)
    (here / "runs").mkdir()
    (here / "runs/linked").symlink_to(outside)
    run = kept_sweep(here / "runs/own")
    (run / "cells").symlink_to(outside / "cells")
    other = kept_sweep(here / "runs/broken", finished=False)
    (other / "report.html").symlink_to(outside / "sweep.csv")
    (other / "scorer").symlink_to(outside)
    found = plan_cleaning("runs", broken=["broken"])
    assert "linked: a link, which is not followed" in found.left
    assert "own: cells is a link, which is not followed" in found.left
    before = everything(outside)
    for removal in found.removals:
        assert carry_out(removal) == ""
    assert everything(outside) == before
    assert (other / "report.html").is_symlink(), "the folder stays, with what no run made"


def test_a_folder_that_became_a_link_after_the_plan_is_not_followed(here):
    run = kept_sweep(here / "runs/done", cells=2)
    (removal,) = plan_cleaning("runs").removals
    (run / "cells").rename(here / "moved")
    (run / "cells").symlink_to(here / "moved")
    assert carry_out(removal) == ""
    assert len(list((here / "moved").iterdir())) == 2


def test_a_run_that_cannot_be_locked_is_left_as_it_is(here, monkeypatch):
    """A read-only folder, say."""
    run = kept_sweep(here / "runs/done", cells=2)
    (removal,) = plan_cleaning("runs").removals

    def refuse(self, *args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    assert carry_out(removal) == "done: cannot be locked (Permission denied)"
    assert len(list((run / "cells").iterdir())) == 2


def test_a_file_that_cannot_be_removed_is_one_line(here, monkeypatch):
    kept_sweep(here / "runs/done", cells=2)
    (removal,) = plan_cleaning("runs").removals
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".cell":
            raise PermissionError(13, "Permission denied")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    assert "cannot be removed (Permission denied)" in refusal(lambda: carry_out(removal))
    assert not (here / "runs/done" / LOCK).exists(), "and the run is free again"


def test_one_run_is_cleaned_by_itself(here):
    kept_sweep(here / "runs/a", cells=2)
    keep(kept_sweep(here / "runs/b"), 1)
    assert {name.split("/")[0] for name in gone(here, "runs/a")} == {"runs"}
    assert len(plan_cleaning("runs").removals) == 1


def test_object_storage_is_refused():
    assert "expected a local folder" in refusal(lambda: plan_cleaning("memory://bucket-cleaning/runs"))
