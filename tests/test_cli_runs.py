"""`clens runs`: what is printed of runs in every state, what --json says, and one line for whatever is wrong."""

import json
import re
import shlex

import pytest
import typer
from commands import everything, refused, run
from filelock import FileLock
from kept_runs import claimed, flip, keep, kept_sweep, rewritten
from test_run_checks import kept_audit, uploaded

from creativity_lens.cli import runs as runs_commands
from creativity_lens.run_listing import size_text
from creativity_lens.runs import LOCK

EVIL = "\x1b[2Jgone \u202e [red]name[/red]"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "160")
    return folder


def told(capsys, *arguments: object, status: int = 0) -> str:
    """What is printed, notes excluded."""
    found, out, err = run(capsys, "runs", *arguments)
    assert found == status, err
    return out


def as_json(capsys, *arguments: object, status: int = 0):
    return json.loads(told(capsys, *arguments, "--json", status=status))


def lines_of(out: str, first: str) -> list[str]:
    return [line for line in out.splitlines() if line.split()[:1] == [first]]


def test_every_help_has_an_example_that_parses(capsys):
    group = typer.main.get_command(runs_commands.app)
    assert set(group.commands) == {"list", "show", "verify", "gc", "diff"}
    for name, command in group.commands.items():
        words = shlex.split(re.search(r"Example: clens runs (.+)", command.help)[1])
        assert words[0] == name
        command.make_context(name, words[1:])
        assert all(parameter.help for parameter in command.params)


# list


def test_the_list_says_how_far_each_run_came(capsys, here):
    kept_sweep(here / "runs/a-001", created="2025-01-01T12:00:00Z", choice={"layer": 4, "strength": 0.15})
    kept_sweep(here / "runs/a-002", cells=3, finished=False, created="2025-01-03T12:00:00Z")
    kept_audit(here / "runs/audit-001")
    held = kept_sweep(here / "runs/held", cells=1, finished=False)
    (kept_sweep(here / "runs/bad") / "run.json").write_text("{")
    before = everything(here)
    with FileLock(held / LOCK, timeout=0):
        status, out, err = run(capsys, "runs", "list")
    (held / LOCK).unlink(missing_ok=True)
    assert status == 0
    assert everything(here) == before
    rows = {line.split()[0]: " ".join(line.split()) for line in out.splitlines()[3:] if line.strip()}
    assert next(iter(rows)) == "a-002", "the newest first"
    assert "sweep pocket-chat broken off, 3 results kept" in rows["a-002"]
    assert "running, 1 results kept" in rows["held"]
    assert rows["a-001"].startswith(
        "a-001 sweep pocket-chat finished not enough evidence layer 4 x 0.15 2025-01-01 12:"
    )
    assert re.search(r"\d+ kB$", rows["a-001"])
    assert "pocket-base -> pocket-aligned finished" in rows["audit-001"]
    assert "damaged" in rows["bad"]
    assert "note: runs/bad/run.json: damaged (" in err
    listed = {each["name"]: each for each in as_json(capsys, "list")}
    assert listed["a-002"]["cells"] == 3
    assert listed["a-001"]["size"] == sum(map(len, everything(here / "runs/a-001").values()))


def test_no_runs_yet(capsys, here):
    assert told(capsys, "list") == "No runs in runs; `clens sweep` makes one.\n"
    assert as_json(capsys, "list") == []
    assert told(capsys, "gc") == "No runs in runs; nothing to remove.\n"
    assert "no such folder" in refused(capsys, "runs", "list", "elsewhere")
    (here / "file").touch()
    assert "got a file" in refused(capsys, "runs", "list", "file")


def test_what_a_run_says_drives_no_terminal(capsys, here):
    at = kept_sweep(here / "runs/a-001", model={"name": EVIL, "id": EVIL}, command=EVIL, concept=EVIL,
                    warnings=[EVIL], timings={EVIL: 1.0})  # fmt: skip
    rewritten(at, verdict={"outcome": EVIL, "sentence": EVIL, "parts": [{"key": EVIL, "estimate": 1.0}]})
    other = kept_sweep(here / "runs/a-002", seed=1, concept="x")
    for arguments in (["list"], ["show", "a-001"], ["verify", "a-001"], ["gc"], ["diff", "a-001", other]):
        status, out, err = run(capsys, "runs", *arguments)
        assert status == 0, err
        assert all(line.isprintable() for line in [*out.splitlines(), *err.splitlines()])
    assert "[red]name[/red]" in told(capsys, "list"), "nor is it markup"


# show


def test_show_says_what_went_in_and_what_came_out(capsys, here):
    kept_sweep(here / "runs/a-001", cells=3, batches_halved=[[64, 32]], warnings=["mind the gap"])
    out = told(capsys, "show", "a-001")
    assert "Not enough evidence that layer 0 makes text more creative" in out
    (kept,) = lines_of(out, "results")
    assert kept.split(maxsplit=3)[2:] == [
        "3,",
        size_text(sum(map(len, everything(here / "runs/a-001/cells").values()))),
    ]
    assert "layer 0 x 0.2" in out
    assert re.search(r"batches cut +1, for want of memory", out)
    assert re.search(r"options.samples +4\n", out)
    assert re.search(r"pairs.sha256 +d{12}\n", out), "hashes by their beginning"
    assert re.search(r"test +64\.5\n", out)
    assert out.endswith("warning: mind the gap\n")
    found = as_json(capsys, "show", "runs/a-001")
    assert found["inputs"]["pairs.sha256"] == "d" * 64
    assert found["choice"]["layer"] == 0
    assert found["cells"] == 3
    assert set(found["files"]) >= {"run.json", "sweep.csv"}
    assert found["timings"]["test"] == 64.5


def test_show_of_other_kinds_and_states(capsys, here):
    kept_audit(here / "runs/audit-001")
    out = told(capsys, "show", "audit-001")
    assert "models.base.id" in out
    assert "warning: 2 of 960 texts were shorter" in out, "an audit's note"
    keep(claimed(here / "runs/claimed"), 1)
    assert "broken off" in told(capsys, "show", "claimed")
    assert "there is none. Did you mean 'claimed'?" in refused(capsys, "runs", "show", "claimd")
    (here / "runs/claimed/run.json").write_text("{")
    assert "damaged" in refused(capsys, "runs", "show", "claimed")


# verify


def test_verify_says_what_is_wrong_and_what_to_do(capsys, here):
    at = kept_sweep(here / "runs/a-001", cells=3)
    assert told(capsys, "verify", "a-001") == "runs/a-001: all is well (3 files and 3 kept results checked).\n"
    cell = sorted((at / "cells").iterdir())[0]
    flip(cell)
    flip(at / "sweep.csv")
    before = everything(here)
    out = told(capsys, "verify", "a-001", status=1)
    assert out.splitlines() == [
        "runs/a-001: sweep.csv: damaged (not as the run wrote it)",
        f"runs/a-001: cells/{cell.name}: damaged (its bytes do not give its checksum)",
        "runs/a-001: 2 damaged. Start the same command again with --out runs/a-001: what is whole is read, what is "
        "damaged is done again.",
    ]
    assert everything(here) == before


def test_verify_takes_several_runs(capsys, here):
    kept_sweep(here / "runs/a-001")
    broken = kept_sweep(here / "runs/a-002", cells=2, finished=False)
    (broken / "cells/.a.1234.partial").write_bytes(b"")
    status, out, err = run(capsys, "runs", "verify", "a-001", "a-002")
    assert (status, len(out.splitlines())) == (0, 2)
    assert "note: runs/a-002: it was broken off; 2 results are kept" in err
    assert "left over from a write that broke off; harmless" in err
    (broken / "run.json").write_text("")
    found = as_json(capsys, "verify", "a-001", "a-002", status=1)
    assert found["runs/a-001"]["wrong"] == []
    assert found["runs/a-002"]["wrong"][0].startswith("run.json: damaged")
    assert "there is none" in refused(capsys, "runs", "verify", "a-001", "a-003")
    assert refused(capsys, "runs", "verify")


# gc


def test_gc_removes_nothing_without_yes(capsys, here):
    kept_sweep(here / "runs/a-001", cells=3)
    kept_sweep(here / "runs/a-002", cells=2, finished=False)
    size = size_text(sum(map(len, everything(here / "runs/a-001/cells").values())))
    before = everything(here)
    out = told(capsys, "gc")
    assert out == f"a-001: 3 results of a finished run, {size}\n{size} in all. Remove it: add --yes\n"
    assert as_json(capsys, "gc")["removals"][0]["removed"] is False
    assert everything(here) == before
    assert told(capsys, "gc", "--yes").endswith(f"Removed {size}.\n")
    assert set(before) - set(everything(here)) == {name for name in before if name.startswith("runs/a-001/cells/")}
    assert told(capsys, "gc", "--yes") == "Nothing to remove.\n"
    assert told(capsys, "verify", "a-001")


def test_gc_of_broken_off_runs_by_name(capsys, here):
    kept_sweep(here / "runs/a-001", cells=1, finished=False)
    kept_sweep(here / "runs/b-001", cells=1, finished=False)
    said = refused(capsys, "runs", "gc", "--broken", "c-*", "--yes")
    assert said == "--broken c-*: fits no run that was broken off here."
    assert "a run that was broken off, with 1 results" in told(capsys, "gc", "--broken", "a-*")
    assert as_json(capsys, "gc", "--broken", "a-*", "--yes")["removals"][0]["removed"] is True
    assert [path.name for path in (here / "runs").iterdir()] == ["b-001"]


def test_gc_says_what_it_leaves_alone(capsys, here):
    held = kept_sweep(here / "runs/a-001", cells=1)
    with FileLock(held / LOCK, timeout=0):
        status, out, err = run(capsys, "runs", "gc", "--yes")
    assert (status, out) == (0, "Nothing to remove.\n")
    assert err == "note: a-001: is being written now\n"
    assert "expected a local folder" in refused(capsys, "runs", "gc", "memory://bucket-gc/runs")


# diff


def test_diff_of_two_runs_that_are_equal(capsys, here):
    kept_sweep(here / "runs/a-001")
    kept_sweep(here / "runs/a-002", created="2025-02-02T12:00:00Z", command="clens sweep --out x", timings={})
    out = told(capsys, "diff", "a-001", "a-002")
    assert out.startswith("Inputs: the same.\n")
    assert "Identical to the byte: sweep.csv, generations.parquet, scores.parquet" in out
    assert re.search(r"Texts, test: (\d+) of \1 equal \(100\.0%\)\.", out)
    assert re.search(r"Numbers: [\d,]+ compared, none moved by more than rounding\.\n$", out)


def test_diff_finds_what_was_planted(capsys, here):
    """One number of B is moved by far, its inputs by a seed; both stand first."""
    kept_sweep(here / "runs/a-001")
    at = kept_sweep(here / "runs/a-002", seed=0)
    import pandas as pd

    from creativity_lens.files import sha256_of

    table = pd.read_csv(at / "sweep.csv", dtype={"layer": "Int64", "control": "Int64"})
    (place,) = table.index[(table["condition"] == "negated") & (table["measure"] == "leak")]
    table.loc[place, ["estimate", "low", "high"]] += 3
    table.to_csv(at / "sweep.csv", index=False)
    hashes = json.loads((at / "run.json").read_text("utf-8"))["files"]
    rewritten(at, seed=7, files={**hashes, "sweep.csv": sha256_of(at / "sweep.csv")})
    out = told(capsys, "diff", "a-001", "a-002")
    assert " ".join(lines_of(out, "seed")[0].split()) == "seed 0 7 --seed"
    assert "Identical to the byte: generations.parquet, scores.parquet" in out
    assert "compared, 1 moved by more than rounding" in out
    (line,) = (line for line in out.splitlines() if " leak " in line)
    assert "+3" in line.split()
    found = as_json(capsys, "diff", "a-001", "a-002")
    assert found["inputs"] == [{"name": "seed", "a": 0, "b": 7}]
    (first, second) = found["numbers"]["rows"][:2]
    assert (first["condition"], first["measure"]) == ("negated", "leak")
    assert first["difference"] == pytest.approx(3)
    assert first["errors"] > 10
    assert second["errors"] == 0
    assert found["texts"][0]["share"] == 1


def test_diff_of_other_draws_and_its_options(capsys, here):
    kept_sweep(here / "runs/a-001")
    kept_sweep(here / "runs/a-002", seed=3)
    out = told(capsys, "diff", "a-001", "a-002", "--measure", "gain", "--top", 3)
    assert len([line for line in out.splitlines() if " gain " in line and "intervals" in line]) == 3
    assert re.search(r"\d+ more moved; --top 0 shows all\.", out)
    assert "that have an error lie more than 1.96 errors apart" in out
    assert "as if the runs were independent" in out
    every = as_json(capsys, "diff", "a-001", "a-002", "--top", 0)["numbers"]
    assert len(every["rows"]) == every["compared"]
    assert [abs(row["errors"]) for row in every["rows"][: every["judged"]]] == sorted(
        (abs(row["errors"]) for row in every["rows"][: every["judged"]]), reverse=True
    )
    said = refused(capsys, "runs", "diff", "a-001", "a-002", "--measure", "gian")
    assert "Did you mean 'gain'?" in said


def test_diff_says_what_moves_the_last_bits(capsys, here):
    kept_sweep(here / "runs/a-001", batch_plan={"cache_bytes": 1000})
    kept_sweep(here / "runs/a-002", batch_plan={"cache_bytes": 2000}, batches_halved=[[64, 32]])
    out = told(capsys, "diff", "a-001", "a-002")
    assert "Inputs: the same." in out
    assert " ".join(lines_of(out, "batch_plan.cache_bytes")[0].split()) == "batch_plan.cache_bytes 1000 2000"
    assert " ".join(lines_of(out, "batches")[0].split()) == "batches cut for memory 0 1"
    assert [each["name"] for each in as_json(capsys, "diff", "a-001", "a-002")["beside"]] == [
        "batch_plan.cache_bytes", "batches cut for memory",
    ]  # fmt: skip


def test_diff_of_runs_on_object_storage(capsys, here):
    local = kept_sweep(here / "runs/a-001")
    there = uploaded(kept_sweep(here / "runs/a-002", seed=2), "memory://bucket-diff/a-002")
    assert as_json(capsys, "diff", local, there)["numbers"] == as_json(capsys, "diff", "a-001", "a-002")["numbers"]


def test_diff_of_runs_without_texts_in_common(capsys, here):
    kept_sweep(here / "runs/a-001")
    kept_sweep(here / "runs/a-002", prompts_text={f"prompt-{n:02d}": f"Else {n}." for n in range(8)})
    assert "Texts: none of the same prompt, condition and luck in both." in told(capsys, "diff", "a-001", "a-002")


def test_diff_of_audits(capsys, here):
    kept_audit(here / "runs/audit-001")
    kept_audit(here / "runs/audit-002", seed=1)
    out = told(capsys, "diff", "audit-001", "audit-002")
    assert re.search(r"Texts, base plain: [\d,]+ of [\d,]+ equal", out)
    assert "Vendi score" in told(capsys, "diff", "audit-001", "audit-002", "--measure", "Vendi score")


def test_diff_of_what_has_no_tables_compares_inputs(capsys, here):
    kept_sweep(here / "runs/a-001")
    kept_sweep(here / "runs/a-002", finished=False, seed=4)
    rewritten(here / "runs/a-002", options={"samples": 9, "strengths": [0.05, 0.1, 0.35]})
    out = told(capsys, "diff", "a-001", "a-002")
    assert " ".join(lines_of(out, "options.samples")[0].split()) == "options.samples 4 9 --samples"
    assert " ".join(lines_of(out, "options.strengths")[0].split()) == (
        "options.strengths 0.05, 0.1, 0.2, 0.35 0.05, 0.1, 0.35 --strengths"
    )
    assert out.endswith("runs/a-002: was broken off, so inputs alone are compared.\n")
    assert as_json(capsys, "diff", "a-001", "a-002")["numbers"] is None


def test_of_long_lists_only_what_differs_is_shown(capsys, here):
    steered = kept_audit(here / "runs/audit-001", temperatures=(0.5, 0.7, 1.2, 1.3, 1.6), steered=True)
    kept_audit(here / "runs/audit-002", temperatures=(0.5, 0.7, 1.3, 1.6), steered=True)
    kept_audit(here / "runs/audit-003", temperatures=(0.5, 0.7, 1.2, 1.3, 1.6))
    (line,) = lines_of(told(capsys, "diff", steered, "audit-002"), "options.conditions")
    assert " ".join(line.split()) == "options.conditions ..., aligned template, T 1.2, ... ... the conditions"
    (line,) = lines_of(told(capsys, "diff", steered, "audit-003"), "options.conditions")
    assert " ".join(line.split()) == "options.conditions ..., aligned template, steered ... the conditions"


def test_diff_refuses_what_cannot_be_compared(capsys, here):
    kept_sweep(here / "runs/a-001")
    kept_audit(here / "runs/audit-001")
    assert "expected two runs of one kind, got a sweep and an audit" in refused(
        capsys, "runs", "diff", "a-001", "audit-001"
    )
    flip(here / "runs/a-001/sweep.csv")
    kept_sweep(here / "runs/a-002")
    assert "sweep.csv: damaged" in refused(capsys, "runs", "diff", "a-001", "a-002")
    assert "--top" in refused(capsys, "runs", "diff", "a-001", "a-002", "--top", -1)
