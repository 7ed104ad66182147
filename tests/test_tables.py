"""What a run wrote is read back equal, types and missing values included; what is damaged is refused in one line."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import torch
from fake_pairs import refusal
from fake_sweep import fake_sweep
from full_disk import full_disk
from planted import planted
from yardsticks import by_hand

from creativity_lens.directions import mean_difference
from creativity_lens.files import plain, sha256_of, write_json
from creativity_lens.ledger import Ledger
from creativity_lens.result import Sweep
from creativity_lens.tables import TABLE_COLUMNS, read_run, table_frame, texts_frame, write_run


@pytest.fixture(scope="module")
def sweep() -> Sweep:
    """A finished sweep with made-up numbers and hostile texts, and directions that fit it."""
    table, texts, run = fake_sweep(prompts=4)
    activations, _ = planted(topics=4)
    weights = run["model"]["weights_hash"]
    activations = replace(activations, source=replace(activations.source, weights_hash=weights))
    scores = pd.DataFrame(
        {"text_id": texts["text_id"], "measure": "surprisal", "value": texts["surprisal"], "unit": "nats/token"}
    )
    scores["note"] = [None, "not measured"] * (len(scores) // 2) + [None] * (len(scores) % 2)
    run = plain({**run, "status": "finished", "doses": []})
    yardstick = replace(by_hand(), source=activations.source)
    return Sweep(table_frame(table), texts, scores, run, mean_difference(activations), yardstick)


@pytest.fixture
def saved(sweep, tmp_path):
    sweep.save(tmp_path / "run")
    return tmp_path / "run"


def same(one: Sweep, other: Sweep) -> None:
    """Every cell, every type."""
    pd.testing.assert_frame_equal(one.table, other.table, check_exact=True)
    pd.testing.assert_frame_equal(one.scores, other.scores, check_exact=True)
    assert list(one.texts) == list(other.texts)
    pd.testing.assert_frame_equal(one.texts, other.texts, check_exact=True)
    assert one.run == other.run
    assert torch.equal(one.directions.vectors, other.directions.vectors)
    assert one.directions.source == other.directions.source
    assert one.directions.dev == other.directions.dev


# -- there and back ------------------------------------------------------------------------------------------------


def test_loaded_again_it_equals_what_was_saved(saved):
    first = Sweep.load(saved)
    first.save(saved.parent / "copy")
    same(Sweep.load(saved.parent / "copy"), first)
    assert (saved.parent / "copy" / "sweep.csv").read_bytes() == (saved / "sweep.csv").read_bytes()


def test_the_table_keeps_its_types_and_what_is_missing(sweep, saved):
    pd.testing.assert_frame_equal(Sweep.load(saved).table, sweep.table, check_exact=True)
    assert sweep.table["estimate"].notna().all()
    assert (sweep.table["low"].isna() & sweep.table["high"].isna()).any()


def test_texts_come_back_as_they_were_written(sweep, saved):
    loaded = Sweep.load(saved).texts
    for name in ("text", "tokens", "token_ids", "token_scores", "prompt_id"):
        assert loaded[name].tolist() == sweep.texts[name].tolist(), name
    assert isinstance(loaded["tokens"][0], list)
    assert isinstance(loaded["token_scores"][0][0], float)


@pytest.mark.parametrize(
    "value", ["NA", "null", "None", "nan", "N/A", "", "a,b", 'a "b"', "#", " x", "1", "True", "\u6d77"]
)
def test_a_group_may_have_any_name(tmp_path, value):
    rows = [{"concept": "creativity", "stage": "readout", "group": value or None, "estimate": 0.1 + 0.2, "n": 8}]
    table = table_frame(rows)
    write_run(tmp_path, table, pd.DataFrame(), pd.DataFrame(), description())
    read, texts, scores, _ = read_run(tmp_path)
    pd.testing.assert_frame_equal(read, table, check_exact=True)
    assert texts.empty
    assert scores.empty


def description(**changes):
    run = {"status": "finished", "layers": [0], "verdict": {}, "model": {}, "prompts": {}, "warnings": [], "rows": {}}
    return run | changes


def test_numbers_are_read_as_they_were_written(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.standard_normal(500) * 10.0 ** rng.integers(-300, 300, 500)
    table = table_frame([{"estimate": value, "layer": 3, "control": None} for value in values])
    write_run(tmp_path, table, pd.DataFrame(), pd.DataFrame(), description())
    read, *_ = read_run(tmp_path)
    assert (read["estimate"] == values).all()
    assert read["layer"].dtype == "Int64"
    assert read["control"].isna().all()


def test_an_empty_table_has_all_columns():
    assert list(table_frame([])) == list(TABLE_COLUMNS)
    assert list(Ledger(None, {}).frames()[0]) == list(TABLE_COLUMNS)


# -- a stage's texts -----------------------------------------------------------------------------------------------


class Spelling:
    """In place of a model: a token is its number."""

    @staticmethod
    def pieces(ids):
        return [str(index) for index in ids]


def test_texts_carry_the_score_of_their_own_concept():
    from types import SimpleNamespace

    frame = pd.DataFrame(
        {"text_id": ["a", "b", "c"], "concept": ["", "creativity", "register"], "token_ids": [[1, 2], [3], [4]]}
    )
    nan = float("nan")
    measured = {
        "creativity": SimpleNamespace(
            score=np.array([0.1, 0.2, nan]), match=np.array([1.0, 2.0, nan]), tokens={1: torch.tensor([0.5])}
        ),
        "register": SimpleNamespace(score=np.array([0.7, nan, 0.9]), match=np.array([3.0, nan, 4.0]), tokens={}),
    }
    surprisal, repetition = np.array([3.0, nan, 2.0]), np.array([0.0, 0.5, 0.25])
    texts, scores = bare(texts_frame)(Spelling, frame, measured, surprisal, repetition)
    assert texts["concept"].tolist() == ["creativity", "creativity", "register"], (
        "the baseline is filed under the first"
    )
    assert texts["score"].tolist() == [0.1, 0.2, 0.9]
    assert texts["tokens"].tolist() == [None, ["3"], None]
    assert texts["token_scores"].tolist() == [None, [0.5], None]
    assert len(scores) == 3 * 6
    found = scores.set_index(["text_id", "measure"])
    assert found.loc[("a", "score:register"), "value"] == 0.7
    assert found.loc[("c", "match:register"), "unit"] == "cosine"
    assert found.loc[("b", "surprisal"), "note"] == "not measured under this condition"
    assert found.loc[("a", "surprisal"), "note"] is None
    assert (found["value"].isna() == found["note"].notna()).all(), "NaN, never 0, and it says why"


def bare(function):
    """As users have it, without the tests' check of types."""
    from inspect import unwrap

    return unwrap(function)


def test_a_ledger_adds_up(tmp_path):
    ledger = Ledger(tmp_path, {"timings": {}, "status": "running"})
    for _ in range(2):
        with ledger.step("one"):
            pass
    with ledger.step("two"):
        pass
    assert list(ledger.run["timings"]) == ["one", "two"]
    ledger.rows.append({"concept": "creativity", "estimate": 1.0})
    for number in range(2):
        ledger.keep(pd.DataFrame({"text_id": [f"t{number}"]}), pd.DataFrame({"value": [0.5, 0.25]}))
    table, texts, scores = ledger.frames()
    assert (len(table), len(texts), len(scores)) == (1, 2, 4)
    assert texts.index.tolist() == [0, 1]
    ledger.write()
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "running"
    assert len(pd.read_parquet(tmp_path / "generations.parquet")) == 2
    Ledger(None, {}).write()  # nowhere


# -- saving --------------------------------------------------------------------------------------------------------


def test_saving_refuses_the_folder_of_another_run(sweep, saved):
    other = replace(sweep, run={**sweep.run, "created": "later"})
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    assert "holds another run" in refusal(other.save, saved)
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    sweep.save(saved)


def test_a_full_disk_never_leaves_a_run_that_says_it_is_finished(sweep, tmp_path):
    for size in (0, 1_000, 10_000, 100_000):
        folder = tmp_path / str(size)
        with full_disk(after=size):
            assert refusal(sweep.save, folder)
        if folder.exists():
            assert refusal(Sweep.load, folder)
        assert not list(tmp_path.rglob("*.partial"))


# -- damage --------------------------------------------------------------------------------------------------------


def test_a_folder_that_is_no_run(tmp_path):
    assert "expected a run folder with run.json" in refusal(Sweep.load, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("run.json", b"", "damaged"),
        ("run.json", b"{", "damaged"),
        ("run.json", b"[]", "damaged (expected an object)"),
        ("run.json", b"[" * 100_000, "damaged"),
        ("run.json", b"\xff\xfe{}", "not UTF-8"),
        ("run.json", b"{}", "the run was broken off; run `clens sweep` again with another --out."),
        ("run.json", b'{"status": "running"}', "the run was broken off"),
        ("run.json", b'{"status": "finished"}', "damaged ('layers' is missing)"),
        ("run.json", b'{"status": "finished", "layers": 3}', "damaged ('layers' is missing)"),
        ("sweep.csv", None, "no such file, though the run is finished"),
        ("sweep.csv", b"", "damaged (not as the run wrote it)"),
        ("generations.parquet", None, "no such file, though the run is finished"),
        ("generations.parquet", b"PAR1" + b"\0" * 100 + b"PAR1", "damaged (not as the run wrote it)"),
        ("scores.parquet", None, "no such file"),
        ("scores.parquet", b"PAR1", "damaged (not as the run wrote it)"),
        ("directions.safetensors", None, "no such file"),
        ("directions.safetensors", b"\0" * 100, "damaged"),
        ("scorer.safetensors", None, "no such file, though the run is finished"),
        ("scorer.safetensors", b"\0" * 100, "damaged"),
    ],
)
def test_damaged_files_are_named(saved, name, content, said):
    file = saved / name
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    message = refusal(Sweep.load, saved)
    assert said in message
    assert str(saved) in message


@pytest.mark.parametrize(
    "name",
    ["sweep.csv", "generations.parquet", "scores.parquet", "directions.safetensors", "scorer.safetensors"],
)
def test_files_cut_short_are_refused(saved, name):
    file = saved / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2 + 3])
    assert refusal(Sweep.load, saved)


def forge(file, content: bytes) -> None:
    """Put other content in a file's place, and its hash into run.json: what another version, or a person, might do."""
    file.write_bytes(content)
    run = json.loads((file.parent / "run.json").read_text("utf-8"))
    run["files"][file.name] = sha256_of(file)
    del run["sum"]
    write_json(file.parent / "run.json", run)


HEADER = ",".join(TABLE_COLUMNS)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("sweep.csv", b"", "damaged"),
        ("sweep.csv", b"\x00\xff\xfe" * 50, "damaged"),
        ("sweep.csv", b"a,b\n1,2\n", "damaged (no column 'concept')"),
        ("sweep.csv", f"{HEADER}\n{',' * 11}many,,,,\n".encode(), "could not convert string to float: 'many'"),
        ("sweep.csv", f"{HEADER}\n,,,1.5,,,,,,,,,,,,\n".encode(), "damaged"),
        ("generations.parquet", b"", "damaged"),
        ("generations.parquet", b"PAR1" + b"\0" * 100 + b"PAR1", "damaged"),
        ("scores.parquet", b"PAR1", "damaged"),
    ],
)
def test_what_cannot_be_parsed_is_refused(saved, name, content, said):
    forge(saved / name, content)
    assert said in refusal(Sweep.load, saved)


def test_a_table_of_texts_without_a_column_is_refused(saved, sweep):
    sweep.texts.drop(columns="score").to_parquet(saved / "other")
    forge(saved / "generations.parquet", (saved / "other").read_bytes())
    assert "generations.parquet: damaged (no column 'score')" in refusal(Sweep.load, saved)


def test_directions_of_another_model_are_refused(saved):
    activations, _ = planted(topics=4)
    mean_difference(activations).save(saved / "other")
    forge(saved / "directions.safetensors", (saved / "other").read_bytes())
    message = refusal(Sweep.load, saved)
    assert "directions of made, expected those of pocket-chat, the run's model (weights differ)" in message


def test_a_scorer_of_another_model_is_refused(saved):
    by_hand().save(saved / "other")
    forge(saved / "scorer.safetensors", (saved / "other").read_bytes())
    message = refusal(Sweep.load, saved)
    assert "scorer.safetensors: scores of made, expected those of pocket-chat, the run's model" in message


def test_runs_from_before_scorers_were_kept_are_read(saved, sweep, tmp_path):
    replace(sweep, yardstick=None).save(tmp_path / "old")
    assert not (tmp_path / "old" / "scorer.safetensors").exists()
    assert Sweep.load(tmp_path / "old").yardstick is None
    loaded = Sweep.load(saved).yardstick
    assert loaded is not None
    assert torch.equal(loaded.vector, sweep.yardstick.vector)


# -- pictures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["depth", "map", "tradeoff", "control", "readout", "transfer", "nuisance", "dose", "leak"]
)
def test_figures_are_returned(sweep, saved, name):
    assert isinstance(sweep.figure(name), go.Figure)
    assert isinstance(Sweep.load(saved).figure(name), go.Figure)
    assert name in (Sweep.figure.__doc__ or "")


def test_a_misspelt_figure_gets_the_nearest(sweep):
    assert isinstance(sweep.figure(), go.Figure)
    assert "Did you mean 'depth'?" in refusal(sweep.figure, "deph")


def test_it_says_what_it_is(sweep):
    assert repr(sweep) == f"Sweep(pocket-chat: {sweep.sentence})"
    assert sweep.sentence == sweep.run["verdict"]["sentence"]
