"""What raters are asked: the criteria with their wording, attention checks, and something to practise with.

Wording stands in the page as it stands here. A question of the organiser's own replaces a shipped one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from creativity_lens.errors import InputError, nearest
from creativity_lens.packets.packet import MOST_CRITERIA
from creativity_lens.packets.parts import SIDES, Check

MOST_POINTS = 11  # of a scale: more than a rater can tell apart
LONGEST_QUESTION = 300  # characters
LONGEST_NOTE = 4000
LONGEST_NAME = 40
TEXTS_PER_CHECK = 15

# letters of any script, digits, single spaces and hyphens: names stand in files, tables and column headings
_NAME = re.compile(r"[^\W_](?:[ _-]?[^\W_])*")


@dataclass(frozen=True)
class Question:
    """One criterion as raters see it. Both ends are words for the ends of the scale; pairs have none."""

    name: str
    question: str
    low: str = ""
    high: str = ""


# name -> (question of one text, low end, high end, question of two texts)
_SHIPPED = {
    "creativity": ("How creative is this text?", "not at all creative", "extremely creative", "more creative"),
    "originality": ("How original is this text?", "not at all original", "extremely original", "more original"),
    "surprise": ("How surprising is this text?", "not at all surprising", "extremely surprising", "more surprising"),
    "quality": ("How well written is this text?", "very badly written", "very well written", "better written"),
    "coherence": ("How well do the parts of this text fit together?", "not at all", "perfectly", "more coherent"),
    "interest": ("How interesting is this text to you?", "not at all interesting", "extremely interesting", ""),
}
_TWO = {"interest": "Which text is more interesting to you?"}


def ask(criteria: Sequence[str], *, pairs: bool, own: Mapping[str, str] | None = None) -> tuple[Question, ...]:
    """The questions for criteria, in their order; `own` holds the organiser's wording by criterion.

    Raises `InputError` for no criteria, more than 20, one twice (whatever its case), a name with other characters than
    letters, digits, spaces and hyphens or of more than 40, and a question for a criterion that is not asked.

    >>> ask(["surprise"], pairs=False)[0].question
    'How surprising is this text?'
    """
    names = [str(name).strip() for name in criteria]
    if not any(names):
        raise InputError("--criteria: expected names such as creativity,surprise,quality; got none.")
    if len(names) > MOST_CRITERIA:
        raise InputError(
            f"--criteria: {len(names)} of them; expected at most {MOST_CRITERIA}, fewer are answered better."
        )
    for number, name in enumerate(names):
        if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME or any(ord(letter) > 0xFFFF for letter in name):
            raise InputError(
                f"--criteria: {name[:60]!r}: expected a name of letters, digits, spaces and hyphens, at most "
                f"{LONGEST_NAME} of them; rename it, and ask it with --question."
            )
        if name.casefold() in (before.casefold() for before in names[:number]):
            raise InputError(f"--criteria: '{name}' stands twice; expected each once.")
    own = own or {}
    for name, question in own.items():
        if name not in names:
            raise InputError(f"--question {name}: expected one of {', '.join(names)}.{nearest(name, names)}")
        if not question.strip() or len(question) > LONGEST_QUESTION:
            got = f"{len(question)} characters" if question.strip() else "none"
            raise InputError(
                f"--question {name}: expected a question of at most {LONGEST_QUESTION} characters, got {got}."
            )
    return tuple(_question(name, pairs, own.get(name)) for name in names)


def _question(name: str, pairs: bool, own: str | None) -> Question:
    shipped = _SHIPPED.get(name.lower())
    if pairs:
        more = shipped[3] if shipped else ""
        asked = _TWO.get(name.lower()) or (f"Which text is {more}?" if more else f"Which text has more “{name}”?")
        return Question(name, (own or asked).strip())
    if own is not None:
        return Question(name, own.strip(), "lowest", "highest")
    if shipped:
        return Question(name, *shipped[:3])
    return Question(name, f"How do you rate this text on “{name}”?", "very low", "very high")


def check_scale(scale: Sequence[int]) -> tuple[int, int]:
    """Both ends of a scale of whole numbers from 0 to 10, which the number keys can answer."""
    low, high = scale
    if not (0 <= low < high <= 10):
        raise InputError(
            f"--scale: expected two rising whole numbers from 0 to 10 such as 1-7 (at most {MOST_POINTS} points), got "
            f"{low}-{high}."
        )
    return int(low), int(high)


def parse_scale(text: str) -> tuple[int, int]:
    """The ends of "1-7"."""
    found = re.fullmatch(r"\s*([0-9]{1,6})\s*-\s*([0-9]{1,6})\s*", text)
    if not found:
        raise InputError(f"--scale: expected two rising whole numbers such as 1-7, got '{text[:40]}'.")
    return check_scale((int(found[1]), int(found[2])))


def usual_checks(entries: int) -> int:
    """One attention check for every 15 texts; none where there are fewer than five."""
    return 0 if entries < 5 else max(1, round(entries / TEXTS_PER_CHECK))


def make_checks(
    count: int, criteria: Sequence[str], scale: tuple[int, int] | None, rng: np.random.Generator
) -> tuple[Check, ...]:
    """Attention checks: each says what to choose. Never the middle of a scale, where a bored rater would be anyway."""
    made = []
    first = int(rng.integers(2))
    for number in range(count):
        key = f"c{number + 1:02d}"
        if scale is None:
            side = SIDES[(first + number) % 2]
            made.append(Check(key, side, _told(side.upper(), len(criteria))))
            continue
        middle = sum(scale) / 2
        values = [value for value in range(scale[0], scale[1] + 1) if value != middle]
        value = int(rng.choice(values))
        made.append(Check(key, dict.fromkeys(criteria, value), _told(str(value), len(criteria))))
    return tuple(made)


def _told(answer: str, questions: int) -> str:
    where = "below" if questions == 1 else "for every question below"
    return f"There is nothing to rate here. To show that you are reading, choose {answer} {where}."


_ODD = (
    "The bus was twenty minutes late, so I read the timetable twice. Somebody had hung it upside down, and since then "
    "the number nine had been a number six."
)
_EVEN = "The bus was twenty minutes late, so I waited at the stop. After some time it came, and I got on and sat down."
PRACTICE = {"scale": {"text": _ODD}, "pairs": {"a": _EVEN, "b": _ODD}}  # by the packet's mode
