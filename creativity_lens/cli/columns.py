"""Texts in columns, one per push: while they are written, in a terminal, and when they are done."""

import sys
from collections.abc import Callable
from typing import Any

NARROWEST = 28  # characters of a column that can still be read


class Columns:
    """A table that fills while texts are written; nothing is drawn where standard out is no terminal.

    >>> with Columns(model, prompts, pushes, 1, shown=True) as on_step:      # doctest: +SKIP
    ...     side_by_side(model, prompts, pushes, on_step=on_step)
    """

    def __init__(
        self, model: Any, prompts: list[Any], pushes: list[Any], samples: int, *, shown: bool,
        names: list[str] | None = None,
    ) -> None:  # fmt: skip
        from creativity_lens.comparing import push_name

        self._model, self._prompts, self._samples = model, prompts, samples
        self._names = [push_name(push) for push in [(), *pushes]] if names is None else names
        self._shown = shown and sys.stdout.isatty()
        self._ids: list[list[int]] = []
        self.start_again()

    def start_again(self, *_: Any) -> None:
        """Forget what was drawn: a batch did not fit and is written again."""
        self._ids = [[] for _ in range(len(self._prompts) * len(self._names) * self._samples)]

    def __enter__(self) -> Callable[[list[int], list[int]], None] | None:
        if not self._shown:
            return None
        from rich.live import Live

        self._live = Live(
            get_renderable=self._draw, console=wide_console(), refresh_per_second=10, transient=True,
            vertical_overflow="ellipsis",
        )  # fmt: skip
        self._live.start()
        return self._see

    def __exit__(self, *_: Any) -> None:
        if self._shown:
            self._live.stop()

    def _see(self, rows: list[int], ids: list[int]) -> None:
        for row, index in zip(rows, ids, strict=True):
            self._ids[row].append(index)

    def _draw(self) -> Any:
        texts = [self._model.decode(ids) for ids in self._ids]
        return tables([prompt.text for prompt in self._prompts], self._names, texts, self._samples)


def print_side_by_side(found: Any) -> None:
    """The finished texts, and below them what each push kept of coherence."""
    from rich.text import Text

    from creativity_lens.comparing import push_name

    console = wide_console()
    notes = [_gate_note(reading, found.gate.threshold) for reading in found.readings]
    texts = [text.text for text in found.texts]
    names = [push_name(push) for push in found.pushes]
    console.print(tables([prompt.text for prompt in found.prompts], names, texts, found.samples, notes))
    for push, cost in zip(found.pushes[1:], found.costs[1:], strict=True):
        if cost.coherence == cost.coherence:
            over = "1 prompt" if cost.prompts == 1 else f"{cost.prompts} prompts"
            kept = f"{cost.coherence:.2f} of coherence kept over {over}, surprisal {cost.surprisal:.2f} against"
            console.print(Text(f"{push_name(push)}: {kept} {cost.surprisal_0:.2f} nats per token.", style="dim"))


def wide_console() -> Any:
    """A terminal as wide as it is; what goes into a file or a pipe has room for three columns."""
    from rich.console import Console

    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=100)


def _gate_note(reading: Any, threshold: float) -> str:
    state = "open" if reading.is_open else "closed: not steered"
    return f"gate {state} ({reading.projection:+.2f}, threshold {threshold:+.2f})"


def tables(prompts: list[str], names: list[str], texts: list[str], samples: int, notes: list[str] | None = None) -> Any:
    """A table per prompt: a column per name where they fit side by side, else one below the other."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    beside = wide_console().width // len(names) >= NARROWEST
    parts: list[Any] = []
    for p, prompt in enumerate(prompts):
        of = [texts[(p * len(names) + n) * samples : (p * len(names) + n + 1) * samples] for n in range(len(names))]
        parts.append(Text(prompt, style="bold"))  # Text: "[red]" in a prompt stays what it is
        if notes:
            parts.append(Text(notes[p], style="dim"))
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), expand=True, show_header=beside)
        if beside:
            for name in names:
                table.add_column(name, ratio=1, overflow="fold")
            for row in zip(*of, strict=True):
                table.add_row(*(Text(text.strip()) for text in row))
                table.add_section()
        else:
            table.add_column(ratio=1, overflow="fold")
            for name, column in zip(names, of, strict=True):
                for text in column:
                    table.add_row(Text.assemble((f"{name}\n", "bold"), text.strip()))
                    table.add_section()
        parts.append(table)
    return Group(*parts)
