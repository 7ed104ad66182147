"""Sweeps: repeatable, without a choice to make, without a signal, with the paper's settings, broken off, refused."""

import gc
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import torch
from fake_pairs import refusal
from full_disk import full_disk
from prepared import concept_of
from small_sweeps import DEV, FEW, TINY, quick_matching, tiny

import creativity_lens.sweep as module
from creativity_lens import activations, judging
from creativity_lens.ledger import Ledger
from creativity_lens.plan import PRESETS
from creativity_lens.prompts import Prompt, load_pairs, load_prompts
from creativity_lens.result import Sweep
from creativity_lens.sweep import sweep_layers
from creativity_lens.verdict import Verdict


@pytest.fixture(scope="module", autouse=True)
def _quick_matching():
    with quick_matching():
        yield


# -- repeatable ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def first(chat):
    return tiny(chat, seed=3)


def test_the_same_seed_gives_the_same_tables_and_texts(chat, first):
    again = tiny(chat, seed=3)
    for name in ("table", "texts", "scores"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(again, name), check_exact=True)
    changing = {"created", "timings", "choice"}
    assert {k: v for k, v in first.run.items() if k not in changing} == {
        k: v for k, v in again.run.items() if k not in changing
    }


def tensors() -> int:
    gc.collect()
    return sum(type(thing) is torch.Tensor for thing in gc.get_objects())


def test_another_seed_gives_other_texts_and_no_tensor_stays_behind(chat, first):
    before = tensors()
    other = tiny(chat, seed=5)
    assert tensors() - before <= 12, "the blocks of what steers and of what scores, four each, and what a view may hold"
    assert len(other.texts) == len(first.texts)
    assert np.mean(other.texts["text"].to_numpy() == first.texts["text"].to_numpy()) < 0.05


@pytest.mark.slow
def test_batches_change_no_text(chat, first):
    other = tiny(chat, seed=3, plan=replace(TINY, batch_rows=7))
    assert (other.texts["text"] == first.texts["text"]).all()


# -- without a choice ----------------------------------------------------------------------------------------------


def test_screening_alone_writes_no_text_and_claims_nothing(chat, tmp_path):
    sweep = tiny(chat, plan=replace(TINY, screen_only=True), control="register", out=tmp_path / "screen")
    assert sweep.texts.empty
    assert sweep.scores.empty
    assert set(sweep.table["stage"]) == {"readout", "screen"}
    assert set(sweep.table["concept"]) == {"creativity"}
    assert sweep.run["verdict"]["outcome"] == "not enough evidence"
    assert "only screening was asked for" in sweep.sentence
    assert "choice" not in sweep.run
    loaded = Sweep.load(tmp_path / "screen")
    pd.testing.assert_frame_equal(loaded.table, sweep.table, check_exact=True)
    assert loaded.texts.empty
    assert isinstance(loaded.figure("readout"), go.Figure)


def prepared(monkeypatch, chat, **changes):
    """Concepts are as they come from the built-in model, but for some changes by name."""
    real = module.prepare

    def prepare(model, name, *args, **options):
        return replace(real(model, name, *args, **options), **changes.get(name, {}))

    monkeypatch.setattr(module, "prepare", prepare)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"choosable": ()}, "at no layer that may be chosen does the direction separate held-out pairs"),
        ({"scorer": None}, "no direction that was fitted on one half of the topics separates the dev pairs"),
    ],
)
def test_without_a_layer_to_choose_nothing_is_generated(chat, monkeypatch, tmp_path, changes, why):
    prepared(monkeypatch, chat, creativity=changes)
    sweep = tiny(chat, out=tmp_path / "none")
    assert sweep.texts.empty
    assert sweep.run["verdict"]["outcome"] == "not enough evidence"
    assert why in sweep.sentence
    assert Sweep.load(tmp_path / "none").run == sweep.run


UNTESTABLE = pytest.mark.parametrize("changes", [{"choosable": ()}, {"scorer": None}], ids=["choosable", "scorer"])


@UNTESTABLE
def test_a_positive_control_that_cannot_be_tested_blinds_the_assay(chat, changes):
    concepts = [concept_of(chat, "2,4"), replace(concept_of(chat, "2,4", "register"), **changes)]
    claim = Verdict("steers", "It does.", (), 0.1)
    ledger = Ledger(None, {})
    module._conclude(concepts, {"creativity": claim}, TINY, ledger)
    assert ledger.run["verdict"]["outcome"] == "blind assay"
    assert "its positive control, register, could not be tested" in ledger.run["verdict"]["sentence"]
    ledger = Ledger(None, {})
    module._conclude(
        concepts, {name: replace(claim, concept=name) for name in ("creativity", "register")}, TINY, ledger
    )
    assert ledger.run["verdict"]["outcome"] == "steers", "the control: a control that was found changes nothing"


@pytest.mark.slow
@UNTESTABLE
def test_a_positive_control_that_cannot_be_tested_was_not_found(chat, monkeypatch, changes):
    prepared(monkeypatch, chat, register=changes)
    sweep = tiny(chat, control="register")
    assert sweep.run["verdict"]["outcome"] == "blind assay"
    assert "its positive control, register, could not be tested" in sweep.sentence
    assert sweep.run["positive_control"]["choice"] is None
    assert "more imaginative" in sweep.run["positive_control"]["sentence"]
    assert len(sweep.run["verdict"]["parts"]) == 4, "its own parts are kept"


def shuffled(pairs, seed: int):
    """Pairs with the sides of a random half of the topics exchanged: no concept is left in them."""
    topics = sorted({pair.topic for pair in pairs})
    turned = set(np.random.default_rng(seed).permutation(topics)[: len(topics) // 2])
    return [
        replace(
            pair,
            creative=pair.boring,
            boring=pair.creative,
            creative_response=pair.boring_response,
            boring_response=pair.creative_response,
        )
        if pair.topic in turned
        else pair
        for pair in pairs
    ]


def test_pairs_without_a_signal_claim_nothing(chat):
    sweep = tiny(chat, pairs=shuffled(FEW, 2), plan=replace(TINY, layers="2,4", strengths=(0.15,)))
    assert len(sweep.texts) > 200, "it went the whole way"
    assert sweep.run["verdict"]["outcome"] == "not enough evidence"
    assert sweep.run["pairs"]["file"] == "given"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 7))
def test_pairs_without_a_signal_never_claim(chat, seed):
    plan = replace(TINY, layers="1-6", strengths=(0.1, 0.2), samples=2)
    sweep = sweep_layers(chat, shuffled(load_pairs(), seed), plan=plan, prompts=load_prompts(), control=None, seed=seed)
    assert sweep.run["verdict"]["outcome"] != "steers"


# -- the preset ----------------------------------------------------------------------------------------------------


def test_the_papers_settings(chat):
    plan = replace(
        PRESETS["olson2024"], samples=1, controls=19, band=0, temperatures=(), max_new_tokens=12, screen_pairs=2
    )
    told = [pair for pair in load_pairs() if pair.kind == "manner"]  # register responses to instructions that differ
    pairs = [replace(a, creative=b.creative, boring=b.boring) for a, b in zip(FEW, told[:24], strict=True)]
    sweep = tiny(chat, plan=plan, pairs=pairs)
    choice = sweep.run["choice"]
    assert (choice["layer"], sweep.run["layers"]) == (2, [2])
    assert choice["raw_dose"] == pytest.approx(3.0, rel=1e-6)
    share = 100 * choice["strength"]
    assert 0.4 <= share <= 1.4
    (warning,) = [note for note in sweep.run["warnings"] if "residual units" in note]
    assert f"A strength of 3 residual units is {share:.2g} % of the median residual norm at layer 2." in warning
    assert "Below 5 %" in warning
    assert sweep.run["options"]["cosine"] is True
    assert sweep.texts["hooked_score"].isna().all(), "a cosine has no leak that a projection could show"
    leaks = sweep.table[sweep.table["measure"] == "leak"]
    assert leaks["estimate"].isna().all()


# -- broken off, refused -------------------------------------------------------------------------------------------


def stop(*args, **options):
    raise KeyboardInterrupt


def test_broken_off_in_the_test_stage_dev_is_kept(chat, monkeypatch, tmp_path):
    monkeypatch.setattr(judging, "control_edits", stop)
    folder = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt, match="broken holds what was finished"):
        tiny(chat, out=folder)
    run = json.loads((folder / "run.json").read_text("utf-8"))
    assert run["status"] == "running"
    assert run["choice"]["layer"] == 2
    assert set(pd.read_parquet(folder / "generations.parquet")["stage"]) == {"dev"}
    assert set(pd.read_csv(folder / "sweep.csv")["stage"]) == {"readout", "screen", "dev"}
    assert "the run was broken off" in refusal(Sweep.load, folder)
    assert "holds a run with other inputs: --seed" in refusal(lambda: tiny(chat, out=folder, seed=5))
    monkeypatch.undo()
    with quick_matching():
        assert tiny(chat, out=folder).run["status"] == "finished", "it is gone on with"


def test_broken_off_before_anything_was_measured_nothing_is_left(chat, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "prepare", stop)
    with pytest.raises(KeyboardInterrupt, match="nothing was written"):
        tiny(chat, out=tmp_path / "broken")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_leaves_no_run_that_says_it_is_finished(chat, monkeypatch, tmp_path):
    monkeypatch.setattr(activations, "_cached", activations._run)  # which would warn
    folder = tmp_path / "full"
    with full_disk(after=9_000):
        assert "could not be written" in refusal(lambda: tiny(chat, out=folder))
    assert not list(tmp_path.rglob("*.partial"))
    assert not folder.exists() or "broken off" in refusal(Sweep.load, folder)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"prompts": (DEV, DEV)}, "stands twice; every prompt is drawn in one stage only."),
        ({"prompts": (DEV, [Prompt("long", None, "word " * 600)])}, "expected fewer than the context of 512"),
        ({"plan": replace(TINY, max_new_tokens=500)}, "expected at most the context of 512 of pocket-chat; shorten it"),
        ({"plan": replace(TINY, layers="9")}, "layers: expected 0 to 7 for pocket-chat, got 9."),
        ({"pairs": [replace(pair, split=None) for pair in load_pairs()[:27]]}, "expected pairs of at least 4 topics"),
        ({"control": "sentimant"}, "Did you mean 'sentiment'?"),
    ],
    ids=["overlap", "prompt", "length", "layer", "pairs", "control"],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(chat, tmp_path, options, said):
    assert said in refusal(lambda: tiny(chat, out=tmp_path / "run", **options))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_texts_that_break_are_not_measured_and_do_not_break_the_sweep(chat):
    """A push that drowns the model: every token is noise, and still there are numbers and a verdict."""
    sweep = tiny(chat, plan=replace(TINY, strengths=(1e4,)))
    assert sweep.run["verdict"]["outcome"] == "not enough evidence"
