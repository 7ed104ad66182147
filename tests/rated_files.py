"""Small folders in the format of each published set. Every text in them was made up for these tests."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROMPTS = (
    "A door opens that nobody built.",
    "The last lamp, told by the dark.",
    "Write about rain.",
    'Say "no", twice.',
)
SYSTEMS = ("Human", "Alpha", "Beta")
LETTERS = ("RE", "CH", "EM", "SU", "EG", "CX")
NAMES = ("relevance", "coherence", "empathy", "surprise", "engagement", "complexity")
TESTS = ("Ending", "Pacing", "Original Thought")
AUTHORS = ("NewYorker", "Claude")
EXPERTS = (9, 1, 7)


def hanna_rating(system: int, prompt: int, rater: int, criterion: int) -> int:
    """A rating from 1 to 5 that differs between all four."""
    return (system + 2 * prompt + 3 * rater + criterion * (prompt + 1)) % 5 + 1


def human_story(prompt: int) -> str:
    return f"Story {prompt}.\nIt had two lines, and a comma."


def write_csv(path: Path, rows: list[dict[str, Any]], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), delimiter=delimiter, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def change_csv(path: Path, change: Callable[[list[dict[str, Any]]], object], delimiter: str = ",") -> None:
    with path.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle, delimiter=delimiter))
    change(rows)
    write_csv(path, rows, delimiter)


def change_json(path: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    found = json.loads(path.read_text("utf-8"))
    change(found)
    path.write_text(json.dumps(found, indent=4) + "\n", "utf-8")


def hanna(folder: Path) -> Path:
    """Three systems, four prompts; one model story with text."""
    folder.mkdir(parents=True)
    scores = []
    for s, system in enumerate(SYSTEMS):
        row: dict[str, Any] = {"Model": system, "Text length ¤§": "[0.5, NaN]"}
        for c, letters in enumerate(LETTERS):
            for r in range(3):
                row[f"Human {r + 1} {letters}"] = json.dumps([hanna_rating(s, p, r, c) for p in range(len(PROMPTS))])
        scores.append(row)
    write_csv(folder / "hanna_metric_scores_llm.csv", scores)
    stories = [
        {
            "": m * len(PROMPTS) + p,
            "Prompt": prompt,
            "Human": human_story(p),
            "Story": "Not a rated one.",
            "Model": model,
        }
        for m, model in enumerate(("Large", "Larger"))
        for p, prompt in enumerate(PROMPTS)
    ]
    write_csv(folder / "hanna_llm_stories.csv", stories)
    write_csv(
        folder / "hanna_with_text.csv", [_with_text(0, 1, human_story(1)), _with_text(2, 3, "Beta on the last one.")]
    )
    return folder


def _with_text(s: int, p: int, text: str) -> dict[str, Any]:
    row: dict[str, Any] = {"story_id": s * len(PROMPTS) + p, "system": SYSTEMS[s], "prompt": PROMPTS[p], "text": text}
    means = {
        f"{name}_mean": f"{sum(hanna_rating(s, p, r, c) for r in range(3)) / 3:.3f}" for c, name in enumerate(NAMES)
    }
    return row | means


def hanna_main(folder: Path) -> Path:
    """The main file of the same ratings, rows out of order, one worker twice on a story."""
    folder.mkdir(parents=True)
    rows = []
    for r in (2, 0, 1):
        for s, system in enumerate(SYSTEMS):
            for p, prompt in enumerate(PROMPTS):
                twice = (s, p) == (1, 2) and r < 2
                row = {"Story ID": s * len(PROMPTS) + p, "Prompt": prompt, "Human": human_story(p)}
                row |= {"Story": human_story(p) if s == 0 else f"{system} on {p}.", "Model": system}
                row |= {name.capitalize(): hanna_rating(s, p, r, c) for c, name in enumerate(NAMES)}
                row |= {"Worker ID": "W0" if twice else f"W{r}", "Assignment ID": f"A{r}{s}{p}"}
                rows.append(row | {"Work time in seconds": 60, "Name": "Ada"})
    write_csv(folder / "hanna_stories_annotations.csv", rows)
    return folder


def ttcw_verdict(plot: int, author: int, expert: int, test: int) -> str:
    return "Yes" if (plot + author * 2 + expert + test) % 3 else "No"


def ttcw(folder: Path) -> Path:
    """Two plots by two authors, three tests, three experts; one author's stories by address only."""
    folder.mkdir(parents=True)
    stories, verdicts = [], []
    for plot in range(2):
        for a, author in enumerate(AUTHORS):
            name, text = (
                f"{plot}_{author}",
                f"https://example.org/{plot}" if a == 0 else f"A story on plot {plot}.\n\nEnd.",
            )
            about = {"story_idx": plot, "story_id": name}
            stories.append(about | {"story_name": f"Plot {plot}", "plot": f"A plot, number {plot}.", "content": text})
            for e, expert in enumerate(EXPERTS):
                verdicts += [
                    about | {"expert_idx": expert, "ttcw_idx": t, "category": test, "explanation": "It is so."}
                    | {"binary_verdict": ttcw_verdict(plot, a, e, t)}
                    for t, test in enumerate(TESTS, start=1)
                ]  # fmt: skip
    (folder / "ttcw_short_stories.json").write_text(json.dumps(stories, indent=4), "utf-8")
    (folder / "ttcw_annotations.json").write_text(json.dumps(verdicts, indent=4), "utf-8")
    return folder


ANSWERS = {
    "finetune-gt_main2_prepared_test.jsonl": (("brick", "a very small step", "27"), ("sock", "puppet\nfor two", "41")),
    "finetune-gt_main2_prepared_val.jsonl": (
        ("brick", "doorstop", "10"),
        ("brick", " ", "15"),
        ("sock", "\u2028", "50"),
    ),
}


def ocsai(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, answers in ANSWERS.items():
        rows = [
            {"prompt": f"AUT Prompt:{of}\nResponse:{answer}\nScore:\n", "completion": value}
            for of, answer, value in answers
        ]
        text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
        (folder / name).write_text(text, "utf-8")
    return folder


PARAGRAPHS = (("ann_1", "one", 3, 8), ("bob_2", "two", 5, 6), ("ann_1", "two", 4, 4))


def lamp(folder: Path, *, published: str | None = None) -> Path:
    """Three paragraphs, two of one id; as the table, or as the list that was published under a name."""
    folder.mkdir(parents=True)
    rows = [
        {
            "id": name,
            "source": model,
            "type": "Fiction",
            "instruction": f"What happened {n}?",
            "preedit": f"Before {n}.",
        }
        | {"postedit": f"After, {n}.", "ai_edited": "Else.", "score_pre": low, "score_post": high}
        for n, (name, model, low, high) in enumerate(PARAGRAPHS)
    ]
    if published is None:
        write_csv(folder / "lamp_edits.csv", rows)
        return folder
    listed = [
        {key: value for key, value in row.items() if not key.startswith("score")}
        | {"creativity_scores": [str(row["score_pre"]), str(row["score_post"])], "split": "test"}
        for row in rows
    ]
    (folder / published).write_text(json.dumps(listed), "utf-8")
    return folder


PEOPLE = {
    "study1a.tsv": (("77.5", "1.2", "1.6", "3"), ("88.25", "0", "0.4", "NA")),
    "study1b.tsv": (("60", "", "", ""), ("91", "2", "3", "5"), ("70.125", "NA", "NA", "1")),
}


def dat(folder: Path) -> Path:
    """Two and three people; some were not rated, one left words out, one wrote a quote."""
    folder.mkdir(parents=True)
    for name, people in PEOPLE.items():
        rows = []
        for n, (score, first, second, fitting) in enumerate(people):
            row = {"id": "", "age": "", "gender": "", "rt": ""}
            for column in ("aut.flexibility", "aut.originality", "aut.fluency"):
                row |= {f"{column}.1": first, f"{column}.2": second, column: ""}
            row |= {"bag.appropriateness.1": fitting, "bag.appropriateness.2": fitting, "bag.appropriateness": fitting}
            row |= {"dat": score, "valids": "10"} | {f"word.{w}": f"word{n}{w} " for w in range(1, 11)}
            rows.append(row)
        rows[0]["word.2"], rows[1]["word.9"], rows[1]["word.10"] = '"', "", "NA"
        lines = ["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]
        (folder / name).write_text("\n".join(lines) + "\n", "utf-8")
    return folder


FOLDERS: dict[str, Callable[[Path], Path]] = {"ttcw": ttcw, "hanna": hanna, "ocsai": ocsai, "lamp": lamp, "dat": dat}
