"""`clens audit`: a small audit end to end, the folder it writes, its report again, and what it refuses."""

import json
from dataclasses import replace

import pytest
from commands import refused, run
from fake_embedder import FakeEmbedder

from creativity_lens.cli.audit import stages_of
from creativity_lens.errors import InputError

SMALL = ("--samples", 2, "--max-new-tokens", 8, "--temperatures", "1.5", "--personas", 0, "--no-creativity")


@pytest.fixture
def small(monkeypatch, tmp_path, chat, base):
    """Built-in models loaded once, an embedder without weights, eight prompts, an empty folder."""
    from creativity_lens import embeddings, models

    known = {"pocket-chat": chat, "pocket-base": base}
    monkeypatch.setattr(models, "load_model", lambda name, template="auto", **_: _asked(known[name], template))
    monkeypatch.setattr(embeddings, "load_embedder", lambda name=None, **_: FakeEmbedder())
    monkeypatch.chdir(tmp_path)
    topics = ["the sea", "a key", "rain", "bread", "a door", "an owl", "smoke", "salt"]
    (tmp_path / "prompts.txt").write_text("".join(f"Write about {topic}.\n" for topic in topics))
    return tmp_path


def _asked(model, template):
    return replace(model, template="none") if template == "none" else model


@pytest.mark.slow
def test_an_audit_end_to_end(capsys, small):
    status, out, err = run(capsys, "audit", *SMALL, "--prompts", "prompts.txt")
    assert status == 0, err
    folder = small / "runs" / "pocket-chat-audit-001"
    assert {path.name for path in folder.iterdir()} == {"audit.csv", "audit.parquet", "report.html", "run.json"}
    meta = json.loads((folder / "run.json").read_text())
    assert meta["verdict"]["sentence"] in out
    assert meta["command"].startswith("clens audit --samples 2")
    assert "aligned template, T 1.5" in out
    assert out.rstrip().endswith("Report: runs/pocket-chat-audit-001/report.html")
    assert "Creativity was not measured" in err
    assert meta["verdict"]["sentence"].split("(")[0] in (folder / "report.html").read_text()

    before = (folder / "report.html").read_text()
    (folder / "report.html").unlink()
    status, again, _ = run(capsys, "report", folder)
    assert status == 0
    assert meta["verdict"]["sentence"] in again
    assert (folder / "report.html").read_text() == before


@pytest.mark.slow
def test_a_ladder_as_json(capsys, small):
    ladder = "base=pocket-base,sft=pocket-chat,rl=pocket-chat"
    words = ("audit", *SMALL, "--ladder", ladder, "--prompts", "prompts.txt", "--out", "mine", "--json")
    status, out, err = run(capsys, *words)
    assert status == 0, err
    said = json.loads(out)
    assert said["run"] == "mine"
    assert [each["condition"] for each in said["conditions"]][4:6] == ["rl plain", "rl template"]
    meta = json.loads((small / "mine" / "run.json").read_text())
    assert meta["stages"] == ["base", "sft", "rl"]


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--ladder", "base"), "expected stages such as base=A,sft=B,dpo=C, got 'base'"),
        (("--ladder", "base=pocket-base"), "expected at least two stages"),
        (("--ladder", "a=pocket-base,a=pocket-chat"), "the stage 'a' stands twice"),
        (("--ladder", "a=x,b=y", "--base", "x"), "--ladder: names every stage itself, so --base has no place"),
        (("--layer", "3"), "--layer: belongs to --directions RUN"),
        (("--directions", "nowhere"), "nowhere"),
        (("--prompts", "nowhere.txt"), "nowhere.txt: no such file"),
        (("--temperatures", "hot"), "--temperatures: expected numbers such as 0.1,0.2, got 'hot'"),
        (("--samples", "1"), "samples: expected 2 or more, got 1"),
        (("--temperature", "0"), "expected a positive number, got 0.0; diversity needs sampling"),
        (("--max-new-tokens", "1"), "max_new_tokens: expected 2 or more, got 1"),
    ],
)
def test_what_is_wrong_is_known_before_a_model_loads(capsys, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert said in refused(capsys, "audit", *words)


def test_an_embedder_that_cannot_be_loaded_leaves_nothing_behind(capsys, tmp_path, monkeypatch, no_model):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert "empty" in refused(capsys, "audit", "--embedder", "./empty")


def test_models_that_share_no_vocabulary_are_refused(capsys, small, monkeypatch, base):
    def refuse(first, second):
        raise InputError("a and b: expected one vocabulary, id for id")

    monkeypatch.setattr("creativity_lens.audit.conditions.check_same_vocabulary", refuse)
    assert "expected one vocabulary" in refused(capsys, "audit", *SMALL, "--prompts", "prompts.txt")


def test_stages_keep_their_order():
    assert stages_of("base=a/b, sft=./c ,rl=d") == {"base": "a/b", "sft": "./c", "rl": "d"}
    assert list(stages_of("z=1,a=2")) == ["z", "a"]
