"""Mixtures side by side, and the sweep over gamma: knees that are planted are found, and none where there is none."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from fake_embedder import FakeEmbedder
from jaxtyping import TypeCheckError
from scipy import stats

from creativity_lens.comparing import Sampling
from creativity_lens.decoding import BASELINES, GAMMAS, Decode, find_knee, sweep_gamma, write_mixtures
from creativity_lens.decoding.baselines import ASK, MIN_P, against
from creativity_lens.decoding.matching import Truncation, entropy, match_temperatures
from creativity_lens.decoding.measures import BY_ALIGNED, BY_BASE, EAD, FIDELITY, SPREAD, UNITS, fidelity
from creativity_lens.errors import InputError
from creativity_lens.figures.gamma import gamma_figure, price_figure
from creativity_lens.generation import generate, generate_rows
from creativity_lens.prompts import Prompt
from creativity_lens.reports.gamma import write_gamma_report
from creativity_lens.sampling import Mixing
from creativity_lens.scoring import surprisals
from creativity_lens.steering import Steering

TEXTS = ["Write about rain.", "Describe a key.", "Tell of an old ship.", "Who lives in the tower?", "Name a star.",
         "Write about salt.", "Describe a bridge.", "Tell of a lost glove."]  # fmt: skip
PROMPTS = [Prompt(f"p{number}", None, text) for number, text in enumerate(TEXTS)]
GRID = np.linspace(0, 1, 6)

# ---- the knee ----


def world(shape: np.ndarray, prompts: int, seed: int, noise: float = 0.02) -> tuple[np.ndarray, np.ndarray]:
    """Diversity and price of prompts: diversity follows `shape` over the grid, the price rises evenly."""
    generator = np.random.default_rng(seed)
    own = generator.normal(1, 0.2, prompts)
    diversity = 0.3 + 0.2 * shape[:, None] * own + noise * generator.normal(size=(len(shape), prompts))
    price = 3 + GRID[:, None] * own + 3 * noise * generator.normal(size=(len(shape), prompts))
    return diversity + 0.05 * generator.normal(size=prompts), price


def test_a_planted_knee_is_found_and_lies_in_its_interval():
    shape = np.interp(GRID, [0, 0.4, 1], [0, 0.85, 1])
    found = [find_knee(GRID.tolist(), *world(shape, 16, seed), draws=299, seed=seed) for seed in range(20)]
    assert sum(knee.is_found for knee in found) == 20
    assert sum(knee.gamma == pytest.approx(0.4) for knee in found) >= 17
    assert sum(knee.low <= 0.4 <= knee.high + 1e-9 for knee in found) >= 18
    assert found[0].gained == pytest.approx(0.85, abs=0.1)
    assert found[0].paid == pytest.approx(0.4, abs=0.1)
    assert "the knee is at gamma 0.4 (interval 0.4 to 0.4, n = 16 prompts): " in found[0].sentence


def test_a_straight_line_and_a_curve_that_sags_have_no_knee():
    straight = [find_knee(GRID.tolist(), *world(GRID, 16, seed), draws=199, seed=seed) for seed in range(60)]
    assert sum(knee.is_found for knee in straight) <= 8  # 3 expected at 5 %
    assert all("does not bend for sure" in knee.sentence for knee in straight if not knee.is_found)
    sagging = [find_knee(GRID.tolist(), *world(GRID**3, 16, seed), draws=199, seed=seed) for seed in range(10)]
    assert not any(knee.is_found for knee in sagging)


def test_the_knee_is_of_the_curve_and_not_of_its_units():
    diversity, price = world(np.interp(GRID, [0, 0.4, 1], [0, 0.85, 1]), 12, 0)
    knee = find_knee(GRID.tolist(), diversity, price, draws=299)
    scaled = find_knee(GRID.tolist(), 7 * diversity - 2, 0.1 * price + 5, draws=299)
    order = np.random.default_rng(0).permutation(12)
    assert (scaled.gamma, scaled.low, scaled.high) == (knee.gamma, knee.low, knee.high)
    assert (scaled.gained, scaled.paid) == pytest.approx((knee.gained, knee.paid))
    assert find_knee(GRID.tolist(), diversity[:, order], price[:, order], draws=299).gamma == knee.gamma


def test_no_knee_says_why():
    shape = np.interp(GRID, [0, 0.4, 1], [0, 0.85, 1])
    diversity, price = world(shape, 16, 1)
    grid = GRID.tolist()
    few = find_knee(grid, diversity[:, :7], price[:, :7])
    assert few.sentence == "no knee is looked for below 8 prompts (n = 7)"
    assert math.isnan(few.gamma)
    assert not few.is_found
    assert "no diversity is gained for sure" in find_knee(grid, -diversity, price).sentence
    assert "no price is paid for sure" in find_knee(grid, diversity, 0 * price).sentence
    diversity[2, 3] = math.nan  # the prompt is left out
    assert find_knee(grid, diversity, price, draws=99).n == 15
    for gammas in ([0, 1], [0, 0.5, 0.5], [1, 0.5, 0]):
        with pytest.raises(InputError, match="at least 3 that ascend"):
            find_knee(gammas, diversity[: len(gammas)], price[: len(gammas)])


# ---- what is measured ----


def test_fidelity_by_hand():
    prompts = np.eye(3)
    texts = np.array([[[1, 0, 0], [0.6, 0.8, 0]], [[0, 1, 0], [0, 1, 0]], [[1, 0, 0], [0, 1, 0]]])
    # cosines with the own prompt .8, 1, 0; with the others (.4 + 0) / 2, 0, (.5 + .5) / 2
    assert fidelity(texts, prompts).tolist() == pytest.approx([0.6, 1.0, -0.5])
    assert np.isnan(fidelity(texts[:1], prompts[:1])).all()


def test_entropy_by_hand_and_against_scipy():
    p = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.2, 0.3, 0.5]])
    assert entropy(p).tolist() == pytest.approx([math.log(2), 0, float(stats.entropy(p[2].numpy()))])


def test_the_matched_temperature_is_as_uncertain_as_the_mixture(chat, base):
    """A mixture of a model with itself at temperature 0.7 is that model at 0.7, whatever the weight."""
    decode = Decode(Sampling(20, temperature=0.7, top_p=0.9))
    texts = [text.token_ids for text in generate(chat, PROMPTS[:4], max_new_tokens=12)]
    own, uncut = Truncation(top_p=0.9), Truncation()
    found = match_temperatures(chat, chat, PROMPTS[:4], texts, 0.5, decode, truncations=[own, uncut])
    assert found[0].temperature == pytest.approx(0.7, rel=0.02)  # what interpolation leaves
    assert found[1].temperature < found[0].temperature, "nothing is cut, so it has to be cooler"
    mixture = match_temperatures(chat, base, PROMPTS[:4], texts, 0.5, decode, truncations=[own])[0]
    assert mixture.is_reached
    # an independent reading at the temperature that was found
    total, count = 0.0, 0
    for prompt, ids in zip(PROMPTS, texts, strict=False):
        start = chat.encode_prompt(prompt.text).ids
        logits = chat.forward(torch.tensor([[*start, *ids]]))[0, len(start) - 1 : -1]
        p = (logits / mixture.temperature).softmax(-1).sort(descending=True).values
        head = p * ((p.cumsum(-1) - p) < 0.9)
        total += sum(stats.entropy(row) for row in head.numpy())
        count += len(ids)
    assert total / count == pytest.approx(mixture.entropy, rel=0.01)


def test_a_target_that_no_temperature_reaches_is_said(chat, base):
    decode = Decode(Sampling(6, top_p=1.0))
    ids = [chat.encode_text("The tide came in.")]
    (found,) = match_temperatures(chat, base, PROMPTS[:1], ids, 0.5, decode, truncations=[Truncation(top_k=2)])
    assert not found.is_reached
    assert found.reached <= math.log(2) + 1e-6 < found.entropy
    (empty,) = match_temperatures(chat, base, PROMPTS[:1], [()], 0.5, decode, truncations=[Truncation()])
    assert math.isnan(empty.entropy)


def test_a_baseline_is_compared_with_its_mixture_prompt_by_prompt():
    generator = np.random.default_rng(0)
    own, other = generator.normal(size=(2, 12))
    (row,) = against({SPREAD: own}, {SPREAD: other})
    expected = stats.ttest_rel(own, other)
    assert row["difference"] == pytest.approx((own - other).mean())
    assert (row["low"], row["high"]) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert row["n"] == 12
    (same,) = against({SPREAD: own}, {SPREAD: own})
    assert (same["low"], same["high"]) == (0, 0)


# ---- side by side ----


def push(model) -> tuple[Steering, ...]:
    vector = torch.nn.functional.normalize(torch.arange(model.d_model).float().sin(), dim=0)
    return (Steering(3, 100 * vector, 0.2),)


def test_mixtures_side_by_side_are_what_generate_writes(chat, base):
    decode = Decode(Sampling(3, top_p=0.8), Mixing("logprob"), 1.3)
    found = write_mixtures(
        chat, base, PROMPTS[:2], [0, 0.5], pushes=[push(chat)], samples=2, seed=3, decode=decode
    )  # fmt: skip
    expected = []
    for prompt in PROMPTS[:2]:
        for gamma in (0.0, 0.5):
            for steering in (None, push(chat)):
                expected += generate(
                    chat, [prompt], steering=[steering], partner=base, gamma=gamma, samples=2, seed=3, top_p=0.8,
                    max_new_tokens=3, mixing=Mixing("logprob"), partner_temperature=1.3,
                )  # fmt: skip
    assert [text.token_ids for text in found.texts] == [text.token_ids for text in expected]
    assert found.names == ["gamma 0, unsteered", "gamma 0, layer 3, strength 0.2",
                           "gamma 0.5, unsteered", "gamma 0.5, layer 3, strength 0.2"]  # fmt: skip
    assert found.text(1, 2, 1) is found.texts[13]
    row = found.rows[13]
    assert (row["prompt_id"], row["gamma"], row["seed"], row["layers"]) == ("p1", 0.5, 4, [])
    assert (row["mix"], row["truncate"], row["temperature"], row["base_temperature"]) == (
        "logprob", "instruct-first", 1.0, 1.3,
    )  # fmt: skip
    text = found.texts[13].token_ids
    for reader, value in ((chat, row["surprisal"]), (base, row["surprisal_base"])):
        assert value == pytest.approx(float(surprisals(reader, [PROMPTS[1].text], [text])[0]), abs=1e-4)
    assert json.dumps(found.rows)
    assert "Write about rain." in found._repr_html_()
    assert "2 prompts x 4 columns x 2 samples" in repr(found)


def test_what_stands_in_a_notebook_is_escaped(chat, base):
    found = write_mixtures(chat, base, ["<script>alert(1)</script>"], [0.5], decode=Decode(Sampling(3)))
    assert "<script>" not in found._repr_html_()
    assert found.names == ["gamma 0.5"]


def test_what_cannot_be_written_is_refused_before_a_model_runs(chat, base, monkeypatch):
    monkeypatch.setattr(type(chat), "forward", lambda *_, **__: pytest.fail("a model ran"))
    for prompts, gammas, samples, said in (
        ("Write.", [0.5], 1, r"write \[prompt\]"),
        ([], [0.5], 1, "at least one"),
        ([" "], [0.5], 1, "an empty one"),
        (["Write."], [], 1, "got none"),
        (["Write."], [0.5, 0.5], 1, "0.5 twice"),
        (["Write."], [math.nan], 1, "got nan"),
        (["Write."], [0.5], 0, "samples: expected 1 or more"),
    ):
        with pytest.raises(InputError, match=said):
            write_mixtures(chat, base, prompts, gammas, samples=samples)
    # at gamma 0 the base model does not write, and still reads
    monkeypatch.setitem(base.__dict__, "shape", replace(base.shape, context=20))
    with pytest.raises(InputError, match="context of 20 of pocket-base"):
        write_mixtures(chat, base, ["Write about rain."], [0.0])


# ---- the sweep ----


@pytest.fixture(scope="module")
def swept(chat, base):
    decode = Decode(Sampling(4, top_p=0.9))
    return sweep_gamma(chat, base, PROMPTS, [0.5, 1.0], embedder=FakeEmbedder(), samples=2, decode=decode, seed=5)


def counted(swept) -> dict[str, int]:
    return swept.texts.groupby("condition", sort=False).size().to_dict()


def test_every_condition_has_equal_prompts_samples_and_tokens(swept):
    counts = swept.texts.groupby("condition", sort=False).agg(
        texts=("text", "size"), prompts=("prompt_id", "nunique"), tokens=("tokens", "sum")
    )
    assert len(counts) == 3 + len(BASELINES)
    assert set(counts["texts"]) == {16}
    assert set(counts["prompts"]) == {8}
    assert set(counts["tokens"]) == {16 * 4}
    assert list(counts.index[:3]) == ["gamma 0", "gamma 0.5", "gamma 1"]
    assert [name.split()[0] for name in counts.index[3:]] == ["temperature", "min-p", "contrast", "prompt"]


def test_the_table_holds_each_measure_with_its_interval_and_its_change(swept, chat, base):
    table = swept.table
    assert list(dict.fromkeys(table["measure"])) == list(UNITS)
    assert set(table[table["primary"]]["measure"]) == {SPREAD}
    assert (table["n"] == 8).all()
    assert (table["low"] < table["estimate"]).all() or (table["measure"] == "repetition").any()
    by = table.set_index(["condition", "measure"])
    assert by.loc[("gamma 0", SPREAD), "change"] == 0
    difference = by.loc[("gamma 1", SPREAD), "estimate"] - by.loc[("gamma 0", SPREAD), "estimate"]
    assert by.loc[("gamma 1", SPREAD), "change"] == pytest.approx(difference)
    # by hand: the surprisal of one condition as either model reads it
    some = swept.texts[swept.texts["condition"] == "gamma 0.5"]
    for measure, reader in ((BY_ALIGNED, chat), (BY_BASE, base)):
        ids = [reader.encode_text(text) for text in some["text"]]
        again = surprisals(reader, some["prompt"].tolist(), ids).double().numpy()
        # a text that is read back may be cut into other tokens than it was drawn in
        assert by.loc[("gamma 0.5", measure), "estimate"] == pytest.approx(again.mean(), rel=0.1)


def test_baselines_are_what_they_say(swept, chat, base):
    texts = swept.texts.set_index(["condition", "prompt_id", "seed"])["text"]
    matched = swept.meta["matched"]
    hot = f"temperature {matched['temperature']['temperature']:.2f}"
    options = {"samples": 1, "seed": 5, "max_new_tokens": 4}
    ways = {
        hot: {"temperature": matched["temperature"]["temperature"], "top_p": 0.9},
        f"min-p {MIN_P}, temperature {matched['min-p']['temperature']:.2f}": {
            "temperature": matched["min-p"]["temperature"], "min_p": MIN_P,
        },
        "contrast 0.5": {"partner": base, "gamma": 0.5, "mixing": Mixing("contrast"), "top_p": 0.9},
    }  # fmt: skip
    for name, way in ways.items():
        (made,) = generate(chat, PROMPTS[:1], **options, **way)
        # the sweep holds ends off, so that texts have equal length
        assert texts[name, "p0", 5].startswith(made.text)
    asked = replace(PROMPTS[0], text=f"{PROMPTS[0].text} {ASK}")
    (made,) = generate(chat, [asked], top_p=0.9, **options)
    assert texts["prompt for diversity", "p0", 5].startswith(made.text)
    assert set(swept.texts["prompt"]) == set(TEXTS), "the prompt as it was given"
    compared = swept.meta["against"]
    assert list(dict.fromkeys(row["condition"] for row in compared)) == list(counted(swept))[3:]
    assert len(compared) == 4 * len(UNITS)
    by = swept.table.set_index(["condition", "measure"])["estimate"]
    for row in compared:  # against the mixture at gamma 0.5
        own, mixture = by[row["condition"], row["measure"]], by["gamma 0.5", row["measure"]]
        assert row["difference"] == pytest.approx(own - mixture, abs=1e-9)


@pytest.mark.slow
def test_steering_acts_in_every_condition(chat, base, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "creativity_lens.decoding.baselines.generate_rows",
        lambda model, rows, **options: seen.extend(rows) or generate_rows(model, rows, **options),
    )
    edits = push(chat)
    sweep_gamma(chat, base, PROMPTS[:2], [0.5, 1.0], embedder=FakeEmbedder(), samples=2,
                decode=Decode(Sampling(2)), push=edits)  # fmt: skip
    assert len(seen) == 7 * 4
    assert all(row.steering is edits for row in seen)


def test_few_prompts_give_no_interval_and_that_is_said(chat, base):
    found = sweep_gamma(chat, base, PROMPTS[:3], [0.5, 1.0], embedder=FakeEmbedder(), samples=2,
                        decode=Decode(Sampling(3)), baselines=())  # fmt: skip
    assert found.table["low"].isna().all()
    assert "no knee is looked for below 8 prompts (n = 3)" in found.sentence
    assert "no interval is given below 8" in found.meta["notes"][0]


def test_a_sweep_is_saved_whole(swept, tmp_path):
    swept.save(tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["gamma.csv", "run.json", "texts.jsonl"]
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "run" / "gamma.csv", keep_default_na=True)[["condition", "measure", "estimate"]],
        swept.table[["condition", "measure", "estimate"]],
    )
    meta = json.loads((tmp_path / "run" / "run.json").read_text())
    assert meta["kind"] == "gamma"
    assert meta["gammas"] == [0, 0.5, 1]
    assert len((tmp_path / "run" / "texts.jsonl").read_text().splitlines()) == len(swept.texts)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        swept.save(tmp_path / "other")


def test_a_notebook_shows_what_was_found(swept):
    assert swept.sentence.split(",")[0] in swept._repr_html_()
    assert "gamma 0.5" in swept._repr_html_()
    assert "pocket-chat and pocket-base" in repr(swept)


def test_what_no_sweep_can_be_made_of_is_refused(chat, base, monkeypatch):
    monkeypatch.setattr(type(chat), "forward", lambda *_, **__: pytest.fail("a model ran"))
    drawn = Decode(Sampling(4))
    for prompts, gammas, options, said in (
        (PROMPTS, GAMMAS, {"samples": 1}, "samples: expected 2 or more"),
        (PROMPTS[:1], GAMMAS, {}, "at least 2"),
        (PROMPTS, [0.0, 0.5], {}, "at least 2 above 0"),
        (PROMPTS, [0.5, 1.5], {}, "gamma: expected a number from 0"),
        (PROMPTS, GAMMAS, {"decode": replace(drawn, sampling=Sampling(4, temperature=0.0))}, "all the same"),
        (PROMPTS, GAMMAS, {"decode": replace(drawn, mixing=Mixing("contrast"))}, "contrast is a baseline"),
        (PROMPTS, GAMMAS, {"baselines": ["temprature"]}, "Did you mean 'temperature'"),
        (PROMPTS, GAMMAS, {"decode": Decode(Sampling(5000))}, "context of 512 of pocket-chat"),
    ):
        with pytest.raises(InputError, match=said):
            sweep_gamma(chat, base, prompts, gammas, embedder=FakeEmbedder(), **options)


# ---- pictures ----


def planted(swept) -> tuple[pd.DataFrame, dict]:
    return swept.table, swept.meta | {"knee": {"gamma": 0.5, "low": 0.5, "high": 1.0, "found": True}}


def test_the_price_is_drawn_with_curve_chord_knee_and_baselines(swept):
    table, meta = planted(swept)
    figure = price_figure(table, meta)
    spread = table[table["measure"] == SPREAD].set_index("condition")["estimate"]
    for measure, axis in ((BY_ALIGNED, None), (BY_BASE, "x2")):
        price = table[table["measure"] == measure].set_index("condition")["estimate"]
        drawn = {trace.name: trace for trace in figure.data if trace.xaxis in ((axis,) if axis else (None, "x"))}
        assert list(drawn["mixtures"].x) == price[:3].tolist()
        assert list(drawn["mixtures"].y) == spread[:3].tolist()
        assert sorted(name for name in drawn if name.startswith("baseline")) == sorted(
            f"baseline: {name}" for name in spread.index[3:]
        )
        assert ("chord" in drawn) == (measure == BY_ALIGNED)
        assert list(drawn["knee"].y) == [spread["gamma 0.5"]]
    assert not [trace for trace in price_figure(swept.table, swept.meta | {"knee": {"gamma": math.nan}}).data
                if trace.name == "knee"]  # fmt: skip


def test_every_measure_is_drawn_against_gamma_with_the_knee_as_a_band(swept):
    table, meta = planted(swept)
    figure = gamma_figure(table, meta)
    curves = {trace.name: trace for trace in figure.data if trace.mode == "lines+markers"}
    assert len(curves) == len(UNITS)
    for name, measure in (("fidelity", FIDELITY), ("EAD", EAD)):
        assert list(curves[name].x) == [0.0, 0.5, 1.0]
        assert list(curves[name].y) == table[table["measure"] == measure]["estimate"][:3].tolist()
    bands = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    assert len(bands) == 5
    assert {(shape.x0, shape.x1) for shape in bands} == {(0.5, 1.0)}
    assert len([trace for trace in figure.data if str(trace.name).startswith("baseline")]) == 4 * len(UNITS)
    empty = gamma_figure(table.assign(estimate=math.nan), meta)
    assert "fewer than two mixtures" in empty.layout.annotations[0].text
    assert not price_figure(table.assign(estimate=math.nan), meta).data


def test_the_report_is_one_page_that_trusts_nothing_it_holds(swept, tmp_path):
    bad = "</script><script>alert(1)</script>"
    texts = swept.texts.assign(text=bad, prompt=f"Write {bad}")
    meta = swept.meta | {"command": bad, "model": swept.meta["model"] | {"name": bad}, "name": "run"}
    page = write_gamma_report(swept.table, texts, meta, tmp_path / "report.html").read_text()
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)") > 3
    assert "Content-Security-Policy" in page
    assert "http-equiv" in page
    assert "contrast 0.5</bdi>" in page
    clear = [row | {"low": 0.1, "high": 0.2} for row in meta["against"]]
    page_of_clear = write_gamma_report(
        swept.table, texts, meta | {"against": clear}, tmp_path / "clear.html"
    ).read_text()
    assert page_of_clear.count("more diverse, more surprising") == 4
    none = [row | {"low": math.nan, "high": None} for row in meta["against"]]
    assert (
        "diverse: no interval"
        in write_gamma_report(swept.table, texts, meta | {"against": none}, tmp_path / "none.html").read_text()
    )
    assert swept.meta["definition"].split(";")[0] in page


def test_shapes_are_checked_here():
    """A control: annotations are enforced in these tests."""
    with pytest.raises(TypeCheckError):
        fidelity(np.zeros((2, 3)), np.zeros((2, 3)))
