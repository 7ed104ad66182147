"""Activations equal what TransformerLens and transformers give by hand, whatever the batch and the order."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pytest
import torch
from collecting import CUT, collect, ran, some_pairs
from tiny_models import BLOCKS, plain_model, save_model
from torch import Tensor, nn

from creativity_lens.activations import POSITIONS, passages_of, source_dict
from creativity_lens.files import data_folder
from creativity_lens.models import Model, load_model
from creativity_lens.prompts import ContrastivePair, fingerprint

CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(scope="module")
def pairs() -> list[ContrastivePair]:
    return some_pairs()


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory) -> Model:
    return load_model(save_model(tmp_path_factory.mktemp("models") / "gpt2", "gpt2"))


@pytest.fixture(params=["chat", "base", "gpt2"])
def model(request) -> Model:
    return request.getfixturevalue(request.param)


def by_rule(model: Model, pair: ContrastivePair, position: str, side: str) -> tuple[list[int], slice]:
    """Token ids and the measured stretch, from the rule's words and the tokenizer alone."""
    tokens = partial(model.tokenizer, add_special_tokens=False)
    instruction = pair.neutral if position == "response" else getattr(pair, side)
    if model.template == "chat":
        message = [{"role": "user", "content": instruction}]
        whole = model.tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
        prompt, front, back = tokens(whole).input_ids, 2, 2  # <|endoftext|><|user|> ... newline <|assistant|>
    else:
        prompt, front, back = [0, *tokens(instruction + "\n").input_ids], 1, 1
    words = model.tokenizer.decode(prompt[front : len(prompt) - back])
    assert words == instruction, "the stretch is the instruction's own words"
    response = tokens(getattr(pair, f"{side}_response")).input_ids[:CUT]
    return {
        "response": (prompt + response, slice(len(prompt), None)),
        "instruction": (prompt, slice(front, len(prompt) - back)),
        "last": (prompt, slice(len(prompt) - back - 1, len(prompt) - back)),
        "text": ([0, *response], slice(1, None)),
    }[position]


@cache
def plain_of(model: Model) -> tuple[nn.Module, list[nn.Module]]:
    """The same weights in transformers' own class, and its blocks."""
    built_in = {"pocket-chat": "chat", "pocket-base": "base"}
    folder = data_folder() / "pocket" / built_in[model.id] if model.id in built_in else Path(model.id)
    plain = plain_model(folder)
    return plain, list(plain.get_submodule(BLOCKS["llama" if model.id in built_in else "gpt2"]))


# -- what is measured ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", POSITIONS)
def test_equal_to_transformers_own_blocks(model: Model, pairs, position):
    """Each text by itself, without padding, through transformers' own class and plain PyTorch hooks."""
    seen: list[Tensor] = []

    def see(_block, _args, out):
        seen.append((out if isinstance(out, Tensor) else out[0])[0])

    plain, blocks = plain_of(model)
    handles = [block.register_forward_hook(see) for block in blocks]
    found = collect(model, pairs, position=position)
    norms: dict[tuple, Tensor] = {}
    for side in ("creative", "boring"):
        for index, pair in enumerate(pairs):
            ids, own = by_rule(model, pair, position, side)
            seen.clear()
            with torch.no_grad():
                plain(input_ids=torch.tensor([ids]))
            own_stream = torch.stack(seen)[:, own]  # layer pos d_model
            assert own_stream.shape[0] == model.n_layers
            torch.testing.assert_close(getattr(found, side)[:, index], own_stream.mean(1), **CLOSE)
            norms[(*ids, own.start)] = own_stream.norm(dim=-1).median(-1).values
    for handle in handles:
        handle.remove()
    torch.testing.assert_close(found.norms, torch.stack(list(_in_order(norms, model, pairs, position)), 1), **CLOSE)
    torch.testing.assert_close(found.residual_norms, found.norms.median(-1).values, rtol=0, atol=0)
    assert found.layers == tuple(range(model.n_layers))


def _in_order(norms, model, pairs, position) -> Iterator[Tensor]:
    """Norms of distinct texts in order of their first appearance, all creative ones before the boring."""
    taken = set()
    for side in ("creative", "boring"):
        for pair in pairs:
            ids, own = by_rule(model, pair, position, side)
            if (*ids, own.start) not in taken:
                taken.add((*ids, own.start))
                yield norms[(*ids, own.start)]


@pytest.mark.parametrize("padding", ["left", "right"])
def test_equal_to_run_with_cache_by_hand(model: Model, pairs, padding):
    """All texts as one padded batch through TransformerLens; padded on either side, and masked."""
    rows = [by_rule(model, pair, "response", side) for side in ("creative", "boring") for pair in pairs]
    width = max(len(ids) for ids, _ in rows)
    batch, mask = torch.full((len(rows), width), model.pad_id), torch.zeros(len(rows), width, dtype=torch.long)
    starts = [width - len(ids) if padding == "left" else 0 for ids, _ in rows]
    for row, ((ids, _), start) in enumerate(zip(rows, starts, strict=True)):
        batch[row, start : start + len(ids)] = torch.tensor(ids)
        mask[row, start : start + len(ids)] = 1
    assert not mask.all(), "something is padded"
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        _, cache = model.bridge.run_with_cache(batch, attention_mask=mask, position_ids=positions)
    found = collect(model, pairs)
    for layer in range(model.n_layers):
        stream = cache[f"blocks.{layer}.hook_resid_post"]
        means = torch.stack([
            stream[row, start + own.start : start + len(ids)].mean(0)
            for row, ((ids, own), start) in enumerate(zip(rows, starts, strict=True))
        ])  # fmt: skip
        torch.testing.assert_close(torch.cat([found.creative[layer], found.boring[layer]]), means, **CLOSE)


@pytest.mark.parametrize("position", POSITIONS)
def test_position_0_is_left_out_even_where_a_template_begins_with_the_message(chat: Model, pairs, position):
    tokenizer = copy.deepcopy(chat.tokenizer)
    tokenizer.chat_template = "{{ messages[0]['content'] }}<|assistant|>"
    bare = replace(chat, tokenizer=tokenizer)
    assert bare.encode_prompt(pairs[0].creative).own[0], "the control: the first token is the message's"
    for pair in pairs:
        for passage in passages_of(bare, pair, position, CUT):
            assert not passage.own[0]
            assert any(passage.own)


def test_positions_differ(chat: Model, pairs):
    """A control for the comparisons above: the rules really measure different things."""
    found = [collect(chat, pairs[:1], position=position).creative for position in POSITIONS]
    for index, one in enumerate(found):
        for other in found[:index]:
            assert (one - other).norm() > 0.1 * one.norm()


# -- how it is run -------------------------------------------------------------------------------------------------


def test_order_and_batches_do_not_matter(model: Model, pairs):
    whole = collect(model, pairs)
    back = list(reversed(pairs))
    for batch_tokens in (1, 200):
        other = collect(model, back, batch_tokens=batch_tokens)
        torch.testing.assert_close(other.creative.flip(1), whole.creative, **CLOSE)
        torch.testing.assert_close(other.boring.flip(1), whole.boring, **CLOSE)
        torch.testing.assert_close(other.residual_norms, whole.residual_norms, **CLOSE)
        assert other.topics == tuple(reversed(whole.topics))


def test_some_layers_are_those_of_all(chat: Model, pairs):
    whole, some = collect(chat, pairs), collect(chat, pairs, layers=[6, 1, 3, 1])
    assert some.layers == (1, 3, 6)
    assert some.n_layers == chat.n_layers
    torch.testing.assert_close(some.creative, whole.creative[[1, 3, 6]], **CLOSE)
    torch.testing.assert_close(some.norms, whole.norms[[1, 3, 6]], **CLOSE)


def test_each_distinct_text_runs_once(chat: Model, pairs):
    twice = [*pairs, *pairs]
    with ran(chat) as count:
        found = collect(chat, twice)
    texts = {(pair.neutral, text) for pair in pairs for text in (pair.creative_response, pair.boring_response)}
    assert count.rows == len(texts) == found.norms.shape[1] < 2 * len(pairs)
    assert torch.equal(found.creative[:, : len(pairs)], found.creative[:, len(pairs) :])
    assert torch.equal(found.creative[:, 3], found.boring[:, 3])
    with ran(chat) as count:
        collect(chat, twice, position="instruction")
    texts = {text for pair in pairs for text in (pair.creative, pair.boring)}
    assert count.rows == len(texts) < 2 * len(pairs)


@pytest.mark.parametrize("last", [0, 3, 7])
def test_no_head_and_no_block_after_the_last_wanted_one_runs(chat: Model, pairs, last):
    with ran(chat) as count:
        collect(chat, pairs, layers=[0, last])
    assert count.blocks == set(range(last + 1))
    assert count.heads == 0
    with ran(chat) as count:
        chat.forward(torch.tensor([[0, 5]]))
    assert (count.heads, count.blocks, count.rows) == (1, set(range(8)), 1), (
        "the control: the hooks do see a whole pass"
    )


def test_the_model_is_as_before(chat: Model, pairs):
    ids = torch.tensor([[0, 5, 6]])
    before = chat.forward(ids)
    collect(chat, pairs)
    assert not any(point.fwd_hooks for point in chat.bridge.hook_dict.values())
    assert torch.equal(chat.forward(ids), before)


def test_source_says_where_it_comes_from(chat: Model, pairs):
    found = collect(chat, pairs, position="text")
    source = found.source
    assert (source.model, source.revision, source.dtype, source.position) == ("pocket-chat", None, "float32", "text")
    assert (source.weights_hash, source.config_hash) == (chat.weights_hash, chat.config_hash)
    assert (source.pairs_sha256, source.n_pairs, source.max_tokens) == (fingerprint(pairs), len(pairs), CUT)
    assert (
        dict(source.versions)["torch"] == torch.__version__.partition("+")[0] or "+" in dict(source.versions)["torch"]
    )
    assert source_dict(source)["versions"] == dict(source.versions)
    assert repr(found) == "Activations(4 pairs, layers 0-7, pocket-chat)"
