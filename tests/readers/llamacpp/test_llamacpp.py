"""llama.cpp runs a Llama of ours as we do, reads our control vectors, and pushes after the very same block."""

from collections.abc import Callable

import numpy as np
import pytest
from conftest import Prepared, read_prepared
from llama import Llama, build_loader
from model_file import write_llama

READER = "llama_cpp_python"


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return read_prepared("llama")


@pytest.fixture(scope="module")
def llama(prepared, tmp_path_factory) -> Llama:
    path = tmp_path_factory.mktemp("model") / "llama.gguf"
    write_llama(prepared.model, path)
    return Llama(path)


@pytest.fixture(scope="module")
def load(tmp_path_factory) -> Callable:
    return build_loader(tmp_path_factory.mktemp("loader"))


def test_without_a_push_its_logits_are_ours(prepared, llama, findings):
    findings.logits(READER, "the model itself, unsteered", prepared, "clean", llama.logits(prepared.ids[0]))


@pytest.mark.parametrize("condition", ["1", "2", "1-2"])
def test_its_loader_reads_our_vectors_to_the_last_bit(prepared, llama, load, condition, findings):
    values = load(prepared.file(condition, "vector.gguf"))
    read = {index + 1: row for index, row in enumerate(values) if row.any()}  # none for block 0
    assert llama.width == values.shape[1]
    findings.bits(READER, "GGUF: `common_control_vector_load`, equal to the last bit", prepared, condition, read)


@pytest.mark.parametrize("condition", ["1", "2", "1-2"])
def test_a_push_at_a_layer_is_ours_at_that_layer(prepared, llama, load, condition, findings):
    shown = "GGUF: `llama_set_adapter_cvec`"
    values = load(prepared.file(condition, "vector.gguf"))
    with llama.controlled(values, 1, llama.n_layers):  # the range that its programs take by themselves
        findings.logits(READER, shown, prepared, condition, llama.logits(prepared.ids[0]))
    findings.logits(READER, shown, prepared, "clean", llama.logits(prepared.ids[0]))


def test_its_range_of_layers_counts_as_the_file_does(prepared, llama, load, findings):
    """`--control-vector-layer-range`, both ends included: of vectors at every layer, those of one are left."""
    shown = "GGUF: one layer by its range"
    both = np.concatenate([load(prepared.file("1", "vector.gguf")), load(prepared.file("2", "vector.gguf"))[1:]])
    for layer in (1, 2):
        with llama.controlled(both, layer, layer):
            findings.logits(READER, shown, prepared, str(layer), llama.logits(prepared.ids[0]))


def test_it_refuses_what_our_check_says_it_refuses(odd, load):
    refused = {path.stem for path in odd if load(path) is None}
    said = {path.stem for path, lines in odd.items() if any(line.startswith(("llama.cpp", "widths")) for line in lines)}
    taken = {"a suffix", "a blank"}  # it reads a number as far as it goes; our check asks for the plain name
    assert refused == said - taken
    assert {"sound", "beyond", "no hint", *taken}.isdisjoint(refused)
    assert all(problems for path, problems in odd.items() if path.stem in taken)
