"""Commands run in this process: what they print, and the one line by which they refuse."""

from pathlib import Path

from creativity_lens.cli import main


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard out and standard error."""
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


def refused(capsys, *arguments: object) -> str:
    """The one line on standard error; nothing on standard out, no file made or changed."""
    before = everything(Path.cwd())
    folders = {path for path in Path.cwd().rglob("*") if path.is_dir()}
    status, out, err = run(capsys, *arguments)
    assert status == 2, err
    assert out == ""
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert err.startswith("clens: error: ")
    assert err[:-1].isprintable()
    assert everything(Path.cwd()) == before
    assert {path for path in Path.cwd().rglob("*") if path.is_dir()} == folders
    return err[len("clens: error: ") : -1]


def everything(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by its name in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
