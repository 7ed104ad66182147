"""The command line: each command parses, makes one library call, and writes. Standard out is for results.

Heavy imports happen inside the commands, so that `clens --help` answers at once.
"""

import shlex
import sys
import warnings
from typing import Annotated

import typer
import typer.core
import typer.main

from creativity_lens import __version__
from creativity_lens.cli import (
    audit,
    dat,
    decode,
    diversity,
    export,
    find,
    import_,
    models,
    monoculture,
    pairs,
    rate,
    ratings,
    report,
    runs,
    score,
    steer,
    sweep,
    validate,
)
from creativity_lens.errors import InputError

app = typer.Typer(
    name="clens",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Find where a language model keeps 'creative rather than boring'.\n\nExample: clens sweep",
)


def _version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"creativity-lens {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of `clens` itself."""


class _Command(typer.core.TyperCommand):
    """A command whose context is of the class that it is annotated with, as Typer's own is not."""

    context_class = typer.Context


app.command("sweep", cls=_Command)(sweep.sweep)
app.command("find")(find.find)
app.command("steer", cls=_Command)(steer.steer)
app.command("score", cls=_Command)(score.score)
app.command("audit", cls=_Command)(audit.audit)
app.command("diversity", cls=_Command)(diversity.diversity)
app.command("monoculture", cls=_Command)(monoculture.monoculture)
app.command("dat", cls=_Command)(dat.dat)
app.command("decode", cls=_Command)(decode.decode)
app.command("export")(export.export)
app.command("import")(import_.import_)
app.command("report")(report.report)
app.command("models")(models.models)
app.add_typer(runs.app, name="runs")
app.add_typer(pairs.app, name="pairs")
app.add_typer(rate.app, name="rate")
ratings.app.command("validate", cls=_Command)(validate.validate)
app.add_typer(ratings.app, name="ratings")


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Exit status: 0, 2 for bad input (one line on standard error), 130 after Ctrl-C."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    command = typer.main.get_command(app)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: _say(f"warning: {message}")
        try:  # not app(): it would swallow what an interruption and a broken pipe have to say
            with command.make_context("clens", list(words), obj=shlex.join(["clens", *words])) as context:
                command.invoke(context)
        except typer.Exit as done:
            return done.exit_code
        except InputError as error:
            return _fail(str(error), 2)
        except typer.TyperException as error:  # a usage error: unknown command or option, a value of the wrong type
            said = error.format_message()
            return _fail(said, 2) if said else 0  # a bare `clens` has shown its help
        except (KeyboardInterrupt, typer.Abort) as stop:
            _say(f"stopped; {stop if str(stop) else 'nothing was written'}.")
            return 130
        except BrokenPipeError:  # the reader of a pipe went away, which is its right
            sys.stdout = None
        return 0


def _fail(message: str, status: int) -> int:
    _say(f"error: {message}")
    return status


def _say(message: str) -> None:
    """One line on standard error, in which what could drive a terminal is escaped."""
    print(f"clens: {InputError(' '.join(message.split()))}", file=sys.stderr)


def run() -> None:
    """The entry point of the `clens` command."""
    sys.exit(main())
