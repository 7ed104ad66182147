"""The commands: light, documented, and one line and exit status 2 for whatever is wrong, before any model loads."""

import json
import os
import re
import shlex
import subprocess
import sys
import warnings

import pandas as pd
import pytest
import typer
from commands import refused, run
from fake_pairs import make_pairs, write_rows
from full_disk import full_disk
from prepared import few_file

from creativity_lens import __version__, activations, judging
from creativity_lens import models as models_module
from creativity_lens import sweep as sweep_module
from creativity_lens.cli import app, layers, main
from creativity_lens.files import data_folder
from creativity_lens.prompts import write_pairs
from creativity_lens.result import Sweep

REGISTER = data_folder() / "contrastive_pairs" / "control_register.jsonl"  # what the built-in model is sure to read
HEAVY = {"torch", "numpy", "pandas", "plotly", "transformers", "transformer_lens", "scipy", "sklearn", "rich", "jinja2"}
QUICK = [
    "--layers", "2", "--strengths", "0.15", "--samples", "1", "--controls", "19", "--max-new-tokens", "8",
    "--positive-control", "none", "--reader", "none",
]  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


# -- light and documented ------------------------------------------------------------------------------------------


def commands() -> dict[str, typer.core.TyperCommand]:
    """Every command by how it is called."""
    found, waiting = {}, [("clens", typer.main.get_command(app))]
    while waiting:
        name, command = waiting.pop()
        found[name] = command
        waiting += [(f"{name} {key}", inner) for key, inner in getattr(command, "commands", {}).items()]
    return found


COMMANDS = commands()


def test_there_are_these_commands():
    names = {
        "sweep",
        "find",
        "steer",
        "score",
        "audit",
        "diversity",
        "monoculture",
        "dat",
        "decode",
        "export",
        "import",
        "report",
        "models",
        "runs",
        "runs list",
        "runs show",
        "runs verify",
        "runs gc",
        "runs diff",
        "pairs",
        "pairs list",
        "pairs show",
        "pairs check",
        "pairs lint",
        "pairs new",
        "ratings",
        "ratings list",
        "ratings fetch",
        "ratings import",
        "ratings validate",
        "rate",
        "rate make",
        "rate collect",
    }
    assert set(COMMANDS) == {"clens"} | {f"clens {name}" for name in names}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example_that_parses(name, capsys):
    status, out, _ = run(capsys, *name.split()[1:], "--help")
    assert status == 0
    example = re.search(r"Example: (clens .+)", COMMANDS[name].help)[1]
    assert " ".join(example.split()[:4]) in " ".join(out.split())
    words = shlex.split(example)[1:]
    command = COMMANDS["clens"]
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert not hasattr(command, "commands"), "the example is a whole command"
    command.make_context("clens", list(words))


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if not hasattr(command, "commands")])
def test_every_option_is_explained(name):
    for parameter in COMMANDS[name].params:
        assert parameter.help, f"{name}: {parameter.name}"


def in_a_new_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["sweep", "--help"], ["swep"]], ids=" ".join)
def test_help_loads_nothing_heavy(arguments):
    code = f"""
import sys
import warnings
from creativity_lens.cli import main
main({arguments!r})
print(*sys.modules)
"""
    loaded = set(in_a_new_process(code).split())
    assert "typer" in loaded, "the control: what is loaded is seen"
    heavy = HEAVY - {"rich"} if "--help" in arguments else HEAVY  # help is drawn by rich
    assert not loaded & heavy


def test_help_answers_at_once():
    """In seconds of the processor, that other processes cannot spoil; the best of three."""
    code = "import sys, time; from creativity_lens.cli import main; main(['--help']); print(time.process_time())"
    assert min(float(in_a_new_process(code).split()[-1]) for _ in range(3)) < 0.4


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"creativity-lens {__version__}\n", "")


def test_alone_it_shows_its_help(capsys):
    status, out, err = run(capsys)
    assert status == 0
    assert "sweep" in out + err
    assert "error" not in out + err


def test_python_m_is_the_same():
    done = subprocess.run([sys.executable, "-m", "creativity_lens", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"creativity-lens {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["swep"], "No such command 'swep'. Did you mean 'sweep'?"),
        (["sweep", "--sedd", "1"], "No such option: --sedd"),
        (["sweep", "--seed", "x"], "Invalid value for '--seed'"),
        (["sweep", "--seed", "-1"], "Invalid value for '--seed'"),
        (["sweep", "--samples", "1.5"], "Invalid value for '--samples'"),
        (["sweep", "extra"], "unexpected extra argument"),
        (["report"], "Missing argument 'RUN'"),
        (["\x1b[31m"], "No such command"),
    ],
)
def test_usage_errors_are_one_line(capsys, no_model, arguments, said):
    assert said in refused(capsys, *arguments)


# -- files of pairs ------------------------------------------------------------------------------------------------

ROW = {"creative_response": "same", "boring_response": "same", "creative": "one", "boring": "one"}
ROWS = {
    "a field is missing": ({3: {"neutral": ...}}, "pairs.jsonl:3: field 'neutral': missing"),
    "an unknown field": (
        {3: {"creativ": "x"}},
        "pairs.jsonl:3: field 'creativ': unknown; rename or remove it. Did you",
    ),
    "a wrong type": ({3: {"creative": 5}}, "pairs.jsonl:3: field 'creative': expected a string, got a number"),
    "a lone surrogate": (
        {3: {"boring": "a\ud800b"}},
        "pairs.jsonl:3: field 'boring': expected plain text, got a lone sur",
    ),
    "an empty text": ({3: {"boring": " "}}, "pairs.jsonl:3: field 'boring': expected a text, got an empty one"),
    "an id twice": ({3: {"id": "t0-0-0"}}, "t0-0-0"),
    "both sides identical": ({3: ROW}, "pairs.jsonl:3: fields 'creative' and 'boring'"),
    "an unknown kind": ({3: {"kind": "maner"}}, "Did you mean 'manner'?"),
    "a topic in two splits": (
        {
            **{line: {"split": "train"} for line in range(1, 9)},
            8: {"split": "train", "topic": "sea"},
            9: {"split": "test", "topic": "sea"},
        },
        "topic 'sea' is in 'train' on line 8 and 'test' on line 9",
    ),
}


@pytest.mark.parametrize("command", ["sweep", "find"])
@pytest.mark.parametrize("case", ROWS)
def test_rows_that_are_not_sound(here, capsys, no_model, command, case):
    changed, said = ROWS[case]
    write_rows(here / "pairs.jsonl", changed)
    assert said in refused(capsys, command, "--pairs", "pairs.jsonl")


FILES = {
    "empty": (b"", "pairs.jsonl: the file is empty"),
    "blank": (b"\n \n", "pairs.jsonl: the file is empty"),
    "binary": (b"\x00\x01\x02" * 99, "got a binary file"),
    "latin": ('{"id": "caf\u00e9"}\n'.encode("latin-1"), "pairs.jsonl:1: not UTF-8 (byte 11)"),
    "no JSON": (b"once upon a time\n", "pairs.jsonl:1: not JSON"),
    "a list": (b"[]\n", "pairs.jsonl:1: expected a JSON object"),
    "few": (None, "pairs.jsonl: expected at least 8 pairs, got 7; add more."),
}


@pytest.mark.parametrize("command", ["sweep", "find"])
@pytest.mark.parametrize("case", FILES)
def test_files_that_are_none(here, capsys, no_model, command, case):
    content, said = FILES[case]
    write_rows(here / "pairs.jsonl", {}, count=7)
    if content is not None:
        (here / "pairs.jsonl").write_bytes(content)
    assert said in refused(capsys, command, "--pairs", "pairs.jsonl")


@pytest.mark.parametrize("option", ["--pairs", "--prompts"])
@pytest.mark.parametrize(("name", "said"), [("none.jsonl", "no such file"), (".", "got a folder"), ("a\nb", "no such")])
def test_files_that_are_not_there(capsys, no_model, option, name, said):
    assert said in refused(capsys, "sweep", option, name)


def test_prompts_that_are_not_sound(here, capsys, no_model):
    (here / "prompts.txt").write_text("Write about the sea.\nWrite about the sea.\nWrite about bread.\n")
    assert "Write about the sea." in refused(capsys, "sweep", "--prompts", "prompts.txt")
    (here / "prompts.txt").write_text("Write about the sea.\n")
    assert "expected prompts for both dev and test, got 1 and 0" in refused(capsys, "sweep", "--prompts", "prompts.txt")


# -- options -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--layers", "two"], "layers: expected 'all', '0-7' or '2,4', got 'two'."),
        (["--layers", "al"], "Did you mean 'all'?"),
        (["--layers", "7-0"], "layers: expected a rising range such as 0-7, got '7-0'."),
        (["--layers", "-1"], "layers: expected 'all', '0-7' or '2,4', got '-1'."),
        (["--strengths", "strong"], "--strengths: expected numbers such as 0.1,0.2, got 'strong'."),
        (["--strengths", "0.1,"], "--strengths: expected numbers such as 0.1,0.2, got"),
        (["--strengths", ""], "--strengths: expected numbers such as 0.1,0.2, got ''."),
        (["--strengths", "nan"], "strengths: expected numbers above 0, got nan."),
        (["--strengths", "0.1,inf"], "strengths: expected numbers above 0, got 0.1, inf."),
        (["--strengths", "0"], "strengths: expected numbers above 0, got 0.0."),
        (["--strengths", "0.1,0.1"], "strengths: 0.1 stands twice"),
        (["--strength-unit", "gaps"], "Did you mean 'gap'?"),
        (["--methods", "mean-difference"], "Did you mean 'mean_difference'?"),
        (["--methods", ""], "method: expected one of mean_difference, first_component; got ''."),
        (["--position", "respons"], "Did you mean 'response'?"),
        (["--samples", "0"], "samples: expected 1 or more, got 0."),
        (["--max-new-tokens", "0"], "max-new-tokens: expected 8 or more, got 0."),
        (["--controls", "5"], "controls: expected 19 or more, got 5."),
        (["--batch-rows", "some"], "--batch-rows: expected 'auto' or a whole number, got 'some'."),
        (["--batch-rows", "0"], "batch-rows: expected 'auto' or a whole number above 0, got 0."),
        (["--devices", "two"], "--devices: expected 'auto' or a whole number, got 'two'."),
        (["--positive-control", "regster"], "Did you mean 'register'?"),
        (["--preset", "olsen2024"], "Did you mean 'olson2024'?"),
        (
            ["--preset", "olson2024", "--layers", "3"],
            "--preset olson2024: sets --layers itself; leave one of the two away",
        ),
        (["--preset", "olson2024", "--strength-unit", "norm"], "sets --strength-unit itself"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_of_sweep(capsys, no_model, arguments, said):
    assert said in refused(capsys, "sweep", *arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--layers", "two"], "layers: expected 'all', '0-7' or '2,4', got 'two'."),
        (["--method", "mean-difference"], "Did you mean 'mean_difference'?"),
        (["--position", "text"], "position: expected one of auto, response, instruction, last; got 'text'."),
        (["--devices", "x"], "--devices: expected 'auto' or a whole number"),
        (["--out", "a.pt"], "--out a.pt: expected a name that ends in .safetensors."),
        (["--out", "none/a.safetensors"], "cannot be written (No such file or directory)"),
    ],
)
def test_options_of_find(capsys, no_model, arguments, said):
    assert said in refused(capsys, "find", *arguments)


def test_find_overwrites_only_when_told_to(here, capsys, no_model):
    (here / "a.safetensors").write_bytes(b"mine")
    assert "exists; choose another name or add --force." in refused(capsys, "find", "--out", "a.safetensors")


@pytest.mark.parametrize("command", ["sweep", "find"])
def test_layers_that_this_model_does_not_have(capsys, with_chat, command):
    said = "layers: expected 0 to 7 for pocket-chat, got 8."
    assert refused(capsys, command, "--layers", "0-8") == said


@pytest.mark.parametrize("command", ["sweep", "find"])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "pocket-chatt"], "Did you mean 'pocket-chat'?"),
        (["--device", "gpu"], "gpu"),
        (["--dtype", "float8"], "float8"),
        (["--template", "on"], "Did you mean 'none'?"),
    ],
)
def test_what_the_loader_refuses_is_passed_on(capsys, monkeypatch, command, arguments, said):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert said in refused(capsys, command, *arguments)


def test_devices_are_passed_on(capsys, monkeypatch):
    asked = {}

    def load_model(name, **options):
        from creativity_lens.errors import InputError

        asked.update(options, name=name)
        raise InputError("no such device here.")

    monkeypatch.setattr(models_module, "load_model", load_model)
    arguments = ("--device", "cuda:1", "--devices", "2", "--dtype", "bfloat16", "--revision", "r", "--template", "none")
    expected = {
        "name": "gpt2", "device": "cuda:1", "devices": 2, "dtype": "bfloat16", "revision": "r", "template": "none"
    }  # fmt: skip
    for command, more in (("sweep", {"quantize": None}), ("find", {})):
        asked.clear()
        assert refused(capsys, command, "--model", "gpt2", *arguments) == "no such device here."
        assert asked == expected | more


def test_a_prompt_longer_than_the_context(here, capsys, with_chat):
    (here / "prompts.txt").write_text("Write about the sea.\n" * 1 + "word " * 600 + "\nWrite about bread.\n")
    said = refused(capsys, "sweep", "--prompts", "prompts.txt", *QUICK)
    assert "expected fewer than the context of 512 of pocket-chat; shorten 'Be creative. word word" in said


def test_too_few_topics(here, capsys, with_chat):
    write_pairs(here / "pairs.jsonl", make_pairs([9], per_topic=1))
    assert "expected pairs of at least 4 topics" in refused(capsys, "sweep", "--pairs", "pairs.jsonl", *QUICK)


# -- where a run is written ----------------------------------------------------------------------------------------


def test_a_folder_that_holds_another_run(here, capsys, no_model):
    (here / "mine").mkdir()
    (here / "mine" / "run.json").write_text("{}")
    said = refused(capsys, "sweep", "--out", "mine")
    assert said.startswith("--out mine: holds another run; choose another folder, delete this one, or leave --out away")


@pytest.mark.parametrize(("out", "said"), [("file", "got a file"), ("file/run", "--out file/run"), ("\0", "--out")])
def test_a_folder_that_cannot_be_one(here, capsys, no_model, out, said):
    (here / "file").write_text("x")
    assert said in refused(capsys, "sweep", "--out", out)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(here, capsys, no_model):
    (here / "closed").mkdir(mode=0o500)
    assert "choose another place" in refused(capsys, "sweep", "--out", "closed/run")


def test_a_full_disk_is_found_before_the_model_loads(here, capsys, no_model):
    with full_disk(after=0):
        for arguments in (("--out", "a/b"), ()):
            assert "could not be written" in refused(capsys, "sweep", *arguments)
        assert "could not be written" not in refused(capsys, "sweep", "--layers", "x"), (
            "what is wrong first comes first"
        )


def test_a_disk_that_fills_up_on_the_way(here, capsys, with_chat, monkeypatch):
    monkeypatch.setattr(activations, "_cached", activations._run)  # which would warn
    pairs = few_file(here)
    with full_disk(after=9_000):
        asked = ("--pairs", pairs, "--layers", "2", "--strengths", "0.1")
        status, out, err = run(capsys, "sweep", "--out", "run", "--screen-only", *asked)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "could not be written" in err
    assert not list(here.rglob("*.partial"))


# -- Ctrl-C --------------------------------------------------------------------------------------------------------


def stop(*args, **options):
    raise KeyboardInterrupt


def test_interrupted_while_the_model_loads(here, capsys, monkeypatch):
    monkeypatch.setattr(models_module, "load_model", stop)
    for command in (["sweep", "--out", "a/b"], ["sweep"], ["find"]):
        assert run(capsys, *command) == (130, "", "clens: stopped; nothing was written.\n")
        assert list(here.iterdir()) == []


@pytest.fixture(scope="module")
def broken_off(chat, tmp_path_factory):
    """A run that was interrupted between dev and test, and what was said."""
    folder = tmp_path_factory.mktemp("broken")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models_module, "load_model", lambda *args, **options: chat)
        patch.setattr(judging, "control_edits", stop)
        patch.chdir(folder)
        status = main(["sweep", "--out", "run", "--pairs", str(REGISTER), *QUICK])
    return folder / "run", status


def test_interrupted_what_was_finished_is_kept(broken_off):
    folder, status = broken_off
    assert status == 130
    run = json.loads((folder / "run.json").read_text("utf-8"))
    assert (run["status"], run["choice"]["layer"]) == ("running", 2)
    assert set(pd.read_parquet(folder / "generations.parquet")["stage"]) == {"dev"}


def test_an_interruption_is_one_line(here, capsys, with_chat, monkeypatch):
    monkeypatch.setattr(sweep_module, "choose_on_dev", stop)
    arguments = (
        "--out",
        "run",
        "--layers",
        "2",
        "--strengths",
        "0.1",
        "--positive-control",
        "none",
        "--reader",
        "none",
        "--pairs",
        few_file(here),
    )
    status, out, err = run(capsys, "sweep", *arguments)
    assert (status, out) == (130, "")
    assert err == "clens: stopped; run holds what was finished; the same command with --out run goes on.\n"
    assert (here / "run" / "sweep.csv").is_file()


def test_warnings_are_one_line_each(capsys, monkeypatch):
    def load_model(*args, **options):
        warnings.warn("the cache\x1b is\nfull", stacklevel=2)
        raise KeyboardInterrupt

    monkeypatch.setattr(models_module, "load_model", load_model)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        shown = warnings.showwarning
        status, _, err = run(capsys, "find")
        assert warnings.showwarning is shown
    assert (status, err.splitlines()) == (
        130,
        [r"clens: warning: the cache\x1b is full", "clens: stopped; nothing was written."],
    )


# -- report --------------------------------------------------------------------------------------------------------


def test_report_of_a_broken_off_run(broken_off, capsys):
    folder, _ = broken_off
    said = refused(capsys, "report", folder)
    assert said == f"{folder}: the run was broken off; run `clens sweep` again with another --out."


@pytest.mark.parametrize(("run", "said"), [("none", "expected a run folder"), (".", "expected a run folder")])
def test_report_of_no_run(capsys, run, said):
    assert said in refused(capsys, "report", run)


@pytest.fixture(scope="module")
def screened(chat, tmp_path_factory):
    """`clens sweep --screen-only`, run once: its folder, and what it printed."""
    folder = tmp_path_factory.mktemp("screened")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models_module, "load_model", lambda *args, **options: chat)
        patch.chdir(folder)
        few_file(folder)
        asked = ["--pairs", "few.jsonl", "--layers", "2,4", "--strengths", "0.01", "--out", "a run"]
        status = main(["sweep", "--screen-only", *asked])
    return folder / "a run", status


def test_a_screened_run_has_a_report(screened, capsys):
    folder, status = screened
    assert status == 0
    names = {
        "run.json",
        "sweep.csv",
        "directions.safetensors",
        "scoring.safetensors",
        "scorer.safetensors",
        "report.html",
        "cells",
    }
    assert {path.name for path in folder.iterdir()} == names
    before = (folder / "report.html").read_bytes()
    status, out, err = run(capsys, "report", folder, "--out", folder.parent / "again.html")
    assert status == 0
    assert "only screening was asked for" in out
    assert (folder.parent / "again.html").read_bytes() == before
    assert err.startswith("clens: warning: A strength of 0.01 of the residual norm is 1 % of the median residual norm")


def test_the_command_is_recorded_as_it_was_typed(screened):
    folder, _ = screened
    command = Sweep.load(folder).run["command"]
    assert command == "clens sweep --screen-only --pairs few.jsonl --layers 2,4 --strengths 0.01 --out 'a run'"


@pytest.mark.parametrize(
    "file", ["run.json", "sweep.csv", "directions.safetensors", "scoring.safetensors", "scorer.safetensors"]
)
def test_report_of_a_damaged_run(screened, tmp_path, capsys, file):
    folder, _ = screened
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("run.json", "sweep.csv", "directions.safetensors", "scoring.safetensors", "scorer.safetensors"):
        content = (folder / name).read_bytes()
        (copy / name).write_bytes(content[: len(content) // 2] if name == file else content)
    said = refused(capsys, "report", copy)
    assert "damaged" in said
    assert file in said


def test_report_with_directions_of_another_model(screened, tmp_path, capsys, base):
    from creativity_lens.activations import collect_activations
    from creativity_lens.directions import mean_difference
    from creativity_lens.prompts import load_pairs

    folder, _ = screened
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("run.json", "sweep.csv", "scoring.safetensors", "scorer.safetensors"):
        (copy / name).write_bytes((folder / name).read_bytes())
    mean_difference(collect_activations(base, load_pairs()[:8], layers=[2])).save(copy / "directions.safetensors")
    assert "directions.safetensors: damaged (not as the run wrote it)" in refused(capsys, "report", copy)
    described = json.loads((copy / "run.json").read_text("utf-8"))
    del (
        described["files"]["directions.safetensors"],
        described["sum"],
    )  # as runs of earlier versions, which had no sum of it
    (copy / "run.json").write_text(json.dumps(described))
    assert "directions of pocket-base, expected those of pocket-chat" in refused(capsys, "report", copy)


# -- what is printed -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_find(here, capsys, with_chat):
    arguments = ("find", "--layers", "2,4", "--out", "a.safetensors")
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "Directions: a.safetensors\n")
    assert "AUC (95 % interval)" in out
    assert "read on 160 of 48 other topics" in " ".join(out.split())
    status, out, _ = run(capsys, *arguments, "--force", "--json")
    found = json.loads(out, parse_constant=pytest.fail)
    assert [row["layer"] for row in found["layers"]] == [2, 4]
    assert 0.5 < found["layers"][0]["auc"]["low"] < found["layers"][0]["auc"]["estimate"] <= 1
    from creativity_lens.directions import Directions

    saved = Directions.load("a.safetensors")
    assert dict(saved.dev)["auc@2"] == found["layers"][0]["auc"]["estimate"]


@pytest.mark.parametrize("as_json", [False, True])
def test_the_preset_prints_its_dose_and_warns(here, capsys, with_chat, as_json):
    arguments = ["sweep", "--preset", "olson2024", "--screen-only", "--out", "run", *(["--json"] if as_json else [])]
    status, out, err = run(capsys, *arguments)
    assert status == 0
    assert err.count("\n") == 1
    share = float(
        re.search(r"A strength of 3 residual units is ([\d.]+) % of the median residual norm at layer 2\.", err)[1]
    )
    assert 0.4 <= share <= 1.4
    assert "clens: warning:" in err
    assert "Below 5 %" in err
    if as_json:
        found = json.loads(out, parse_constant=pytest.fail)
        assert [row["layer"] for row in found["layers"]] == [2]
        assert len(found["warnings"]) == 1
    else:
        assert "Report: run/report.html" in out.splitlines()


@pytest.mark.slow
def test_a_whole_sweep(here, capsys, with_chat):
    for number, arguments in enumerate(((), ("--json",)), start=1):
        status, out, err = run(capsys, "sweep", "--pairs", REGISTER, "--sides", "rich,plain", *QUICK, *arguments)
        assert status == 0
        assert "makes texts more rich" in out or "gaps more rich" in out
        folder = here / "runs" / f"pocket-chat-00{number}"
        assert (folder / "report.html").stat().st_size > 1_000_000
        found = Sweep.load(folder)
        if arguments:
            said = json.loads(out, parse_constant=pytest.fail)
            assert said["verdict"] == found.run["verdict"]
            assert said["layers"][0]["gain"] is not None
            assert said["run"] == f"runs/pocket-chat-00{number}"
        else:
            assert found.sentence in " ".join(out.split())
            assert "> 2" in out
            assert "> chosen on dev: layer 2, strength 0.15" in " ".join(out.split())
        assert "control pushes, not" not in err
    capsys.readouterr()
    status, out, _ = run(capsys, "report", folder)
    assert status == 0
    assert found.sentence in " ".join(out.split())


def test_strengths_of_the_table_have_as_many_decimals():
    assert layers._aligned([0.05, 0.1, None, 0.15]) == ["0.05", "0.10", "-", "0.15"]
    assert layers._aligned([3.0, 12.5, float("nan")]) == ["3.0", "12.5", "-"]
    assert layers._aligned([0.125, 0.1]) == ["0.125", "0.100"]
    assert layers._aligned([1e-7, 0.1]) == ["1e-07", "0.1"]
