"""Numbers that moved: errors computed by hand, draws whose truth is known, a planted shift, and real texts paired."""

import itertools
from functools import cache

import numpy as np
import pandas as pd
import pytest
from fake_audit import fake_audit
from fake_sweep import fake_sweep
from scipy import stats

from creativity_lens.run_differences import (
    AUDIT_KEY,
    AUDIT_TEXT,
    INTERVALS,
    PAIRED,
    SWEEP_KEY,
    equal_texts,
    facing_errors,
    moved_rows,
    paired_errors,
    texts_by_prompt,
    verdicts,
)
from creativity_lens.statistics import t_interval
from creativity_lens.tables import table_frame

AT = {"concept": "creativity", "stage": "test", "condition": "chosen", "measure": "gain", "unit": "gaps"}


def row(estimate: float, low: float = np.nan, high: float = np.nan, n: float = 32, **where) -> dict:
    return {**AT, "estimate": estimate, "low": low, "high": high, "n": n, **where}


def moved(a: list[dict], b: list[dict], **options):
    return moved_rows(table_frame(a), table_frame(b), **options)


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


# errors


def test_the_error_is_the_interval_over_twice_the_t_quantile():
    """By hand: n = 9, t(0.975, 8) = 2.306004, so ends 0.2306004 away are an error of 0.1 each, 0.141421 together."""
    half = 0.2306004
    (found,) = moved([row(1.0, 1 - half, 1 + half, 9)], [row(1.5, 1.5 - half, 1.5 + half, 9)]).rows.to_dict("records")
    assert found["difference"] == 0.5
    assert found["error"] == pytest.approx(np.sqrt(0.02), rel=1e-6)
    assert found["errors"] == pytest.approx(0.5 / np.sqrt(0.02), rel=1e-6)
    assert found["df"] == pytest.approx(16)
    assert found["basis"] == INTERVALS


def test_each_run_has_its_own_number_of_clusters():
    """t(0.975, 8) = 2.306004, t(0.975, 31) = 2.039513: errors 0.1 and 0.2."""
    found = facing_errors(column(0, 1), column(-0.2306004, 1 - 0.4079026), column(0.2306004, 1.4079026), column(9, 32))
    assert found[:, 0] == pytest.approx([0.1, 0.2], rel=1e-6)


def test_welch_and_this_agree_on_means_of_equal_size():
    """The whole way: two samples, their t intervals, and scipy's t test that assumes no equal variances."""
    rng = np.random.default_rng(0)
    one, two = rng.normal(0, 1, 20), rng.normal(0.7, 3, 20)
    ends = [t_interval(sample) for sample in (one, two)]
    found = moved(*([row(each.value, each.low, each.high, each.n)] for each in ends)).rows.iloc[0]
    said = stats.ttest_ind(two, one, equal_var=False)
    assert found["errors"] == pytest.approx(said.statistic)
    assert found["df"] == pytest.approx(said.df)


def test_the_side_that_faces_the_other_run_counts():
    """A at 0 reaches 3 up and 1 down; B at 10 reaches 4 down and 1 up: sqrt(3^2 + 4^2) = 5 quantiles."""
    t = stats.t.ppf(0.975, 31)
    up = facing_errors(column(0, 10), column(-1, 6), column(3, 11), column(32, 32))
    assert np.hypot(*up[:, 0]) * t == pytest.approx(5)
    down = facing_errors(column(10, 0), column(6, -1), column(11, 3), column(32, 32))
    assert np.hypot(*down[:, 0]) * t == pytest.approx(5), "the same the other way round"


def test_a_share_that_was_cut_off_at_its_bound_takes_its_longer_side():
    values, low, high = column(0.9, 0.98), column(0.8, 0.9), column(1.0, 1.0)
    t = stats.t.ppf(0.975, 31)
    found = facing_errors(values, low, high, column(32, 32), share=np.array([True]))[:, 0] * t
    assert found == pytest.approx([0.1, 0.08]), "A's upper end is cut off, its lower one is as far; B's lower one faces"
    tight = facing_errors(
        column(0.98, 1.0), column(0.9, 0.95), column(1.0, 1.0), column(32, 32), share=np.array([True])
    )
    assert (tight[:, 0] * t) == pytest.approx([0.08, 0.05]), "not the 0.02 that the bound left of it"
    gap = facing_errors(column(0.98, 1.0), column(0.9, 0.95), column(1.0, 1.0), column(32, 32))
    assert (gap[:, 0] * t) == pytest.approx([0.02, 0.05]), "the control: a unit without bounds is not cut off"


@pytest.mark.parametrize(("n", "known"), [(1, False), (np.nan, False), (2, True)])
def test_without_an_interval_or_clusters_there_is_no_error(n, known):
    found = moved([row(1.0, 0.5, 1.5, n)], [row(2.0, 1.5, 2.5, n)])
    assert np.isfinite(found.rows["errors"][0]) == known
    without = moved([row(1.0)], [row(2.0, 1.5, 2.5)])
    assert np.isnan(without.rows["errors"][0])
    assert without.rows["difference"][0] == 1.0
    assert (without.judged, without.far, without.chance, without.rows["basis"][0]) == (0, 0, 0.0, "")


def test_intervals_without_width():
    same = moved([row(1.0, 1.0, 1.0)], [row(1.0, 1.0, 1.0)])
    assert same.rows["errors"][0] == 0
    rounded = moved([row(1.0, 1.0, 1.0)], [row(1.0 + 1e-13, 1.0 + 1e-13, 1.0 + 1e-13)])
    assert rounded.rows["errors"][0] == 0, "the last bits of a sum are no change"
    apart = moved([row(1.0, 1.0, 1.0)], [row(0.5, 0.5, 0.5)])
    assert apart.rows["errors"][0] == -np.inf
    assert apart.far == 1


def test_rounding_is_no_move():
    """A ten-thousandth of the error is where moving begins; without an error, the seventh digit."""
    a = [row(1.0, 0.5, 1.5, layer=0), row(1.0, 0.5, 1.5, layer=1), row(1.0, layer=2), row(1.0, layer=3)]
    error = 0.5 / 2.039513 * np.sqrt(2)
    moves = [0.9e-4 * error, 1.1e-4 * error, 0.9e-6, 1.1e-6]
    b = [{**each, "estimate": 1 + by} for each, by in zip(a, moves, strict=True)]
    found = moved(a, b)
    assert (found.moved, found.far, found.judged) == (2, 0, 2)
    assert found.rows.set_index("layer")["errors"].to_dict() == {
        0: 0, 1: pytest.approx(1.1e-4, rel=1e-3), 2: 0, 3: pytest.approx(np.nan, nan_ok=True),
    }  # fmt: skip
    assert found.chance == pytest.approx(2 * stats.t.sf(1.96, 62), rel=1e-3), "of the one row that varies"


# which rows belong together


def test_rows_match_by_their_whole_key_and_unit():
    places = itertools.product((0, 1), (0.1, 0.2), (None, 0, 1), (None, "", "a", "1"))
    cells = [
        row(float(n), layer=layer, strength=strength, control=control, group=group)
        for n, (layer, strength, control, group) in enumerate(places)
    ]
    shuffled = [{**cells[i], "estimate": cells[i]["estimate"] + 0.5} for i in np.random.default_rng(0).permutation(48)]
    found = moved(cells, shuffled)
    assert (found.only_a, found.only_b) == (0, 0)
    assert len(found.rows) == 48
    assert (found.rows["difference"] == 0.5).all(), "each met its own twin"
    for name in SWEEP_KEY:
        other = moved([row(1.0)], [row(1.0, **{name: 9 if name in ("layer", "control") else
                                               9.0 if name in ("strength", "temperature") else "9"})])  # fmt: skip
        assert (len(other.rows), other.only_a, other.only_b) == (0, 1, 1), name
    assert len(moved([row(1.0)], [row(1.0, unit="share")]).rows) == 0


def test_a_strength_out_of_a_measured_norm_matches_to_six_digits():
    a, b = [row(1.0, layer=3, strength=0.12345671)], [row(2.0, layer=3, strength=0.12345674)]
    assert len(moved(a, b).rows) == 1
    assert len(moved(a, [row(2.0, layer=3, strength=0.123458)]).rows) == 0


def test_what_stands_in_one_run_alone_is_counted():
    a = [row(1.0, layer=0), row(1.0, layer=1), row(np.nan, layer=2), row(1.0, layer=3)]
    b = [row(1.0, layer=0), row(1.0, layer=2), row(np.nan, layer=3)]
    found = moved(a, b)
    assert (len(found.rows), found.only_a, found.only_b) == (1, 2, 1), "what could not be measured is not a number"


def test_twice_the_same_key_is_matched_in_order():
    found = moved([row(1.0), row(2.0)], [row(1.5), row(4.0), row(9.0)])
    assert sorted(found.rows["difference"]) == [0.5, 2.0]
    assert (found.only_a, found.only_b) == (0, 1)


def test_nothing_in_common_is_an_empty_table():
    found = moved([], [row(1.0)])
    assert (len(found.rows), found.only_a, found.only_b, found.far, found.chance) == (0, 0, 1, 0, 0.0)
    assert {*SWEEP_KEY, "a", "b", "difference", "errors"} <= set(found.rows)


def test_the_other_way_round_is_the_negative():
    a, b = fake_sweep(seed=0)[0], fake_sweep(seed=1)[0]
    there, back = moved_rows(a, b).rows, moved_rows(b, a).rows
    at = [*SWEEP_KEY, "unit"]
    both = there.merge(back, on=at, suffixes=("", "_back"))
    assert len(both) == len(there) == len(a)
    assert np.allclose(both["difference"], -both["difference_back"], equal_nan=True)
    assert np.allclose(both["errors"], -both["errors_back"], equal_nan=True)
    assert not (moved_rows(a, a).rows["difference"] != 0).any()


def test_rows_that_moved_most_come_first_and_those_without_an_error_last():
    wide = {"low": -9.0, "high": 9.0}
    a = [row(0.0, -1.0, 1.0, layer=0), row(0.0, -1.0, 1.0, layer=1), row(0.0, layer=2), row(0.0, layer=3),
         row(0.0, layer=4, **wide), row(0.0, 0.0, 0.0, layer=5)]  # fmt: skip
    b = [row(0.5, -0.5, 1.5, layer=0), row(-2.0, -3.0, -1.0, layer=1), row(7.0, layer=2), row(-8.0, layer=3),
         row(5.0, low=-4.0, high=14.0, layer=4), row(0.1, 0.1, 0.1, layer=5)]  # fmt: skip
    assert moved(a, b).rows["layer"].tolist() == [5, 1, 4, 0, 3, 2]


def test_audits_match_by_their_own_key():
    a, b = fake_audit(), fake_audit(seed=1)
    found = moved_rows(a.table, b.table, key=AUDIT_KEY)
    assert len(found.rows) == a.table["estimate"].notna().sum()
    assert moved_rows(a.table, a.table, key=AUDIT_KEY).far == 0


# draws whose truth is known


def drawn(rng: np.random.Generator, rows: int, n: int, hard: np.ndarray | None = None, shift: float = 0.0):
    """Rows of means over n prompts; `hard` is what each prompt adds, in both runs alike."""
    ends = [t_interval(shift + rng.normal(0, 1, n) + (hard[i] if hard is not None else 0)) for i in range(rows)]
    return [row(each.value, each.low, each.high, each.n, layer=i) for i, each in enumerate(ends)]


@pytest.mark.parametrize("n", [8, 32])
def test_independent_draws_of_the_same_mean_move_as_often_as_chance_says(n):
    rng = np.random.default_rng(n)
    found = moved(drawn(rng, 500, n), drawn(rng, 500, n))
    assert found.judged == 500
    assert found.chance == pytest.approx(500 * 2 * stats.t.sf(1.96, 2 * n - 2), rel=0.1)
    assert abs(found.far - found.chance) < 3.3 * np.sqrt(found.chance), "three binomial errors, a little more"
    assert 0.02 < found.far / 500 < 0.12


def test_runs_that_share_their_prompts_move_less_often_than_chance():
    """Conservative: the prompts' own differences stand in both intervals, and cancel in the difference."""
    rng = np.random.default_rng(1)
    hard = rng.normal(0, 2, (300, 32))
    found = moved(drawn(rng, 300, 32, hard), drawn(rng, 300, 32, hard))
    assert found.far < 0.01 * found.chance + 3


def test_a_planted_shift_comes_first():
    rng = np.random.default_rng(2)
    a, b = drawn(rng, 400, 32), drawn(rng, 400, 32)
    (b[123],) = (each | {"layer": 123} for each in drawn(rng, 1, 32, shift=2.0))
    found = moved(a, b).rows
    assert found["layer"][0] == 123
    assert found["errors"][0] > 5
    assert found["difference"][0] == pytest.approx(2.0, abs=0.8)


@cache
def world(seed: int, *, shift: float = 0.0, prompts: int = 32, layers: int = 40) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A run's table and texts: hard prompts that all runs share, luck that is a run's own, one layer shifted."""
    hard = np.random.default_rng(99).normal(0, 4, prompts)
    rng = np.random.default_rng(seed)
    at = pd.MultiIndex.from_product([range(-1, layers), range(prompts), range(2)], names=["layer", "p", "seed"])
    texts = at.to_frame(index=False)
    drawn_, steered = rng.normal(size=(4, len(texts))), texts["layer"] >= 0
    texts = texts.assign(
        concept="creativity", stage="test", condition=np.where(steered, "layer", "unsteered"), strength=0.1, method="m",
        temperature=1.0, control=None, prompt_id="p" + texts["p"].astype(str), text="t",
        layer=texts["layer"].where(steered),
        score=drawn_[0], hooked_score=drawn_[1], repetition=np.abs(drawn_[2]),
        surprisal=hard[texts["p"]] + drawn_[3] + shift * (texts["layer"] == 7),
    )  # fmt: skip
    said = ["surprisal", "repetition", "score", "hooked_score"]
    means = texts.groupby(["condition", "layer", "prompt_id"], dropna=False, sort=False)[said].mean()
    base = means.loc["unsteered"].droplevel(0)
    rows = []
    for layer in range(layers):
        own = means.loc["layer", float(layer)].reindex(base.index)
        gain = own["score"] - base["score"]
        values = {"surprisal": own["surprisal"], "repetition": own["repetition"], "gain": gain,
                  "leak": own["hooked_score"] - base["hooked_score"] - gain}  # fmt: skip
        at = {"condition": "layer", "layer": layer, "strength": 0.1, "method": "m", "temperature": 1.0}
        for measure, value in values.items():
            each = t_interval(value.to_numpy())
            rows.append(row(each.value, each.low, each.high, each.n, **at, measure=measure))
        rows.append(row(0.9, 0.8, 1.0, prompts, **at, measure="coherence"))
    return table_frame(rows), texts


PROMPTS = {f"p{p}": f"Write {p}." for p in range(64)}


def paired(a: pd.DataFrame, b: pd.DataFrame, prompts=(PROMPTS, PROMPTS), main: str = "creativity") -> pd.DataFrame:
    return paired_errors(*(texts_by_prompt(each, said, main) for each, said in zip((a, b), prompts, strict=True)))


def test_over_shared_prompts_the_error_is_that_of_the_paired_t_test():
    (table, texts), (other, others) = world(0), world(1)
    found = moved_rows(table, other, by_prompt=paired(texts, others)).rows
    assert found.groupby("measure")["basis"].unique().map(list).to_dict() == {
        "coherence": [INTERVALS], "gain": [PAIRED], "leak": [PAIRED], "repetition": [PAIRED], "surprisal": [PAIRED],
    }  # fmt: skip
    chosen = found[(found["measure"] == "surprisal") & (found["layer"] == 3)].iloc[0]
    values = [each[each["layer"] == 3].groupby("prompt_id")["surprisal"].mean() for each in (texts, others)]
    said = stats.ttest_rel(values[1], values[0])
    assert chosen["errors"] == pytest.approx(said.statistic)
    assert chosen["df"] == said.df


def test_pairing_restores_the_rate_of_chance_and_finds_what_intervals_miss():
    (table, texts), (other, others) = world(0, layers=40), world(1, shift=1.0, layers=40)
    alone, both = moved_rows(table, other), moved_rows(table, other, by_prompt=paired(texts, others))
    still = both.rows[(both.rows["layer"] != 7) & both.rows["measure"].isin(["surprisal", "repetition"])]
    judged = still[still["basis"] == PAIRED]  # gains share one baseline, and are no draws of their own
    assert len(judged) == 78
    assert 0.01 < (judged["errors"].abs() > 1.96).mean() < 0.09
    (first,) = both.rows.head(1).to_dict("records")
    assert (first["layer"], first["measure"]) == (7, "surprisal")
    assert first["errors"] > 4
    missed = alone.rows[(alone.rows["layer"] == 7) & (alone.rows["measure"] == "surprisal")].iloc[0]
    assert abs(missed["errors"]) < 1.96, "the same shift among hard prompts"
    assert missed["difference"] == first["difference"]


def test_pairing_stands_only_where_it_gives_the_tables_own_numbers():
    """Other prompts, another concept's score, a table that was not made of these texts: intervals it is."""
    (table, texts), (other, others) = world(0, layers=2), world(1, layers=2)
    elsewhere = {name: f"{said} Else." for name, said in PROMPTS.items()}
    assert len(paired(texts, others, (PROMPTS, elsewhere))) == 0
    half = {name: said for name, said in PROMPTS.items() if int(name[1:]) < 20} | {
        name: "else " + said for name, said in PROMPTS.items() if int(name[1:]) >= 20
    }
    found = moved_rows(table, other, by_prompt=paired(texts, others, (PROMPTS, half))).rows
    assert set(found["basis"]) == {INTERVALS}, "means over 20 shared prompts are not those over all 32"
    foreign = moved_rows(table, other, by_prompt=paired(texts, others, main="register")).rows
    assert set(foreign[foreign["measure"] == "gain"]["basis"]) == {INTERVALS}
    changed = other.assign(estimate=other["estimate"] + 0.01)
    assert set(moved_rows(table, changed, by_prompt=paired(texts, others)).rows["basis"]) == {INTERVALS}
    few = world(0, prompts=7, layers=2)
    assert len(paired(few[1], few[1])) == 0, "below 8 prompts no error is given"


def test_tables_without_texts_have_nothing_to_pair():
    table, texts = world(0, layers=2)
    empty = texts_by_prompt(pd.DataFrame(), {}, "creativity")
    assert len(empty) == 0
    found = moved_rows(table, table, by_prompt=paired_errors(empty, texts_by_prompt(texts, PROMPTS, "creativity")))
    assert set(found.rows["basis"]) == {INTERVALS}


# texts


def test_equal_texts_by_hand():
    _, a = world(0, layers=2, prompts=4)
    b = a.sample(frac=1, random_state=0).reset_index(drop=True)
    assert equal_texts(a, b, (PROMPTS, PROMPTS)).to_dict("records") == [
        {"stage": "test", "both": 24, "equal": 24, "share": 1.0}
    ], "in whatever order they stand"
    b.loc[b["prompt_id"] == "p0", "text"] = "another"
    assert equal_texts(a, b, (PROMPTS, PROMPTS))["share"].tolist() == [0.75]
    renamed = b.assign(prompt_id="q" + b["prompt_id"])
    said = {f"q{name}": text for name, text in PROMPTS.items()}
    assert equal_texts(a, renamed, (PROMPTS, said))["both"].tolist() == [24], "a prompt is what it says"
    assert len(equal_texts(a, renamed, (PROMPTS, {}))) == 0
    assert equal_texts(a, b.assign(seed=b["seed"] + 1), (PROMPTS, PROMPTS))["both"].tolist() == [12], "luck 1 of both"
    assert len(equal_texts(a, pd.DataFrame(), (PROMPTS, {}))) == 0
    assert list(equal_texts(pd.DataFrame(), a, ({}, {}))) == ["stage", "both", "equal", "share"]


def test_equal_texts_of_an_audit_by_condition():
    found = fake_audit()
    said = found.meta["prompts_text"]
    shares = equal_texts(found.texts, found.texts, (said, said), key=AUDIT_TEXT)
    assert shares["condition"].tolist() == list(dict.fromkeys(found.texts["condition"]))
    assert (shares["share"] == 1).all()
    assert shares["both"].sum() == len(found.texts)


# verdicts


def test_verdicts_side_by_side():
    a, b = fake_sweep()[2], fake_sweep()[2]
    half = 0.2039513  # t(0.975, 31) / 10: an error of 0.1
    a["verdict"]["parts"][0] |= {"estimate": 0.5, "low": 0.5 - half, "high": 0.5 + half, "n": 32}
    b["verdict"]["parts"][0] |= {"estimate": 0.8, "low": 0.8 - half, "high": 0.8 + half, "n": 32}
    b["verdict"]["outcome"], b["choice"]["layer"] = "steers", 5
    found = {each["what"]: each for each in verdicts(a, b)}
    assert found["outcome"] == {"what": "outcome", "a": "not enough evidence", "b": "steers"}
    assert (found["chosen layer"]["a"], found["chosen layer"]["b"]) == (a["choice"]["layer"], 5)
    assert (found["gain"]["a"], found["gain"]["b"]) == (0.5, 0.8)
    assert found["gain"]["errors"] == pytest.approx(0.3 / np.sqrt(0.02), rel=1e-6)
    assert found["controls"]["errors"] == 0, "the same p"
    assert "readout" not in found, "measured in neither"


@pytest.mark.parametrize(
    "run", [{}, {"verdict": None, "choice": 3}, {"verdict": {"parts": 3}}, {"verdict": {"parts": ["a", {}]}}]
)
def test_verdicts_of_what_has_none(run):
    assert verdicts(run, run) == []
    assert {each["what"] for each in verdicts(run, fake_sweep()[2])} >= {"outcome", "gain"}
