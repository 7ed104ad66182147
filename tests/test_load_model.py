import importlib.util
import json
import shutil

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from tiny_models import CHATML, padded_batch, put_in_cache, save_model

from creativity_lens import memory_needed
from creativity_lens.errors import InputError
from creativity_lens.model_files import read_config
from creativity_lens.models import load_model


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {kind: save_model(root / kind, kind, template=CHATML) for kind in ("llama", "gpt2", "neox")}


@pytest.fixture
def spoilt(folders, tmp_path):
    """A copy of the Llama model to spoil."""
    return shutil.copytree(folders["llama"], tmp_path / "m")


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
    assert model.forward(padded_batch(True)[0]).dtype == torch.bfloat16
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
    ids = padded_batch(True)[0]
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
    monkeypatch.setattr(memory_needed, "free_memory", lambda place: 1000)
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
    monkeypatch.setattr(memory_needed, "free_memory", lambda place: None)
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


def test_the_weights_are_raw(folders):
    """Nothing folded, centred or split: the embedding and a norm are the file's own numbers."""
    tensors = load_file(folders["llama"] / "model.safetensors")
    inner = load_model(folders["llama"]).bridge.original_model
    assert torch.equal(inner.get_input_embeddings().weight, tensors["model.embed_tokens.weight"])
    state = {name.replace("._original_component", ""): value for name, value in inner.state_dict().items()}
    assert torch.equal(
        state["model.layers.2.post_attention_layernorm.weight"],
        tensors["model.layers.2.post_attention_layernorm.weight"],
    )
