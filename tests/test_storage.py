"""Files at a place are whole, seen at once by others, and never outside it; what is wrong with a place is one line."""

import errno
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import fsspec
import pytest
from fake_pairs import refusal
from fsspec.implementations.memory import MemoryFileSystem
from full_disk import full_disk
from object_store import credentials, forget_connections, no_credentials, object_store

from creativity_lens import files
from creativity_lens.errors import InputError
from creativity_lens.storage import Folder, Remote, Storage, fetch, is_url, local_copy, open_storage, publish, remote

REGISTERED = sys.modules["fsspec.registry"]._registry  # classes that fsspec has found
ODD = "Großes/a b/ü%20+#?&=.cell"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with object_store() as found:
        yield found


@pytest.fixture(autouse=True)
def _empty_memory() -> Iterator[None]:
    yield
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture(params=["folder", "memory", "s3"])
def storage(request, tmp_path) -> Storage:
    if request.param == "s3":
        request.getfixturevalue("endpoint")
        return open_storage(f"s3://bucket/{tmp_path.name}/run")
    return open_storage(tmp_path / "run" if request.param == "folder" else "memory://runs/run")


class Flaky(MemoryFileSystem):
    """A store that fails as often as `failing` says, before or after it did what it was asked.

    It can be slow to look, pay no heed to exclusive writes, and it keeps listings until it is told to forget them.
    """

    protocol = "flaky"
    store: dict = {}  # noqa: RUF012  fsspec's own way: shared by all instances
    pseudo_dirs = [""]  # noqa: RUF012
    failing: list = []  # noqa: RUF012
    asked = 0
    late = slow = heedless = False
    listings: dict = {}  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(path.replace("flaky://", "memory://"))

    def _fail(self):
        type(self).asked += 1
        if self.failing:
            raise self.failing.pop(0)

    def cat_file(self, path, **options):
        self._fail()
        return super().cat_file(path, **options)

    def exists(self, path, **options):
        found = super().exists(path, **options)
        time.sleep(0.01 * self.slow)
        return found

    def find(self, path, **options):
        return self.listings.setdefault(path, super().find(path, **options))

    def invalidate_cache(self, path=None):
        self.listings.clear()

    def pipe_file(self, path, value, mode="overwrite", **options):
        if not self.late:
            self._fail()
        super().pipe_file(path, value, mode="overwrite" if self.heedless else mode, **options)
        if self.late:
            self._fail()


@pytest.fixture
def flaky(monkeypatch) -> Iterator[type[Flaky]]:
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    monkeypatch.setattr(remote, "_WAITS", (0.0, 0.0, 0.0))
    Flaky.store.clear()
    Flaky.failing, Flaky.asked, Flaky.late, Flaky.slow, Flaky.heedless = [], 0, False, False, False
    yield Flaky
    del REGISTERED["flaky"]
    forget_connections()


# -- files at a place ------------------------------------------------------------------------------------------------


def test_every_storage_does_the_same(storage):
    assert isinstance(storage, Storage)
    assert storage.names() == []
    assert storage.read("run.json") is None
    assert not storage.has("run.json")
    storage.delete("run.json")
    for name, data in {"run.json": b"{}", "cells/b.cell": b"\0\xff" * 100, "cells/a.cell": b"", ODD: b"x"}.items():
        storage.write(name, data)
        assert storage.read(name) == data
        assert storage.has(name)
    assert storage.names() == sorted(["run.json", "cells/a.cell", "cells/b.cell", ODD])
    assert storage.names("cells") == ["cells/a.cell", "cells/b.cell"]
    assert storage.names("cell") == [], "a folder, no beginning of a name"
    assert not storage.has("cells"), "a folder is no file"
    storage.write("run.json", b"new")
    assert storage.read("run.json") == b"new"
    storage.delete("cells/a.cell")
    assert storage.names("cells") == ["cells/b.cell"]
    cells = storage.within("cells")
    assert cells.names() == ["b.cell"]
    assert cells.place == f"{storage.place}/cells"
    cells.write("c.cell", b"c")
    assert pickle.loads(pickle.dumps(storage)).read("cells/c.cell") == b"c", "it can be sent to workers"


def test_one_creates_a_name(storage):
    assert storage.create("lease/1", b"mine")
    assert not storage.create("lease/1", b"other")
    assert storage.read("lease/1") == b"mine"
    assert storage.create("lease/1", b"mine"), "asked again, since the answer was lost"
    assert storage.create("lease/2", b"other")
    assert storage.names() == ["lease/1", "lease/2"], "nothing is left of an attempt"


@pytest.mark.parametrize("place", ["folder", "flaky://race"])
def test_one_of_many_threads_creates_a_name(tmp_path, flaky, place):
    flaky.slow = True
    storage = open_storage(tmp_path if place == "folder" else place)
    ready, made = threading.Barrier(8), []

    def create(number):
        ready.wait()
        made.append((storage.create("a", b"%d" % number), number))

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [b"%d" % number for was, number in made if was] == [storage.read("a")]


BAD = ["", "/a", "../a", "a/../b", "a//b", "a/", "./a", "a\\b", "C:/a", "a\nb", "a\0b", "a\ud800", "a" * 901]


@pytest.mark.parametrize("place", ["folder", "memory://bad/run"])
@pytest.mark.parametrize("name", BAD)
def test_names_stay_inside(tmp_path, place, name):
    storage = open_storage(tmp_path / "run" if place == "folder" else place)
    for call in (storage.read, storage.has, storage.delete, storage.within, lambda name: storage.write(name, b"x")):
        assert "expected the name of a file inside its folder" in refusal(call, name)
    assert "inside its folder" in refusal(storage.create, name, b"x")
    assert not any(tmp_path.iterdir())
    assert not MemoryFileSystem.store


def test_others_may_write_there_too(endpoint):
    """Another client's files are seen at once, and those whose names lead outside are not seen."""
    storage = open_storage("s3://bucket/others")
    assert storage.names() == []
    other = fsspec.filesystem("s3", skip_instance_cache=True)
    for name in ("a", "b/../../evil", "b//c", "d"):
        other.pipe_file(f"bucket/others/{name}", b"x")
    assert storage.names() == ["a", "d"]
    assert storage.read("a") == b"x"
    other.rm_file("bucket/others/a")
    assert not storage.has("a"), "not from a listing that was kept"
    assert storage.names() == ["d"]
    assert storage.read("a") is None


def test_listings_are_never_kept(flaky):
    storage = open_storage("flaky://x")
    assert storage.names() == []
    storage.write("a", b"x")
    assert storage.names() == ["a"]


def test_an_object_is_one_request(endpoint, monkeypatch):
    """A resumed run reads thousands of cells."""
    storage = open_storage("s3://bucket/requests")
    storage.write("a", b"x")
    system, asked = remote._connected("s3://bucket", "s3", remote.os.getpid()), []
    real = system._call_s3
    monkeypatch.setattr(
        system, "_call_s3", lambda method, *args, **options: real(asked.append(method) or method, *args, **options)
    )
    assert storage.read("a") == b"x"
    storage.write("a", b"y")
    assert asked == ["get_object", "put_object"]


# -- a local folder --------------------------------------------------------------------------------------------------


def test_full_disk_keeps_the_old_file(tmp_path):
    storage = open_storage(tmp_path)
    storage.write("cells/a", b"old")
    with full_disk(after=1000):
        message = refusal(storage.write, "cells/a", b"x" * 5000)
        again = refusal(storage.create, "cells/b", b"x" * 5000)
    assert message.startswith(f"{tmp_path}/cells/a: could not be written (File too large)")
    assert again.startswith(f"{tmp_path}/cells/b: cannot be made (File too large)")
    assert storage.read("cells/a") == b"old"
    assert [path.name for path in (tmp_path / "cells").iterdir()] == ["a"]


def test_read_only_folder_is_one_line(tmp_path, monkeypatch):
    def refuse(*_args, **_options):  # root may write anywhere, so the refusal is made
        raise PermissionError(errno.EACCES, "Permission denied")

    storage = open_storage(tmp_path)
    for call in (
        lambda: storage.write("a", b"x"),
        lambda: storage.write("new/a", b"x"),
        lambda: storage.create("a", b"x"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(files.os, "open", refuse)
            patch.setattr(Path, "open", refuse)
            patch.setattr(Path, "mkdir", refuse)
            assert "(Permission denied); choose another place." in refusal(call)
    assert not any(tmp_path.iterdir())


def test_folders_in_the_way_are_one_line(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    storage = open_storage(tmp_path)
    assert "cannot be read (Is a directory)" in refusal(storage.read, "folder")
    assert "cannot be deleted" in refusal(storage.delete, "folder")
    assert "got a folder" in refusal(storage.write, "folder", b"x")
    assert not storage.create("folder", b"x")
    assert "the folder cannot be made (" in refusal(storage.write, "file/a", b"x")
    assert storage.read("file/a") is None
    assert storage.names("file") == []


def test_what_a_killed_process_left_is_no_file(tmp_path):
    storage = open_storage(tmp_path)
    storage.write("a", b"x")
    (tmp_path / ".a.0123abcd.partial").write_bytes(b"half")
    assert storage.names() == ["a"]


def test_a_disk_without_links_still_creates_one(tmp_path, monkeypatch):
    def refuse(*_args):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    storage = open_storage(tmp_path)
    assert storage.create("a", b"mine")
    assert not storage.create("a", b"other")
    assert storage.read("a") == b"mine"
    assert storage.names() == ["a"]


# -- URLs ------------------------------------------------------------------------------------------------------------


def test_urls_are_told_from_paths():
    for place in ("s3://b/x", "S3://b", "gs://b", "memory://", "file:///x", "abfs://a@b/c", Path("s3://bucket/x")):
        assert is_url(place), place
    for place in ("runs/a", "C:/runs", "C:\\runs", "c://runs", "/a://b", "s3", "s3:", "a:b", "./s3://b", Path("runs")):
        assert not is_url(place), place


def test_urls_are_opened_where_they_point(tmp_path, endpoint):
    assert open_storage(f"file://{tmp_path}") == Folder(f"file://{tmp_path}", tmp_path)
    assert open_storage(Path("s3://bucket/x")) == open_storage("S3://bucket/x/") == open_storage("s3://bucket/x")
    assert open_storage("s3a://bucket/x").root == "bucket/x"
    top = open_storage("s3://bucket")
    top.write("top/a", b"x")
    assert "top/a" in top.names()
    memory = open_storage("memory://")
    memory.write("a", b"x")
    assert memory.names() == ["a"]


REFUSED = {
    "ss3://b/x": "ss3://b: unknown scheme 'ss3'; expected one of s3, gs, az, memory, file, sftp, http, https. Did you",
    "gss://b/x": "Did you mean 'gs'?",
    "nothing-like-it://b": "unknown scheme 'nothing-like-it'",
    "simplecache::s3://b": "unknown scheme 'simplecache::s3'",
    "s3://": "s3://: expected a bucket, as in s3://bucket/runs/mine.",
    "s3:///runs/x": "expected a bucket",
    "gs://": "expected a bucket, as in gs://bucket/runs/mine.",
    "file://host/x": "expected a local folder as file:///folder/run; got a host, 'host'.",
    "data://x": "cannot be listed",
    "jupyter://x": "cannot be opened",
}


@pytest.mark.parametrize("url", REFUSED)
def test_wrong_urls_are_refused(url):
    assert REFUSED[url] in refusal(open_storage, url)


def test_a_password_is_refused_and_not_repeated():
    message = refusal(open_storage, "sftp://user:secret@host/x")
    assert "sftp://...@host/x: holds a password" in message
    assert "secret" not in message


@pytest.mark.parametrize(("scheme", "package"), [("s3", "s3fs"), ("gs", "gcsfs")])
def test_a_missing_package_is_named(monkeypatch, scheme, package):
    forget_connections()
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(REGISTERED, scheme, raising=False)
    message = refusal(open_storage, f"{scheme}://bucket/x")
    assert message.endswith(f"which is not installed; run {remote.INSTALL}.")
    assert "creativity-lens[storage]" in remote.INSTALL


def test_nothing_is_imported_before_a_url_is_opened():
    code = "import sys, creativity_lens.storage, creativity_lens.leases; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"fsspec", "s3fs", "numpy"} & set(done.stdout.split())
    assert "creativity_lens.storage.remote" in done.stdout.split()


# -- stores that refuse ----------------------------------------------------------------------------------------------


def test_no_credentials_are_one_line(endpoint):
    with pytest.MonkeyPatch.context() as patch:
        no_credentials(patch)
        message = refusal(open_storage, "s3://bucket/x")
        assert message.startswith("s3://bucket/x: no credentials that it takes (")
        assert message.endswith("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.")
        patch.setenv("AWS_PROFILE", "nobody")
        forget_connections()
        assert "no credentials that it takes (The config profile (nobody)" in refusal(open_storage, "s3://bucket/x")
    forget_connections()


def test_a_bucket_that_is_not_there_is_one_line(endpoint):
    expected = "s3://nowhere/x: no such bucket; make it first, or check its name and AWS_ENDPOINT_URL."
    assert refusal(open_storage, "s3://nowhere/x") == expected
    gone = Remote("s3://nowhere/x", "s3", "s3://nowhere", "nowhere/x")  # deleted since it was opened
    for call in (gone.names, lambda: gone.read("a"), lambda: gone.write("a", b""), lambda: gone.create("a", b"")):
        assert refusal(call) == expected
    assert "Invalid bucket name" in refusal(open_storage, "s3://no bucket/x")


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that gives one answer to all requests; its URL."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if self.command != "HEAD" else b"")

        do_HEAD = do_PUT = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            credentials(patch, f"http://127.0.0.1:{server.server_port}")
            yield f"http://127.0.0.1:{server.server_port}"
    finally:
        forget_connections()
        server.shutdown()
        thread.join()
        server.server_close()


def test_no_permission_is_one_line():
    with answering(403, b"<Error><Code>AccessDenied</Code><Message>Access\nDenied</Message></Error>"):
        message = refusal(open_storage, "s3://bucket/x")
    assert message == (
        "s3://bucket/x: may not be listed with these credentials (Access Denied); expected rights to list, read, write "
        "and delete there."
    )


def test_a_store_that_does_not_answer_is_one_line(monkeypatch):
    with answering(200, b"") as there:
        pass  # the port is free again
    monkeypatch.setitem(remote._OPTIONS["s3"]["config_kwargs"], "retries", {"total_max_attempts": 1})
    credentials(monkeypatch, there)
    message = refusal(open_storage, "s3://bucket/x")
    assert message.startswith(f's3://bucket/x: cannot be reached (Could not connect to the endpoint URL: "{there}')
    assert message.endswith("check the network, and AWS_ENDPOINT_URL where the store is not Amazon's.")
    forget_connections()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    assert "cannot be listed (Invalid endpoint: nonsense)" in refusal(open_storage, "s3://bucket/x")
    forget_connections()


def test_what_fails_in_passing_is_asked_again(flaky):
    storage = open_storage("flaky://x")
    flaky.failing = [ConnectionResetError("reset"), TimeoutError("late"), OSError(errno.EBUSY, "Slow down")]
    storage.write("a", b"x")
    assert flaky.asked == 4
    flaky.failing = [ConnectionResetError("reset")]
    assert storage.read("a") == b"x"
    flaky.asked, flaky.failing = 0, [ConnectionResetError("reset")] * 9
    assert refusal(storage.read, "a") == "flaky://x: cannot be reached (reset); check the network."
    assert flaky.asked == 4, "bounded"
    flaky.asked, flaky.failing = 0, [PermissionError("no")] * 9
    assert "may not be read" in refusal(storage.read, "a")
    assert flaky.asked == 1, "this would not pass"


def test_a_lost_answer_does_not_lose_what_was_created(flaky):
    storage, flaky.late, flaky.failing = open_storage("flaky://x"), True, [ConnectionResetError("reset")]
    assert storage.create("a", b"mine")
    assert not storage.create("a", b"other")


def test_a_bare_code_says_that_a_name_is_taken(flaky):
    error = OSError(errno.EINVAL, "At least one of the pre-conditions you specified did not hold")
    error.__cause__ = Exception()
    error.__cause__.response = {"Error": {"Code": "PreconditionFailed"}}
    storage, flaky.failing = open_storage("flaky://x"), [error]
    assert not storage.create("a", b"mine")
    assert flaky.failing == []


def test_a_store_that_knows_no_exclusive_writes_still_looks_first(flaky):
    storage, flaky.failing = open_storage("flaky://x"), [NotImplementedError()]
    assert storage.create("a", b"mine")
    assert flaky.asked == 2
    assert not storage.create("a", b"other")


def test_a_store_that_pays_no_heed_to_exclusive_writes_is_looked_at_first(flaky):
    storage, flaky.heedless = open_storage("flaky://x"), True
    assert storage.create("a", b"mine")
    assert not storage.create("a", b"other")
    assert storage.read("a") == b"mine"


# -- copies ----------------------------------------------------------------------------------------------------------


def test_files_are_published_once_and_fetched_back(tmp_path):
    storage, here, there = open_storage("memory://published"), tmp_path / "here", tmp_path / "there"
    (here / "deep").mkdir(parents=True)
    names = ["run.json", "deep/a", "absent", "published.json"]
    (here / "run.json").write_bytes(b"{}")
    (here / "deep/a").write_bytes(b"a")
    (here / "published.json").write_bytes(b"of an earlier time")
    assert publish(here, storage, names) == ("run.json", "deep/a")
    assert publish(here, storage, names) == ()
    (here / "run.json").write_bytes(b'{"a": 1}')
    assert publish(here, storage, names) == ("run.json",)
    storage.delete("deep/a")
    assert publish(here, storage, names) == ("deep/a",), "it was removed there"
    assert storage.names() == ["deep/a", "published.json", "run.json"]

    assert fetch(storage, there, names) == ("run.json", "deep/a")
    assert fetch(storage, there, names) == ()
    assert {path.name: path.read_bytes() for path in there.rglob("*") if path.is_file()} == {
        "run.json": b'{"a": 1}',
        "a": b"a",
    }
    assert "inside its folder" in refusal(publish, here, storage, ["../here/run.json"])
    assert "inside its folder" in refusal(fetch, storage, there, ["../evil"])


def test_a_changed_file_is_not_fetched(tmp_path):
    storage = open_storage("memory://changed")
    (tmp_path / "a").write_bytes(b"published")
    publish(tmp_path, storage, ["a"])
    storage.write("a", b"Published")
    message = refusal(fetch, storage, tmp_path / "there", ["a"])
    assert message.startswith("memory://changed/a: its bytes are not those that were published")
    assert not (tmp_path / "there").exists()
    storage.write("published.json", b"[" * 100_000)
    assert fetch(storage, tmp_path / "there", ["a"]) == ("a",), "without sums nothing can be compared"


def test_publishing_that_is_broken_off_leaves_no_wrong_sum(tmp_path, monkeypatch):
    storage = open_storage("memory://broken")
    real = Remote.write

    def write(self, name, data):
        if name == "b":
            raise InputError("no more room")
        real(self, name, data)

    for content in (b"old", b"new"):
        (tmp_path / "a").write_bytes(content)
        (tmp_path / "b").write_bytes(content)
        if content == b"old":
            publish(tmp_path, storage, ["a", "b"])
    with monkeypatch.context() as patch:
        patch.setattr(Remote, "write", write)
        assert refusal(publish, tmp_path, storage, ["a", "b"]) == "no more room"
    assert fetch(storage, tmp_path / "there", ["a", "b"]) == ("a", "b"), "no sum contradicts them"
    assert (tmp_path / "there/a").read_bytes() == b"new"
    assert (tmp_path / "there/b").read_bytes() == b"old"
    assert publish(tmp_path, storage, ["a", "b"]) == ("a", "b")


def test_a_file_of_a_url_is_read_as_a_local_one(endpoint, tmp_path):
    open_storage("s3://bucket/in").write("my pairs.jsonl", b"rows")
    with local_copy("s3://bucket/in/my pairs.jsonl") as file:
        assert file.read_bytes() == b"rows"
        assert file.name == "my_pairs.jsonl", "readers look at the ending"
        copy = file
    assert not copy.parent.exists()
    with local_copy(tmp_path / "not there") as file:
        assert file == tmp_path / "not there", "a local path is the reader's to judge"

    def read(url, **options):
        with local_copy(url, **options) as file:
            raise InputError(f"{file}:1: not JSON")

    assert refusal(read, "s3://bucket/in/my pairs.jsonl") == "s3://bucket/in/my pairs.jsonl:1: not JSON"
    with pytest.raises(InputError, match="larger than 3 bytes, the most that is fetched"):
        read("s3://bucket/in/my pairs.jsonl", largest=3)
    assert refusal(read, "s3://bucket/in/none.jsonl") == "s3://bucket/in/none.jsonl: no such file; check the URL."
    assert "no such file" in refusal(read, "s3://bucket/in"), "a folder"
    assert "no such bucket" in refusal(read, "s3://nowhere/in/a")
    assert "memory://in: no such file, or no answer; check the URL." in refusal(read, "memory://in")
