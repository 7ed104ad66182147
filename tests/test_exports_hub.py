"""The folder for the hub: directions, control vector, and a card that says what was shown; sent only with a token."""

from dataclasses import replace

import huggingface_hub
import pytest
from fake_pairs import refusal
from handed_over import config_only, directions_of, parse_gguf

from creativity_lens.directions import Directions
from creativity_lens.dosing import Chosen
from creativity_lens.exports import export, hub

RUN = {
    "verdict": {
        "outcome": "steers",
        "sentence": "Pushing along the direction at layer 1 with strength 0.3 makes texts <b>more</b> creative.",
        "parts": [
            {"question": "Does it | work?", "estimate": 0.4567, "low": 0.39, "high": 0.52, "unit": "gaps",
             "needed": "95 % interval above 0", "passed": True},
            {"question": "More than controls?", "estimate": 0.025, "low": None, "high": None, "unit": "rank p",
             "needed": "rank p at most 0.05", "passed": False},
            {"question": "Coherent?", "estimate": None, "low": None, "high": None, "unit": "share",
             "needed": "at least 0.80", "passed": False},
        ],
        "beside": [{"label": "Against temperature", "text": "Not distinguishable."}],
    },
    "choice": {"layer": 1, "strength": 0.3},
}  # fmt: skip


@pytest.fixture
def directions(tmp_path) -> Directions:
    return directions_of(config_only(tmp_path / "my model"))


@pytest.fixture
def folder(directions, tmp_path):
    return export(Chosen(directions, 1, 0.3, "runs/x", RUN, ()), "hub", tmp_path / "made").path


def test_the_folder(directions, folder, tmp_path):
    assert sorted(path.name for path in folder.iterdir()) == sorted(hub.FILES)
    assert list(parse_gguf((folder / hub.VECTOR).read_bytes())[1]) == ["direction.1"]
    held = Directions.load(folder / hub.DIRECTIONS)
    assert held.layers == directions.layers
    assert held.source.model == "my model", "a folder's name, and no path of this machine"
    assert not any(str(tmp_path).encode() in path.read_bytes() for path in folder.iterdir())


def test_the_card_has_front_matter_that_the_hub_reads(directions, folder, tmp_path):
    card = huggingface_hub.ModelCard.load(folder / hub.CARD)
    assert card.data.tags == ["steering-vector", "control-vector", "creativity"]
    assert card.data.license is None, "left to the user"
    assert card.data.base_model is None, "a local folder is no repository"
    on_hub = replace(directions, source=replace(directions.source, model="some/model"))
    made = export(on_hub, "hub", tmp_path / "b", layers=[1], scale=0.1, model=tmp_path / "my model")
    assert huggingface_hub.ModelCard.load(made.path / hub.CARD).data.base_model == "some/model"


def test_the_card_says_what_was_shown(directions, folder, tmp_path):
    text = (folder / hub.CARD).read_text()
    assert "makes texts &lt;b&gt;more&lt;/b&gt; creative." in text
    assert "| Does it \\| work? | 0.457 gaps (0.39 to 0.52) | 95 % interval above 0 | yes |" in text
    assert "| More than controls? | 0.025 rank p | rank p at most 0.05 | no |" in text
    assert "| Coherent? | not measured | at least 0.80 | no |" in text
    assert "- Against temperature: Not distinguishable." in text
    assert "Tested once, at layer 1, strength 0.3" in text
    assert "which is not what was tested" not in text
    assert "--control-vector-scaled control_vector.gguf:1.0" in text
    other = export(Chosen(directions, 1, 0.3, "x", RUN, ()), "hub", tmp_path / "c", layers="1-2").path
    assert "of layers 1-2, strength 0.3, which is not what was tested." in (other / hub.CARD).read_text()
    untested = export(directions, "hub", tmp_path / "d", layers=[1], scale=0.1).path
    assert "Not tested: no sweep came with these directions." in (untested / hub.CARD).read_text()


def test_an_existing_folder_is_kept(directions, folder, tmp_path):
    def again(**options):
        return export(directions, "hub", folder, layers=[2], scale=0.1, **options)

    before = (folder / hub.CARD).read_bytes()
    assert refusal(again) == f"{folder}: exists; choose another name or add --force."
    assert (folder / hub.CARD).read_bytes() == before
    again(force=True)
    assert list(parse_gguf((folder / hub.VECTOR).read_bytes())[1]) == ["direction.2"]
    (folder / "mine.txt").write_text("mine")
    assert "expected a new or empty folder, got one that holds mine.txt." in refusal(lambda: again(force=True))
    message = refusal(lambda: export(directions, "hub", folder / "mine.txt", layers=[2], scale=0.1, force=True))
    assert "expected a folder to write into, got a file" in message
    (tmp_path / "empty").mkdir()
    export(directions, "hub", tmp_path / "empty", layers=[2], scale=0.1)


# -- pushing ---------------------------------------------------------------------------------------------------------


class FakeApi:
    calls: list  # of one test

    def __init__(self, token=None):
        assert token == "hf_token"

    def create_repo(self, repo, **options):
        self.calls.append(("create", repo, options))
        return f"https://hub.invalid/{repo}"

    def upload_folder(self, **options):
        self.calls.append(("upload", options["repo_id"], sorted(options["allow_patterns"]), options["folder_path"]))


@pytest.fixture
def calls(monkeypatch):
    monkeypatch.setattr(FakeApi, "calls", [], raising=False)
    monkeypatch.setattr(huggingface_hub, "HfApi", FakeApi)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_token")
    return FakeApi.calls


def test_push_uploads_the_three_files_to_a_private_repository(folder, calls):
    assert hub.push(folder, "jane/odd") == "https://hub.invalid/jane/odd"
    assert calls == [
        ("create", "jane/odd", {"private": True, "exist_ok": True}),
        ("upload", "jane/odd", sorted(hub.FILES), folder),
    ]


def test_without_a_token_nothing_is_sent_and_the_folder_stays(folder, calls, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.warns(UserWarning, match="no token of the hub is present"):
        assert hub.push(folder, "jane/odd") is None
    assert calls == []
    assert (folder / hub.CARD).is_file()


def test_what_the_hub_refuses_is_one_line(folder, calls, monkeypatch):
    def refuse(self, repo, **options):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(FakeApi, "create_repo", refuse)
    message = refusal(hub.push, folder, "jane/odd")
    assert message.startswith("--push jane/odd: the hub refused or does not answer (ConnectionError: no route)")
    assert (folder / hub.CARD).is_file()


@pytest.mark.parametrize("name", ["", "jane", "jane/odd/x", "../x", "jane/ odd", "/odd", "jane/"])
def test_a_repository_is_user_and_name(name):
    assert "expected USER/NAME" in refusal(hub.check_repo, name)
