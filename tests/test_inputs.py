"""Which parts of run.json are inputs: each of them is seen when it changes, and nothing else is."""

import copy
import json
from dataclasses import asdict

import pytest
from fake_audit import fake_audit
from fake_sweep import fake_sweep

from creativity_lens.files import plain
from creativity_lens.inputs import described, differences, inputs_of
from creativity_lens.plan import Plan

RUN = {
    "format": 1, "status": "running", "created": "2025-01-01T12:00:00Z", "command": "clens sweep", "name": "one",
    "concept": "creativity", "sides": ["creative", "boring"], "control": "register", "backend": "transformers",
    "versions": {"torch": "2.13.0", "creativity-lens": "0.1.0"},
    "machine": {"platform": "Linux", "processor": "x86_64", "python": "3.12.1", "threads": 2, "device": "cpu"},
    "model": {
        "name": "gpt2", "id": "openai-community/gpt2", "revision": "607a30d", "config_hash": "c" * 64,
        "weights_hash": "a" * 64, "template": "none", "template_hash": "b" * 64, "n_layers": 12, "d_model": 768,
        "dtype": "float32", "quantize": None, "device": "cpu",
    },
    "reader": None,
    "pairs": {"file": "built in", "sha256": "d" * 64, "n": 72, "topics": 24, "splits": {"train": 48}},
    "prompts": {"file": "built in", "sha256": "e" * 64, "dev": 16, "test": 32},
    "options": plain(asdict(Plan(layers=[2, 4]))),
    "given": {"method": "imported", "source": {"model": "gpt2", "pairs_sha256": "f" * 64, "versions": {"torch": "1"}}},
    "seed": 0, "rows": {"dev": 12}, "timings": {"dev": 2.5}, "warnings": ["w"], "batches_halved": [[64, 32]],
    "prompts_text": {"p": "Write."}, "verdict": {"outcome": "steers"}, "choice": {"layer": 3}, "layers": [2, 4],
}  # fmt: skip
INPUTS = {
    "versions.torch", "versions.creativity-lens", "model.id", "model.revision", "model.weights_hash",
    "model.config_hash", "model.template", "model.template_hash", "model.dtype", "pairs.sha256", "prompts.sha256",
    "given.method", "given.source.model", "given.source.pairs_sha256", "concept", "sides", "control", "seed", "backend",
    "machine.threads", "machine.device",
} | {f"options.{name}" for name in asdict(Plan()) if name != "seed"}  # fmt: skip


def leaves(value: object, *at: str) -> list[tuple[str, ...]]:
    """Where the leaves of nested objects are."""
    if isinstance(value, dict):
        return [place for key, item in value.items() for place in leaves(item, *at, key)]
    return [at]


def changed(run: dict, at: tuple[str, ...], value: object) -> dict:
    found = copy.deepcopy(run)
    inner = found
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return found


def test_the_inputs_of_a_sweep_are_these_and_no_others():
    assert set(inputs_of(RUN)) == INPUTS


@pytest.mark.parametrize("at", leaves(RUN), ids=".".join)
def test_a_change_is_a_difference_exactly_where_it_is_an_input(at):
    """Every leaf of run.json is changed in turn: nothing that counts is missed, nothing else counts."""
    found = differences(RUN, changed(RUN, at, "another"))
    name = ".".join(at)
    seen = name in INPUTS | {"model.quantize", "reader"}  # these two are null here, and inputs where they are not
    seen &= name != "model.id"  # with the same weights, see below
    assert [each[0] for each in found] == ([name] if seen else [])


def test_values_are_those_of_json():
    in_memory = {**RUN, "sides": ("creative", "boring"), "options": asdict(Plan(layers=(2, 4)))}
    assert isinstance(in_memory["options"]["strengths"], tuple)
    read = json.loads(json.dumps(RUN))
    assert differences(in_memory, read) == []
    assert inputs_of(in_memory) == inputs_of(read)


def test_the_most_telling_comes_first():
    other = copy.deepcopy(RUN)
    other["machine"]["threads"] = 8
    other["seed"] = 1
    other["options"]["samples"] = 2
    other["prompts"]["sha256"] = "0"
    other["pairs"]["sha256"] = "0"
    other["model"] |= {"id": "gpt2-xl", "weights_hash": "0", "dtype": "bfloat16"}
    other["reader"] = {"id": "pocket-base"}
    other["versions"] = {"torch": "2.14.0", "creativity-lens": "0.2.0"}
    assert [name for name, _, _ in differences(RUN, other)] == [
        "versions.creativity-lens", "versions.torch", "model.id", "model.weights_hash", "model.dtype", "reader.id",
        "pairs.sha256", "prompts.sha256", "options.samples", "seed", "machine.threads",
    ]  # fmt: skip
    assert differences(RUN, other)[-2:] == [("seed", 0, 1), ("machine.threads", 2, 8)]


def test_differences_have_a_direction():
    other = {**RUN, "seed": 7, "reader": {"id": "pocket-base"}}
    assert differences(RUN, other) == [("reader.id", None, "pocket-base"), ("seed", 0, 7)]
    assert differences(other, RUN) == [("reader.id", "pocket-base", None), ("seed", 7, 0)]


def test_a_missing_value_equals_none():
    """Runs from before a field was recorded are not other runs."""
    older = copy.deepcopy(RUN)
    del older["model"]["quantize"], older["reader"]
    assert differences(older, RUN) == []


def test_a_moved_folder_is_the_same_model_and_another_model_is_not():
    moved = changed(RUN, ("model", "id"), "elsewhere/gpt2")
    assert differences(RUN, moved) == []
    tuned = changed(moved, ("model", "weights_hash"), "0" * 64)
    assert [name for name, _, _ in differences(RUN, tuned)] == ["model.id", "model.weights_hash"]
    unknown = [changed(run, ("model", "weights_hash"), None) for run in (RUN, moved)]
    assert [name for name, _, _ in differences(*unknown)] == ["model.id"], "without hashes the name is all there is"


def test_an_audits_inputs():
    meta = fake_audit().meta
    found = inputs_of(meta)
    stages = meta["stages"]
    assert {f"models.{stage}.id" for stage in stages} <= set(found)
    assert found["embedder.id"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert {"options.samples", "options.temperature", "options.conditions", "options.length", "seed"} <= set(found)
    assert not [name for name in found if name.split(".")[0] in ("attractors", "personas", "timings", "threshold")]
    other = copy.deepcopy(meta)
    other["created"], other["verdict"], other["threshold"] = "later", {}, 0.9
    assert differences(meta, other) == []
    other["prompts_text"] = {**meta["prompts_text"], "p00": "Another prompt."}
    other["models"][stages[-1]]["weights_hash"] = "0"
    other["samples"] = 99
    assert [name for name, _, _ in differences(meta, other)] == [
        f"models.{stages[-1]}.weights_hash", "prompts.sha256", "options.samples",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "run",
    [{}, {"model": "gpt2"}, {"model": []}, {"options": 3}, {"versions": [1]}, {"given": 1}, {"models": ["a"]},
     {"prompts_text": 4}, {"pairs": {"sha256": {"a": 1}}}, {"status": "running", "process": 4}],
)  # fmt: skip
def test_what_is_no_run_has_inputs_all_the_same(run):
    """A damaged run.json is compared like any other: whoever asks is told what differs, not where Python stumbled."""
    assert differences(run, run) == []
    assert all(name for name, _, _ in differences(run, fake_sweep()[2]))
    assert all(described(name) for name in inputs_of(run))


def test_inputs_in_words():
    said = {name: described(name) for name in inputs_of({**RUN, "reader": {"id": "x", "dtype": "y"}})}
    assert said["model.id"] == "the model"
    assert said["model.weights_hash"] == "the model's weights"
    assert said["reader.dtype"] == "the second reader's dtype"
    assert said["options.max_new_tokens"] == "--max-new-tokens"
    assert said["options.temperatures"] == "the temperatures", "there is no such option to give"
    assert said["control"] == "--positive-control"
    assert said["given.source.pairs_sha256"] == "--directions"
    assert said["versions.torch"] == "the version of torch"
    assert described("models.base.template_hash") == "the model of stage base's chat template"
    assert described("prompts.sha256") == "the prompts"
    assert [name for name in INPUTS if said[name] == name] == [], "no input is left with its dotted name"
    assert described("something else") == "something else"
