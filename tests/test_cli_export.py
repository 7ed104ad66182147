"""`clens export` and `clens import` as they are typed: what they print, exit status, one line for bad input."""

import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from handed_over import config_only, directions_of, make_gguf, parse_gguf

from creativity_lens import models as models_module
from creativity_lens.cli import export as export_command
from creativity_lens.cli import main
from creativity_lens.directions import Directions
from creativity_lens.exports import FORMATS
from creativity_lens.files import data_folder
from creativity_lens.models import Model

REGISTER = data_folder() / "contrastive_pairs" / "control_register.jsonl"
KEYS = {"general.architecture": "controlvector", "controlvector.model_hint": "llama", "controlvector.layer_count": 1}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def no_model(monkeypatch):
    def load_model(*args, **options):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(models_module, "load_model", load_model)


@pytest.fixture
def run_folder(here) -> Path:
    """A run as `clens sweep` leaves it, as far as an export reads one."""
    made = directions_of(config_only(here / "llama"))
    folder = here / "runs" / "x"
    folder.mkdir(parents=True)
    made.save(folder / "directions.safetensors")
    run = {"choice": {"layer": 1, "strength": 0.25}, "verdict": {"outcome": "not enough evidence", "sentence": "No."}}
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


def refused(capsys, *arguments: object) -> str:
    before = {path: path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file()}
    status, out, err = run(capsys, *arguments)
    assert status == 2, err
    assert out == ""
    assert err.startswith("clens: error: ")
    assert err.count("\n") == 1
    assert err[:-1].isprintable()
    assert {path: path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file()} == before
    return err


def test_the_formats_in_the_help_are_those_there_are():
    assert export_command.FORMATS.split("|") == list(FORMATS)


@pytest.mark.parametrize(
    ("to", "name", "line"),
    [
        ("gguf", "a.gguf", "--control-vector-scaled a.gguf:1.0"),
        ("svec", "a.svec", "CAA(steering_vector=vector, layer_id=1, multiplier=1.0)"),
        ("lm-eval", "a.pt", "--model steered"),
        ("steering-vectors", "a.pt", "SteeringVector(**torch.load('a.pt', weights_only=True))"),
        ("npz", "a.npz", "np.load('a.npz')[\"vectors\"]"),
        ("json", "a.json", "after block 1, counted from 0"),
        ("snippet", "a.py", 'python a.py "Write about a lighthouse."'),
        ("vllm", "a.json", "intervene="),
        ("hub", "made", "hf upload USER/NAME made"),
    ],
)
def test_it_prints_the_path_and_how_the_file_is_used(capsys, run_folder, to, name, line):
    status, out, err = run(capsys, "export", run_folder, "--to", to, name)
    assert status == 0
    assert out.startswith(f"{name}: layer 1, strength 0.25 at scale 1.0\n")
    assert line in out
    assert out.count("\n") <= 4
    assert "did not show that pushing along its direction works" in err
    assert Path(name).exists()


def test_as_json(capsys, run_folder):
    status, out, err = run(
        capsys, "export", run_folder, "a.gguf", "--to", "gguf", "--layers", "1-2", "--scale", "0.1", "--json"
    )
    assert (status, err) == (0, "")
    row = json.loads(out)
    assert (row["out"], row["to"], row["layers"], row["strength"]) == ("a.gguf", "gguf", [1, 2], 0.1)
    assert list(parse_gguf(Path("a.gguf").read_bytes())[1]) == ["direction.1", "direction.2"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["RUN", "a", "--to", "ggfu"], "Did you mean 'gguf'?"),
        (["RUN", "a"], "--to: expected one of gguf, svec"),
        (["RUN", "--to", "gguf"], "the file to write is missing."),
        (["--to", "gguf"], "a run or a file of directions is missing."),
        (["nothing", "a", "--to", "gguf"], "nothing: no such file"),
        (["llama", "a", "--to", "gguf"], "expected a run folder with run.json"),
        (["RUN", ".", "--to", "gguf"], "got a folder; choose another name."),
        (["RUN", "a", "--to", "ds4"], "expected a model of 43 layers and width 4096"),
        (["RUN", "a", "--to", "gguf", "--layers", "0"], "layer 0: a GGUF control vector cannot act after block 0"),
        (["RUN", "a", "--to", "gguf", "--layers", "9"], "layers: expected 0 to 2"),
        (["RUN", "a", "--to", "gguf", "--layers", "x"], "layers: expected 'all', '0-7' or '2,4', got 'x'."),
        (["RUN", "a", "--to", "gguf", "--scale", "-1"], "--scale -1.0: expected a strength above 0"),
        (["RUN", "a", "--to", "gguf", "--scale", "nan"], "--scale nan"),
        (["RUN", "a", "--to", "gguf", "--model", "nobody/nothing"], "expected its config.json on this machine"),
        (["RUN", "a", "--to", "gguf", "--model", "pocket-chat"], "is not the one that the directions were measured"),
        (["RUN", "a", "--to", "gguf", "--push", "a/b"], "--push a/b: expected with --to hub, got --to gguf."),
        (["RUN", "a", "--to", "hub", "--push", "a"], "--push a: expected USER/NAME"),
        (["RUN", "here/there/a", "--to", "gguf"], "cannot be written"),
        (["--check", "none.gguf", "--to", "gguf"], "none.gguf: no such file"),
        (["--check", "runs", "--to", "gguf"], "got a folder"),
        (["--check", "llama/config.json", "--to", "gguf"], "it does not begin with GGUF"),
        (["--check", "a.pt", "--to", "lm-eval"], "never read back"),
        (["RUN", "--check", "a.gguf", "--to", "gguf"], "got RUN|FILE; leave it out."),
        (["--check", "a.gguf", "--to", "gguf", "--scale", "1"], "got --scale; leave it out."),
    ],
)
def test_bad_input_is_one_line(capsys, run_folder, arguments, said):
    assert said in refused(capsys, "export", *[run_folder if word == "RUN" else word for word in arguments])


def test_an_existing_file_is_kept(capsys, run_folder):
    Path("a.gguf").write_text("mine")
    assert "a.gguf: exists; choose another name or add --force." in refused(
        capsys, "export", run_folder, "a.gguf", "--to", "gguf"
    )
    assert run(capsys, "export", run_folder, "a.gguf", "--to", "gguf", "--force")[0] == 0
    assert Path("a.gguf").read_bytes()[:4] == b"GGUF"


def test_push_without_a_token_keeps_the_folder_and_says_so(capsys, run_folder, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    status, out, err = run(capsys, "export", run_folder, "made", "--to", "hub", "--push", "jane/odd")
    assert status == 1, "what was asked for was not done"
    assert out.startswith("made: layer 1")
    assert "clens: warning: nothing was uploaded: no token of the hub is present" in err
    assert Path("made/README.md").is_file()


# -- check -----------------------------------------------------------------------------------------------------------


def test_check_says_what_was_found(capsys):
    Path("a.gguf").write_bytes(make_gguf({"direction.3": [3.0, 4.0]}, keys=KEYS))
    status, out, err = run(capsys, "export", "--check", "a.gguf", "--to", "gguf")
    assert (status, err) == (0, "")
    assert out == (
        "a.gguf: direction.3: 2 numbers, length 5, for model type 'llama'\n  ok: nothing its reader would refuse\n"
    )


def test_check_explains_a_refusal_and_exits_with_1(capsys):
    """As `clens pairs lint` does: 1 is a judgement, 2 is a file that cannot be judged."""
    Path("a.gguf").write_bytes(make_gguf({"direction.3": [1.0], "other\x1b[31m": [1.0]}, keys=KEYS))
    status, out, err = run(capsys, "export", "--check", "a.gguf", "--to", "gguf")
    assert (status, err) == (1, "")
    assert "  refused: llama.cpp: tensor 'other\\x1b[31m': expected only names direction.N" in out
    assert "ok" not in out
    assert "\x1b" not in out
    status, out, _ = run(capsys, "export", "--check", "a.gguf", "--to", "gguf", "--json")
    row = json.loads(out)
    assert (status, row["ok"], row["width"], row["model_type"]) == (1, False, 1, "llama")
    assert len(row["problems"]) == 2


def test_check_against_a_model(capsys):
    Path("a.gguf").write_bytes(make_gguf({"direction.3": [3.0, 4.0]}, keys=KEYS))
    status, out, _ = run(capsys, "export", "--check", "a.gguf", "--to", "gguf", "--model", "pocket-chat")
    assert status == 1
    assert "  refused: width 2: pocket-chat is 192 wide, so readers refuse it.\n" in out


# -- import ----------------------------------------------------------------------------------------------------------


def foreign(path: Path, layer: int = 4, width: int = 192, sign: float = 1.0) -> Path:
    vector = sign * np.random.default_rng(0).normal(size=width)
    path.write_bytes(make_gguf({f"direction.{layer}": vector.tolist()}, keys=KEYS))
    return path


def test_import_writes_directions_and_compares_them(capsys, here, chat: Model, monkeypatch):
    monkeypatch.setattr(models_module, "load_model", lambda *args, **options: chat)
    foreign(Path("a.gguf"))
    arguments = ["import", "a.gguf", "--from", "gguf", "--numbering", "post", "--model", "pocket-chat"]
    arguments += ["--pairs", REGISTER, "--sides", "imaginative,plain", "--out", "in.safetensors"]
    status, out, err = run(capsys, *arguments)
    assert status == 0, err
    assert "Directions: in.safetensors" in err
    (row,) = [line.split() for line in out.splitlines() if re.match(r"\s+4\s", line)]
    vector = np.random.default_rng(0).normal(size=192).astype(np.float32)
    assert float(row[1]) == pytest.approx(np.linalg.norm(vector), rel=1e-3)
    held = Directions.load("in.safetensors", chat)
    assert (held.layers, held.method, held.positive) == ((4,), "imported from gguf", "imaginative")
    assert float(row[2]) == pytest.approx(np.linalg.norm(vector) / held.at(4).residual_norm, abs=1e-3)
    assert "in.safetensors: exists" in refused(capsys, *arguments)
    status, out, _ = run(capsys, *arguments, "--force", "--json")
    assert status == 0
    (layer,) = json.loads(out)["layers"]
    assert layer["layer"] == 4
    assert -1 <= layer["cosine"] <= 1
    assert set(layer["auc"]) == {"estimate", "low", "high", "n", "unit"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"--from": "ggfu"}, "--from: expected one of gguf, svec, npz, repeng; got 'ggfu'. Did you mean 'gguf'?"),
        ({"--numbering": None}, "--numbering: expected post (N acts after block N) or pre"),
        ({"--numbering": "past"}, "Did you mean 'post'?"),
        ({"--out": "x.gguf"}, "expected a name that ends in .safetensors."),
        ({"--out": "none/x.safetensors"}, "cannot be written"),
        ({"--model": "gtp2"}, "model: expected a built-in name"),
        ({"--pairs": "none.jsonl"}, "none.jsonl: no such file"),
        ({"FILE": "none.gguf"}, "none.gguf: no such file"),
        ({"FILE": "."}, "got a folder"),
        ({"FILE": "half.gguf"}, "not a whole GGUF file"),
        ({"FILE": "narrow.gguf"}, "vectors of width 32: expected 192 for pocket-chat"),
        ({"FILE": "deep.gguf"}, "layer 8: expected 0 to 7 for pocket-chat"),
        ({"--from": "svec"}, "not JSON that can be read"),
        ({"--from": "npz"}, "not an archive, or cut off"),
    ],
)
def test_bad_import_is_one_line_before_a_model_loads(capsys, no_model, change, said):
    foreign(Path("a.gguf"))
    Path("half.gguf").write_bytes(Path("a.gguf").read_bytes()[:300])
    foreign(Path("narrow.gguf"), width=32)
    foreign(Path("deep.gguf"), layer=8)
    given = {
        "FILE": "a.gguf", "--from": "gguf", "--numbering": "post", "--model": "pocket-chat", "--out": "o.safetensors",
        **change,
    }  # fmt: skip
    file = given.pop("FILE")
    words = [word for name, value in given.items() if value is not None for word in (name, value)]
    assert said in refused(capsys, "import", file, *words)


@pytest.mark.slow
def test_the_path_that_a_user_walks(here):
    """In processes of their own: export, check, import, and export again."""
    clens = [sys.executable, "-m", "creativity_lens"]

    def call(*words: object) -> str:
        done = subprocess.run([*clens, *map(str, words)], capture_output=True, text=True, env=os.environ)
        assert done.returncode == 0, done.stderr
        return done.stdout

    call("find", "--pairs", REGISTER, "--layers", "3-5", "--out", "d.safetensors")
    call("export", "d.safetensors", "a.gguf", "--to", "gguf", "--layers", "4", "--scale", "0.2")
    assert "ok" in call("export", "--check", "a.gguf", "--to", "gguf", "--model", "pocket-chat")
    options = ["--from", "repeng", "--model", "pocket-chat", "--pairs", REGISTER, "--out", "in.safetensors"]
    assert "+1.00" in call("import", "a.gguf", *options)
    call("export", "in.safetensors", "b.gguf", "--to", "gguf", "--layers", "4", "--scale", "0.2")
    one, two = (parse_gguf(Path(name).read_bytes())[1]["direction.4"][2] for name in ("a.gguf", "b.gguf"))
    assert np.abs(one - two).max() <= 2e-6 * np.abs(one).max()
