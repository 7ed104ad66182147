import shutil

import pytest
import torch
from tiny_models import (
    BLOCKS,
    CHATML,
    block_outputs,
    padded_batch,
    plain_model,
    save_model,
    save_other_model,
    sentencepiece_tokenizer,
)

from creativity_lens.errors import InputError
from creativity_lens.models import load_model

KINDS = list(BLOCKS)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Models this small are fifty times as slow on two threads when the cores are shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {kind: save_model(root / kind, kind, template=CHATML) for kind in KINDS}


@pytest.fixture(scope="session")
def loaded(folders):
    return {kind: load_model(folders[kind]) for kind in KINDS}


@pytest.fixture(params=KINDS)
def pair(request, folders, loaded):
    """A model, plain transformers' own, and its blocks."""
    plain = plain_model(folders[request.param])
    return loaded[request.param], plain, plain.get_submodule(BLOCKS[request.param])


@pytest.fixture
def model(loaded):
    return loaded["llama"]


def read(model, ids, layers, **options):
    seen = {}
    model.residuals(
        ids, {layer: lambda residual, layer=layer: seen.__setitem__(layer, residual) for layer in layers}, **options
    )
    return seen


@pytest.mark.parametrize("left", [True, False], ids=["left", "right"])
def test_residuals_and_logits_are_transformers_own(pair, left):
    model, plain, blocks = pair
    ids, mask, positions = padded_batch(left)
    expected, logits = block_outputs(plain, blocks, ids, attention_mask=mask, position_ids=positions)
    found = read(model, ids, range(3), mask=mask, positions=positions)
    real = mask.bool()
    for layer in range(3):
        torch.testing.assert_close(found[layer][real], expected[layer][real], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        model.forward(ids, mask=mask, positions=positions)[real], logits[real], atol=1e-4, rtol=1e-4
    )
    assert not torch.allclose(expected[0][real], expected[1][real], atol=0.1)  # layers differ, or this shows nothing


MORE = {
    "Qwen3Config": {"num_key_value_heads": 2, "head_dim": 8},
    "Gemma2Config": {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 4},
    "Gemma3TextConfig": {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 4},
    "MistralConfig": {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 4},
    "Olmo2Config": {"num_key_value_heads": 2},
    "Olmo3Config": {"num_key_value_heads": 2},
    "Phi3Config": {"num_key_value_heads": 2},
    "SmolLM3Config": {"num_key_value_heads": 2},
    "MixtralConfig": {"num_key_value_heads": 2, "num_local_experts": 4},
    "BloomConfig": {},  # knows no positions
}


@pytest.mark.slow
@pytest.mark.parametrize("config", MORE)
def test_other_architectures_are_read_alike(tmp_path, config):
    plain, blocks = save_other_model(tmp_path, config, **MORE[config])
    model = load_model(tmp_path)
    ids, mask, positions = padded_batch(True)
    options = {"mask": mask} if config == "BloomConfig" else {"mask": mask, "positions": positions}
    names = {"mask": "attention_mask", "positions": "position_ids"}
    expected, logits = block_outputs(plain, blocks, ids, **{names[key]: value for key, value in options.items()})
    found, real = read(model, ids, range(model.n_layers), **options), mask.bool()
    for layer in range(model.n_layers):
        torch.testing.assert_close(found[layer][real], expected[layer][real], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(model.forward(ids, **options)[real], logits[real], atol=1e-4, rtol=1e-4)
    assert model.bridge.original_model(input_ids=ids).attentions in (None, ())


def test_a_model_without_attention_is_refused(tmp_path):
    save_other_model(tmp_path, "MambaConfig", state_size=4)
    with pytest.raises(InputError, match="expected a transformer with attention in blocks, got a MambaForCausalLM"):
        load_model(tmp_path)


def test_defaults_are_a_whole_batch(pair):
    model, plain, blocks = pair
    ids = padded_batch(True)[0]
    expected, logits = block_outputs(plain, blocks, ids)
    torch.testing.assert_close(read(model, ids, [1])[1], expected[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.forward(ids), logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(model.forward(ids, keep=2), logits[:, -2:], atol=1e-4, rtol=1e-4)
    assert (model.n_layers, model.d_model, model.vocabulary, model.context) == (3, 32, 4096, 128)


def test_reading_stops_after_the_last_wanted_block(pair):
    model = pair[0]
    ids = padded_batch(True)[0]
    ran = []
    watch = {layer: lambda residual, layer=layer: ran.append(layer) for layer in range(3)}
    head = model.bridge.original_model.get_output_embeddings().register_forward_hook(lambda *call: ran.append("head"))
    try:
        for layers in ([1], [0, 2], [0]):
            ran.clear()
            with model.hooks(watch):
                read(model, ids, layers)
            assert ran == list(range(max(layers) + 1))
        ran.clear()
        with model.hooks(watch):
            model.forward(ids)
        assert ran == [0, 1, 2, "head"]
    finally:
        head.remove()


def test_a_hooks_tensor_replaces_the_stream(pair):
    """Adding at layer l shifts layer l by exactly that, and is the same as adding in plain transformers."""
    model, plain, blocks = pair
    ids = padded_batch(True)[0]
    before = read(model, ids, range(3))
    push = torch.linspace(-3, 3, 32)
    with model.hooks({1: lambda residual: residual + push}):
        after = read(model, ids, range(3))
        logits = model.forward(ids)
    torch.testing.assert_close(after[0], before[0])
    torch.testing.assert_close(after[1], before[1] + push)
    assert not torch.allclose(after[2], before[2] + push, atol=0.1)

    def add(module, inputs, out):
        return (out[0] + push, *out[1:]) if isinstance(out, tuple) else out + push

    handle = blocks[1].register_forward_hook(add)
    torch.testing.assert_close(logits, block_outputs(plain, blocks, ids)[1], atol=1e-4, rtol=1e-4)
    handle.remove()
    seen = {}
    model.residuals(ids, {1: lambda residual: residual + push, 2: lambda residual: seen.update(last=residual)})
    torch.testing.assert_close(seen["last"], after[2])


def test_the_model_is_clean_after_an_exception(pair):
    model = pair[0]
    ids = padded_batch(True)[0]
    clean = model.forward(ids)

    def fail(residual):
        raise KeyError("in a hook")

    with pytest.raises(KeyError, match="in a hook"), model.hooks({0: lambda residual: residual * 2, 1: fail}):
        model.forward(ids)
    with pytest.raises(KeyError, match="in a hook"):
        model.residuals(ids, {1: fail})
    with pytest.raises(KeyError, match="in the block"), model.hooks({0: lambda residual: residual * 2}):
        raise KeyError("in the block")
    assert torch.equal(model.forward(ids), clean)


def test_no_gradients_and_no_dropout(pair):
    model = pair[0]
    assert not any(parameter.requires_grad for parameter in model.bridge.original_model.parameters())
    assert not any(module.training for module in model.bridge.original_model.modules())
    ids = padded_batch(True)[0]
    assert not model.forward(ids).requires_grad
    assert not read(model, ids, [0])[0].requires_grad
    assert model.bridge.original_model(input_ids=ids).attentions in (None, ())  # a batch's patterns would fill memory


@pytest.mark.parametrize("template", ["none", "chat"])
@pytest.mark.parametrize("words", ["sentencepiece", "byte-level"])
def test_prompts_mark_their_own_words(folders, tmp_path, words, template):
    folder = shutil.copytree(folders["llama"], tmp_path / "m")
    if words == "sentencepiece":
        tokenizer = sentencepiece_tokenizer()
        tokenizer.chat_template = "{{ bos_token }}[INST] {{ messages[0]['content'] }} [/INST]"
        tokenizer.save_pretrained(folder)
    model = load_model(folder, template=template)
    for prompt in ("write the line.", "the [INST]", "Wo 🦊?", " two\nlines"):
        ids, own = model.encode_prompt(prompt)
        mine = [i for i, is_own in zip(ids, own, strict=True) if is_own]
        assert model.decode(mine).strip() == prompt.strip()
        assert not own[0]
        assert ids.count(model.start_ids[0]) == (0 if (words, template) == ("byte-level", "chat") else 1)
        ending = {"none": "\n", "chat": "<|assistant|>" if words == "byte-level" else "[/INST]"}[template]
        assert model.tokenizer.decode(ids).endswith(ending)
        assert "".join(model.pieces(ids)) == model.decode(ids)


def test_a_prompt_of_the_contexts_length(model):
    word = " the"
    assert len(model.encode_text(word)) == 1
    long = "a line\n" * 200
    with pytest.raises(InputError, match=r"^[^\n]*$"):
        model.encode_prompt(long)
    room = model.context - len(model.encode_prompt("").ids) - 1
    assert len(model.encode_prompt(word * room).ids) == model.context - 1
    with pytest.raises(InputError, match=r"^prompt of 128 tokens: expected fewer than the context of 128 .*shorten '"):
        model.encode_prompt(word * (room + 1))
    assert len(model.encode_text(word * 1000)) == 1000  # texts are cut elsewhere; no log line, which would be an error
