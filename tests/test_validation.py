"""Validation against ratings whose truth is known: planted agreement, length alone, nothing at all."""

import numpy as np
import pytest
from rated import LAYERS, groups_of, ratings_of, scored_by_hand

from creativity_lens.validation.claims import AGREES, NO_BETTER, NOT_ENOUGH, WRONG_WAY, claim
from creativity_lens.validation.measuring import (
    AUTHOR,
    BOTH,
    GROUP,
    OVERALL,
    is_paired,
    labels_of,
    levels_of,
    measure_criteria,
    measure_pairs,
    measure_set,
    rated_parts,
)
from creativity_lens.validation.validation import TABLE, table_of

PRIMARY = LAYERS[1]
FIRST = {"criterion": "creativity", "panel": "raters", "level": GROUP}
EMPTY = {"layer": None, "low": np.nan, "high": np.nan, "p": np.nan, "note": ""}


def measured(ratings, scores, levels=(GROUP,), seed=0, **cheap):
    """The rows of a set of one criterion and panel."""
    (part,) = rated_parts(scored_by_hand(ratings, scores, **cheap))
    return [{**EMPTY, **row} for row in measure_set(ratings.name, part, levels, PRIMARY, seed=seed)]


def outcome(rows, level=GROUP):
    return claim(rows, FIRST | {"level": level}, layer=PRIMARY, group_name="prompt", paired=False)


def one(rows, scorer, measure, layer=None, level=GROUP):
    (row,) = [
        row for row in rows
        if (row["scorer"], row["measure"], row["layer"], row["level"]) == (scorer, measure, layer, level)
    ]  # fmt: skip
    return row


def planted(agreement: float, *, groups: int = 30, size: int = 5, seed: int = 0, layer: int = 1):
    """Ratings that one layer's scores share `agreement` of, in groups that differ a lot; length plays no part."""
    rng = np.random.default_rng(seed)
    names = groups_of(groups, size)
    shift = dict(zip(sorted(set(names)), 5 * rng.normal(size=groups), strict=True))
    scores = rng.normal(size=(3, len(names)))
    values = agreement * scores[layer] + np.sqrt(1 - agreement**2) * rng.normal(size=len(names))
    values = values + np.array([shift[name] for name in names])
    single = values[:, None] + 0.3 * rng.normal(size=(len(names), 3))
    return ratings_of(single, names), scores


def test_a_planted_agreement_is_found_at_its_layer_and_lies_in_its_interval():
    ratings, scores = planted(0.6)
    rows = measured(ratings, scores)
    found = one(rows, "direction", "rho", PRIMARY)
    truth = 6 / np.pi * np.arcsin(0.6 / 2)  # Spearman's rho of normal variables
    assert found["low"] < truth < found["high"]
    others = [one(rows, "direction", "rho", layer)["estimate"] for layer in LAYERS if layer != PRIMARY]
    assert found["estimate"] > max(map(abs, others)) + 0.2
    assert one(rows, "direction", "p max")["p"] <= 0.01
    said = outcome(rows)
    assert said["outcome"] == AGREES
    assert "beyond length and surprisal" in said["sentence"]
    assert "% of what the raters' own agreement allows" in said["sentence"]


def test_agreement_upside_down_points_the_wrong_way():
    ratings, scores = planted(0.6)
    said = outcome(measured(ratings, -scores))
    assert said["outcome"] == WRONG_WAY
    assert "score lower the higher they were rated" in said["sentence"]


def test_ratings_made_of_length_are_no_better_than_length():
    """The scores follow length too, and agree with the ratings through nothing else."""
    rng = np.random.default_rng(1)
    names = groups_of(30, 5)
    length = rng.normal(size=len(names))
    scores = length + 0.7 * rng.normal(size=(3, len(names)))
    ratings = ratings_of(length[:, None] + 0.3 * rng.normal(size=(len(names), 3)), names)
    rows = measured(ratings, scores, length=length)
    assert one(rows, "direction", "rho", PRIMARY)["estimate"] > 0.5, "the control: it looks like agreement"
    said = outcome(rows)
    assert said["outcome"] == NO_BETTER + "length"
    assert "no better than length" in said["sentence"]
    assert "length alone reaches" in said["sentence"]


def row(scorer, measure, estimate, low, high, p, layer=None):
    about = {"criterion": "creativity", "panel": "raters", "level": GROUP, "scorer": scorer, "measure": measure}
    numbers = {"layer": layer, "estimate": estimate, "low": low, "high": high, "p": p, "n": 200, "groups": 10}
    return about | numbers | {"df": 190, "detectable": 0.2, "note": ""}


def test_a_length_that_agrees_with_nothing_is_not_called_as_good():
    """What is left is unclear for want of texts, not because length does as well."""
    rows = [
        row("direction", "rho", 0.2, 0.01, 0.38, 0.03, PRIMARY),
        row("direction", "partial rho", 0.18, -0.02, 0.36, 0.07, PRIMARY),
        row("direction", "partial rho, all cheap scorers", 0.18, -0.02, 0.36, 0.07, PRIMARY),
        row("length", "rho", 0.05, -0.1, 0.2, 0.5),
        row("surprisal", "rho", 0.02, -0.1, 0.2, 0.7),
    ]
    said = outcome(rows)
    assert said["outcome"] == NOT_ENOUGH
    assert "beyond length and surprisal" in said["sentence"]
    assert "length alone reaches +0.05" in said["sentence"]
    rows[3] = row("length", "rho", 0.25, 0.1, 0.4, 0.001)
    assert outcome(rows)["outcome"] == NO_BETTER + "length"


def test_in_pairs_what_is_left_of_length_is_no_agreement():
    """Ranks of two texts hold little fixed: some of a pure effect of length passes through the partial correlation."""
    rng = np.random.default_rng(8)
    names = groups_of(400, 2)
    length = rng.normal(size=800)
    ratings = ratings_of(length[:, None] + 0.5 * rng.normal(size=(800, 3)), names)
    rows = measured(ratings, length + 0.5 * rng.normal(size=(3, 800)), length=length)
    left = one(rows, "direction", "partial rho", PRIMARY)
    assert left["low"] > 0, "the control: the partial correlation alone would claim it"
    assert outcome(rows)["outcome"] == NO_BETTER + "length"


def test_length_that_agrees_beside_a_direction_that_does_not_is_said():
    rng = np.random.default_rng(2)
    names = groups_of(30, 5)
    length = rng.normal(size=len(names))
    ratings = ratings_of(length[:, None] + 0.3 * rng.normal(size=(len(names), 3)), names)
    said = outcome(measured(ratings, rng.normal(size=(3, len(names))), length=length))
    assert said["outcome"] == NO_BETTER + "length"
    assert "could have shown" in said["sentence"]


def test_nothing_is_not_enough_evidence_and_says_what_could_have_been_seen():
    ratings, scores = planted(0.0)
    rows = measured(ratings, scores)
    said = outcome(rows)
    assert said["outcome"] == NOT_ENOUGH
    assert f"{one(rows, 'direction', 'rho', PRIMARY)['detectable']:.2f} or more" in said["sentence"]


@pytest.mark.slow
def test_shuffled_ratings_are_seldom_a_claim():
    """5 % of 200 runs are 10; 18 is where chance ends (binomial, 99 %)."""
    claims = 0
    for seed in range(200):
        ratings, scores = planted(0.0, seed=seed, groups=12, size=4)
        claims += outcome(measured(ratings, scores, seed=seed))["outcome"] in (AGREES, WRONG_WAY)
    assert claims <= 18


def test_raters_who_do_not_agree_set_no_ceiling():
    rng = np.random.default_rng(3)
    names = groups_of(20, 3)
    ratings = ratings_of(rng.normal(size=(60, 3)), names)
    rows = measured(ratings, rng.normal(size=(3, 60)))
    ceiling = one(rows, "raters", "ceiling")
    assert np.isnan(ceiling["estimate"])
    assert ceiling["note"].startswith("no ceiling: the raters' ICC(k) of")
    assert np.isnan(one(rows, "direction", "share", PRIMARY)["estimate"])
    assert "There is no ceiling" in outcome(rows)["sentence"]


def test_means_alone_set_no_ceiling():
    ratings, scores = planted(0.6)
    means = ratings_of(ratings.means("creativity").to_numpy()[:, None], groups_of(30, 5))
    rows = measured(means, scores)
    assert one(rows, "raters", "ceiling")["note"] == "no ceiling: single ratings are not published"
    assert not [row for row in rows if row["measure"] == "icck"]


def test_constant_ratings_say_nothing():
    rows = measured(ratings_of(np.full((40, 3), 4.0), groups_of(10, 4)), np.random.default_rng(0).normal(size=(3, 40)))
    said = outcome(rows)
    assert said["outcome"] == NOT_ENOUGH
    assert said["sentence"].startswith("Nothing can be said of ratings of creativity (panel: raters)")


def test_one_rater_gives_a_correlation_and_no_ceiling():
    rng = np.random.default_rng(4)
    names = groups_of(20, 3)
    frame = ratings_of(np.repeat(rng.normal(size=(60, 1)), 2, axis=1), names).frame
    alone = ratings_of(rng.normal(size=(60, 2)), names)
    single = type(alone).of(frame[frame["rater"] == "r0"], "made")
    rows = measured(single, rng.normal(size=(3, 60)))
    assert np.isfinite(one(rows, "direction", "rho", PRIMARY)["estimate"])
    assert "not defined" in one(rows, "raters", "ceiling")["note"]


# ---- levels, panels, clusters ----


def test_levels_are_those_that_compare_something():
    values = np.zeros((12, 1))
    plain = ratings_of(values, ["g"] * 12)
    assert levels_of(plain.items) == [OVERALL]
    both = ratings_of(values, groups_of(4, 3), authors=[f"a{text // 4}" for text in range(12)])
    assert levels_of(both.items) == [OVERALL, GROUP, AUTHOR, BOTH]
    assert levels_of(both.items, overall=False) == [GROUP, AUTHOR, BOTH]
    alone = ratings_of(values, [f"g{text}" for text in range(12)])
    assert levels_of(alone.items) == [OVERALL], "groups of one compare nothing"


def test_texts_of_a_prompt_are_drawn_together_where_there_are_enough_prompts():
    many = ratings_of(np.zeros((24, 1)), groups_of(8, 3)).items
    groups, clusters = labels_of(many, OVERALL, seed=0)
    assert groups is None
    assert clusters.tolist() == many["group"].tolist()
    few = ratings_of(np.zeros((24, 1)), groups_of(2, 12)).items
    groups, clusters = labels_of(few, GROUP, seed=0)
    assert groups.tolist() == few["group"].tolist()
    assert len(set(clusters)) == 24


def two_panels():
    rng = np.random.default_rng(5)
    names = groups_of(10, 4)
    expert, lay = (ratings_of(rng.normal(size=(40, 3)), names, panel=panel) for panel in ("expert", "lay"))
    import pandas as pd

    return type(expert).of(pd.concat([expert.frame, lay.frame]), "made")


def test_panels_are_kept_apart_unless_pooled_by_name():
    ratings = two_panels()
    scored = scored_by_hand(ratings, np.zeros((3, 40)))
    assert [part.panel for part in rated_parts(scored)] == ["expert", "lay"]
    (pooled,) = rated_parts(scored, pool=("expert", "lay"))
    assert pooled.panel == "expert and lay"
    assert pooled.singles.shape == (40, 6), "raters of one name in two panels are two"
    means = [ratings.means("creativity", panel=panel) for panel in ("expert", "lay")]
    assert pooled.ratings == pytest.approx(((means[0] + means[1]) / 2).to_numpy())


def test_two_way_takes_prompts_and_authors_out():
    """Ratings and scores that follow the author only: nothing is left."""
    rng = np.random.default_rng(6)
    authors = [f"a{text % 3}" for text in range(60)]
    names = [f"g{text // 3}" for text in range(60)]
    effect = np.array([{"a0": 0.0, "a1": 3.0, "a2": 6.0}[author] for author in authors])
    ratings = ratings_of(effect[:, None] + 0.5 * rng.normal(size=(60, 3)), names, authors=authors)
    rows = measured(ratings, effect + rng.normal(size=(3, 60)), levels=(OVERALL, BOTH))
    assert one(rows, "direction", "rho", PRIMARY, OVERALL)["estimate"] > 0.7, "the control"
    both = one(rows, "direction", "rho", PRIMARY, BOTH)
    assert both["low"] < 0 < both["high"]


# ---- pairs and criteria ----


def paired(prefer: float, seed: int = 0, pairs: int = 80):
    """Before and after an edit that people preferred, and a score that prefers the edit so often."""
    rng = np.random.default_rng(seed)
    names = [f"p{text // 2}" for text in range(2 * pairs)]
    values = np.tile([[3.0], [7.0]], (pairs, 1))
    better = np.where(rng.random(pairs) < prefer, 1.0, -1.0)
    scores = np.stack([np.column_stack([np.zeros(pairs), better]).reshape(-1)] * 3)
    length = np.column_stack([np.ones(pairs), np.where(np.arange(pairs) % 4 > 0, 0.0, 2.0)]).reshape(-1)
    return ratings_of(values, names), scores, length


def said_of_pairs(prefer: float):
    ratings, scores, length = paired(prefer)
    (part,) = rated_parts(scored_by_hand(ratings, scores, length=length))
    assert is_paired(part)
    rows = [{**EMPTY, **row} for row in measure_pairs("made", part, PRIMARY, seed=0)]
    return rows, claim(rows, FIRST, layer=PRIMARY, group_name="prompt", paired=True)


def test_pairs_are_held_against_the_shorter_text_not_against_chance():
    rows, said = said_of_pairs(0.97)
    assert said["outcome"] == AGREES
    assert '"shorter" is right in' in said["sentence"]
    length = next(row for row in rows if row["scorer"] == "length" and row["measure"] == "accuracy")
    assert length["estimate"] < 0.5, "as it is in the table: the longer text is preferred in so few"
    lead = next(row for row in rows if row["scorer"] == "length" and row["measure"] == "accuracy lead")
    direction = next(row for row in rows if row["scorer"] == "direction" and row["layer"] == PRIMARY)
    assert lead["estimate"] == pytest.approx(direction["estimate"] - (1 - length["estimate"]))
    assert said_of_pairs(0.68)[1]["outcome"] == NO_BETTER + "shorter"
    assert said_of_pairs(0.03)[1]["outcome"] == WRONG_WAY


def test_criteria_are_compared_with_each_other_from_100_texts():
    rng = np.random.default_rng(7)
    names = groups_of(25, 4)
    values = rng.normal(size=(100, 3))
    first, second = ratings_of(values, names), ratings_of(values * 2 + 1, names, criterion="surprise")
    import pandas as pd

    both = type(first).of(pd.concat([first.frame, second.frame]), "made")
    parts = rated_parts(scored_by_hand(both, rng.normal(size=(3, 100))))
    rows = list(measure_criteria("made", parts, "raters", GROUP, seed=0))
    assert [(row["criterion"], row["scorer"]) for row in rows] == [
        ("creativity", "criterion surprise"), ("surprise", "criterion creativity"),
    ]  # fmt: skip
    assert [row["estimate"] for row in rows] == pytest.approx([1.0, 1.0])
    few = [part for part in parts if len(part.ratings) < 100]
    assert list(measure_criteria("made", few, "raters", GROUP, seed=0)) == []


def test_the_table_has_its_columns_in_order():
    ratings, scores = planted(0.3)
    table = table_of(measured(ratings, scores))
    assert list(table.columns) == list(TABLE)
    assert table["layer"].dtype == float
    assert table["note"].notna().all()
