"""Names of the two sides: from the option, from the sidecar, or creative and boring."""

import json

import pytest

from creativity_lens.errors import InputError
from creativity_lens.sides import Sides, load_sides, sidecar_of, write_sides


def test_creative_and_boring_where_nothing_is_said(tmp_path):
    assert load_sides(None) == load_sides(tmp_path / "pairs.jsonl") == Sides()
    assert (Sides().concept, Sides().urge, Sides().are_default) == ("creativity", "Be creative. ", True)


def test_the_sidecar_names_them_and_the_option_overrules_it(tmp_path):
    file = tmp_path / "pairs.jsonl"
    write_sides(file, Sides("formal", "casual"))
    assert sidecar_of(file).name == "pairs.jsonl.meta.json"
    assert load_sides(file) == Sides("formal", "casual")
    assert load_sides(file, "concrete, abstract") == Sides("concrete", "abstract")
    assert (load_sides(file).concept, load_sides(file).urge) == ("formal", "Be formal. ")


def test_a_sidecar_over_several_lines_is_read(tmp_path):
    file = tmp_path / "pairs.jsonl"
    sidecar_of(file).write_text(json.dumps({"sides": ["formal", "casual"]}, indent=2))
    assert load_sides(file) == Sides("formal", "casual")


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("formal", "expected two different names"),
        ("a,b,c", "expected two different names"),
        ("formal,Formal", "expected two different names"),
        ("formal,", "expected a text, got an empty one"),
        ("sentiment,none", "'sentiment' is the name of a control"),
    ],
)
def test_names_that_will_not_do(named, said):
    with pytest.raises(InputError, match=said):
        load_sides(None, named)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "field 'sides': missing"),
        ('{"sides": "formal,casual"}', "expected a list of two names"),
        ('{"sides": ["formal", 3]}', "expected a string, got a number"),
        ('{"sides": ["formal", "casual"], "side": 1}', "unknown; rename or remove it"),
        ("formal", "not JSON"),
        ("", "the file is empty"),
    ],
)
def test_a_sidecar_that_is_not_sound(tmp_path, content, said):
    file = tmp_path / "pairs.jsonl"
    sidecar_of(file).write_text(content)
    with pytest.raises(InputError, match=said):
        load_sides(file)
