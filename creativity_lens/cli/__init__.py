"""The command line: each command parses, makes one library call, and writes. Standard out is for results.

Heavy imports happen inside the commands, so that `clens --help` answers at once.
"""

import shlex
import sys
from typing import Annotated

import typer

from creativity_lens import __version__
from creativity_lens.cli import find, models, pairs, report, sweep
from creativity_lens.errors import InputError

app = typer.Typer(
    name="clens",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Find where a language model keeps 'creative rather than boring'.\n\nExample: clens sweep",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"creativity-lens {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of `clens` itself."""


app.command("sweep")(sweep.sweep)
app.command("find")(find.find)
app.command("report")(report.report)
app.command("models")(models.models)
app.add_typer(pairs.app, name="pairs")


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Exit status: 0, 2 for bad input (one line on standard error), 130 after Ctrl-C."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        result = app(args=words, standalone_mode=False, obj=shlex.join(["clens", *words]))
    except InputError as error:
        return _fail(f"error: {error}", 2)
    except typer.TyperException as error:  # a usage error: unknown command or option, a value of the wrong type
        said = error.format_message()
        return _fail(f"error: {said}", 2) if said else 0  # a bare `clens` has shown its help
    except (KeyboardInterrupt, typer.Abort) as stop:
        return _fail(f"stopped; {stop if str(stop) else 'nothing was written'}.", 130)
    except BrokenPipeError:  # the reader of a pipe went away, which is its right
        sys.stdout = None
        return 0
    return result if isinstance(result, int) else 0


def _fail(message: str, status: int) -> int:
    print(
        f"clens: {InputError(' '.join(message.split()))}", file=sys.stderr
    )  # which escapes what could drive a terminal
    return status


def run() -> None:
    """The entry point of the `clens` command."""
    sys.exit(main())
