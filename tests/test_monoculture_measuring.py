"""The whole measure: by hand, on planted worlds, on equal ones, and what it says of them."""

import csv
from pathlib import Path

import numpy as np
import pytest
from fake_embedder import FakeEmbedder
from fake_pairs import refusal as refusal_of
from scipy import stats
from test_reports import Page

from creativity_lens.figures.monoculture import monoculture_figure
from creativity_lens.monoculture import Monoculture, measure_monoculture
from creativity_lens.page_safety import source_hash
from creativity_lens.reports.monoculture import write_monoculture


def refusal(call, *arguments, **named):
    return refusal_of(lambda: call(*arguments, **named))


PUBLISHED = Path(__file__).parent.parent.parent / "shared" / "monoculture"


def rows(labels, name="v"):
    """Rows from `{item: "aab"}`, or from lists of values."""
    return [{"item": item, name: value} for item, values in labels.items() for value in values]


def value(found, measure, side, column="estimate"):
    (row,) = found.table[(found.table["measure"] == measure) & (found.table["side"] == side)].to_dict("records")
    return row[column]


def drawn(rng, chances, items, count):
    return rows({f"item {i}": list(rng.choice(list("abcd")[: len(chances)], count, p=chances)) for i in range(items)})


# ---- by hand ----


def test_labels_by_hand():
    generated = {"one": "aaaa", "two": "aabb"}
    source = {"one": "aabb", "two": "abcd"}
    found = measure_monoculture(rows(generated), rows(source), attribute="label:v")
    assert value(found, "entropy", "generated") == 0.5, "0 and 1 bit"
    assert value(found, "entropy", "source") == 1.5, "1 and 2 bits"
    assert value(found, "entropy", "difference") == -1.0
    assert np.isnan(value(found, "entropy", "difference", "low")), "no interval below 8 items"
    assert value(found, "items narrower", "generated") == 1.0
    assert value(found, "pairs with one label", "generated") == pytest.approx((1 + 1 / 3) / 2)
    assert value(found, "pairs with one label", "source") == pytest.approx((1 / 3 + 0) / 2)
    # per-item means 1 and 1/3 fall into two of ten bins, 1/3 and 0 as well
    assert value(found, "entropy of pairs with one label", "generated") == 1.0
    assert found.items["count"].tolist() == [4, 4]
    assert found.items["item"].tolist() == ["one", "two"]
    assert found.outcome == {"label:v": "not enough evidence"}, "two items prove nothing"


def test_sets_by_hand():
    generated = rows({"one": [["a"], ["a"], ["a", "b"]]})
    source = rows({"one": [[], [], ["a"]]})
    found = measure_monoculture(generated, source, attribute="set:v")
    assert value(found, "mean Jaccard", "generated") == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert value(found, "mean Jaccard", "source") == pytest.approx((1 + 0 + 0) / 3), "two empty sets are equal"
    assert value(found, "1 - mean Jaccard", "generated") == pytest.approx(1 / 3)
    assert value(found, "1 - mean Jaccard", "difference") == pytest.approx(1 / 3 - 2 / 3)


def test_numbers_by_hand():
    found = measure_monoculture(rows({"one": [1, 2, 4]}), rows({"one": ["0", "10", "2"]}), attribute="number:v")
    assert value(found, "mean", "generated") == pytest.approx(7 / 3)
    assert value(found, "mean", "source") == 4
    assert value(found, "mean distance", "generated") == pytest.approx((1 + 3 + 2) / 3)
    assert value(found, "mean distance", "source") == pytest.approx((10 + 2 + 8) / 3)


def test_embeddings_by_hand():
    texts = {"one": ["red ship", "red ship", "blue barn"], "two": ["a b", "c d", "e f"]}
    embedder = FakeEmbedder()
    found = measure_monoculture(rows(texts, "text"), rows(texts, "text"), attribute="embedding", embedder=embedder)
    vectors = embedder.embed(texts["one"]).astype(float)
    mean = (1 + 2 * float(vectors[0] @ vectors[2])) / 3
    assert found.items["mean_generated"][0] == pytest.approx(mean, abs=1e-6)
    assert found.items["generated"][0] == pytest.approx(1 - mean, abs=1e-6)
    assert found.items["difference"].abs().max() < 1e-12
    assert found.meta["attributes"]["embedding"]["by"] == embedder.id


def test_sentiment_by_hand():
    good, bad = "A lovely book.", "A terrible book."
    generated = rows({f"book {i}": [good] * 4 for i in range(9)}, "text")
    source = rows({f"book {i}": [good, good, good, bad] for i in range(9)}, "text")
    found = measure_monoculture(generated, source)
    assert value(found, "mean positive", "generated") == 1.0
    assert value(found, "mean positive", "source") == 0.75
    assert value(found, "entropy", "generated") == 0.0
    assert value(found, "entropy", "source") == pytest.approx(0.8112781244591328)
    assert value(found, "entropy of mean positive", "source") == 0.0, "all items in one bin"
    # at random the odd text lands on either side with equal chance: 9 of 9 by 2 / 2 ** 9
    assert value(found, "items narrower", "generated", "p") == pytest.approx(2 / 2**9)
    assert found.outcome == {"sentiment": "narrower"}
    assert found.sentence.startswith(
        "Monoculture in sentiment: generated text is narrower than its source in 9 of 9 items (1.00, p 0.004 with"
    )
    assert "VADER" in found.sentence
    turned = measure_monoculture(source, generated)
    assert turned.outcome == {"sentiment": "wider"}
    assert turned.sentence.startswith("No monoculture in sentiment: generated text is wider than its source in 9 of 9")


def test_a_histogram_counts_every_item():
    source = {f"i{n}": "a" * n + "b" * (10 - n) for n in range(11)}
    found = measure_monoculture(rows(source), rows(source), attribute="label:v", draws=99)
    bins = found.meta["attributes"]["label:v"]["histogram"]
    assert sum(bins["generated"]) == sum(bins["source"]) == 11
    assert bins["edges"] == pytest.approx(np.linspace(0, 1, 11))
    assert bins["source"][-1] == 2, "all a and all b: every pair has one label, the last bin holds 1"


# ---- worlds whose truth is known ----


def test_unequal_numbers_of_one_distribution_make_no_difference():
    """5 generated and 40 human texts of the same labels: the naive entropies differ by a third of a bit."""
    rng = np.random.default_rng(0)
    chances = [0.4, 0.3, 0.2, 0.1]
    naive, fair, contained, shares = [], [], 0, []
    for seed in range(8):
        sides = drawn(rng, chances, 25, 5), drawn(rng, chances, 25, 40)
        found = measure_monoculture(*sides, attribute="label:v", draws=99, seed=seed)
        plain = []
        for side in sides:
            for i in range(25):
                counts = np.unique([row["v"] for row in side if row["item"] == f"item {i}"], return_counts=True)[1]
                plain.append(stats.entropy(counts, base=2))
        naive.append(np.mean(plain[:25]) - np.mean(plain[25:]))
        fair.append(value(found, "entropy", "difference"))
        contained += value(found, "entropy", "difference", "low") <= 0 <= value(found, "entropy", "difference", "high")
        shares.append(value(found, "items narrower", "generated"))
        assert found.items["count"].tolist() == [5] * 25
    assert np.mean(naive) < -0.3, "the control: what equal counts are there for"
    assert abs(np.mean(fair)) < 0.06
    assert contained >= 5
    assert np.mean(shares) == pytest.approx(0.5, abs=0.05)


def test_a_planted_monoculture_is_found_at_its_size():
    """Ten reviews each of 50 books, positive with chance 0.66 from people and 0.97 from a model."""
    rng = np.random.default_rng(1)
    found = measure_monoculture(
        drawn(rng, [0.97, 0.03], 50, 10), drawn(rng, [0.66, 0.34], 50, 10), attribute="label:v", draws=199
    )
    assert found.outcome == {"label:v": "narrower"}
    assert value(found, "items narrower", "generated") > 0.9
    draws = np.arange(11)

    def expected(p):
        chance, share = stats.binom.pmf(draws, 10, p), draws / 10
        return float(chance @ stats.entropy([share, 1 - share], base=2))

    for side, p in (("generated", 0.97), ("source", 0.66)):
        assert value(found, "entropy", side, "low") <= expected(p) <= value(found, "entropy", side, "high")


def test_equal_worlds_are_seldom_claimed():
    rng = np.random.default_rng(2)
    claims = 0
    for seed in range(24):
        sides = [drawn(rng, [0.6, 0.3, 0.1], 10, count) for count in (6, 6)]
        claims += measure_monoculture(*sides, attribute="label:v", draws=999, seed=seed).outcome["label:v"] != (
            "not enough evidence"
        )
    assert claims <= 4, "1 in 24 is expected at most; more than 4 have a chance below 1 %"


# ---- invariances ----


def test_nothing_depends_on_the_order_of_rows():
    rng = np.random.default_rng(3)
    generated, source = drawn(rng, [0.7, 0.3], 12, 9), drawn(rng, [0.5, 0.5], 12, 8)
    first = measure_monoculture(generated, source, attribute="label:v", draws=99)
    mixed = [[side[i] for i in rng.permutation(len(side))] for side in (generated, source)]
    again = measure_monoculture(*mixed, attribute="label:v", draws=99)
    assert first.table.equals(again.table)
    assert first.items.equals(again.items)
    other = measure_monoculture(generated, source, attribute="label:v", draws=99, seed=1)
    assert not first.table.equals(other.table), "a control: the seed does matter"


def test_equal_texts_have_no_dispersion_and_are_no_claim():
    same = rows({f"i{n}": ["The same words."] * 5 for n in range(10)}, "text")
    found = measure_monoculture(same, same, attribute=["sentiment", "embedding"], embedder=FakeEmbedder())
    for measure in ("entropy", "1 - mean cosine"):
        assert value(found, measure, "generated") == pytest.approx(0, abs=1e-6)
    assert set(found.outcome.values()) == {"not enough evidence"}
    assert found.items["narrower"].tolist() == [0.5] * 20


def test_several_attributes_are_measured_together():
    texts = {f"i{n}": ["a lovely ship", "a bad barn", "the sea"] for n in range(8)}
    found = measure_monoculture(
        rows(texts, "text"), rows(texts, "text"), attribute=["sentiment", "topic", "sentiment"], n_topics=2, draws=99
    )
    assert found.attributes == ["sentiment", "topic"]
    assert len(found.items) == 16
    assert len(found.meta["attributes"]["topic"]["words"]) == 2
    assert "fewer than" in refusal(measure_monoculture, [], []) or "got none" in refusal(measure_monoculture, [], [])


def test_draws_are_bounded():
    same = rows({"a": "xy"})
    assert "draws: expected at least 99, got 5" in refusal(
        measure_monoculture, same, same, attribute="label:v", draws=5
    )
    assert "--attribute: expected at least one" in refusal(measure_monoculture, same, same, attribute=[])


# ---- what is shown ----


@pytest.fixture(scope="module")
def hostile() -> Monoculture:
    rng = np.random.default_rng(4)
    sides = [
        [{"item": f"<img src=x onerror=alert({i})>", "v": v} for i in range(9) for v in rng.choice(list("abc"), 5)]
        for _ in range(2)
    ]
    return measure_monoculture(*sides, attribute="label:v", draws=99)


def test_a_result_shows_itself_escaped(hostile):
    assert "<img" not in hostile._repr_html_()
    assert repr(hostile) == "Monoculture(label:v: not enough evidence)"
    assert hostile.sentence in hostile.sentences.values()


def test_the_figure_draws_every_item_once(hostile):
    figure = monoculture_figure(hostile.items, hostile.meta)
    points = [trace for trace in figure.data if trace.type == "scatter" and "mean" not in trace.name]
    assert sum(int(trace.name.split("(")[1].rstrip(")")) for trace in points) == 9
    below = next(trace for trace in points if trace.name.startswith("narrower"))
    assert all(y < x for x, y in zip(below.x, below.y, strict=True))
    bars = {trace.name: sum(trace.y) for trace in figure.data if trace.type == "bar"}
    assert bars == {"generated": 9, "human": 9}
    assert "<img" not in figure.to_json()
    assert "Did you mean 'label:v'" in refusal(monoculture_figure, hostile.items, hostile.meta, "label:w")
    assert "Not measured" in monoculture_figure(hostile.items, {}).layout.annotations[0].text


def test_the_page_is_whole_and_runs_nothing_else(hostile, tmp_path):
    path = write_monoculture(hostile, tmp_path / "m.html")
    page = Page(path.read_text(encoding="utf-8"))
    assert not [tag for tag, _ in page.tags if tag in ("img", "iframe", "object")]
    (policy,) = (str(a["content"]) for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    running = [source for attributes, source in page.scripts if "type" not in attributes]
    assert len(running) == 2
    assert all(source_hash(source) in policy for source in running)
    assert [a["id"] for _, a in page.tags if a.get("class") == "plot"] == ["figure-attribute-1"]
    assert hostile.sentence in page.text


# ---- the published table ----


@pytest.mark.parametrize(
    ("condition", "positive", "sentiment", "topic"),
    [
        ("people", 0.659, 0.809, 2.181),
        ("Llama-2-13b-chat, T 0.5, p 0.9", 0.994, 0.024, 1.270),
        ("Llama-2-13b-chat, T 1.2, p 1", 0.978, 0.093, 1.738),
        ("Llama-2-13b base, T 1.2, p 1", 0.743, 0.735, 2.239),
        ("GPT-4", 1.000, 0.0, 1.212),
    ],
)
def test_the_published_table(condition, positive, sentiment, topic):
    """742 books, 10 reviews each (arXiv 2407.02209), from long tables `condition,item,label` where they are at hand."""
    files = {name: PUBLISHED / f"{name}.csv" for name in ("sentiment", "topic")}
    if missing := [str(path.name) for path in files.values() if not path.is_file()]:
        pytest.skip(f"the published labels are not at hand: {', '.join(missing)} in ../shared/monoculture")
    expected = {"sentiment": sentiment, "topic": topic}
    for name, path in files.items():
        with path.open(newline="", encoding="utf-8") as handle:
            read = list(csv.DictReader(handle))
        sides = [[row for row in read if row["condition"] == who] for who in (condition, "people")]
        found = measure_monoculture(*sides, attribute="label:label", draws=99)
        assert value(found, "entropy", "generated") == pytest.approx(expected[name], abs=5e-4)
        if name == "sentiment":
            share = np.mean([row["label"] == "positive" for row in sides[0]])
            assert share == pytest.approx(positive, abs=5e-4)
