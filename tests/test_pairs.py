import json
from dataclasses import replace

import pytest
from fake_pairs import make_pairs, write_rows
from typer.testing import CliRunner

from creativity_lens.cli.pairs import app
from creativity_lens.errors import InputError
from creativity_lens.prompts import write_pairs


@pytest.fixture
def marked_file(tmp_path):
    """A file whose texts look like rich's markup."""
    changes = {"neutral": "A [red]fox[/red] :fox: [/] \\", "domain": "[bold]d0[/bold]", "id": "[b]1[/b]"}
    return write_rows(tmp_path / "pairs.jsonl", {1: changes}, count=12)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_check_command(marked_file):
    assert run("check", marked_file) == "12 pairs over 12 topics: ok\n"
    marked_file.write_text("{}\n")
    with pytest.raises(InputError, match=":1: field 'id': missing"):
        run("check", marked_file)


def test_list_command_counts_pairs_and_topics(marked_file):
    found = json.loads(run("list", marked_file, "--json"))
    expected = {"premise": 12, "manner": 0, "response": 0, "pairs": 12, "topics": 12, "train": 8, "dev": 2, "test": 2}
    assert found["all"] == expected
    assert {domain: row["pairs"] for domain, row in found["domains"].items()} == {"[bold]d0[/bold]": 1, "d0": 11}
    split = {"t0-0": "train", "t0-1": "dev", "t0-2": "test"}
    table = run("list", marked_file)
    assert "[bold]d0[/bold]" in table
    assert table.split("all ")[1].split()[:8] == [str(number) for number in expected.values()]
    write_pairs(marked_file, [replace(p, split=split[p.topic]) for p in make_pairs([3])])
    assert "as the file says" in run("list", marked_file)


def test_show_command_prints_markup_as_it_is(marked_file):
    shown = run("show", "[b]1[/b]", "--file", marked_file)
    for text in (
        "[b]1[/b]",
        "A [red]fox[/red] :fox: [/] \\",
        "[bold]d0[/bold]",
        "odd text of t0-0",
        "plain text of t0-0",
    ):
        assert text in shown
    with pytest.raises(InputError, match=r"got 't0-1-'.* Did you mean 't0-1-0'\?"):
        run("show", "t0-1-", "--file", marked_file)


@pytest.mark.parametrize("command", [[], ["list"], ["show"], ["check"]])
def test_every_help_has_an_example_that_can_be_pasted(command):
    lines = [line.strip() for line in run(*command, "--help").splitlines()]
    assert any(line.startswith(" ".join(["Example: clens pairs", *command])) for line in lines)
