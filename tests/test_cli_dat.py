"""`clens dat`: a table of scores, the lists behind it; what is wrong is one line before any model loads."""

import json

import numpy as np
import pytest
from commands import refused, run
from word_vectors import WORDS, answer, orthogonal, written

from creativity_lens.activations import collect_activations
from creativity_lens.association import task
from creativity_lens.directions import mean_difference
from creativity_lens.prompts import load_control


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    near = orthogonal()
    written(folder / "vectors.txt", near | {"tax": near["river"]})
    return folder


@pytest.fixture
def scripted(monkeypatch, with_chat):
    """A model that names the ten words, from another place on in every run; pushed, it names one word only."""

    def generate_rows(model, rows, **options):
        return [
            answer("1. river" if row.steering else "\n".join(np.roll(WORDS, row.seed)), row.seed, row.temperature)
            for row in rows
        ]

    monkeypatch.setattr(task, "generate_rows", generate_rows)


ASK = ("dat", "--glove", "vectors.txt", "--people", "none")


def test_the_table_has_a_row_for_every_temperature(capsys, scripted):
    status, out, err = run(capsys, *ASK, "--runs", "10", "--temperature", "0.5,1.5")
    assert (status, err) == (0, "")
    heading, *rows = [line.split() for line in out.splitlines() if line.strip() and "─" not in line][:3]
    assert heading == ["condition", "temperature", "runs", "valid", "words", "score"]
    # of ten places to begin, seven words hold both river and tax, which are next to each other, six times
    mean = 100 * (1 - 0.6 / 21)
    for row, temperature in zip(rows, ("0.5", "1.5"), strict=True):
        assert row[:5] == ["unsteered", temperature, "10", "100%", "10.0"]
        assert float(row[5]) == pytest.approx(mean, abs=0.05)
        assert row[7] == "to"
    assert "vectors.txt (10 words, 10 wide): its own scale, not that of published scores" in " ".join(out.split())


def test_lists_are_written_and_json_is_one_object(capsys, scripted, here):
    status, out, err = run(capsys, *ASK, "--runs", "3", "--out", "lists.jsonl", "--json", "--seed", "4")
    assert status == 0
    assert err == "3 lists: lists.jsonl\n"
    found = json.loads(out)
    rows = [json.loads(line) for line in (here / "lists.jsonl").read_text().splitlines()]
    assert rows == found["answers"]
    assert [row["seed"] for row in rows] == [4, 5, 6]
    assert rows[0]["words"] == list(np.roll(WORDS, 4))
    assert rows[0]["score"] == pytest.approx(100 * 20 / 21)
    (condition,) = found["conditions"]
    assert (condition["valid_share"], condition["score_low"], condition["percentile"]) == (1.0, None, None)
    assert condition["note"].startswith("no interval: fewer than 8 valid answers")
    assert found["people"] is None
    assert "exists" in refused(capsys, *ASK, "--out", "lists.jsonl")


def test_steered_and_unsteered_with_people(capsys, scripted, chat, here):
    mean_difference(collect_activations(chat, load_control("register")[:12])).save("d.safetensors")
    lists = "".join(f'"{", ".join(np.roll(WORDS, n))}",{n},r{n}\n' for n in range(10))
    (here / "people.csv").write_text(f"text,DAT,rater\n{lists}")
    assert run(capsys, "ratings", "import", "people.csv", "--rating", "DAT", "--rater", "rater")[0] == 0
    steer = ("-d", "d.safetensors", "--layer", "3", "--strength", "0.1,0.2")
    status, out, err = run(capsys, *ASK[:3], "--people", "people.ratings.csv", *steer, "--runs", "10")
    assert status == 0
    assert "is not a run, so nothing chose a cell" in err
    lines = {line.split("  ")[0].strip(): line for line in out.splitlines()}
    assert "not measured" not in lines["unsteered"]
    assert lines["unsteered"].split()[-1].isdigit() or lines["unsteered"].rstrip().endswith(")"), "a percentile"
    for name in ("layer 3, strength 0.1", "layer 3, strength 0.2"):
        assert lines[name].count("not measured") == 3, "score, difference and percentile"
        assert " 0% " in lines[name]
        assert lines[name].rstrip().endswith("[1]")
    assert "[1] not scored: no answer has 7 valid words." in out
    assert "among 10 of 10 people" in " ".join(out.split())


def test_a_pocket_model_is_asked_and_nothing_is_hidden(capsys, with_chat):
    status, out, _ = run(capsys, *ASK, "--runs", "2", "--max-new-tokens", "4")
    assert status == 0
    assert "not measured" in out
    assert "not scored: no answer has 7 valid words" in out


def test_what_was_written_is_kept_where_the_vectors_fail(capsys, scripted, here):
    text = (here / "vectors.txt").read_text()
    (here / "vectors.txt").write_text(text.replace("moon 0.0", "moon x.0"))
    status, out, err = run(capsys, *ASK, "--runs", "2", "--out", "lists.jsonl")
    assert (status, out) == (2, "")
    assert err.startswith("clens: error: vectors.txt:9: expected a number, got 'x.0000'")
    assert len((here / "lists.jsonl").read_text().splitlines()) == 2


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--temperature", "a"), "--temperature: expected numbers"),
        (("--temperature", "-1"), "--temperature: expected 0 (greedy) or positive numbers, got -1"),
        (("--temperature", "nan"), "--temperature: expected 0"),
        (("--temperature", "1,1.0"), "--temperature: expected each once"),
        (("--runs", "0"), "should be greater than or equal to 1"),
        (("--strength", "0.1"), "--strength: belongs to --directions RUN"),
        (("--layer", "3"), "--layer: belongs to --directions RUN"),
        (("--embedder", "x"), "--glove and --embedder: expected one of them"),
        (("--prompt", " "), "--prompt: expected a text"),
        (("--words", "no.txt"), "no.txt: no such file"),
        (("--people", "dat=no"), "no: expected a folder of DAT"),
        (("--directions", "no"), "no: no such file; expected directions"),
        (("--out", "no/lists.jsonl"), "no/lists.jsonl: cannot be written"),
        (("--mode", "push"), "--mode: expected one of"),
    ],
)
def test_bad_options_are_refused_before_a_model_loads(capsys, options, said):
    assert said in refused(capsys, *ASK, *options)


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize("share", [0.47, 0.999])
def test_a_file_of_vectors_that_is_cut_is_refused_before_a_model_loads(capsys, here, share):
    whole = (here / "vectors.txt").read_bytes()
    (here / "vectors.txt").write_bytes(whole[: int(share * len(whole))])
    assert "the last row is not whole: the file is cut short" in refused(capsys, *ASK)


@pytest.mark.usefixtures("no_model")
def test_an_embedder_that_cannot_be_loaded_is_one_line(capsys):
    said = refused(capsys, "dat", "--embedder", "./no", "--people", "none")
    assert said.startswith("./no: no such folder")


def test_the_fetched_people_are_taken_by_themselves(monkeypatch, tmp_path):
    from creativity_lens import ratings
    from creativity_lens.cli.dat import _people

    monkeypatch.setenv("CLENS_CACHE", str(tmp_path))
    asked = []
    monkeypatch.setattr(ratings, "load_ratings", lambda spec: (asked.append(spec), None))
    _people("none")
    _people("auto")
    assert asked == []
    folder = ratings.SETS["dat"].folder
    folder.mkdir(parents=True)
    for file in ratings.SETS["dat"].files:
        (folder / file.name).touch()
    _people("auto")
    assert asked == ["dat"]
