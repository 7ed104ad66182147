"""What a measure of monoculture found: a table, the items, and one sentence per attribute."""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from creativity_lens.html_tables import html_note, html_table, with_interval
from creativity_lens.monoculture.nulls import SplitTest, SwapTest
from creativity_lens.statistics import Estimate

LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class Monoculture:
    """Dispersion of generated against human texts.

    `table` has a row per attribute, measure and side: estimate, low, high (95 %, over items), n (items), unit, p, note.
    `items` has a row per attribute and item: numbers of texts, the common count, dispersion of both sides at that
    count, their difference, `narrower` (1, 0, ties half), and the sides' means.
    """

    table: pd.DataFrame
    items: pd.DataFrame
    sentences: dict[str, str]  # by attribute
    outcome: dict[str, str]  # by attribute: "narrower", "wider" or "not enough evidence"
    meta: dict[str, Any]

    @property
    def sentence(self) -> str:
        """The verdict, one sentence per attribute."""
        return " ".join(self.sentences.values())

    @property
    def attributes(self) -> list[str]:
        """What was compared, in the order asked for."""
        return list(self.sentences)

    def __repr__(self) -> str:
        return f"Monoculture({', '.join(f'{name}: {found}' for name, found in self.outcome.items())})"

    def _repr_html_(self) -> str:
        rows = [
            [
                str(row.attribute),
                f"{row.measure}, {row.side}",
                with_interval(row.estimate, row.low, row.high) + (f" {row.unit}" if row.unit else ""),
                "" if math.isnan(row.p) else f"{row.p:.3g}",
                str(row.note),
            ]
            for row in self.table.itertuples()
        ]
        title = f"Monoculture, {self.meta['items']} items"
        table = html_table(title, ["attribute", "measure", "estimate", "p", "note"], rows, self.sentence)
        return table + html_note("; ".join(self.meta["notes"]))


def verdict(
    name: str, by: str, measure: str, found: dict[str, Estimate], swap: SwapTest, split: SplitTest
) -> tuple[str, str]:
    """The outcome, and the sentence that says it. It rests on the share of items and its p, and on nothing else."""
    n = len(swap.each)
    significant = swap.p <= LEVEL
    outcome = "not enough evidence"
    if significant:
        outcome = "narrower" if swap.share > swap.null else "wider"
    word = "wider" if outcome == "wider" else "narrower"
    share = 1 - swap.share if word == "wider" else swap.share
    begin = {
        "narrower": f"Monoculture in {name}: generated text is",
        "wider": f"No monoculture in {name}: generated text is",
        "not enough evidence": f"Not enough evidence of monoculture in {name}: generated text is",
    }[outcome]
    halves = "no item has enough human texts to halve"
    if split.n:
        halves = f"two halves of the human texts give {split.share:.2f} ({split.low:.2f} to {split.high:.2f})"
    unit = found["difference"].unit
    sides = f"{found['generated'].value:.3f} against {found['source'].value:.3f}"
    difference = found["difference"]
    change = with_interval(difference.value, difference.low, difference.high, sign="+")
    spread = f"{measure} {sides}{' bits' if unit == 'bits' else ''}, difference {change}"
    held = f"{share:.2f}, p {_p(swap.p)} with labels swapped within the items; {halves}"
    many = f"{round(share * n, 1):g} of {n} items ({held})"
    return outcome, f"{begin} {word} than its source in {many}; {spread} ({by})."


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.0095 else f"{p:.1g}"
