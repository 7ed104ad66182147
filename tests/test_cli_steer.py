"""`clens steer`: side by side, from a file, in a conversation; what is wrong is one line before any model loads."""

import io
import json
import sys
from pathlib import Path

import pytest
import torch
from commands import everything, refused, run

from creativity_lens.activations import collect_activations
from creativity_lens.cli import main
from creativity_lens.directions import Directions, mean_difference
from creativity_lens.models import Model
from creativity_lens.prompts import load_control

# a push of some sixth of the norm may well break a text; that it is said is a test of its own
pytestmark = pytest.mark.filterwarnings("default:.*break.* the text:UserWarning")

ASK = ("steer", "Write about a lighthouse.", "-d", "d.safetensors", "--max-new-tokens", "8")


@pytest.fixture(scope="module")
def directions(chat: Model) -> Directions:
    return mean_difference(collect_activations(chat, load_control("register")[:12]))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, directions):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    directions.save("d.safetensors")
    run_folder = folder / "run"
    run_folder.mkdir()
    directions.save(run_folder / "directions.safetensors")
    described = {"choice": {"layer": 3, "strength": 0.2}, "verdict": {"outcome": "not enough evidence"}}
    (run_folder / "run.json").write_text(json.dumps(described))
    return folder


def test_unsteered_and_steered_stand_side_by_side(capsys, with_chat):
    status, out, err = run(capsys, *ASK, "--strength", "0.1,0.3", "--samples", "2")
    assert status == 0
    for heading in ("unsteered", "layer 3, strength 0.1", "layer 3, strength 0.3", "Write about a lighthouse."):
        assert heading in out
    assert "of coherence kept over 1 prompt" in out
    assert "is not a run, so nothing chose a cell: layer 3" in err


def test_a_run_gives_layer_and_strength_and_its_verdict_is_said(capsys, with_chat):
    status, out, err = run(capsys, "steer", "Write.", "-d", "run", "--max-new-tokens", "8")
    assert status == 0
    assert "layer 3, strength 0.2" in out
    assert "run did not show that pushing along its direction works" in err


def test_json_holds_every_text_and_every_cost(capsys, with_chat):
    status, out, _ = run(capsys, *ASK, "--layer", "2-4", "--strength", "0.3", "--json")
    found = json.loads(out)
    assert status == 0
    assert [text["layers"] for text in found["texts"]] == [[], [2, 3, 4]]
    assert found["texts"][1]["strength"] == pytest.approx(0.3)
    assert [cost["push"] for cost in found["costs"]] == [0, 1]
    assert found["texts"][0]["prompt"] == "Write about a lighthouse."


@pytest.mark.filterwarnings("default:.*passed over:UserWarning")
def test_a_file_of_prompts_becomes_a_file_of_texts(here, capsys, with_chat):
    (here / "prompts.txt").write_text("Write of rain.\n\nWrite of salt.\n\n\n")
    arguments = ("-d", "run", "--from-file", "prompts.txt", "--out", "texts.jsonl", "--max-new-tokens", "6")
    status, out, err = run(capsys, "steer", *arguments, "--samples", "2")
    assert (status, out) == (0, "")
    assert "warning: prompts.txt: 1 empty line passed over" in err
    rows = [json.loads(line) for line in (here / "texts.jsonl").read_text().splitlines()]
    assert [row["prompt"] for row in rows] == ["Write of rain."] * 4 + ["Write of salt."] * 4
    assert [row["push"] for row in rows] == [0, 0, 1, 1] * 2
    before = everything(here)
    assert "--out texts.jsonl: exists" in refused(capsys, "steer", *arguments)
    assert everything(here) == before
    assert run(capsys, "steer", *arguments, "--force")[0] == 0
    assert len((here / "texts.jsonl").read_text().splitlines()) == 4


def test_a_strength_that_breaks_the_text_is_carried_out_with_a_warning(capsys, with_chat):
    status, out, err = run(capsys, "steer", "Write of rain.", "-d", "run", "--strength", "3", "--max-new-tokens", "30")
    assert status == 0
    assert "layer 3, strength 3" in out
    assert "warning: layer 3, strength 3 may break the text: 0." in err
    assert "over 1 prompt, too few to be sure (surprisal" in err
    assert "nats per token without steering" in err


def test_modes(capsys, with_chat):
    assert "layer 3, ablated" in run(capsys, *ASK, "--mode", "ablate")[1]
    assert "layer 3, held at 0.3" in run(capsys, *ASK, "--mode", "clamp", "--strength", "0.3")[1]
    assert "layer 3, strength -0.1" in run(capsys, *ASK, "--strength", "-0.1", "--scope", "all")[1]


def test_in_a_terminal_the_columns_fill_while_texts_are_written(capsys, with_chat, monkeypatch, chat):
    from creativity_lens.cli.columns import Columns

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    columns = Columns(chat, [], [], 1, shown=True)
    with columns as on_step:
        assert on_step is not None
    from creativity_lens.prompts import Prompt
    from creativity_lens.steering import Steering

    columns = Columns(chat, [Prompt("p", None, "Tell me.")], [(Steering(4, torch.eye(192)[0], 0.2),)], 1, shown=True)
    ids = chat.encode_text("The tide came in.")
    with columns as on_step:
        for number, index in enumerate(ids):
            on_step([0] if number < 2 else [0, 1], [index] if number < 2 else [index, index])
        shown = columns._draw()
        columns.start_again()
        assert columns._ids == [[], []]
    from rich.console import Console

    monkeypatch.undo()
    drawn = Console(width=100, file=io.StringIO())
    drawn.print(shown)
    said = drawn.file.getvalue()
    assert "The tide came in." in said
    assert "layer 4, strength 0.2" in said


# ---- a gate ----

CREATIVE, FACTUAL = "Invent a name for a blue bakery.", "What is 17 times 23?"


@pytest.fixture(scope="module")
def gate(chat: Model, tmp_path_factory) -> str:
    """As `clens find` makes it of the pairs that ship; the threshold parts the two prompts below."""
    path = tmp_path_factory.mktemp("gate") / "gate.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        from creativity_lens import models

        patch.setattr(models, "load_model", lambda *args, **options: chat)
        assert main(["find", "--pairs", "gate_pairs.jsonl", "--out", str(path)]) == 0
    return str(path)


def test_a_gate_opens_for_some_prompts_and_leaves_others_as_they_are(here, capsys, with_chat, gate):
    (here / "both.txt").write_text(f"{CREATIVE}\n{FACTUAL}\n")
    asked = ("steer", "-d", "run", "--from-file", "both.txt", "--strength", "0.6", "--max-new-tokens", "20")
    capsys.readouterr()
    status, out, _ = run(capsys, *asked, "--gate", gate, "--json")
    assert status == 0
    texts = json.loads(out)["texts"]
    plain = json.loads(run(capsys, *asked, "--json")[1])["texts"]
    assert [text["gate_open"] for text in texts] == [True, True, False, False]
    assert [text["mode"] for text in texts] == ["none", "add", "none", "none"]
    assert texts[3]["text"] == texts[2]["text"] == plain[2]["text"]
    assert plain[3]["text"] != plain[2]["text"], "the control: without the gate it would have been changed"
    assert texts[1]["text"] == plain[1]["text"], "an open gate steers as ever"
    out = run(capsys, *asked, "--gate", gate)[1]
    assert "gate open (" in out
    assert "gate closed: not steered (" in out


def test_a_threshold_and_a_layer_by_hand(here, capsys, with_chat, gate):
    asked = ("steer", FACTUAL, "-d", "run", "--max-new-tokens", "4", "--json", "--gate", gate, "--gate-layer", "4")
    capsys.readouterr()
    for threshold, is_open in (("-1000", True), ("1000", False)):
        out = run(capsys, *asked, "--threshold", threshold)[1]
        assert json.loads(out)["texts"][0]["gate_open"] is is_open


def test_a_conversation_has_a_gate_too(capsys, with_chat, monkeypatch, gate):
    typed(monkeypatch, CREATIVE, "/reset", FACTUAL)
    capsys.readouterr()
    status, _, err = run(capsys, "steer", "--chat", "-d", "run", "--max-new-tokens", "4", "--gate", gate)
    assert status == 0
    assert err.index("gate open (") < err.index("gate closed, not steered (")


# ---- a conversation ----


def typed(monkeypatch, *lines: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_a_conversation_goes_on_and_its_push_can_be_changed(capsys, with_chat, monkeypatch, chat):
    seen = []
    turns_of = type(chat).encode_turns
    monkeypatch.setattr(
        type(chat), "encode_turns", lambda self, turns: seen.append(list(turns)) or turns_of(self, turns)
    )
    typed(
        monkeypatch,
        "Tell me of rain.",
        "/strength 0.3",
        "/layer 5",
        "And of salt?",
        "/again",
        "/reset",
        "",
        "Hi.",
        "/quit",
        "no",
    )
    status, out, err = run(capsys, "steer", "--chat", "-d", "run", "--max-new-tokens", "5")
    assert status == 0
    answers = out.splitlines()
    assert len(answers) >= 4
    assert "layer 3, strength 0.3 from here on." in err
    assert "layer 5, strength 0.3 from here on." in err
    asked = seen[1:]  # the first is the check that it takes a conversation
    assert [turns[-1] for turns in asked] == ["Tell me of rain.", "And of salt?", "And of salt?", "Hi."]
    assert [len(turns) for turns in asked] == [1, 3, 3, 1]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/strenght 1", "Did you mean '/strength'?"),
        ("/strength", "/strength: expected a value"),
        ("/strength much", "expected numbers such as 0.1,0.2, got 'much'"),
        ("/layer 9", "expected 0 to 7"),
        ("/mode ad", "Did you mean 'add'?"),
        ("/again", "expected an answer before it"),
        ("word " * 600, "expected at most the context of 512"),
    ],
)
def test_what_is_wrong_in_a_conversation_is_said_and_it_goes_on(capsys, with_chat, monkeypatch, line, said):
    typed(monkeypatch, line, "Hi.")
    status, out, err = run(capsys, "steer", "--chat", "-d", "run", "--max-new-tokens", "4")
    assert status == 0
    assert said in err
    assert out.strip(), "the next turn was answered"


# ---- what is wrong ----


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("", "-d", "run"), "prompt: expected a text, got an empty one."),
        (("-d", "run"), 'expected a text such as "Write about a lighthouse."'),
        (("Write.",), "--directions: expected a run's folder or a file of directions"),
        (("Write.", "-d", "nothing"), "nothing: no such file"),
        (("Write.", "-d", "."), "expected a run folder with run.json"),
        (("Write.", "-d", "run", "--mode", "ablat"), "Did you mean 'ablate'?"),
        (("Write.", "-d", "run", "--mode", "ablate", "--strength", "1"), "takes no --strength"),
        (("Write.", "-d", "run", "--scope", "al"), "Did you mean 'all'?"),
        (("Write.", "-d", "run", "--strength", "much"), "--strength: expected numbers"),
        (("Write.", "-d", "run", "--strength", "nan"), "strength: expected a number, got nan"),
        (("Write.", "-d", "run", "--strength-unit", "gaps"), "Did you mean 'gap'?"),
        (("Write.", "-d", "run", "--layer", "8"), "expected 0 to 7"),
        (("Write.", "-d", "run", "--layer", "four"), "expected 'all', '0-7' or '2,4', got 'four'"),
        (("Write.", "-d", "run", "--threshold", "1"), "--threshold: belongs to --gate FILE"),
        (("Write.", "-d", "run", "--gate-layer", "1"), "--gate-layer: belongs to --gate FILE"),
        (("Write.", "-d", "run", "--gate", "d.safetensors"), "expected a gate, which reads the prompt alone"),
        (("Write.", "-d", "run", "--gate", "nothing", "--threshold", "x"), "got 'x'"),
        (("Write.", "-d", "run", "--gate", "nothing"), "nothing: no such file"),
        (("Write.", "-d", "run", "--from-file", "p"), "got both"),
        (("-d", "run", "--from-file", "nothing"), "nothing: no such file"),
        (("-d", "run", "--from-file", "run"), "expected a file of prompts"),
        (("Write.", "-d", "run", "--chat"), "expected no prompt on the command line"),
        (("-d", "run", "--chat", "--samples", "2"), "--chat: takes no --samples"),
        (("-d", "run", "--chat", "--json"), "--chat: takes no --json"),
        (("Write.", "-d", "run", "--out", "run"), "got a folder"),
        (("Write.", "-d", "run", "--out", "no/where.jsonl"), "cannot be written"),
        (("Write.", "-d", "run", "--out", "d.safetensors"), "exists; choose another name or add --force"),
    ],
)
def test_what_is_wrong_is_known_before_the_model_loads(capsys, no_model, arguments, said):
    assert said in refused(capsys, "steer", *arguments)


def test_a_prompt_beyond_the_context(capsys, with_chat):
    status, out, err = run(capsys, "steer", "word " * 600, "-d", "d.safetensors")
    assert (status, out) == (2, "")
    assert "expected fewer than the context of 512" in err


def test_directions_of_another_model(capsys, monkeypatch, base):
    from creativity_lens import models

    monkeypatch.setattr(models, "load_model", lambda *args, **options: base)
    assert "directions of pocket-chat" in refused(capsys, "steer", "Write.", "-d", "run", "--model", "pocket-base")


def test_a_base_model_has_no_conversations(here, capsys, monkeypatch, base):
    from creativity_lens import models

    monkeypatch.setattr(models, "load_model", lambda *args, **options: base)
    mean_difference(collect_activations(base, load_control("register")[:12], layers="4")).save("base.safetensors")
    typed(monkeypatch, "Hi.")
    status, out, err = run(capsys, "steer", "--chat", "-d", "base.safetensors")
    assert (status, out) == (2, "")
    assert "pocket-base: expected a chat model for a conversation" in err


def test_directions_that_are_not_numbers(here, capsys, no_model, directions):
    from dataclasses import replace

    replace(directions, vectors=directions.vectors * torch.nan).save("nan.safetensors")
    said = refused(capsys, "steer", "Write.", "-d", "nan.safetensors")
    assert "what it says of itself does not fit" in said
    assert Path("nan.safetensors").exists()
