"""Fetching against a server of our own: pinned, checked, resumed where it broke, nothing else taken."""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fake_pairs import refusal
from rated_files import lamp as lamp_files

from creativity_lens.ratings import SETS, fetching
from creativity_lens.ratings.fetching import fetch

DATA = {"one.json": bytes(range(256)) * 2000, "two.json": b"second " * 1000}


@dataclass
class Served:
    """What the server sends, how it misbehaves, and what it was asked."""

    port: int = 0
    data: dict[str, bytes] = field(default_factory=lambda: dict(DATA))
    break_after: list[int] = field(default_factory=list)  # bytes of the next answers, after which the line goes dead
    ranges: bool = True
    status: int = 200
    silent: threading.Event | None = None  # until it is set, nothing is answered
    asked: list[tuple[str, str]] = field(default_factory=list)  # path and range


@pytest.fixture
def served() -> Iterator[Served]:
    state = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name, wanted = self.path.rsplit("/", 1)[-1], self.headers.get("Range", "")
            state.asked.append((name, wanted))
            if state.silent is not None:
                state.silent.wait(10)
            body, first = state.data[name], 0
            if state.ranges and wanted:
                first = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if state.status != 200 or first >= len(body):
                self.send_response(416 if state.status == 200 else state.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body) - first))
            self.end_headers()
            part = body[first:]
            with suppress(ConnectionError):  # who has heard enough hangs up
                self.wfile.write(part[: state.break_after.pop(0)] if state.break_after else part)
            self.close_connection = True

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def known(served, tmp_path, monkeypatch):
    """A set of two files that our server has."""
    monkeypatch.setenv("CLENS_CACHE", str(tmp_path))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    files = [
        replace(
            SETS["ttcw"].files[0], name=name, address=f"http://127.0.0.1:{served.port}/commit/{name}",
            sha256=hashlib.sha256(data).hexdigest(), size=len(data),
        )
        for name, data in DATA.items()
    ]  # fmt: skip
    return replace(SETS["ttcw"], files=tuple(files))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_come_whole_and_once(served, known):
    said: list[str] = []
    folder = fetch(known, say=said.append)
    assert folder == known.folder
    assert contents(folder) == DATA
    assert said == ["one.json: 512,000 bytes, checked.", "two.json: 7,000 bytes, checked."]
    assert known.is_fetched
    fetch(known, say=said.append)
    assert said[2:] == ["one.json: there already, checked.", "two.json: there already, checked."]
    assert len(served.asked) == 2, "nothing is asked for again"


def test_a_connection_that_breaks_is_taken_up_where_it_broke(served, known):
    served.break_after = [100 * 4096 + 7, 4096]
    assert contents(fetch(known, say=lambda _: None)) == DATA
    assert served.asked[:3] == [("one.json", ""), ("one.json", "bytes=409600-"), ("one.json", "bytes=413696-")]


def test_what_had_arrived_is_kept_for_the_next_command(served, known):
    served.break_after = [4096, 4096, 4096]
    said = refusal(fetch, known)
    assert "ttcw: one.json could not be fetched: the connection broke" in said
    assert "12,288 bytes are kept: the same command goes on there" in said
    assert contents(known.folder) == {"one.json.part": DATA["one.json"][:12288]}
    assert not known.is_fetched
    assert contents(fetch(known, say=lambda _: None)) == DATA
    assert served.asked[3] == ("one.json", "bytes=12288-")


def test_a_server_without_ranges_starts_again(served, known):
    served.ranges = False
    served.break_after = [4096]
    assert contents(fetch(known, say=lambda _: None)) == DATA
    assert served.asked[1] == ("one.json", "bytes=4096-")


def test_what_was_begun_with_another_file_starts_again(served, known):
    known.folder.mkdir(parents=True)
    (known.folder / "one.json.part").write_bytes(b"x" * 600_000)
    assert contents(fetch(known, say=lambda _: None)) == DATA


def test_a_part_that_is_whole_is_not_asked_for(served, known):
    known.folder.mkdir(parents=True)
    (known.folder / "one.json.part").write_bytes(DATA["one.json"])
    assert contents(fetch(known, say=lambda _: None)) == DATA
    assert served.asked == [("two.json", "")]


def test_another_content_is_kept_aside_and_not_taken(served, known):
    served.data["two.json"] = wrong = b"<html>log in first</html>"
    said = refusal(fetch, known)
    assert "ttcw: two.json is not the file that was published: its checksum differs" in said
    assert f"kept aside as {known.folder / 'two.json.rejected'}, and nothing was imported" in said
    assert contents(known.folder) == {"one.json": DATA["one.json"], "two.json.rejected": wrong}
    assert not known.is_fetched
    served.data["two.json"] = DATA["two.json"]
    assert contents(fetch(known, say=lambda _: None)) == {**DATA, "two.json.rejected": wrong}


def test_a_spoiled_part_is_kept_aside_and_the_next_try_is_clean(served, known):
    known.folder.mkdir(parents=True)
    (known.folder / "one.json.part").write_bytes(b"x" * 10)
    assert "its checksum differs" in refusal(fetch, known)
    assert contents(fetch(known, say=lambda _: None)).keys() == {*DATA, "one.json.rejected"}


def test_a_content_without_end_is_cut(served, known):
    served.data["two.json"] = b"x" * 5_000_000
    assert "its checksum differs" in refusal(fetch, known)
    assert (known.folder / "two.json.rejected").stat().st_size < 200_000


def test_a_file_of_ours_that_is_another_is_replaced(served, known):
    known.folder.mkdir(parents=True)
    (known.folder / "two.json").write_bytes(b"old")
    assert contents(fetch(known, say=lambda _: None)) == DATA


def by_hand(known, said):
    """What to do without a network stands in the one line."""
    for file in known.files:
        assert file.address in said
    assert f"by hand, into {known.folder} (then --ratings ttcw)" in said
    assert "--ratings ttcw=FOLDER" in said


def test_a_server_that_says_no(served, known):
    served.status = 404
    said = refusal(fetch, known)
    assert "one.json could not be fetched: the server answered 404; get http" in said
    by_hand(known, said)
    assert len(served.asked) == 1, "a no is not asked for again"


def test_no_server(known):
    gone = replace(
        known,
        files=tuple(replace(file, address=re.sub(r":\d+/", ":9/", file.address)) for file in known.files),
    )
    said = refusal(fetch, gone)
    assert "one.json could not be fetched: no connection; get http" in said
    by_hand(gone, said)
    assert contents(known.folder) == {}


def test_a_server_that_stays_silent(served, known, monkeypatch):
    monkeypatch.setattr(fetching, "TIMEOUT", 0.05)
    served.silent = threading.Event()
    said = refusal(fetch, known)
    served.silent.set()
    assert "no answer in 0 seconds" in said


def test_a_stop_keeps_what_had_arrived(served, known, monkeypatch):
    def stopped(part, *_):
        part.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "_into", stopped)
    with pytest.raises(KeyboardInterrupt, match="what had arrived is kept"):
        fetch(known)
    assert contents(known.folder) == {"one.json.part": b"half"}


def test_a_cache_that_cannot_be_made(known, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("CLENS_CACHE", str(tmp_path / "file"))
    said = refusal(fetch, known)
    assert "cannot be made" in said
    assert "CLENS_CACHE" in said


@pytest.mark.parametrize("name", ["lamp", "dat"])
def test_what_could_not_be_checked_is_not_fetched(name, tmp_path, monkeypatch):
    monkeypatch.setenv("CLENS_CACHE", str(tmp_path))
    known = SETS[name]
    said = refusal(fetch, known)
    assert said.startswith(f"{name}: cannot be fetched, since its published checksum is not known here; get https://")
    for file in known.files:
        assert file.address in said
    assert f"--ratings {name}=FOLDER" in said
    assert not known.folder.exists()


def test_what_was_put_there_by_hand_is_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("CLENS_CACHE", str(tmp_path))
    lamp_files(SETS["lamp"].folder)
    said: list[str] = []
    assert fetch(SETS["lamp"], say=said.append) == SETS["lamp"].folder
    assert said == ["lamp: there already, put there by hand; its published checksum is not known here."]
