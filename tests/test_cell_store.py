"""Kept results come back as they were, or not at all."""

import hashlib
import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from safetensors import SafetensorError
from safetensors.numpy import save

from creativity_lens.cell_store import CellStore
from creativity_lens.storage import open_storage
from creativity_lens.work import Result

KEY, OTHER = "0" * 63 + "a", "0" * 63 + "b"
SMALL = Result({"score": np.array([0.5, -0.0, np.nan], np.float32), "ids": np.array([3, 1, 2])}, (2, 1))
DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]


@pytest.fixture
def store(tmp_path):
    return CellStore(open_storage(tmp_path / "cells"))


@pytest.fixture
def cell(store, tmp_path):
    store.write(KEY, SMALL)
    return tmp_path / "cells" / f"{KEY}.cell"


def same(a: Result, b: Result) -> bool:
    """Names, types, shapes and bytes."""
    assert a.halved == b.halved
    assert a.arrays.keys() == b.arrays.keys()
    for name, array in a.arrays.items():
        assert b.arrays[name].dtype == array.dtype
        assert b.arrays[name].shape == array.shape
        assert b.arrays[name].tobytes() == array.tobytes()
    return True


def lost(store: CellStore, key: str = KEY) -> str:
    """What the warning says of a file that is not used."""
    with pytest.warns(UserWarning, match="done again") as caught:
        assert store.read(key) is None
    assert store.check(f"{key}.cell") != ""
    return str(caught[0].message)


# -- round trips ---------------------------------------------------------------------------------------------------


def test_every_type_and_shape_comes_back(store):
    generator = np.random.default_rng(0)
    shapes = [(), (1,), (0,), (3,), (0, 4), (4, 0), (2, 3), (1, 2, 3)]
    arrays = {f"{dtype} {shape}": generator.integers(0, 2, shape).astype(dtype) for dtype in DTYPES for shape in shapes}
    store.write(KEY, Result(arrays, (16, 8, 8)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(store.read(KEY), Result(arrays, (16, 8, 8)))
    assert store.check(f"{KEY}.cell") == ""


def test_numbers_that_are_no_numbers_keep_their_bits(store):
    bits = np.array([0x7FC00000, 0x7FC00001, 0xFFC00000, 0x7F800000, 0x80000000, 1], np.uint32)
    store.write(KEY, Result({"a": bits.view(np.float32)}))
    assert store.read(KEY).arrays["a"].tobytes() == bits.tobytes()


def test_arrays_that_do_not_lie_side_by_side(store):
    whole = np.arange(24.0).reshape(4, 6)
    arrays = {"turned": whole.T, "every second": whole[::2, ::-2], "columns": np.asfortranarray(whole)}
    store.write(KEY, Result(arrays))
    for name, array in arrays.items():
        np.testing.assert_array_equal(store.read(KEY).arrays[name], array)


def test_what_was_read_may_be_changed_like_what_was_computed(store):
    store.write(KEY, SMALL)
    found = store.read(KEY).arrays["score"]
    found[0] = 7
    assert store.read(KEY).arrays["score"][0] == 0.5


def test_no_arrays_and_odd_names(store):
    store.write(KEY, Result({}))
    assert same(store.read(KEY), Result({}))
    odd = Result({"": np.ones(1), "длина \n\"'": np.zeros(2)})
    store.write(OTHER, odd)
    assert same(store.read(OTHER), odd)


def test_equal_results_give_equal_bytes(store, cell):
    first = cell.read_bytes()
    for _ in range(10):
        store.write(KEY, Result(dict(reversed(SMALL.arrays.items())), SMALL.halved))
        assert cell.read_bytes() == first


@given(some.lists(some.sampled_from(DTYPES), max_size=4), some.integers(0, 5), some.binary(max_size=200))
def test_any_bytes(tmp_path_factory, dtypes, rows, data):
    store = CellStore(open_storage(tmp_path_factory.mktemp("any")))
    arrays = {}
    for number, dtype in enumerate(dtypes):
        size = rows * 3 * np.dtype(dtype).itemsize
        filled = (data * size + bytes(size))[:size]
        if dtype == "?":
            filled = bytes(byte & 1 for byte in filled)
        arrays[str(number)] = np.frombuffer(filled, dtype).reshape(rows, 3)
    store.write(KEY, Result(arrays, (rows,)))
    assert same(store.read(KEY), Result(arrays, (rows,)))


@pytest.mark.parametrize("array", [np.array(["text"]), np.array([None]), np.array([1j])], ids=["text", "object", "1j"])
def test_what_has_no_place_in_a_cell_leaves_none(store, array):
    with pytest.raises(SafetensorError, match="Unknown dtype"):  # a mistake in a verb, not in what the user gave
        store.write(KEY, Result({"a": array}))
    assert store.names() == []


# -- there or not --------------------------------------------------------------------------------------------------


def test_nothing_there(store):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.read(KEY) is None
        assert store.names() == []
    assert store.check(f"{KEY}.cell") == "no such file"


def test_names_are_those_of_cells_alone(store, cell):
    store.write(OTHER, SMALL)
    for name in (
        f".{KEY}.cell.0a1b2c3d.partial",
        "notes.txt",
        f"{KEY}.cell~",
        f"{KEY[:-1]}.cell",
        f"{KEY.upper()}x.cell",
    ):
        (cell.parent / name).write_bytes(cell.read_bytes())
    (cell.parent / "more").mkdir()
    (cell.parent / "more" / cell.name).write_bytes(cell.read_bytes())
    assert store.names() == [f"{KEY}.cell", f"{OTHER}.cell"]


def test_a_later_result_takes_the_place_of_an_earlier_one(store, cell):
    store.write(KEY, Result({"score": np.ones(1)}))
    assert store.read(KEY).arrays["score"] == 1
    assert [path.name for path in cell.parent.iterdir()] == [cell.name]


# -- damaged -------------------------------------------------------------------------------------------------------


def test_a_changed_byte_is_found_wherever_it_is(store, cell):
    whole = cell.read_bytes()
    assert 200 < len(whole) < 600
    for place in range(len(whole)):
        for change in (0x01, 0xFF):
            cell.write_bytes(whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :])
            assert store.check(cell.name) != "", f"byte {place} of {len(whole)}, changed by {change:#x}"
    for place in range(0, len(whole), 20):
        cell.write_bytes(whole[:place] + bytes([whole[place] ^ 0x20]) + whole[place + 1 :])
        assert "damaged" in lost(store)
    cell.write_bytes(whole)
    assert same(store.read(KEY), SMALL)


def test_a_cell_that_was_cut_or_went_on(store, cell):
    whole = cell.read_bytes()
    for length in range(len(whole)):
        cell.write_bytes(whole[:length])
        assert store.check(cell.name) != "", length
    for more in (b"\0", b"\n", whole):
        cell.write_bytes(whole + more)
        assert "its bytes do not give its checksum" in lost(store)
    cell.write_bytes(whole[: len(whole) // 2])
    assert "its bytes do not give its checksum" in lost(store)
    cell.write_bytes(b"")
    assert "its first line is not that of a cell" in lost(store)


def test_a_damaged_cell_is_written_anew(store, cell):
    whole = cell.read_bytes()
    cell.write_bytes(whole[:-1])
    lost(store)
    store.write(KEY, SMALL)
    assert cell.read_bytes() == whole


def test_another_works_result_under_this_name_is_not_believed(store, cell):
    cell.rename(cell.with_name(f"{OTHER}.cell"))
    assert "holds another work's result" in lost(store, OTHER)
    assert store.read(KEY) is None


def sealed(body: bytes, version: int = 1) -> bytes:
    """With a sum that is right: as a program would write it that means something else."""
    return f"creativity-lens cell {version} {hashlib.sha256(body).hexdigest()}\n".encode() + body


ARRAY = {"a": np.ones(1)}


@pytest.mark.parametrize(
    "data",
    [
        sealed(save(ARRAY, {"key": KEY, "halved": "[]"}), version=2),
        sealed(b""),
        sealed(b"no tensors at all, though the sum is right"),
        sealed((2**60).to_bytes(8, "little") + b"{}"),
        sealed(save(ARRAY)),
        sealed(save(ARRAY, {"key": KEY})),
        sealed(save(ARRAY, {"halved": "[]"})),
        sealed(save(ARRAY, {"key": KEY, "halved": "3"})),
        sealed(save(ARRAY, {"key": KEY, "halved": "[[]]"})),
        sealed(save(ARRAY, {"key": KEY, "halved": '["x"]'})),
        sealed(save(ARRAY, {"key": KEY, "halved": "["})),
        sealed(save(ARRAY, {"key": KEY[:-1], "halved": "[]"})),
    ],
)
def test_a_sum_alone_is_not_believed(store, cell, data):
    cell.write_bytes(data)
    assert lost(store).startswith("000000000000….cell: ")


def test_a_cell_is_what_its_description_says(cell):
    """By hand, from its bytes: so that another program may read it."""
    line, _, body = cell.read_bytes().partition(b"\n")
    assert line == b"creativity-lens cell 1 " + hashlib.sha256(body).hexdigest().encode()
    length = int.from_bytes(body[:8], "little")
    header = json.loads(body[8 : 8 + length])
    assert header.pop("__metadata__") == {"halved": "[2, 1]", "key": KEY}
    begin, end = header["score"]["data_offsets"]
    assert header["score"]["dtype"] == "F32"
    assert body[8 + length + begin : 8 + length + end] == SMALL.arrays["score"].tobytes()
