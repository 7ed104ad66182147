"""`clens find`: shipped files by name, the position rule that fits the pairs, gates whose threshold is dev's."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from creativity_lens import models as models_module
from creativity_lens.cli import main
from creativity_lens.directions import Directions
from creativity_lens.files import data_folder
from creativity_lens.gating import load_gate, opened
from creativity_lens.models import Model
from creativity_lens.prompts import GATE, load_control, load_pairs, load_shipped, split_pairs, write_pairs
from creativity_lens.sides import Sides, write_sides

FOLDER = data_folder() / "contrastive_pairs"
NOTE = "clens: gate_pairs.jsonl: no such file here; the one that ships with clens is taken.\n"
QUICK = ("--layers", "3-4", "--json")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def with_chat(monkeypatch, chat: Model):
    monkeypatch.setattr(models_module, "load_model", lambda *args, **options: chat)


@pytest.fixture
def no_model(monkeypatch):
    def load_model(*args, **options):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(models_module, "load_model", load_model)


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


def found(capsys, *arguments: object) -> dict:
    status, out, err = run(capsys, "find", *arguments, "--out", "a.safetensors", "--force")
    assert status == 0, err
    return json.loads(out, parse_constant=pytest.fail) if "--json" in arguments else {"table": out, "err": err}


# -- shipped files by name ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["check"], ["list"], ["show", "gate-fact-owls", "--file"]])
def test_a_shipped_file_stands_in_where_there_is_none_here(capsys, command):
    status, out, err = run(capsys, "pairs", *command, "gate_pairs.jsonl")
    assert (status, err) == (0, NOTE)
    assert out


def test_a_file_of_that_name_here_comes_first(here, capsys):
    write_pairs(here / "gate_pairs.jsonl", [replace(pair, split=None) for pair in load_pairs()[:12]])
    assert run(capsys, "pairs", "check", "gate_pairs.jsonl") == (0, "12 pairs over 4 topics: ok\n", "")


@pytest.mark.parametrize("name", ["./gate_pairs.jsonl", "gate_pair.jsonl", "gate_pairs", "prompts.jsonl", "README.md"])
@pytest.mark.parametrize("command", [["pairs", "check"], ["find", "--pairs"], ["sweep", "--pairs"]])
def test_other_names_stand_for_themselves(capsys, no_model, command, name):
    status, out, err = run(capsys, *command, name)
    assert (status, out) == (2, "")
    assert "no such file; expected a JSONL file of contrastive pairs." in err
    assert err.count("\n") == 1


def test_its_sidecar_comes_with_it(capsys):
    _, out, _ = run(capsys, "pairs", "show", "gate-fact-owls", "--file", "gate_pairs.jsonl")
    assert "\ncreative request\n" in out
    assert "\ncareful request\n" in out


# -- the position rule -------------------------------------------------------------------------------------------------


def test_instructions_are_read_where_all_responses_are_equal(capsys, with_chat):
    shown = found(capsys, "--pairs", "gate_pairs.jsonl", "--layers", "3-4")
    said = " ".join(shown["table"].split())
    assert "Fitted on 36 pairs, read on 24 of 24 other topics. Position: instruction (auto)." in said
    assert "from the 12 dev topics alone" in said
    assert "dev and 12 test topics." in said
    assert shown["err"] == NOTE + "Directions: a.safetensors\n"
    saved = Directions.load("a.safetensors")
    assert (saved.source.position, saved.positive) == ("instruction", "creative request")


def test_responses_are_read_where_they_differ_and_have_no_threshold(here, capsys, with_chat):
    write_pairs(here / "few.jsonl", load_control("register"))
    shown = found(capsys, "--pairs", "few.jsonl", *QUICK)
    assert (shown["position"], [set(row) & {"gate"} for row in shown["layers"]]) == ("response", [set(), set()])
    assert not any(name.startswith("threshold") for name, _ in Directions.load("a.safetensors").dev)
    assert "Position: response (auto)." in found(capsys, "--pairs", "few.jsonl", "--layers", "3")["table"]
    one = [*load_shipped(GATE)[:-1], replace(load_shipped(GATE)[-1], boring_response="Another reply.")]
    write_pairs(here / "one.jsonl", one)
    status, _, err = run(capsys, "find", "--pairs", "one.jsonl")
    assert status == 2, "one pair with responses of its own makes it a file of responses"
    assert "position response: expected pairs of which these texts differ in every split, train has none" in err


def test_a_position_that_is_asked_for_is_taken(capsys, with_chat):
    assert found(capsys, "--pairs", "gate_pairs.jsonl", "--position", "last", *QUICK)["position"] == "last"
    assert "Position: last." in found(capsys, "--pairs", "gate_pairs.jsonl", "--position", "last")["table"]


def test_pairs_with_nothing_to_read_under_the_rule_are_refused_before_the_model_loads(here, capsys, no_model):
    status, _, err = run(capsys, "find", "--pairs", "gate_pairs.jsonl", "--position", "response")
    assert status == 2
    assert "position response: expected pairs of which these texts differ in every split, train has none" in err
    assert "leave it to auto" in err
    assert not list(here.iterdir())


def test_pairs_whose_instructions_are_equal_are_left_out_of_a_gate(capsys, with_chat):
    shown = found(capsys, "--position", "instruction", *QUICK)
    pairs = [pair for pair in load_pairs() if pair.creative != pair.boring]
    assert shown["pairs"] + shown["held_out"] == len(pairs) == 272


# -- gates -------------------------------------------------------------------------------------------------------------


def test_the_gate_of_a_file_is_what_was_printed(capsys, with_chat, chat: Model):
    shown = found(capsys, "--pairs", "gate_pairs.jsonl", *QUICK)
    best = max(shown["layers"], key=lambda row: (row["gate"]["accuracy_dev"], row["gate"]["margin_dev"]))
    gate = load_gate("a.safetensors")
    assert (gate.layer, gate.threshold) == (best["layer"], best["gate"]["threshold"])
    printed = best["gate"]["accuracy_test"]
    assert (gate.test.value, gate.test.low, gate.test.high, gate.test.n) == tuple(printed.values())
    assert printed["n"] == 12
    _, dev, test = split_pairs(load_shipped(GATE))
    for part, right in ((dev, best["gate"]["accuracy_dev"]), (test, printed["estimate"])):
        creative, boring = (
            opened(chat, gate, [getattr(pair, side) for pair in part]) for side in ("creative", "boring")
        )
        decided = [each.is_open for each in creative] + [not each.is_open for each in boring]
        assert sum(decided) / len(decided) == pytest.approx(right), "opened() decides as find measured"


def test_test_pairs_do_not_move_the_threshold(here, capsys, with_chat):
    pairs = load_shipped(GATE)
    swapped = [
        replace(pair, creative=pair.boring, boring=pair.creative) if pair.split == "test" else pair for pair in pairs
    ]
    for name, some in (("one.jsonl", pairs), ("other.jsonl", swapped)):
        write_pairs(here / name, some)
    one, other = (found(capsys, "--pairs", name, *QUICK)["layers"] for name in ("one.jsonl", "other.jsonl"))
    for row, turned in zip(one, other, strict=True):
        for name in ("threshold", "accuracy_dev", "margin_dev"):
            assert row["gate"][name] == pytest.approx(turned["gate"][name], abs=1e-3), name
        before, after = (each["gate"]["accuracy_test"]["estimate"] for each in (row, turned))
        assert before + after == pytest.approx(1), "and the control: test is what the accuracy is of"
        assert row["auc"]["estimate"] != turned["auc"]["estimate"]


def test_names_of_the_sides_are_carried(here, capsys, with_chat):
    write_pairs(here / "mine.jsonl", load_shipped(GATE))
    write_sides(here / "mine.jsonl", Sides("playful", "strict"))
    found(capsys, "--pairs", "mine.jsonl", *QUICK)
    assert Directions.load("a.safetensors").positive == "playful"
