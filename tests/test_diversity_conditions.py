"""Conditions on common ground, coherent texts, and files of texts with their fields."""

import json

import numpy as np
import pytest
from test_diversity_measuring import EMBEDDER, by_group, values, world

from creativity_lens.diversity import (
    coherence_of,
    common_ground,
    compare_diversity,
    distinct_n,
    load_fields,
    measure_diversity,
)
from creativity_lens.diversity.fields import truths
from creativity_lens.errors import InputError
from creativity_lens.statistics import t_interval


def two_worlds(groups=9, each=4):
    """One condition with many words, one with few."""
    rich, names = world(groups, each, vocabulary=200)
    poor, _ = world(groups, each, vocabulary=4)
    return rich + poor, names * 2, ["rich"] * len(rich) + ["poor"] * len(poor)


def test_conditions_share_their_ground_and_changes_are_paired():
    texts, groups, conditions = two_worlds()
    found = compare_diversity(texts, groups, conditions, embedder=EMBEDDER)
    rich, poor = found.conditions["rich"], found.conditions["poor"]
    assert (rich.length, rich.count, rich.threshold, rich.vocabulary) == (
        poor.length, poor.count, poor.threshold, poor.vocabulary
    )  # fmt: skip
    assert rich.vocabulary > measure_diversity(texts[36:], groups[36:]).vocabulary, "of all conditions, not of one"
    first, second = (by_group(texts[part], groups[part]) for part in (slice(36), slice(36, None)))
    moved = np.array([distinct_n(second[name], 1) - distinct_n(first[name], 1) for name in first])
    row = found.changes.set_index(["measure", "twin"]).loc[("distinct-1", "all")]
    expected = t_interval(moved)
    assert (row["estimate"], row["low"], row["high"]) == pytest.approx((expected.value, expected.low, expected.high))
    assert (row["condition"], row["against"], row["n"]) == ("poor", "rich", 9)
    assert row["high"] < 0
    assert found.changes["primary"].tolist() == [True] + [False] * (len(found.changes) - 1)
    assert found.table.columns[0] == "condition"
    assert len(found.table) == len(rich.table) + len(poor.table)
    assert "poor - rich" in found._repr_html_()


def test_a_condition_against_itself_does_not_change():
    texts, groups = world(groups=4)
    found = compare_diversity(texts * 2, groups * 2, ["a"] * 16 + ["b"] * 16, embedder=EMBEDDER)
    assert np.abs(found.changes["estimate"]).max() == 0


def test_only_groups_that_all_have_are_compared():
    texts, groups, conditions = two_worlds(groups=5)
    groups[:4] = ["only here"] * 4
    texts[4 * 4 + 20] = "short"
    found = compare_diversity(texts, groups, conditions)
    assert found.ground.groups == ("p1", "p2", "p3", "p4")
    assert found.passed_over == ("only here", "p0")
    assert {score.text_id for each in found.conditions.values() for score in each.scores} == {
        "",
        "p1",
        "p2",
        "p3",
        "p4",
    }
    assert "4 groups that all conditions have. 2 that not all have were passed over." in found.caption
    with pytest.raises(InputError, match="none has texts of 12 words in all of a, b"):
        compare_diversity(texts[:8], ["p", "q"] * 4, ["a", "b"] * 4)
    with pytest.raises(InputError, match="expected 2 or more to compare, got 1"):
        compare_diversity(texts[:8], groups[:8], ["a"] * 8)
    with pytest.raises(InputError, match="all 2 are empty"):
        compare_diversity(["", ""], ["p", "p"], ["a", "b"])


def test_the_count_is_one_that_every_condition_has():
    texts, groups, conditions = two_worlds()
    kept = [i for i in range(72) if i < 36 or i % 4]
    ground = common_ground([texts[i] for i in kept], [groups[i] for i in kept], [conditions[i] for i in kept])
    assert ground.count == 3
    assert ground.length == 12
    assert len(ground.groups) == 9


def test_embeddings_tokens_and_the_mask_follow_their_texts():
    texts, groups, conditions = two_worlds(groups=4)
    order = np.random.default_rng(0).permutation(32)
    mask, entropy = np.arange(32) % 4 > 0, np.repeat([2.0, 3.0], 16)[:, None].repeat(5, axis=1)
    options = {"embeddings": EMBEDDER.embed(texts), "coherent": mask, "tokens": {"entropy": entropy}}
    first = compare_diversity(texts, groups, conditions, **options)
    moved = {"embeddings": options["embeddings"][order], "coherent": mask[order], "tokens": {"entropy": entropy[order]}}
    again = compare_diversity(
        [texts[i] for i in order], [groups[i] for i in order], [conditions[i] for i in order], **moved
    )
    for name in ("rich", "poor"):
        for twin in ("all", "coherent"):
            one, other = (values(each.conditions[name], "within", twin) for each in (first, again))
            assert one == pytest.approx(other, rel=1e-6)
    assert first.conditions["poor"].estimate("entropy").value == 3
    assert first.conditions["poor"].count == 3


def test_texts_that_go_in_circles_or_make_no_sense_are_not_coherent():
    texts = ["to be or not to be", "no no no no no no no", "", "qz vx jk ww pq lm"]
    found = coherence_of(texts)
    assert found.mask.tolist() == [True, False, False, True]
    assert str(found) == "Coherent: at most 0.2 of a text's 4-grams repeated; 2 of 4 texts."
    read = np.array([3.0, 1.0, np.nan, 9.0])
    found = coherence_of(texts, read)
    assert found.most_surprisal == 4, "1 nat above the median"
    assert found.mask.tolist() == [True, False, False, False]
    assert "a surprisal of at most 4.00 nats a token; 1 of 4" in str(found)
    assert coherence_of(texts, read, most_surprisal=9.0, most_repeated=1.0).mask.tolist() == [True, True, False, True]
    assert coherence_of(["a b c d a b c d"], most_repeated=0.19).mask.tolist() == [False], "one 4-gram of five"
    assert coherence_of(["a b c d a b c d"], most_repeated=0.2).mask.tolist() == [True]
    with pytest.raises(InputError, match="expected a share from 0 to 1, got 2"):
        coherence_of(texts, most_repeated=2.0)
    with pytest.raises(InputError, match="expected one for each of 4 texts; got 1"):
        coherence_of(texts, read[:1])


ROWS = [{"text": "one", "prompt": "p1", "ok": True}, {"text": "", "prompt": 2, "ok": False}]


def written(path, data):
    path.write_text(data, encoding="utf-8")
    return path


def test_fields_are_read_from_every_kind_of_file(tmp_path):
    jsonl = written(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS))
    found = load_fields(jsonl, group="prompt", coherent="ok", by=None)
    assert found.texts == ("one", "")
    assert found.fields == {"group": ("p1", "2"), "coherent": ("true", "false")}
    assert truths(found.fields["coherent"], found.where, "ok") == [True, False]
    assert found.where == (f"{jsonl}:1", f"{jsonl}:2")
    table = written(tmp_path / "a.csv", 'prompt,body\np1,"one, two"\np2,\n')
    assert load_fields(table, "body", group="prompt").texts == ("one, two", "")
    lines = written(tmp_path / "a.txt", "one\r\n\ntwo\n\n")
    assert load_fields(lines).texts == ("one", "", "two")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.json", "[]", "expected a file of texts: .jsonl, .*; got the ending '.json'"),
        ("a.txt", "one", "a.txt is one text a line, without fields; give .jsonl or .csv"),
        ("a.jsonl", '{"text": "x", "promt": 1}', "a.jsonl:1: no field 'prompt'; .* set --group. Did you mean 'promt'"),
        ("a.jsonl", '{"text": "x", "prompt": 1}\n{"prompt": 1}', "a.jsonl:2: no field 'text'; .* set --column"),
        ("a.jsonl", '{"text": 3, "prompt": 1}', "a.jsonl:1: 'text': expected a string, got 3"),
        ("a.jsonl", '{"text": "\\ud800", "prompt": 1}', "a.jsonl:1: 'text': holds a lone surrogate"),
        ("a.jsonl", '{"text": "x", "prompt": null}', "'prompt': expected a name or a number, got None"),
        ("a.jsonl", '{"text": "x", "prompt": [1]}', "'prompt': expected a name or a number, got"),
        ("a.csv", "text,prompt\nx,\n", "a.csv:2: 'prompt': expected a name or a number, got ''"),
        ("a.csv", "text,prompt\n", "a.csv: has a header and no rows"),
        ("a.jsonl", "[1]", "a.jsonl:1: expected a JSON object"),
    ],
)
def test_files_that_are_wrong_are_refused(tmp_path, name, data, said):
    with pytest.raises(InputError, match=said):
        load_fields(written(tmp_path / name, data), group="prompt")


def test_truth_is_said_in_few_words():
    with pytest.raises(InputError, match="a:3: 'ok': expected true or false"):
        truths(["perhaps"], ["a:3"], "ok")
