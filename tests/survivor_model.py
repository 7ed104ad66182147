"""The real sweep as jobs of a nursery that has the model loaded: so that starting it again costs no seconds."""

import os
import time
from functools import cache
from typing import Any

from small_sweeps import quick_matching, tiny

from creativity_lens.models import Model, load_model


@cache
def chat() -> Model:
    return load_model("pocket-chat")


def ready() -> None:
    """Load the model."""
    chat()


def sweep(out: str, own_cache: str, *, clock: float | None = None) -> None:
    """Sweep into `out`, or go on there, with a cache of activations of its own; `clock` is the time that it is told."""
    os.environ["CLENS_CACHE"] = own_cache
    if clock is not None:
        _set_clock(clock)
    with quick_matching():
        tiny(chat(), out=out)


def command(own_cache: str, *words: str) -> int:
    """Run `clens` with these words."""
    from creativity_lens.cli import main

    os.environ["CLENS_CACHE"] = own_cache
    with quick_matching():
        return main(list(words))


def _set_clock(now: float) -> None:
    real: Any = time.gmtime
    time.time = lambda: now
    time.time_ns = lambda: int(now * 1e9)
    time.gmtime = lambda seconds=None: real(now if seconds is None else seconds)
