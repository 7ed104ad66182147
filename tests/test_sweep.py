"""One small real sweep on the built-in model: its tables, its texts, the order of events, what it says of itself."""

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import torch
from fake_pairs import refusal
from prepared import concept_of
from small_sweeps import DEV, SMALL, TEST, quick_matching

import creativity_lens
import creativity_lens.judging as module
from creativity_lens.models import Model
from creativity_lens.result import Sweep
from creativity_lens.sweep import sweep_layers
from creativity_lens.tables import TABLE_COLUMNS
from creativity_lens.text_scores import score_texts

TEXT_COLUMNS = (
    "text_id", "concept", "stage", "condition", "layer", "strength", "method", "temperature", "control", "prompt_id",
    "seed", "text", "token_ids", "tokens", "token_scores", "score", "surprisal", "hooked_score",
)  # fmt: skip
SHIPPED = Path(creativity_lens.__file__).parent


@pytest.fixture(scope="module", autouse=True)
def _quick_matching():
    with quick_matching():
        yield


@pytest.fixture(scope="module")
def small(chat: Model, base: Model, tmp_path_factory):
    """A whole sweep with everything in it, and what lay in its folder whenever it began to write texts."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    seen = {}

    def write_texts(model, stage, *args, **options):
        texts = folder / "generations.parquet"
        seen[stage] = SimpleNamespace(
            run=json.loads((folder / "run.json").read_text("utf-8")),
            texts=pd.read_parquet(texts) if texts.exists() else None,
        )
        return real(model, stage, *args, **options)

    real = module.write_texts
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "write_texts", write_texts)
        sweep = sweep_layers(
            chat, plan=SMALL, prompts=(DEV, TEST), reader=base, seed=0, out=folder, command="clens sweep --layers 2,4"
        )
    return SimpleNamespace(sweep=sweep, folder=folder, seen=seen)


# -- the table -----------------------------------------------------------------------------------------------------

CELL = {
    "gain": "gaps", "coherence": "share", "faithfulness": "share", "quality": "share", "surprisal": "nats/token",
    "repetition": "share",
}  # fmt: skip
LEAK, KL = {"leak": "gaps"}, {"kl": "nats/token"}
READ = {"auc": "share", "paired_accuracy": "share"}
DIRECTION = READ | {
    "stability": "cosine", "method_cosine": "cosine", "residual_norm": "residual units", "gap": "residual units",
    "dev_margin": "gaps",
}  # fmt: skip
SCREEN = {"log_ratio_change": "nats/token", "kl": "nats/token"}
MAIN = {
    ("readout", "direction"): DIRECTION,
    ("readout", "token_embeddings"): READ,
    ("readout", "tfidf"): READ,
    ("readout", "shuffled"): {"auc": "share"},
    ("readout", "left_out_domain"): {"auc": "share"},
    ("readout", "transfer"): {"auc": "share"},
    ("readout", "nuisance"): {"cosine": "cosine"},
    ("readout", "adversarial"): {"paired_accuracy": "share"},
    ("screen", "steered"): SCREEN,
    ("dev", "steered"): CELL | LEAK | KL,
    ("test", "chosen"): CELL | LEAK | KL,
    ("test", "layer"): CELL | LEAK | KL,
    ("test", "negated"): CELL | LEAK,
    ("test", "isotropic"): CELL | LEAK,
    ("test", "prompted"): CELL,
    ("test", "temperature"): CELL,
    ("test", "nuisance_removed"): {"gain_left": "gaps"},
    ("test", "second_reader"): {"gain": "gaps"},
    ("test", "flip"): {"gain": "gaps"},
    ("test", "band"): {"gain": "gaps"},
}
CONTROL = {
    ("readout", "direction"): DIRECTION,
    ("screen", "steered"): SCREEN,
    ("dev", "steered"): CELL | KL,
    ("test", "chosen"): CELL | KL,
    ("test", "layer"): CELL | KL,
    ("test", "flip"): {"gain": "gaps"},
}


@pytest.mark.parametrize(("concept", "expected"), [("creativity", MAIN), ("register", CONTROL)])
def test_every_measure_of_every_condition_is_there_with_its_unit(small, concept, expected):
    table = small.sweep.table
    rows = table[table["concept"] == concept]
    found: dict = {}
    for row in rows.itertuples():
        found.setdefault((row.stage, row.condition), {})[row.measure] = row.unit
    assert found == expected
    assert set(table["concept"]) == {"creativity", "register"}


def count(table, **where) -> int:
    kept = table[table["concept"] == "creativity"]
    for name, value in where.items():
        kept = kept[kept[name] == value]
    return len(kept)


def test_one_row_for_each_thing_that_was_measured(small):
    table = small.sweep.table
    assert list(table) == list(TABLE_COLUMNS)
    keys = [
        "concept",
        "stage",
        "condition",
        "layer",
        "strength",
        "method",
        "temperature",
        "control",
        "group",
        "measure",
    ]
    assert not table.duplicated(keys).any()
    assert count(table, stage="readout", condition="direction", measure="auc") == 2 * 2
    assert count(table, stage="readout", condition="direction", measure="stability") == 2
    assert count(table, stage="screen", measure="kl") == 2 * 2
    assert count(table, stage="dev", measure="gain") == 2 * 2
    assert count(table, stage="test", condition="layer", measure="gain") == 2
    assert count(table, stage="test", condition="flip") == 19
    assert count(table, stage="test", condition="band") == 2 * 2
    assert count(table, stage="test", condition="temperature", measure="gain") == 2
    assert set(table[table["condition"] == "nuisance"]["group"]) == {"length", "sentiment", "register", "formality"}
    assert set(table[table["condition"] == "token_embeddings"]["layer"]) == {-1}
    assert table[table["condition"] == "tfidf"]["layer"].isna().all()


def test_numbers_come_with_intervals_and_with_what_they_rest_on(small):
    table = small.sweep.table
    known = table.dropna(subset=["low", "high"])
    assert (known["low"] <= known["estimate"] + 1e-9).all()
    assert (known["high"] >= known["estimate"] - 1e-9).all()
    test = table[(table["stage"] == "test") & table["measure"].isin(["gain", "coherence", "gain_left", "leak"])]
    assert (test["n"] == 8).all(), "prompts, never samples"
    assert test["low"].notna().all()
    assert table["estimate"].notna()[table["measure"] != "faithfulness"].all()


def test_the_table_says_what_the_texts_say(small):
    """Gains from the texts by the plainest of ways."""
    texts, table = small.sweep.texts, small.sweep.table
    main = texts[texts["concept"] == "creativity"]
    for stage, condition in (("dev", "steered"), ("test", "chosen"), ("test", "prompted"), ("test", "flip")):
        base = main[(main["stage"] == stage) & (main["condition"] == "unsteered")].groupby("prompt_id")["score"].mean()
        cells = main[(main["stage"] == stage) & (main["condition"] == condition)]
        for keys, cell in cells.groupby(["layer", "strength", "control"], dropna=False):
            gain = (cell.groupby("prompt_id")["score"].mean() - base).mean()
            rows = table[(table["stage"] == stage) & (table["condition"] == condition) & (table["measure"] == "gain")]
            rows = rows[(rows["concept"] == "creativity") & (rows["strength"] == keys[1])]
            rows = rows[rows["layer"].isna() if pd.isna(keys[0]) else rows["layer"] == keys[0]]
            rows = rows if pd.isna(keys[2]) else rows[rows["control"] == keys[2]]
            assert rows["estimate"].tolist() == pytest.approx([gain], abs=1e-4)


# -- texts and scores ----------------------------------------------------------------------------------------------


def test_texts(small):
    texts, run = small.sweep.texts, small.sweep.run
    assert set(TEXT_COLUMNS) <= set(texts)
    assert texts["text_id"].is_unique
    assert dict(Counter(texts["stage"])) == run["rows"]
    assert set(texts["concept"]) == {"creativity", "register"}
    assert {len(ids) for ids in texts["token_ids"]} == {12}
    assert texts["score"].notna().all()
    assert texts["hooked_score"].notna().all()
    assert set(texts["prompt_id"]) == {prompt.id for prompt in (*DEV, *TEST)} == set(run["prompts_text"])
    assert not set(texts[texts["stage"] == "dev"]["prompt_id"]) & set(texts[texts["stage"] == "test"]["prompt_id"])
    compared = texts["condition"].isin(["flip", "band"])
    assert texts["surprisal"].isna().equals(compared)


def test_words_are_scored_where_the_report_shows_them(small):
    texts = small.sweep.texts
    shown = texts[texts["tokens"].notna()]
    assert set(shown["condition"]) == set(module.SHOWN)
    assert set(shown["stage"]) == {"test"}
    assert set(shown["concept"]) == {"creativity"}
    assert len(shown) == 8 * (len(module.SHOWN) + 1), "one luck; of the layers, each"
    for row in shown.itertuples():
        assert "".join(row.tokens) == row.text
        assert np.mean(row.token_scores) == pytest.approx(row.score, abs=1e-3)


def test_scores_are_the_texts_numbers_one_by_one(small):
    scores, texts = small.sweep.scores, small.sweep.texts.set_index("text_id")
    assert set(scores["measure"]) == {
        "surprisal", "repetition", "score:creativity", "match:creativity", "score:register", "match:register"
    }  # fmt: skip
    assert not scores.duplicated(["text_id", "measure"]).any()
    wide = scores.pivot(index="text_id", columns="measure", values="value").loc[texts.index]
    own = texts["concept"] == "creativity"
    pd.testing.assert_series_equal(wide["score:creativity"][own], texts["score"][own], check_names=False)
    pd.testing.assert_series_equal(wide["surprisal"], texts["surprisal"], check_names=False)
    assert (scores["value"].isna() == scores["note"].notna()).all()


# -- the order of events -------------------------------------------------------------------------------------------


def test_dev_texts_are_written_before_a_choice_and_after_the_read_out(small):
    at = small.seen["dev"]
    assert at.texts is None
    assert "choice" not in at.run
    assert at.run["status"] == "running"
    assert at.run["readout"]["creativity"]["layer"] in (2, 4)


def test_the_choice_is_on_disk_before_any_test_text_exists(small):
    at, run = small.seen["test"], small.sweep.run
    assert set(at.texts["stage"]) == {"dev"}
    assert at.run["choice"] == run["choice"], "and is not changed afterwards"
    assert at.run["positive_control"]["choice"] == run["positive_control"]["choice"]
    assert "verdict" not in at.run
    assert at.run["status"] == "running"


def test_the_choice_follows_from_dev_alone(small):
    table, choice = small.sweep.table, small.sweep.run["choice"]
    dev = table[(table["stage"] == "dev") & (table["concept"] == "creativity")]
    cells = dev.pivot(index=["layer", "strength"], columns="measure", values="estimate")
    rank = [((row.quality > 0) & (row.coherence >= 0.8), row.quality, row.gain) for row in cells.itertuples()]
    best = cells.index[max(range(len(rank)), key=rank.__getitem__)]
    assert (choice["layer"], choice["strength"]) == best
    chosen = table[(table["condition"] == "chosen") & (table["concept"] == "creativity")]
    assert set(zip(chosen["layer"], chosen["strength"], strict=True)) == {best}
    layers = table[(table["condition"] == "layer") & (table["concept"] == "creativity") & (table["measure"] == "gain")]
    drawn = {str(row.layer): row.strength for row in layers.itertuples()}
    assert drawn == choice["per_layer_strength"]


# -- what a run says of itself -------------------------------------------------------------------------------------


def test_run(small):
    run = small.sweep.run
    assert (run["format"], run["status"], run["name"], run["seed"]) == (1, "finished", "mine", 0)
    assert run["command"] == "clens sweep --layers 2,4"
    assert (run["model"]["name"], run["reader"]["name"]) == ("pocket-chat", "pocket-base")
    assert run["pairs"] == {
        "file": "built in", "sha256": run["pairs"]["sha256"], "n": 408, "topics": 120, "splits": run["pairs"]["splits"]
    }  # fmt: skip
    assert sum(run["pairs"]["splits"].values()) == 408
    assert (run["prompts"]["file"], run["prompts"]["dev"], run["prompts"]["test"]) == ("given", 8, 8)
    assert run["options"]["strengths"] == [0.1, 0.25]
    assert run["layers"] == [2, 4]
    assert run["drawn_only"] == []
    assert len(run["norms"]) == len(run["gaps"]) == 2
    assert set(run["layer_set"]["confidence_set"]) <= {2, 4}
    assert sum(run["layer_set"]["selection_share"].values()) == pytest.approx(1.0)
    assert run["warnings"] == run["doses"] == run["batches_halved"] == []
    assert {"read-out", "screening", "matching controls", "test: writing texts"} <= set(run["timings"])
    assert set(run["versions"]) >= {"creativity-lens", "torch", "transformer-lens", "transformers"}


@pytest.mark.parametrize("key", ["verdict", "positive_control"])
def test_verdicts(small, key):
    found = small.sweep.run[key]
    assert found["outcome"] in ("steers", "not enough evidence", "blind assay")
    assert [part["key"] for part in found["parts"]] == ["gain", "controls", "coherence", "readout"]
    for part in found["parts"]:
        assert set(part) == {"key", "question", "estimate", "low", "high", "n", "unit", "needed", "passed"}
    assert found["sentence"].endswith(".")
    gain = {part["key"]: part for part in found["parts"]}["gain"]
    concept = "creativity" if key == "verdict" else "register"
    table = small.sweep.table
    row = table[(table["concept"] == concept) & (table["condition"] == "chosen") & (table["measure"] == "gain")]
    assert row["estimate"].tolist() == pytest.approx([gain["estimate"]])
    assert gain["n"] == 8


def test_what_is_said_beside_the_verdict(small):
    labels = [item["label"] for item in small.sweep.run["verdict"]["beside"]]
    assert labels == [
        "Against temperature at equal coherence",
        "Against a 'be creative' prompt",
        "Gain left without nuisance directions",
        "Adversarial contrasts",
        "Second reader (pocket-base)",
    ]


def test_a_failed_positive_control_blinds_the_assay(small):
    run = small.sweep.run
    if run["positive_control"]["outcome"] != "steers":
        assert run["verdict"]["outcome"] == "blind assay"
        assert "register, failed" in run["verdict"]["sentence"]


def test_nothing_names_a_path_of_this_machine(small):
    text = json.dumps(small.sweep.run) + repr(small.sweep.directions.source)
    for path in (SHIPPED, SHIPPED.parent, small.folder.parent, Path.home()):
        assert str(path) not in text


def test_directions_know_how_well_they_read(small):
    scores = dict(small.sweep.directions.dev)
    table = small.sweep.table
    rows = table[(table["condition"] == "direction") & (table["measure"] == "auc") & (table["concept"] == "creativity")]
    rows = rows[rows["method"] == "mean_difference"].set_index("layer")
    for layer in (2, 4):
        assert scores[f"auc@{layer}"] == rows.loc[layer, "estimate"]
        assert scores[f"auc_low@{layer}"] == rows.loc[layer, "low"]
    assert small.sweep.directions.layers == (2, 4)


# -- saved, loaded, drawn ------------------------------------------------------------------------------------------


def test_loaded_it_equals_what_was_returned(small):
    loaded, sweep = Sweep.load(small.folder), small.sweep
    for name in ("table", "texts", "scores"):
        pd.testing.assert_frame_equal(getattr(loaded, name), getattr(sweep, name), check_exact=True)
    assert loaded.run == sweep.run
    assert torch.equal(loaded.directions.vectors, sweep.directions.vectors)
    assert (loaded.directions.dev, loaded.directions.source) == (sweep.directions.dev, sweep.directions.source)
    assert torch.equal(loaded.yardstick.vector, sweep.yardstick.vector)
    assert (loaded.yardstick.test.tokens == sweep.yardstick.test.tokens).all()
    names = {"run.json", "sweep.csv", "generations.parquet", "scores.parquet"}
    names |= {"directions.safetensors", "scoring.safetensors", "scorer.safetensors", "cells"}
    assert {path.name for path in small.folder.iterdir()} == names


def test_its_yardstick_is_the_score_of_the_run(chat, small):
    """The layer that chose is the layer that scores; at the run's length a gap is the same."""
    read = small.sweep.run["readout"]["creativity"]
    assert small.sweep.yardstick.layer == read["layer"]
    length = np.array([small.sweep.run["options"]["max_new_tokens"]])
    assert small.sweep.yardstick.gaps(length)[0].value == pytest.approx(read["gap"], rel=1e-3)
    texts = small.sweep.texts
    texts = texts[(texts["concept"] == "creativity") & (texts["text"].str.strip() != "")].iloc[:20]
    again = score_texts(chat, small.sweep.yardstick, texts["text"].tolist()).frame
    pairs = zip(chat.encode_texts(texts["text"].tolist()), texts["token_ids"], strict=True)
    # a text is encoded as it was drawn, but for a few whose tokens could be joined otherwise
    whole = [i for i, (ours, drawn) in enumerate(pairs) if list(ours) == list(drawn)[: length[0]]]
    assert len(whole) >= 5
    assert again["score"].to_numpy()[whole] == pytest.approx(texts["score"].to_numpy()[whole], abs=2e-3)


@pytest.mark.parametrize("name", ["depth", "map", "leak"])
def test_figures(small, name):
    figure = small.sweep.figure(name)
    assert isinstance(figure, go.Figure)
    assert len(figure.data) > 0


def test_a_misspelt_figure_gets_the_nearest(small):
    assert "Did you mean 'tradeoff'?" in refusal(small.sweep.figure, "trade-off")


def test_the_shared_concept_is_the_sweeps(chat, small):
    """The helper of other tests prepares what a sweep does."""
    ours = concept_of(chat, "2,4").directions["mean_difference"]
    torch.testing.assert_close(ours.vectors, small.sweep.directions.vectors)
