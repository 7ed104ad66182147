"""Foreign files from anywhere: spoilt at random they are read or refused, in memory bounded by their size."""

import io
import itertools
import json
import struct
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from handed_over import make_gguf
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from creativity_lens.errors import InputError
from creativity_lens.exports.foreign import Foreign
from creativity_lens.exports.gguf_reader import read_gguf
from creativity_lens.exports.importing import READERS, read_foreign
from creativity_lens.exports.json_reader import read_plain, read_svec, read_vllm
from creativity_lens.exports.npz_reader import read_npz

KEYS = {"general.architecture": "controlvector", "controlvector.model_hint": "llama", "controlvector.layer_count": 2}
ONE = [0.5, -1.0, 2.0]


def saved(save: Callable, **arrays) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


VALID = {
    read_gguf: [make_gguf({"direction.1": ONE, "direction.2": ONE}, keys=KEYS)],
    read_svec: [
        json.dumps({"model_type": "llama", "directions": {"1": ONE}, "explained_variances": {"1": 1.0}}).encode()
    ],
    read_vllm: [json.dumps({"blocks.1.hook_out": {"op": "add", "value": ONE}}).encode()],
    read_plain: [json.dumps({"layer": 1, "vector": ONE}).encode()],
    read_npz: [
        saved(np.savez, vectors=np.eye(3, dtype=np.float32)),
        saved(np.savez_compressed, vectors=np.eye(3, dtype=np.float32)),
    ],
}
PIECES = (
    b"", b"\0", b"\xff" * 8, struct.pack("<Q", 2**63), struct.pack("<Q", 2**32), struct.pack("<I", 2**31), b"[", b"{",
    b'"', b"]", b",", b"1e999", b"NaN", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x07" + b"\0" * 16, b"\x93NUMPY", b"-",
)  # fmt: skip


@st.composite
def spoilt(draw, reader) -> bytes:
    """A valid file, cut, with bytes flipped, and with pieces put in or over what was there."""
    data = bytearray(draw(st.sampled_from(VALID[reader])))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.sampled_from(["flip", "cut", "insert", "over", "repeat"]))
        if kind == "flip" and data:
            data[at] ^= draw(st.integers(1, 255))
        elif kind == "cut":
            del data[at:]
        elif kind == "insert":
            data[at:at] = draw(st.sampled_from(PIECES) | st.binary(max_size=16))
        elif kind == "over":
            piece = draw(st.sampled_from(PIECES) | st.binary(max_size=16))
            data[at : at + len(piece)] = piece
        else:
            data[at:at] = data[at : at + 64] * draw(st.integers(1, 50))
    return bytes(data)


def read_or_refuse(reader: Callable, path: Path, data: bytes) -> Foreign | None:
    path.write_bytes(data)
    try:
        found = reader(path)
    except InputError as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert refused.isprintable()
        assert len(refused) < 600 + len(str(path))
        return None
    for vector in found.vectors.values():
        assert vector.dtype == np.float32
        assert vector.ndim == 1
        assert vector.nbytes <= 10 * len(data) + 64
    assert all(problem.said for problem in found.problems)
    return found


@pytest.mark.parametrize("reader", VALID)
def test_the_valid_files_are_read(reader, tmp_path):
    """The control: what is spoilt below was sound before."""
    for data in VALID[reader]:
        found = read_or_refuse(reader, tmp_path / "a", data)
        assert found is not None
        assert found.problems == ()
        assert found.vectors


@pytest.mark.parametrize("reader", VALID)
def test_a_spoilt_file_is_read_or_refused(reader, tmp_path):
    path = tmp_path / "a"

    @settings(max_examples=400, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(spoilt(reader))
    @example(b"")
    @example(b"\0" * 100)
    def run(data):
        read_or_refuse(reader, path, data)

    run()


@pytest.mark.parametrize("reader", VALID)
def test_every_cut_is_read_or_refused(reader, tmp_path):
    for data in VALID[reader]:
        for end in range(len(data)):
            found = read_or_refuse(reader, tmp_path / "a", data[:end])
            assert found is None or found.problems, "half a file is never passed as whole"


@settings(max_examples=300, deadline=None, database=None)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["directions", "model_type", "explained_variances", "1", "layer", "vector", "op", "value",
                         "blocks.1.hook_out"]) | st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
))  # fmt: skip
def test_any_json_is_read_or_refused(value):
    with tempfile.TemporaryDirectory() as folder:
        for reader in (read_svec, read_vllm, read_plain):
            read_or_refuse(reader, Path(folder) / "a", json.dumps(value).encode())


@pytest.mark.parametrize("form", READERS)
def test_what_is_imported_is_finite_and_of_one_width(form, tmp_path):
    reader = READERS[form]

    @settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(spoilt(reader))
    def run(data):
        (tmp_path / "a").write_bytes(data)
        try:
            found = read_foreign(tmp_path / "a", form, "post")
        except InputError:
            return
        assert found.vectors
        assert len({len(vector) for vector in found.vectors.values()}) == 1
        assert all(np.isfinite(vector).all() and vector.any() for vector in found.vectors.values())

    run()


# -- memory ----------------------------------------------------------------------------------------------------------


def peak(reader: Callable, path: Path) -> int:
    """Bytes that reading a file takes at most, whatever comes of it."""
    tracemalloc.start()
    try:
        reader(path)
    except InputError:
        pass
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return most


def bomb(rows: int, width: int, fill: float) -> bytes:
    """A small archive whose array is declared, and unpacks, as a large one."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("vectors.npy", "w") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (rows, width)})
        row = np.full(width, fill, "<f4").tobytes()
        for _ in range(rows):
            stream.write(row)
    return buffer.getvalue()


def many_members(count: int) -> bytes:
    """An archive of nothing but its list of members."""
    head = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 0, 20, 0, *[0] * 4, 0, 0, 0, 3, *[0] * 4, 0, 0)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789_"
    names = itertools.islice(itertools.product(letters, repeat=3), count)
    listed = b"".join(head + "".join(name).encode() for name in names)
    return listed + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count % 65536, count % 65536, len(listed), 0, 0)


def texts(count: int) -> bytes:
    """A GGUF file whose one metadata value is a long list of empty texts."""
    key = struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 8, count)
    return struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + key + bytes(8 * count)


MIB = 1 << 20
HARMFUL = {
    "numbers of two bytes": (read_svec, b'{"directions": {"1": [' + b"1," * (2 * MIB) + b"1]}}"),
    "numbers of four bytes": (read_svec, b'{"directions": {"1": [' + b"0.5," * MIB + b"1]}}"),
    "empty lists": (read_svec, b"[" + b"[]," * MIB + b"[]]"),
    "empty objects": (read_svec, b"[" + b"{}," * MIB + b"{}]"),
    "short texts": (read_svec, b"[" + b'"",' * MIB + b'""]'),
    "one long text": (read_svec, b'{"a": "' + b"a\\n" * MIB + b'"}'),
    "an open text": (read_svec, b'{"a": "' + b"a" * (3 * MIB)),
    "many keys": (read_svec, b"{" + b",".join(b'"%d":1' % n for n in range(300_000)) + b"}"),
    "deep": (read_svec, b"[" * (3 * MIB)),
    "blanks": (read_svec, b"[" + b" " * (3 * MIB) + b"1]"),
    "zeros unpacked": (read_npz, bomb(4096, 20_000, 0.0)),
    "ones unpacked": (read_npz, bomb(4096, 20_000, 1.0)),
    "one wide row": (read_npz, bomb(1, 50_000_000, 1.0)),
    "a long list of members": (read_npz, many_members(50_000)),
    "a long list of texts": (read_gguf, texts(300_000)),
    "one large direction": (read_gguf, make_gguf({"direction.1": [1.0] * 500_000}, keys=KEYS)),
    "all tensors in one place": (
        read_gguf,
        make_gguf(
            {"direction.1": [1.0] * 25_000, **{f"direction.{n}": [1.0] for n in range(2, 4000)}},
            shapes={f"direction.{n}": (25_000,) for n in range(2, 4000)},
            offsets={f"direction.{n}": 0 for n in range(2, 4000)},
        ),
    ),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_reading_takes_at_most_ten_times_the_file(name, tmp_path):
    reader, data = HARMFUL[name]
    path = tmp_path / "a"
    for warm in VALID[reader]:  # what is imported once is not the file's
        path.write_bytes(warm)
        reader(path)
    path.write_bytes(data)
    assert peak(reader, path) < 10 * len(data) + 2 * MIB


def test_a_plain_reader_would_take_more(tmp_path):
    """The control: Python's own parser, and numpy's own reader, on two of these files."""
    _, data = HARMFUL["empty objects"]
    (tmp_path / "a").write_bytes(data)
    assert peak(lambda path: json.loads(path.read_bytes()), tmp_path / "a") > 10 * len(data) + 2 * MIB
    data = bomb(512, 20_000, 1.0)
    (tmp_path / "a.npz").write_bytes(data)
    assert peak(lambda path: np.load(path)["vectors"], tmp_path / "a.npz") > 10 * len(data) + 2 * MIB


def test_a_sparse_archive_is_still_read(tmp_path):
    """One row of eighty, packed: it unpacks to many times its size, in zeros."""
    value = np.zeros((80, 512), np.float32)
    value[40] = np.random.default_rng(0).normal(size=512)
    path = tmp_path / "a.npz"
    path.write_bytes(saved(np.savez_compressed, vectors=value))
    assert value.nbytes > 20 * path.stat().st_size
    found = read_npz(path)
    assert list(found.vectors) == [40]
    assert np.array_equal(found.vectors[40], value[40])


def test_a_damaged_stream_is_refused(tmp_path):
    data = bytearray(saved(np.savez_compressed, vectors=np.random.default_rng(0).normal(size=(4, 64))))
    for at in range(60, len(data) - 120, 7):
        broken = bytes(data[:at]) + bytes([data[at] ^ 0x55]) + bytes(data[at + 1 :])
        read_or_refuse(read_npz, tmp_path / "a", broken)
