"""How layers are written is checked without a model; whether a model has them, with its depth alone."""

import pytest
from fake_pairs import refusal

from creativity_lens.layers import check_layers, choose_layers, layer_ranges


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("all", list(range(8))),
        (" ALL ", list(range(8))),
        ("2,4", [2, 4]),
        (" 1 - 2 , 7", [1, 2, 7]),
        ("4,2,2-3", [2, 3, 4]),
        ([7, 0], [0, 7]),
        (range(3), [0, 1, 2]),
        ((layer for layer in (5, 1)), [1, 5]),
        ("depth 0", [0]),
        ("depth 0.25", [2]),
        ("Depth .5", [4]),
        ("depth 0.99", [7]),
    ],
)
def test_layers_of_a_model(asked, given):
    assert choose_layers(asked, 8, "pocket-chat") == given


@pytest.mark.parametrize(("n_layers", "layer"), [(8, 2), (32, 8), (12, 3), (1, 0), (22, 6)])
def test_a_quarter_of_the_depth(n_layers, layer):
    assert choose_layers("depth 0.25", n_layers, "any") == [layer]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("al", "layers: expected 'all', '0-7' or '2,4', got 'al'. Did you mean 'all'?"),
        ("", "layers: expected 'all', '0-7' or '2,4', got ''."),
        ("2;4", "layers: expected 'all', '0-7' or '2,4', got '2;4'."),
        ("depth", "layers: expected 'all', '0-7' or '2,4', got 'depth'."),
        ("depth 1", "layers: expected 'all', '0-7' or '2,4', got 'depth 1'."),
        ("depth nan", "layers: expected 'all', '0-7' or '2,4', got 'depth nan'."),
        ("depth -0.5", "layers: expected 'all', '0-7' or '2,4', got 'depth -0.5'."),
        ("7-0", "layers: expected a rising range such as 0-7, got '7-0'."),
        ([], "layers: expected at least one layer, got none."),
        ([2.0], "layers: expected whole numbers, got 2.0."),
        ([True], "layers: expected whole numbers, got True."),
        (3, "layers: expected 'all', '0-7', '2,4' or a list of numbers, got 3."),
        (None, "layers: expected 'all', '0-7', '2,4' or a list of numbers, got None."),
    ],
)
def test_what_no_model_could_have(asked, said):
    assert refusal(check_layers, asked) == said
    assert refusal(choose_layers, asked, 8, "pocket-chat") == said


@pytest.mark.parametrize(("asked", "number"), [("8", 8), ("0-8", 8), ([-1], -1), ("0-999999999", 999999999)])
def test_what_this_model_does_not_have(asked, number):
    check_layers(asked)
    expected = f"layers: expected 0 to 7 for pocket-chat, got {number}."
    assert refusal(choose_layers, asked, 8, "pocket-chat") == expected


@pytest.mark.parametrize(("layers", "short"), [((0, 1, 2), "0-2"), ((0, 2), "0,2"), ((4,), "4"), ((1, 2, 4), "1,2,4")])
def test_layers_in_short(layers, short):
    assert layer_ranges(layers) == short
    assert choose_layers(short, 8, "any") == list(layers), "what is written is read again"
