"""The linter: the shipped pairs pass, exchangeable sides pass, and a set that breaks one limit fails by that one."""

import json
from dataclasses import replace

import numpy as np
import pytest
from pairs_files import exchangeable_pairs

from creativity_lens.lint import ALL, lint_form, lint_leaks, lint_pairs
from creativity_lens.prompts import SHIPPED, load_pairs, load_shipped

PAIRS = load_pairs()


def failed(findings) -> set[str]:
    return {finding.check for finding in findings if not finding.passed}


def named(findings, check):
    (found,) = (finding for finding in findings if finding.check == check)
    return found


@pytest.fixture(scope="module")
def shipped():
    return lint_pairs(PAIRS)


# -- the shipped files ---------------------------------------------------------------------------------------------


def test_the_form_of_the_shipped_pairs_is_in_order():
    assert failed(lint_form(PAIRS)) == set()


@pytest.mark.parametrize("name", SHIPPED)
def test_the_form_of_the_other_shipped_files_is_in_order(name):
    assert failed(lint_form(load_shipped(name))) == set()


def test_no_text_stands_in_two_files():
    everything = [*PAIRS, *(pair for name in SHIPPED for pair in load_shipped(name))]
    renamed = [replace(pair, id=f"{number}") for number, pair in enumerate(everything)]
    responses = [replace(p, neutral=p.id, creative=p.id, boring=p.id) for p in renamed]
    assert named(lint_form(responses), "near-duplicates between pairs").values[ALL].value == 0


# -- leaks: what must pass, what must fail -------------------------------------------------------------------------


@pytest.mark.slow
def test_the_shipped_pairs_pass_and_every_figure_is_reported(shipped):
    assert failed(shipped) == set()
    assert len(shipped) >= 24
    leaks = [finding for finding in shipped if "train" in finding.values]
    assert all(value.has_interval for finding in leaks for value in finding.values.values())


@pytest.mark.slow
def test_exchangeable_sides_pass():
    """Sides swapped by coin: whatever is left is luck, and every check on words and features passes."""
    assert failed(lint_leaks(exchangeable_pairs(400, topics=120))) == set()


BREAKS = {
    "length": lambda text: f"{text} And that is how it was, in the end, for all of them there.",
    "word length": lambda text: text.replace(" and ", " notwithstanding ").replace(" the ", " aforementioned "),
    "type-token ratio": lambda text: f"{text} {' '.join(text.split()[:14])}",
    "adjectives": lambda text: text.replace(" the ", " the small old "),
    "adverbs": lambda text: text.replace(" and ", " and very quickly "),
    "sentiment": lambda text: f"{text} It was wonderful, lovely and happy.",
    "punctuation": lambda text: text.replace(" and ", ", and, "),
    "first person": lambda text: f"I think so. {text}",
    "negation": lambda text: f"{text} No, not at all.",
    "bag of words, responses": lambda text: f"Forsooth, {text} Methinks, verily, perchance, anon.",
}


@pytest.mark.slow
@pytest.mark.parametrize("check", BREAKS)
def test_a_limit_that_is_broken_is_named(check):
    broken = [
        replace(pair, creative_response=BREAKS[check](pair.creative_response))
        for pair in exchangeable_pairs(400, topics=120)
    ]
    found = lint_leaks(broken)
    assert check in failed(found)
    assert ALL in named(found, check).failing


@pytest.mark.slow
def test_instructions_that_name_their_side_fail_in_premise_and_are_exempt_in_manner():
    sides = {"creative": "Where nobody expects it, dragons sing.", "boring": "As usual, it is a regular day."}
    for kind in ("premise", "manner"):
        pairs = [
            replace(pair, kind=kind, **{side: f"{pair.neutral} {said}" for side, said in sides.items()})
            for pair in exchangeable_pairs(200, topics=60)
        ]
        found = failed(lint_leaks(pairs))
        assert ("bag of words, premise instructions" in found) == (kind == "premise")
        assert named(lint_leaks(pairs), f"bag of words, {kind} instructions").values[ALL].value > 0.9


def test_too_few_topics_are_not_judged_by_an_interval():
    few = [replace(pair, topic=f"t{number % 6}", split=None) for number, pair in enumerate(PAIRS[:24])]
    checks = {finding.check for finding in lint_leaks(few)}
    assert "bag of words, responses" not in checks


# -- form: one break at a time -------------------------------------------------------------------------------------

SOME = [replace(pair, split=None) for pair in PAIRS[:40]]


def changed(**fields):
    """Some pairs of which the first one is changed."""
    return [replace(SOME[0], **fields), *SOME[1:]]


def twice(text):
    return f"{text} {text}"


@pytest.mark.parametrize(
    ("pairs", "check", "detail"),
    [
        (
            changed(creative_response=twice(SOME[0].boring_response)),
            "pairs with a length ratio outside 0.75 to 1.33",
            f"{SOME[0].id}: 2.00",
        ),
        (
            [replace(pair, creative_response=twice(pair.boring_response)) for pair in SOME],
            "median length ratio",
            None,
        ),
        (changed(creative_response=SOME[7].creative_response), "near-duplicates between pairs", SOME[7].id),
        (changed(neutral=SOME[7].neutral), "near-duplicates between pairs", SOME[7].id),
        (changed(boring_response=f"**{SOME[0].boring_response}**"), "texts with markup", SOME[0].id),
        (changed(creative_response="Dear [NAME], " + SOME[0].creative_response), "texts with a placeholder", "[NAME]"),
        (
            changed(boring_response="Der Hund lief über die Straße und bellte den ganzen Abend lang."),
            "responses that are not readable English",
            SOME[0].id,
        ),
    ],
)
def test_a_break_of_form_is_found_where_it_is(pairs, check, detail):
    found = lint_form(pairs)
    assert check in failed(found)
    assert detail is None or any(detail in place for place in named(found, check).details)


def test_a_topic_in_two_splits_is_found_also_under_its_plural():
    first, *rest = (replace(pair, split="train") for pair in SOME)
    found = named(lint_form([replace(first, topic=f"{rest[-1].topic}s", split="test"), *rest]), "topics in two splits")
    assert found.failing == (ALL,)
    assert found.details[0].endswith("test, train")


def test_a_wording_of_test_that_is_in_train_is_found():
    manner = [pair for pair in PAIRS if pair.kind == "manner"]
    train = next(pair for pair in manner if pair.split == "train")
    test = next(pair for pair in manner if pair.split == "test")
    said = "Astonish the committee."
    again = [
        replace(pair, creative=f"{pair.neutral} {said}") if pair.id in (train.id, test.id) else pair for pair in PAIRS
    ]
    found = named(lint_form(again), "wordings of manner in train and in test")
    assert found.details == ("creative: 'astonish the committee'",)


def test_too_few_wordings_are_found():
    same = [replace(p, boring=f"{p.neutral} As one does.") if p.kind == "manner" else p for p in PAIRS]
    found = named(lint_form(same), "different wordings of manner, each side")
    assert found.failing == (ALL,)
    assert found.values[ALL].value == 1


def test_lopsided_words_are_found():
    planted = [replace(pair, creative_response=f"{pair.creative_response} Gleaming.") for pair in PAIRS[::8]]
    found = named(
        lint_leaks([*planted, *(p for i, p in enumerate(PAIRS) if i % 8)]),
        "words in over 8 % of one side and under 2 % of the other",
    )
    assert any(place.startswith("gleaming: 12") for place in found.details)


def test_a_finding_is_json():
    row = lint_form(SOME)[0].row()
    assert json.loads(json.dumps(row, allow_nan=False))["values"]["all"]["n"] > 0
    assert np.isfinite(row["values"]["all"]["value"])
