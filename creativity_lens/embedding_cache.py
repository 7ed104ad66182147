"""Vectors of texts on disk: one SQLite file in the cache folder, which several processes may share.

A vector is found by the weights that made it and the text it is of. The cache only saves time, and may be deleted: a
file that is damaged is set aside, one that cannot be opened or written is done without, and both are said in a warning.
"""

import hashlib
import os
import secrets
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from creativity_lens.files import cache_folder

FILE = "embeddings.sqlite"
_FORMAT = 1  # of the file, kept as SQLite's user_version
_WAIT = 30.0  # seconds for another process to finish its writing
_AT_ONCE = 500  # keys in one question: SQLite allows 999 in its oldest versions
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}  # the last: a table is not there
_TABLES = (
    "CREATE TABLE embedders (identity TEXT PRIMARY KEY, width INTEGER NOT NULL, longest INTEGER NOT NULL)",
    "CREATE TABLE vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL, cut INTEGER NOT NULL) WITHOUT ROWID",
)

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Stored:
    """The vector of one text."""

    vector: Float[np.ndarray, " dim"]  # float32, unit length
    cut: bool  # whether the text is longer than what the embedder reads


def key_of(identity: str, text: str) -> bytes:
    """SHA-256 over the weights' identity and the text."""
    return hashlib.sha256(f"{len(identity)}:{identity}".encode() + text.encode()).digest()


class EmbeddingCache:
    """The vectors of one embedder; `identity` stands for everything that shapes them."""

    def __init__(self, identity: str, path: Path | None = None) -> None:
        self.identity = identity
        self.path = cache_folder() / FILE if path is None else path

    def about(self) -> tuple[int, int] | None:
        """Width of the vectors and the most tokens that the embedder reads (0: no limit); None where not known."""
        question = "SELECT width, longest FROM embedders WHERE identity = ?"
        found = self._use(lambda base: base.execute(question, (self.identity,)).fetchone(), reading=True)
        return None if found is None else (int(found[0]), int(found[1]))

    def keep_about(self, width: int, longest: int) -> None:
        """Remember what `about` tells."""
        row = (self.identity, width, longest)
        self._use(lambda base: base.execute("INSERT OR REPLACE INTO embedders VALUES (?, ?, ?)", row))

    def read(self, texts: Sequence[str], width: int) -> dict[str, Stored]:
        """What is known of some texts; a vector of another width or not of unit length counts as not known."""
        keys = {key_of(self.identity, text): text for text in texts}

        def ask(base: sqlite3.Connection) -> dict[str, Stored]:
            found = {}
            asked = list(keys)
            for start in range(0, len(asked), _AT_ONCE):
                some = asked[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                for key, blob, cut in base.execute(
                    f"SELECT key, vector, cut FROM vectors WHERE key IN ({marks})", some
                ):
                    if isinstance(blob, bytes) and len(blob) == 4 * width:
                        vector = np.frombuffer(blob, "<f4").astype(np.float32)
                        if abs(float(vector @ vector) - 1) < 1e-3:  # False for NaN too
                            found[keys[key]] = Stored(vector, bool(cut))
            return found

        return (self._use(ask, reading=True) or {}) if keys else {}

    def write(self, found: dict[str, Stored]) -> None:
        """Keep vectors, whole or not at all; what stood there of the same texts is replaced."""
        rows = [
            (key_of(self.identity, text), stored.vector.astype("<f4").tobytes(), int(stored.cut))
            for text, stored in found.items()
        ]
        self._use(lambda base: base.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows))

    def _use(self, work: Callable[[sqlite3.Connection], T], *, reading: bool = False) -> T | None:
        """What `work` returns, in one transaction; None where the file is not there to be read or cannot be used."""
        for attempt in (1, 2):
            if reading and not os.path.exists(self.path):
                return None
            try:
                with _opened(self.path) as base:
                    return work(base)
            except sqlite3.DatabaseError as error:
                if attempt == 1 and _is_damaged(error) and self._set_aside(str(error)):
                    continue
                self._do_without(str(error))
            except OSError as error:
                self._do_without(error.strerror or str(error))
            break
        return None

    def _set_aside(self, reason: str) -> bool:
        aside = self.path.with_name(f"{self.path.name}.damaged-{secrets.token_hex(4)}")
        try:
            self.path.replace(aside)
            self.path.with_name(f"{self.path.name}-journal").unlink(missing_ok=True)  # it would spoil the new file
        except FileNotFoundError:
            return True  # another process was faster
        except OSError:
            return False
        warnings.warn(
            f"{self.path}: damaged ({reason}); set aside as {aside.name}, embeddings are computed again.", stacklevel=5
        )
        return True

    def _do_without(self, reason: str) -> None:
        warnings.warn(
            f"{self.path}: embeddings are not cached ({reason}); CLENS_CACHE names another folder.", stacklevel=5
        )


def _is_damaged(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGED


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection in a transaction, which is kept on success and taken back on any exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=_WAIT)) as base:
        if base.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
            _lay_out(base)
        with base:
            yield base


def _lay_out(base: sqlite3.Connection) -> None:
    """Make the tables, unless another process did so meanwhile; those of another format are dropped."""
    base.execute("BEGIN IMMEDIATE")
    with base:
        if base.execute("PRAGMA user_version").fetchone()[0] == _FORMAT:
            return
        for table in ("embedders", "vectors"):
            base.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in _TABLES:
            base.execute(statement)
        base.execute(f"PRAGMA user_version = {_FORMAT}")
