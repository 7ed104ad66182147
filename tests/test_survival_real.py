"""The sweep of a real model survives what `test_survival` does to a made one: killed, stopped, starved, damaged."""

import json
import random
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import wraps
from pathlib import Path

import pytest
from fake_pairs import refusal
from full_disk import full_disk
from nursery import Nursery
from prepared import few_file
from run_remains import cells, damage, leftovers, spoil
from small_sweeps import DEV, FEW, TEST, TINY, quick_matching, tiny

from creativity_lens import activations, generation, provenance
from creativity_lens.files import write_json
from creativity_lens.result import Sweep
from creativity_lens.runs import CELLS

pytestmark = pytest.mark.slow

TABLES = ("sweep.csv", "generations.parquet", "scores.parquet")
TENSORS = ("directions.safetensors", "scorer.safetensors", "scoring.safetensors")
KILLS = 8
CHANGING = ("name", "created", "resumed", "timings", "batch_plan", "sum")  # by the place, the day, free memory


@pytest.fixture(scope="module", autouse=True)
def _quick_matching() -> Iterator[None]:
    with quick_matching():
        yield


@pytest.fixture(autouse=True)
def _fresh_cache(tmp_path, monkeypatch) -> None:
    """No activations but those of this test: what is not in a run's folder is extracted again."""
    monkeypatch.setenv("CLENS_CACHE", str(tmp_path / "own cache"))


@pytest.fixture(scope="module")
def nursery(tmp_path_factory) -> Iterator[Nursery]:
    with Nursery(tmp_path_factory.mktemp("nursery") / "errors", "survivor_model.ready", hash_seed=1) as started:
        yield started


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    """A run that nothing disturbed, in a process that orders its sets in another way."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with Nursery(folder / "errors", "survivor_model.ready", hash_seed=2) as other:
        assert other.run("survivor_model.sweep", folder / "run", folder / "cache") == 0, other.said()
    return folder / "run"


@pytest.fixture
def whole(undisturbed) -> dict[str, bytes]:
    return contents(undisturbed)


def contents(folder: Path) -> dict[str, bytes]:
    """All of a run's files, the kept results too; of run.json what does not change with the day or the place."""
    files = {name: (folder / name).read_bytes() for name in (*TABLES, *TENSORS)}
    run = json.loads((folder / "run.json").read_text("utf-8"))
    described = {name: value for name, value in run.items() if name not in CHANGING}
    described["choice"].pop("made_at")
    return files | cells(folder) | {"run.json": json.dumps(described).encode()}


def copy(undisturbed: Path, tmp_path: Path, *, broken_off: int | None = None) -> Path:
    """A copy of the run; `broken_off`: as if it had been killed after so many works."""
    out = tmp_path / "run"
    shutil.copytree(undisturbed, out)
    if broken_off is not None:
        run = json.loads((out / "run.json").read_text("utf-8"))
        write_json(out / "run.json", run | {"status": "running"})
        for name in (*TABLES, *TENSORS):
            (out / name).unlink()
        for path in sorted(out.glob(f"{CELLS}/*"), key=lambda path: path.stat().st_mtime_ns)[broken_off:]:
            path.unlink()
    return out


# -- killed, stopped -----------------------------------------------------------------------------------------------


def test_killed_at_random_moments_under_clocks_that_jump(nursery, whole, tmp_path):
    out, cache, chance, where = tmp_path / "run", tmp_path / "cache", random.Random(11), []
    for _ in range(60):
        kept = cells(out)
        pid = nursery.start("survivor_model.sweep", out, cache, clock=chance.choice([0.0, 1e9, 4e9]))
        if len(set(where)) < KILLS:
            wait_for(out, len(kept) + chance.randrange(12))
            status = nursery.end(pid, after=chance.uniform(0, 0.5))
        else:
            status = nursery.wait(pid)
        after = cells(out)
        assert {key: after.get(key) for key in kept} == kept, "what was finished is there, as it was"
        assert damage(out) == []
        if status == 0:
            break
        assert status == -signal.SIGKILL, nursery.said()
        where.append(len(after))
        spoil(leftovers(tmp_path), chance, out)
    assert status == 0
    assert contents(out) == whole
    assert len(set(where)) >= 3, "it was killed, and went on in between"
    assert Sweep.load(out).run["resumed"] <= len(where)


def wait_for(out: Path, count: int) -> None:
    """Until so many results are kept, or the run is finished."""
    until = time.monotonic() + 300
    while len(list(out.glob(f"{CELLS}/*.cell"))) < count:
        assert time.monotonic() < until
        time.sleep(0.01)
        run = out / "run.json"
        if run.exists() and '"status": "finished"' in run.read_text("utf-8"):
            return


def test_ctrl_c_says_how_to_go_on_and_the_same_command_does(nursery, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the nursery is elsewhere, so every path is written in full
    prompts = tmp_path / "prompts.jsonl"
    rows = [
        {"id": prompt.id, "text": prompt.text, "split": split}
        for split, part in (("dev", DEV), ("test", TEST))
        for prompt in part[:4]
    ]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    words = [
        "sweep", "--pairs", few_file(tmp_path), "--prompts", prompts, "--layers", "2", "--strengths", "0.15",
        "--samples", "1", "--max-new-tokens", "8", "--controls", "19", "--positive-control", "none", "--reader", "none",
    ]  # fmt: skip
    one, other = tmp_path / "one", tmp_path / "other"
    assert nursery.run("survivor_model.command", tmp_path / "cache one", *words, "--out", one) == 0, nursery.said()
    pid = nursery.start("survivor_model.command", tmp_path / "cache other", *words, "--out", other)
    wait_for(other, 12)
    assert nursery.end(pid, signal.SIGINT) == 130
    assert nursery.said() == (
        f"clens: stopped; {other} holds what was finished; the same command with --out {other} goes on.\n"
    )
    kept = cells(other)
    assert nursery.run("survivor_model.command", tmp_path / "cache other", *words, "--out", other) == 0, nursery.said()
    assert cells(other).items() >= kept.items()
    assert (other / "report.html").exists()
    for name in (*TABLES, *TENSORS):
        assert (other / name).read_bytes() == (one / name).read_bytes(), name


# -- damaged -------------------------------------------------------------------------------------------------------


def shortened(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) * 2 // 3] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("how", [shortened, flipped, Path.unlink])
@pytest.mark.parametrize("name", [*TABLES, *TENSORS])
def test_a_file_of_a_finished_run_is_made_again_from_what_was_kept(chat, undisturbed, whole, tmp_path, name, how):
    out = copy(undisturbed, tmp_path)
    how(out / name)
    made = {path: path.stat().st_mtime_ns for path in out.glob(f"{CELLS}/*")}
    with pytest.warns(UserWarning, match=rf"{name}: .* It is made again\."):
        found = tiny(chat, out=out)
    assert contents(out) == whole
    assert {path: path.stat().st_mtime_ns for path in out.glob(f"{CELLS}/*")} == made, "nothing was done again"
    assert found.sentence == Sweep.load(undisturbed).sentence


@pytest.mark.parametrize("how", [shortened, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_description_that_is_lost_is_made_again(chat, undisturbed, whole, tmp_path, how):
    out = copy(undisturbed, tmp_path)
    how(out / "run.json")
    tiny(chat, out=out)
    assert contents(out) == whole


@pytest.mark.parametrize("inside", ["verdict", "norms"])
def test_a_number_that_changed_in_a_description_is_not_believed(chat, undisturbed, whole, tmp_path, inside):
    out = copy(undisturbed, tmp_path)
    run = json.loads((out / "run.json").read_text("utf-8"))
    text = json.dumps(run[inside], ensure_ascii=False)
    changed = text.replace("0", "1", 1) if "0" in text else '["made up"]'
    assert changed != text
    write_json(out / "run.json", run | {inside: json.loads(changed)})
    with pytest.warns(UserWarning, match="made again"):
        tiny(chat, out=out)
    assert contents(out) == whole


@pytest.mark.parametrize("how", [shortened, flipped, Path.unlink])
def test_results_that_are_not_as_they_were_written_are_made_again(chat, undisturbed, whole, tmp_path, how):
    out = copy(undisturbed, tmp_path, broken_off=30)
    for path in sorted(out.glob(f"{CELLS}/*"))[::9]:
        how(path)
    if how is Path.unlink:
        tiny(chat, out=out)
    else:
        with pytest.warns(UserWarning, match="done again") as caught:
            tiny(chat, out=out)
        assert len(caught) == 4
    assert contents(out) == whole


# -- starved -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.3, 0.99])
def test_a_disk_that_is_full_in_the_middle(chat, undisturbed, whole, tmp_path, monkeypatch, share):
    monkeypatch.setattr(activations, "_cached", activations._run)  # whose own files would not fit either
    out = tmp_path / "run"
    with full_disk(after=int(share * max(map(len, cells(undisturbed).values())))):
        said = refusal(lambda: tiny(chat, out=out))
    assert "could not be written" in said
    assert leftovers(tmp_path) == []
    kept = cells(out)
    assert damage(out) == []
    tiny(chat, out=out)
    assert cells(out).items() >= kept.items()
    assert contents(out) == whole


def test_batches_that_do_not_fit_are_halved_and_said_to_be_also_later(chat, undisturbed, whole, tmp_path, monkeypatch):
    """Where memory holds 20 rows, in a run that is broken off and goes on where it holds all."""
    out, real, large, done = tmp_path / "run", generation._write, [], []
    plan = replace(TINY, batch_rows=32)  # several

    @wraps(real)  # it has the name of the real one, and so its results have
    def write(model, settings, asked):
        if len(asked) > 20:
            large.append(len(asked))
            raise MemoryError
        if large and sum(done) == large[0]:  # the first that was halved is whole
            raise KeyboardInterrupt
        if large:
            done.append(len(asked))
        return real(model, settings, asked)

    with monkeypatch.context() as patch:
        patch.setattr(generation, "_write", write)
        with pytest.raises(KeyboardInterrupt, match="holds what was finished"):
            tiny(chat, out=out, plan=plan)
    kept = cells(out)
    found = tiny(chat, out=out, plan=plan)
    assert cells(out).items() >= kept.items()
    assert found.run["batches_halved"], "of the results that were read"
    said = json.loads((out / "run.json").read_text("utf-8"))["batches_halved"]
    assert said == found.run["batches_halved"]
    assert said == tiny(chat, out=out, plan=plan).run["batches_halved"], "a finished run is read"
    theirs = Sweep.load(undisturbed)
    assert theirs.run["batches_halved"] == []
    assert (found.texts["text"] == theirs.texts["text"]).mean() > 0.95, "logits differ by rounding alone"


# -- other inputs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken_off", [None, 20])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seed": 5}, "--seed, expected 0 to go on, got 5"),
        ({"plan": replace(TINY, samples=2)}, "--samples, expected 1 to go on, got 2"),
        ({"plan": replace(TINY, strengths=(0.2,))}, "--strengths, expected [0.15] to go on, got [0.2]"),
        ({"pairs": FEW[:-1]}, "the pairs, expected "),
        ({"prompts": (DEV, TEST[:-1])}, "the prompts, expected "),
        ({"control": "register"}, "--positive-control, expected none to go on, got register"),
    ],
    ids=["seed", "samples", "strengths", "pairs", "prompts", "control"],
)
def test_a_run_with_other_inputs_is_refused_and_left_alone(chat, undisturbed, tmp_path, options, said, broken_off):
    out = copy(undisturbed, tmp_path, broken_off=broken_off)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    found = refusal(lambda: tiny(chat, out=out, **options))
    assert found.startswith(f"--out {out}: holds a run with other inputs: {said}")
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_run_of_another_model_of_another_version_or_another_machine(chat, base, undisturbed, tmp_path, monkeypatch):
    out = copy(undisturbed, tmp_path, broken_off=20)
    said = refusal(lambda: tiny(base, out=out))
    assert "holds a run with other inputs: the model (and " in said
    assert "expected pocket-chat to go on, got pocket-base" in said
    other = replace(chat, weights_hash="sha256:" + "0" * 64)
    assert "other inputs: the model's weights, expected sha256:" in refusal(lambda: tiny(other, out=out))
    with monkeypatch.context() as patch:
        patch.setattr(type(chat.engine), "threads", 7)
        assert "other inputs: the number of threads, expected " in refusal(lambda: tiny(chat, out=out))
    monkeypatch.setattr(provenance, "__version__", "9.9")
    assert "other inputs: the version of creativity-lens, expected " in refusal(lambda: tiny(chat, out=out))
