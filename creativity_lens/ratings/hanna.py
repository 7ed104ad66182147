"""HANNA as published: 1,056 stories by people and ten systems on 96 prompts, six criteria, three raters each.

Chhun et al. 2022, "Of Human Criteria and Automatic Metrics". The main file of the publication,
`hanna_stories_annotations.csv`, has all texts. Where it is not there, the single ratings come from
`hanna_metric_scores_llm.csv` (one row per system, one list per rater and criterion, one value per prompt), prompts and
human stories from `hanna_llm_stories.csv`, and the texts of other systems from `hanna_with_text.csv`, whose rows must
fit the single ratings.
"""

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from creativity_lens.errors import InputError
from creativity_lens.ratings.foreign import expect_files, number, numbers_of, on_scale, read_columns_of, string, whole
from creativity_lens.ratings.table import Ratings

MAIN, SCORES, STORIES = "hanna_stories_annotations.csv", "hanna_metric_scores_llm.csv", "hanna_llm_stories.csv"
WITH_TEXT = "hanna_with_text.csv"
CRITERIA = {
    "relevance": "RE", "coherence": "CH", "empathy": "EM", "surprise": "SU", "engagement": "EG", "complexity": "CX",
}  # fmt: skip
RATERS = ("Human 1", "Human 2", "Human 3")
PANEL, SCALE, HUMAN = "crowd", "1-5", "Human"
_ROUNDED = 6e-4  # means are published to three decimals


def read(folder: str | Path) -> Ratings:
    """Every rating, from the main file where it is there, else from the lists; stories are named by their number.

    Groups are the prompts ("prompt 0"), authors the systems. Raises `InputError` for missing files and columns, lists
    of another length, ratings that are no number, and texts that do not fit the ratings.

    >>> len(read("hanna").items)                                 # doctest: +SKIP
    1056
    """
    folder = Path(folder)
    if (folder / MAIN).is_file():
        return _read_main(folder / MAIN)
    scores, stories = expect_files(folder, [SCORES, STORIES], f"HANNA (or {MAIN})")
    prompts, texts = _prompts(stories)
    values = _lists(scores, len(prompts))
    about = {}
    for s, system in enumerate(values):
        for p, prompt in enumerate(prompts):
            text = texts[p] if system == HUMAN else math.nan
            about[s * len(prompts) + p] = _about(s * len(prompts) + p, text, prompt, p, system)
    if (folder / WITH_TEXT).is_file():
        _join(folder / WITH_TEXT, about, values, len(prompts))
    rows: list[dict[str, Any]] = []
    for c, criterion in enumerate(CRITERIA):
        for s, system in enumerate(values):
            for p in range(len(prompts)):
                story = about[s * len(prompts) + p]
                rows += [
                    story | {"rater": rater, "criterion": criterion, "value": values[system][c, r, p]}
                    for r, rater in enumerate(RATERS)
                ]
    return _ratings(rows)


def _ratings(rows: list[dict[str, Any]]) -> Ratings:
    return Ratings.of(pd.DataFrame(rows).assign(panel=PANEL, scale=SCALE), "hanna", group_name="prompt")


def _about(number_: int, text: str | float, prompt: str, p: int, system: str) -> dict[str, Any]:
    return {"item": str(number_), "text": text, "prompt": prompt, "group": f"prompt {p}", "author": system}


def _prompts(path: Path) -> tuple[list[str], list[str]]:
    """The prompts, in their order, and the human story on each; the same for every model of the file."""
    stories: dict[str, str] = {}
    for line, row in read_columns_of(path, "the prompts and human stories of HANNA", ("Prompt", "Human")):
        if stories.setdefault(row["Prompt"], row["Human"]) != row["Human"]:
            raise InputError(f"{path}:{line}: a prompt with another human story than before; get the file anew.")
    return list(stories), list(stories.values())


def _lists(path: Path, n_prompts: int) -> dict[str, Float[np.ndarray, "criterion rater prompt"]]:
    """The single ratings of every system, in the file's order."""
    columns = {
        (c, r): f"{rater} {short}" for c, short in enumerate(CRITERIA.values()) for r, rater in enumerate(RATERS)
    }
    found = {}
    for line, row in read_columns_of(path, "the ratings of HANNA", ("Model", *columns.values())):
        if row["Model"] in found:
            raise InputError(f"{path}:{line}: the model '{row['Model']:.40}' stands twice; get the file anew.")
        values = np.empty((len(CRITERIA), len(RATERS), n_prompts))
        for place, column in columns.items():
            where = f"{path}:{line}: '{column}'"
            values[place] = [on_scale(where, value, SCALE) for value in numbers_of(where, row[column], n_prompts)]
        found[row["Model"]] = values
    return found


def _join(
    path: Path,
    about: dict[int, dict[str, Any]],
    values: dict[str, Float[np.ndarray, "criterion rater prompt"]],
    n_prompts: int,
) -> None:
    """Put the texts of a file that names stories by number in; each row must agree with the ratings of its story."""
    means = {criterion: f"{criterion}_mean" for criterion in CRITERIA}
    columns = ("story_id", "system", "prompt", "text", *means.values())
    for line, row in read_columns_of(path, "texts of HANNA with their mean ratings", columns):
        where = f"{path}:{line}"
        story = about.get(whole(f"{where}: 'story_id'", row["story_id"]))
        if story is None or (row["system"], row["prompt"]) != (story["author"], story["prompt"]):
            raise InputError(
                f"{where}: story {row['story_id']:.20} has another system or prompt in {SCORES}; remove it."
            )
        p = int(story["item"]) % n_prompts
        for c, (criterion, column) in enumerate(means.items()):
            mean = values[story["author"]][c, :, p].mean()
            if abs(number(f"{where}: '{column}'", row[column]) - mean) > _ROUNDED:
                raise InputError(
                    f"{where}: mean {criterion} {row[column]:.20}, but {mean:.3f} in {SCORES}: this is not the text of "
                    f"story {row['story_id']:.20}; remove it."
                )
        if isinstance(story["text"], str) and story["text"] != row["text"]:
            raise InputError(f"{where}: story {row['story_id']:.20} has another text before; keep one.")
        story["text"] = row["text"]


def _read_main(path: Path) -> Ratings:
    """One row per story and rater, with all texts."""
    what = "the main file of HANNA"
    columns = {criterion: criterion.capitalize() for criterion in CRITERIA}
    needed = ("Story ID", "Prompt", "Story", "Model", "Worker ID", "Assignment ID", *columns.values())
    prompts: dict[str, int] = {}
    assignments: dict[tuple[str, str], list[str]] = defaultdict(list)
    rows: list[tuple[int, int, dict[str, Any]]] = []
    for line, row in read_columns_of(path, what, needed):
        where = f"{path}:{line}"
        story = whole(f"{where}: 'Story ID'", row["Story ID"])
        p = prompts.setdefault(row["Prompt"], len(prompts))
        before = assignments[str(story), row["Worker ID"]]
        if row["Assignment ID"] in before:
            raise InputError(
                f"{where}: assignment '{row['Assignment ID']:.40}' stands twice for story {story}; get the file anew."
            )
        before.append(row["Assignment ID"])
        # a worker who took two assignments on one story rated it twice, as the publication counts
        rater = row["Worker ID"] + (f" ({len(before)})" if len(before) > 1 else "")
        about = _about(story, string(where, "Story", row["Story"]), row["Prompt"], p, row["Model"])
        for c, (criterion, column) in enumerate(columns.items()):
            value = on_scale(f"{where}: '{column}'", number(f"{where}: '{column}'", row[column]), SCALE)
            rows.append((c, story, about | {"rater": rater, "criterion": criterion, "value": value}))
    rows.sort(key=lambda entry: entry[:2])
    return _ratings([row for *_, row in rows])
