import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import CHATML, save_model

from creativity_lens.errors import InputError
from creativity_lens.model_files import (
    bytes_needed,
    check_config,
    check_stored,
    config_hash,
    describe_config,
    has_chat_template,
    is_complete,
    read_model,
    stored_dtype,
    weights_hash,
)


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("models") / "llama", template=CHATML)


@pytest.fixture
def folder(llama, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(llama, tmp_path / "m")


def refusal(folder):
    with pytest.raises(InputError) as refused:
        read_model(folder, "m")
    text = str(refused.value)
    assert text.startswith("m: ")
    assert "\n" not in text
    return text


def test_reads_what_the_weights_are(llama):
    files = read_model(llama, "m")
    tensors = load_file(llama / "model.safetensors")
    assert dict(files.stored) == {"F32": sum(tensor.numel() for tensor in tensors.values())}
    assert (stored_dtype(files.stored), files.fused) == ("float32", 0)
    assert is_complete(llama)
    assert has_chat_template(llama)
    assert describe_config(files.config) == {"layers": 3, "width": 32, "context": 128, "vocabulary": 4096}


@pytest.mark.parametrize("kind", ["llama", "gpt2", "neox"])
def test_memory_is_that_of_the_loaded_model(tmp_path, kind):
    """Within the stated margin of what the parameters really take, split copies of fused matrices included."""
    from creativity_lens.models import load_model

    folder = save_model(tmp_path / kind, kind)
    model = load_model(folder)
    real = sum(parameter.numel() * 4 for parameter in model.bridge.original_model.parameters())
    unembedding_bias = 4096 * 4  # zeros that the bridge adds
    assert 1.0 <= read_model(folder, "m").bytes_needed("float32") / (real - unembedding_bias) < 1.08


def test_bytes_needed_counts_each_kind():
    stored = {"F32": 10, "BF16": 20, "F16": 30, "F64": 40, "BOOL": 50, "I64": 60}
    assert bytes_needed(stored, "float32") == round((100 * 4 + 50 + 480) * 1.05 + 0.5)
    assert bytes_needed(stored, "bfloat16", fused=7) == round((107 * 2 + 50 + 480) * 1.05 + 0.3)
    assert [stored_dtype({kind: 1}) for kind in ("F64", "F32", "BF16", "F16")] == [
        "float64", "float32", "bfloat16", "float16",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (["config.json"], r"expected config.json.*add it"),
        (["model.safetensors"], "expected weights"),
        (["tokenizer.json"], "expected a tokenizer"),
    ],
)
def test_missing_files(folder, missing, said):
    for name in missing:
        (folder / name).unlink()
    with pytest.raises(InputError, match=rf"^m: {said}"):
        read_model(folder, "m")
    assert not is_complete(folder)


@pytest.mark.parametrize(
    ("beside", "hint"),
    [
        ("model.gguf", "GGUF"),
        ("adapter_config.json", "adapter"),
        ("consolidated.00.pth", "-hf"),
        ("params.json", "-hf"),
    ],
)
def test_folders_in_other_formats_are_named(folder, beside, hint):
    (folder / "config.json").unlink()
    (folder / beside).write_text("{}")
    assert hint in refusal(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00"])
def test_damaged_config(folder, text):
    (folder / "config.json").write_text(text)
    assert "config.json" in refusal(folder)


def test_pickled_weights_are_never_read(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "only 'pytorch_model.bin', which can run code" in refusal(folder)
    assert "save_pretrained" in refusal(folder)


def test_damaged_weights(folder):
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    for data, said in [
        (whole[:-1], r"expected \d+ bytes, got \d+"),
        (whole + b"x", r"expected \d+ bytes, got \d+"),
        (whole[:100], "cut off"),
        (whole[:3], "cut off"),
        (b"", "cut off"),
        (b"\xff" * 200, "cut off"),
        (whole[:8] + b"not json" + whole[16:], "is damaged"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    ]:
        weights.write_bytes(data)
        with pytest.raises(InputError, match=rf"^m: model.safetensors .*{said}"):
            read_model(folder, "m")


def test_headers_that_lie(folder):
    for header in ('{"a": 1}', '{"a": {"dtype": "F32", "shape": ["x"], "data_offsets": [0, 0]}}', "[]", "null"):
        data = header.encode()
        (folder / "model.safetensors").write_bytes(len(data).to_bytes(8, "little") + data)
        assert "damaged" in refusal(folder)


def test_shards(folder, llama):
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    shard_of = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(sorted(tensors))}
    for shard in set(shard_of.values()):
        save_file({name: tensors[name] for name in tensors if shard_of[name] == shard}, folder / shard)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": shard_of}))
    files = read_model(folder, "m")
    assert [path.name for path in files.weights] == sorted(set(shard_of.values()))
    assert files.stored == read_model(llama, "m").stored
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert "expected 2 files of weights, 1 missing (model-00002" in refusal(folder)
    for text in ("{", "{}", '{"weight_map": []}', '{"weight_map": {}}'):
        index.write_text(text)
        assert "weights" in refusal(folder) or "damaged" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architectures": ["LlamaForCasualLM"]}, r"got 'LlamaForCasualLM'; `clens models` lists"),
        ({"architectures": ["ResNetForImageClassification"]}, "text-generating architecture"),
        ({"architectures": ["BertForMaskedLM"]}, "text-generating architecture"),
        ({"architectures": ["XForCausalLM"], "auto_map": {"AutoModel": "x.X"}}, "brings its own Python code"),
        ({"architectures": None, "model_type": None, "auto_map": {}}, None),
        ({"architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True}, "encoder-decoder"),
        ({"quantization_config": {"quant_method": "gptq"}}, r"quantised ones \(gptq\)"),
    ],
)
def test_configs_that_cannot_be_run(folder, change, said):
    config = json.loads((folder / "config.json").read_text()) | change
    if said is None:  # names only a model type: decided on loading
        check_config({key: value for key, value in config.items() if key != "auto_map"}, "m")
        return
    with pytest.raises(InputError, match=said):
        check_config(config, "m")


def test_packed_weights(folder):
    with pytest.raises(InputError, match=r"16 or 32-bit floats, got F8_E4M3"):
        check_stored({"F8_E4M3": 900, "BF16": 100}, "m")
    with pytest.raises(InputError, match="got nothing"):
        check_stored({}, "m")
    check_stored({"BF16": 1000, "BOOL": 100}, "m")  # masks that some files carry


def test_config_hash_is_of_the_model_alone():
    config = {"hidden_size": 32, "model_type": "llama", "transformers_version": "5.0"}
    same = {"transformers_version": "6.1", "_name_or_path": "/x", "dtype": "float32", "model_type": "llama"}
    assert config_hash(config) == config_hash(same | {"hidden_size": 32})
    assert config_hash(config) != config_hash(config | {"hidden_size": 33})
    assert config_hash(config) != config_hash(config | {"rope_theta": 1.0})


def test_weights_hash_follows_every_byte(folder, llama, tmp_path):
    def now():
        return weights_hash(read_model(folder, "m").weights)

    first = now()
    assert first == weights_hash(read_model(llama, "m").weights)  # wherever they lie
    tensors = load_file(folder / "model.safetensors")
    key = next(iter(tensors))
    tensors[key] = tensors[key].clone()
    tensors[key].view(-1)[0] = torch.nextafter(tensors[key].view(-1)[0], torch.tensor(9.0))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert now() != first
    assert first.startswith("sha256:")
    assert len(first) == 71


def test_chat_templates_are_seen_in_either_place(folder):
    (folder / "chat_template.jinja").unlink()
    assert not has_chat_template(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": CHATML}))
    assert has_chat_template(folder)
    (folder / "tokenizer_config.json").write_text("{")
    assert not has_chat_template(folder)
