"""Diversity of grouped texts: what is cut, left out and averaged, and what the numbers say of known worlds."""

import math
from functools import cache

import numpy as np
import pytest
from fake_embedder import FakeEmbedder

from creativity_lens.diversity import (
    UNITS,
    compression_ratio,
    cross_spread,
    distinct_n,
    ead,
    measure_diversity,
    nearest_distance,
    self_bleu,
    self_repetition,
    semantic_spread,
    set_values,
    vendi,
)
from creativity_lens.diversity.diversity import COLUMNS, TOKENS, LeftOut
from creativity_lens.diversity.jackknife import jackknife_interval
from creativity_lens.diversity.sets import BLOCKS, arrange, default_count, default_length
from creativity_lens.errors import InputError
from creativity_lens.statistics import t_interval


class KnownWords(FakeEmbedder):
    """The same vectors; a word's is made once."""

    _vector = cache(FakeEmbedder._vector)


EMBEDDER = KnownWords(16)


def world(groups=10, each=4, words=12, vocabulary=60, seed=0, shared=0.3):
    """Texts in which a group has words of its own beside those that all groups share."""
    random = np.random.default_rng(seed)
    common = [f"c{i}" for i in range(vocabulary)]
    texts, names = [], []
    for group in range(groups):
        own = [f"g{group}w{i}" for i in range(vocabulary)]
        for _ in range(each):
            pick = random.random(words) < shared
            texts.append(" ".join(random.choice(common if p else own) for p in pick))
            names.append(f"p{group}")
    return texts, names


def by_group(texts, names):
    found = {}
    for text, name in zip(texts, names, strict=True):
        found.setdefault(name, []).append(text)
    return found


def values(found, scope, twin="all"):
    rows = found.table[(found.table["scope"] == scope) & (found.table["twin"] == twin)]
    return dict(zip(rows["measure"], rows["estimate"], strict=True))


def test_within_is_the_mean_over_groups_of_each_measure():
    texts, names = world()
    found = measure_diversity(texts, names, embedder=EMBEDDER, vocabulary=500)
    groups = by_group(texts, names).values()
    measures = {
        "distinct-1": lambda some: distinct_n(some, 1), "distinct-3": lambda some: distinct_n(some, 3),
        "EAD": lambda some: ead(some, 500), "self-BLEU": self_bleu, "compression ratio": compression_ratio,
        "self-repetition": lambda some: self_repetition(some),
        "semantic spread": lambda some: semantic_spread(EMBEDDER.embed(some)),
        "Vendi score": lambda some: vendi(EMBEDDER.embed(some)),
        "nearest distance": lambda some: nearest_distance(EMBEDDER.embed(some)),
    }  # fmt: skip
    for name, measure in measures.items():
        each = np.array([measure(some) for some in groups])
        expected = t_interval(each)
        estimate = found.estimate(name)
        assert estimate.value == pytest.approx(expected.value, rel=1e-6), name
        assert estimate.unit == UNITS[name]
        if np.ptp(each) > 0:
            assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), rel=1e-6)
        assert list(found.by_group(name).values()) == pytest.approx(each.tolist(), rel=1e-6, abs=1e-9)
    assert found.estimate("clusters").n == 10


def test_across_is_the_mean_over_sets_of_one_text_of_each_group():
    texts, names = world(groups=5, each=1)
    found = measure_diversity(texts, names, embedder=EMBEDDER, vocabulary=500)
    rows = EMBEDDER.embed(texts)
    across = values(found, "across")
    assert across["distinct-1"] == distinct_n(texts, 1)
    assert across["self-BLEU"] == pytest.approx(self_bleu(texts))
    assert across["compression ratio"] == compression_ratio(texts)
    assert across["EAD"] == pytest.approx(ead(texts, 500))
    assert across["Vendi score"] == pytest.approx(vendi(rows), rel=1e-5)
    assert across["nearest distance"] == pytest.approx(nearest_distance(rows), rel=1e-5)
    assert across["semantic spread"] == pytest.approx(cross_spread(rows, names), rel=1e-5)
    two = measure_diversity(*world(groups=2, each=2), embedder=EMBEDDER)
    texts, names = world(groups=2, each=2)
    possible = [[texts[i], texts[2 + j]] for i in (0, 1) for j in (0, 1)]
    halves = [np.mean([self_bleu(possible[a]), self_bleu(possible[b])]) for a, b in ((0, 3), (1, 2))]
    assert min(abs(values(two, "across")["self-BLEU"] - half) for half in halves) < 1e-9, "each text stands in one set"


def test_every_measure_has_both_scopes_and_a_twin():
    texts, names = world(groups=3, each=3)
    tokens = {"entropy": np.full((9, 5), 2.0), "surprisal": [np.array([1.0, math.nan, 3.0])] * 9}
    found = measure_diversity(texts, names, embedder=EMBEDDER, coherent=[True] * 9, tokens=tokens)
    assert list(found.table.columns) == list(COLUMNS)
    for measure in UNITS:
        scopes = {"within", "across"}
        if measure in TOKENS:
            scopes = {"within"} if measure in tokens else set()
        rows = found.table[found.table["measure"] == measure]
        assert set(zip(rows["scope"], rows["twin"], strict=True)) == {
            (s, t) for s in scopes for t in ("all", "coherent")
        }
    primary = found.table[found.table["primary"]]
    assert primary[["measure", "scope", "twin"]].to_numpy().tolist() == [["semantic spread", "within", "all"]]
    assert found.table["primary"].tolist()[0], "and it comes first"
    assert found.estimate("entropy").value == 2
    assert found.estimate("surprisal").value == 2, "NaN is no token"
    assert values(found, "within") == pytest.approx(values(found, "within", "coherent"), nan_ok=True)
    assert {score.text_id for score in found.scores} == {*names, ""}
    assert sum(score.measure == "EAD" for score in found.scores) == 3
    assert sum(score.measure == "EAD (across, coherent)" for score in found.scores) == 1
    assert "everything else is descriptive" in found._repr_html_()


def test_order_does_not_matter_nor_which_texts_are_drawn_with_it():
    texts, names = world(groups=5, each=5)
    texts[3] = texts[2]
    short = [" ".join(text.split()[:3]) if place in (0, 17) else text for place, text in enumerate(texts)]
    order = np.random.default_rng(1).permutation(25)
    options = {"embedder": EMBEDDER, "count": 2, "length": 8}
    first = measure_diversity(short, names, **options)
    again = measure_diversity([short[i] for i in order], [names[i] for i in order], **options)
    for scope in ("within", "across"):
        assert values(again, scope) == pytest.approx(values(first, scope), rel=1e-6, nan_ok=True)
    other = measure_diversity(short, names, **options, seed=1)
    assert values(other, "within")["self-BLEU"] != values(first, "within")["self-BLEU"]
    assert values(other, "within")["semantic spread"] == values(first, "within")["semantic spread"], "uses every text"


def test_all_texts_equal_is_the_extreme():
    found = measure_diversity(
        ["the tide came in like a rumour"] * 40, [f"p{i % 10}" for i in range(40)], embedder=EMBEDDER
    )
    for scope in ("within", "across"):
        got = values(found, scope)
        m = 4 if scope == "within" else 10
        assert got["semantic spread"] == pytest.approx(0, abs=1e-6)
        assert got["distinct-1"] == pytest.approx(1 / m)
        assert got["self-BLEU"] == pytest.approx(100)
        assert got["self-repetition"] == pytest.approx(math.log(1 + 4 * (m - 1)))
        assert got["Vendi score"] == pytest.approx(1, abs=1e-5)
        assert got["clusters"] == got["equivalence classes"] == got["largest cluster"] == 1
        assert got["cluster entropy"] == 0
        assert got["nearest distance"] == pytest.approx(0, abs=1e-6)
    assert set(found.table["note"]) == {"no interval: groups do not differ"}


def test_convergence_of_prompts_shows_across_and_not_within():
    """Prompts that all get the texts of one prompt: within each of them nothing changed, pooled it would look so."""
    texts, names = world(groups=6, each=6, shared=0.1)
    apart = measure_diversity(texts, names, embedder=EMBEDDER)
    same = measure_diversity([texts[i % 6] for i in range(36)], names, embedder=EMBEDDER)
    own = apart.by_group("semantic spread")["p0"]
    assert values(same, "within")["semantic spread"] == pytest.approx(own, abs=1e-6)
    assert values(same, "across")["semantic spread"] == pytest.approx(own * 5 / 6, abs=1e-6), (
        "1 in 6 pairs is a text twice"
    )
    assert values(same, "across")["semantic spread"] < 0.8 * values(apart, "across")["semantic spread"]


def test_a_mixture_has_as_many_clusters_as_modes():
    random = np.random.default_rng(0)
    kinds = np.tile(np.arange(3), 4)
    rows = np.concatenate([np.eye(64)[3 * group + kinds] for group in range(6)])
    rows = rows + 0.01 * random.normal(size=rows.shape)
    names = [f"p{i}" for i in range(6) for _ in range(12)]
    texts = [f"text number {i} of them" for i in range(72)]
    found = measure_diversity(texts, names, embeddings=rows, threshold=0.5)
    got = values(found, "within")
    assert got["clusters"] == got["equivalence classes"] == 3
    assert got["Vendi score"] == pytest.approx(3, rel=0.1)
    assert got["cluster entropy"] == pytest.approx(math.log(3))
    assert got["largest cluster"] == pytest.approx(1 / 3)
    assert values(found, "across")["clusters"] == 6, "a set across holds one text of each prompt"
    assert found.embedder == "given"
    assert 0.8 < measure_diversity(texts, names, embeddings=rows).threshold < 1, "prompts have nothing in common"


def test_short_and_empty_texts_are_left_out_and_counted():
    texts, names = world(groups=8, each=4)
    texts[0], texts[1], texts[5] = "", " \n", "one two"
    found = measure_diversity(texts, names, embedder=EMBEDDER, length=12, count=4)
    assert (found.left_out.empty, found.left_out.short, found.left_out.texts) == (2, 1, 3)
    assert found.left_out.groups == ("p0", "p1")
    assert str(found.left_out) == "3 texts (2 empty, 1 too short); 2 groups with too few texts (p0, p1)"
    assert (found.n_texts, found.n_groups) == (29, 6)
    assert found.estimate("self-BLEU").n == 6
    assert found.estimate("semantic spread").n == 8, "it needs 2 texts of a group, whatever the count"
    notes = {score.text_id: score.note for score in found.scores if score.measure == "self-BLEU"}
    assert notes["p0"] == "too few texts of the common length"
    assert notes["p2"] is None
    assert str(LeftOut(0, 0, 0, ())) == "none"
    assert not LeftOut(0, 0, 0, ())


def test_texts_without_an_embedding_are_left_out_of_everything():
    texts, names = world(groups=3, each=4)
    rows = EMBEDDER.embed(texts)
    rows[0] = np.nan
    found = measure_diversity(texts, names, embeddings=rows)
    assert found.left_out.unembedded == 1
    assert str(found.left_out) == "1 text (1 without an embedding)"
    assert found.count == 3
    without = measure_diversity(texts[1:], names[1:], embeddings=rows[1:], length=12)
    for scope in ("within", "across"):
        assert values(found, scope) == pytest.approx(values(without, scope), nan_ok=True)


def test_texts_are_cut_to_the_common_length_before_everything():
    texts, names = world(groups=8, each=3)
    longer = [text + " and so it went on and on" for text in texts]
    first, second = (measure_diversity(each, names, embedder=EMBEDDER, length=12) for each in (texts, longer))
    for scope in ("within", "across"):
        assert values(first, scope) == values(second, scope)
    assert measure_diversity(longer, names).length == 19


def test_defaults_leave_few_out():
    assert default_length(np.array([0, 0, *range(1, 101)])) == 5
    assert default_length(np.zeros(3, dtype=int)) == 0
    groups = np.repeat(np.arange(20), 10)
    usable = np.ones(200, dtype=bool)
    assert default_count(groups, 20, usable) == 10
    usable[:9] = False  # one group of twenty is nearly gone
    assert default_count(groups, 20, usable) == 10
    coherent = np.tile([True] * 6 + [False] * 4, 20)
    assert default_count(groups, 20, usable, coherent) == 6
    assert default_count(groups, 20, usable, coherent & (np.arange(200) < 60)) == 10, (
        "too few coherent texts to wait for"
    )
    sparse = np.zeros(200, dtype=bool)
    sparse[::10] = True
    assert default_count(groups, 20, sparse) == 1


def test_arrangement():
    names = [f"g{i}" for i in range(43)]
    group = np.repeat(np.arange(43), 5)
    texts = [f"text {i}" for i in range(215)]
    usable = np.ones(215, dtype=bool)
    usable[:4] = False  # g0 has one text left
    sets = arrange(group, names, texts, usable, 2, seed=0)
    assert sets.within.number == 42 * 2, "of five texts, two sets of two"
    assert (sets.within.sizes(sets.within.everyone) == 2).all()
    assert len(set(sets.within.text.tolist())) == 42 * 4
    assert (group[sets.within.text] == sets.within_group[sets.within.member]).all()
    assert sets.across.sizes(sets.across.everyone).tolist() == [43, 43], "a group with one text stands in both"
    assert sorted(group[sets.across.text[sets.across.member == 0]]) == list(range(43))
    assert not sets.full[0]
    assert sets.full[1:].all()
    assert (sets.blocks, sets.in_block) == (21, 2), "equal blocks, and one group in none"
    assert (np.bincount(sets.block + 1) == [1, *[2] * 21]).all()
    assert sets.without(3).sum() == 2 * 41
    assert arrange(group[:40], names[:8], texts[:40], usable[:40], 2, seed=0).blocks == 8 < BLOCKS


def test_jackknife_of_a_mean_is_students_t():
    data = np.random.default_rng(0).normal(size=12)
    without = (data.sum() - data) / 11
    found, expected = jackknife_interval(float(data.mean()), without, groups=12), t_interval(data)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    pairs = (data.sum() - data.reshape(-1, 1).repeat(1, axis=1).ravel()) / 11
    assert jackknife_interval(0.5, pairs[:7], groups=7).has_interval is False
    assert not jackknife_interval(math.nan, without, groups=12).has_interval
    assert not jackknife_interval(0.5, np.full(12, 0.5), groups=12).has_interval
    # blocks of two groups, one of which stays: the error of a mean of 41 as it is known
    many = np.random.default_rng(1).normal(size=41)
    blocks = many[:40].reshape(20, 2).sum(axis=1)
    found = jackknife_interval(float(many.mean()), (many.sum() - blocks) / 39, groups=41, in_block=2)
    assert (found.high - found.low) / (t_interval(many).high - t_interval(many).low) == pytest.approx(1, abs=0.25)


def test_gibberish_is_told_from_diversity_by_the_twin():
    texts, names = world(groups=6, each=8, vocabulary=6, shared=0.9)
    mad = np.arange(48) % 8 < 3
    odd = [
        " ".join(f"x{i}y{j}" for j in range(12)) if m else text
        for i, (text, m) in enumerate(zip(texts, mad, strict=True))
    ]
    found = measure_diversity(odd, names, embedder=EMBEDDER, coherent=~mad)
    sane = measure_diversity(texts, names, embedder=EMBEDDER)
    assert found.count == 5
    assert values(found, "within")["semantic spread"] > 1.3 * values(sane, "within")["semantic spread"]
    assert values(found, "within", "coherent")["semantic spread"] == pytest.approx(
        values(sane, "within")["semantic spread"], rel=0.1
    )
    rows = found.table[found.table["twin"] == "coherent"]
    assert (rows["n"] == 6).all(), "across too: every group stands in every set"


def test_one_text_per_group_leaves_only_across():
    found = measure_diversity(*world(groups=9, each=1), embedder=EMBEDDER)
    within = found.table[found.table["scope"] == "within"]
    assert within["estimate"].isna().all()
    assert set(within["note"]) == {"needs 2 texts of a group"}
    across = found.table[found.table["scope"] == "across"]
    assert across["estimate"].notna().all()
    assert found.count == 1


def test_one_group_leaves_only_within():
    found = measure_diversity(*world(groups=1, each=6), embedder=EMBEDDER)
    across = found.table[found.table["scope"] == "across"]
    assert set(across["note"]) == {"needs 2 groups"}
    within = found.table[found.table["scope"] == "within"].set_index("measure")
    assert within.loc["semantic spread", "note"] == "no interval below 8 groups"
    assert within.loc["clusters", "note"] == "no threshold: it is found between groups; give one"
    assert np.isnan(within.loc["equivalence classes", "estimate"])
    assert measure_diversity(*world(groups=1, each=6), embedder=EMBEDDER, threshold=0.3).estimate("clusters").value >= 1


def test_other_languages_are_measured():
    sea, hill = "\u6d77\u306f\u5e83\u3044", "\u5c71\u306f\u9ad8\u3044"
    russian = "\u043c\u043e\u0440\u0435 \u0448\u0443\u043c\u0438\u0442 \u0442\u0438\u0445\u043e \u0442\u0430\u043c"
    hebrew = "\u05d4\u05d9\u05dd \u05d2\u05d3\u05d5\u05dc \u05de\u05d0\u05d5\u05d3 \u05d4\u05d9\u05d5\u05dd"
    texts = [sea, hill, russian, hebrew]
    found = measure_diversity(texts, ["a", "a", "b", "b"], embedder=EMBEDDER)
    assert found.length == 4
    assert found.by_group("distinct-1") == {"a": 6 / 8, "b": 1.0}
    assert found.by_group("self-BLEU")["a"] > found.by_group("self-BLEU")["b"] == 0


def test_what_the_texts_cannot_carry_is_said():
    found = measure_diversity(["a b", "a c"] * 10, [f"p{i // 2}" for i in range(20)])
    notes = found.table.set_index(["measure", "scope"])["note"]
    assert notes["distinct-3", "within"] == "the common length is too short for its n-grams"
    assert notes["self-repetition", "across"] == "the common length is too short for its n-grams"
    assert notes["semantic spread", "within"] == notes["Vendi score", "across"] == "no embedder was given"
    assert found.embedder == ""
    dense = measure_diversity(*world(groups=8, each=3), embedder=EMBEDDER, method="hdbscan").table
    note = dense.set_index(["measure", "scope"]).loc[("clusters", "within"), "note"]
    assert note == "HDBSCAN needs more than 100 texts in a set, it has 3"
    few = measure_diversity(*world(groups=8, each=3), embedder=EMBEDDER, count=4).table
    assert set(few[(few["scope"] == "within") & (few["measure"] != "semantic spread")]["note"]) == {
        "no group has 4 texts"
    }


def test_sets_too_large_for_pairs_are_said(monkeypatch):
    monkeypatch.setattr(set_values, "MOST", 5)
    found = measure_diversity(*world(groups=6, each=2), embedder=EMBEDDER).table.set_index(["measure", "scope"])
    for measure in ("clusters", "largest cluster", "nearest distance", "equivalence classes"):
        assert found.loc[(measure, "across"), "note"].startswith(
            "sets of more than 5 texts are not compared pair by pair"
        )
        assert np.isfinite(found.loc[(measure, "within"), "estimate"])
    assert np.isfinite(found.loc[("Vendi score", "across"), "estimate"]), "needs no pairs"


@pytest.mark.parametrize(
    ("texts", "groups", "options", "said"),
    [
        ([], [], {}, "texts: expected some, got none"),
        (["", " "], ["a", "b"], {}, "texts: all 2 are empty"),
        ("one text", ["a"], {}, "expected a list of texts, got one string"),
        (["a b"], ["a", "b"], {}, "groups: expected one for each of 1 texts; got 2"),
        (["a b"], ["a"], {"length": 3}, "length: no text has 3 words, the longest has 2"),
        (["a b"], ["a"], {"length": 0}, "length: expected 1 or more, got 0"),
        (["a b"], ["a"], {"count": -1}, "count: expected 1 or more, got -1"),
        (["a b"], ["a"], {"threshold": 3.0}, "threshold: expected a number from 0 to 2, got 3"),
        (["a b"], ["a"], {"similarity": math.nan}, "similarity: expected a number from -1 to 1, got nan"),
        (["a b"], ["a"], {"method": "dbscan"}, "method: expected one of average, hdbscan; got 'dbscan'. Did you mean"),
        (["a b"], ["a"], {"coherent": [True, False]}, "coherent: expected one for each of 1 texts; got 2"),
        (["a b"], ["a"], {"tokens": {"entropi": [[1.0]]}}, "tokens: expected one of entropy,.*Did you mean 'entropy'"),
        (["a b"], ["a"], {"tokens": {"entropy": []}}, "tokens: entropy: expected one for each of 1 texts; got 0"),
        (["a b"], ["a"], {"embeddings": np.ones((2, 3))}, "embeddings: expected one for each of 1 texts; got 2"),
        (["a b"], ["a"], {"embeddings": np.ones((1, 3)), "embedder": EMBEDDER}, "expected one of them, got both"),
    ],
)
def test_bad_input_is_one_line(texts, groups, options, said):
    with pytest.raises(InputError, match=said):
        measure_diversity(texts, groups, **options)


def test_wrong_names_are_refused():
    found = measure_diversity(*world(groups=2, each=2))
    with pytest.raises(InputError, match="Did you mean 'semantic spread'"):
        found.estimate("semantic spred")
    with pytest.raises(InputError, match="entropy, within, all: not measured here"):
        found.estimate("entropy")


@pytest.mark.slow
def test_intervals_cover_the_truth():
    found = {}
    for seed in range(100):
        random = np.random.default_rng(seed)
        texts, names = world(groups=12, each=3, words=16, vocabulary=30, seed=seed, shared=0.5)
        centres = np.repeat(random.normal(size=(12, 8)) * random.choice([0.3, 1.2], size=(12, 1)) + 1, 3, axis=0)
        rows = centres + 0.7 * random.normal(size=(36, 8))
        table = measure_diversity(texts, names, embeddings=rows, threshold=0.2, vocabulary=500, seed=seed).table
        for row in table.itertuples():
            found.setdefault((row.measure, row.scope), []).append((row.estimate, row.low, row.high))
    for name in ("semantic spread", "distinct-1", "EAD", "self-BLEU", "compression ratio", "Vendi score"):
        for scope in ("within", "across"):
            value, low, high = np.array(found[name, scope]).T
            covered = float(((low <= value.mean()) & (value.mean() <= high)).mean())
            assert covered > 0.85, (name, scope)  # 4.6 errors below 0.95; self-BLEU is skewed, and 12 groups are few
