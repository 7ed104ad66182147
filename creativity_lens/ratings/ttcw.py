"""TTCW as published: 48 stories, 14 yes/no tests of creativity, three of eleven experts each.

Chakrabarty et al. 2024, "Art or Artifice?". Twelve plots were each written by a magazine's author and three models; the
magazine's stories are there by address only, so their text is missing. Beside the 14 tests stands the sum that the
publication reports, "tests passed".
"""

import math
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd

from creativity_lens.errors import InputError
from creativity_lens.ratings.foreign import expect_files, read_objects, string
from creativity_lens.ratings.table import Ratings

VERDICTS, STORIES = "ttcw_annotations.json", "ttcw_short_stories.json"
PASSED = "tests passed"
PANEL = "expert"
_FIELDS = ("story_id", "expert_idx", "ttcw_idx", "category", "binary_verdict")
_ADDRESS = re.compile(r"\s*https?://\S+\s*")


def read(folder: str | Path) -> Ratings:
    """Every verdict (1 for Yes) under its test's name, and "tests passed" per story and expert.

    Groups are the plots, authors who or what wrote the story. Raises `InputError` for a missing file or field, a
    verdict that is neither Yes nor No, a story that is not listed, and an expert who left a test out.

    >>> read("ttcw").criteria[-1]                                # doctest: +SKIP
    'tests passed'
    """
    verdicts_file, stories_file = expect_files(Path(folder), [VERDICTS, STORIES], "TTCW")
    stories = _stories(stories_file)
    verdicts = read_objects(verdicts_file, "the verdicts of TTCW", _FIELDS)
    tests: dict[int, str] = {}
    passed: dict[tuple[str, str], list[int]] = defaultdict(list)
    found: list[tuple[int, dict[str, Any]]] = []
    for place, verdict in enumerate(verdicts, start=1):
        where = f"{verdicts_file}: entry {place}"
        story = string(where, "story_id", verdict["story_id"])
        if story not in stories:
            raise InputError(f"{where}: story '{story:.40}' is not in {stories_file.name}; get both files anew.")
        if verdict["binary_verdict"] not in ("Yes", "No"):
            got = string(where, "binary_verdict", verdict["binary_verdict"])
            raise InputError(f"{where}: 'binary_verdict': expected Yes or No, got '{got:.40}'.")
        index, name = verdict["ttcw_idx"], string(where, "category", verdict["category"]).strip()
        if type(index) is not int or tests.setdefault(index, name) != name:
            raise InputError(f"{where}: test {index!r:.40} is called '{name:.60}' here, and differently before.")
        value = int(verdict["binary_verdict"] == "Yes")
        rater = f"expert {string(where, 'expert_idx', verdict['expert_idx'])}"
        passed[story, rater].append(value)
        found.append((index, {"item": story, "rater": rater, "criterion": name, "value": value, "scale": "0-1"}))
    for (story, rater), values in passed.items():
        if len(values) != len(tests):
            raise InputError(
                f"{verdicts_file}: story '{story:.40}', {rater}: expected {len(tests)} verdicts, one per test, got "
                f"{len(values)}; get the file anew."
            )
    order = {story: place for place, story in enumerate(stories)}
    found.sort(key=lambda entry: (entry[0], order[entry[1]["item"]]))
    rows: list[dict[str, Any]] = [row for _, row in found]
    rows += [
        {"item": story, "rater": rater, "criterion": PASSED, "value": sum(values), "scale": f"0-{len(tests)}"}
        for (story, rater), values in sorted(passed.items(), key=lambda entry: order[entry[0][0]])
    ]
    frame = pd.DataFrame([stories[row["item"]] | row | {"panel": PANEL} for row in rows])
    return Ratings.of(frame, "ttcw", group_name="plot")


def _stories(path: Path) -> dict[str, dict[str, Any]]:
    """What is known of each story, by its id "3_GPT4": the plot it was written to, and by whom."""
    found = {}
    for place, story in enumerate(read_objects(path, "the stories of TTCW", ("story_id", "plot", "content")), start=1):
        where = f"{path}: entry {place}"
        name, text = (string(where, field, story[field]) for field in ("story_id", "content"))
        group, line, author = name.partition("_")
        if not (group and line and author):
            raise InputError(f"{where}: expected a 'story_id' such as 3_GPT4 (plot, author), got '{name:.40}'.")
        if name in found:
            raise InputError(f"{where}: story '{name:.40}' stands twice; get the file anew.")
        there = bool(text.strip()) and not _ADDRESS.fullmatch(text)
        about = {"text": text if there else math.nan, "prompt": string(where, "plot", story["plot"])}
        found[name] = about | {"group": group, "author": author}
    return found
