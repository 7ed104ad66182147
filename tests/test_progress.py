"""A bar where somebody looks; silence elsewhere; gone also after an exception."""

import io
import sys

import pytest

from creativity_lens.progress import track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_silent_when_not_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as many CI services set it
    with track("reading", 3, unit="tokens") as advance:
        advance(3)
    assert capsys.readouterr() == ("", "")


def test_shown_in_a_terminal_on_standard_error(monkeypatch, capsys):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with track("reading", 30, unit="tokens") as advance:
        advance(30)
    assert "reading" in terminal.getvalue()
    assert "30/30" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_exception_passes_and_the_cursor_comes_back(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")

    def fail():
        with track("reading", 3):
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert terminal.getvalue().rfind("\x1b[?25h") > terminal.getvalue().rfind("\x1b[?25l"), "hidden, then shown again"


def test_a_notebook_without_widgets_is_left_in_peace(monkeypatch, capsys):
    """rich would warn there, in every cell that reads or writes; a warning is an error in these tests."""
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with track("reading", 3) as advance:
        advance(3)
    assert capsys.readouterr() == ("", "")
