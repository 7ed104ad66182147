"""One line, whatever a name or a library puts into it; the nearest name; the same sentence from Python."""

import pickle

import pytest

from creativity_lens.errors import InputError, check_choice, nearest


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain: expected an 'ä', got 1; do x.", "plain: expected an 'ä', got 1; do x."),
        ("two\nlines\r\n", "two\\nlines\\r\\n"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("para\u2029graph \u202e turned", "para\\u2029graph \\u202e turned"),
        ("a path of bytes \udcff", "a path of bytes \\udcff"),
    ],
)
def test_message_is_one_printable_line(raw, shown):
    error = InputError(raw)
    assert str(error) == shown
    assert str(error).isprintable()
    assert str(pickle.loads(pickle.dumps(error))) == shown, "as pytest-xdist and multiprocessing hand it on"


def test_input_error_is_a_value_error():
    with pytest.raises(ValueError, match="expected this"):
        raise InputError("expected this")


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("mean_diference", ["mean_difference", "first_component"], " Did you mean 'mean_difference'?"),
        ("RESPONSE", ["response", "last"], " Did you mean 'response'?"),
        ("respnse", ["Response"], " Did you mean 'Response'?"),  # as it is written, not as it was compared
        ("zebra", ["response", "last"], ""),
        ("", ["response"], ""),
        ("x", [], ""),
    ],
)
def test_nearest(name, known, hint):
    assert nearest(name, known) == hint


def test_check_choice_returns_what_is_known_and_refuses_the_rest():
    assert check_choice("position", "last", ("response", "last")) == "last"
    with pytest.raises(InputError) as caught:
        check_choice("position", "lost", iter(["response", "last"]))
    assert str(caught.value) == "position: expected one of response, last; got 'lost'. Did you mean 'last'?"
    with pytest.raises(InputError, match="got 'LAST'"):  # tolerance is for names of models alone
        check_choice("position", "LAST", ("response", "last"))
