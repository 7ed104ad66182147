"""Attributes of texts: sentiments, topics, fields; and the line by which bad ones are refused."""

import sys

import numpy as np
import pytest
from fake_embedder import FakeEmbedder
from fake_pairs import refusal as refusal_of

from creativity_lens.monoculture import load_side, measure_monoculture, read_filter
from creativity_lens.monoculture.reading import Side
from creativity_lens.monoculture.sentiment import model_sentiment, vader_sentiment
from creativity_lens.monoculture.topics import NO_TOPIC, find_topics


def refusal(call, *arguments, **named):
    return refusal_of(lambda: call(*arguments, **named))


# ---- sentiment ----


def test_vader_labels_by_its_compound():
    found = vader_sentiment(["A lovely book, I liked it.", "The book is blue.", "A terrible book, I hated it."])
    assert found.labels == ("positive", "neutral", "negative")
    assert found.positive == "positive"
    assert found.by.startswith("VADER 3")
    assert "+0.05" in found.by
    assert found.notes == ()


def test_vader_says_where_texts_are_not_english():
    german = ["Ein wunderbares Buch mit viel Liebe.", "Ich habe dieses Buch gehasst, ganz schlimm."]
    english = ["It was a lovely book.", "I hated this book.", "The end is bad.", "We liked the plot."] * 2
    (note,) = vader_sentiment(german).notes
    assert note.startswith("2 of 2 different texts do not look like English")
    assert "--sentiment-model" in note
    assert vader_sentiment([*english, german[0]]).notes == (), "one in five at most is no reason"
    assert vader_sentiment(["Sehr gut!"]).notes == (), "too short to tell"


def test_without_vader_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "vaderSentiment.vaderSentiment", None)
    assert "pip install 'creativity-lens[sentiment]'" in refusal(vader_sentiment, ["x"])


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A tiny random classifier with a tokenizer of words, saved as safetensors."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", *(f"word{i}" for i in range(30))]
    base = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    base.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=base, pad_token="[PAD]", unk_token="[UNK]", model_max_length=16
    )
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(
        vocab_size=len(words), max_position_embeddings=16, num_labels=2, pad_token_id=0, initializer_range=1.0,
        id2label={0: "NEGATIVE", 1: "POSITIVE"}, label2id={"NEGATIVE": 0, "POSITIVE": 1}, **sizes,
    )  # fmt: skip
    model = BertForSequenceClassification(config).eval()
    folder = tmp_path_factory.mktemp("classifier")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, model, tokenizer


def test_a_classifier_labels_as_transformers_itself_does(classifier):
    import torch

    folder, model, tokenizer = classifier
    rng = np.random.default_rng(0)
    texts = [" ".join(f"word{i}" for i in rng.integers(30, size=n)) for n in rng.integers(1, 16, size=70)]
    with torch.inference_mode():
        alone = [model(**tokenizer(text, return_tensors="pt")).logits.argmax().item() for text in texts]
    found = model_sentiment(texts, str(folder))
    assert found.labels == tuple(("negative", "positive")[i] for i in alone)
    assert len(set(found.labels)) == 2, "a control: labels differ"
    assert found.positive == "positive"
    assert "negative, positive" in found.by
    assert found.notes == ()
    long = model_sentiment([" ".join(["word1"] * 40), "word2"], str(folder))
    assert long.notes == ("1 texts longer than 16 tokens were cut",)


def test_a_classifier_of_the_hub_is_taken_from_the_cache_first(classifier, monkeypatch, tmp_path):
    """The cache holds it under its commit; the hub is not asked."""
    import shutil

    snapshot = tmp_path / "0123456789abcdef"
    shutil.copytree(classifier[0], snapshot)
    monkeypatch.setattr("creativity_lens.model_hub.cached_folder", lambda name: snapshot)
    monkeypatch.setattr("creativity_lens.model_hub.look_up", lambda *_, **__: pytest.fail("the network was asked"))
    assert "someone/feeling (commit 01234567), likeliest of" in model_sentiment(["word1"], "someone/feeling").by


def test_classifiers_that_cannot_be_used(classifier, tmp_path):
    import torch
    from transformers import BertConfig, BertModel

    folder, _, tokenizer = classifier
    assert "expected one of negative, positive; got 'good'" in refusal(
        model_sentiment, ["x"], str(folder), positive="good"
    )
    assert model_sentiment(["word1"], str(folder), positive="NEGATIVE").positive == "negative"
    assert "no such folder" in refusal(model_sentiment, ["x"], str(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    assert "cannot be loaded as a classifier" in refusal(model_sentiment, ["x"], str(tmp_path / "empty"))
    assert "got an empty one" in refusal(model_sentiment, ["x"], " ")
    torch.manual_seed(0)
    headless = BertModel(
        BertConfig(vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    )
    headless.save_pretrained(tmp_path / "headless")
    tokenizer.save_pretrained(tmp_path / "headless")
    assert "has no trained classifier" in refusal(model_sentiment, ["x"], str(tmp_path / "headless"))


# ---- topics ----

SEA = ["ship leaves harbour under sail", "ship enters harbour without sail", "harbour smells of ship and sail"]
BREAD = ["baker kneads dough with flour", "flour turns into dough says baker", "dough rises for baker and flour"]


@pytest.mark.parametrize("method", ["nmf", "kmeans"])
def test_planted_topics_are_found(method):
    texts = [*SEA, *BREAD] * 2
    found = find_topics(texts, np.arange(12), method=method, n_topics=2, embedder=FakeEmbedder())
    sea, bread = set(found.labels[:3]), set(found.labels[3:6])
    assert len(sea) == len(bread) == 1
    assert sea != bread
    assert found.labels[:6] == found.labels[6:]
    assert {"harbour", "ship"} & set(found.words[next(iter(sea))])
    assert {"baker", "dough"} & set(found.words[next(iter(bread))])
    assert "2 topics, fitted on 12 texts, both sides alike" in found.by
    assert ("fake embedder" in found.by) == (method == "kmeans")


def test_a_text_without_known_words_has_no_topic():
    found = find_topics([*SEA, *BREAD, "???"], np.arange(6), n_topics=2)
    assert found.labels[-1] == NO_TOPIC


def test_topics_that_cannot_be_found():
    assert "at least 10 different texts to find 10 topics in, got 6" in refusal(find_topics, SEA + BREAD, np.arange(6))
    one = refusal(find_topics, ["x"] * 20, np.arange(20))
    assert "got 1; give more texts, or fewer --n-topics" in one, "all texts are equal"
    assert "expected texts that share words" in refusal(find_topics, ["the", "and"], np.arange(2), n_topics=2)
    assert "at least 3 different words" in refusal(find_topics, ["sea", "sand", "sea sand"], np.arange(3), n_topics=3)
    assert "Did you mean 'kmeans'" in refusal(find_topics, SEA, np.arange(3), method="kmean", n_topics=2)
    assert "--n-topics: expected at least 2" in refusal(find_topics, SEA, np.arange(3), n_topics=1)


def test_topics_are_fitted_on_both_sides_alike():
    """Ninety generated texts and ten human ones of an item: ten of each are used."""
    generated = [{"item": "a", "text": text} for text in SEA * 30] + [{"item": "b", "text": text} for text in SEA]
    source = [{"item": "a", "text": text} for text in BREAD * 3 + SEA[:1]]
    source += [{"item": "b", "text": text} for text in BREAD]
    found = measure_monoculture(generated, source, attribute="topic", n_topics=2, draws=99)
    assert "fitted on 26 texts" in found.meta["attributes"]["topic"]["by"]


# ---- fields ----


def pair(*values, field="v"):
    return [{"item": "a", field: value} for value in values]


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("label:v", 3, "source:2: field 'v': expected a label, got 3; write it in quotes, or compare numbers with"),
        ("label:v", None, "expected a label, got None"),
        ("label:v", " ", "expected a label, got an empty one"),
        ("label:v", ["x"], "expected a label, got ['x']"),
        ("set:v", 3, 'expected a list of strings such as ["sort"], got 3'),
        ("set:v", [1], "got [1]"),
        ("number:v", "x", "expected a number, got 'x'"),
        ("number:v", True, "expected a number, got True"),
        ("number:v", float("nan"), "expected a number, got nan"),
        ("number:v", 10**400, "expected a number, got 1000"),
    ],
)
def test_values_of_another_kind_are_refused(attribute, value, said):
    good = {"label:v": "x", "set:v": ["x"], "number:v": 1}[attribute]
    assert said in refusal(measure_monoculture, pair(good, good), pair(good, value), attribute=attribute)


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        ("sentimnt", "got 'sentimnt'. Did you mean 'sentiment'?"),
        ("lable:v", "Did you mean 'label'?"),
        ("label:", "expected one of sentiment, topic, embedding, label:FIELD"),
        ("label:vv", "no field 'vv'; it has 'item', 'v': set --attribute label:FIELD. Did you mean 'v'?"),
        ("sentiment", "no field 'text'; it has 'item', 'v': set --text."),
    ],
)
def test_attributes_that_are_not_there(attribute, said):
    assert said in refusal(measure_monoculture, pair("x", "y"), pair("x", "y"), attribute=attribute)


# ---- rows, items, filters ----


def test_rows_of_files(tmp_path):
    jsonl, table = tmp_path / "a.jsonl", tmp_path / "a.csv"
    jsonl.write_text('{"item": 7, "tags": ["a", "b"]}\n\n{"item": 7, "tags": []}\n')
    table.write_text("item,tags\n7,a;b\n7,\n")
    found = [load_side(path) for path in (jsonl, table)]
    assert [side.lines for side in found] == [(1, 3), (2, 3)]
    first, second = (measure_monoculture(side, side, attribute="set:tags") for side in found)
    assert first.items["generated"].tolist() == second.items["generated"].tolist() == [1.0]
    assert isinstance(found[0], Side)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.txt", "x", "got the ending '.txt'"),
        ("a.jsonl", "", "the file is empty"),
        ("a.jsonl", "[1]", "a.jsonl:1: expected a JSON object"),
        ("a.csv", "item,text\n", "got a header and no row"),
        ("a.csv", "item,text\na,b,c\n", "expected 2 cells"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, data, said):
    (tmp_path / name).write_text(data)
    assert said in refusal(load_side, tmp_path / name)
    assert "no such file" in refusal(load_side, tmp_path / "none.jsonl")


def rows(**items):
    return [{"item": item, "v": value} for item, values in items.items() for value in values]


def test_items_on_one_side_only():
    generated, source = rows(alpha="xy", beta="xy"), rows(alpha="xy", betas="xy")
    said = refusal(measure_monoculture, generated, source, attribute="label:v")
    assert "generated: item 'beta': not in source" in said
    assert "--skip-missing. Did you mean 'betas'?" in said
    found = measure_monoculture(generated, source, attribute="label:v", skip_missing=True)
    assert found.items["item"].tolist() == ["alpha"]
    assert found.meta["notes"] == ["1 item only in generated left out", "1 item only in source left out"]
    nothing = refusal(measure_monoculture, rows(a="xy"), rows(b="xy"), attribute="label:v", skip_missing=True)
    assert "no 'item' is in both (first: 'a' and 'b')" in nothing


def test_items_with_one_text():
    said = refusal(measure_monoculture, rows(a="xy", b="x"), rows(a="xy", b="xy"), attribute="label:v")
    assert said.startswith("generated: item 'b': has one text; expected at least 2")
    every = refusal(measure_monoculture, rows(a="x", b="x"), rows(a="x", b="x"), attribute="label:v")
    assert "every 'item' has one text" in every


def test_what_is_no_item():
    for value in (None, True, 1.5, ""):
        said = refusal(measure_monoculture, [{"item": value, "v": "x"}] * 2, rows(a="xy"), attribute="label:v")
        assert "expected the item's name" in said
    said = refusal(measure_monoculture, rows(a="xy"), rows(a="xy"), attribute="label:v", group="itm")
    assert "no field 'itm'; it has 'item', 'v': set --group. Did you mean 'item'?" in said
    assert "expected a row such as" in refusal(measure_monoculture, ["x"], rows(a="xy"))
    assert "expected rows of items, got none" in refusal(measure_monoculture, [], rows(a="xy"))


def test_empty_texts_are_left_out_and_counted():
    texts = [{"item": "a", "text": text} for text in ("A lovely day.", " ", "A bad day.", "")]
    found = measure_monoculture(texts, texts)
    assert found.meta["notes"] == ["generated: 2 empty texts left out", "source: 2 empty texts left out"]
    assert found.items["n_generated"].tolist() == [2]
    empty = [{"item": "a", "text": ""}] * 3
    assert "source: every text is empty" in refusal(measure_monoculture, texts, empty)
    assert "has one text" in refusal(measure_monoculture, texts, [*texts[1:], texts[1]])
    assert "expected a string, got 3" in refusal(measure_monoculture, texts, [{"item": "a", "text": 3}])
    assert "lone surrogate" in refusal(measure_monoculture, texts, [{"item": "a", "text": "\ud800"}])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("v<=2", [True, True, False, False, True]),
        ("v < 2", [True, False, False, False, True]),
        ("v>2", [False, False, True, False, False]),
        ("v>=2", [False, True, True, False, False]),
        ("v=2", [False, True, False, False, False]),
        ("v==2.0", [False, True, False, False, False]),
        ("v!=2", [True, False, True, False, True]),
    ],
)
def test_filters(text, kept):
    side = Side("s", tuple({"v": value} for value in (1, 2, 3, None, "-1")), (1, 2, 3, 4, 5))
    assert read_filter(text).keeps(side) == kept


def test_filters_of_words():
    side = Side("s", ({"v": "en"}, {"v": "de"}, {"v": True}), (1, 2, 3))
    assert read_filter("v=en").keeps(side) == [True, False, False]
    assert read_filter("v!=en").keeps(side) == [False, True, True]
    assert read_filter("v=true").keeps(side) == [False, False, True]
    assert "field 'v': expected a number, to compare with v <= 3; got 'en'" in refusal(read_filter("v<=3").keeps, side)
    assert "no field 'w'" in refusal(read_filter("w<=3").keeps, side)
    assert "expected a number after <=, got 'en'" in refusal(read_filter, "v<=en")
    for text in ("v", "<=3", "v<=", ""):
        assert "expected a condition such as 'perplexity<=20'" in refusal(read_filter, text)


def test_the_share_kept_is_reported_on_both_sides():
    generated = [{"item": item, "v": "x", "ppl": ppl} for item in "abc" for ppl in (10, 12, 30)]
    source = [{"item": item, "v": "xy"[n % 2], "ppl": 10 + 15 * n} for item in "abc" for n in range(4)]
    source += [{"item": "d", "v": "x", "ppl": 99}] * 2
    generated += [{"item": "d", "v": "x", "ppl": 1}] * 2
    found = measure_monoculture(generated, source, attribute="label:v", keep=["ppl<=25"])
    kept = found.table[found.table["measure"] == "texts kept"].set_index("side")
    assert kept.loc["generated", "estimate"] == pytest.approx(8 / 11)
    assert kept.loc["source", "estimate"] == pytest.approx(6 / 14)
    assert kept["n"].tolist() == [11, 14]
    assert set(kept["attribute"]) == {"filter"}
    assert found.items["item"].tolist() == ["a", "b", "c"]
    assert found.meta["notes"] == ["1 of 4 items left out: the filter leaves fewer than 2 texts on a side"]
    assert "leaves no item" in refusal(measure_monoculture, generated, source, attribute="label:v", keep=["ppl<0"])
