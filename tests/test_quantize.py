"""Weights in 4 bits: refused where they cannot be, asked for as they should be, and run where bitsandbytes is."""

import importlib.util
import math

import pytest
import torch
from commands import refused

from creativity_lens import models
from creativity_lens.activations import collect_activations
from creativity_lens.costs import dimensions_of, weight_bytes
from creativity_lens.directions import mean_difference
from creativity_lens.errors import InputError
from creativity_lens.generation import generate
from creativity_lens.loading import NotingLoader, choose_dtype
from creativity_lens.models import Model, load_model
from creativity_lens.prompts import load_pairs
from creativity_lens.quantization import check_quantizable, check_quantize, quantized, target_of
from creativity_lens.steering import Steering

GPU, CPU = torch.device("cuda"), torch.device("cpu")
there = importlib.util.find_spec("bitsandbytes") is not None


@pytest.fixture
def with_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())


@pytest.mark.parametrize(
    ("quantize", "dtype", "place", "said"),
    [
        ("8bit", "auto", GPU, "quantize: expected one of 4bit; got '8bit'"),
        ("4bits", "auto", GPU, "Did you mean '4bit'"),
        ("4bit", "float32", GPU, "quantize '4bit': expected dtype 'bfloat16' or 'auto', got 'float32'; drop one"),
        ("4bit", "float16", GPU, "got 'float16'"),
        ("4bit", "auto", CPU, "quantize '4bit': expected a GPU, got device 'cpu'; leave quantize out"),
        ("4bit", "auto", torch.device("mps"), "got device 'mps'"),
    ],
)
def test_what_cannot_be_quantised_is_refused(with_package, quantize, dtype, place, said):
    with pytest.raises(InputError, match=said) as caught:
        check_quantize(quantize, dtype, place)
    assert "\n" not in str(caught.value)


def test_what_can_be_quantised_is_not(with_package):
    check_quantize("4bit", "auto", GPU)
    check_quantize("4bit", "bfloat16", torch.device("cuda:3"))
    check_quantize(None, "float32", CPU)


def test_without_bitsandbytes_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        InputError,
        match=r"expected the package bitsandbytes, found none; run `pip install 'creativity-lens\[quantize\]",
    ):
        check_quantize("4bit", "auto", GPU)


def test_a_machine_without_a_gpu_refuses_before_any_file_is_looked_at():
    with pytest.raises(InputError, match="quantize '4bit': expected a GPU, got device 'cpu'"):
        load_model("no such model", device="cpu", quantize="4bit")


def test_fused_matrices_are_refused():
    check_quantizable("m", 0, "4bit")
    check_quantizable("m", 7, None)
    with pytest.raises(InputError, match=r"m: expected query, .* of their own to load it in 4bit, got fused ones"):
        check_quantizable("m", 7, "4bit")


def test_all_else_is_bfloat16():
    assert choose_dtype("auto", GPU, "float32", quantize="4bit") == "bfloat16"
    assert choose_dtype("auto", GPU, "float16", quantize="4bit") == "bfloat16"
    assert choose_dtype("auto", GPU, "float16") == "float16"


def test_what_transformers_is_told():
    how = quantized("4bit")["quantization_config"].to_dict()
    assert how["load_in_4bit"] is True
    assert how["bnb_4bit_quant_type"] == "nf4"
    assert how["bnb_4bit_use_double_quant"] is True
    assert how["bnb_4bit_compute_dtype"] == "bfloat16"
    assert quantized(None) == {}
    asked = {}

    class Auto:
        def from_pretrained(self, folder, **options):
            asked.update(options, folder=folder)
            return "a model", {"missing_keys": set()}

    assert NotingLoader(Auto(), **quantized("4bit")).from_pretrained("here", config=1) == "a model"
    assert asked["quantization_config"].load_in_4bit
    assert (asked["folder"], asked["config"], asked["use_safetensors"]) == ("here", 1, True)
    asked.clear()
    NotingLoader(Auto()).from_pretrained("here")
    assert "quantization_config" not in asked


def test_where_a_model_is_put():
    assert target_of(CPU, 1, None) == {"device": "cpu"}
    assert target_of(torch.device("cuda:2"), 1, None) == {"device": "cuda:2"}
    assert target_of(GPU, 4, None) == target_of(GPU, 4, "4bit") == {"n_devices": 4}
    assert target_of(GPU, 1, "4bit") == {"device_map": {"": "cuda:0"}}, "packed where it stays"
    assert target_of(torch.device("cuda:2"), 1, "4bit") == {"device_map": {"": "cuda:2"}}


def test_transformer_lens_still_takes_what_it_is_told():
    """The names that `target_of` uses, and that it refuses what would be ignored."""
    import inspect

    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.utilities.multi_gpu import resolve_device_map

    assert {"device", "device_map", "n_devices", "model_class"} <= set(
        inspect.signature(TransformerBridge.boot_transformers).parameters
    )
    given = target_of(GPU, 1, "4bit")["device_map"]
    assert resolve_device_map(None, given, None) == (given, None)


@pytest.fixture(scope="module")
def packed() -> Model:
    """The built-in model in 4 bits on the CPU, where bitsandbytes is slow but right."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "check_quantize", lambda *_: None)
        return load_model("pocket-chat", device="cpu", quantize="4bit")


@pytest.mark.skipif(not there, reason="bitsandbytes is not installed: pip install 'creativity-lens[quantize]'")
@pytest.mark.filterwarnings("ignore")
class TestPacked:
    def test_the_blocks_matrices_are_packed_to_the_size_that_is_said(self, packed):
        held = 0
        for parameter in packed.bridge.original_model.parameters():
            state = getattr(parameter, "quant_state", None)
            held += parameter.nbytes
            held += 0 if state is None else state.absmax.nbytes + state.state2.absmax.nbytes
        sizes = dimensions_of(packed.bridge.original_model.config.to_dict())
        said = weight_bytes(sizes, "bfloat16", quantize="4bit")
        assert math.isclose(held, said, rel_tol=1e-3)
        assert said < 0.42 * weight_bytes(sizes, "bfloat16"), "the control: a third of it are embeddings"

    def test_activations_are_float32_and_nearly_the_plain_models(self, packed, chat):
        assert (packed.quantize, packed.dtype, packed.identity["quantize"]) == ("4bit", torch.bfloat16, "4bit")
        pairs = load_pairs()[:6]
        found, plain = (collect_activations(model, pairs, cache=False) for model in (packed, chat))
        assert found.creative.dtype == torch.float32
        alike = torch.nn.functional.cosine_similarity(found.creative.flatten(1), plain.creative.flatten(1))
        assert (alike > 0.99).all()
        assert not torch.allclose(found.creative, plain.creative, rtol=1e-3), "the control: it is another model"

    def test_it_writes_and_is_steered(self, packed):
        at = mean_difference(collect_activations(packed, load_pairs()[:6], cache=False)).at(4)
        rows = [None, Steering(4, 0.0 * at.vector, 0.0), Steering(4, 0.5 * at.residual_norm * at.vector, 0.5)]
        plain, zero, pushed = generate(packed, ["Write about rain."], steering=rows, max_new_tokens=6, temperature=0.0)
        assert plain.token_ids == zero.token_ids != pushed.token_ids


def test_the_command_refuses_in_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = refused(capsys, "sweep", "--device", "cpu", "--quantize", "4bit")
    assert said.startswith("quantize '4bit': expected a GPU, got device 'cpu'")
