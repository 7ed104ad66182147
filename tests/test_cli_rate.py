"""`clens rate`: from texts or a run to pages, and from what raters saved back to what they found."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import refused, run
from fake_run import fake_run

from creativity_lens.packets import Packet
from creativity_lens.packets.sealed import digest_of


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def texts_file(path: Path, rows: int = 6, **more) -> Path:
    lines = [{"id": f"t{n}", "text": f"Text {n}.", "group": f"g{n // 2}", **more} for n in range(rows)]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def answer_all(folder: Path, value) -> list[str]:
    """The files that raters would save who answer `value(item, criterion, rater, rng)`, and every check as asked."""
    packet, files = Packet.load(folder), []
    for number, rater in enumerate(packet.raters):
        rng, answers = np.random.default_rng(number), []
        for entry in rater.entries:
            if entry.kind == "check":
                values = dict(packet.check(entry.key).expected)
            else:
                values = {name: value(packet.item(entry.key), name, number, rng) for name in packet.criteria}
            answers.append({"code": entry.code, "values": values, "seconds": 3})
        saved = {
            "format": "answers 1", "packet": packet.id, "rater": rater.name, "page": rater.page_digest,
            "started": "2030-01-01T00:00:00Z", "saved": "2030-01-01T01:00:00Z", "answers": answers, "complete": True,
        }  # fmt: skip
        file = Path(f"answers-{packet.id}-{rater.name}.json")
        file.write_text(json.dumps(saved | {"digest": digest_of(saved)}))
        files.append(str(file))
    return files


def more_creative(item, criterion, rater, rng) -> int:
    """Steered texts are rated one and a half points more creative, and no better otherwise."""
    more = 1.5 * (item.condition == "steered") * (criterion == "creativity")
    return int(np.clip(round(3.5 + more + rng.normal(scale=0.8)), 1, 7))


def test_from_a_run_to_what_people_found(capsys, tmp_path: Path) -> None:
    fake_run(tmp_path / "run", prompts=12, seeds=2)
    status, out, err = run(capsys, "rate", "make", "run", "--per-condition", 40, "--raters", 3, "--out", "packet")
    assert status == 0
    assert "3 pages (rater-1.html to rater-3.html) of 72 texts, 5 attention checks" in out
    assert "24 unsteered, 24 steered, 24 prompted; 12 prompts" in out
    assert "80 % power" in out
    assert "assumed" in out
    assert "clens rate collect packet answers-" in out
    assert "note: Asked for 40 texts of each condition; the run has 24" in err
    packet = Packet.load("packet")
    assert packet.source == {"run": "run"}
    assert packet.conditions == ("unsteered", "steered", "prompted")

    files = answer_all(Path("packet"), more_creative)
    status, out, err = run(capsys, "rate", "collect", "packet", *files, "--out", "ratings.csv")
    assert status == 0, err
    assert "more creative" in out
    frame = pd.read_csv("ratings.csv")
    assert len(frame) == 72 * 3 * 3
    assert set(frame["author"]) == {"unsteered", "steered", "prompted"}
    assert "already" not in err
    assert "exists" in refused(capsys, "rate", "collect", "packet", *files, "--out", "ratings.csv")
    assert run(capsys, "rate", "collect", "packet", *files, "--out", "ratings.csv", "--force")[0] == 0

    status, out, _ = run(capsys, "rate", "collect", "packet", *files, "--json")
    told = json.loads(out)
    assert told["packet"] == packet.id
    assert told["sentences"]
    found = next(row for row in told["table"] if row["measure"] == "difference" and row["criterion"] == "creativity")
    assert found["level"] == "steered - unsteered"
    assert found["low"] > 0.5
    assert found["estimate"] == pytest.approx(1.5, abs=0.5)


def test_indifferent_raters_find_nothing(capsys, tmp_path: Path) -> None:
    """The control of the planted effect."""
    fake_run(tmp_path / "run", prompts=12, seeds=1)
    run(capsys, "rate", "make", "run", "--raters", 3)
    files = answer_all(Path("packet"), lambda item, criterion, rater, rng: int(rng.integers(1, 8)))
    _, out, _ = run(capsys, "rate", "collect", "packet", *files, "--json")
    rows = [row for row in json.loads(out)["table"] if row["measure"] == "difference"]
    primary = next(row for row in rows if row["role"] == "primary")
    assert primary["low"] < 0 < primary["high"]


def test_files_that_are_refused_or_incomplete(capsys, tmp_path: Path) -> None:
    texts_file(tmp_path / "texts.jsonl")
    assert run(capsys, "rate", "make", "texts.jsonl", "--raters", 2, "--criteria", "quality")[0] == 0
    files = answer_all(Path("packet"), lambda item, criterion, rater, rng: int(rng.integers(1, 8)))
    whole = json.loads(Path(files[0]).read_text())
    Path("cut.json").write_text(Path(files[0]).read_text()[:200])
    assert "cut.json: not JSON" in refused(capsys, "rate", "collect", "packet", "cut.json")
    Path("edited.json").write_text(json.dumps(whole | {"rater": "rater-2"}))
    assert "digest" in refused(capsys, "rate", "collect", "packet", "edited.json")
    less = {**whole, "answers": whole["answers"][:-1], "complete": False}
    Path("half.json").write_text(json.dumps(less | {"digest": digest_of(less)}))
    assert "incomplete" in refused(capsys, "rate", "collect", "packet", "half.json", files[1])
    status, _, err = run(capsys, "rate", "collect", "packet", "half.json", files[1], "--partial")
    assert status == 0
    assert "missing" in err
    assert "expected a name that ends in .csv" in refused(
        capsys, "rate", "collect", "packet", files[0], "--out", "a.txt"
    )


def test_every_option_of_make_reaches_the_packet(capsys, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "body,topic,ask,arm\nOne,a,Write a,x\nTwo,a,Write a,y\nThree,b,Write b,x\nFour,b,,y\n"
    )
    status, out, err = run(
        capsys, "rate", "make", "t.csv", "--text", "body", "--group", "topic", "--prompt", "ask", "--condition", "arm",
        "--criteria", "warmth,humour", "--question", "warmth=How warm is it?", "--scale", "0-10", "--raters", 2,
        "--checks", 2, "--panel", "expert", "--note", "Take your time.", "--prompt-hidden", "--seed", 5, "--out", "a/b",
    )  # fmt: skip
    assert status == 0, err
    packet = Packet.load("a/b")
    assert packet.criteria == ("warmth", "humour")
    assert packet.scale == (0, 10)
    assert packet.seed == 5
    assert packet.source == {"file": "t.csv"}
    assert [rater.panel for rater in packet.raters] == ["expert", "expert"]
    assert len(packet.checks) == 2
    assert [(item.group, item.prompt, item.condition) for item in packet.items] == [
        ("a", "Write a", "x"), ("a", "Write a", "y"), ("b", "Write b", "x"), ("b", None, "y"),
    ]  # fmt: skip
    page = Path("a/b/rater-1.html").read_text()
    assert "How warm is it?" in page
    assert "Take your time." in page
    assert "Write b" not in page
    assert "an interval needs 8" in out


def test_pairs_of_a_file_and_of_a_run(capsys, tmp_path: Path) -> None:
    texts_file(tmp_path / "texts.jsonl")
    status, out, _ = run(capsys, "rate", "make", "texts.jsonl", "--pairs", "--out", "one")
    assert status == 0
    assert "of 3 pairs, 0 attention checks and one pair to practise with" in out
    fake_run(tmp_path / "run", prompts=9, seeds=1)
    status, out, _ = run(capsys, "rate", "make", "run", "--pairs", "--out", "two")
    assert status == 0
    assert "of 9 pairs" in out
    assert "% of preferences" in out
    assert len(Packet.load("two").pairs) == 9


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.jsonl"], "none.jsonl: no such file"),
        (["texts.json"], "got the ending '.json'"),
        (["empty.jsonl"], "the file is empty"),
        (["folder"], "expected a run folder"),
        (["texts.jsonl", "--criteria", ""], "--criteria: expected names"),
        (["texts.jsonl", "--criteria", "a,a"], "--criteria: 'a' stands twice"),
        (["texts.jsonl", "--criteria", "a,<b>"], "--criteria"),
        (["texts.jsonl", "--scale", "7-1"], "--scale: expected two rising whole numbers"),
        (["texts.jsonl", "--scale", "1-100"], "--scale"),
        (["texts.jsonl", "--scale", "1-7", "--pairs"], "--scale: pairs are answered with A, B"),
        (["texts.jsonl", "--raters", 0], "--raters: expected 1 to 200"),
        (["texts.jsonl", "--checks", "some"], "--checks: expected 'auto' or a whole number"),
        (["texts.jsonl", "--checks", 7], "--checks: 7 for 6 texts"),
        (["texts.jsonl", "--text", "txt"], "no column 'txt'; it has 'id', 'text', 'group'"),
        (["texts.jsonl", "--per-condition", 5], "--per-condition: expected with a run"),
        (["texts.jsonl", "--question", "what"], "--question: expected NAME=TEXT"),
        (["texts.jsonl", "--question", "qualty=what"], "Did you mean 'quality'?"),
        (["texts.jsonl", "--question", "quality=a", "--question", "quality=b"], "--question quality: stands twice"),
        (["alone.jsonl", "--pairs"], "the group 'g2' has one text"),
        (["texts.jsonl", "--out", "folder"], "--out folder: holds other files"),
        (["texts.jsonl", "--out", "texts.jsonl"], "expected a folder, got a file"),
        (["run", "--text", "body"], "--text: run is a run, which has no columns"),
        (["run", "--per-condition", 0], "--per-condition: expected 1 or more"),
        (["screened"], "no texts of the test stage"),
        (["texts.jsonl", "--rater", 2], "No such option: --rater"),
    ],
)
def test_bad_input_is_one_line_and_makes_nothing(capsys, tmp_path: Path, arguments: list, said: str) -> None:
    texts_file(tmp_path / "texts.jsonl")
    texts_file(tmp_path / "alone.jsonl", rows=5)
    (tmp_path / "texts.json").write_text("[]")
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("mine")
    fake_run(tmp_path / "run", prompts=2, seeds=1)
    fake_run(tmp_path / "screened", prompts=2, seeds=1, stage="dev")
    assert said in refused(capsys, "rate", "make", *arguments)


def test_help_has_examples(capsys) -> None:
    for command in ("make", "collect"):
        status, out, _ = run(capsys, "rate", command, "--help")
        assert status == 0
        assert f"Example: clens rate {command}" in out
