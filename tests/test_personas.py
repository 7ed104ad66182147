"""Personas are read from any form they are given in, and their spread is what was planted."""

import math

import numpy as np
import pytest
from fake_pairs import refusal
from hypothesis import given
from hypothesis import strategies as some

from creativity_lens.personas import ATTRIBUTES, load_persona_prompts, parse_persona, personas_of
from creativity_lens.personas.measuring import jackknifed_entropy
from creativity_lens.personas.values import normalised

FORM = """Name: Anna Schmidt
Age: 34
Gender: Female
Nationality: German
City: Berlin, Germany
Education: Master's degree in biology
Job: Software Engineer at a bank
Income: $85,000 per year
Hobby: Hiking and cooking."""
READ = {
    "name": "anna",
    "age": "30-39",
    "gender": "female",
    "nationality": "german",
    "city": "berlin",
    "education": "master",
    "job": "software engineer",
    "income": "75k-100k",
    "hobby": "hiking",
}
SHORT = {"name": "anna", "age": "30-39", "city": "oslo"}


def test_a_whole_form():
    assert parse_persona(FORM) == READ
    assert tuple(READ) == ATTRIBUTES
    assert parse_persona(FORM.upper()) == READ, "case does not matter"


@pytest.mark.parametrize(
    "text",
    [
        "Name: Anna\nAge: 34\nCity: Oslo",
        "**Name:** Anna\n- **Age:** 34\n* **City**: Oslo",
        "Sure! Here is a customer:\n\n1. Name: Anna\n2. Age: 34 years\n3) City: Oslo, Norway",
        "Name - Anna\nAge – 34\nCity — Oslo",
        "Name: Anna, Age: 34, City: Oslo",
        "Name: Anna; Age: 34; City: Oslo",
        "Name = Anna | Age = 34 | City = Oslo",
        "Name: Anna. Age: 34. City: Oslo.",
        "| Attribute | Value |\n|---|---|\n| Name | Anna |\n| Age | 34 |\n| City | Oslo |",
        "| Name | Age | City |\n|:--|:-:|--:|\n| Anna | 34 | Oslo |\n| Ben | 50 | Rome |",
        '{"name": "Anna", "age": 34, "city": "Oslo"}',
        'Here it is:\n```json\n{"customer": {"Full Name": "Anna", "age": "34", "location": ["Oslo", "Rome"]}}\n```',
        '[{"name": "Anna", "age": 34, "city": "Oslo"}, {"name": "Ben", "hobby": "chess"}]',
        "{'name': 'Anna', 'age': 34, 'city': 'Oslo'}",
        '{"name": "Anna", "age": 34, "city": "Oslo", "jo',
        "### Name\nAnna Schmidt\n### Age\n34\n### City\nOslo",
        "Name:\nAnna\nAge:\n34\nCity:\nOslo",
        "<ul><li><b>Name</b>: Anna</li><li>Age: 34</li><li>City: Oslo</li></ul>",
        "Name&#58; Anna<br>Age: 34<br/>City: Oslo",
        "\U0001f464 Name: Anna\n\u2705 Age: 34\n\u2022 City: Oslo",
        "Name: ...\nAge: ...\nCity: ...\n\nThe customer:\nName: Anna\nAge: 34\nCity: Oslo",
        "Name: [Name]\nAge: unknown\nName: Anna\nAge: 34\nCity: Oslo",
        "Name: Anna\r\nAge: 34\r\nCity: Oslo\r\n",
        "\ufeffName：Anna\n\x1b[1mAge: 34\nCi\u200bty: Oslo",
        "Name: Anna\nLast name: Berg\nAge: 34\nMarital status: single\nCity: Oslo",
        "Name: Anna\nAge: 34\nCity: Oslo\n\nName: Ben\nAge: 60\nCity: Rome\nHobby: chess",
        "Persona 1\nName: Anna\nAge: 34\nCity: Oslo\n\nPersona 2\nHobby: chess",
    ],
)
def test_every_form_gives_the_first_persona(text):
    assert parse_persona(text) == SHORT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Once there was a man in the city: it was large.",
        "The age of sail - a history.",
        "Name: ...\nAge: [age]\nCity: N/A",
        "Age: 1234\nIncome: x1",
        "He works a job. She likes her name, and the age of it.",
    ],
)
def test_prose_and_empty_forms_are_no_persona(text):
    assert parse_persona(text) == {}


@pytest.mark.parametrize(
    ("attribute", "value", "expected"),
    [
        ("name", "Dr. Anna-Maria Schmidt", "anna-maria"),
        ("name", "李娜", "李娜"),
        ("name", "Élodie (she/her)", "élodie"),
        ("age", "mid-30s", "30-39"),
        ("age", "25-34", "20-29"),
        ("age", "in her forties", "40-49"),
        ("age", "7", "0-9"),
        ("age", "old", ""),
        ("gender", "Woman", "female"),
        ("gender", "M", "male"),
        ("gender", "non-binary", "non-binary"),
        ("nationality", "The United States", "american"),
        ("nationality", "USA.", "american"),
        ("nationality", "American (Irish descent)", "american"),
        ("nationality", "Maori", "maori"),
        ("education", "B.A. in English", "bachelor"),
        ("education", "PhD", "doctorate"),
        ("education", "High school diploma", "school"),
        ("job", "A retired teacher, part-time", "retired teacher"),
        ("job", "nurse.", "nurse"),
        ("income", "$4,000 per month", "25k-50k"),
        ("income", "50-60k a year", "50k-75k"),
        ("income", "€ 30.000", "25k-50k"),
        ("income", "$24,999.99", "under 25k"),
        ("income", "1.5 million", "150k+"),
        ("income", "25 dollars an hour", "50k-75k"),
        ("income", "Upper-middle class", "upper-middle"),
        ("hobby", "Chess & go", "chess"),
        ("hobby", "x" * 61, ""),
        ("city", "a", "a"),
    ],
)
def test_values_are_normalised(attribute, value, expected):
    assert normalised(attribute, value) == expected


def test_a_value_that_is_normalised_stays_as_it_is():
    for attribute, value in READ.items():
        assert normalised(attribute, value) == value


@given(some.text(max_size=300) | some.text(alphabet="name:ageNjob|-,;*{}[]\"' \n0123", max_size=300))
def test_no_text_raises(text):
    found = parse_persona(text)
    assert set(found) <= set(ATTRIBUTES)
    assert all(value and value == value.strip() and len(value) <= 60 for value in found.values())


@pytest.mark.parametrize(
    "unit", [" ", "{", "[{", "| ", "name", "name: ", " .name", "<a ", "<", "1", "- - ", "\n", "\x00", "(1,", "[name: "]
)
def test_a_huge_text_is_read_only_at_its_beginning(unit):
    """A beginning of a repeated piece, and a persona that stands beyond the limit: it is not reached."""
    assert len(parse_persona(unit * (2_000_000 // len(unit)) + FORM)) <= 1
    assert parse_persona(FORM + "\n\n" + unit * 2_000_000) == READ


# ---- the spread of many ----


def form(name, nationality, age=34):
    return f"Name: {name}\nAge: {age}\nNationality: {nationality}"


def test_spread_of_a_few_by_hand():
    texts = [form("Ann", "Danish")] * 12 + [form("Ben", "Thai")] * 4
    found = personas_of(texts, [f"p{n % 8}" for n in range(16)])
    name = found.each[0]
    # two texts a prompt: p0 to p3 hold Ann and Ann, p4 to p7 hold Ann and Ben: in all 12 and 4
    whole = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    even = -(10 / 14 * math.log2(10 / 14) + 4 / 14 * math.log2(4 / 14))  # without a prompt of two Anns
    mixed = -(11 / 14 * math.log2(11 / 14) + 3 / 14 * math.log2(3 / 14))
    assert [texts[n][6:9] for n in (4, 12)] == ["Ann", "Ben"], "both of p4"
    assert name.entropy.value == pytest.approx(8 * whole - 7 * (even + mixed) / 2)
    assert name.entropy.low < name.entropy.value < name.entropy.high
    assert (name.distinct, name.top, name.n) == (2.0, "ann", 16)
    assert name.top_share.value == 0.75
    assert found.attributes["nationality"] == [["danish", 12], ["thai", 4]]
    assert found.parse_rate.value == 1.0
    assert found.each[1].entropy.value == 0.0, "all are 34"
    assert found.each[1].top_share.value == 1.0


def test_order_of_texts_and_names_of_prompts_do_not_matter():
    rng = np.random.default_rng(0)
    nations = ["Danish", "Thai", "Greek", "Swiss"]
    texts = [form("Ann", nations[i]) for i in rng.integers(4, size=64)]
    groups = [f"p{n % 8}" for n in range(64)]
    order = rng.permutation(64)
    first = personas_of(texts, groups)
    again = personas_of([texts[i] for i in order], [groups[i].replace("p", "prompt ") for i in order])
    assert first.attributes == again.attributes
    assert first.each == again.each


def test_three_nationalities_have_less_entropy_than_forty():
    """The planted finding of the paper, at the size of an audit: 8 prompts, 8 texts each."""
    rng = np.random.default_rng(1)
    groups = [f"p{n % 8}" for n in range(64)]

    def measured(nations):
        texts = [form("Ann", f"nation{i}") for i in rng.choice(nations, size=64)]
        return next(one for one in personas_of(texts, groups).each if one.name == "nationality").entropy

    three, forty = measured(range(3)), measured(range(40))
    assert three.low <= math.log2(3) <= three.high
    assert forty.low <= math.log2(40) <= forty.high
    assert three.high < forty.low


def test_the_jackknife_takes_off_the_bias():
    """40 values equally likely: the plain entropy of 64 draws is half a bit too low, the jackknife hardly."""
    rng = np.random.default_rng(2)
    counts = rng.multinomial(8, np.full(40, 1 / 40), size=(200, 8)).astype(float)
    plain, found, covered = [], [], 0
    for each in counts:
        share = each.sum(axis=0)[each.sum(axis=0) > 0] / 64
        plain.append(-(share * np.log2(share)).sum())
        estimate = jackknifed_entropy(each)
        found.append(estimate.value)
        covered += estimate.low <= math.log2(40) <= estimate.high
    assert np.mean(plain) < math.log2(40) - 0.4
    assert np.mean(found) == pytest.approx(math.log2(40), abs=0.08)
    assert covered >= 180


def test_too_few_personas_are_not_measured():
    texts = [form("Ann", "Thai")] * 15 + ["Once upon a time there was a baker."] * 49
    found = personas_of(texts, [f"p{n % 8}" for n in range(64)])
    assert found.parse_rate.value == 15 / 64
    assert found.each[0].note == "not measured: parse rate 0.23 of 64"
    assert math.isnan(found.each[0].entropy.value)
    assert math.isnan(found.each[0].top_share.value)
    assert found.attributes["name"] == [["ann", 15]]
    enough = personas_of([*texts, form("Ben", "Thai")], [*(f"p{n % 8}" for n in range(64)), "p0"])
    assert enough.each[0].note == ""
    assert enough.each[-1].note == "not measured: stated in 0 of 65 texts"
    nothing = personas_of(["x"] * 8, list("abcdefgh"))
    assert nothing.each[0].note == "not measured: parse rate 0.00 of 8"
    assert nothing.parse_rate.value == 0.0
    assert nothing.parse_rate.high > 0.2, "0 of 8 prompts is not 0 for certain"
    assert personas_of([], []).each[0].note == "not measured: no texts"


def test_two_attributes_are_no_persona():
    found = personas_of(["Name: Ann\nAge: 34"] * 16, [str(n) for n in range(16)])
    assert found.parse_rate.value == 0.0
    assert found.attributes["name"] == []


def test_rows_are_those_of_an_audit():
    found = personas_of([FORM] * 16, [f"p{n % 8}" for n in range(16)])
    rows = found.rows()
    columns = ["part", "measure", "scope", "twin", "against", "position"]
    columns += ["estimate", "low", "high", "n", "unit", "note"]
    assert all(list(row) == columns for row in rows)
    assert [row["measure"] for row in rows[:4]] == ["parse rate", "entropy name", "distinct name", "top share name"]
    assert {row["part"] for row in rows} == {"personas"}
    assert len(rows) == 1 + 3 * len(ATTRIBUTES)
    assert rows[3]["note"] == "anna"
    assert rows[0]["n"] == 8
    unread = personas_of(["x"], ["p"]).rows()
    assert unread[1]["note"] == "not measured: parse rate 0.00 of 1"


def test_what_personas_say_is_escaped():
    found = personas_of(["Name: <script>x\nAge: 34\nJob: a&b"] * 16, [str(n) for n in range(16)])
    assert "<script>" not in found._repr_html_()
    assert repr(found) == "Personas(16 texts, parse rate 1.00)"


def test_groups_are_as_many_as_texts():
    assert "groups: expected the prompt of each of 1 texts; got 0" in refusal(personas_of, ["x"], [])


def test_the_prompts_that_ship_ask_for_every_attribute():
    prompts = load_persona_prompts()
    assert len({prompt.id for prompt in prompts}) == 8, "as many as an interval needs"
    for prompt in prompts:
        asked = [line.split(":")[0].lower() for line in prompt.text.split("\n") if line.endswith(": ...")]
        assert tuple(asked) == ATTRIBUTES
        assert parse_persona(prompt.text) == {}, "the form itself, repeated by a model, is nobody"
