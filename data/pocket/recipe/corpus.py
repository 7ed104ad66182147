"""The corpora, `NAME.jsonl.gz` with one {"source": ..., "paragraphs": [...]} a line, and their split into passages."""

import gzip
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from creativity_lens.errors import InputError
from creativity_lens.files import whole_file

COPIES = {"imaginative": 1, "novels": 1, "plain": 1, "simple": 3}  # how often a pass over the corpora sees each text

# The shipped weights also saw a book that is not in the corpora (the card says which). Its 80 passages, which followed
# this document, keep their places in the shuffle, so that what is held out is what those weights never saw.
WITHDRAWN_AFTER, WITHDRAWN = ("novels", "sketches"), 80


class Document(NamedTuple):
    """A book, a web page or a story."""

    source: str
    paragraphs: list[str]


class Passage(NamedTuple):
    """A run of paragraphs of one document: short, so that registers mix within a batch."""

    collection: str
    text: str


def write_collection(folder: Path, name: str, documents: Iterable[Document]) -> None:
    """Write `NAME.jsonl.gz` whole; the same documents give the same bytes (there is no time stamp inside)."""
    lines = "".join(json.dumps(document._asdict()) + "\n" for document in documents)
    with whole_file(folder / f"{name}.jsonl.gz") as path:
        path.write_bytes(gzip.compress(lines.encode(), mtime=0))


def read_collection(folder: Path, name: str) -> list[Document]:
    """Read `NAME.jsonl.gz`, or say what is wrong with it."""
    path = folder / f"{name}.jsonl.gz"
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        return [Document(row["source"], row["paragraphs"]) for row in rows]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make the corpora with `python -m recipe.prepare`.") from None
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected gzipped JSONL with source and paragraphs; got {error!r}.") from None


def cut_passages(paragraphs: list[str], size: int = 1500) -> list[str]:
    """Paragraphs joined by line breaks until there are more than `size` characters; the last passage may be shorter."""
    passages: list[str] = []
    run: list[str] = []
    for paragraph in paragraphs:
        run.append(paragraph)
        if sum(map(len, run)) > size:
            passages.append("\n".join(run))
            run = []
    return [*passages, "\n".join(run)] if run else passages


def split_passages(corpus: Path, *, held_out: int = 400, seed: int = 0) -> tuple[list[Passage], list[Passage]]:
    """Train and held-out passages: all are shuffled, the first `held_out` (at most a tenth) are held out.

    No copy of a held-out passage stays in train, but other passages of the same book do.
    """
    places: list[Passage | None] = []  # None: a withdrawn passage
    for name, copies in COPIES.items():
        for document in read_collection(corpus, name):
            for text in cut_passages(document.paragraphs):
                places += [Passage(name, text)] * copies
            if (name, document.source) == WITHDRAWN_AFTER:
                places += [None] * WITHDRAWN
    random.Random(seed).shuffle(places)
    cut = min(held_out, len(places) // 10)
    held = [passage for passage in places[:cut] if passage]
    if not held:
        raise InputError(f"{corpus}: expected at least 10 passages of text, got {len(places)}; bring more.")
    hidden = set(held)
    return [passage for passage in places[cut:] if passage and passage not in hidden], held
