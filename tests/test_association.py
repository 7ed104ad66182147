"""Scores of lists of words: by hand, by scipy, on worlds whose truth is known; and lists out of what models write."""

import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from fake_embedder import FakeEmbedder
from fake_pairs import refusal
from hypothesis import given
from hypothesis import strategies as some
from scipy.spatial.distance import pdist
from word_vectors import WORDS, answer, orthogonal, written

from creativity_lens.association import (
    Answers,
    Associations,
    WordSource,
    ask_for_words,
    association_task,
    items_of,
    score_answers,
    score_list,
    score_people,
    task,
    vectors,
    word_of,
    word_source,
)
from creativity_lens.errors import InputError
from creativity_lens.ratings import Ratings, load_ratings
from creativity_lens.steering import Steering

PUBLISHED = Path(__file__).parent.parent.parent / "shared" / "ratings" / "dat"
SEVEN = WORDS[:7]


# Lists out of what a model wrote.


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("1. river\n2. tax\n3. hen", "river tax hen"),
        ("1) river\n 2) tax\n10) hen", "river tax hen"),
        ("(1) river (2) tax (3) hen", "river tax hen"),
        ("#1 river\n#2 tax", "river tax"),
        ("- river\n* tax\n\u2022hen\n\u2013 ox", "river tax hen ox"),
        ("river\ntax\r\nhen\n", "river tax hen"),
        ("river, tax; hen | ox and moon", "river tax hen|ox and moon"),
        ("river, tax, and hen.", "river tax hen"),
        ("Here are ten nouns: river, tax, hen, ox, moon, pie", "river tax hen ox moon pie"),
        ("Here you go:\n\nriver\ntax", "river tax"),
        ("Sure!\nriver\ntax\nIs that what you meant?", "river tax"),
        ("Here they are, as you asked\n1. river\n2. tax\nI hope, truly, that this helps", "river tax"),
        ("1. **River**\n2. __Tax__\n3. `hen`\n4. \u201cox\u201d", "River Tax hen ox"),
        ("**1. River**\n**2. Tax**", "River Tax"),
        ("1. River - flowing water, wet\n2. Tax: money, paid\n3. Hen (a bird, alive)", "River Tax Hen"),
        ("1. Ox \u2014 a beast\n2. Moon \u2013 far, cold", "Ox Moon"),
        ("River: water, wet\nTax: money", "River Tax"),
        ("river (n.), tax (n.), hen (n.)", "river tax hen"),
        ('["river", "tax", "hen"]', "river tax hen"),
        ("<think>\n1. no\n2. never\n</think>\n1. river\n2. tax", "river tax"),
        ("<think>1. no, still thinking", ""),
        ("1. cul de sac\n2. top-hat", "cul de sac|top-hat"),
        ("The old keeper of the lighthouse counted gulls and said nothing", ""),
        ("", ""),
        (" \n\n - \n1.\n", ""),
    ],
)  # fmt: skip
def test_lists_are_understood(text, items):
    wanted = [item for part in items.split("|") for item in ([part] if "|" in items and " " in part else part.split())]
    if items.startswith("river tax hen|ox"):
        wanted = ["river", "tax", "hen", "ox and moon"]
    assert list(items_of(text)) == wanted


def test_only_the_first_ten_items_count():
    assert items_of(", ".join(f"w{chr(97 + n)}" for n in range(20))) == tuple(f"w{chr(97 + n)}" for n in range(10))


@given(text=some.text(max_size=400))
def test_no_text_is_too_strange(text):
    items = items_of(text)
    assert len(items) <= 10
    assert all(item.strip() == item != "" for item in items)


@pytest.mark.parametrize(
    ("item", "word"),
    [
        ("River", "river"),
        ("river.", "river"),
        ("Caf\u00e9", "cafe"),
        ("top-hat", "top-hat"),
        ("ice cream", "icecream"),
        ("cul de sac", "cul-de-sac"),
        ("Cul-de-sac", "cul-de-sac"),
        ("foot-ball", "football"),
        ("the river", None),
        ("rivers", None),
        ("a", None),
        ("\u0440\u0435\u043a\u0430", None),
        ("42", None),
        ("", None),
    ],
)
def test_items_become_words_of_the_vocabulary(item, word):
    vocabulary = {"river", "cafe", "top-hat", "tophat", "icecream", "cul-de-sac", "culdesac", "football", "a"}
    assert word_of(item, vocabulary) == word


# The score.


def test_scores_by_hand():
    far = orthogonal()
    assert score_list(SEVEN, far).score == pytest.approx(100)
    assert score_list(SEVEN, dict.fromkeys(SEVEN, np.array([0.6, 0.8]))).score == pytest.approx(0, abs=1e-9)
    near = far | {"tax": far["river"]}  # of 21 pairs one has no distance
    assert score_list(SEVEN, near).score == pytest.approx(100 * 20 / 21)
    against = far | {"tax": -far["river"]}  # and here one has 2
    assert score_list(SEVEN, against).score == pytest.approx(100 * 22 / 21)


@given(seed=some.integers(0, 10**6))
def test_scores_are_those_of_scipy_and_know_no_order_scale_or_repeats(seed):
    rng = np.random.default_rng(seed)
    rows = dict(zip(WORDS, rng.normal(size=(10, 5)) + 0.5, strict=True))
    expected = 100 * pdist(np.stack([rows[word] for word in SEVEN]), "cosine").mean()
    assert score_list(WORDS, rows).score == pytest.approx(expected), "of ten words the first seven"
    shuffled = [SEVEN[place] for place in rng.permutation(7)]
    assert score_list(shuffled, rows).score == pytest.approx(expected)
    longer = {word: row * rng.uniform(0.1, 10) for word, row in rows.items()}
    assert score_list(WORDS, longer).score == pytest.approx(expected)
    repeated = ["River", "no such word", *SEVEN[:3], "TAX", *SEVEN]
    found = score_list(repeated, rows)
    assert found.score == pytest.approx(expected)
    assert found.words == SEVEN


def test_fewer_than_seven_words_have_no_score():
    found = score_list([*SEVEN[:6], "river", "qwrt"], orthogonal())
    assert math.isnan(found.score)
    assert not found.is_valid
    assert found.words == SEVEN[:6]


# Many answers, of a made-up model that draws its words from topics.

TOPICS, EACH = 20, 10
TOPIC_WORDS = {f"{chr(97 + t)}word{chr(97 + n)}": np.eye(TOPICS)[t] for t in range(TOPICS) for n in range(EACH)}
ALL = list(TOPIC_WORDS)
FAR, NEAR = 100 * (1 - 9 / 199), 100 * (1 - 9 / 49)  # seven of 200 words of 20 topics; of 50 words of 5


class TopicEmbedder:
    """Words of one topic are one vector, words of two have nothing in common."""

    id = "made up"

    def embed(self, texts, *, description):
        return np.array([TOPIC_WORDS[text] for text in texts]).reshape(-1, TOPICS)


SOURCE = WordSource(TopicEmbedder(), frozenset(TOPIC_WORDS), "the made-up words")


def drawn(rng, topics: int) -> str:
    return "\n".join(ALL[place] for place in rng.permutation(topics * EACH)[:7])


def answered(rng, topics: tuple[int, ...], runs: int = 20) -> Answers:
    texts = [answer(drawn(rng, t), seed, strength=0.1 * n) for n, t in enumerate(topics) for seed in range(runs)]
    names = ("unsteered", *(f"push {n}" for n in range(1, len(topics))))
    return Answers("made up", "Name.", names, tuple(n for n in range(len(topics)) for _ in range(runs)), tuple(texts))


def scored(answers: Answers, people: Ratings | None = None) -> Associations:
    return score_answers(answers, SOURCE, people)


def test_intervals_hold_the_truth():
    """Score and difference of a model whose expected values are known, 100 times; 95 are expected."""
    rng = np.random.default_rng(0)
    held = np.zeros(3)
    for _ in range(100):
        plain, near, same = scored(answered(rng, (TOPICS, 5, TOPICS), runs=10)).conditions
        assert plain.difference is None
        truths = [(plain.score, FAR), (near.difference, NEAR - FAR), (same.difference, 0.0)]
        held += [one.low <= truth <= one.high for one, truth in truths]
    assert (held >= 89).all(), held
    assert near.difference.high < 0, "and a real loss of 14 shows"


def test_a_small_share_of_valid_answers_is_said():
    rng = np.random.default_rng(1)
    good = [answer(drawn(rng, TOPICS), seed) for seed in range(5)]
    bad = [answer("nothing of that kind", seed) for seed in range(5, 20)]
    for texts, note, shown in ((good + bad, "no interval: fewer than 8 valid", "25%"), (bad, "not scored", "0%")):
        found = scored(Answers("m", "p", ("unsteered",), (0,) * len(texts), tuple(texts)))
        (one,) = found.conditions
        assert note in one.notes[0]
        assert (one.valid, one.runs) == (len(texts) - 15, len(texts))
        assert not one.score.has_interval
        assert math.isnan(one.score.value) == (one.valid == 0), "none is NaN, never 0"
        assert shown in found._repr_html_()
    assert np.isnan(found.frame["score"][0])


def test_differences_are_over_runs_valid_in_both():
    rng = np.random.default_rng(2)
    found = answered(rng, (TOPICS, 5), runs=12)
    texts = list(found.texts)
    texts[0] = answer("no", 0)  # unsteered, run 0
    texts[13] = answer("no", 1, strength=0.1)  # pushed, run 1
    pushed = scored(Answers("m", "p", found.conditions, found.condition, tuple(texts))).conditions[1]
    scores = [score_list(items_of(text.text), TOPIC_WORDS).score for text in texts]
    assert pushed.difference.n == 10
    assert pushed.difference.value == pytest.approx(np.mean([scores[12 + n] - scores[n] for n in range(2, 12)]))
    short = scored(Answers("m", "p", found.conditions, found.condition, (*texts[:12], *(texts[13],) * 12)))
    assert "no difference: no run is valid in both" not in short.conditions[0].notes
    assert short.conditions[1].notes == ("not scored: no answer has 7 valid words",)


# People.


def rated(lists: list[str], published: list[float]) -> Ratings:
    frame = pd.DataFrame({"item": [f"p{n}" for n in range(len(lists))], "text": lists, "value": published})
    return Ratings.of(frame.assign(criterion="DAT", rater="GloVe", panel="computed"), "dat")


def test_percentiles_among_people():
    far = orthogonal()
    near = far | {"tax": far["river"]}
    lists = [", ".join(SEVEN), ", ".join(WORDS[3:]), "River, Tax", ", ".join(SEVEN[::-1]), ", ".join(WORDS[2:9])]
    people = score_people(rated(lists, [60.0, 90.0, 10.0, 60.0, 90.0]), near)
    assert (people.asked, len(people.scores)) == (5, 4)
    assert sorted(people.scores) == pytest.approx([100 * 20 / 21] * 2 + [100, 100])
    assert [people.percentile(score) for score in (90.0, 97.0, 101.0)] == [0, 50, 100]
    assert people.percentile(float(people.scores.max())) == pytest.approx(75), "ties half"
    assert math.isnan(people.percentile(math.nan))
    assert people.agreement == pytest.approx(1)


def test_people_are_scored_with_the_models_vectors():
    rng = np.random.default_rng(3)
    lists = [drawn(rng, 5).replace("\n", ", ") for _ in range(40)]
    found = scored(answered(rng, (TOPICS,)), rated(lists, list(rng.normal(size=40) + 70)))
    (one,) = found.conditions
    below = np.mean([score_list(text.split(", "), TOPIC_WORDS).score < one.score.value for text in lists])
    assert one.percentile.value == pytest.approx(100 * below)
    assert one.percentile.low <= one.percentile.value <= one.percentile.high
    assert "among 40 of 40 people (dat)" in found.caption
    assert found.rows[0]["words"] == list(found.scored[0].words)


# Where vectors come from.


def test_a_file_of_vectors_says_which_words_there_are(tmp_path):
    source = word_source(written(tmp_path / "a.txt", orthogonal()))
    found, made_by, scale = source.vectors(["river", "qwrt"])
    assert set(found) == {"river"}
    assert made_by == "a.txt (10 words, 10 wide)"
    assert scale.startswith("its own scale, not that of published scores")
    (tmp_path / "words.txt").write_text("River\nmoon\n\nO'Neill\nx\n")
    source = word_source(str(tmp_path / "a.txt"), tmp_path / "words.txt")
    assert set(source.vectors(WORDS)[0]) == {"river", "moon"}
    assert "the 2 words of words.txt" in source.checked


def test_the_published_scale_is_named_for_the_published_file_only(tmp_path, monkeypatch):
    from creativity_lens import glove

    path = written(tmp_path / "a.txt", orthogonal())
    monkeypatch.setattr(glove, "PUBLISHED_ROWS", 10)
    monkeypatch.setattr(glove, "PUBLISHED_WIDTH", 10)
    assert (
        word_source(path).vectors(["tax"])[2].startswith("the published scale (GloVe 840B 300d), on which GPT-4 89.06")
    )


def test_an_embedder_needs_a_dictionary():
    source = word_source(FakeEmbedder())
    found, made_by, scale = source.vectors(["river", "qwrt", "tax"])
    assert set(found) == {"river", "tax"}, "an embedder has a vector for anything"
    assert made_by == FakeEmbedder.id
    assert "not to be held against published scores" in scale


def test_bad_sources_are_refused(tmp_path, monkeypatch):
    (tmp_path / "none.txt").write_text("1\n2\n")
    glove = written(tmp_path / "a.txt", orthogonal())
    assert "no word of two or more letters" in refusal(word_source, glove, tmp_path / "none.txt")
    assert "no such file; expected a list of words" in refusal(word_source, glove, tmp_path / "no.txt")
    assert "no such file; expected word vectors" in refusal(word_source, tmp_path / "no.txt")
    assert "expected an embedder or the path of word vectors, got int" in refusal(word_source, 3)
    monkeypatch.setitem(sys.modules, "textblob.en", None)
    assert "creativity-lens[lint]" in refusal(vectors._lexicon)


# Asking.


def test_a_scripted_model_is_asked_once_for_everything(monkeypatch, base):
    asked = []

    def generate_rows(model, rows, **options):
        asked.append(rows)
        return [
            answer(
                drawn(np.random.default_rng([row.seed, 7]), 5 if row.steering else TOPICS), row.seed, row.temperature
            )
            for row in rows
        ]

    monkeypatch.setattr(task, "generate_rows", generate_rows)
    monkeypatch.setattr(task, "word_source", lambda source, words: SOURCE)
    push = (Steering(1, torch.ones(base.d_model), 0.5),)
    found = association_task(base, None, pushes=[push], temperatures=[0.0, 1.0], runs=9, seed=5)
    assert len(asked) == 1
    assert [(one.name, one.temperature, one.runs) for one in found.conditions] == [
        ("unsteered", 0.0, 1),
        ("layer 1, strength 0.5", 0.0, 1),
        ("unsteered", 1.0, 9),
        ("layer 1, strength 0.5", 1.0, 9),
    ], "nothing is drawn at temperature 0"
    assert {row.seed for row in asked[0]} == set(range(5, 14))
    assert len({row.prompt.id for row in asked[0]}) == 1, "the same luck in every condition"
    assert found.conditions[3].difference.value < 0
    assert list(found.frame["valid_share"]) == [1.0] * 4
    assert "one answer" in found.conditions[0].notes[0]


def test_the_pocket_model_is_asked_from_end_to_end(chat, tmp_path):
    """It names no words, which is said; a push of no strength changes nothing."""
    nothing = (Steering(3, torch.zeros(chat.d_model), 0.0),)
    found = association_task(
        chat, written(tmp_path / "a.txt", orthogonal()), runs=2, max_new_tokens=6, temperatures=[0.7], pushes=[nothing]
    )
    assert [text.text for text in found.answers.texts[:2]] == [text.text for text in found.answers.texts[2:]]
    assert all(text.text for text in found.answers.texts)
    assert {text.temperature for text in found.answers.texts} == {0.7}
    assert np.isnan(found.frame["score"]).all()
    assert found.conditions[0].notes == ("not scored: no answer has 7 valid words",)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"runs": 0}, "runs: expected 1 or more"),
        ({"temperatures": []}, "temperatures: expected at least one"),
        ({"temperatures": [1.0, 1.0]}, "expected each once"),
        ({"temperatures": [-1.0]}, "temperature: expected 0 (greedy) or a positive number"),
        ({"prompt": " "}, "prompt: expected a text"),
        ({"max_new_tokens": 0}, "max_new_tokens: expected 1 or more"),
    ],
)
def test_bad_numbers_are_refused(base, options, said):
    with pytest.raises(InputError) as caught:
        ask_for_words(base, **options)
    assert said in str(caught.value)


def test_what_a_model_wrote_is_escaped():
    texts = (answer("<script>alert(1)</script>\n" + "\n".join(TOPIC_WORDS), 0),)
    found = scored(Answers("<b>m</b>", "p", ("unsteered",), (0,), texts))
    assert "<b>m" not in found._repr_html_()
    assert "<script>" not in found._repr_html_()


# The published lists, where they are at hand.


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published lists are not part of the repository")
def test_most_of_the_published_lists_are_valid():
    ratings, _ = load_ratings(f"dat={PUBLISHED}")
    words = word_source(FakeEmbedder(width=8))
    lists = task.lists_of(ratings)
    found, _, _ = words.vectors(task.every_candidate(list(lists.values())))
    people = score_people(ratings, found)
    assert people.asked == 426
    assert len(people.scores) == 413, "of ten words nine are in the lexicon"
    assert abs(people.agreement) < 0.15, "the control: vectors without meaning do not agree with the published scores"


@pytest.mark.slow
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published lists are not part of the repository")
def test_sentence_embeddings_agree_with_the_published_scores():
    from creativity_lens.embeddings import load_embedder

    ratings, _ = load_ratings(f"dat={PUBLISHED}")
    found, _, _ = word_source(load_embedder()).vectors(task.every_candidate(list(task.lists_of(ratings).values())))
    assert score_people(ratings, found).agreement > 0.6
