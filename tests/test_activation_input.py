"""Layers in all their spellings, and everything that cannot be collected: one line, before the model runs."""

from dataclasses import replace
from inspect import unwrap

import pytest
from collecting import collect, ran, some_pairs
from fake_pairs import refusal
from tiny_models import save_model

from creativity_lens.activations import resolve_layers
from creativity_lens.layers import layer_ranges
from creativity_lens.models import Model, load_model


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("all", [0, 1, 2, 3, 4, 5, 6, 7]), (" ALL ", [0, 1, 2, 3, 4, 5, 6, 7]), ("0-7", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("2,4", [2, 4]), ("4,2,2", [2, 4]), ("3", [3]), (" 1 - 2 , 7", [1, 2, 7]), ("5-5", [5]), ([7, 0], [0, 7]),
        (range(3), [0, 1, 2]), ((3,), [3]),
    ],
)  # fmt: skip
def test_layers(chat: Model, asked, given):
    assert resolve_layers(chat, asked) == given


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("8", "expected 0 to 7 for pocket-chat, got 8."),
        ("0-8", "expected 0 to 7 for pocket-chat, got 8."),
        ("0-99999999", "expected 0 to 7 for pocket-chat, got 99999999."),
        ([0, 8], "expected 0 to 7 for pocket-chat, got 8."),
        ([-1], "expected 0 to 7 for pocket-chat, got -1."),
        ([], "expected at least one layer, got none."),
        ("-1", "expected 'all', '0-7' or '2,4', got '-1'."),
        ("", "expected 'all', '0-7' or '2,4', got ''."),
        ("2,", "expected 'all', '0-7' or '2,4', got '2,'."),
        ("eight", "expected 'all', '0-7' or '2,4', got 'eight'."),
        ("al", "expected 'all', '0-7' or '2,4', got 'al'. Did you mean 'all'?"),
        ("al,2", "expected 'all', '0-7' or '2,4', got 'al,2'."),
        ("0..7", "expected 'all', '0-7' or '2,4', got '0..7'."),
        ("0:7", "expected 'all', '0-7' or '2,4', got '0:7'."),
        ("1.5", "expected 'all', '0-7' or '2,4', got '1.5'."),
        ("nan", "expected 'all', '0-7' or '2,4', got 'nan'."),
        ("0-", "expected 'all', '0-7' or '2,4', got '0-'."),
        ("²", "expected 'all', '0-7' or '2,4', got '²'."),
        ("5-3", "expected a rising range such as 0-7, got '5-3'."),
        ("9" * 5000, f"expected 'all', '0-7' or '2,4', got '{'9' * 60}'."),
        ([1.0], "expected whole numbers, got 1.0."),
        (["1"], "expected whole numbers, got '1'."),
        ([True], "expected whole numbers, got True."),
        (5, "expected 'all', '0-7', '2,4' or a list of numbers, got 5."),
        (None, "expected 'all', '0-7', '2,4' or a list of numbers, got None."),
    ],
)
def test_layers_that_are_none(chat: Model, asked, reason):
    bare = unwrap(resolve_layers)  # as users have it, without the tests' check of types
    assert refusal(bare, chat, asked) == f"layers: {reason}"


@pytest.mark.parametrize(("layers", "short"), [((0, 1, 2), "0-2"), ((0, 2), "0,2"), ((4,), "4"), ((1, 2, 4), "1,2,4")])
def test_layers_in_short(layers, short):
    assert layer_ranges(layers) == short


def test_what_cannot_be_collected(chat: Model, tmp_path):
    pairs, gpt2 = some_pairs(), load_model(save_model(tmp_path / "gpt2", "gpt2"))
    long = replace(pairs[1], boring_response="word " * 200)
    short = replace(pairs[0], creative_response="One.", boring_response="Two.")
    blank = replace(pairs[1], boring_response="")
    none = replace(pairs[1], creative="")
    cases = [
        (chat, [], {}, "pairs: expected at least one pair, got none."),
        (chat, pairs, {"position": "lest"}, "expected one of response, instruction, last, text; got 'lest'. Did you"),
        (chat, pairs, {"layers": "9"}, "layers: expected 0 to 7"),
        (chat, pairs, {"max_tokens": 0}, "max_tokens: expected a number of tokens above 0, got 0."),
        (chat, pairs, {"max_tokens": -1}, "max_tokens: expected a number of tokens above 0, got -1."),
        (chat, pairs, {"batch_tokens": 0}, "batch_tokens: expected a number of tokens above 0, got 0."),
        (gpt2, [short, long], {"max_tokens": None}, f"pair '{long.id}': "),
        (gpt2, [short, long], {"max_tokens": None}, "expected at most the context of 128"),
        (chat, [blank], {}, f"pair '{blank.id}': its boring text has no token of its own to measure"),
        (chat, [blank], {"position": "text"}, f"pair '{blank.id}': its boring text has no token"),
        (chat, [none], {"position": "instruction"}, f"pair '{none.id}': its creative text has no token"),
        (chat, [none], {"position": "last"}, f"pair '{none.id}': its creative text has no token"),
    ]
    for model, texts, options, reason in cases:
        with ran(chat) as count:
            assert reason in refusal(lambda m=model, t=texts, o=options: collect(m, t, **o)), reason
        assert count.rows == 0, "refused before the model runs"
