"""Doubles, markup, placeholders, wordings: each found where it was put, and nothing else."""

from dataclasses import replace

import pytest

from creativity_lens.prompts import ContrastivePair
from creativity_lens.wording import lopsided_words, manner_wordings, near_duplicates, spoiled, unreadable

SEA = "The tide came in at noon and took the children's castle with it, tower by tower."
BREAD = "My aunt bakes on Fridays, and the whole stair smells of rye until Sunday."
TAX = "Whoever owes the city money gets a green letter in the first week of May."


def pair(name="a", **texts):
    row = {"neutral": f"Write about the {name}.", "creative": f"Write about the {name} anew.", "boring": "As it is."}
    row |= {"creative_response": SEA, "boring_response": BREAD} | texts
    return ContrastivePair(id=name, topic=name, domain="d", kind="manner", split=None, **row)


def test_a_copy_in_another_pair_is_found_with_its_jaccard():
    found = near_duplicates([pair("ship"), pair("oven", creative_response=TAX, boring_response=SEA)])
    assert found == [(1.0, "ship", "oven")]


def test_jaccard_of_character_five_grams_by_hand():
    """Eight letters with spaces between are 15 characters, 11 grams; nine letters have 13, 11 of them shared."""
    one = pair("x", creative_response="a b c d e f g h", boring_response=TAX, neutral="q1", creative="q2", boring="q3")
    two = pair("y", creative_response="a b c d e f g h i", boring_response=BREAD, neutral="r", creative="s", boring="t")
    assert near_duplicates([one, two]) == [(pytest.approx(11 / 13), "x", "y")]
    less = replace(two, creative_response="a b c d e x y z")  # the first 6 of 11 are shared, of 16 in all
    assert near_duplicates([one, less]) == []


def test_short_texts_are_duplicates_only_when_equal():
    one = pair("box", neutral="Write about the box.", creative="a", boring="b")
    two = pair(
        "bed", neutral="Write about the bed.", creative="c", boring="d", creative_response=TAX, boring_response="e"
    )
    assert near_duplicates([one, two]) == []
    assert near_duplicates([one, replace(two, neutral="Write about the box")]) == [(pytest.approx(1.0), "box", "bed")]


def test_case_and_punctuation_do_not_hide_a_copy():
    loud = SEA.upper().replace(",", " --")
    assert near_duplicates([pair("ship"), pair("oven", creative_response=TAX, boring_response=loud)])


def test_the_two_sides_of_one_pair_may_be_alike():
    assert near_duplicates([pair("ship", boring_response=SEA + " Then it went.")]) == []


def test_equal_instructions_of_two_pairs_are_found():
    one = pair("ship", neutral="Describe the long pier at low tide.")
    two = pair("oven", neutral="Describe the long pier at low tide!", creative_response=TAX, boring_response="Not so.")
    assert [ids for _, *ids in near_duplicates([one, two])] == [["ship", "oven"]]


@pytest.mark.parametrize(
    "text",
    [
        "<b>Bold</b> words",
        "# A heading",
        "so **strong**",
        "- an item\n- another",
        "1. an item",
        "see [here](x)",
        "a &amp; b",
    ],
)
def test_markup_is_found(text):
    assert spoiled([pair("ship", creative_response=text)])["markup"]


@pytest.mark.parametrize(
    "text", ["Dear [NAME],", "Dear {name},", "Mr. XXX called", "TODO", "Lorem ipsum dolor", "from ____ to"]
)
def test_placeholders_are_found(text):
    (found,) = spoiled([pair("ship", boring_response=text)])["placeholder"]
    assert found.startswith("ship, boring_response: ")


@pytest.mark.parametrize(
    "text", [SEA, BREAD, "Is 3 < 5? Yes - and 5 > 3.", 'He said: "I <3 you" * 2', "Rock & roll, at 9.30"]
)
def test_prose_is_neither(text):
    assert spoiled([pair("ship", creative_response=text)]) == {"markup": [], "placeholder": []}


def test_what_is_not_english_is_found():
    german = "Der Hund lief über die Straße und bellte den ganzen Abend den Nachbarn an."
    (found,) = unreadable([pair("ship", creative_response=german)])
    assert found.startswith("ship, creative_response: 0.")
    assert unreadable([pair("ship")]) == []


def test_a_word_of_one_side_is_lopsided_and_a_stop_word_never():
    pairs = [
        pair(f"p{i}", creative_response="the gleaming sea" if i < 9 else "the sea", boring_response="a sea")
        for i in range(100)
    ]
    assert lopsided_words(pairs) == [("gleaming", 0.09, 0.0)]


def test_the_limits_of_a_lopsided_word():
    def pairs(creative, boring):
        return [
            pair(f"p{i}", creative_response="gleaming" if i < creative else "sea",
                 boring_response="gleaming" if i < boring else "sea")
            for i in range(100)
        ]  # fmt: skip

    assert [word for word, *_ in lopsided_words(pairs(9, 1))] == ["gleaming"]
    assert [word for word, *_ in lopsided_words(pairs(1, 9))] == ["gleaming"]
    assert lopsided_words(pairs(8, 1)) == []
    assert lopsided_words(pairs(9, 2)) == []


def test_a_wording_is_what_an_instruction_adds():
    one = replace(
        pair("ship", neutral="Write about the ship.", creative="Write about the ship. Surprise me!"), split="train"
    )
    two = replace(
        pair("oven", neutral="Write about the oven.", creative="Surprise me: write about the oven."), split="test"
    )
    assert manner_wordings([one, two], "creative") == {"surprise me": {"train", "test"}}


def test_other_kinds_have_no_wordings():
    assert manner_wordings([replace(pair("ship"), kind="premise")], "creative") == {}
