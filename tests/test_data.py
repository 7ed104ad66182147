"""The data that ship: sound, complete, balanced where the design asks for it."""

import re
from collections import Counter

import pytest
from typer.testing import CliRunner

from creativity_lens.cli.pairs import app
from creativity_lens.files import data_folder
from creativity_lens.leaks import feature_columns, word_scores
from creativity_lens.prompts import (
    ADVERSARIAL,
    CONTROLS,
    GATE,
    KINDS,
    SHIPPED,
    ContrastivePair,
    Prompt,
    fingerprint,
    load_control,
    load_pairs,
    load_prompts,
    load_shipped,
    split_pairs,
    write_pairs,
)
from creativity_lens.sides import Sides, load_sides
from creativity_lens.statistics import auc

FOLDER = data_folder() / "contrastive_pairs"


@pytest.fixture(scope="module")
def pairs() -> list[ContrastivePair]:
    return load_pairs()


@pytest.fixture(scope="module", params=CONTROLS)
def control(request) -> list[ContrastivePair]:
    return load_control(request.param)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower())


def mentions(text: str, topic: str) -> bool:
    return re.search(rf"\b{re.escape(topic)}(e?s)?\b", text, flags=re.IGNORECASE) is not None


def wrong_responses(some: list[ContrastivePair]) -> dict[str, tuple[int, int]]:
    """Pairs with a response outside 60 to 120 words, or with one over 15 % longer than the other."""
    lengths = {pair.id: (len(pair.creative_response.split()), len(pair.boring_response.split())) for pair in some}
    return {name: two for name, two in lengths.items() if min(two) < 60 or max(two) > 120 or max(two) > 1.15 * min(two)}


def test_pairs_cover_their_topics_domains_and_kinds(pairs):
    kinds = Counter((pair.topic, pair.kind) for pair in pairs)
    topics = {pair.topic for pair in pairs}
    assert len(pairs) >= 400
    assert len(topics) == 120
    assert len({pair.domain for pair in pairs}) == 8
    assert min(Counter(pair.domain for pair in pairs).values()) >= 45
    assert {(topic, kind) for topic in topics for kind in KINDS if kinds[topic, kind] == 0} == set()
    assert len({(pair.topic, pair.domain) for pair in pairs}) == len(topics), "a topic belongs to one domain"
    domains = Counter(domain for _, domain in {(pair.topic, pair.domain) for pair in pairs})
    assert set(domains.values()) == {15}
    assert [pair.id for pair in pairs if not re.fullmatch(r"[a-z]+(-[a-z]+)+(-2)?", pair.id)] == [], "no id is a number"


def test_the_instructions_differ_as_the_kind_says(pairs):
    same = {pair.id for pair in pairs if len({pair.neutral, pair.creative, pair.boring}) == 1}
    assert same == {pair.id for pair in pairs if pair.kind == "response"}
    assert [pair.id for pair in pairs if pair.kind != "response" and pair.creative == pair.boring] == []
    assert [pair.id for pair in pairs if pair.creative_response == pair.boring_response] == []


def test_the_neutral_instructions_ask_for_no_side(pairs):
    telling = {
        "creative",
        "creatively",
        "boring",
        "imaginative",
        "surprising",
        "dull",
        "ordinary",
        "unusual",
    }
    prompts = [prompt for part in load_prompts() for prompt in part]
    assert [pair.id for pair in pairs if telling & set(words(pair.neutral))] == []
    assert [prompt.id for prompt in prompts if telling & set(words(prompt.text))] == []


def test_no_manner_wording_is_used_twice(pairs):
    wordings = []
    for pair in pairs:
        if pair.kind == "manner":
            task = set(words(pair.neutral))
            for side in (pair.creative, pair.boring):
                # What is left without the task's own words is how the manner is asked for
                wordings.append(tuple(word for word in words(side) if word not in task))
    assert [wording for wording, count in Counter(wordings).items() if count > 1] == []


def test_responses_are_of_like_length(pairs):
    assert wrong_responses(pairs) == {}


def test_no_text_stands_twice(pairs):
    texts = Counter(text for pair in pairs for text in (pair.creative_response, pair.boring_response))
    assert [text for text, count in texts.items() if count > 1] == []


def test_the_split_is_frozen_and_has_nine_three_and_three_topics_of_every_domain(pairs):
    by_split = dict(zip(("train", "dev", "test"), split_pairs(pairs), strict=True))
    assert all({pair.split for pair in part} == {split} for split, part in by_split.items())
    topics = Counter((domain, split) for _, domain, split in {(p.topic, p.domain, p.split) for p in pairs})
    assert {count for (_, split), count in topics.items() if split == "train"} == {9}
    assert {count for (_, split), count in topics.items() if split != "train"} == {3}


def test_adversarial_pairs_are_three_contrasts_of_24_on_topics_of_their_own(pairs):
    found = load_shipped(ADVERSARIAL)
    assert sorted(Counter(pair.domain for pair in found).values()) == [24, 24, 24]
    assert {pair.kind for pair in found} == {"response"}
    assert not {pair.topic for pair in found} & {pair.topic for pair in pairs}
    assert len({pair.topic for pair in found}) == 72
    assert wrong_responses(found) == {}


def test_controls_are_36_pairs_that_differ_in_the_response_alone(control):
    assert len(control) == 36
    assert len({pair.topic for pair in control}) == 36
    assert {pair.kind for pair in control} == {"response"}
    assert [pair.id for pair in control if not pair.neutral == pair.creative == pair.boring] == []
    assert [pair.id for pair in control if pair.creative_response == pair.boring_response] == []
    assert wrong_responses(control) == {}


def test_gate_pairs_are_60_requests_on_60_topics(pairs):
    gate = load_shipped(GATE)
    assert len(gate) == len({pair.topic for pair in gate}) == 60
    assert {pair.topic for pair in gate} & {pair.topic for pair in pairs} <= {"lighthouse"}
    counts = Counter((pair.domain, pair.split) for pair in gate)
    sizes = {"train": 12, "dev": 4, "test": 4}
    assert counts == {(name, part): n for name in ("fact", "arithmetic", "safety") for part, n in sizes.items()}
    assert {pair.kind for pair in gate} == {"premise"}
    assert [pair.id for pair in gate if pair.creative_response != pair.boring_response] == []
    requests = Counter(text for pair in gate for text in (pair.creative, pair.boring))
    assert max(requests.values()) == 1
    assert load_sides(FOLDER / f"{GATE}.jsonl") == Sides("creative request", "careful request")


def test_both_requests_of_a_gate_pair_have_the_same_form():
    for pair in load_shipped(GATE):
        sides = (pair.creative, pair.boring)
        assert len({"?" in text for text in sides}) == 1, pair.id
        assert len({re.search(r"\d", text) is None for text in sides}) == 1, pair.id
        assert 0.8 <= len(pair.creative.split()) / len(pair.boring.split()) <= 1.25, pair.id


def test_no_surface_feature_of_the_gate_s_requests_decides():
    """Their words tell some of it, as the kind of a request must; no single feature does."""
    gate = load_shipped(GATE)
    texts = ([pair.creative for pair in gate], [pair.boring for pair in gate])
    areas = {name: auc(*columns) for name, columns in feature_columns(texts).items()}
    assert {name: area for name, area in areas.items() if not 0.35 <= area <= 0.65} == {}
    assert 0.6 < auc(*word_scores(gate, texts)) < 0.8


def test_prompts_are_32_and_32_on_topics_of_their_own(pairs):
    dev, test = load_prompts()
    assert (len(dev), len(test)) == (32, 32)
    topics = {pair.topic for pair in pairs}
    shared = {(prompt.id, topic) for prompt in [*dev, *test] for topic in topics if about(prompt, topic)}
    assert shared == set()


def about(prompt: Prompt, topic: str) -> bool:
    return prompt.id.removeprefix("prompt-").replace("-", " ") == topic or mentions(prompt.text, topic)


@pytest.mark.parametrize("name", ["pairs", *SHIPPED])
def test_the_files_are_in_the_form_that_write_pairs_gives(name, tmp_path):
    shipped = FOLDER / f"{name}.jsonl"
    write_pairs(tmp_path / "again.jsonl", load_pairs(shipped))
    assert (tmp_path / "again.jsonl").read_bytes() == shipped.read_bytes()


def test_ids_and_contents_of_the_files_are_their_own(pairs):
    sets = [pairs, *(load_shipped(name) for name in SHIPPED)]
    ids = [pair.id for some in sets for pair in some]
    assert len(ids) == len(set(ids))
    assert len({fingerprint(some) for some in sets}) == len(sets)


@pytest.mark.parametrize("command", [[], ["list"], ["show"], ["check"]])
def test_the_example_in_the_help_of_clens_pairs_runs(command):
    shown = CliRunner().invoke(app, [*command, "--help"]).stdout
    example = next(line.strip() for line in shown.splitlines() if line.strip().startswith("Example: clens pairs "))
    result = CliRunner().invoke(app, example.removeprefix("Example: clens pairs ").split(), catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stdout
