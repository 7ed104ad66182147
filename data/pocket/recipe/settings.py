"""Options: a step's settings are one frozen dataclass, whose fields are the options of its command."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_type_hints

from creativity_lens.errors import InputError

T = TypeVar("T")


def parse(settings: type[T], description: str | None, argv: Sequence[str] | None = None) -> T:
    """Read settings from the command line: `matrix_rate: Annotated[float, "help"] = 0.02` is `--matrix-rate`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for field in fields(settings):  # type: ignore[arg-type]
        hint: Any = get_type_hints(settings, include_extras=True)[field.name]
        given: dict[str, Any] = {"required": True, "help": hint.__metadata__[0]}
        if field.default is not MISSING:
            given = {"default": field.default, "help": f"{hint.__metadata__[0]} (default {field.default})"}
        parser.add_argument("--" + field.name.replace("_", "-"), type=hint.__origin__, **given)
    return settings(**vars(parser.parse_args(argv)))


def command(settings: type[T], run: Callable[[T], object], description: str | None) -> None:
    """Parse and run; bad input ends in one line and status 2, Ctrl-C in status 130 with the last checkpoint kept."""
    try:
        run(parse(settings, description))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def say(line: str) -> None:
    """Progress goes to standard error; standard out is for results."""
    print(line, file=sys.stderr, flush=True)
