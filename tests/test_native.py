"""The blocks' own code: as transformers runs it, out of the way when a component is hooked, put back always."""

import pytest
import torch
from tiny_models import BLOCKS, block_outputs, padded_batch, plain_model, save_model

from creativity_lens.models import load_model


@pytest.fixture(scope="module", params=BLOCKS)
def pair(request, tmp_path_factory):
    """A model, and plain transformers' own."""
    folder = save_model(tmp_path_factory.mktemp("models") / request.param, request.param)
    return load_model(folder), plain_model(folder)


@pytest.fixture
def model(pair):
    return pair[0]


def state(model):
    """Which modules stand where, and which attention is set."""
    lm = model.bridge.original_model
    return [(name, id(module)) for name, module in lm.named_modules()], lm.config._attn_implementation


def test_blocks_are_transformers_own_to_the_bit(pair):
    model, plain = pair
    assert plain.config._attn_implementation == "sdpa"
    ids, mask, positions = padded_batch(True)
    blocks = plain.get_submodule(BLOCKS[plain.config.model_type.removeprefix("gpt_")])
    expected, logits = block_outputs(plain, blocks, ids, attention_mask=mask, position_ids=positions)
    seen = {}
    model.residuals(ids, {2: lambda residual: seen.update(native=residual)}, mask=mask, positions=positions)
    point = ("blocks.0.attn.hook_out", lambda value, hook: None)
    with model.bridge.hooks(fwd_hooks=[point]):  # the control: the bridge itself computes otherwise
        model.residuals(ids, {2: lambda residual: seen.update(bridged=residual)}, mask=mask, positions=positions)
    real = mask.bool()
    assert torch.equal(seen["native"][real], expected[2][real])
    assert not torch.equal(seen["bridged"][real], expected[2][real])
    torch.testing.assert_close(seen["bridged"][real], expected[2][real], atol=1e-4, rtol=1e-4)
    found = model.forward(ids, mask=mask, positions=positions)
    torch.testing.assert_close(found[real], logits[real], atol=1e-5, rtol=1e-5)


def test_a_hook_inside_a_block_is_called_and_acts(model):
    ids = padded_batch(True)[0]
    clean, seen = model.forward(ids), []

    def watch(value, hook):
        seen.append(value.shape)
        return torch.zeros_like(value)

    with model.bridge.hooks(fwd_hooks=[("blocks.1.attn.hook_out", watch)]):
        hooked = model.forward(ids)
        model.residuals(ids, {2: lambda residual: None})
    assert seen == [(3, 9, 32)] * 2
    assert not torch.allclose(hooked, clean, atol=1e-3)
    assert torch.equal(model.forward(ids), clean)


def test_torchs_own_hooks_on_a_component_are_called(model):
    ids, called = padded_batch(True)[0], []
    handle = model.bridge.blocks[0].attn.register_forward_hook(lambda *call: called.append(call))
    model.forward(ids)
    handle.remove()
    model.forward(ids)
    assert len(called) == 1


def test_everything_is_back_in_its_place(model):
    before, ids = state(model), padded_batch(True)[0]
    with model._native.run():
        assert state(model) != before
        assert state(model)[1] == "sdpa"
    assert state(model) == before
    model.forward(ids)
    model.residuals(ids, {0: lambda residual: None})  # left in the middle
    assert state(model) == before

    def fail(residual):
        raise KeyError("in a hook")

    with pytest.raises(KeyError):
        model.residuals(ids, {1: fail})
    assert state(model) == before


def test_the_bridge_still_caches_what_is_inside_a_block(model):
    model.forward(padded_batch(True)[0])
    _, cache = model.bridge.run_with_cache(padded_batch(True)[0])
    assert cache["blocks.0.attn.hook_pattern"].shape == (3, 4, 9, 9)
