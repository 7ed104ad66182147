"""What the linter measures, where the truth is known: nothing planted, a word planted, a feature planted."""

import numpy as np
import pytest
from pairs_files import exchangeable_pairs

from creativity_lens.leaks import beyond, character_scores, feature_columns, word_scores
from creativity_lens.statistics import Estimate, auc, auc_interval

PAIRS = exchangeable_pairs(240, topics=60)
TEXTS = ([p.creative_response for p in PAIRS], [p.boring_response for p in PAIRS])
TOPICS = [p.topic for p in PAIRS]


@pytest.mark.parametrize("scores", [word_scores, character_scores])
def test_exchangeable_sides_give_chance(scores):
    found = auc_interval(*scores(PAIRS, TEXTS), TOPICS)
    assert found.low < 0.5 < found.high


@pytest.mark.parametrize("scores", [word_scores, character_scores])
def test_planted_words_are_found_on_topics_not_fitted_on(scores):
    planted = ([f"{text} Forsooth, methinks, verily, perchance, anon." for text in TEXTS[0]], TEXTS[1])
    assert auc(*scores(PAIRS, planted)) > 0.9


def test_words_of_the_own_topic_do_not_help():
    """Words that give the side away in one topic alone are in no other fold's training texts."""
    planted = (
        [f"{text} {topic}one {topic}two {topic}three" for text, topic in zip(TEXTS[0], TOPICS, strict=True)],
        TEXTS[1],
    )
    assert auc(*word_scores(PAIRS, planted)) == pytest.approx(0.5, abs=0.08)


def test_scores_depend_on_the_pairs_not_on_their_order():
    order = np.random.default_rng(0).permutation(len(PAIRS))
    again = word_scores([PAIRS[i] for i in order], tuple([side[i] for i in order] for side in TEXTS))
    for one, other in zip(word_scores(PAIRS, TEXTS), again, strict=True):
        assert one[order] == pytest.approx(other, abs=1e-6)


def test_a_planted_feature_stands_out_and_others_do_not():
    planted = ([f"No, no. {text}" for text in TEXTS[0]], TEXTS[1])
    columns = feature_columns(planted)
    assert auc(*columns["negation"]) > 0.8
    assert auc(*columns["sentiment"]) == pytest.approx(0.5, abs=0.12)


def estimate(value, half, n=24):
    return Estimate(value, value - half, value + half, n)


def test_holm_by_hand():
    """Three AUCs over a limit of 0.62 with standard errors of 0.05: 4, 2 and 1 of them beyond. p = 0.0003, 0.029, 0.16.

    Holm asks for 0.05 / 3, then 0.05 / 2, then 0.05: the first alone is beyond.
    """
    half = 0.05 * 2.0687  # t, 23 degrees of freedom
    limits = (0.38, 0.62)
    found = [(estimate(0.62 + 0.05 * errors, half), *limits) for errors in (2, 4, 1)]
    assert beyond(found) == [False, True, False]
    assert beyond(found[:1]) == [True]  # alone it needs no correction


def test_a_value_under_the_lower_limit_is_beyond_too_and_one_inside_never():
    limits = (0.38, 0.62)
    assert beyond([(estimate(0.1, 0.05), *limits), (estimate(0.5, 0.001), *limits)]) == [True, False]


def test_without_an_interval_nothing_is_beyond():
    assert beyond([(Estimate(1.0, np.nan, np.nan, 5), 0.38, 0.62)]) == [False]


def test_holm_is_wrong_at_most_as_often_as_it_says():
    """At the limit itself, 20 checks at once: any is called beyond in at most 5 % of runs (99 % point: 18 of 200)."""
    random = np.random.default_rng(0)
    wrong = 0
    for _ in range(200):
        values = 0.62 + 0.05 * random.standard_normal(20)
        wrong += any(beyond([(estimate(v, 0.05 * 2.0687), 0.38, 0.62) for v in values]))
    assert wrong <= 18
