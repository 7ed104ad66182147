"""The README's code is run: its Python blocks as they stand, and each of its commands as far as its options."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from creativity_lens.cli import app

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.S)
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.S)
    for line in block.splitlines()
    if line.startswith("clens ")
]


def test_readme_has_the_code_these_tests_are_about():
    assert len(PYTHON) >= 3
    assert len(COMMANDS) >= 5
    assert "make sweep" in README
    assert "make test" in README


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, but for the ratings that a user would bring."""
    monkeypatch.chdir(tmp_path)
    rows = [
        f"The {word} came in at {n}.,{(n * rater) % 7 + 1},w{rater},p{n % 4}"
        for n, word in enumerate(("fog", "boat", "gull", "tide") * 4)
        for rater in (1, 2)
    ]
    (tmp_path / "rated.csv").write_text("\n".join(["story,creativity,worker,prompt", *rows]), encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_python_blocks_run_in_order(here, capsys):
    names: dict[str, object] = {}
    for block in PYTHON:
        exec(compile(block, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    shares = [float(number) for number in re.findall(r"\d\.\d+", printed.split("tensor(")[1].split(")")[0])]
    assert len(shares) == 8
    assert min(shares) > 0.5  # the direction reads topics that it never saw, at every layer
    assert (here / "creative.safetensors").is_file()
    assert [line[:3] for line in printed.splitlines() if line[:3] in ("0.0", "0.1", "0.2")] == ["0.0", "0.1", "0.2"]
    assert "{'rated': " in printed  # one sentence for the set of ratings
    assert names["sweep"].run["status"] == "finished"
    assert names["sweep"].sentence in printed


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_have_the_options_the_readme_gives(command):
    arguments = shlex.split(command)[1:]
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[arguments.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in arguments if word.startswith("--")} <= known
