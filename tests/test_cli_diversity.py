"""`clens diversity`: what it prints and writes, and the one line by which it refuses."""

import io
import json

import pandas as pd
import pytest
from commands import refused, run
from test_diversity_measuring import EMBEDDER, world

from creativity_lens.cli import app
from creativity_lens.diversity import compare_diversity, measure_diversity
from creativity_lens.errors import InputError

TEXTS, GROUPS = world(groups=4, each=4)  # below 8 groups nothing is drawn again, and tests are fast
POOR, _ = world(groups=4, each=4, vocabulary=4)


def rows(texts, groups, **more):
    return "".join(
        json.dumps({"text": text, "prompt": group, **{key: value[i] for key, value in more.items()}}) + "\n"
        for i, (text, group) in enumerate(zip(texts, groups, strict=True))
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    marks = [i % 4 > 0 for i in range(16)]
    (folder / "rich.jsonl").write_text(rows(TEXTS, GROUPS, ok=marks))
    (folder / "poor.jsonl").write_text(rows(POOR, GROUPS, ok=marks))
    models = ["rich"] * 16 + ["poor"] * 16
    (folder / "both.jsonl").write_text(rows(TEXTS + POOR, GROUPS * 2, model=models))
    (folder / "odd.jsonl").write_text(rows(["", "[red]it[/red] rained \x1b[31m", "snow fell"], ["a", "a", "b\x1b[31m"]))
    (folder / "empty.jsonl").write_text(rows(["", " "], ["a", "b"]))
    (folder / "t.txt").write_text("one text\nand another text\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "rich.jsonl").write_text(rows(POOR, GROUPS))
    return folder


@pytest.fixture(autouse=True)
def _there(made, monkeypatch):
    monkeypatch.chdir(made)
    monkeypatch.setattr("creativity_lens.embeddings.load_embedder", lambda name=None, device="cpu": EMBEDDER)


@pytest.fixture
def new(made):
    path = made / "new.out"
    yield lambda ending: path.with_suffix(ending)
    for each in made.glob("new.*"):
        each.unlink()


def line(out, *starts):
    """The cells of the line of a measure and scope."""
    found = [each.split() for each in out.splitlines()]
    words = " ".join(starts).split()
    return next(each for each in found if each[: len(words)] == words)


def test_the_table_holds_the_primary_measure_first(capsys, made):
    texts, groups = world(groups=9, each=3)
    (made / "nine.jsonl").write_text(rows(texts, groups))
    status, out, err = run(capsys, "diversity", "nine.jsonl", "--group", "prompt")
    assert (status, err) == (0, "")
    expected = measure_diversity(texts, groups, embedder=EMBEDDER)
    cells = line(out, "semantic spread (primary) within")
    estimate = expected.estimate("semantic spread")
    assert cells[4:8] == [f"{estimate.value:.2f}", f"({estimate.low:.2f}", "to", f"{estimate.high:.2f})"]
    assert cells[8] == "9"
    assert "coherent only (95 %)" in out
    assert out.index("semantic spread (primary)") < out.index("distinct-1") < out.index("Vendi score")
    said = " ".join(out.split())
    assert "27 texts in 9 groups, each cut to 12 words, 3 of a group measured together. Left out: none." in said
    assert "Embedder: fake embedder (hashed words)." in said
    assert "Primary: semantic spread within groups, of all texts; everything else is descriptive." in said
    assert "Coherent: at most 0.2 of a text's 4-grams repeated; 27 of 27 texts." in said


def test_csv_json_and_files_hold_what_the_library_gives(capsys, new):
    expected = measure_diversity(TEXTS, GROUPS, embedder=EMBEDDER, coherent=[True] * 16).table
    asked = ("diversity", "rich.jsonl", "--group", "prompt")
    _, out, _ = run(capsys, *asked, "--csv")
    frame = pd.read_csv(io.StringIO(out), keep_default_na=False, na_values=[""])
    assert frame["measure"].tolist() == expected["measure"].tolist()
    assert frame["estimate"].tolist() == pytest.approx(expected["estimate"].tolist())
    _, out, _ = run(capsys, *asked, "--json")
    found = json.loads(out)
    assert (found["length"], found["count"], found["left_out"]["texts"]) == (12, 4, 0)
    assert found["table"][0]["primary"] is True
    assert len(found["scores"]) == sum(4 if row["scope"] == "within" else 1 for row in found["table"])
    for ending in (".csv", ".json"):
        status, out, err = run(capsys, *asked, "--out", new(ending))
        assert (status, out, err) == (0, "", f"{len(expected)} measures: {new(ending)}\n")
        assert new(ending).read_text()
    assert "exists; choose another name or add --force" in refused(capsys, *asked, "--out", new(".csv"))
    assert run(capsys, *asked, "--out", new(".csv"), "--force")[0] == 0


def test_conditions_stand_side_by_side_from_one_file_or_two(capsys):
    expected = compare_diversity(TEXTS + POOR, GROUPS * 2, ["rich"] * 16 + ["poor"] * 16, embedder=EMBEDDER)
    _, one, _ = run(capsys, "diversity", "both.jsonl", "--group", "prompt", "--by", "model")
    _, two, _ = run(capsys, "diversity", "rich.jsonl", "poor.jsonl", "--group", "prompt")
    assert one == two
    assert "poor - rich" in one
    spread = expected.conditions["rich"].estimate("semantic spread")
    assert line(one, "semantic spread (primary) within all")[5] == f"{spread.value:.2f}"
    assert "4 groups that all conditions have." in one
    _, out, _ = run(capsys, "diversity", "both.jsonl", "--group", "prompt", "--by", "model", "--json")
    found = json.loads(out)
    assert list(found["conditions"]) == ["rich", "poor"]
    row = found["changes"][0]
    assert (row["measure"], row["condition"], row["against"], row["primary"]) == (
        "semantic spread", "poor", "rich", True
    )  # fmt: skip
    _, out, _ = run(capsys, "diversity", "rich.jsonl", "sub/rich.jsonl", "--group", "prompt", "--json", "--no-embed")
    assert list(json.loads(out)["conditions"]) == ["rich.jsonl", "sub/rich.jsonl"], "equal names: the whole paths"


def test_options_reach_the_library(capsys):
    asked = ["--length", "6", "--count", "2", "--threshold", "0.4", "--similarity", "0.9", "--seed", "3"]
    _, out, _ = run(capsys, "diversity", "rich.jsonl", "--group", "prompt", "--coherent", "ok", *asked, "--json")
    found = json.loads(out)
    assert (found["length"], found["count"], found["threshold"], found["similarity"]) == (6, 2, 0.4, 0.9)
    assert found["coherent"] == "Coherent: as 'ok' says; 12 of 16 texts."
    mask = [i % 4 > 0 for i in range(16)]
    expected = measure_diversity(
        TEXTS, GROUPS, embedder=EMBEDDER, coherent=mask, length=6, count=2, threshold=0.4, similarity=0.9, seed=3
    )
    got = [row["estimate"] for row in found["table"]]
    assert got == pytest.approx(expected.table["estimate"].tolist(), nan_ok=True)
    _, out, _ = run(capsys, "diversity", "rich.jsonl", "--group", "prompt", "--hdbscan")
    assert "HDBSCAN needs more than 100 texts in a set, it has 4" in " ".join(out.split())


def test_without_an_embedder_lexical_measures_stand(capsys, monkeypatch):
    def missing(name=None, device="cpu"):
        raise InputError("embeddings: not installed; run pip install 'creativity-lens[embed]'.")

    monkeypatch.setattr("creativity_lens.embeddings.load_embedder", missing)
    said = refused(capsys, "diversity", "rich.jsonl", "--group", "prompt")
    assert said.endswith("'creativity-lens[embed]'; or add --no-embed for the lexical measures alone.")
    status, out, _ = run(capsys, "diversity", "rich.jsonl", "--group", "prompt", "--no-embed")
    assert status == 0
    assert line(out, "semantic spread (primary) within")[4:6] == ["not", "measured"]
    assert line(out, "distinct-2 across")[2] != "not"
    assert "no embedder was given" in out


def test_a_reader_says_what_makes_no_sense(capsys, made, chat, monkeypatch):
    monkeypatch.setattr("creativity_lens.models.load_model", lambda name, device: chat)
    sane = [
        "The cat sat on the mat and looked out at the rain.",
        "The sun came up over the quiet harbour, and boats left.",
    ]
    (made / "mad.jsonl").write_text(rows([*sane, "qz xv kk pq zz vv qk xx jq wv zq kx"], ["a", "b", "a"]))
    asked = ("diversity", "mad.jsonl", "--group", "prompt", "--no-embed", "--reader", "pocket-chat", "--json")
    status, out, _ = run(capsys, *asked)
    assert status == 0
    assert json.loads(out)["coherent"].endswith("nats a token; 2 of 3 texts.")
    _, out, _ = run(capsys, *asked, "--most-surprisal", "99")
    assert json.loads(out)["coherent"].endswith("at most 99.00 nats a token; 3 of 3 texts.")


def test_texts_alone_and_odd_texts(capsys):
    status, out, err = run(capsys, "diversity", "t.txt")
    assert (status, err) == (0, "Without --group all texts are one group: no interval.\n")
    assert line(out, "distinct-1 across")[2:4] == ["not", "measured"]
    status, out, err = run(capsys, "diversity", "odd.jsonl", "--group", "prompt")
    assert status == 0
    assert "\x1b" not in out
    assert "Left out: 1 text (1 empty)" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.jsonl"], "none.jsonl: no such file"),
        (["rich.jsonl", "--group", "promt"], "it has 'text', 'prompt', 'ok': set --group. Did you mean 'prompt'?"),
        (["rich.jsonl", "--column", "txt"], "no field 'txt'"),
        (["t.txt", "--group", "prompt"], "t.txt is one text a line, without fields"),
        (["empty.jsonl", "--group", "prompt"], "texts: all 2 are empty"),
        (["rich.jsonl", "--length", "13"], "length: no text has 13 words, the longest has 12"),
        (["rich.jsonl", "--length", "0"], "greater than or equal to 1"),
        (["rich.jsonl", "--threshold", "nan"], "less than or equal to 2"),
        (["rich.jsonl", "--csv", "--json"], "--csv and --json: expected one of them"),
        (["rich.jsonl", "--out", "a.txt"], "--out a.txt: expected a name that ends in .csv or .json"),
        (["rich.jsonl", "--out", "a.csv", "--json"], "its ending says how it is written"),
        (["rich.jsonl", "rich.jsonl"], "rich.jsonl: given twice"),
        (["rich.jsonl", "poor.jsonl", "--by", "ok"], "--by ok: 2 files are compared with each other"),
        (["both.jsonl", "--by", "prompt", "--group", "text"], "groups: none has texts of 12 words in all of"),
        (["rich.jsonl", "--no-embed", "--threshold", "1"], "--threshold: needs embeddings, and --no-embed makes none"),
        (["rich.jsonl", "--coherent", "ok", "--reader", "pocket-base"], "--reader: --coherent ok says already"),
        (["rich.jsonl", "--coherent", "prompt"], "rich.jsonl:1: 'prompt': expected true or false"),
        (["rich.jsonl", "--most-surprisal", "3"], "--most-surprisal: expected --reader MODEL"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(capsys, arguments, said):
    assert said in refused(capsys, "diversity", *arguments)


def test_the_help_has_an_example(capsys):
    assert "diversity" in [command.name for command in app.registered_commands]
    status, out, _ = run(capsys, "diversity", "--help")
    assert status == 0
    assert "Example: clens diversity texts.jsonl --group prompt" in out
