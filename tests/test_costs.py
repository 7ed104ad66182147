"""The cost model against counts made by hand, against the files that ship, and against what the modules really plan."""

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from prepared import concept_of

from creativity_lens import conditions, controls, generation, prefix, reading, scoring, stages
from creativity_lens.choice import Choice
from creativity_lens.concept import NUISANCES
from creativity_lens.costs import (
    H200,
    Dimensions,
    Machine,
    Reading,
    decode_seconds,
    devices_needed,
    dimensions_of,
    flops_per_token,
    pass_seconds,
    predict,
    row_bytes,
    rows_that_fit,
    sweep_stages,
    token_bytes,
    weight_bytes,
)
from creativity_lens.costs import dimensions as costs_dimensions
from creativity_lens.costs import sweeps as costs_sweeps
from creativity_lens.errors import InputError
from creativity_lens.files import data_folder
from creativity_lens.model_hub import find_model
from creativity_lens.models import Model
from creativity_lens.plan import Plan
from creativity_lens.prompts import ADVERSARIAL, load_control, load_pairs, load_prompts, load_shipped, split_pairs
from creativity_lens.steering import Steering

LLAMA_2_7B = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000, "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}  # fmt: skip
LLAMA_3_70B = {
    "model_type": "llama", "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80,
    "num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 8192,
}  # fmt: skip
GPT_2 = {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50257, "n_positions": 1024}
PYTHIA_70M = {
    "model_type": "gpt_neox", "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 6,
    "num_attention_heads": 8, "vocab_size": 50304, "max_position_embeddings": 2048, "tie_word_embeddings": False,
}  # fmt: skip
QWEN_2_HALF_B = {
    "model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
    "num_attention_heads": 14, "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
}  # fmt: skip
SMALL = Dimensions(2, 16, 2, 1, 8, 32, 100, 64, small=80)
BOX = Machine(
    "box",
    memory=1e9,
    bandwidth=1e9,
    flops=1e9,
    of_bandwidth=1.0,
    of_flops=1.0,
    lost_tokens=0,
    layer_host=0,
    pass_host=0,
)


# -- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (LLAMA_2_7B, 6_738_415_616),  # as published
        (LLAMA_3_70B, 70_553_706_496),
        (GPT_2, 124_439_808),
        (PYTHIA_70M, 70_426_624),
        (QWEN_2_HALF_B, 494_032_768),
    ],
)
def test_parameters_are_the_published_ones(config, parameters):
    assert dimensions_of(config).parameters == parameters


@pytest.mark.parametrize("name", ["pocket-chat", "pocket-base"])
def test_parameters_of_what_ships_are_those_of_its_files(name):
    files = find_model(name).files
    sizes = dimensions_of(files.config)
    assert sizes.parameters == sum(files.stored.values())
    assert (sizes.layers, sizes.width, sizes.head_dim, sizes.context, sizes.tied) == (8, 192, 64, 512, True)


def test_bytes_of_llama_2_7b_by_hand():
    sizes = dimensions_of(LLAMA_2_7B)
    assert sizes.matrices == 32 * (4 * 4096**2 + 3 * 4096 * 11008) == 6_476_005_376
    assert weight_bytes(sizes, "bfloat16") == 2 * 6_738_415_616
    assert weight_bytes(sizes, "float32") == 4 * 6_738_415_616
    # keys and values, 32 layers, 32 heads of 128 numbers, two bytes each
    assert token_bytes(sizes, "bfloat16") == 2 * 32 * 32 * 128 * 2 == 524_288
    # four bits a number, a scale of a byte for 64 of them, and four bytes for 256 scales; the rest in 16 bits
    packed = 6_476_005_376 / 2 + 6_476_005_376 / 64 + 4 * 6_476_005_376 / 64 / 256
    rest = 2 * (2 * 32000 * 4096 + 65 * 4096)
    assert weight_bytes(sizes, "bfloat16", quantize="4bit") == math.ceil(packed) + rest == 3_865_591_808


def test_queries_that_share_keys_take_an_eighth_of_the_cache():
    sizes = dimensions_of(LLAMA_3_70B)
    assert token_bytes(sizes, "bfloat16") == 2 * 80 * 8 * 128 * 2 == 327_680
    shared = replace(sizes, kv_heads=64)
    assert token_bytes(shared, "bfloat16") == 8 * token_bytes(sizes, "bfloat16")


def test_other_names_and_nested_configs_are_read():
    sizes = dimensions_of(GPT_2)
    assert (sizes.layers, sizes.heads, sizes.kv_heads, sizes.head_dim, sizes.inner) == (12, 12, 12, 64, 3072)
    assert (sizes.gated, sizes.tied, sizes.positions) == (False, True, 1024)
    nested = {"model_type": "seeing", "text_config": LLAMA_2_7B, "hidden_size": 7}
    assert dimensions_of(nested) == dimensions_of(LLAMA_2_7B)
    assert dimensions_of(LLAMA_2_7B | {"head_dim": 64}).head_dim == 64
    assert dimensions_of(LLAMA_2_7B | {"num_local_experts": 8}).experts == 8


def test_experts_are_not_packed():
    sizes = dimensions_of(LLAMA_2_7B | {"num_local_experts": 8})
    assert weight_bytes(sizes, "bfloat16", quantize="4bit") == weight_bytes(sizes, "bfloat16")


@pytest.mark.parametrize("gone", ["num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size"])
def test_a_config_without_a_size_is_refused(gone):
    config = {key: value for key, value in LLAMA_2_7B.items() if key != gone}
    with pytest.raises(InputError, match=rf"config.json: expected {gone}, a whole number above 0, got None"):
        dimensions_of(config)
    with pytest.raises(InputError, match=gone):
        dimensions_of(config | {gone: 0})
    with pytest.raises(InputError, match=gone):
        dimensions_of(config | {gone: True})


def test_unknown_number_types_are_refused():
    with pytest.raises(InputError, match="dtype: expected one of float32, bfloat16, float16; got 'int8'"):
        weight_bytes(SMALL, "int8")
    with pytest.raises(InputError, match="quantize: expected one of 4bit; got '8bit'"):
        weight_bytes(SMALL, "bfloat16", quantize="8bit")


def test_arithmetic_by_hand():
    attention = 2 * 16 * 16 + 2 * 16 * 8
    assert SMALL.matrices == 2 * (attention + 3 * 16 * 32)
    assert flops_per_token(SMALL, 0, logits=False) == 2 * SMALL.matrices
    assert flops_per_token(SMALL, 0) == 2 * SMALL.matrices + 2 * 100 * 16
    # looking back: queries with keys and pattern with values, 2 layers x 2 heads x 8 numbers x 10 positions, each twice
    assert flops_per_token(SMALL, 10) - flops_per_token(SMALL, 0) == 2 * 2 * (2 * 2 * 8 * 10)


# -- what the modules plan ---------------------------------------------------------------------------------------------


def test_caches_are_as_large_as_said(chat: Model):
    """The true cache of a prompt, tensor by tensor."""
    sizes = dimensions_of(find_model("pocket-chat").files.config)
    made = prefix.prefill(chat, [tuple(range(5, 25))])
    held = sum(tensor.nbytes for tensor in (*made.keys, *made.values))
    assert held == 20 * token_bytes(sizes, "float32")


def test_rows_are_planned_as_here(chat: Model, monkeypatch):
    sizes = dimensions_of(json.loads((data_folder() / "pocket" / "chat" / "config.json").read_text()))
    for length in (1, 94, 500):
        assert row_bytes(sizes, length, "float32") == prefix.bytes_per_row(chat, length)
        for free in (10**6, 10**8, 10**11):
            monkeypatch.setattr(generation, "free_memory", lambda place, free=free: free)
            fit = rows_that_fit(sizes, length, "float32", free, on_gpu=False)
            assert fit == generation.batch_size(chat, length)
            gpu = replace(chat, device=torch.device("cuda"))
            assert rows_that_fit(sizes, length, "float32", free) == generation.batch_size(gpu, length)


def test_the_numbers_taken_from_other_modules_are_theirs():
    assert costs_dimensions.CPU_CACHE_BYTES == generation.CPU_CACHE_BYTES
    assert costs_dimensions.CPU_ROWS == generation.CPU_ROWS
    assert costs_sweeps.FEW_PROMPTS == stages.BAND_PROMPTS
    assert (costs_sweeps.MATCH_PAIRS, costs_sweeps.MATCH_TOKENS) == (controls.MATCH_PAIRS, controls.MATCH_TOKENS)
    assert (costs_sweeps.LOGIT_ROOM, costs_sweeps.CPU_LOGIT_ROOM) == (scoring.GPU_LOGIT_BYTES, scoring.LOGIT_BYTES)
    assert (costs_sweeps.PARTS, costs_sweeps.PART_ROWS) == (conditions.PARTS, generation.PART_ROWS)
    assert costs_sweeps.READ_TOKENS == reading.GPU_BATCH_TOKENS
    assert costs_sweeps.CPU_READ_TOKENS == reading.CPU_BATCH_TOKENS


PLANS = [
    Plan(),
    Plan(samples=2, strengths=(0.1,), band=0, temperatures=(), controls=20),
    Plan(strengths=(0.1, 0.2), samples=6, methods=("mean_difference", "first_component")),
]


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("prompts", [32, 8])
@pytest.mark.parametrize("control", [True, False])
def test_rows_of_a_sweep_are_those_of_its_stages(chat: Model, plan, prompts, control):
    concept, layers = concept_of(chat, "2,5", "register"), (2, 5)
    per_layer = {layer: stages.along(concept, "mean_difference", layer, 0.1) for layer in layers}
    choice = Choice(per_layer[layers[0]], per_layer)

    def flips(count: int) -> list[Steering]:
        return [Steering(layers[0], torch.ones(192), 0.1, "flip") for _ in range(count)]

    def rows(conditions) -> Counter:
        found: Counter = Counter()
        for condition in conditions:
            found[condition.name] += len(condition.seeds) * len(range(prompts)[: condition.n_prompts])
        return found

    dev = [stages.unsteered(plan, plan.samples), *stages.dev_conditions(concept, plan)]
    test = [stages.unsteered(plan, plan.baseline)]
    test += stages.test_conditions(
        concept, choice, plan, flips(plan.controls), flips(plan.band * len(layers)), urge="", small=False
    )
    if control:
        dev += stages.dev_conditions(concept, plan, small=True)
        test += stages.test_conditions(concept, choice, plan, flips(19), [], urge="", small=True)
    left_out = sum(stages._is_same(concept, "first_component", layer) for layer in layers) * len(plan.methods[1:])
    read = Reading(dev_prompts=prompts, test_prompts=prompts)
    stages_ = sweep_stages(replace(plan, layers=layers), 8, reading=read, control=control)
    found = {stage.name: stage.rows for stage in stages_}
    twice = left_out * len(plan.strengths)  # cells that are counted, though they would all but repeat others
    found["screening"] -= 2 * twice * plan.screen_pairs
    for name in ("dev: writing", "dev: surprisal", "dev: reading"):
        found[name] -= twice * prompts * plan.dev_samples
    assert found["dev: writing"] == rows(dev).total()
    assert found["test: writing"] == rows(test).total()
    unread = rows(test)["flip"] + rows(test)["band"]
    assert found["dev: surprisal"] == rows(dev).total()
    assert found["test: surprisal"] == rows(test).total() - unread
    assert found["dev: reading"] == rows(dev).total() + (rows(dev)["unsteered"] if control else 0)
    edits = len(stages.edit_grid(concept, plan))
    assert found["screening"] == 2 * edits * plan.screen_pairs, "of pairs that are many enough"


def test_all_layers_are_swept_unless_some_are_listed():
    """The default plan on the built-in model: 8 layers x 4 strengths x 32 prompts, and so on, as in test_stages."""
    written = {stage.name: stage.rows for stage in sweep_stages(Plan(), 8) if stage.kind == "written"}
    dev = 32 * 4 + 8 * 4 * 32 + 8 * 2 * 12
    main = 32 * (8 + 4 + 4 + 4 + 2) + 8 * 32 * 2 + 5 * 32 * 2 + 39 * 32 + 8 * 19 * 12
    assert written == {"dev: writing": dev, "test: writing": main + 32 * 4 + 8 * 12 + 19 * 12}
    assert sweep_stages(Plan(layers="2,5"), 8) == sweep_stages(Plan(layers=(2, 5)), 8)


def test_a_sweep_that_only_screens_writes_nothing():
    kinds = {stage.kind for stage in sweep_stages(Plan(screen_only=True), 8)}
    assert kinds == {"read", "scored"}


def test_what_is_read_is_as_long_as_is_said(chat: Model):
    pairs, (dev, test), said = load_pairs(), load_prompts(), Reading()
    assert (said.pairs, said.dev_prompts, said.test_prompts) == (len(pairs), len(dev), len(test))
    named = ["register", *NUISANCES]
    assert {len(load_control(name)) for name in named} == {said.control_pairs}
    assert len(load_shipped(ADVERSARIAL)) == said.adversarial_pairs
    texts = [text for pair in pairs for text in (pair.creative_response, pair.boring_response)]
    assert np.mean([len(ids) for ids in chat.encode_texts(texts)]) == pytest.approx(said.response, rel=0.02)
    asked = [len(chat.encode_prompt(prompt.text).ids) for prompt in (*dev, *test)]
    assert np.mean(asked) == pytest.approx(said.prompt, rel=0.02)
    assert max(asked) == said.longest_prompt
    train, held, rest = split_pairs(pairs, seed=0)
    assert [len(part) / len(pairs) for part in (train, held, rest)] == pytest.approx([0.6, 0.2, 0.2], abs=0.02)


# -- time --------------------------------------------------------------------------------------------------------------


def test_a_pass_is_bound_by_memory_by_arithmetic_or_by_its_host():
    moved = weight_bytes(SMALL, "bfloat16") + 100 * 2  # weights, and one token's logits
    one = pass_seconds(SMALL, BOX, 1, looked_back=0)
    assert one == max(moved, flops_per_token(SMALL, 0)) / 1e9
    slow_memory = replace(BOX, bandwidth=1e6)
    assert pass_seconds(SMALL, slow_memory, 1, looked_back=0) == moved / 1e6
    cached = pass_seconds(SMALL, slow_memory, 1, looked_back=0, cached=50)
    assert cached == pytest.approx((moved + 50 * 2 * 2 * 1 * 8 * 2) / 1e6)
    many = pass_seconds(SMALL, BOX, 1000, looked_back=7)
    assert many == pytest.approx(1000 * flops_per_token(SMALL, 7) / 1e9)
    assert pass_seconds(SMALL, replace(BOX, of_flops=0.5), 1000, looked_back=7) == pytest.approx(2 * many)
    host = replace(BOX, layer_host=0.25, pass_host=1.0)
    assert pass_seconds(SMALL, host, 1000, looked_back=7) == 1.5, "the device is done sooner"
    assert pass_seconds(SMALL, replace(host, overlaps=False), 1000, looked_back=7) == pytest.approx(1.5 + many)
    assert pass_seconds(SMALL, replace(host, noise=10), 1, looked_back=0, noise=30) == 4.5
    assert pass_seconds(SMALL, replace(BOX, flops=1e6), 10, looked_back=0, logits=0) == pytest.approx(
        10 * flops_per_token(SMALL, 0, logits=False) / 1e6
    )


def test_narrow_products_lose_arithmetic_but_vectors_do_not():
    narrow = replace(BOX, lost_tokens=60)
    assert pass_seconds(SMALL, narrow, 1, looked_back=0) == pass_seconds(SMALL, BOX, 1, looked_back=0)
    lost = 60 * (1 - 1 / 100) * flops_per_token(SMALL, 0, logits=False) / 1e9
    more = pass_seconds(SMALL, narrow, 100, looked_back=0) - pass_seconds(SMALL, BOX, 100, looked_back=0)
    assert more == pytest.approx(lost)


def test_packed_weights_are_unpacked_for_every_pass():
    slow = replace(BOX, bandwidth=1.0, flops=1e30)
    plain = pass_seconds(SMALL, slow, 1, looked_back=0, logits=0)
    packed = pass_seconds(SMALL, slow, 1, looked_back=0, logits=0, quantize="4bit")
    assert packed - plain == weight_bytes(SMALL, "bfloat16", quantize="4bit") + 2 * SMALL.matrices
    busy = {"looked_back": 0, "logits": 0}
    bound = replace(BOX, bandwidth=1e6)
    assert pass_seconds(SMALL, bound, 10**5, quantize="4bit", **busy) - pass_seconds(SMALL, bound, 10**5, **busy) > 0


def test_decoding_by_hand():
    host = replace(BOX, pass_host=1.0, flops=1e30, bandwidth=1e30, noise=100.0)
    # one pass for the prompt, then nine steps, each with 3 lucks x 100 numbers of noise at 100 a second
    assert decode_seconds(SMALL, host, rows=5, prompt=7, new=10, lucks=3) == 1 + 9 * (1 + 3)
    memory_bound = replace(BOX, bandwidth=1.0, flops=1e30)
    first = decode_seconds(SMALL, memory_bound, rows=1, prompt=20, new=1, lucks=1)
    assert first == weight_bytes(SMALL, "bfloat16") + 100 * 2
    step = decode_seconds(SMALL, memory_bound, rows=4, prompt=20, new=2, lucks=1) - first
    assert step == weight_bytes(SMALL, "bfloat16") + 4 * 21 * token_bytes(SMALL, "bfloat16") + 4 * 100 * 2


def test_how_many_devices_hold_a_model():
    llama, large = dimensions_of(LLAMA_2_7B), dimensions_of(LLAMA_3_70B)
    assert devices_needed(llama, H200, "bfloat16") == 1
    assert devices_needed(large, H200, "bfloat16") == 2
    assert devices_needed(large, H200, "float32") == 3
    assert devices_needed(large, H200, "bfloat16", quantize="4bit") == 1
    with pytest.raises(InputError, match="H200: expected 2 devices to hold the model, got 1; add some"):
        predict(large, H200)
    assert predict(large, H200.of(8)).workers == 4


def test_more_workers_help_until_there_are_as_many_as_batches():
    llama = dimensions_of(LLAMA_2_7B)
    one, eight, many, more = (predict(llama, H200.of(count)) for count in (1, 8, 800, 8000))
    assert one.load == eight.load == many.load
    assert one.seconds > eight.seconds > many.seconds == more.seconds
    assert one.of("written") / eight.of("written") < 8, "stages are serial, and their batches do not divide evenly"
    assert more.device_hours == pytest.approx(10 * many.device_hours)
    batches = max(count for _, count, _ in more.stages)
    assert batches < 800, "the control: the machine is larger than any stage"
    split = predict(llama, H200.of(800), Plan(batch_rows=64))
    assert split.of("written") < many.of("written"), "smaller batches spread over more workers"
    assert split.batch_rows == 64


def test_a_stage_is_written_in_some_batches_even_where_one_would_hold_it():
    llama = dimensions_of(LLAMA_2_7B)

    def batches(plan: Plan, **reading: int) -> list[int]:
        found = predict(llama, H200, plan, reading=Reading(**reading), control=False)
        return [count for stage, count, _ in found.stages if stage.kind == "written"]

    assert batches(Plan(layers="4")) == [2, 8], "256 rows in batches of 128, and 8 of as many rows as there are"
    assert batches(Plan(layers="4", batch_rows=1000)) == [1, 3], "the user's size is kept"
    assert batches(Plan(layers="4", samples=1), dev_prompts=8, test_prompts=8) == [1, 4]


def test_a_larger_plan_takes_longer_and_texts_are_counted_once():
    llama = dimensions_of(LLAMA_2_7B)
    small = predict(llama, H200, Plan(samples=2), control=False)
    large = predict(llama, H200, Plan(samples=8), control=False)
    assert large.seconds > small.seconds
    written = [stage for stage, *_ in small.stages if stage.kind == "written"]
    assert [stage.tokens for stage in written] == [48 * stage.rows for stage in written]
    assert small.seconds == pytest.approx(small.load + sum(map(small.of, ("read", "scored", "written"))))
