"""Headers in order: equal content gives equal bytes, and every reader of safetensors still reads them."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from safetensors import safe_open
from safetensors.numpy import load, save

from creativity_lens.tensor_header import LENGTH, ordered, ordered_file

ARRAYS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.zeros((0, 4), np.int64)}


def header_of(data: bytes) -> bytes:
    return data[LENGTH : LENGTH + int.from_bytes(data[:LENGTH], "little")]


def test_a_header_by_hand():
    before = b'{"__metadata__":{"z":"1","a":"2"},"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}   '
    after = b'{"__metadata__":{"a":"2","z":"1"},"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}   '
    assert ordered(before) == after
    assert ordered(after) == after


def test_equal_content_gives_equal_bytes_however_it_was_put_together():
    metadata = {name: f"value of {name}" for name in "abcdefgh"}
    raw, found = set(), set()
    for turn in range(20):
        names = list(metadata)[turn % 8 :] + list(metadata)[: turn % 8]
        arrays = dict(itertools.islice(itertools.cycle(ARRAYS.items()), turn % 2, turn % 2 + 2))
        data = save(arrays, {name: metadata[name] for name in names})
        raw.add(data)
        found.add(ordered_file(data))
    assert len(raw) > 1, "the library itself writes them in any order: else this module is not needed"
    assert len(found) == 1


def test_readers_read_it_all_the_same(tmp_path):
    metadata = {"ключ": "čas \U0001f408\u200d\u2b1b", "quote": 'a "b" \\ \n \x1f \x7f \u2028', "": ""}
    data = ordered_file(save(ARRAYS, metadata))
    assert len(data) == len(save(ARRAYS, metadata))
    assert list(json.loads(header_of(data))["__metadata__"]) == sorted(metadata)
    found = load(data)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)
    (tmp_path / "a.safetensors").write_bytes(data)
    with safe_open(tmp_path / "a.safetensors", framework="np") as file:
        assert file.metadata() == metadata
        np.testing.assert_array_equal(file.get_tensor("b"), ARRAYS["b"])


def test_what_follows_the_header_stays_where_it_is():
    data = save(ARRAYS, {"b": "1", "a": "2"})
    found = ordered_file(data)
    end = LENGTH + len(header_of(data))
    assert found[:LENGTH] == data[:LENGTH]
    assert found[end:] == data[end:]
    assert len(header_of(found)) % 8 == 0, "tensors begin at a multiple of 8 bytes"


def test_a_file_without_metadata():
    assert {**load(ordered_file(save(ARRAYS)))}.keys() == ARRAYS.keys()


def test_a_header_that_would_grow_is_refused():
    with pytest.raises(ValueError, match="expected a header of at most 27 bytes, got 30"):
        ordered(b'{"__metadata__":{},"t":1e3}')


NAMES = some.lists(some.text(max_size=9), min_size=1, max_size=5, unique=True)


@settings(max_examples=30)
@given(NAMES.flatmap(some.permutations), some.text(max_size=20))
def test_any_metadata(names, text):
    metadata = {name: f"{text}{number}" for number, name in enumerate(sorted(names))}
    data = ordered_file(save(ARRAYS, {name: metadata[name] for name in names}))
    assert data == ordered_file(save(ARRAYS, metadata))
    assert json.loads(header_of(data))["__metadata__"] == metadata
    np.testing.assert_array_equal(load(data)["b"], ARRAYS["b"])
