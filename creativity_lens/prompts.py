"""Contrastive pairs and writing prompts: the nouns, their JSONL files, and splits by whole topics.

It guarantees that a loaded file is sound (every field there, typed, not empty and writable as UTF-8, every id once,
every topic on one side), that a topic is never divided between two parts, and that every split depends on the rows and
the seed alone, never on the order of the rows. Else it raises an `InputError` with the file, the line and the field.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from creativity_lens.errors import InputError, check_choice
from creativity_lens.files import data_folder, sha256_text, write_text
from creativity_lens.html_tables import html_table
from creativity_lens.rows import (
    check_all_or_none,
    check_fields,
    check_once,
    checked_choice,
    checked_name,
    checked_text,
    parse_row,
    read_lines,
)
from creativity_lens.storage import local_copy

KINDS = ("premise", "manner", "response")
SPLITS = ("train", "dev", "test")
CONTROLS = ("register", "sentiment", "formality")
ADVERSARIAL = "adversarial"
GATE = "gate_pairs"
SHIPPED = (ADVERSARIAL, *(f"control_{name}" for name in CONTROLS), GATE)  # beside the pairs themselves

_FEWEST_PAIRS = 8
_FEWEST_CLUSTERS = 8  # no interval is given below 8 clusters, so the test split gets 8 topics as soon as it can


@dataclass(frozen=True, slots=True)
class ContrastivePair:
    """One row: the same content asked for and answered in two ways.

    `kind` says where the sides differ: "premise" (what happens), "manner" (how it is asked to be told), or "response"
    (only in the answers; the three instructions are equal). `split` is "train", "dev", "test", or None: not yet split.
    """

    id: str
    topic: str
    domain: str
    kind: str
    split: str | None
    neutral: str
    creative: str
    boring: str
    creative_response: str
    boring_response: str

    def __repr__(self) -> str:
        return f"ContrastivePair({self.id!r}, {self.kind}, split {self.split})"

    def _repr_html_(self) -> str:
        rows = [
            ["instruction", self.creative, self.boring],
            ["response", self.creative_response, self.boring_response],
        ]
        title = f"{self.id}: topic {self.topic}, domain {self.domain}, kind {self.kind}, split {self.split}"
        return html_table(title, ["", "creative", "boring"], rows, f"Neutral instruction: {self.neutral}")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A neutral writing prompt to generate texts for; `split` is "dev" (to choose), "test" (read once), or None."""

    id: str
    split: str | None
    text: str


_FIELDS = tuple(field.name for field in fields(ContrastivePair))
_TEXTS = _FIELDS[5:]


def load_pairs(path: str | Path | None = None) -> list[ContrastivePair]:
    """Read and check a JSONL file of pairs, here or at a URL; None is the set that ships with the package.

    Every row has exactly the fields of `ContrastivePair`, in any order (`"split": null` where there is none). Either
    all rows name a split or none does. Raises `InputError` at the first row that is not sound.

    >>> load_pairs()[0].kind
    'premise'
    """
    with local_copy(path if path is not None else data_folder() / "contrastive_pairs" / "pairs.jsonl") as file:
        return _read_pairs(file)


def _read_pairs(file: Path) -> list[ContrastivePair]:
    numbered = []
    for number, line in read_lines(file, "a JSONL file of contrastive pairs"):
        where = f"{file}:{number}"
        numbered.append((number, _checked_pair(where, parse_row(where, line))))
    check_once(file, "id", [(number, pair.id) for number, pair in numbered])
    _check_splits(str(file), numbered)
    if len(numbered) < _FEWEST_PAIRS:
        raise InputError(f"{file}: expected at least {_FEWEST_PAIRS} pairs, got {len(numbered)}; add more.")
    return [pair for _, pair in numbered]


def load_control(name: str) -> list[ContrastivePair]:
    """The pairs of a positive control, a concept known to be in a model: "register" or "sentiment".

    The `creative` side holds the imaginative register, or the positive sentiment; the `boring` side its opposite.
    """
    check_choice("control", name, CONTROLS)
    return load_shipped(f"control_{name}")


def load_shipped(name: str) -> list[ContrastivePair]:
    """One of the `SHIPPED` files beside the pairs.

    "adversarial" holds the pairs that a score of surface features gets wrong; their `domain` is the contrast, their
    `creative` side the one that should score higher. "gate_pairs" holds requests alone: creative ones against factual,
    arithmetic and safety-critical ones, which `domain` names; the two responses of a pair are equal.
    """
    check_choice("file", name, SHIPPED)
    return load_pairs(data_folder() / "contrastive_pairs" / f"{name}.jsonl")


def write_pairs(path: str | Path, pairs: Sequence[ContrastivePair]) -> None:
    """Write pairs as JSONL, whole or not at all; a file written here is read and written again with equal bytes."""
    for number, pair in enumerate(pairs, start=1):
        _checked_pair(f"pair {number}", _row(pair))
    write_text(Path(path), _canonical(pairs))


def write_template(path: str | Path) -> None:
    """Write a file of three empty pairs, one of each kind, to fill in; an existing file is refused."""
    if Path(path).exists():
        raise InputError(f"{path}: exists already; expected a new file: choose another name.")
    rows: list[dict[str, str | None]] = [{**dict.fromkeys(_FIELDS, ""), "kind": kind, "split": None} for kind in KINDS]
    write_text(Path(path), "".join(json.dumps(row) + "\n" for row in rows))


def fingerprint(pairs: Sequence[ContrastivePair]) -> str:
    """Hex SHA-256 of the bytes that `write_pairs` would write: it changes with any text and with the order."""
    return hashlib.sha256(_canonical(pairs).encode("utf-8", "surrogatepass")).hexdigest()


def read_prompts(path: str | Path) -> list[Prompt]:
    """The prompts of a file, in its order, whatever their splits: JSONL with `text`, or plain text, one prompt a line.

    Optional fields are `id` and `split` ("dev" or "test", on all rows or on none). A prompt without an id is named
    after its text, so that it keeps its name when other rows are added or moved. Blank lines are passed over.
    """
    file = Path(path)
    lines = read_lines(file, "a file of prompts (JSONL, or plain text with one prompt a line)")
    is_jsonl = file.suffix.lower() in {".json", ".jsonl", ".ndjson"} or lines[0][1].lstrip().startswith("{")
    numbered = []
    for number, line in lines:
        where = f"{file}:{number}"
        row = parse_row(where, line) if is_jsonl else {"text": line.strip()}
        check_fields(where, row, required=("text",), optional=("id", "split"))
        text = checked_text(where, "text", row["text"])
        name = row.get("id")
        name = f"prompt-{sha256_text(text)[:8]}" if name is None else checked_name(where, "id", name)
        split = row.get("split")
        split = None if split is None else checked_choice(where, "split", split, SPLITS[1:])
        numbered.append((number, Prompt(name, split, text)))
    check_once(file, "text", [(number, prompt.text) for number, prompt in numbered])
    check_once(file, "id", [(number, prompt.id) for number, prompt in numbered])
    check_all_or_none(file, "split", [(number, prompt.split) for number, prompt in numbered])
    return [prompt for _, prompt in numbered]


def load_prompts(path: str | Path | None = None) -> tuple[list[Prompt], list[Prompt]]:
    """Read prompts (see `read_prompts`), here or at a URL, as (dev, test); None is the set that ships with the package.

    Without splits a third of the prompts, drawn by the hash of their texts, is dev.
    """
    place = path if path is not None else data_folder() / "contrastive_pairs" / "prompts.jsonl"
    with local_copy(place) as file:
        prompts = read_prompts(file)
    if prompts[0].split is None:
        by_hash = sorted(prompts, key=lambda prompt: sha256_text("prompts", prompt.text))
        dev_ids = {prompt.id for prompt in by_hash[: max(1, round(len(prompts) / 3))]}
        prompts = [replace(prompt, split="dev" if prompt.id in dev_ids else "test") for prompt in prompts]
    dev, test = ([prompt for prompt in prompts if prompt.split == split] for split in ("dev", "test"))
    if not dev or not test:
        raise InputError(f"{place}: expected prompts for both dev and test, got {len(dev)} and {len(test)}; add some.")
    return dev, test


def split_pairs(
    pairs: Sequence[ContrastivePair], *, seed: int = 0
) -> tuple[list[ContrastivePair], list[ContrastivePair], list[ContrastivePair]]:
    """Pairs as (train, dev, test), whole topics on one side, each in the order given.

    A `split` that the rows name is kept. Otherwise about 60, 20 and 20 % of the topics, spread over the domains; from
    24 topics on, test has at least 8, since no interval is given for fewer. At least 3 topics are needed.

    >>> train, dev, test = split_pairs(load_pairs(), seed=0)
    """
    side: dict[str, str | None] = {pair.topic: pair.split for pair in pairs}
    if len(side) < len(SPLITS):
        raise InputError(f"pairs: expected at least 3 topics (train, dev, test), got {len(side)}; add pairs on others.")
    _check_splits("pairs", list(enumerate(pairs, start=1)))
    if None in side.values():
        n_dev = max(1, round(0.2 * len(side)))
        n_test = max(n_dev, _FEWEST_CLUSTERS if len(side) >= 3 * _FEWEST_CLUSTERS else 1)
        for place, topic in enumerate(_spread_topics(pairs, seed)):
            side[topic] = "test" if place < n_test else "dev" if place < n_test + n_dev else "train"
    for split in SPLITS:
        if split not in side.values():
            raise InputError(f"pairs: no row has the split '{split}'; give it to some rows, or null to all.")
    train, dev, test = ([pair for pair in pairs if side[pair.topic] == split] for split in SPLITS)
    return train, dev, test


def halve_topics(
    pairs: Sequence[ContrastivePair], *, seed: int = 0
) -> tuple[list[ContrastivePair], list[ContrastivePair]]:
    """Whole topics in two halves, each domain as even as can be; sizes differ by at most one topic's pairs."""
    one, other = _deal_topics(pairs, 2, seed)
    return [pair for pair in pairs if pair.topic in one], [pair for pair in pairs if pair.topic in other]


def fold_topics(
    pairs: Sequence[ContrastivePair], folds: int = 5, *, seed: int = 0
) -> list[tuple[list[ContrastivePair], list[ContrastivePair]]]:
    """(fit, held-out) for each of `folds` folds of whole topics; every pair is held out exactly once."""
    if folds < 2:
        raise InputError(f"folds: expected at least 2, got {folds}.")
    return [
        ([pair for pair in pairs if pair.topic not in held], [pair for pair in pairs if pair.topic in held])
        for held in _deal_topics(pairs, folds, seed)
    ]


def _topics_by_domain(pairs: Sequence[ContrastivePair], purpose: str, seed: int) -> list[list[str]]:
    """Topics grouped by domain; both orders are drawn by hash, so neither depends on the order of the rows."""
    domain_of: dict[str, str] = {}
    for pair in pairs:
        domain_of[pair.topic] = min(pair.domain, domain_of.get(pair.topic, pair.domain))

    def draw(name: str) -> str:
        return sha256_text(purpose, str(seed), name)

    domains = sorted(set(domain_of.values()), key=draw)
    return [sorted((topic for topic in domain_of if domain_of[topic] == domain), key=draw) for domain in domains]


def _spread_topics(pairs: Sequence[ContrastivePair], seed: int) -> list[str]:
    """Topics in an order of which every stretch is balanced over domains: systematic sampling.

    A domain of n topics takes every 1/n-th place, beginning where its turn among the domains says; so small domains do
    not all fall on the same side.
    """
    groups = _topics_by_domain(pairs, "split", seed)
    place = {
        topic: (rank + (turn + 0.5) / len(groups)) / len(topics)
        for turn, topics in enumerate(groups)
        for rank, topic in enumerate(topics)
    }
    return sorted(place, key=lambda topic: place[topic])


def _deal_topics(pairs: Sequence[ContrastivePair], parts: int, seed: int) -> list[set[str]]:
    """Deal whole topics into parts: even within every domain first, then the fullest share to the emptiest part."""
    n_pairs = Counter(pair.topic for pair in pairs)
    if len(n_pairs) < parts:
        raise InputError(f"pairs: expected at least {parts} topics for {parts} parts, got {len(n_pairs)}; add topics.")

    def size(topics: Iterable[str]) -> int:
        return sum(n_pairs[topic] for topic in topics)

    shares_by_domain = []
    for topics in _topics_by_domain(pairs, f"{parts} parts", seed):
        shares: list[set[str]] = [set() for _ in range(parts)]
        for topic in sorted(topics, key=lambda topic: -n_pairs[topic]):
            min(shares, key=size).add(topic)
        shares_by_domain.append(sorted(shares, key=size, reverse=True))
    dealt: list[set[str]] = [set() for _ in range(parts)]
    # The most uneven domains first: what they leave uneven, the others can still make good.
    for shares in sorted(shares_by_domain, key=lambda shares: size(shares[-1]) - size(shares[0])):
        for part, share in zip(sorted(dealt, key=size), shares, strict=True):
            part |= share
    return dealt


def _row(pair: ContrastivePair) -> dict[str, Any]:
    return {name: getattr(pair, name) for name in _FIELDS}


def _canonical(pairs: Sequence[ContrastivePair]) -> str:
    return "".join(json.dumps(_row(pair), ensure_ascii=False) + "\n" for pair in pairs)


def _checked_pair(where: str, row: dict[str, Any]) -> ContrastivePair:
    check_fields(where, row, required=_FIELDS)
    values: dict[str, Any] = {name: checked_name(where, name, row[name]) for name in ("id", "topic", "domain")}
    values["kind"] = checked_choice(where, "kind", row["kind"], KINDS)
    values["split"] = None if row["split"] is None else checked_choice(where, "split", row["split"], SPLITS)
    values |= {name: checked_text(where, name, row[name]) for name in _TEXTS}
    if values["creative"] == values["boring"] and values["creative_response"] == values["boring_response"]:
        same = "fields 'creative' and 'boring', and 'creative_response' and 'boring_response'"
        raise InputError(f"{where}: {same}: both identical; the sides must differ in instruction or response.")
    return ContrastivePair(**values)


def _check_splits(source: str, numbered: Sequence[tuple[int, ContrastivePair]]) -> None:
    """Every topic lies in one split under one spelling, and all rows name a split or none does."""
    first: dict[str, tuple[int, ContrastivePair]] = {}
    for number, pair in numbered:
        at, other = first.setdefault(pair.topic.casefold(), (number, pair))
        if pair.topic != other.topic:
            both = f"'{other.topic}' on line {at} and '{pair.topic}' on line {number}"
            raise InputError(f"{source}:{number}: field 'topic': {both} differ only in case; write them alike.")
        if pair.split and other.split and pair.split != other.split:
            both = f"'{other.split}' on line {at} and '{pair.split}' on line {number}"
            raise InputError(f"{source}:{number}: field 'split': topic '{pair.topic}' is in {both}; keep one.")
    check_all_or_none(source, "split", [(number, pair.split) for number, pair in numbered])
