"""Answers are un-blinded by the key, and nobody is left out or taken in silently."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from answered import answered, answers_of, packet_of, planted, preferring, saved, sealed
from fake_pairs import refusal

from creativity_lens.agreement import agreement
from creativity_lens.errors import InputError
from creativity_lens.packets.agreed import preference_agreement
from creativity_lens.packets.collecting import TABLE, collect_answers, preference
from creativity_lens.packets.packet import Packet
from creativity_lens.packets.parts import Item
from creativity_lens.ratings.columns import read_long


def known(item, criterion, rater):
    """A rating that tells its text, criterion and rater apart from all others in a packet of up to 20 texts."""
    return int(item.key[1:]) * 10 + 3 * rater + (criterion == "surprise")


def test_every_rating_is_of_the_text_that_was_rated(tmp_path):
    packet = packet_of(4, 3, scale=(0, 200), panels=["expert", "lay", "lay"])
    packet.save(tmp_path)
    files = answered(tmp_path, packet, known)
    found = collect_answers(tmp_path, files[::-1])
    frame = found.ratings.frame
    by_id = {item.id: item for item in packet.items}
    assert len(frame) == 8 * 3 * 2
    for row in frame.itertuples():
        item = by_id[row.item]
        assert row.value == known(item, row.criterion, int(row.rater[-1]) - 1)
        assert (row.text, row.prompt, row.group, row.author) == (item.text, item.prompt, item.group, item.condition)
    assert set(zip(frame["rater"], frame["panel"], strict=True)) == {
        ("rater-1", "expert"), ("rater-2", "lay"), ("rater-3", "lay"),
    }  # fmt: skip
    assert set(frame["source"]) == {packet.id}
    assert set(frame["scale"]) == {"0-200"}
    assert found.problems == ()
    pd.testing.assert_frame_equal(frame, collect_answers(packet, files).ratings.frame)


def test_a_text_without_condition_or_group_is_rated_like_any_other(tmp_path):
    packet = packet_of(3, 2)
    items = [Item(item.key, item.id, item.text) for item in packet.items]
    packet = replace(packet, items=tuple(items), conditions=())
    found = collect_answers(packet, answered(tmp_path, packet, planted(packet, {})))
    assert found.ratings.frame[["prompt", "group", "author"]].isna().all().all()
    assert set(found.table["level"]) == {"overall"}
    assert len(found.sentences) == 2
    assert found.sentences[0].startswith("Agreement of 2 raters on creativity, 6 texts: one rating ICC(1)")


def test_preferences_are_unswapped():
    assert [preference(choice, swapped) for swapped in (False, True) for choice in ("a", "b", "tie")] == [
        1.0, 0.0, 0.5, 0.0, 1.0, 0.5,
    ]  # fmt: skip


def test_every_preference_is_of_the_pair_that_was_compared(tmp_path):
    """Raters always prefer the text with the even number, whichever side it stood on; ties on the third pair."""
    packet = packet_of(4, 3, pairs=True)
    assert {entry.swapped for page in packet.raters for entry in page.entries} == {True, False}
    assert len({int(pair.first[1:]) % 2 for pair in packet.pairs}) == 2

    def prefer(pair, criterion, rater):
        return 0.5 if pair.key == "p002" else float(int(pair.first[1:]) % 2 == 0)

    found = collect_answers(packet, answered(tmp_path, packet, prefer))
    frame = found.ratings.frame
    assert len(frame) == 4 * 2 * 3 * 2
    assert set(frame["scale"]) == {"0-1"}
    for row in frame.itertuples():
        key, _, name = row.item.partition(":")
        item = next(item for item in packet.items if item.id == name)
        pair = packet.pair(key)
        assert item.key in (pair.first, pair.second)
        assert row.value == (0.5 if key == "p002" else float(int(item.key[1:]) % 2 == 0))
        assert (row.text, row.author) == (item.text, item.condition)


def test_a_rater_who_always_presses_one_button_prefers_nothing(tmp_path):
    """Each pair is shown to as many raters on either side: whoever presses A everywhere gives 0.5."""
    packet = packet_of(10, 2, pairs=True, checks=0)
    pages = []
    for rater, page in enumerate(packet.raters):
        entries = [replace(entry, swapped=(int(entry.key[1:]) + rater) % 2 == 0) for entry in page.entries]
        pages.append(replace(page, entries=tuple(entries)))
    packet = packet.with_raters(pages)

    def pressing_a(pair, criterion, rater):
        entry = next(entry for entry in packet.raters[rater].entries if entry.key == pair.key)
        return 0.0 if entry.swapped else 1.0

    files = answered(tmp_path, packet, pressing_a)
    answers = json.loads(files[0].read_text(encoding="utf-8"))["answers"]
    assert {value for row in answers for value in row["values"].values()} == {"a"}
    found = collect_answers(packet, files)
    row = found.table[found.table["measure"] == "preference"].iloc[0]
    assert row["estimate"] == 0.5
    assert found.ratings.frame["value"].mean() == 0.5
    assert sum("answered 'a' for each of 10 pairs on creativity" in problem for problem in found.problems) == 2


def test_two_files_of_one_rater(tmp_path):
    packet = packet_of(3, 2, scale=(0, 200))
    first, second = answered(tmp_path, packet, known)
    again = tmp_path / "again.json"
    again.write_bytes(first.read_bytes())
    found = collect_answers(packet, [first, second, again])
    assert found.problems == (f"{again}: the same answers of rater-1 as in {first}; counted once.",)
    pd.testing.assert_frame_equal(found.ratings.frame, collect_answers(packet, [first, second]).ratings.frame)
    other = saved(tmp_path, answers_of(packet, 0, planted(packet, {}, seed=7)), "other.json")
    message = refusal(collect_answers, packet, [first, second, other])
    assert f"{other}: other answers of rater-1 than {first} holds (saved 2025-01-01T11:00:00Z and" in message
    assert message.endswith("keep one of the two.")
    started = saved(tmp_path, answers_of(packet, 0, planted(packet, {}), leave_out=3), "started.json")
    for partial in (False, True):
        with pytest.raises(InputError, match="other answers of rater-1"):
            collect_answers(packet, [started, first], partial=partial)


def test_whoever_fails_the_checks_is_left_out_and_named(tmp_path):
    packet = packet_of(3, 3, checks=2)
    say = planted(packet, {})
    files = [saved(tmp_path, answers_of(packet, rater, say, wrong_checks=int(rater == 1))) for rater in range(3)]
    found = collect_answers(packet, files)
    assert set(found.ratings.frame["rater"]) == {"rater-1", "rater-3"}
    assert found.problems == (f"{files[1]}: rater-2 is left out: failed 1 of 2 attention checks (c00).",)
    bad = [saved(tmp_path, answers_of(packet, rater, say, wrong_checks=2)) for rater in range(3)]
    message = refusal(collect_answers, packet, bad)
    assert "no rater is left: 3 of 3 failed the attention checks" in message
    assert "rater-1 is left out: failed 2 of 2 attention checks (c00, c01)" in message
    packet = packet_of(3, 3, checks=3)
    found = collect_answers(packet, [saved(tmp_path, answers_of(packet, 0, planted(packet, {}), wrong_checks=1))])
    assert "rater-1 failed 1 of 3 attention checks, and is kept: one in three is forgiven" in found.problems[0]


def test_partial_files_are_taken_for_what_they_hold(tmp_path):
    packet = packet_of(4, 3, checks=0)
    say = planted(packet, {})
    files = [saved(tmp_path, answers_of(packet, rater, say, leave_out=3 * rater)) for rater in range(2)]
    with pytest.raises(InputError, match=r"rater-2.json: incomplete: 3 of 8 answers of rater-2 are missing"):
        collect_answers(packet, files)
    found = collect_answers(packet, files, partial=True)
    assert found.problems == (
        f"{files[1]}: 3 of 8 answers of rater-2 are missing.",
        "No file of rater-3: 1 of 3 raters.",
    )
    assert found.ratings.frame.groupby("rater")["item"].nunique().to_dict() == {"rater-1": 8, "rater-2": 5}


def test_constant_raters_are_named(tmp_path):
    packet = packet_of(3, 2)

    def rate(item, criterion, rater):
        return 4 if rater == 1 and criterion == "surprise" else 1 + int(item.key[1:])

    found = collect_answers(packet, answered(tmp_path, packet, rate))
    assert [problem.partition(": ")[2] for problem in found.problems] == [
        "rater-2 answered '4' for each of 6 texts on surprise."
    ]


def test_nothing_is_collected_when_one_file_is_refused(tmp_path):
    packet, other = packet_of(3, 2), packet_of(3, 2, seed=1)
    files = answered(tmp_path, packet, planted(packet, {}))
    strange = answered(tmp_path, other, planted(other, {}))
    assert f"{strange[0]}: answers to packet '{other.id}'" in refusal(collect_answers, packet, [*files, strange[0]])
    assert "no answer files" in refusal(collect_answers, packet, [])
    assert "got a folder" in refusal(collect_answers, packet, [tmp_path])
    assert "no such file; expected the key of a packet" in refusal(collect_answers, tmp_path / "nowhere", files)


def test_agreement_is_that_of_the_matrix(tmp_path):
    packet = packet_of(6, 4, per=2)
    found = collect_answers(packet, answered(tmp_path, packet, planted(packet, {"steered": 1.0})))
    matrix = found.ratings.matrix("surprise")
    about = found.ratings.items.set_index("item").loc[matrix.index]
    table = found.table[found.table["criterion"] == "surprise"].set_index(["level", "measure"])
    for level, groups in [("overall", None), ("group", list(about["group"])), ("author", list(about["author"]))]:
        expected = agreement(matrix.to_numpy(), groups)
        assert np.isfinite([expected.icc1, expected.icck, expected.alpha]).all()
        assert table.loc[(level, "icc1"), "estimate"] == expected.icc1
        assert tuple(table.loc[(level, "icck"), ["estimate", "low", "high"]]) == (
            expected.icck, expected.icck_low, expected.icck_high,
        )  # fmt: skip
        assert table.loc[(level, "alpha"), "estimate"] == expected.alpha
    assert tuple(found.table.columns) == TABLE
    assert "within prompt ICC(4)" in found.sentences[-1]


def test_one_rater_has_no_agreement(tmp_path):
    for pairs in (False, True):
        packet = packet_of(3, 1, pairs=pairs)
        say = preferring(packet, "steered", 0.5) if pairs else planted(packet, {})
        found = collect_answers(packet, answered(tmp_path, packet, say))
        assert found.sentences[-1] == "Agreement on surprise is not defined: one rater only."
        rows = found.table[found.table["measure"].isin(["icc1", "icck", "alpha"])]
        assert len(rows)
        assert rows["estimate"].isna().all()


def test_agreement_on_pairs_knows_no_first_text():
    """Hand-computed: 4 pairs, 3 raters; swapping the texts of a pair changes nothing."""
    values = np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 1.0], [1.0, 0.5, 0.5], [0.0, 0.0, 0.0]])
    means = np.array([1, 1 / 3, 2 / 3, 0])
    between = 3 * np.sum((means - 0.5) ** 2) / 4
    within = (2 / 3 + 1 / 6) / 8  # pair 2: 1/9 + 1/9 + 4/9; pair 3: 1/9 + 1/36 + 1/36
    found = preference_agreement(values)
    assert found.icc1 == pytest.approx((between - within) / (between + 2 * within), abs=1e-12)
    assert found.icck == pytest.approx(1 - within / between, abs=1e-12)
    assert found.icck_low < found.icck < found.icck_high
    assert (found.k, found.n_items, found.n_ratings) == (3.0, 4, 12)
    # alpha: observed disagreement over all 24 values, expected their variance around 0.5
    observed = 2 * (2 / 3 + 1 / 6) * 3 / 2 / 24
    expected = 2 * np.sum((values - 0.5) ** 2) / 23
    assert found.alpha == pytest.approx(1 - observed / expected, abs=1e-12)
    turned = values.copy()
    turned[[0, 2]] = 1 - turned[[0, 2]]
    again = preference_agreement(turned)
    for name in ("icc1", "icck", "icck_low", "icck_high", "alpha"):
        assert getattr(again, name) == pytest.approx(getattr(found, name), abs=1e-12)
    assert preference_agreement(np.array([[1.0, 1.0], [1.0, 1.0]])).icc1 == 1.0, "the control: of one mind"
    assert np.isnan(preference_agreement(np.full((4, 2), 0.5)).icc1)


def test_agreement_on_pairs_covers_the_truth():
    """Raters who share a pair's preference with probability q: E[(x - 0.5)(y - 0.5)] / 0.25 = (2q - 1)^2."""
    draw = np.random.default_rng(4)
    q, n, raters = 0.8, 40, 4
    truth = 1 - 1 / (1 + raters * (2 * q - 1) ** 2 / (1 - (2 * q - 1) ** 2))
    inside, found = 0, []
    for _ in range(300):
        mind = draw.random((n, 1)) < 0.5
        values = (mind == (draw.random((n, raters)) < q)).astype(float)
        each = preference_agreement(values)
        inside += each.icck_low <= truth <= each.icck_high
        found.append(each.icc1)
    assert np.mean(found) == pytest.approx((2 * q - 1) ** 2, abs=0.02)
    assert inside >= 0.9 * 300


def test_panels_are_apart(tmp_path):
    packet = packet_of(9, 4, panels=["expert", "expert", "lay", "lay"])

    def rate(item, criterion, rater):
        return (6 if (item.condition == "steered") == (rater < 2) else 2) + int(item.key[1:]) // 2 % 2

    found = collect_answers(packet, answered(tmp_path, packet, rate))
    gains = found.table[(found.table["measure"] == "difference") & (found.table["criterion"] == "creativity")]
    assert dict(zip(gains["panel"], gains["estimate"], strict=True)) == {"expert": 4.0, "lay": -4.0}
    assert found.sentences[0].startswith("Panel expert: People rated the steered texts 4.00 points more creative")
    assert found.sentences[1].startswith("Panel lay: People rated the steered texts 4.00 points less creative")


def test_a_scale_below_zero_has_no_name_in_the_long_format(tmp_path):
    packet = packet_of(3, 2, scale=(-3, 3), checks=0)
    found = collect_answers(packet, answered(tmp_path, packet, lambda item, criterion, rater: int(item.key[1:]) - 3))
    assert found.ratings.frame["scale"].isna().all()
    assert found.ratings.frame["value"].min() == -3


def test_what_it_shows_of_itself_is_escaped(tmp_path):
    packet = packet_of(3, 2, criteria=["<b>fun</b>"])
    found = collect_answers(packet, answered(tmp_path, packet, planted(packet, {})))
    assert "&lt;b&gt;fun" in found._repr_html_()
    assert "<b>fun" not in found._repr_html_()
    assert repr(found) == f"Collected(packet {packet.id}: 2 of 2 raters)"


def test_ratings_are_saved_in_the_long_format(tmp_path):
    packet = packet_of(3, 2, panels=["expert", "lay"])
    found = collect_answers(packet, answered(tmp_path, packet, planted(packet, {})))
    found.save(tmp_path / "ratings.csv")
    again = read_long(tmp_path / "ratings.csv")
    pd.testing.assert_frame_equal(again.frame, found.ratings.frame)


def test_a_packet_needs_no_pages_to_be_collected(tmp_path):
    packet = packet_of(3, 2)
    packet.save(tmp_path)
    files = answered(tmp_path, packet, planted(packet, {}))
    assert collect_answers(tmp_path / "packet.json", [str(file) for file in files]).packet == Packet.load(tmp_path)
    edited = json.loads((tmp_path / "packet.json").read_text(encoding="utf-8"))
    edited["items"][0]["condition"] = "steered"
    (tmp_path / "packet.json").write_text(json.dumps(edited), encoding="utf-8")
    assert "the file was cut or edited" in refusal(collect_answers, tmp_path, files)
    assert sealed({"a": 1})["digest"] != sealed({"a": 2})["digest"]
