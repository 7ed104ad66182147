"""Word vectors are read as a stream: the asked ones, exactly. A file that is not whole is refused."""

import gzip
import tracemalloc
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from fake_pairs import refusal
from hypothesis import given
from hypothesis import strategies as some
from word_vectors import lines_of, orthogonal, written

from creativity_lens import glove
from creativity_lens.errors import InputError
from creativity_lens.glove import check_glove, read_glove

SMALL = {
    "river": [0.5, -1.0, 2.25],
    "tax": [1.0, 0.0, 0.0],
    ", .": [3.0, 3.0, 3.0],
    "at name@domain.com": [9.0, 9.0, 9.0],
}
SMALL |= {"at": [0.25, 0.5, 0.75], "caf\u00e9": [7.0, 8.0, 9.0], "nothing": [0.0, 0.0, 0.0], "River": [4.0, 4.0, 4.0]}


def test_the_asked_words_are_read_as_they_stand(tmp_path):
    found = read_glove(written(tmp_path / "a.txt", SMALL), ["river", "at", "caf\u00e9", "no", "nothing", ","])
    assert (found.name, found.width, found.rows) == ("a.txt", 3, 8)
    assert found.id == "a.txt (8 words, 3 wide)"
    assert not found.is_published
    assert {word: row.tolist() for word, row in found.vectors.items()} == {
        "river": [0.5, -1.0, 2.25],
        "at": [0.25, 0.5, 0.75],  # not the row of "at name@domain.com", which comes first
        "caf\u00e9": [7.0, 8.0, 9.0],
    }, "zeros have no direction, and lower case is not made here"
    assert all(row.dtype == np.float32 for row in found.vectors.values())
    assert check_glove(tmp_path / "a.txt") == 3


def test_numbers_are_read_to_the_last_digit(tmp_path):
    rows = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32) * 1e-3
    text = "".join(f"w{n} {' '.join(repr(float(x)) for x in row)}\n" for n, row in enumerate(rows))
    (tmp_path / "a.txt").write_text(text)
    found = read_glove(tmp_path / "a.txt", [f"w{n}" for n in range(50)])
    np.testing.assert_array_equal(np.stack([found.vectors[f"w{n}"] for n in range(50)]), rows)


@pytest.mark.parametrize("form", ["header", "trailing spaces", "crlf", "gz", "zip"])
def test_other_forms_of_the_same_file(tmp_path, form):
    plain = lines_of(SMALL)
    path = tmp_path / ("a.zip" if form == "zip" else "a.txt.gz" if form == "gz" else "a.txt")
    if form == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.txt", plain)
    elif form == "gz":
        path.write_bytes(gzip.compress(plain.encode()))
    else:
        changed = {"header": f"{len(SMALL)} 3\n{plain}", "crlf": plain.replace("\n", "\r\n")}
        path.write_bytes(changed.get(form, plain.replace("\n", " \n")).encode())
    found = read_glove(path, ["river", "at"])
    assert (found.rows, found.width) == (8, 3)
    assert found.vectors["at"].tolist() == [0.25, 0.5, 0.75]
    assert check_glove(path) == 3


def test_the_first_of_two_rows_counts(tmp_path):
    (tmp_path / "a.txt").write_text("a 1 2\nb 3 4\na 5 6\n")
    assert read_glove(tmp_path / "a.txt", ["a"]).vectors["a"].tolist() == [1.0, 2.0]


def test_memory_does_not_grow_with_the_file(tmp_path):
    """A limit that reading all rows would pass by far: the larger file has 12 MB of text."""
    row = " ".join(f"{x:.4f}" for x in np.random.default_rng(0).normal(size=40))
    peaks = []
    for rows in (10_000, 40_000):
        path = tmp_path / f"{rows}.txt"
        path.write_text("".join(f"w{n} {row}\n" for n in range(rows)))
        read_glove(path, ["w1"])  # imports that the first call makes
        tracemalloc.start()
        found = read_glove(path, [f"w{n}" for n in range(0, 10_000, 100)])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(found.vectors) == 100
    assert peaks[1] < 1.2 * peaks[0] < 1e6


@pytest.mark.parametrize("header", ["", "4 3\n"])
def test_a_file_is_refused_wherever_it_is_cut(tmp_path, header):
    rows = {word: row for word, row in SMALL.items() if word in ("river", "tax", "at", "River")}
    whole = (header + lines_of(rows)).encode()
    path = tmp_path / "a.txt"
    path.write_bytes(whole)
    assert len(read_glove(path, rows).vectors) == 4
    borders = set()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with suppress(InputError):
            read_glove(path, rows)
            borders.add(end)
    ends = {place + 1 for place, byte in enumerate(whole[:-1]) if byte == ord("\n")}
    assert borders == (set() if header else ends), "between two rows nothing shows, unless a header counts them"


def test_a_cut_archive_is_refused(tmp_path):
    plain = lines_of({f"w{n}": row for n, row in enumerate(np.random.default_rng(0).normal(size=(500, 5)))}).encode()
    packed = gzip.compress(plain)
    path = tmp_path / "a.gz"
    for share in (0.1, 0.5, 0.99):
        path.write_bytes(packed[: int(share * len(packed))])
        assert "get it whole" in refusal(read_glove, path, ["w1"])
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", plain)
    whole = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(whole[: len(whole) // 2])
    assert "cannot be unpacked" in refusal(read_glove, tmp_path / "a.zip", ["w1"])
    (tmp_path / "a.zip").write_bytes(whole.replace(b"w250 ", b"x250 "))
    assert "damaged or cut short" in refusal(read_glove, tmp_path / "a.zip", ["w1"]), "its checksum says so"
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("a.txt", plain)
        archive.writestr("b.txt", plain)
    assert "expected one .txt or .vec file inside, got 2" in refusal(read_glove, tmp_path / "b.zip", ["w1"])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no vectors"),
        (b"2 3\n", "no vectors"),
        (b"a 1 2 3\nb 1 2\n" + b"c 1 2 3\n" * 300, "a.txt:2: expected a word and 3 numbers, as most of"),
        (b"a 1 2 3\n" * 300 + b"b 1 2\n" + b"a 1 2 3\n", "a.txt:301: expected a word and 3 numbers, as most of"),
        (b"a 1 x 3\n", "expected word vectors as text"),
        (b"b 1 2 3\na 1 x 3\n", "a.txt:2: expected a number, got 'x'"),
        (b"b 1 2 3\na 1 nan 3\n", "a.txt:2: expected a number, got 'nan'"),
        (b"b 1 2 3\na 1 1e99 3\n", "a.txt:2: expected finite numbers"),
        (b"b 1 2 3\na 1 2 3", "the last row is not whole: the file is cut short"),
        (b"3 3\nb 1 2 3\na 1 2 3\n", "expected 3 rows, as its header says, got 2"),
        (b"once upon a time\nthere was\n", "expected word vectors as text"),
        (b"\x80\x04\x95 pickle\n", "got a binary file"),
        (b"\x93NUMPY\x01\n", "got a binary file"),
        (b"a 1 2\n" + b"x" * 70_000 + b"\n", "a.txt:2: a line longer than 65,536 bytes"),
        (b"9" * 5000 + b" 3\na 1 2 3\n", "a.txt"),
        (b"PK\x03\x04 and no more", "cannot be unpacked"),
        (b"\x1f\x8b and no more", "a.txt"),
    ],
)  # fmt: skip
def test_bad_files_are_refused(tmp_path, data, said):
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    assert said in refusal(read_glove, path, ["a"])


def test_folders_and_missing_files_are_refused(tmp_path):
    assert "got a folder" in refusal(read_glove, tmp_path, [])
    assert "no such file" in refusal(check_glove, tmp_path / "no.txt")


def test_the_published_file_is_known_by_its_rows(tmp_path, monkeypatch):
    path = written(tmp_path / "glove.840B.300d.txt", orthogonal())
    assert "expected 2,196,017 rows, as the published file of that name has, got 10" in refusal(
        read_glove, path, ["tax"]
    )
    monkeypatch.setattr(glove, "PUBLISHED_ROWS", 10)
    assert not read_glove(path, ["tax"]).is_published, "300 wide too"
    monkeypatch.setattr(glove, "PUBLISHED_WIDTH", 10)
    assert read_glove(path, ["tax"]).is_published


@given(data=some.binary(max_size=100), start=some.sampled_from([b"", b"a 1 2\n", b"\x1f\x8b", b"PK\x03\x04", b"1 2\n"]))
def test_no_file_gives_a_traceback(tmp_path_factory, data, start):
    path = tmp_path_factory.mktemp("glove") / "a.txt"
    path.write_bytes(start + data)
    for call in (lambda: check_glove(path), lambda: read_glove(path, ["a"])):
        with suppress(InputError):
            call()
