"""`clens decode`: side by side, from a file, swept; what is wrong is one line before any model loads."""

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from commands import everything, refused, run
from fake_embedder import FakeEmbedder
from tiny_models import CHATML, save_model

from creativity_lens import models
from creativity_lens.activations import collect_activations
from creativity_lens.directions import Directions, mean_difference
from creativity_lens.models import Model
from creativity_lens.prompts import load_control

ASK = ("decode", "Write about a lighthouse.", "--max-new-tokens", "3")
SWEEP = ("decode", "--sweep-gamma", "--gamma", "0.5,1", "--samples", "2", "--max-new-tokens", "3")


@pytest.fixture(scope="module")
def directions(chat: Model) -> Directions:
    return mean_difference(collect_activations(chat, load_control("register")[:12]))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def both(monkeypatch, chat, base):
    """Commands get the built-in models that were loaded once, and say which ones they asked for."""
    asked = []

    def load_model(name, **options):
        asked.append((name, options))
        return {"pocket-chat": chat, "pocket-base": base}[name]

    monkeypatch.setattr(models, "load_model", load_model)
    return asked


@pytest.fixture
def embedded(monkeypatch):
    from creativity_lens import embeddings

    monkeypatch.setattr(embeddings, "load_embedder", lambda name=None, **options: FakeEmbedder())


def test_one_gamma_is_written_as_the_issue_asks(capsys, both):
    status, out, err = run(capsys, "decode", "--aligned", "pocket-chat", "--base", "pocket-base", "--gamma", "0.5",
                           "--max-new-tokens", "6", "Write about a lighthouse.")  # fmt: skip
    assert status == 0
    assert "Write about a lighthouse." in out
    assert "gamma 0.5" in out
    assert "nats per token as pocket-chat reads" in out
    assert err == ""
    assert [(name, options["template"]) for name, options in both] == [("pocket-chat", "auto"), ("pocket-base", "none")]


def test_gammas_stand_side_by_side_and_as_json(capsys, both):
    _, out, _ = run(capsys, *ASK, "--gamma", "0,0.25,0.5")
    for heading in ("gamma 0 ", "gamma 0.25", "gamma 0.5"):
        assert heading in out
    status, out, _ = run(capsys, *ASK, "--gamma", "0,1", "--samples", "2", "--top-p", "1", "--json")
    found = json.loads(out)
    assert status == 0
    assert (found["aligned"], found["base"]) == ("pocket-chat", "pocket-base")
    assert [(text["gamma"], text["seed"]) for text in found["texts"]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    alone = json.loads(run(capsys, *ASK, "--gamma", "0", "--samples", "2", "--top-p", "1", "--json")[1])
    assert [text["text"] for text in alone["texts"]] == [text["text"] for text in found["texts"]][:2]


def test_the_defaults_are_half_and_a_nucleus_of_nine_tenths(capsys, both):
    def settings(*arguments):
        return json.loads(run(capsys, *ASK, "--json", *arguments)[1])["texts"][0]

    row = settings()
    assert (row["gamma"], row["mix"], row["truncate"], row["top_p"]) == (0.5, "prob", "instruct-first", 0.9)
    assert (row["temperature"], row["base_temperature"]) == (1.0, 1.0)
    row = settings(
        "--max-new-tokens",
        "1",
        "--top-k",
        "20",
        "--mix",
        "logprob",
        "--truncate",
        "after-mix",
        "--base-temperature",
        "0.5",
    )
    assert (row["top_p"], row["top_k"], row["mix"], row["truncate"]) == (1.0, 20, "logprob", "after-mix")
    assert (row["temperature"], row["base_temperature"]) == (1.0, 0.5)
    assert settings("--min-p", "0.1", "--top-p", "0.95")["top_p"] == 0.95
    assert settings("--temperature", "0")["text"] == settings("--temperature", "0", "--seed", "7")["text"]


def test_a_file_of_prompts_becomes_a_file_of_texts(here, capsys, both):
    (here / "prompts.txt").write_text("Write of rain.\nWrite of salt.\n")
    arguments = ("decode", "--from-file", "prompts.txt", "--out", "texts.jsonl", "--max-new-tokens", "4")
    status, out, err = run(capsys, *arguments, "--gamma", "0,0.5")
    assert (status, out, err) == (0, "", "4 texts: texts.jsonl\n")
    rows = [json.loads(line) for line in (here / "texts.jsonl").read_text().splitlines()]
    assert [(row["prompt"], row["gamma"]) for row in rows] == [
        (prompt, gamma) for prompt in ("Write of rain.", "Write of salt.") for gamma in (0, 0.5)
    ]
    before = everything(here)
    assert "--out texts.jsonl: exists" in refused(capsys, *arguments)
    assert everything(here) == before
    assert run(capsys, *arguments, "--force")[0] == 0
    assert len((here / "texts.jsonl").read_text().splitlines()) == 2


def test_steering_acts_on_the_aligned_model_beside_no_steering(capsys, both, directions):
    directions.save("d.safetensors")
    steer = ("-d", "d.safetensors", "--layer", "2-3", "--strength", "0.1,0.3", "--scope", "all")
    status, out, err = run(capsys, *ASK, "--gamma", "0,0.5", *steer, "--json")
    found = json.loads(out)
    assert status == 0
    assert [(text["gamma"], text["strength"]) for text in found["texts"]] == [
        (gamma, pytest.approx(strength)) for gamma in (0, 0.5) for strength in (0, 0.1, 0.3)
    ]
    assert len({text["text"] for text in found["texts"]}) > 2
    assert "is not a run, so nothing chose a cell" in err
    assert "gamma 0, layers 2-3, strength 0.1" in run(capsys, *ASK, "--gamma", "0", *steer)[1]


def test_the_base_model_may_be_asked_in_the_template(capsys, both, chat):
    rows = [
        json.loads(run(capsys, *ASK, "--gamma", "1", "--top-p", "1", "--base-template", form, "--json")[1])["texts"][0]
        for form in ("none", "aligned")
    ]
    assert rows[0]["text"] != rows[1]["text"]


def test_in_a_terminal_the_columns_fill_while_texts_are_written(both, monkeypatch, chat):
    from creativity_lens.cli.columns import Columns
    from creativity_lens.prompts import Prompt

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Terminal())
        names = ["gamma 0", "gamma 0.5"]
        columns = Columns(chat, [Prompt("p", None, "Tell me.")], [], 1, shown=True, names=names)
        with columns as on_step:
            for index in chat.encode_text("The tide came in."):
                on_step([0, 1], [index, index])
            shown = columns._draw()
    from rich.console import Console

    drawn = Console(width=100, file=io.StringIO())
    drawn.print(shown)
    assert drawn.file.getvalue().count("The tide came in.") == 2
    assert "gamma 0.5" in drawn.file.getvalue()


# ---- the sweep ----


@pytest.mark.filterwarnings("default:fidelity at gamma 0:UserWarning")
def test_a_sweep_writes_a_run_and_says_what_it_found(here, capsys, both, embedded):
    (here / "prompts.txt").write_text("".join(f"Write about thing {number}.\n" for number in range(8)))
    status, out, err = run(capsys, *SWEEP, "--from-file", "prompts.txt")
    assert status == 0
    for said in ("gamma 0.5", "semantic spread", "From gamma 0 to 1", "contrast 0.5 against gamma 0.5: "):
        assert said in out
    folder = here / "runs" / "pocket-chat-gamma-001"
    assert f"report: {folder.relative_to(here) / 'report.html'}" in err
    assert sorted(path.name for path in folder.iterdir()) == ["gamma.csv", "report.html", "run.json", "texts.jsonl"]
    assert "clens decode --sweep-gamma" in json.loads((folder / "run.json").read_text())["command"]
    assert len((folder / "texts.jsonl").read_text().splitlines()) == 7 * 8 * 2
    rows = [json.loads(line) for line in (folder / "texts.jsonl").read_text().splitlines()]
    assert {row["tokens"] for row in rows} == {3}


@pytest.mark.filterwarnings("default:.*no interval:UserWarning")
def test_a_sweep_of_few_prompts_says_that_nothing_can_be_claimed(here, capsys, both, embedded):
    (here / "prompts.txt").write_text("Write of rain.\nWrite of salt.\n")
    arguments = (*SWEEP, "--from-file", "prompts.txt", "--baselines", "none", "--out", "mine", "--json")
    status, out, err = run(capsys, *arguments)
    found = json.loads(out)
    assert status == 0
    assert "warning: 2 prompts: no interval is given below 8" in err
    assert found["knee"]["found"] is False
    assert found["folder"] == "mine"
    assert {row["low"] for row in found["rows"]} == {None}
    assert "--out mine: holds another run" in refused(capsys, *arguments)


# ---- bad input ----


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("x", "--gamma", "1.1"), "gamma: expected a number from 0 (the aligned model) to 1 (its base), got 1.1"),
        (("x", "--gamma", "-0.5"), "got -0.5"),
        (("x", "--gamma", "nan"), "got nan"),
        (("x", "--gamma", "half"), "--gamma: expected numbers such as 0.1,0.2, got 'half'"),
        (("x", "--gamma", "0.5,0.5"), "0.5 twice"),
        (("x", "--mix", "logprobs"), "Did you mean 'logprob'"),
        (("x", "--truncate", "instruct"), "Did you mean 'instruct-first'"),
        (("x", "--base-template", "alined"), "Did you mean 'aligned'"),
        (("x", "--top-p", "0"), "top_p"),
        (("x", "--min-p", "1"), "min_p"),
        (("",), "prompt: expected a text, got an empty one"),
        ((), "or --from-file, or --sweep-gamma"),
        (("x", "--from-file", "y"), "got both"),
        (("--from-file", "missing.txt"), "no such file"),
        (("x", "--strength", "0.1"), "--strength: belongs to --directions"),
        (("x", "--scope", "all"), "--scope: belongs to --directions"),
        (("x", "-d", "missing"), "missing"),
        (("x", "--aligned", "gpt2"), "--base: expected the model that gpt2 was made of"),
        (("x", "--embedder", "e"), "--embedder: belongs to --sweep-gamma"),
        (("x", "--baselines", "none"), "--baselines: belongs to --sweep-gamma"),
        (("--sweep-gamma", "--samples", "1"), "samples: expected 2 or more"),
        (("--sweep-gamma", "--gamma", "0.5"), "at least 2 above 0"),
        (("--sweep-gamma", "--temperature", "0"), "greedy texts of a prompt are all the same"),
        (("--sweep-gamma", "--mix", "contrast"), "contrast is a baseline"),
        (("--sweep-gamma", "--baselines", "contrasts"), "Did you mean 'contrast'"),
        (("--sweep-gamma", "--force"), "--force: overwrites a file"),
        (("--sweep-gamma", "x"), "at least 2 prompts"),
    ],
)
def test_what_is_wrong_is_one_line_before_a_model_loads(capsys, no_model, arguments, said):
    assert said in refused(capsys, "decode", *arguments)


def test_lists_and_modes_that_do_not_fit_together_are_refused(capsys, no_model, directions):
    directions.save("d.safetensors")
    steer = ("-d", "d.safetensors")
    assert "expected one strength" in refused(capsys, "decode", "--sweep-gamma", *steer, "--strength", "0.1,0.2")
    assert "takes no --strength" in refused(capsys, "decode", "x", *steer, "--mode", "ablate", "--strength", "1")


def mangled(folder: Path) -> Path:
    """A folder whose tokenizer has two ordinary tokens in each other's places."""
    save_model(folder)
    path = folder / "tokenizer.json"
    saved = json.loads(path.read_text())
    vocabulary = saved["model"]["vocab"]
    by_id = {index: token for token, index in vocabulary.items()}
    one, other = [index for index in sorted(by_id) if len(by_id[index]) > 1 and "<" not in by_id[index]][:2]
    vocabulary[by_id[one]], vocabulary[by_id[other]] = other, one
    path.write_text(json.dumps(saved))
    return folder


def test_models_that_do_not_share_a_vocabulary_are_refused_by_the_first_ids(tmp_path, capsys):
    folder = mangled(tmp_path / "mangled")
    said = refused(capsys, "decode", "--aligned", "pocket-chat", "--base", folder, "Write.")
    assert "expected one vocabulary, id for id; 2 of 4096 ids differ (id " in said


def test_models_with_and_without_a_template(capsys, both):
    status, _, err = run(capsys, *ASK, "--aligned", "pocket-base", "--base", "pocket-base")
    assert status == 0
    assert "pocket-base is asked in plain text, for it has no chat template" in err
    in_template = ("--aligned", "pocket-base", "--base", "pocket-chat", "--base-template", "aligned")
    assert "pocket-base: expected a model with a chat template" in refused(capsys, *ASK, *in_template)


@pytest.mark.slow
def test_a_base_with_a_template_is_asked_in_plain_text_all_the_same(tmp_path, capsys):
    folder = save_model(tmp_path / "tiny", template=CHATML)
    loaded = models.load_model(folder)
    assert loaded.template == "chat"
    status, out, _ = run(capsys, *ASK, "--aligned", folder, "--base", folder, "--gamma", "1", "--top-p", "1", "--json")
    row = json.loads(out)["texts"][0]
    plain = models.load_model(folder, template="none")
    from creativity_lens.generation import generate
    from creativity_lens.prompts import Prompt

    (alone,) = generate(plain, [Prompt("prompt", None, ASK[1])], max_new_tokens=3)
    assert status == 0
    assert row["text"] == alone.text


def test_the_context_of_either_model_is_checked(capsys, both, base, monkeypatch):
    monkeypatch.setitem(base.__dict__, "shape", replace(base.shape, context=12))
    assert "context of 12 of pocket-base" in refused(capsys, *ASK, "--gamma", "0,0.5")
