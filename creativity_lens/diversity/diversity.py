"""The noun of this folder: how different texts are, within groups and across them, and what that rests on."""

import math
from dataclasses import dataclass

import pandas as pd

from creativity_lens.diversity.set_values import LEXICAL, SEMANTIC
from creativity_lens.errors import InputError, check_choice
from creativity_lens.html_tables import html_table, with_interval
from creativity_lens.scores import Score
from creativity_lens.statistics import Estimate

PRIMARY = "semantic spread"  # within groups, of all texts: the one that a claim may rest on
TOKENS = {"entropy": "nats", "truncated entropy": "nats", "top-k entropy": "nats", "surprisal": "nats"}
UNITS = {PRIMARY: "1 - cosine", **LEXICAL, **SEMANTIC, **TOKENS}
SCOPES = ("within", "across")
TWINS = ("all", "coherent")
COLUMNS = ("measure", "scope", "twin", "estimate", "low", "high", "n", "unit", "primary", "note")


@dataclass(frozen=True)
class LeftOut:
    """What was not measured, of the texts that were given."""

    empty: int  # texts without a word
    short: int  # texts of fewer words than the common length
    unembedded: int  # texts that came without an embedding
    groups: tuple[str, ...]  # with fewer texts left than the common number

    @property
    def texts(self) -> int:
        """Number of texts."""
        return self.empty + self.short + self.unembedded

    def __bool__(self) -> bool:
        return bool(self.texts or self.groups)

    def __str__(self) -> str:
        parts = [(self.empty, "empty"), (self.short, "too short"), (self.unembedded, "without an embedding")]
        said = ", ".join(f"{number} {why}" for number, why in parts if number)
        found = [f"{_counted(self.texts, 'text')} ({said})"] if said else []
        if self.groups:
            names = ", ".join(self.groups[:3]) + (", ..." if len(self.groups) > 3 else "")
            found.append(f"{_counted(len(self.groups), 'group')} with too few texts ({names})")
        return "; ".join(found) or "none"


@dataclass(frozen=True, eq=False)
class Diversity:
    """Every measure of a collection of texts. Made by `measure_diversity`."""

    scores: tuple[Score, ...]  # one per group and measure; across groups, one per measure, with text_id ""
    table: pd.DataFrame  # COLUMNS; the primary measure first; n is groups
    left_out: LeftOut
    length: int  # words that every text was cut to
    count: int  # texts of each group that are measured together
    threshold: float  # cosine distance from which on texts are of different clusters; NaN where none was found
    similarity: float  # cosine from which on texts are equivalent
    vocabulary: int  # V of EAD
    n_groups: int  # measured
    n_texts: int  # of the common length
    embedder: str  # what it is, "given" for embeddings that came with the texts, "" for none
    method: str  # of clustering

    def estimate(self, measure: str, scope: str = "within", twin: str = "all") -> Estimate:
        """One row of the table as an `Estimate`; an `InputError` offers the nearest name.

        >>> found.estimate("semantic spread").value                                  # doctest: +SKIP
        """
        for name, value, known in (("measure", measure, UNITS), ("scope", scope, SCOPES), ("twin", twin, TWINS)):
            check_choice(name, value, known)
        table = self.table
        rows = table[(table["measure"] == measure) & (table["scope"] == scope) & (table["twin"] == twin)]
        if rows.empty:
            raise InputError(f"{measure}, {scope}, {twin}: not measured here; give what it needs to measure_diversity.")
        row = rows.iloc[0]
        return Estimate(float(row["estimate"]), float(row["low"]), float(row["high"]), int(row["n"]), str(row["unit"]))

    def by_group(self, measure: str = PRIMARY, twin: str = "all") -> dict[str, float]:
        """A measure within each group."""
        wanted = score_name(check_choice("measure", measure, UNITS), "within", check_choice("twin", twin, TWINS))
        return {score.text_id: score.value for score in self.scores if score.measure == wanted and score.text_id}

    @property
    def caption(self) -> str:
        """What the numbers rest on and which of them counts, in a few sentences."""
        said = [
            f"{_counted(self.n_texts, 'text')} in {_counted(self.n_groups, 'group')}, each cut to "
            f"{_counted(self.length, 'word')}, {self.count} of a group measured together. Left out: {self.left_out}."
        ]
        if self.embedder:
            said.append(
                "Embeddings came with the texts." if self.embedder == "given" else f"Embedder: {self.embedder}."
            )
        if self.embedder and math.isfinite(self.threshold):
            how = "HDBSCAN joining regions" if self.method == "hdbscan" else "average linkage, cut"
            said.append(f"Clusters: {how} at cosine distance {self.threshold:.3f}.")
        said.append(f"EAD: vocabulary of {self.vocabulary:,} words.")
        said.append(f"Primary: {PRIMARY} within groups, of all texts; everything else is descriptive.")
        return " ".join(said)

    def _repr_html_(self) -> str:
        rows = [
            [str(row["measure"]), str(row["scope"]), str(row["twin"]), shown(row), str(row["n"]), str(row["unit"]),
             str(row["note"])]
            for row in self.table.to_dict("records")
        ]  # fmt: skip
        headings = ["measure", "scope", "texts", "estimate (95 %)", "groups", "unit", "note"]
        return html_table("Diversity", headings, rows, self.caption)


def shown(row: dict) -> str:
    """Estimate and interval of a row of the table.

    >>> shown({"estimate": 0.5, "low": 0.4, "high": 0.6})
    '0.50 (0.40 to 0.60)'
    """
    return with_interval(float(row["estimate"]), float(row["low"]), float(row["high"]))


def score_name(measure: str, scope: str, twin: str) -> str:
    """What a measure is called among `Score` rows.

    >>> score_name("EAD", "within", "all"), score_name("EAD", "across", "coherent")
    ('EAD', 'EAD (across, coherent)')
    """
    parts = [each for each, plain in ((scope, "within"), (twin, "all")) if each != plain]
    return f"{measure} ({', '.join(parts)})" if parts else measure


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
