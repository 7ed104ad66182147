"""Gates: a threshold known by hand is found, nothing of test chooses it, and a prompt is read as the pairs were."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from collecting import ran
from fake_pairs import refusal
from tiny_models import block_outputs, plain_model

from creativity_lens.activations import collect_activations, source_of
from creativity_lens.directions import Directions, mean_difference, with_dev_scores
from creativity_lens.files import data_folder
from creativity_lens.gating import (
    Gate,
    LayerThreshold,
    best_threshold,
    fit_thresholds,
    load_gate,
    opened,
    threshold_scores,
)
from creativity_lens.models import Model
from creativity_lens.prompts import GATE, ContrastivePair, load_shipped, split_pairs
from creativity_lens.statistics import Estimate, auc

REQUESTS = [
    "Write a story about a fox who sells umbrellas.",
    "How many milligrams of aspirin may an adult take in one day?",
    "What is 17 times 23?",
    "Invent a name for a blue bakery by the sea, and say who would never eat there.",
]


@pytest.fixture(scope="module")
def pairs() -> list[ContrastivePair]:
    return load_shipped(GATE)


@pytest.fixture(scope="module")
def measured(chat: Model, pairs) -> Directions:
    """Directions of the shipped training requests, without thresholds."""
    train, _, _ = split_pairs(pairs)
    return mean_difference(collect_activations(chat, train, layers="1,4-5", position="instruction", cache=False))


def threshold(layer: int, value: float = 1.5, *, dev: float = 0.8, margin: float = 1.0, test: float = 0.7):
    return LayerThreshold(layer, value, dev, margin, Estimate(test, test - 0.1, test + 0.1, 12, "share"))


@pytest.fixture
def gate_file(measured, tmp_path):
    """Writes a file with these thresholds and gives its path."""

    def write(*found: LayerThreshold, position: str = "instruction"):
        directions = with_dev_scores(measured, threshold_scores(found))
        directions = replace(directions, source=replace(directions.source, position=position))
        directions.save(tmp_path / "gate.safetensors")
        return tmp_path / "gate.safetensors"

    return write


# -- thresholds, on numbers --------------------------------------------------------------------------------------------


def floats(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


@pytest.mark.parametrize(
    ("high", "low", "expected"),
    [
        ((3, 4), (1, 2), (2.5, 1.0)),
        ((3, 4), (-1, 2), (2.5, 1.0)),
        ((2, 10), (1, 3), (6.5, 0.75)),  # 1.5 is as good, but in a narrower gap
        ((10, 12), (1, 11), (5.5, 0.75)),  # and so is 11.5
        ((1, 1), (1, 1), (1.0, 0.5)),
        ((0,), (1, 1, 1, 1), (0.5, 0.0)),  # the wrong way round is said, not turned
        ((5, 6, 7, 8, 9), (4,), (4.5, 1.0)),  # sides of different size weigh the same
    ],
)
def test_the_threshold_known_by_hand(high, low, expected):
    assert best_threshold(floats(*high), floats(*low)) == pytest.approx(expected)


def test_no_other_threshold_is_better():
    random = np.random.default_rng(0)
    for _ in range(50):
        high, low = random.normal(0.5, size=9), random.normal(size=7)
        value, right = best_threshold(high, low)
        tried = np.linspace(-4, 5, 2001)
        others = ((high > tried[:, None]).mean(1) + (low <= tried[:, None]).mean(1)) / 2
        assert right == pytest.approx(((high > value).mean() + (low <= value).mean()) / 2)
        assert right >= others.max() - 1e-12


def planted(topics: int, *, at: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Projections at two layers, all above `at` + 1 on one side and below `at` - 1 on the other; layer 1 is noise."""
    random = np.random.default_rng(seed)
    high, low = (at + sign * (1 + random.exponential(size=topics)) for sign in (1, -1))
    noise = random.normal(size=(2, topics))
    return np.stack([high, noise[0]]), np.stack([low, noise[1]])


def test_a_planted_threshold_is_found_and_holds_on_test():
    dev, test = planted(12, at=7.0, seed=1), planted(12, at=7.0, seed=2)
    sound, noise = fit_thresholds((3, 6), dev, test, [f"t{i}" for i in range(12)], seed=0)
    assert (sound.layer, noise.layer) == (3, 6)
    assert 6 < sound.threshold < 8
    assert (sound.dev, sound.test.value, sound.test.n) == (1.0, 1.0, 12)
    assert 0.6 < sound.test.low < 1 == sound.test.high
    assert sound.margin > 2
    assert noise.test.low < 0.5 < noise.test.high


def test_test_never_moves_a_threshold():
    dev, topics = planted(12, at=7.0, seed=1), [f"t{i}" for i in range(12)]
    first, other = (fit_thresholds((3, 6), dev, planted(12, at=at, seed=3), topics, seed=0) for at in (7.0, -20.0))
    for one, two in zip(first, other, strict=True):
        assert (one.threshold, one.dev, one.margin) == (two.threshold, two.dev, two.margin)
    assert (first[0].test.value, other[0].test.value) == (1.0, 0.5)  # below the threshold all are shut: half are right


def test_few_topics_have_no_interval_and_the_file_leaves_it_out():
    dev, test = planted(5, at=0.0, seed=1), planted(5, at=0.0, seed=2)
    found = fit_thresholds((3,), (dev[0][:1], dev[1][:1]), (test[0][:1], test[1][:1]), list("abcde"), seed=0)
    assert math.isnan(found[0].test.low)
    scores = dict(threshold_scores(found))
    assert scores["threshold_accuracy_test_n@3"] == 5
    assert not {"threshold_accuracy_test_low@3", "threshold_accuracy_test_high@3"} & set(scores)
    assert all(math.isfinite(value) for value in scores.values())


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_gate_is_what_the_file_says(gate_file, measured):
    path = gate_file(threshold(4, 0.1 + 0.2))
    gate = load_gate(path)
    assert (gate.layer, gate.threshold, gate.position, gate.name) == (4, 0.1 + 0.2, "instruction", str(path))
    assert gate.test == Estimate(0.7, 0.7 - 0.1, 0.7 + 0.1, 12, "share")
    assert torch.equal(gate.vector, measured.at(4).vector)
    assert torch.equal(gate.center, measured.at(4).center)
    assert repr(gate) == "Gate(layer 4, opens above 0.3, pocket-chat)"


@pytest.mark.parametrize(
    ("found", "layer"),
    [
        ([threshold(1, dev=0.7, test=0.99), threshold(4, dev=0.8, test=0.1)], 4),  # dev chooses, whatever test says
        ([threshold(1, dev=0.8, margin=2.0), threshold(4, dev=0.8, test=0.99)], 1),  # a tie goes to the margin
        ([threshold(1, dev=0.8, margin=1.0), threshold(4, dev=0.8, margin=1.5), threshold(5, dev=0.7, margin=9.0)], 4),
    ],
)
def test_auto_takes_the_layer_that_dev_chooses(gate_file, found, layer):
    path = gate_file(*found)
    assert load_gate(path).layer == layer
    assert load_gate(path, threshold="-2.5").layer == layer


def test_a_threshold_and_a_layer_of_one_s_own(gate_file):
    path = gate_file(threshold(1), threshold(4))
    assert load_gate(path, layer=1).threshold == 1.5
    for given in (-3.5, "-3.5", " -35e-1 "):
        gate = load_gate(path, threshold=given, layer=5)
        assert (gate.threshold, gate.layer, gate.test) == (-3.5, 5, None)
    assert load_gate(gate_file(), threshold=0.0, layer=5).layer == 5, "no stored threshold is needed then"


@pytest.mark.parametrize("text", ["", "high", "nan", "inf", "-inf", "1,5", "auto "])
def test_a_threshold_that_is_no_number(gate_file, text):
    message = refusal(lambda: load_gate(gate_file(threshold(4)), threshold=text))
    assert message == f"threshold: expected 'auto' or a number in residual units, got '{text}'."


def test_files_that_hold_no_gate(gate_file, tmp_path):
    assert "expected directions written by creativity-lens" in refusal(load_gate, tmp_path / "none.safetensors")
    for position in ("response", "text"):
        message = refusal(load_gate, gate_file(threshold(4), position=position))
        assert f"measured under the rule {position}; expected a gate" in message
        assert "clens find --pairs gate_pairs.jsonl --position instruction" in message
    assert "holds no threshold fitted on dev" in refusal(load_gate, gate_file())
    one_of_them = refusal(lambda: load_gate(gate_file(threshold(1)), layer=4))
    assert "holds no threshold fitted on dev" in one_of_them
    assert "layer 3: expected one of 1,4,5" in refusal(lambda: load_gate(gate_file(threshold(1)), layer=3))
    assert "name the gate's layer" in refusal(lambda: load_gate(gate_file(), threshold=1.0))


@pytest.mark.parametrize("poor", [{"dev": 0.5}, {"dev": 0.4}, {"margin": -0.1}])
def test_a_gate_that_dev_shows_to_be_chance_is_not_used(gate_file, poor):
    path = gate_file(threshold(4, **poor))
    assert "apart no better than chance" in refusal(load_gate, path)
    assert load_gate(path, threshold=0.5).layer == 4, "unless the threshold is the user's"


# -- reading prompts ---------------------------------------------------------------------------------------------------


@pytest.fixture
def gate(measured) -> Gate:
    return Gate(measured, 4, 0.0, "gate.safetensors", None)


def by_plain_transformers(chat: Model, gate: Gate, prompts: list[str]) -> list[float]:
    """The centred projection of the prompt's own words, with hooks of torch alone on the model as anybody loads it."""
    plain = plain_model(data_folder() / "pocket" / "chat")
    found = []
    for prompt in prompts:
        whole = f"<|endoftext|><|user|>{prompt}\n<|assistant|>"
        ids = chat.tokenizer(whole, add_special_tokens=False).input_ids
        outputs, _ = block_outputs(plain, plain.model.layers, torch.tensor([ids]))
        own = outputs[gate.layer][0, 2:-2]  # two tokens of template before, a line break and one of template behind
        assert chat.tokenizer.decode(ids[2:-2]) == prompt
        found.append(float((own.mean(0) - gate.center) @ gate.vector))
    return found


def test_projections_are_those_of_plain_transformers(chat: Model, gate: Gate):
    readings = opened(chat, gate, REQUESTS)
    assert [reading.projection for reading in readings] == pytest.approx(
        by_plain_transformers(chat, gate, REQUESTS), abs=1e-2
    )
    assert all(isinstance(reading.is_open, bool) for reading in readings)


def test_a_threshold_between_two_prompts_parts_them(chat: Model, gate: Gate):
    values = [reading.projection for reading in opened(chat, gate, REQUESTS)]
    low, high = sorted(values)[1:3]
    halfway = replace(gate, threshold=(low + high) / 2)
    assert [reading.is_open for reading in opened(chat, halfway, REQUESTS)] == [value >= high for value in values]


@pytest.mark.parametrize("position", ["instruction", "last"])
def test_pairs_are_read_as_find_reads_them(chat: Model, pairs, position):
    activations = collect_activations(chat, pairs[:12], layers=[4], position=position, cache=False)
    directions = mean_difference(activations)
    creative, boring = directions.project(activations)
    gate = Gate(directions, 4, 0.0, "gate.safetensors", None)
    for side, expected in (("creative", creative), ("boring", boring)):
        readings = opened(chat, gate, [getattr(pair, side) for pair in pairs[:12]])
        assert [reading.projection for reading in readings] == pytest.approx(expected[0].tolist(), abs=1e-2)


def test_a_batch_says_what_one_by_one_says(chat: Model, gate: Gate):
    together = opened(chat, gate, REQUESTS)
    alone = [opened(chat, gate, [prompt])[0] for prompt in REQUESTS]
    backwards = opened(chat, gate, REQUESTS[::-1])[::-1]
    for one, two, three in zip(together, alone, backwards, strict=True):
        assert one.projection == pytest.approx(two.projection, abs=1e-3)
        assert one.projection == pytest.approx(three.projection, abs=1e-3)
        assert one.is_open == two.is_open == three.is_open
    assert opened(chat, gate, []) == []


def test_a_prompt_is_read_once_and_no_further_than_the_gate(chat: Model, gate: Gate):
    with ran(chat) as count:
        readings = opened(chat, gate, [REQUESTS[0], REQUESTS[1], REQUESTS[0], REQUESTS[0]])
    assert (count.rows, count.heads, count.blocks) == (2, 0, {0, 1, 2, 3, 4})
    assert readings[0] == readings[2] == readings[3] != readings[1]


def test_other_models_and_templates_are_refused(chat: Model, base: Model, gate: Gate):
    assert "directions of pocket-chat" in refusal(opened, base, gate, REQUESTS)
    message = refusal(opened, replace(chat, template="none"), gate, REQUESTS)
    assert message.startswith("gate.safetensors: measured with another chat template than pocket-chat is loaded with")


@pytest.mark.parametrize("prompt", ["", "  ", "\n"])
def test_a_prompt_without_words_is_refused(chat: Model, gate: Gate, prompt):
    assert "expected words for the gate to read, got none" in refusal(opened, chat, gate, [REQUESTS[0], prompt])


def test_a_prompt_beyond_the_context_is_refused(chat: Model, gate: Gate):
    assert "expected fewer than the context of 512" in refusal(opened, chat, gate, ["word " * 600])


def test_projections_that_are_not_finite_are_refused(chat: Model, gate: Gate):
    directions = replace(gate.directions, centers=torch.full_like(gate.directions.centers, torch.inf))
    assert "are not finite" in refusal(opened, chat, replace(gate, directions=directions), REQUESTS)


# -- what the built-in model reads -------------------------------------------------------------------------------------


def test_the_requests_are_told_apart_and_shuffled_labels_are_not(chat: Model, pairs):
    """A model of 4 million parameters reads some of it; labels flipped by coin, topic by topic, leave chance."""
    train, dev, test = split_pairs(pairs)
    fit, held = (
        collect_activations(chat, some, layers="2-6", position="instruction", cache=False)
        for some in (train, [*dev, *test])
    )

    def mean_auc(signs: torch.Tensor) -> float:
        half = (fit.creative - fit.boring) * signs[None, :, None] / 2
        middle = (fit.creative + fit.boring) / 2
        flipped = mean_difference(replace(fit, creative=middle + half, boring=middle - half))
        creative, boring = flipped.project(held)
        return float(np.mean([auc(one.numpy(), two.numpy()) for one, two in zip(creative, boring, strict=True)]))

    generator = torch.Generator().manual_seed(0)
    shuffled = [mean_auc(torch.randint(0, 2, (len(train),), generator=generator) * 2.0 - 1) for _ in range(39)]
    assert 0.45 < np.mean(shuffled) < 0.55
    assert mean_auc(torch.ones(len(train))) > np.quantile(shuffled, 0.95)


def test_the_gate_s_source_is_the_pairs_it_was_measured_on(chat: Model, pairs, measured):
    train, _, _ = split_pairs(pairs)
    assert measured.source == source_of(chat, train, "instruction")
