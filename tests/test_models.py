import importlib.util
import json
import shutil

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from tiny_models import BLOCKS, CHATML, plain_model, put_in_cache, save_model, save_other_model, sentencepiece_tokenizer

from creativity_lens import loading
from creativity_lens.errors import InputError
from creativity_lens.files import data_folder
from creativity_lens.model_files import read_config
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


@pytest.fixture
def spoilt(folders, tmp_path):
    """A copy of the Llama model to spoil."""
    return shutil.copytree(folders["llama"], tmp_path / "m")


def block_outputs(plain, blocks, ids, **options):
    """What hooks of torch alone see after each block, and the logits."""
    seen = {}
    handles = [
        block.register_forward_hook(lambda module, inputs, out, layer=layer: seen.__setitem__(layer, out))
        for layer, block in enumerate(blocks)
    ]
    with torch.no_grad():
        logits = plain(input_ids=ids, use_cache=False, **options).logits
    for handle in handles:
        handle.remove()
    return {layer: out[0] if isinstance(out, tuple) else out for layer, out in seen.items()}, logits


def read(model, ids, layers, **options):
    seen = {}
    model.residuals(
        ids, {layer: lambda residual, layer=layer: seen.__setitem__(layer, residual) for layer in layers}, **options
    )
    return seen


def batch(left):
    """Three texts of different length, padded; with positions that count from each text's own start."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(2, 4096, (3, 9), generator=generator)
    mask = torch.ones(3, 9, dtype=torch.long)
    for row, short in enumerate((0, 2, 5)):
        padding = slice(0, short) if left else slice(9 - short, 9)
        mask[row, padding], ids[row, padding] = 0, 1
    return ids, mask, (mask.cumsum(1) - 1).clamp(min=0)


@pytest.mark.parametrize("left", [True, False], ids=["left", "right"])
def test_residuals_and_logits_are_transformers_own(pair, left):
    model, plain, blocks = pair
    ids, mask, positions = batch(left)
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
    ids, mask, positions = batch(True)
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
    ids = batch(True)[0]
    expected, logits = block_outputs(plain, blocks, ids)
    torch.testing.assert_close(read(model, ids, [1])[1], expected[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.forward(ids), logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(model.forward(ids, keep=2), logits[:, -2:], atol=1e-4, rtol=1e-4)
    assert (model.n_layers, model.d_model, model.vocabulary, model.context) == (3, 32, 4096, 128)


def test_reading_stops_after_the_last_wanted_block(pair):
    model = pair[0]
    ids = batch(True)[0]
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
    ids = batch(True)[0]
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
    ids = batch(True)[0]
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
    ids = batch(True)[0]
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


def test_built_in_models():
    chat, base = load_model("Pocket Chat"), load_model("pocket-base")
    assert (chat.id, chat.template, base.id, base.template) == ("pocket-chat", "chat", "pocket-base", "none")
    assert chat.name == "Pocket Chat"
    for model in (chat, base):
        assert (model.n_layers, model.d_model, model.vocabulary, model.context) == (8, 192, 4096, 512)
        assert (model.dtype, model.device, model.revision) == (torch.float32, torch.device("cpu"), None)
    assert chat.template_hash != base.template_hash
    assert chat.weights_hash != base.weights_hash
    assert chat.tokenizer.decode(chat.encode_prompt("Hi").ids) == "<|endoftext|><|user|>Hi\n<|assistant|>"
    assert base.tokenizer.decode(base.encode_prompt("Hi").ids) == "<|endoftext|>Hi\n"
    assert repr(chat).startswith("Model('Pocket Chat', 8 layers, d_model 192, template 'chat', float32 on cpu")


def test_the_template_can_be_chosen(folders):
    assert load_model(folders["gpt2"], template="none").template == "none"
    assert (
        load_model("pocket-chat", template="none").encode_prompt("Hi").own
        == load_model("pocket-base").encode_prompt("Hi").own
    )
    with pytest.raises(InputError, match="pocket-base: expected a chat template for template='chat', found none"):
        load_model("pocket-base", template="chat")
    with pytest.raises(
        InputError, match=r"template: expected one of auto, none, chat; got 'nonne'\. Did you mean 'none'"
    ):
        load_model("pocket-base", template="nonne")


def test_a_base_model_with_a_template_is_asked_in_plain_text(folders, tmp_path):
    folder = shutil.copytree(folders["llama"], tmp_path / "my-model-base")
    assert load_model(folder).template == "none"
    assert load_model(folder, template="chat").template == "chat"


def test_number_types(folders):
    model = load_model(folders["llama"], dtype="bfloat16")
    assert {parameter.dtype for parameter in model.bridge.original_model.parameters()} == {torch.bfloat16}
    assert model.dtype == torch.bfloat16
    assert model.forward(batch(True)[0]).dtype == torch.bfloat16
    with pytest.raises(InputError, match=r"dtype: expected one of .*; got 'bflaot16'\. Did you mean 'bfloat16'"):
        load_model(folders["llama"], dtype="bflaot16")
    with pytest.raises(InputError, match="device: expected"):
        load_model(folders["llama"], device="gpu")
    with pytest.raises(InputError, match="expected no revision"):
        load_model(folders["llama"], revision="main")


def test_a_folder_and_the_hubs_cache_are_the_same_model(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    put_in_cache(tmp_path, "meta-llama/Llama-2-7b-chat-hf", folders["llama"], commit="e" * 40)
    here, there = load_model(folders["llama"]), load_model("llama-2-7b-chat")
    assert (there.id, there.name, there.revision) == ("meta-llama/Llama-2-7b-chat-hf", "llama-2-7b-chat", "e" * 40)
    assert (here.id, here.revision) == (str(folders["llama"].resolve()), None)
    assert (here.config_hash, here.weights_hash) == (there.config_hash, there.weights_hash)
    assert here.weights_hash.startswith("sha256:")
    for link in (tmp_path / "models--meta-llama--Llama-2-7b-chat-hf").glob("snapshots/*/*"):  # where there are no links
        shutil.copyfile(link.resolve(), copy := link.with_suffix(".copy"))
        copy.replace(link)
    assert load_model("llama-2-7b-chat").weights_hash == "commit:" + "e" * 40


def test_shards_load_as_one_file(folders, tmp_path):
    folder = save_model(tmp_path / "m", template=CHATML, max_shard_size="100KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    ids = batch(True)[0]
    assert torch.equal(load_model(folder).forward(ids), load_model(folders["llama"]).forward(ids))


def test_a_missing_weight_is_refused(spoilt):
    """transformers would make random ones."""
    tensors = load_file(spoilt / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, spoilt / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        InputError, match=r"expected every weight of a LlamaForCausalLM, 1 are missing \(model.layers.1.mlp"
    ):
        load_model(spoilt)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hidden_size": 48}, "TransformerLens cannot load it"),
        ({"architectures": ["LlamaForQuestionAnswering"]}, "text-generating"),
        (
            {"architectures": ["BaichuanForCausalLM"], "model_type": "baichuan", "auto_map": {"AutoConfig": "c.C"}},
            "own Python code",
        ),
        ({"architectures": ["MambaForCausalLM"], "model_type": "nonsense"}, "cannot load it"),
        ({"architectures": ["Gemma3ForConditionalGeneration"]}, "pip install torchvision"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantised"),
    ],
)
def test_configs_that_do_not_fit(spoilt, change, said, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torchvision" else find(name))
    (spoilt / "config.json").write_text(json.dumps(read_config(spoilt, "") | change))
    with pytest.raises(InputError, match=said) as refused:
        load_model(spoilt)
    assert "\n" not in str(refused.value)


def test_a_damaged_tokenizer(spoilt):
    (spoilt / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="its tokenizer cannot be read"):
        load_model(spoilt)


def test_memory_is_looked_at_before_loading(folders, monkeypatch):
    monkeypatch.setattr(loading, "free_memory", lambda place: 1000)
    with pytest.raises(
        InputError, match=r"of free memory on cpu to load it as float32, got 0 MB; use dtype 'bfloat16'"
    ):
        load_model(folders["llama"])


def test_several_gpus_are_left_to_transformer_lens(folders, monkeypatch):
    """There are none here: what it is asked for is looked at, and where device 'cuda' goes."""
    from transformer_lens.model_bridge import TransformerBridge

    asked = []
    real = TransformerBridge.boot_transformers

    def boot(folder, *, dtype, model_class, **target):
        asked.append((dtype, target))
        return real(folder, dtype=dtype, model_class=model_class, device="cpu")

    monkeypatch.setattr(TransformerBridge, "boot_transformers", boot)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(loading, "free_memory", lambda place: None)
    load_model(folders["llama"], devices="auto", dtype="bfloat16")
    load_model(folders["llama"], device="cuda:1")
    load_model(folders["llama"], device="cpu", devices=1)
    assert asked == [
        (torch.bfloat16, {"n_devices": 2}),
        (torch.float32, {"device": "cuda:1"}),
        (torch.float32, {"device": "cpu"}),
    ]
    with pytest.raises(InputError, match="expected 3 GPUs, found 2"):
        load_model(folders["llama"], devices=3)


def test_ends_and_starts_are_ids_of_the_vocabulary(spoilt):
    settings = json.loads((spoilt / "generation_config.json").read_text())
    (spoilt / "generation_config.json").write_text(json.dumps(settings | {"eos_token_id": [3, 0, 99_999]}))
    model = load_model(spoilt)
    assert model.end_ids == (0, 3)
    assert model.start_ids == (0,)
    assert model.pad_id == 1


def test_nothing_is_printed(folders, capfd):
    load_model(folders["neox"])
    assert capfd.readouterr() == ("", "")


def test_the_weights_are_raw(loaded, folders):
    """Nothing folded, centred or split: the embedding and a norm are the file's own numbers."""
    tensors = load_file(folders["llama"] / "model.safetensors")
    inner = loaded["llama"].bridge.original_model
    assert torch.equal(inner.get_input_embeddings().weight, tensors["model.embed_tokens.weight"])
    state = {name.replace("._original_component", ""): value for name, value in inner.state_dict().items()}
    assert torch.equal(
        state["model.layers.2.post_attention_layernorm.weight"],
        tensors["model.layers.2.post_attention_layernorm.weight"],
    )
    assert data_folder().is_dir()
