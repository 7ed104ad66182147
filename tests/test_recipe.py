"""The recipe of the pocket models, end to end on a tiny corpus."""

import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from creativity_lens.errors import InputError
from creativity_lens.files import data_folder, sha256_of

POCKET = data_folder() / "pocket"
sys.path.insert(0, str(POCKET))  # the recipe is a package of its own, run from that folder

from recipe import corpus as corpora  # noqa: E402
from recipe.evaluate import Evaluation, evaluate  # noqa: E402
from recipe.finetune import Finetuning, encode, finetune  # noqa: E402
from recipe.instructions import BORING, CREATIVE, NEUTRAL, make_examples  # noqa: E402
from recipe.model import IGNORED, new_model, read_model, save_model  # noqa: E402
from recipe.prepare import Preparation, markdown_paragraphs, plain_paragraphs, prepare  # noqa: E402
from recipe.pretrain import Pretraining, pretrain  # noqa: E402
from recipe.tokenizer import Tokenization, tokenize  # noqa: E402
from recipe.training import Progress, Schedule, orthogonal, rows_at  # noqa: E402

SHAPE = {"width": 32, "layers": 2, "heads": 2, "feed_forward": 64}
TINY = {"batch": 4, "length": 32, "warmup": 2, "device": "cpu", **SHAPE}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """So small a model is slower on two threads, and far slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def sentence(rng: random.Random, words: list[str]) -> str:
    return " ".join(["The", *rng.choices(words, k=9)]) + "."


def text(rng: random.Random, words: list[str], paragraphs: int) -> str:
    return "\n\n".join(" ".join(sentence(rng, words) for _ in range(4)) for _ in range(paragraphs))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Four collections of sentences of made-up words, of which the two registers share half."""
    folder, rng = tmp_path_factory.mktemp("recipe"), random.Random(0)
    words = ["".join(rng.choices("bdfgkmnprtvaeiou", k=5)) for _ in range(60)]
    for name, own in {"imaginative": words[:40], "novels": words[:40], "plain": words[20:], "simple": words}.items():
        (folder / "sources" / name).mkdir(parents=True)
        for part in range(3):
            (folder / "sources" / name / f"book{part}.txt").write_text(text(rng, own, 40))
    prepare(Preparation(folder / "sources", folder / "corpus"))
    return folder / "corpus"


@pytest.fixture(scope="module")
def tokens(corpus) -> Path:
    tokenize(Tokenization(corpus, corpus.parent / "tokens", vocabulary=320, context=128))
    return corpus.parent / "tokens"


@pytest.fixture(scope="module")
def base(corpus, tokens) -> Path:
    pretrain(Pretraining(tokens, corpus.parent / "base", steps=12, **TINY))
    return corpus.parent / "base"


@pytest.fixture(scope="module")
def chat(corpus, base) -> Path:
    finetune(Finetuning(corpus, base, corpus.parent / "chat", steps=5, batch=4, device="cpu"))
    return corpus.parent / "chat"


def killed_at(step: int):
    """Stops a training as a kill would: nothing is written after it."""

    def report(progress: Progress) -> None:
        if len(progress.losses) == step:
            raise KeyboardInterrupt

    return report


def test_prose_is_kept_and_the_rest_is_not():
    raw = "CHAPTER I. The long way down the hill\r\n\r\nA “long” _and_ winding--road\nled [note 1] down.\n\nToo short."
    assert plain_paragraphs(raw) == ['A "long" and winding - road led down.']
    page = (
        "---\ntitle: a page about ten different things that you can do today\n---\n"
        "# A heading that is long enough to be a paragraph of its own here\n\n"
        "- See [our **guide**](https://x.org/a) to {{< short code >}} plain <b>language</b> and write so that people "
        "can read it.\n\nOnly six words are in this."
    )
    assert markdown_paragraphs(page) == ["See our guide to plain language and write so that people can read it."]


def test_corpus_survives_the_file_and_a_damaged_one_is_named(tmp_path):
    documents = [corpora.Document("a", ["one", "two"]), corpora.Document("b", ["three"])]
    corpora.write_collection(tmp_path, "plain", documents)
    assert corpora.read_collection(tmp_path, "plain") == documents
    first = (tmp_path / "plain.jsonl.gz").read_bytes()
    (tmp_path / "plain.jsonl.gz").write_bytes(first[:-9])
    with pytest.raises(InputError, match=r"plain\.jsonl\.gz: expected gzipped JSONL"):
        corpora.read_collection(tmp_path, "plain")
    with pytest.raises(InputError, match="no such file"):
        corpora.read_collection(tmp_path, "novels")


def test_no_copy_of_a_held_out_passage_is_trained_on(corpus):
    train, held = corpora.split_passages(corpus)
    assert (train, held) == corpora.split_passages(corpus)
    assert len(held) >= 10
    assert not set(train) & set(held)
    simple = [passage for passage in train if passage.collection == "simple"]
    assert len(simple) == 3 * len(set(simple))


def test_withdrawn_passages_keep_their_places(tmp_path, monkeypatch):
    rng = random.Random(1)
    books = {name: [corpora.Document(name, [f"{name} {rng.random()} " + "x" * 1500 for _ in range(300)])]
             for name in ("imaginative", "sketches", "tenant", "plain", "simple")}  # fmt: skip
    withdrawn = corpora.Document("soldier", [f"soldier {n} " + "x" * 1500 for n in range(corpora.WITHDRAWN)])

    def held(novels: list[corpora.Document], places: int) -> list[corpora.Passage]:
        monkeypatch.setattr(corpora, "WITHDRAWN", places)
        for name in corpora.COPIES:
            corpora.write_collection(tmp_path, name, novels if name == "novels" else books[name])
        return corpora.split_passages(tmp_path)[1]

    without = held([*books["sketches"], *books["tenant"]], corpora.WITHDRAWN)
    complete = held([*books["sketches"], withdrawn, *books["tenant"]], 0)
    assert without == [passage for passage in complete if not passage.text.startswith("soldier")]
    assert without != complete


def test_every_pass_sees_every_row_once_in_another_order():
    rows = torch.cat([rows_at(step, batch=3, total=21, seed=0) for step in range(14)]).tolist()
    assert sorted(rows[:21]) == sorted(rows[21:]) == list(range(21))
    assert rows[:21] != rows[21:]
    with pytest.raises(InputError, match="got 2"):
        rows_at(0, batch=3, total=2, seed=0)


def test_schedule_warms_up_and_decays():
    schedule = Schedule(steps=100, minutes=0, warmup=10, decay=0.5)
    scales = [schedule.scale(step, schedule.done(step, 0)) for step in (0, 9, 40, 75, 99)]
    assert scales == pytest.approx([0.1, 1, 1, 0.5, 0.02])
    assert Schedule(steps=0, minutes=2, warmup=1, decay=1).done(5, 60) == 0.5


@pytest.mark.parametrize("size", [(24, 24), (40, 12), (12, 40)])
def test_muons_step_is_nearly_orthogonal(size):
    matrix = torch.randn(*size, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    update = orthogonal(matrix)
    values = torch.linalg.svdvals(update)
    assert values.min() > 0.3
    assert values.max() < 1.35
    assert torch.nn.functional.cosine_similarity(update.flatten(), (left @ right).flatten(), dim=0) > 0.95


def test_a_killed_pretraining_goes_on_with_the_same_numbers(tokens, base, tmp_path):
    whole = json.loads((base / "training.json").read_text())["losses"]
    settings = Pretraining(tokens, tmp_path / "base", steps=12, save_every=5, **TINY)
    with pytest.raises(KeyboardInterrupt):
        pretrain(settings, report=killed_at(8))
    assert not (settings.out / "model.safetensors").exists()
    resumed: list[int] = []
    progress = pretrain(settings, report=lambda progress: resumed.append(len(progress.losses)))
    assert resumed == list(range(6, 13))  # from the checkpoint at 5, not from the beginning
    assert progress.losses == whole
    assert sha256_of(settings.out / "model.safetensors") == sha256_of(base / "model.safetensors")
    assert sum(whole[-3:]) < sum(whole[:3]) - 0.3
    assert not (settings.out / "checkpoint.safetensors").exists()


def test_a_killed_finetuning_goes_on_with_the_same_numbers(corpus, base, chat, tmp_path):
    settings = Finetuning(corpus, base, tmp_path / "chat", steps=5, batch=4, save_every=2, device="cpu")
    with pytest.raises(KeyboardInterrupt):
        finetune(settings, report=killed_at(3))
    finetune(settings)
    assert sha256_of(settings.out / "model.safetensors") == sha256_of(chat / "model.safetensors")
    assert sha256_of(base / "model.safetensors") != sha256_of(chat / "model.safetensors")


def test_another_training_is_refused_by_name(tokens, base, tmp_path):
    settings = Pretraining(tokens, tmp_path / "base", steps=12, save_every=2, **TINY)
    with pytest.raises(KeyboardInterrupt):
        pretrain(settings, report=killed_at(3))
    with pytest.raises(InputError, match="of a training with seed = 0, now 1"):
        pretrain(Pretraining(tokens, settings.out, steps=12, seed=1, **TINY))
    checkpoint = settings.out / "checkpoint.safetensors"
    with safe_open(checkpoint, framework="pt") as file:
        assert set(file.metadata()) == {"progress"}
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(InputError, match="damaged checkpoint"):
        pretrain(settings)
    with pytest.raises(InputError, match="holds a finished model"):
        pretrain(Pretraining(tokens, base, steps=12, **TINY))


def test_minutes_end_a_training(tokens, tmp_path):
    progress = pretrain(Pretraining(tokens, tmp_path / "base", steps=0, minutes=0.5 / 60, **TINY))
    assert 0.5 <= progress.seconds < 5


def test_requests_fit_their_answers(corpus):
    train, held = make_examples(corpus)
    assert not set(train) & set(held)
    wordings = {"imaginative": CREATIVE + NEUTRAL, "plain": BORING + NEUTRAL, "simple": NEUTRAL}
    for example in train + held:
        patterns = [re.escape(wording).replace(r"\{\}", "(.+)") for wording in wordings[example.collection]]
        found = next(match for pattern in patterns if (match := re.fullmatch(pattern, example.request)))
        topics = [re.sub(r"^(the|a) ", "", topic) for topic in found.group(1).split(" and ")]
        assert all(topic in example.text for topic in topics)
        assert 160 <= len(example.text) <= 1040


def test_evaluation_agrees_with_one_text_at_a_time(corpus, chat):
    """Padding and batching change nothing: the reference runs each answer alone, with transformers' own loss."""
    model, tokenizer = read_model(chat)
    _, held = make_examples(corpus)
    total = count = 0
    for example in held:
        ids, labels = encode(tokenizer, [example])
        scored = int((labels != IGNORED).sum())
        assert tokenizer.decode(labels[labels != IGNORED]) == example.text + "<|endoftext|>"
        total += model(input_ids=ids, labels=labels).loss.item() * scored
        count += scored
    figures = evaluate(Evaluation(corpus, chat, device="cpu"))
    assert figures["all"]["nats_per_token"] == pytest.approx(total / count, abs=1e-4)
    assert figures["all"]["tokens"] == count
    assert sum(figure["texts"] for name, figure in figures.items() if name != "all") == figures["all"]["texts"]


def test_training_lowers_the_held_out_loss(corpus, base, tmp_path):
    _, tokenizer = read_model(base)
    save_model(new_model(vocabulary=320, context=128, seed=0, **SHAPE), tokenizer, tmp_path)
    before, after = (
        evaluate(Evaluation(corpus, folder, length=32, device="cpu"))["all"] for folder in (tmp_path, base)
    )
    assert before["nats_per_token"] == pytest.approx(math.log(320), abs=0.1)
    assert after["nats_per_token"] < before["nats_per_token"] - 0.3
    assert after["characters_per_token"] == before["characters_per_token"] > 1


@pytest.mark.slow
def test_a_real_kill_loses_nothing(tokens, base, tmp_path):
    settings = {"tokens": tokens, "out": tmp_path / "base", "steps": 12, "save_every": 1, **TINY}
    command = [sys.executable, "-m", "recipe.pretrain"]
    for key, value in settings.items():
        command += ["--" + key.replace("_", "-"), str(value)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(command, cwd=POCKET, env=environment, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "base" / "checkpoint.safetensors"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    subprocess.run(command, cwd=POCKET, env=environment, check=True, capture_output=True)
    assert sha256_of(tmp_path / "base" / "model.safetensors") == sha256_of(base / "model.safetensors")
