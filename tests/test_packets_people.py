"""Did people find the steered texts more creative? Planted effects are found, and the numbers are scipy's."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from answered import answered, answers_of, packet_of, planted, preferring, saved, sealed
from scipy import stats

from creativity_lens.packets.collecting import collect_answers
from creativity_lens.packets.people import compare, compared, people, smallest_difference


def measures(found, criterion="creativity", level="steered - unsteered"):
    table = found.table
    return table[(table["criterion"] == criterion) & (table["level"] == level)].set_index("measure")


def test_a_small_example_by_hand():
    """Two raters, eight prompts. Rater 1 adds 1 in four prompts; rater 2 adds 2 in the first and -1 in the last."""
    values = np.array([[1.0, 1, 1, 1, 0, 0, 0, 0], [2.0, 0, 0, 0, 0, 0, 0, -1]])
    found = compare(values)
    # prompts: 1.5, .5, .5, .5, 0, 0, 0, -.5: mean 2.5 / 8; squares 2.25 + .75 + .25 = 3.25, minus 8 * .3125^2 = .78125
    assert found.estimate.value == 0.3125
    spread = np.sqrt((3.25 - 0.78125) / 7)
    half = 2.364624251592785 * spread / np.sqrt(8)  # t at 0.975 with 7 degrees of freedom
    assert found.estimate.low == pytest.approx(0.3125 - half, abs=1e-12)
    assert found.estimate.high == pytest.approx(0.3125 + half, abs=1e-12)
    assert found.standardised == pytest.approx(0.3125 / spread, abs=1e-12)
    assert (found.higher, found.lower, found.tied) == (4, 1, 3)
    assert found.sign_p == pytest.approx(2 * (1 + 5) / 32, abs=1e-12)  # 4 or more of 5, both sides
    assert (found.raters, found.raters_higher, found.raters_lower) == (2, 2, 0)
    assert not found.found


def test_every_number_is_scipys(tmp_path):
    packet = packet_of(20, 4, per=2, conditions=("unsteered", "steered", "prompted"), scale=(0, 100))
    found = collect_answers(
        packet, answered(tmp_path, packet, planted(packet, {"steered": 4.0, "prompted": 2.0}, step=6.0))
    )
    for criterion in packet.criteria:
        # another way: raters averaged per text, texts per prompt and condition, then scipy
        texts = found.ratings.rows(criterion).groupby(["item", "group", "author"])["value"].mean().reset_index()
        means = texts.groupby(["group", "author"])["value"].mean().unstack("author")
        for first, second in [("steered", "unsteered"), ("prompted", "unsteered"), ("steered", "prompted")]:
            rows = measures(found, criterion, f"{first} - {second}")
            gains = (means[first] - means[second]).to_numpy()
            test = stats.ttest_1samp(gains, 0)
            interval = test.confidence_interval(0.95)
            row = rows.loc["difference"]
            expected = [gains.mean(), interval.low, interval.high, test.pvalue]
            assert row[["estimate", "low", "high", "p"]].astype(float).tolist() == pytest.approx(expected, abs=1e-9)
            assert (row["n"], row["raters"]) == (20, 4)
            assert rows.loc["standardised difference", "estimate"] == pytest.approx(
                gains.mean() / gains.std(ddof=1), abs=1e-9
            )
            untied = np.abs(gains) > 1e-9
            sign = stats.binomtest(int((gains[untied] > 0).sum()), int(untied.sum()))
            row = rows.loc["share of prompts ahead"]
            assert row["estimate"] == sign.statistic
            assert row["p"] == pytest.approx(sign.pvalue, abs=1e-12)
            assert row["n"] == untied.sum()
            own = found.ratings.rows(criterion).groupby(["rater", "author"])["value"].mean().unstack("author")
            assert rows.loc["share of raters ahead", "estimate"] == np.mean(own[first] > own[second])
        for condition in packet.conditions:
            row = measures(found, criterion, condition).loc["mean"]
            assert row["estimate"] == pytest.approx(means[condition].mean(), abs=1e-9)
            assert row["high"] - row["estimate"] == pytest.approx(
                stats.t.ppf(0.975, 19) * stats.sem(means[condition]), abs=1e-9
            )


def test_a_planted_difference_is_found(tmp_path):
    packet = packet_of(40, 5, conditions=("unsteered", "steered", "prompted"), scale=(0, 100))
    say = planted(packet, {"steered": 9.0, "prompted": -9.0}, step=6.0)
    found = collect_answers(packet, answered(tmp_path, packet, say))
    for level, truth in [("steered - unsteered", 9), ("prompted - unsteered", -9), ("steered - prompted", 18)]:
        row = measures(found, level=level).loc["difference"]
        assert row["low"] < truth < row["high"]
        assert row["low"] > 0 or row["high"] < 0
        assert row["role"] == ("primary" if level == "steered - unsteered" else "exploratory")
    row = measures(found).loc["difference"]
    value, low, high = (f"{row[name]:.2f}" for name in ("estimate", "low", "high"))
    assert found.sentences[0] == (
        f"People rated the steered texts {value} points more creative than the unsteered ones ({low} to {high} over 40 "
        "prompts; 5 of 5 raters lean that way; sign test p below 0.001)."
    )
    assert found.sentences[1].startswith("Exploratory: people rated the prompted texts")
    assert "points less creative than the unsteered ones" in found.sentences[1]
    assert "more surprising" in found.sentences[3]


def test_a_planted_preference_is_found(tmp_path):
    packet = packet_of(40, 5, pairs=True)
    for share, said in [(0.7, " text more creative than the unsteered one in "), (0.3, "more creative")]:
        found = collect_answers(packet, answered(tmp_path, packet, preferring(packet, "steered", share)))
        row = measures(found).loc["preference"]
        assert row["low"] < share < row["high"]
        assert not row["low"] <= 0.5 <= row["high"]
        assert said in found.sentences[0]
        assert (" in only " in found.sentences[0]) == (share < 0.5)
        frame = found.ratings.rows("creativity")
        own = frame[frame["author"] == "steered"]
        assert row["estimate"] == pytest.approx(own["value"].mean(), abs=1e-12)
        by_prompt = own.groupby("group")["value"].mean()
        higher, lower = int((by_prompt > 0.5).sum()), int((by_prompt < 0.5).sum())
        sign = measures(found).loc["share of prompts ahead"]
        assert sign["p"] == pytest.approx(stats.binomtest(higher, higher + lower).pvalue, abs=1e-12)
        assert sign["estimate"] == higher / (higher + lower)


def simulated(draw, effect, prompts=24, raters=5):
    """Differences of whole numbers with scatter of prompts, raters and single ratings."""
    noise = draw.normal(size=(1, prompts)) + 0.5 * draw.normal(size=(raters, prompts))
    return np.floor(effect + noise + draw.random((raters, prompts)))


def test_no_effect_gives_few_claims_and_intervals_hold_the_truth():
    draw = np.random.default_rng(8)
    claims = sum(compare(simulated(draw, 0.0)).found for _ in range(200))
    assert claims <= 18
    found = [compare(simulated(draw, 0.6)) for _ in range(400)]
    inside = np.mean([each.estimate.low <= 0.6 <= each.estimate.high for each in found])
    assert 0.92 <= inside <= 0.98
    signs = sum(compare(simulated(draw, 0.0)).sign_p < 0.05 for _ in range(200))
    assert signs <= 18


@pytest.mark.parametrize(("raters", "share"), [(5, 0.5), (1, 0.5), (5, 0.75)])
def test_preferences_hold_the_truth(raters, share):
    """Prompts differ in how much they favour one side; whoever is not asked has no say."""
    draw = np.random.default_rng(9)
    inside = 0
    for seed in range(200):
        likely = np.clip(share + 0.15 * draw.choice([-1, 1], size=24), 0, 1)
        values = (draw.random((raters, 24)) < likely).astype(float)
        found = compare(values, neutral=0.5, draws=399, seed=seed)
        inside += found.estimate.low <= share <= found.estimate.high
    assert 184 <= inside <= 198


@pytest.mark.slow
def test_two_hundred_packets_without_an_effect_give_few_claims(tmp_path):
    """The whole way from files to sentences."""
    claims = 0
    for seed in range(200):
        pairs = seed % 2 == 1
        packet = packet_of(16, 3, criteria=["creativity"], pairs=pairs, seed=seed)
        say = preferring(packet, "steered", 0.5, seed=seed) if pairs else planted(packet, {}, seed=seed)
        found = collect_answers(packet, answered(tmp_path, packet, say))
        claims += found.sentences[0].startswith("People")
        assert found.sentences[0].startswith(("People", "No "))
    assert claims <= 18


def test_missing_ratings_do_not_make_a_difference(tmp_path):
    """A lenient rater who rated more of one condition must not lift it: raters are compared with themselves."""
    packet = packet_of(12, 2, criteria=["creativity"], scale=(0, 100), checks=0)

    def rate(item, criterion, rater):
        return 10 + 60 * rater + 2 * int(item.group[1:])

    answers = answers_of(packet, 1, rate)
    steered = {item.key for item in packet.items if item.condition == "steered"}
    keep = [row for row, entry in zip(answers["answers"], packet.raters[1].entries, strict=True)
            if entry.key in steered or entry.key in ("i000", "i002")]  # fmt: skip
    files = [saved(tmp_path, answers_of(packet, 0, rate)), saved(tmp_path, sealed(answers | {"answers": keep}))]
    found = collect_answers(packet, files, partial=True)
    rows = measures(found)
    assert rows.loc["difference", "estimate"] == 0
    assert rows.loc["difference", "n"] == 12
    means = found.ratings.rows("creativity").groupby("author")["value"].mean()
    assert means["steered"] - means["unsteered"] > 20, "the control: pooled means do differ"


def test_few_prompts_give_no_interval_and_no_claim(tmp_path):
    packet = packet_of(7, 5)
    found = collect_answers(
        packet, answered(tmp_path, packet, lambda item, name, rater: 5 if item.condition == "steered" else 2)
    )
    assert found.sentences[0] == (
        "Too few prompts to tell steered and unsteered texts apart on creativity: 7, of 8 needed (steered: "
        "+3.00 points)."
    )
    assert measures(found).loc["difference", ["low", "high", "p"]].isna().all()
    assert measures(found).loc["difference", "note"] == "no interval below 8 prompts"
    pairs = packet_of(7, 5, pairs=True)
    found = collect_answers(pairs, answered(tmp_path, pairs, preferring(pairs, "steered", 1.0, ties=0)))
    assert "7, of 8 needed (steered: 100 % of comparisons)" in found.sentences[0]


def test_one_rater_speaks_for_himself(tmp_path):
    packet = packet_of(12, 1)
    found = collect_answers(
        packet, answered(tmp_path, packet, lambda item, name, rater: 5 if item.condition == "steered" else 2)
    )
    assert found.sentences[0] == (
        "One person rated the steered texts 3.00 points more creative than the unsteered ones (3.00 to 3.00 over 12 "
        "prompts; 1 rater; sign test p below 0.001)."
    )


def test_constant_ratings_measure_nothing(tmp_path):
    packet = packet_of(12, 3)
    found = collect_answers(packet, answered(tmp_path, packet, lambda item, name, rater: 4))
    assert found.sentences[0].startswith(
        "No difference on creativity between steered and unsteered texts: it is none in"
    )
    assert np.isnan(measures(found).loc["difference", "detectable"])
    assert "Agreement on creativity is not defined: the ratings are all equal." in found.sentences
    assert len(found.problems) == 6
    pairs = packet_of(12, 3, pairs=True)
    found = collect_answers(pairs, answered(tmp_path, pairs, lambda pair, name, rater: 0.5))
    assert "nothing was measured" in found.sentences[0]


def test_everyone_prefers_the_same_text(tmp_path):
    """A share of 1 still has an interval of some width: twelve prompts are twelve."""
    packet = packet_of(12, 3, pairs=True)
    found = collect_answers(packet, answered(tmp_path, packet, preferring(packet, "steered", 1.0, ties=0)))
    row = measures(found).loc["preference"]
    assert row["estimate"] == row["high"] == 1.0
    assert 0.6 < row["low"] < 0.9
    assert found.sentences[0].startswith(
        "People found the steered text more creative than the unsteered one in 100 % of"
    )


def test_no_difference_names_what_could_have_been_found(tmp_path):
    packet = packet_of(30, 4)
    found = collect_answers(packet, answered(tmp_path, packet, planted(packet, {}, seed=3)))
    row = measures(found).loc["difference"]
    assert row["low"] < 0 < row["high"]
    assert found.sentences[0].startswith("No difference on creativity was found between steered and unsteered texts (")
    assert f"; this packet could have detected {row['detectable']:.2f} with 80 % power." in found.sentences[0]
    pairs = packet_of(30, 4, pairs=True)
    found = collect_answers(pairs, answered(tmp_path, pairs, preferring(pairs, "steered", 0.5, seed=2)))
    row = measures(found).loc["preference"]
    assert row["low"] < 0.5 < row["high"]
    assert f"this packet could have detected {0.5 + row['detectable']:.0%}".replace("%", " %") in found.sentences[0]


@pytest.mark.parametrize(
    ("conditions", "couples"),
    [
        ((), []),
        (("steered",), []),
        (("steered", "unsteered"), ["steered - unsteered"]),
        (("prompted", "unsteered", "steered"), ["steered - unsteered", "prompted - unsteered", "steered - prompted"]),
        (("unsteered", "steered", "human"), ["steered - unsteered", "human - unsteered"]),
        (("old", "new", "newer"), ["new - old", "newer - old"]),
        (("steered", "prompted"), ["steered - prompted"]),
    ],
)
def test_what_is_compared(conditions, couples):
    assert [f"{first} - {second}" for first, second in compared(conditions)] == couples


def test_only_texts_of_one_prompt_are_compared(tmp_path):
    packet = packet_of(9, 2)
    alone = replace(packet, items=tuple(replace(item, group=None) for item in packet.items))
    assert people(alone, collect_answers(alone, answered(tmp_path, alone, planted(alone, {}))).ratings) == []
    crossed = packet_of(9, 2, pairs=True)
    keys = [pair.second for pair in crossed.pairs]
    moved = zip(crossed.pairs, keys[1:] + keys[:1], strict=True)
    crossed = replace(crossed, pairs=tuple(replace(pair, second=key) for pair, key in moved))
    found = collect_answers(crossed, answered(tmp_path, crossed, preferring(crossed, "steered", 0.5)))
    assert "preference" not in set(found.table["measure"])


def test_the_smallest_difference_is_that_of_a_t_test():
    """Against simulated packets, and the noncentral t distribution."""
    assert np.isnan(smallest_difference(7))
    for n in (8, 40, 1000):
        shift = smallest_difference(n) * np.sqrt(n)
        critical = stats.t.ppf(0.975, n - 1)
        assert stats.nct.sf(critical, n - 1, shift) == pytest.approx(0.8, abs=1e-6)
    assert smallest_difference(40, 2.5) == pytest.approx(2.5 * smallest_difference(40))
    draw = np.random.default_rng(1)
    samples = smallest_difference(12, 3.0) + 3.0 * draw.normal(size=(4000, 12))
    assert np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05) == pytest.approx(0.8, abs=0.025)
    assert isinstance(pd.Series([smallest_difference(32)])[0], float)
