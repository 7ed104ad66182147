"""DAT: ten words that people named to be as different as they can be, and ratings of what else the same people wrote.

Olson et al. 2021, "Naming unrelated nouns predicts creativity", studies 1a and 1b. Beside the published score (mean
GloVe distance of the words) stand two raters' scores of each person's alternate uses (originality, flexibility,
fluency) and of how fitting the uses are in a second task (appropriateness). What identifies a person is not read.
"""

import math
from pathlib import Path
from typing import Any

import pandas as pd

from creativity_lens.errors import InputError
from creativity_lens.ratings.foreign import expect_files, number, read_columns_of
from creativity_lens.ratings.table import Ratings

STUDIES = {"study 1a": "study1a.tsv", "study 1b": "study1b.tsv"}
CRITERIA = {  # of what the same people wrote in two other tasks, as the names say
    "originality of other uses": "aut.originality", "flexibility of other uses": "aut.flexibility",
    "fluency of other uses": "aut.fluency", "appropriateness in another task": "bag.appropriateness",
}  # fmt: skip
RATERS = ("1", "2")
PANEL, COMPUTED = "raters", "computed"
_WORDS = tuple(f"word.{n}" for n in range(1, 11))
_MISSING = ("", "NA")


def read(folder: str | Path) -> Ratings:
    """One item per person, named by study and row ("study 1a: 3"); the text is the words, joined by ", ".

    The published score is a criterion of its own, "DAT", by the panel "computed". Ratings that were not given are left
    out. Raises `InputError` for a missing file or column, and a rating that is no number.

    >>> read("dat").panels("DAT")                                # doctest: +SKIP
    ['computed']
    """
    paths = expect_files(Path(folder), list(STUDIES.values()), "DAT")
    columns = [f"{column}.{rater}" for column in CRITERIA.values() for rater in RATERS]
    rows: list[tuple[int, dict[str, Any]]] = []
    for study, path in zip(STUDIES, paths, strict=True):
        people = read_columns_of(path, "the people of DAT", ("dat", *_WORDS, *columns), delimiter="\t")
        for person, (line, row) in enumerate(people, start=1):
            where = f"{path}:{line}"
            words = [row[word].strip() for word in _WORDS if row[word].strip() not in _MISSING]
            about = {"item": f"{study}: {person}", "text": ", ".join(words) or math.nan, "group": study}
            score = number(f"{where}: 'dat'", row["dat"])
            if not 0 <= score <= 200:
                raise InputError(f"{where}: 'dat': expected a distance from 0 to 200, got {score:g}.")
            rows.append((len(CRITERIA), about | _rating("DAT", "GloVe", score, COMPUTED, "0-200")))
            for c, (criterion, column) in enumerate(CRITERIA.items()):
                for rater in RATERS:
                    cell = row[f"{column}.{rater}"].strip()
                    if cell not in _MISSING:
                        value = number(f"{where}: '{column}.{rater}'", cell)
                        rows.append((c, about | _rating(criterion, rater, value, PANEL, math.nan)))
    rows.sort(key=lambda entry: entry[0])
    return Ratings.of(pd.DataFrame([row for _, row in rows]), "dat", group_name="study")


def _rating(criterion: str, rater: str, value: float, panel: str, scale: str | float) -> dict[str, Any]:
    return {"criterion": criterion, "rater": rater, "value": value, "panel": panel, "scale": scale}
