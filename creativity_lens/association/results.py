"""What the task found: one row per condition and temperature, and every list behind it."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from creativity_lens.association.scoring import SCORED, People, ScoredList
from creativity_lens.html_tables import html_table
from creativity_lens.scores import Generation
from creativity_lens.statistics import FEWEST, Estimate, t_interval

UNSTEERED = "unsteered"
NONE_VALID = f"not scored: no answer has {SCORED} valid words"
FEW_VALID = f"no interval: fewer than {FEWEST} valid answers"
GREEDY = "one answer: nothing is drawn at temperature 0"
FEW_PAIRED = f"difference without interval: fewer than {FEWEST} runs are valid in both"
NONE_PAIRED = "no difference: no run is valid in both"


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model wrote when it was asked; not scored yet."""

    model: str
    prompt: str
    conditions: tuple[str, ...]  # "unsteered" first
    condition: tuple[int, ...]  # of each text
    texts: tuple[Generation, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Each text's condition, by name."""
        return tuple(self.conditions[number] for number in self.condition)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row of plain values per answer."""
        return [
            {
                "model": self.model,
                "condition": name,
                "temperature": text.temperature,
                "seed": text.seed,
                "layers": list(text.layers),
                "strength": text.strength,
                "mode": text.mode,
                "text": text.text,
            }
            for name, text in zip(self.names, self.texts, strict=True)
        ]


@dataclass(frozen=True)
class Condition:
    """One row of the table."""

    name: str  # "unsteered", or what the push does
    temperature: float
    runs: int
    valid: int  # answers with seven valid words
    words: float  # mean number of valid words among the first ten items
    score: Estimate  # over valid answers
    percentile: Estimate | None  # among people; None without them
    difference: Estimate | None  # from unsteered at this temperature, over runs valid in both; None for unsteered
    notes: tuple[str, ...]

    @property
    def valid_share(self) -> float:
        """Share of the answers that have seven valid words."""
        return self.valid / self.runs


@dataclass(frozen=True, eq=False)
class Associations:
    """Divergent association scores of a model; higher is less related."""

    answers: Answers
    made_by: str  # what the vectors are from
    scale: str
    checked: str  # what makes a word valid
    conditions: tuple[Condition, ...]  # by temperature, unsteered first
    people: People | None
    items: tuple[tuple[str, ...], ...]  # of each answer, as written
    scored: tuple[ScoredList, ...]

    @property
    def frame(self) -> pd.DataFrame:
        """One row per condition and temperature; NaN where there is nothing to say."""
        return pd.DataFrame([_flat(condition) for condition in self.conditions])

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row of plain values per answer, as `clens dat --out` writes them."""
        found = zip(self.answers.rows, self.items, self.scored, strict=True)
        return [
            row | {"items": list(items), "words": list(one.words), "valid": one.is_valid, "score": one.score}
            for row, items, one in found
        ]

    @property
    def caption(self) -> str:
        """How the numbers are to be read."""
        parts = [
            f"Score: 100 x mean cosine distance of the first {SCORED} valid words, by {self.made_by}: {self.scale}. "
            "Means over valid answers only.",
            self.checked,
        ]
        if self.people is not None:
            agree = self.people.agreement
            told = (
                f"; their scores here and as published correlate {agree:.2f} (Spearman)" if math.isfinite(agree) else ""
            )
            parts.append(
                f"Percentile: of the mean score among {len(self.people.scores)} of {self.people.asked} people "
                f"({self.people.name}) with {SCORED} valid words, scored in the same way{told}."
            )
        return " ".join(parts)

    def __repr__(self) -> str:
        return f"Associations({self.answers.model}: {len(self.items)} answers, {len(self.conditions)} conditions)"

    def _repr_html_(self) -> str:
        title = f"Divergent association task: {self.answers.model}"
        return html_table(title, *table_of(self), self.caption) + _examples(self)


def table_of(found: Associations) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the table that is printed; columns that no row fills are left out."""
    headings = ["condition", "temperature", "runs", "valid", "words", "score"]
    steered = any(condition.difference is not None for condition in found.conditions)
    headings += ["difference"] if steered else []
    headings += ["percentile"] if found.people is not None else []
    noted = any(condition.notes for condition in found.conditions)
    headings += ["note"] if noted else []
    rows = []
    for one in found.conditions:
        row = [one.name, f"{one.temperature:g}", str(one.runs), f"{one.valid_share:.0%}", f"{one.words:.1f}"]
        row.append(_interval(one.score, 1))
        if steered:
            row.append("" if one.difference is None else _interval(one.difference, 1, sign="+"))
        if one.percentile is not None:
            row.append(_interval(one.percentile, 0))
        if noted:
            row.append("; ".join(one.notes))
        rows.append(row)
    return headings, rows


def summarise(
    answers: Answers,
    items: Sequence[tuple[str, ...]],
    scored: Sequence[ScoredList],
    people: People | None,
    made_by: str,
    scale: str,
    checked: str,
) -> Associations:
    """Means over runs for every temperature and condition. Runs are independent draws: each is one observation."""
    by_run: dict[tuple[float, int], dict[int, ScoredList]] = {}
    for text, condition, one in zip(answers.texts, answers.condition, scored, strict=True):
        by_run.setdefault((text.temperature, condition), {})[text.seed] = one
    conditions = []
    for (temperature, number), runs in by_run.items():
        scores = np.array([one.score for one in runs.values()], dtype=float)
        score = t_interval(scores, unit="score")
        notes = [GREEDY] if temperature == 0 else []
        notes += [NONE_VALID] if score.n == 0 else [FEW_VALID] if score.n < FEWEST and temperature > 0 else []
        difference = None
        if number > 0:
            plain = by_run[temperature, 0]
            differences = np.array([one.score - plain[seed].score for seed, one in runs.items()], dtype=float)
            difference = t_interval(differences, unit="score")
            if score.n and temperature > 0 and difference.n < FEWEST:
                notes.append(FEW_PAIRED if difference.n else NONE_PAIRED)
        ranked = None if people is None else people.percentiles(score)
        words = float(np.mean([len(one.words) for one in runs.values()]))
        name = answers.conditions[number]
        conditions.append(
            Condition(name, temperature, len(runs), score.n, words, score, ranked, difference, tuple(notes))
        )
    return Associations(answers, made_by, scale, checked, tuple(conditions), people, tuple(items), tuple(scored))


def _flat(one: Condition) -> dict[str, Any]:
    row: dict[str, Any] = {
        "condition": one.name, "temperature": one.temperature, "runs": one.runs, "valid": one.valid,
        "valid_share": one.valid_share, "valid_words": one.words,
    }  # fmt: skip
    for name, estimate in (("score", one.score), ("difference", one.difference), ("percentile", one.percentile)):
        values = (math.nan, math.nan, math.nan) if estimate is None else (estimate.value, estimate.low, estimate.high)
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))
    return row | {"note": "; ".join(one.notes)}


def _interval(estimate: Estimate, places: int, sign: str = "") -> str:
    if not math.isfinite(estimate.value):
        return "not measured"
    form = f"{sign}.{places}f"
    ends = f" ({estimate.low:{form}} to {estimate.high:{form}})" if estimate.has_interval else ""
    return f"{estimate.value:{form}}{ends}"


def _examples(found: Associations) -> str:
    """The best and the worst list of those that were scored."""
    pairs = zip(found.answers.names, found.scored, strict=True)
    valid = [(one.score, name, one.words[:SCORED]) for name, one in pairs if one.is_valid]
    if not valid:
        return ""
    ends = (("furthest apart", max(valid)), ("nearest", min(valid)))
    lines = (f"{which} ({score:.1f}, {name}): {', '.join(words)}" for which, (score, name, words) in ends)
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines)
