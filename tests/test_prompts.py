import hashlib
import json
import random
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, replace

import pytest
from fake_pairs import make_pairs, refusal

from creativity_lens.prompts import (
    ContrastivePair,
    Prompt,
    fingerprint,
    fold_topics,
    halve_topics,
    load_pairs,
    load_prompts,
    split_pairs,
    write_pairs,
)

KEYS = ["id", "topic", "domain", "kind", "split"]
KEYS += ["neutral", "creative", "boring", "creative_response", "boring_response"]


def topics(pairs: list[ContrastivePair]) -> set[str]:
    return {pair.topic for pair in pairs}


# Files of pairs


def test_a_written_file_is_read_and_written_again_with_equal_bytes(tmp_path):
    pairs = make_pairs([3, 3])
    pairs[0] = replace(
        pairs[0], neutral='Quotes " and \\, a line\nbreak, a tab\t, \u2028, \u00e9, \U0001f99c, </script>'
    )
    pairs = [replace(pair, split="train" if pair.domain == "d0" else "test") for pair in pairs]
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    write_pairs(first, pairs)
    assert load_pairs(first) == pairs
    write_pairs(second, load_pairs(first))
    assert first.read_bytes() == second.read_bytes()
    assert fingerprint(pairs) == hashlib.sha256(first.read_bytes()).hexdigest()
    assert [list(json.loads(line)) for line in first.read_text(encoding="utf-8").split("\n")[:-1]] == [KEYS] * 18
    assert "\u00e9" in first.read_text(encoding="utf-8"), "UTF-8 without escapes"


def test_fingerprint_ignores_the_layout_of_a_file_but_no_text(tmp_path):
    pairs = make_pairs([8], per_topic=1)
    shuffled = [dict(reversed(asdict(pair).items())) for pair in pairs]
    file = tmp_path / "pairs.jsonl"
    file.write_text("\ufeff\r\n" + "\r\n\r\n".join(json.dumps(row, indent=None) for row in shuffled), encoding="utf-8")
    assert fingerprint(load_pairs(file)) == fingerprint(pairs)
    assert len({fingerprint([*pairs[:-1], replace(pairs[-1], **{key: "other"})]) for key in KEYS}) == len(KEYS)


def test_a_pair_that_could_not_be_read_is_not_written(tmp_path):
    file = tmp_path / "pairs.jsonl"
    broken = [*make_pairs([8]), replace(make_pairs([1])[0], boring="\ud800")]
    assert "pair 25: field 'boring'" in refusal(write_pairs, file, broken)
    assert list(tmp_path.iterdir()) == []


# Splits


def test_24_topics_in_8_domains_split_11_5_8_with_one_test_topic_per_domain():
    pairs = make_pairs([3] * 8)
    train, dev, test = split_pairs(pairs)
    assert [len(topics(part)) for part in (train, dev, test)] == [11, 5, 8]
    assert len({pair.domain for pair in test}) == 8
    assert len({pair.domain for pair in dev}) == 5
    assert sorted([*train, *dev, *test], key=pairs.index) == pairs
    assert len(topics(train) | topics(dev) | topics(test)) == 24, "no topic on two sides"


@pytest.mark.parametrize("count", [3, 4, 5, 8, 12, 20, 23, 24, 25, 36, 60, 101])
def test_split_sizes(count):
    train, dev, test = (len(topics(part)) for part in split_pairs(make_pairs([count], per_topic=1)))
    assert train + dev + test == count
    assert min(train, dev, test) >= 1
    assert dev == max(1, round(count / 5))
    assert test == (max(8, dev) if count >= 24 else dev)
    if count >= 40:
        assert abs(train - 0.6 * count) <= 1


@pytest.mark.parametrize(
    "divide",
    [
        lambda pairs, seed: split_pairs(pairs, seed=seed),
        lambda pairs, seed: halve_topics(pairs, seed=seed),
        lambda pairs, seed: [held for _, held in fold_topics(pairs, seed=seed)],
    ],
    ids=["split", "halves", "folds"],
)
def test_a_division_depends_on_rows_and_seed_but_not_on_order(divide):
    pairs = make_pairs([1, 2, 3, 7, 4, 1, 1])
    shuffled = random.Random(1).sample(pairs, len(pairs))
    for seed in range(5):
        parts = [topics(part) for part in divide(pairs, seed)]
        assert parts == [topics(part) for part in divide(shuffled, seed)]
        assert sum(map(len, parts)) == len(set().union(*parts)) == 19, "whole topics, each in one part"
    assert len({frozenset(topics(divide(pairs, seed)[0])) for seed in range(10)}) >= 9
    found = divide(shuffled, 0)[0]
    assert found == [pair for pair in shuffled if pair in found], "the order given is kept"


def test_no_topic_is_favoured_by_the_draw():
    pairs = make_pairs([3] * 8, per_topic=1)
    drawn = Counter(topic for seed in range(300) for topic in topics(split_pairs(pairs, seed=seed)[2]))
    # Binomial(300, 1/3): mean 100, standard deviation 8.2; 4.5 of them for 24 topics at once
    assert len(drawn) == 24
    assert all(63 <= count <= 137 for count in drawn.values()), drawn


@pytest.mark.parametrize("sizes", [[20] + [1] * 20, [9, 3, 30], [5] * 6, [2] * 15])
def test_every_split_is_spread_over_domains(sizes):
    small = sum(size for size in sizes if size == 1)
    for seed in range(20):
        for part in split_pairs(make_pairs(sizes, per_topic=1), seed=seed):
            share = len(part) / sum(sizes)
            found = Counter(pair.domain for pair in part)
            for domain, size in enumerate(sizes):
                assert abs(found[f"d{domain}"] - share * size) <= 2
            alone = sum(found[f"d{domain}"] for domain, size in enumerate(sizes) if size == 1)
            assert abs(alone - share * small) <= 2, "small domains do not all fall on one side"


def test_a_topic_of_two_domains_stays_whole_in_any_order_of_rows():
    pairs = make_pairs([4, 4])
    pairs[0] = replace(pairs[0], domain="d1")
    for divide in (split_pairs, halve_topics):
        for seed in range(20):
            parts = [topics(part) for part in divide(pairs, seed=seed)]
            assert sum(map(len, parts)) == 8
            assert parts == [topics(part) for part in divide(pairs[::-1], seed=seed)]


def test_splits_in_the_rows_are_kept():
    sides = {f"t0-{place}": ("test", "train", "dev", "train")[place] for place in range(4)}
    pairs = [replace(pair, split=sides[pair.topic]) for pair in make_pairs([4])]
    train, dev, test = split_pairs(pairs, seed=5)
    assert (topics(train), topics(dev), topics(test)) == ({"t0-1", "t0-3"}, {"t0-2"}, {"t0-0"})
    assert "'dev'" in refusal(split_pairs, [replace(pair, split="test" if pair in test else "train") for pair in pairs])
    assert "every row" in refusal(split_pairs, [*pairs[:5], *(replace(pair, split=None) for pair in pairs[5:])])
    assert "'t0-0'" in refusal(split_pairs, [replace(pairs[0], split="dev"), *pairs[1:]])


def test_too_few_topics_are_refused():
    assert "at least 3 topics" in refusal(split_pairs, make_pairs([2], per_topic=9))
    assert "at least 3 topics" in refusal(split_pairs, [])
    assert "at least 2 topics" in refusal(halve_topics, make_pairs([1], per_topic=9))
    assert "at least 5 topics" in refusal(fold_topics, make_pairs([4]))
    assert "at least 2" in refusal(fold_topics, make_pairs([4]), 1)


def test_halves_are_even_in_pairs_and_over_domains():
    train, _, _ = split_pairs(make_pairs([3] * 8))
    for pairs in (train, make_pairs([3] * 8), make_pairs([1] * 9), make_pairs([7, 2, 2, 1])):
        for seed in range(20):
            one, other = halve_topics(pairs, seed=seed)
            assert abs(len(one) - len(other)) <= 3, "one topic's pairs"
            for domain in {pair.domain for pair in pairs}:
                here, there = (len({p.topic for p in half if p.domain == domain}) for half in (one, other))
                assert abs(here - there) <= 1


def test_halves_of_topics_of_unequal_size_differ_by_one_topic_at_most():
    draw = random.Random(0)
    for seed in range(50):
        whole = make_pairs([draw.randint(1, 6) for _ in range(draw.randint(2, 8))], per_topic=9)
        kept = {topic: draw.randint(1, 9) for topic in sorted(topics(whole))}
        pairs = [pair for pair in whole if int(pair.id.rsplit("-", 1)[1]) < kept[pair.topic]]
        one, other = halve_topics(pairs, seed=seed)
        assert abs(len(one) - len(other)) <= max(kept.values())


@pytest.mark.parametrize("sizes", [[1] * 10, [10]], ids=["in ten domains", "in one domain"])
def test_a_large_topic_is_made_good_by_small_ones(sizes):
    pairs = make_pairs(sizes, per_topic=9)
    pairs = [pair for pair in pairs if pair.topic == pairs[0].topic or pair.id.endswith("-0")]
    for seed in range(10):
        one, other = halve_topics(pairs, seed=seed)
        assert len(one) == len(other) == 9
        assert {len(topics(one)), len(topics(other))} == {1, 9}


def test_folds_hold_every_pair_out_once():
    pairs = make_pairs([3] * 8)
    folds = fold_topics(pairs, seed=2)
    assert len(folds) == 5
    for fit, held in folds:
        assert not topics(fit) & topics(held)
        assert sorted([*fit, *held], key=pairs.index) == pairs
        assert len(topics(held)) in (4, 5)
        assert max(Counter(pair.domain for pair in held).values()) == 3, "one topic of a domain at most"
    assert sorted((pair for _, held in folds for pair in held), key=pairs.index) == pairs
    assert all(held for _, held in fold_topics(make_pairs([2, 2, 1], per_topic=2), 5)), "as many folds as topics"


# Prompts


def test_prompts_as_rows(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text(
        '{"split": "test", "text": "A [b].", "id": "one"}\n\n{"text": "C.", "split": "dev"}\n', encoding="utf-8"
    )
    dev, test = load_prompts(file)
    assert test == [Prompt("one", "test", "A [b].")]
    assert [(prompt.split, prompt.text) for prompt in dev] == [("dev", "C.")]


def test_prompts_as_plain_text_are_split_by_their_text_alone(tmp_path):
    lines = [f"Write about number {number}." for number in range(48)]
    file = tmp_path / "prompts.txt"
    file.write_text("\r\n\r\n".join(lines), encoding="utf-8")
    dev, test = load_prompts(file)
    assert (len(dev), len(test)) == (16, 32)
    assert [prompt.text for prompt in sorted([*dev, *test], key=lambda p: lines.index(p.text))] == lines
    assert len({prompt.id for prompt in [*dev, *test]}) == 48
    file.write_text("\n".join(json.dumps({"text": line}) for line in reversed(lines)), encoding="utf-8")
    assert [set(part) for part in load_prompts(file)] == [set(dev), set(test)]


BAD_PROMPTS = {
    "text twice": ("A.\nB.\nA.\n", [":3:", "'text'", "lines 1 and 3"]),
    "id twice": ('{"text": "A", "id": "x"}\n{"text": "B", "id": "x"}', [":2:", "'id'", "lines 1 and 2"]),
    "train": ('{"text": "A", "split": "train"}', [":1:", "'split'", "dev, test"]),
    "misspelt split": ('{"text": "A", "split": "tst"}', [":1:", "Did you mean 'test'?"]),
    "unknown field": ('{"text": "A", "spilt": "dev"}', [":1:", "'spilt'", "Did you mean 'split'?"]),
    "no text": ('{"id": "A"}', [":1:", "'text'", "missing"]),
    "surrogate": ('{"text": "\\udc00"}', [":1:", "'text'", "surrogate"]),
    "half split": ('{"text": "A", "split": "dev"}\n{"text": "B"}', [":2:", "'split'", "line 1"]),
    "one side": ('{"text": "A", "split": "dev"}', ["got 1 and 0"]),
    "one prompt": ("A.", ["got 1 and 0"]),
    "control character": ("A.\nB \x07.", [":2:", "U+0007"]),
    "empty": ("\n\n", ["empty"]),
}


@pytest.mark.parametrize("case", BAD_PROMPTS)
def test_bad_prompts_are_refused(case, tmp_path):
    content, expected = BAD_PROMPTS[case]
    file = tmp_path / "prompts.txt"
    file.write_text(content, encoding="utf-8")
    message = refusal(load_prompts, file)
    assert message.startswith(str(file))
    for fragment in expected:
        assert fragment in message


def test_importing_prompts_loads_nothing_heavy():
    program = (
        "import sys; before = set(sys.modules); import creativity_lens.prompts; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) <= {"creativity_lens", "platformdirs"}
