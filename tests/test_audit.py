"""An audit of the built-in models, small: what is written, read, embedded and said, and that it comes back as saved."""

import json

import numpy as np
import pytest
from fake_embedder import FakeEmbedder

from creativity_lens.audit import Audit, AuditPlan, audit_models
from creativity_lens.audit.conditions import conditions_of
from creativity_lens.audit.meaning import attractors, cosines, embed_texts, fidelity, picture
from creativity_lens.audit.writing import write_conditions, write_perturbed
from creativity_lens.diversity import compare_diversity
from creativity_lens.errors import InputError
from creativity_lens.prompts import load_prompts
from creativity_lens.steering import Steering

SMALL = AuditPlan(
    samples=3, max_new_tokens=12, temperatures=(1.5,), ladder_samples=2, beginnings=(3, 5), attractor_prompts=8,
    attractor_samples=2, persona_samples=1, persona_tokens=12, forced_samples=1,
)  # fmt: skip
CELLS = ["base plain", "base template", "aligned plain", "aligned template"]


@pytest.fixture(scope="module")
def prompts():
    return load_prompts()[1][:8]


@pytest.fixture(scope="module")
def audit(base, chat, prompts) -> Audit:
    vector = np.zeros(chat.d_model, dtype=np.float32)
    vector[0] = 3.0
    import torch

    push = (Steering(4, torch.from_numpy(vector), 0.1),)
    return audit_models(
        {"base": base, "aligned": chat}, embedder=FakeEmbedder(), prompts=prompts, plan=SMALL, push=push, name="small"
    )


def test_every_condition_has_its_texts(audit, prompts):
    names = [*CELLS, "aligned template, T 1.5", "aligned template, steered"]
    assert [each["name"] for each in audit.meta["conditions"]] == names
    counts = audit.texts.groupby("condition").size()
    assert counts["base plain"] == 8 * 3
    assert counts["aligned template, T 1.5"] == 8 * 2
    assert (audit.texts["tokens"] == 12).all(), "ends are not drawn"
    seeds = audit.texts["seed"].groupby(audit.texts["condition"]).nunique()
    assert dict(seeds) == {name: 2 if "T 1.5" in name else 3 for name in names}
    assert audit.texts.drop_duplicates(["condition", "seed"])["seed"].is_unique, "no two conditions share their luck"


def test_every_part_is_in_the_table(audit):
    parts = set(audit.table["part"])
    asked = "diversity entropy effects steps similarity clusters attractors stretches personas frontier readers matched"
    assert set(asked.split()) <= parts
    assert "correlation" not in parts, "nothing reads creativity here"
    free = audit.table[(audit.table["part"] == "entropy") & (audit.table["measure"] == "free entropy")]
    for name in CELLS:
        by_position = free[(free["condition"] == name) & free["position"].notna()]
        whole = free[(free["condition"] == name) & free["position"].isna()]
        assert sorted(by_position["position"]) == list(range(12))
        assert by_position["estimate"].mean() == pytest.approx(whole["estimate"].item(), abs=1e-5)
    spread = audit.table[(audit.table["part"] == "effects") & (audit.table["measure"] == "semantic spread")]
    effect = spread.set_index("condition")["estimate"]
    assert effect["weights"] + effect["template"] == pytest.approx(effect["total"])
    rows = audit.table[(audit.table["part"] == "diversity") & (audit.table["measure"] == "semantic spread")]
    within = rows[(rows["scope"] == "within") & (rows["twin"] == "all")].set_index("condition")["estimate"]
    assert within["aligned template"] - within["base plain"] == pytest.approx(effect["total"])


def test_the_spread_is_what_the_measures_of_diversity_say_of_the_saved_texts(audit):
    shown = audit.texts[audit.texts["condition"].isin(CELLS)]
    columns = [shown[name].tolist() for name in ("text", "prompt_id", "condition")]
    again = compare_diversity(*columns, embedder=FakeEmbedder(), length=audit.meta["words"])
    rows = audit.table[(audit.table["part"] == "frontier") & (audit.table["measure"] == "semantic spread")]
    said = rows.set_index("condition")
    for name, found in again.conditions.items():
        estimate = found.estimate("semantic spread")
        assert said.loc[name, ["estimate", "low", "high"]].tolist() == pytest.approx(
            [estimate.value, estimate.low, estimate.high], abs=1e-6
        )


def test_the_same_texts_are_forced_on_all(audit):
    """Whoever reads them, the readers' mean over writers is over the same texts; a writer reads its own best."""
    rows = audit.table[audit.table["part"] == "readers"].set_index(["condition", "against"])["estimate"]
    assert len(rows) == 16
    own = np.mean([rows[name, name] for name in CELLS])
    others = np.mean([rows[a, b] for a in CELLS for b in CELLS if a != b])
    assert own < others


def test_it_comes_back_as_it_was_saved(audit, tmp_path):
    audit.save(tmp_path / "run")
    again = Audit.load(tmp_path / "run")
    assert again.table.equals(audit.table)
    assert again.texts.equals(audit.texts)
    assert again.meta == audit.meta
    assert again.sentence in repr(again)
    assert again.sentence in json.loads((tmp_path / "run" / "run.json").read_text())["verdict"]["sentence"]


def test_what_was_changed_or_broken_off_is_refused(audit, tmp_path):
    audit.save(tmp_path)
    text = (tmp_path / "audit.csv").read_text()
    (tmp_path / "audit.csv").write_text(text.replace("entropy", "Entropy", 1))
    with pytest.raises(InputError, match=r"audit.csv: damaged; run `clens audit` again"):
        Audit.load(tmp_path)
    (tmp_path / "run.json").write_text('{"status": "running"}')
    with pytest.raises(InputError, match="expected a finished audit"):
        Audit.load(tmp_path)


def test_it_shows_itself(audit):
    shown = audit._repr_html_()
    assert "The price of alignment" in shown
    assert "aligned template, steered" in shown
    assert audit.conditions["spread"].between(0, 2).all() or audit.conditions["spread"].isna().any()
    assert audit.figure("spread").data


def test_a_models_own_texts_are_cut_where_the_beginning_ends(base, chat, prompts):
    conditions = conditions_of({"base": base, "aligned": chat}, SMALL)
    written = write_conditions(conditions, prompts, SMALL)
    found = {(each.condition.name, each.tokens): each for each in write_perturbed(conditions, written, prompts, SMALL)}
    assert set(found) == {(name, k) for name in ("base plain", "aligned template") for k in (3, 5)}
    for (name, k), each in found.items():
        assert len(each.free) == len(each.perturbed) == len(each.followed) == 8
        assert each.free[0][0] == written[name].ids[0][0][k:]
        assert {len(ids) for part in (each.free, each.perturbed, each.followed) for texts in part for ids in texts} == {
            12 - k
        }
    one, other = found["base plain", 3], found["aligned template", 3]
    assert one.followed == other.followed, "what is forced on both is the same"
    assert one.followed[0][0] == written["base plain"].ids[4][0][3:], "the beginnings are another prompt's"
    assert one.followed[0][1] == written["aligned template"].ids[4][1][3:], "and come from both models in turn"


def test_forced_beginnings_are_what_the_model_is_given(base, chat, prompts, monkeypatch):
    from creativity_lens.audit import writing

    conditions = conditions_of({"base": base, "aligned": chat}, SMALL)
    written = write_conditions(conditions, prompts, SMALL)
    given = []

    def listen(condition, rows, tokens, description):
        given.append((condition.name, [row.ids for row in rows]))
        return [(7,) * tokens for _ in rows]

    monkeypatch.setattr(writing, "_write", listen)
    write_perturbed(conditions, written, prompts, SMALL)
    (_, by_base), (_, by_chat) = given
    plain, asked = base.encode_prompt(prompts[0].text).ids, chat.encode_prompt(prompts[0].text).ids
    beginning = written["base plain"].ids[4][0][:3]
    assert by_base[0] == plain + beginning
    assert by_chat[0] == asked + beginning


def planted(n: int = 6) -> np.ndarray:
    """Texts [prompt, sample, dim] of two prompts: the first all alike, the second all apart."""
    alike = np.tile(np.eye(n + 1)[0], (n, 1))
    return np.stack([alike, np.eye(n + 1)[1:]]).astype(np.float32)


def test_cosines_within_and_apart_by_hand():
    texts = planted()
    same, apart = cosines(texts, texts, itself=True)
    assert same.tolist() == pytest.approx([1.0, 0.0])
    assert apart.tolist() == pytest.approx([0.0, 0.0])
    same, _ = cosines(texts, texts[:, ::-1], itself=False)
    assert same.tolist() == pytest.approx([1.0, 1 / 6])


class Scripted(FakeEmbedder):
    """Gives every text the vector that was written for it."""

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        super().__init__(len(next(iter(vectors.values()))))
        self.vectors = vectors

    def embed(self, texts, *, description="embedding"):
        return np.stack([self.vectors[text] for text in texts]).astype(np.float32)


def test_a_planted_attractor_is_found_and_quoted(prompts):
    from types import SimpleNamespace

    texts = planted()
    condition = SimpleNamespace(model=SimpleNamespace(decode=lambda ids: f"text{ids[0]}"), name="c")
    from creativity_lens.audit.writing import Written

    ids = tuple(tuple((6 * p + s,) for s in range(6)) for p in range(2))
    written = {"c": Written.__new__(Written)}
    object.__setattr__(written["c"], "condition", condition)
    object.__setattr__(written["c"], "ids", ids)
    vectors = {f"text{6 * p + s}": texts[p, s] for p in range(2) for s in range(6)}
    vectors |= {prompt.text: texts[place, 0] for place, prompt in enumerate(prompts[:2])}
    meaning = embed_texts(Scripted(vectors), written, prompts[:2], ["c"])
    found = attractors(meaning, written, prompts[:2], ["c"])
    assert (found[0]["prompt_id"], found[0]["share"], found[0]["count"]) == (prompts[0].id, 1.0, 6)
    assert found[0]["text"].startswith("text")
    assert meaning.clusters("c")[0].tolist() == [0] * 6
    assert fidelity(meaning, "c").tolist() == pytest.approx([1.0, 1 / 6])
    places = picture(meaning, ["c"])["c"]
    assert places.shape == (2, 6, 2)
    assert np.allclose(places[0], 0, atol=1e-6), "equal texts stand in one place"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"samples": 1}, "samples: expected 2 or more, got 1"),
        ({"forced_samples": 9}, "forced_samples: expected at most the 3 samples, got 9"),
        ({"beginnings": (11,)}, "beginnings: expected 1 to 10 tokens"),
        ({"temperatures": (0.0,)}, "temperature: expected a positive number, got 0.0"),
    ],
)
def test_sizes_that_measure_nothing_are_refused(change, said):
    from dataclasses import replace

    with pytest.raises(InputError, match=said):
        replace(SMALL, **change).check()


def test_one_stage_or_one_prompt_is_refused(base, prompts):
    with pytest.raises(InputError, match="stages: expected at least two"):
        audit_models({"base": base}, embedder=FakeEmbedder(), prompts=prompts, plan=SMALL)
    with pytest.raises(InputError, match="prompts: expected at least two, got 1"):
        audit_models({"a": base, "b": base}, embedder=FakeEmbedder(), prompts=prompts[:1], plan=SMALL)


def test_without_a_template_only_the_weights_are_compared(base, prompts):
    found = audit_models({"base": base, "twin": base}, embedder=FakeEmbedder(), prompts=prompts, plan=SMALL)
    assert found.meta["last"] == "twin plain"
    assert any("no chat template" in note for note in found.meta["notes"])
    effects = found.table[found.table["part"] == "effects"]
    assert set(effects["condition"]) == {"total"}
    texts = found.texts.groupby("condition")["text"].apply(list)
    assert texts["base plain"] != texts["twin plain"], "a model against itself writes other texts"


def test_a_prompt_without_room_is_refused_before_anything_is_written(base, chat, prompts, monkeypatch):
    from dataclasses import replace

    from creativity_lens.audit import writing

    monkeypatch.setattr(writing, "generate_rows", lambda *_, **__: pytest.fail("something was written"))
    long = replace(prompts[0], id="long", text="rain " * 500)
    with pytest.raises(InputError, match="expected at most the context of 512 of pocket-"):
        audit_models({"a": base, "b": chat}, embedder=FakeEmbedder(), prompts=[*prompts, long], plan=SMALL)
    endless = replace(SMALL, persona_tokens=500)
    with pytest.raises(InputError, match=r"prompt of \d+ tokens \+ 500 new ones"):
        audit_models({"a": base, "b": chat}, embedder=FakeEmbedder(), prompts=prompts, plan=endless)
