"""`clens ratings validate`, and ratings in `clens sweep` and `clens report`, as they are typed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import refused, run
from prepared import few_file
from rated import groups_of, ratings_of
from small_sweeps import DEV, FEW, TEST, TINY

from creativity_lens.ratings import Ratings, write_long
from creativity_lens.reports import write_report
from creativity_lens.sweep import sweep_layers


@pytest.fixture(scope="module")
def finished(chat, tmp_path_factory) -> Path:
    """A run that reads and screens; nothing is generated."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    plan = replace(TINY, layers="2,4", screen_only=True)
    sweep = sweep_layers(chat, FEW, plan=plan, prompts=(DEV, TEST), control=None, out=folder)
    assert sweep.yardstick is not None
    write_report(sweep.table, sweep.texts, sweep.run, folder / "report.html")
    return folder


@pytest.fixture
def here(finished, tmp_path, monkeypatch, with_chat) -> Path:
    """An empty folder with a run and a rated set of two panels in it."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished, tmp_path / "run")
    rng = np.random.default_rng(0)
    texts = [
        f"The {word} came in with the {n} o'clock tide." for n, word in enumerate(["fog", "boat", "<b>gull</b>"] * 8)
    ]
    panels = [
        ratings_of(rng.integers(1, 8, size=(24, 2)), groups_of(8, 3), texts=texts, panel=panel, scale="1-7").frame
        for panel in ("expert", "lay")
    ]
    write_long(Ratings.of(pd.concat(panels, ignore_index=True), "mine"), tmp_path / "mine.csv")
    return tmp_path


def test_a_run_is_held_against_ratings(here, capsys):
    status, out, err = run(capsys, "ratings", "validate", "run", "--ratings", "mine.csv")
    assert status == 0, err
    assert "mine: 24 of 24 rated texts" in out
    assert "* creativity" in out
    assert out.count("expert") >= 2
    assert out.count("lay") >= 2
    assert "Report: run/report.html" in out
    assert "fixed before its ratings were read" in err
    page = (here / "run" / "report.html").read_text("utf-8")
    assert "No human ratings are part of this run" not in page
    assert "creativity (panel: expert)" in page
    table = pd.read_csv(here / "run" / "ratings.csv")
    assert set(table["panel"]) == {"expert", "lay"}, "panels are kept apart"
    assert {"rho", "partial rho", "icc1", "icck", "alpha", "ceiling", "share", "p max"} <= set(table["measure"])


def test_panels_are_pooled_by_name_only(here, capsys):
    status, _, err = run(capsys, "ratings", "validate", "run", "-r", "mine.csv", "--pool", "expert,lay")
    assert status == 0, err
    assert set(pd.read_csv(here / "run" / "ratings.csv")["panel"]) == {"expert and lay"}


def test_as_json(here, capsys):
    status, out, _ = run(capsys, "ratings", "validate", "run", "--ratings", "mine.csv", "--json")
    found = json.loads(out)
    assert status == 0
    assert found["sets"]["mine"]["verdict"]["outcome"]
    primary = [row for row in found["sets"]["mine"]["rows"] if row["primary"]]
    assert [row["panel"] for row in primary] == ["expert"]


def test_a_report_is_drawn_again_with_its_ratings(here, capsys):
    run(capsys, "ratings", "validate", "run", "--ratings", "mine.csv")
    (here / "run" / "report.html").unlink()
    status, _, err = run(capsys, "report", "run")
    assert status == 0, err
    assert "creativity (panel: expert)" in (here / "run" / "report.html").read_text("utf-8")


def test_a_sweep_takes_ratings(here, capsys):
    status, out, err = run(
        capsys,
        *("sweep", "--screen-only", "--layers", "2,4", "--reader", "none", "--pairs", few_file(here), "--out", "new"),
        *("--ratings", "mine.csv"),
    )
    assert status == 0, err
    assert "mine: " in out
    assert (here / "new" / "ratings.json").exists()
    assert "creativity (panel: expert)" in (here / "new" / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--ratings", "ttwc"], "Did you mean 'ttcw'"),
        (["run", "--ratings", "ttcw=nowhere"], "nowhere"),
        (["run", "--ratings", "mine.csv,"], "got an empty one"),
        (["run", "--ratings", "mine.csv", "--ratings", "mine.csv"], "'mine' stands twice"),
        (["run", "--ratings", "mine.csv", "--pool", "expert"], "at least two panels"),
        (["run", "--ratings", "mine.csv", "--pool", "expert,ley"], "Did you mean 'lay'"),
        (["none", "--ratings", "mine.csv"], "expected a run folder"),
        (["run"], "--ratings"),
    ],
)
def test_what_is_asked_wrongly_is_refused_before_the_model_loads(here, no_model, capsys, arguments, said):
    assert said in refused(capsys, "ratings", "validate", *arguments)


@pytest.mark.parametrize(
    ("name", "said"), [("scorer", "no layer reads its concept"), ("scoring", "run `clens sweep` again")]
)
def test_a_run_that_cannot_score_is_refused(here, no_model, capsys, name, said):
    described = json.loads((here / "run" / "run.json").read_text("utf-8"))
    del described["files"][f"{name}.safetensors"], described["sum"]
    (here / "run" / "run.json").write_text(json.dumps(described), "utf-8")
    (here / "run" / f"{name}.safetensors").unlink()
    assert said in refused(capsys, "ratings", "validate", "run", "--ratings", "mine.csv")
