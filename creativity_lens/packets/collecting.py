"""Collect the answers to a packet: check every file, un-blind, and say what people found.

Nothing is collected when one file is refused. Whoever failed the attention checks is left out and named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from creativity_lens.errors import InputError
from creativity_lens.html_tables import html_table
from creativity_lens.packets.agreed import agreement_rows, agreement_sentence, agreements
from creativity_lens.packets.answers import TIE, Answer, Answers, check_complete, read_answers
from creativity_lens.packets.packet import Packet
from creativity_lens.packets.parts import Item
from creativity_lens.packets.people import people
from creativity_lens.ratings import Ratings
from creativity_lens.ratings.columns import write_long
from creativity_lens.statistics import t_interval

TABLE = (
    "criterion", "panel", "level", "measure", "estimate", "low", "high", "p", "n", "raters", "detectable", "role",
    "note",
)  # fmt: skip
PREFERENCE_SCALE = "0-1"


@dataclass(frozen=True, eq=False)
class Collected:
    """What a packet's raters said, un-blinded.

    >>> collected = collect_answers("packet/", ["answers-0a1b2c3d4e5f-rater-1.json"])    # doctest: +SKIP
    >>> print(collected.sentences[0])                                            # doctest: +SKIP
    """

    packet: Packet
    ratings: Ratings  # author = condition, source = the packet's id
    table: pd.DataFrame  # columns TABLE: comparisons, means, agreement
    sentences: tuple[str, ...]  # the findings in words, the primary one first
    problems: tuple[str, ...]  # what was left out, and what looks odd, by file

    def save(self, path: str | Path) -> None:
        """Write the ratings in the long format, which `clens ratings` reads."""
        write_long(self.ratings, Path(path))

    def __repr__(self) -> str:
        raters = self.ratings.frame["rater"].nunique()
        return f"Collected(packet {self.packet.id}: {raters} of {len(self.packet.raters)} raters)"

    def _repr_html_(self) -> str:
        said = [[str(place), sentence] for place, sentence in enumerate((*self.sentences, *self.problems), start=1)]
        return html_table(f"Packet {self.packet.id}", ["", "found"], said)


def collect_answers(packet: Packet | str | Path, files: Sequence[str | Path], *, partial: bool = False) -> Collected:
    """The ratings in files of answers, and what they say.

    `packet` is a packet, its folder or its packet.json. In pairs mode each text of a pair gets 1 where it was
    preferred, 0 where the other one was, and 0.5 for a tie, on the scale 0-1; its item is "PAIR:ID", since a text may
    stand in several pairs. With `partial`, incomplete files are taken for what they hold, and named.

    Raises `InputError` for anything that `read_answers` refuses, for two different files of one rater, and when no
    rater is left. The same file given twice counts once. A rater who failed more than one attention check in three
    (any, of one or two) is left out.
    """
    if not isinstance(packet, Packet):
        packet = Packet.load(packet)
    if not files:
        raise InputError("no answer files; give those that the raters saved, answers-*.json.")
    given, problems = _one_each([read_answers(file, packet, partial=True) for file in files])
    if not partial:  # only now: who saved twice, half-way and at the end, is told of two files
        for answers in given:
            check_complete(answers)
    kept, more = _attentive(given)
    problems += more
    returned = {answers.page.name for answers in given}
    absent = [page.name for page in packet.raters if page.name not in returned]
    if absent:
        problems.append(f"No file of {', '.join(absent)}: {len(absent)} of {len(packet.raters)} raters.")
    for answers in kept:
        problems += _constant(answers, packet)
    ratings = Ratings.of(pd.DataFrame(_rows(packet, kept)), f"packet {packet.id}", group_name="prompt")
    table, sentences = _found(packet, ratings)
    return Collected(packet, ratings, table, tuple(sentences), tuple(problems))


def _one_each(given: list[Answers]) -> tuple[list[Answers], list[str]]:
    """One file for each rater, in the order of the packet, and what was said about the others."""
    first: dict[str, Answers] = {}
    problems = []
    for answers in given:
        name = answers.page.name
        if name not in first:
            first[name] = answers
            if answers.missing:
                problems.append(f"{answers.path}: {answers.missing} of {answers.asked} answers of {name} are missing.")
            continue
        other = first[name]
        if other.digest != answers.digest:
            raise InputError(
                f"{answers.path}: other answers of {name} than {other.path} holds (saved {answers.saved:.25} and "
                f"{other.saved:.25}); keep one of the two."
            )
        problems.append(f"{answers.path}: the same answers of {name} as in {other.path}; counted once.")
    return list(first.values()), problems


def _attentive(given: list[Answers]) -> tuple[list[Answers], list[str]]:
    problems = [
        f"{answers.path}: {answers.page.name} is left out: failed {len(answers.failed)} of {answers.checks} attention "
        f"checks ({', '.join(answers.failed)})."
        for answers in given
        if not answers.is_attentive
    ]
    kept = [answers for answers in given if answers.is_attentive]
    if not kept:
        raise InputError(
            f"no rater is left: {len(problems)} of {len(given)} failed the attention checks; ask others. {problems[0]}"
        )
    forgiven = [
        f"{answers.path}: {answers.page.name} failed {len(answers.failed)} of {answers.checks} attention checks, and "
        "is kept: one in three is forgiven."
        for answers in kept
        if answers.failed
    ]
    return kept, problems + forgiven


def _constant(answers: Answers, packet: Packet) -> list[str]:
    """Criteria on which a rater never varied; in pairs mode, raters who always chose the same side."""
    said = []
    what = "text" if packet.mode == "scale" else "pair"
    for criterion in packet.criteria:
        rated = [answer for answer in answers.answers if answer.entry.kind != "check" and criterion in answer.values]
        values = {answer.values[criterion] for answer in rated}
        if len(rated) > 1 and len(values) == 1:
            said.append(
                f"{answers.path}: {answers.page.name} answered '{values.pop()}' for each of {len(rated)} {what}s on "
                f"{criterion}."
            )
    return said


def _rows(packet: Packet, kept: list[Answers]) -> list[dict[str, Any]]:
    """The long format: raters in the packet's order, texts in the key's."""
    order = {page.name: place for place, page in enumerate(packet.raters)}
    rows = []
    for answers in sorted(kept, key=lambda each: order[each.page.name]):
        by_key = {answer.entry.key: answer for answer in answers.answers if answer.entry.kind != "check"}
        for asked in packet.items if packet.mode == "scale" else packet.pairs:
            if answer := by_key.get(asked.key):
                about = {"source": packet.id, "rater": answers.page.name, "panel": answers.page.panel}
                rows += [about | row for row in _unblinded(packet, answer)]
    return rows


def _unblinded(packet: Packet, answer: Answer) -> list[dict[str, Any]]:
    """The rows of one answer: one for each criterion and text."""
    if packet.mode == "scale":
        low, high = packet.scale or (0, 0)
        scale = f"{low}-{high}" if low >= 0 else None  # the long format has no name for a scale below 0
        item = packet.item(answer.entry.key)
        return [
            _row(item, item.id, name, answer.values[name], scale) for name in packet.criteria if name in answer.values
        ]
    pair = packet.pair(answer.entry.key)
    texts = packet.item(pair.first), packet.item(pair.second)
    rows = []
    for name in packet.criteria:
        if name in answer.values:
            first = preference(str(answer.values[name]), answer.entry.swapped)
            for text, value in zip(texts, (first, 1 - first), strict=True):
                rows.append(_row(text, f"{pair.key}:{text.id}", name, value, PREFERENCE_SCALE))
    return rows


def preference(choice: str, swapped: bool) -> float:
    """What a choice on the screen means for the pair's first text: 1 preferred, 0 not, 0.5 a tie.

    >>> preference("a", swapped=False), preference("a", swapped=True), preference("tie", swapped=True)
    (1.0, 0.0, 0.5)
    """
    if choice == TIE:
        return 0.5
    return float((choice == "a") != swapped)


def _row(item: Item, name: str, criterion: str, value: Any, scale: str | None) -> dict[str, Any]:
    return {
        "item": name, "text": item.text, "prompt": item.prompt, "group": item.group, "author": item.condition,
        "criterion": criterion, "value": float(value), "scale": scale,
    }  # fmt: skip


def _found(packet: Packet, ratings: Ratings) -> tuple[pd.DataFrame, list[str]]:
    rows: list[dict[str, Any]] = []
    sentences: list[str] = []
    several = ratings.frame["panel"].nunique() > 1

    def say(panel: str, sentence: str) -> None:
        sentences.append(f"Panel {panel}: {sentence}" if several else sentence)

    for comparison in sorted(people(packet, ratings), key=lambda each: not each.is_primary):
        rows += comparison.rows()
        say(comparison.panel, comparison.sentence)
    if packet.mode == "scale":
        rows += _mean_rows(ratings)
    found = agreements(packet, ratings)
    for criterion, panel in dict.fromkeys((criterion, panel) for criterion, panel, _ in found):
        here = {level: each for (name, who, level), each in found.items() if (name, who) == (criterion, panel)}
        raters = ratings.rows(criterion, panel)["rater"].nunique()
        for level, each in here.items():
            rows += agreement_rows((criterion, panel, level), each, raters)
        say(panel, agreement_sentence(criterion, here, raters, "texts" if packet.mode == "scale" else "pairs"))
    table = pd.DataFrame([{"role": "", "note": ""} | row for row in rows]).reindex(columns=list(TABLE))
    return table, sentences


def _mean_rows(ratings: Ratings) -> list[dict[str, Any]]:
    """Mean ratings over prompts, overall and by condition: raters averaged per text, texts per prompt."""
    rows = []
    for criterion in ratings.criteria:
        for panel in ratings.panels(criterion):
            part = ratings.rows(criterion, panel)
            part = part.assign(group=part["group"].fillna("item " + part["item"]))
            parts = {"overall": part} | {str(name): each for name, each in part.groupby("author", sort=False)}
            for level, each in parts.items():
                texts = each.groupby(["group", "item"])["value"].mean()
                found = t_interval(texts.groupby("group").mean().to_numpy(), unit="points")
                rows.append({
                    "criterion": criterion, "panel": panel, "level": level, "measure": "mean", "estimate": found.value,
                    "low": found.low, "high": found.high, "n": found.n, "raters": each["rater"].nunique(),
                })  # fmt: skip
    return rows
