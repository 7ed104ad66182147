"""Gaps, intervals and references of every length equal what is computed by hand; the file refuses what it is not."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_pairs import make_pairs, refusal
from full_disk import full_disk
from planted import planted
from safetensors import safe_open
from scipy import stats
from yardsticks import DEV, by_hand, of_chat, responses, short_pairs

from creativity_lens.activations import collect_activations
from creativity_lens.concept import prepare
from creativity_lens.directions import mean_difference
from creativity_lens.errors import InputError
from creativity_lens.plan import Plan
from creativity_lens.prompts import halve_topics, split_pairs
from creativity_lens.sides import Sides
from creativity_lens.tensor_files import save_tensors
from creativity_lens.yardstick import FORMAT, Yardstick, fit_yardstick, yardstick_of

ASKED = np.array([1, 2, 3, 50])


# ---- arithmetic ----


def test_means_of_first_tokens_by_hand():
    expected = [[[1, 5], [0, 1]], [[2, 5], [0, 1]], [[2, 5], [0, 2]], [[2, 5], [0, 2]]]
    assert DEV.means(ASKED).tolist() == expected
    assert DEV.means(ASKED[2:3]).tolist() == expected[2:3], "no length depends on the others that are asked for"


def test_gaps_by_hand():
    assert [gap.value for gap in by_hand().gaps(ASKED)] == [2.5, 3.0, 2.5, 2.5]
    assert by_hand().whole.value == 2.5
    assert by_hand().typical_length == 1  # of 2, 1, 2, 3, 1, 2, 1, 1, 2, 1


def test_the_interval_is_over_topics_and_missing_below_eight():
    few = by_hand().gaps(ASKED)[0]
    assert not few.has_interval
    assert few.n == 2
    generator = np.random.default_rng(0)
    values = generator.normal(1, 2, (2, 24)).round(3)
    topics = [f"t{n // 3}" for n in range(24)]
    dev = responses([[v] for v in values[0]], [[v] for v in values[1]], topics)
    gap = replace(by_hand(), dev=dev).gaps(np.array([7]))[0]
    by_topic = (values[0] - values[1]).reshape(8, 3).mean(1)
    low, high = stats.t.interval(0.95, 7, by_topic.mean(), stats.sem(by_topic))
    assert (gap.value, gap.low, gap.high) == pytest.approx((by_topic.mean(), low, high), abs=1e-6)
    assert gap.n == 8


def test_topics_of_unlike_size_leave_the_mean_over_pairs():
    topics = [*"aaabcdefgh"]
    dev = responses([[float(n)] for n in range(10)], [[0.0]] * 10, topics)
    gap = replace(by_hand(), dev=dev).gaps(np.array([1]))[0]
    assert gap.value == pytest.approx(4.5)
    assert gap.value == pytest.approx((gap.low + gap.high) / 2), "the interval lies around it"


def test_references_rise_and_are_cut_to_the_length():
    assert by_hand().references(np.array([1, 9])).tolist() == [[[2, 4, 6], [0, 2, 2]], [[2, 3, 6], [0, 2, 5]]]


def test_a_side_may_be_shorter_everywhere():
    dev = responses([[1.0]] * 2, [[0.0, -9.0]] * 2)
    values = [gap.value for gap in replace(by_hand(), dev=dev).gaps(np.array([1, 2]))]
    assert values == pytest.approx([1.0, 5.5])


# ---- fitted ----


def test_it_is_the_score_of_the_sweep(chat):
    """The same direction, zero and, at the sweep's length, the same gap: a text has one score."""
    pairs = list(short_pairs())
    concept = prepare(chat, "imaginative", pairs, Plan(layers="4", max_new_tokens=9), full=False)
    yardstick = yardstick_of(chat, concept, Sides("imaginative", "plain"))
    assert yardstick is not None
    assert torch.equal(yardstick.vector, concept.scorer.vector)
    assert yardstick.zero == pytest.approx(float(concept.scorer.center @ concept.scorer.vector))
    assert yardstick.gaps(np.array([9]))[0].value == pytest.approx(concept.scorer.gap, rel=1e-4)
    margins = np.subtract(*yardstick.test.means(np.array([9_999]))[0]) / concept.scorer.gap
    assert margins == pytest.approx(concept.margins, abs=1e-4)
    assert yardstick.test.topics == tuple(concept.test_topics)
    assert yardstick_of(chat, replace(concept, scorer=None), Sides()) is None


def test_the_halves_that_steer_and_test_do_not_fit_it(chat):
    """w is the mean difference of half B of the training topics, read alone: fitted here again by hand."""
    train, dev, test = split_pairs(list(short_pairs()), seed=0)
    half_b = halve_topics(train, seed=0)[1]
    ours = mean_difference(collect_activations(chat, half_b, layers=[4], position="text", cache=False))
    yardstick = of_chat(chat)
    torch.testing.assert_close(yardstick.vector, ours.vectors[0])
    assert yardstick.zero == pytest.approx(float(ours.centers[0] @ ours.vectors[0]), rel=1e-4)
    assert yardstick.dev.topics == tuple(pair.topic for pair in dev)
    assert yardstick.test.topics == tuple(pair.topic for pair in test)
    ids = chat.encode_text(dev[2].boring_response)
    assert yardstick.dev.lengths[1, 2] == len(ids)


def test_given_directions_are_taken_as_they_are(chat):
    pairs = list(short_pairs())
    train, _, _ = split_pairs(pairs, seed=0)
    directions = mean_difference(collect_activations(chat, train, layers=[3, 4], cache=False))
    foreign = replace(directions, centers=torch.zeros_like(directions.centers))  # what other tools know nothing of
    yardstick = fit_yardstick(chat, pairs, layer=3, directions=foreign)
    torch.testing.assert_close(yardstick.vector, directions.vectors[0])
    sides = yardstick.dev.means(np.array([999]))[0].mean(-1)
    assert sides[0] == pytest.approx(-sides[1], abs=0.05), "0 is the midpoint of the dev sides"
    assert yardstick.whole.value == pytest.approx(sides[0] - sides[1], rel=1e-4)
    backwards = replace(directions, vectors=-directions.vectors)
    with pytest.raises(InputError, match=r"layer 3: the direction does not separate the dev pairs \(margin -"):
        fit_yardstick(chat, pairs, layer=3, directions=backwards)
    with pytest.raises(InputError, match="layer: expected the layer whose direction"):
        fit_yardstick(chat, pairs, directions=directions)
    with pytest.raises(InputError, match="layer 5: expected one of 3-4"):
        fit_yardstick(chat, pairs, layer=5, directions=directions)
    elsewhere = mean_difference(planted(topics=4)[0])
    with pytest.raises(InputError, match=r"directions: directions of made \(d_model 32\), expected pocket-chat"):
        fit_yardstick(chat, pairs, layer=2, directions=elsewhere)


def test_pairs_without_a_difference_make_none(chat):
    pairs = [replace(pair, boring_response=pair.creative_response) for pair in make_pairs([12])]
    with pytest.raises(InputError):
        fit_yardstick(chat, pairs, layer=2)


# ---- files ----


def test_loaded_it_equals_what_was_saved(chat, tmp_path):
    yardstick = of_chat(chat)
    yardstick.save(tmp_path / "s.safetensors")
    loaded = Yardstick.load(tmp_path / "s.safetensors", chat)
    assert torch.equal(loaded.vector, yardstick.vector)
    for name in ("layer", "zero", "sides", "fitted", "n_layers", "source"):
        assert getattr(loaded, name) == getattr(yardstick, name), name
    for ours, theirs in ((loaded.dev, yardstick.dev), (loaded.test, yardstick.test)):
        assert (ours.tokens == theirs.tokens).all()
        assert (ours.lengths == theirs.lengths).all()
        assert ours.topics == theirs.topics
    assert [gap.value for gap in loaded.gaps(ASKED)] == [gap.value for gap in yardstick.gaps(ASKED)]
    assert "imaginative at layer 4 of pocket-chat" in repr(loaded)


def test_the_file_describes_itself(tmp_path):
    by_hand().save(tmp_path / "s.safetensors")
    with safe_open(tmp_path / "s.safetensors", framework="pt") as file:
        about = file.metadata()
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"F32"}  # noqa: SIM118
    assert about["format"] == FORMAT
    assert (about["layer"], about["layer_index"], about["hook"]) == ("2", "0-based", "resid_post")
    assert about["sign"] == "positive is more odd"
    assert json.loads(about["sides"]) == ["odd", "plain"]


def test_another_model_is_refused_by_what_differs(chat, base, tmp_path):
    of_chat(chat).save(tmp_path / "s.safetensors")
    message = refusal(Yardstick.load, tmp_path / "s.safetensors", base)
    assert "s.safetensors: scores of pocket-chat (" in message
    assert "expected pocket-base" in message
    assert "expected pocket-chat (d_model 192)" in refusal(by_hand().check, chat)


@pytest.mark.parametrize("part", [0, 7, 0.3, 0.9, 0.999])
def test_files_cut_short_are_refused(tmp_path, part):
    file = tmp_path / "s.safetensors"
    by_hand().save(file)
    data = file.read_bytes()
    file.write_bytes(data[: int(part * len(data)) if part < 1 else int(part)])
    assert "expected a scorer written by creativity-lens" in refusal(Yardstick.load, file)


def test_changed_bytes_are_refused(tmp_path):
    file = tmp_path / "s.safetensors"
    by_hand().save(file)
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    assert "checksum" in refusal(Yardstick.load, file)


@pytest.mark.parametrize(
    "change",
    [
        {"layer": "8"}, {"layer": "-1"}, {"layer": "many"}, {"zero": "nan"}, {"topics": "[[], []]"},
        {"topics": '[["t0"], ["t0", "t1", "t2"]]'}, {"sides": '["odd"]'}, {"source": "{}"}, {"source": "[" * 9_999},
        {"hook": "hook_mlp_out"}, {"n_layers": "0"},
    ],
)  # fmt: skip
def test_what_does_not_fit_itself_is_refused(tmp_path, change):
    file = tmp_path / "s.safetensors"
    by_hand().save(file)
    forge(file, change, {})
    assert "what it says of itself does not fit; run `clens sweep` again" in refusal(Yardstick.load, file)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vector", torch.tensor([3.0, 4.0, 0.0])),  # not of unit length
        ("vector", torch.zeros(3)),
        ("vector", torch.full((3,), torch.nan)),
        ("dev_lengths", torch.tensor([[2.0, 0.0], [2.0, 4.0]])),
        ("dev_lengths", torch.tensor([[2.0, 1.0], [2.0, 4.0]])),
        ("dev_lengths", torch.tensor([2.0, 1.0, 2.0, 3.0])),
        ("dev_tokens", torch.full((8,), torch.inf)),
    ],
)
def test_tensors_that_are_no_scorer_are_refused(tmp_path, name, value):
    file = tmp_path / "s.safetensors"
    by_hand().save(file)
    forge(file, {}, {name: value})
    assert "what it says of itself does not fit" in refusal(Yardstick.load, file)


def forge(file, about: dict[str, str], tensors: dict[str, torch.Tensor]) -> None:
    """The file with other content and a right checksum: what another version, or a person, might write."""
    with safe_open(file, framework="pt") as read:
        kept = {name: read.get_tensor(name) for name in read.keys()}  # noqa: SIM118
        metadata = {k: v for k, v in read.metadata().items() if k not in ("format", "checksum")}
    save_tensors(file, kept | tensors, metadata | about, form=FORMAT)


def test_foreign_files_and_full_disks_are_refused(tmp_path):
    mean_difference(planted(topics=4)[0]).save(tmp_path / "d.safetensors")
    assert "got a safetensors file of format 'directions 1'" in refusal(Yardstick.load, tmp_path / "d.safetensors")
    assert "no such file" in refusal(Yardstick.load, tmp_path / "none")
    assert "got a folder" in refusal(Yardstick.load, tmp_path)
    with full_disk(after=100):
        assert "could not be written" in refusal(by_hand().save, tmp_path / "s.safetensors")
    assert not (tmp_path / "s.safetensors").exists()
