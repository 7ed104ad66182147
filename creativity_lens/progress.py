"""Progress on standard error: rates and time left in a terminal or a notebook, silence elsewhere."""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def track(description: str, total: int, *, unit: str = "", quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Yield `advance(n)`; the bar goes away when the block ends. `quiet` draws none.

    >>> with track("reading", 3) as advance:
    ...     advance(3)
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Units a second, since a bar alone does not say whether a run is worth waiting for."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f} {unit}/s" if task.speed else "", style="dim")

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    # rich draws by widgets in a notebook, and warns where there are none
    drawn = importlib.util.find_spec("ipywidgets") is not None
    # is_terminal would also believe FORCE_COLOR, as CI sets it
    shown = drawn if console.is_jupyter else console.file.isatty()
    with Progress(*columns, console=console, transient=True, disable=quiet or not shown) as progress:
        task = progress.add_task(description, total=total)
        yield lambda n: progress.advance(task, n)
