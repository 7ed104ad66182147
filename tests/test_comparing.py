"""Side by side: push 0 is no steering, luck is shared, costs follow from texts, a closed gate changes nothing."""

import math

import pytest
import torch

from creativity_lens.cells import repeated_share
from creativity_lens.comparing import Sampling, push_name, side_by_side
from creativity_lens.errors import InputError
from creativity_lens.gating import Gate, opened
from creativity_lens.generation import generate
from creativity_lens.models import Model
from creativity_lens.scoring import surprisals
from creativity_lens.steering import Steering

PROMPTS = ["Write about the rain.", "Tell me of a lamp."]
SHORT = Sampling(max_new_tokens=12)


def push(model: Model, size: float, layer: int = 4, **options) -> tuple[Steering, ...]:
    generator = torch.Generator().manual_seed(3)
    vector = torch.nn.functional.normalize(torch.randn(model.d_model, generator=generator), dim=0)
    return (Steering(layer, size * vector, size / 30, **options),)


def test_texts_are_those_of_generate_and_the_first_is_unsteered(chat):
    found = side_by_side(chat, PROMPTS, [push(chat, 120.0), push(chat, -120.0)], samples=2, seed=5, sampling=SHORT)
    for number, edits in enumerate([None, push(chat, 120.0), push(chat, -120.0)]):
        alone = generate(chat, PROMPTS, steering=[edits], samples=2, max_new_tokens=12, seed=5)
        for p in range(2):
            for sample in range(2):
                text = found.text(p, number, sample)
                assert text.text == alone[2 * p + sample].text
                assert text.seed == 5 + sample
    assert found.text(1, 0, 1).text != found.text(1, 1, 1).text, "the control: the push does something"
    assert [len(found.texts), found.samples] == [12, 2]


def test_costs_follow_from_the_texts(chat):
    """By hand: k = min(1, exp(u_0 - u_c)) (1 - max(0, rho_c - rho_0)), means over prompts of means over samples."""
    found = side_by_side(chat, PROMPTS, [push(chat, 25.0)], samples=2, sampling=Sampling(max_new_tokens=40))
    u = [[0.0, 0.0], [0.0, 0.0]]
    rho = [[0.0, 0.0], [0.0, 0.0]]
    for number in range(2):
        for p, prompt in enumerate(PROMPTS):
            for sample in range(2):
                text, clean = found.text(p, number, sample), found.text(p, 0, sample)
                length = min(len(text.token_ids), len(clean.token_ids))
                u[number][p] += float(surprisals(chat, [prompt], [text.token_ids])[0]) / 2
                rho[number][p] += repeated_share(text.token_ids[:length]) / 2
    assert sum(rho[0]) == 0, "the fixture repeats nothing without steering, however it is cut"
    kept = min(1.0, math.exp((sum(u[0]) - sum(u[1])) / 2)) * (1 - max(0.0, sum(rho[1]) / 2))
    assert found.costs[1].coherence == pytest.approx(kept, abs=1e-4)
    assert found.costs[1].surprisal == pytest.approx(sum(u[1]) / 2, abs=1e-4)
    assert found.costs[1].surprisal_0 == pytest.approx(sum(u[0]) / 2, abs=1e-4)
    assert found.costs[1].prompts == 2
    assert found.costs[0].coherence == 1.0
    assert found.costs[0].is_coherent


def test_a_push_that_breaks_the_text_is_seen(chat):
    found = side_by_side(chat, PROMPTS, [push(chat, 200.0)], samples=2, sampling=Sampling(max_new_tokens=30))
    assert found.costs[1].coherence < 0.5
    assert not found.costs[1].is_coherent


def gate_between(model: Model, monkeypatch, open_prompt: str) -> Gate:
    """A gate that is open for one prompt alone, whatever the model thinks of it."""
    from creativity_lens import comparing as module
    from creativity_lens.gating import GateReading

    gate = object.__new__(Gate)
    monkeypatch.setattr(
        module, "opened", lambda model, gate, prompts: [GateReading(1.0, p == open_prompt) for p in prompts]
    )
    return gate


def test_rows_gated_on_and_off_share_a_batch_and_a_closed_gate_gives_the_unsteered_text(chat, monkeypatch):
    gate = gate_between(chat, monkeypatch, PROMPTS[0])
    strong = push(chat, 120.0)
    found = side_by_side(chat, PROMPTS, [strong], samples=3, gate=gate, sampling=SHORT)
    plain = generate(chat, PROMPTS, samples=3, max_new_tokens=12)
    pushed = generate(chat, PROMPTS, steering=[strong], samples=3, max_new_tokens=12)
    for sample in range(3):
        assert found.text(1, 1, sample).token_ids == found.text(1, 0, sample).token_ids == plain[3 + sample].token_ids
        assert found.text(0, 1, sample).token_ids == pushed[sample].token_ids
        assert pushed[3 + sample].token_ids != plain[3 + sample].token_ids, "the control: it would have been changed"
    assert found.costs[1].prompts == 1, "what was not steered is no evidence of what steering costs"
    rows = found.rows
    assert [row["gate_open"] for row in rows] == [True] * 6 + [False] * 6
    assert [row["mode"] for row in rows] == (["none"] * 3 + ["add"] * 3) + ["none"] * 6


def test_with_every_gate_closed_nothing_is_said_of_costs(chat, monkeypatch):
    found = side_by_side(chat, PROMPTS, [push(chat, 40.0)], gate=gate_between(chat, monkeypatch, ""), sampling=SHORT)
    assert math.isnan(found.costs[1].coherence)
    assert found.costs[1].is_coherent
    assert found.costs[1].prompts == 0


def test_rows_say_what_was_done(chat):
    (clean, steered) = side_by_side(chat, ["Hello."], [push(chat, 3.0)], sampling=SHORT, seed=9).rows
    assert (clean["push"], clean["layers"], clean["mode"], clean["strength"]) == (0, [], "none", 0.0)
    assert (steered["push"], steered["layers"], steered["mode"], steered["seed"]) == (1, [4], "add", 9)
    assert steered["strength"] == pytest.approx(0.1)
    assert steered["surprisal"] > 0


def test_a_push_has_a_name():
    vector = torch.eye(4)[0]
    assert push_name((Steering(4, vector, 0.25),)) == "layer 4, strength 0.25"
    assert push_name(tuple(Steering(layer, vector, 0.1) for layer in (3, 4, 5))) == "layers 3-5, strength 0.3"
    assert push_name((Steering(4, vector, 0.0, mode="ablate"),)) == "layer 4, ablated"
    assert push_name((Steering(4, vector, 0.2, mode="clamp"),)) == "layer 4, held at 0.2"


def test_in_a_notebook_it_is_a_table_and_what_a_prompt_holds_is_escaped(chat):
    shown = side_by_side(chat, ["<script>alert(1)</script>"], [push(chat, 3.0)], sampling=SHORT)._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "unsteered" in shown


@pytest.mark.parametrize(
    ("prompts", "options", "said"),
    [
        ([], {}, "at least one, got none"),
        (["  "], {}, "got an empty one"),
        ("Write.", {}, r"write \[prompt\]"),
        (["Write."], {"samples": 0}, "samples: expected 1 or more"),
        (["word " * 600], {}, "expected fewer than the context of 512"),
        (["word " * 450], {"sampling": Sampling(100)}, "expected at most the context of 512"),
    ],
)
def test_what_cannot_be_written_about_is_refused(chat, prompts, options, said):
    with pytest.raises(InputError, match=f"^[^\n]*{said}[^\n]*$"):
        side_by_side(chat, prompts, [push(chat, 3.0)], **options)


def test_opened_is_what_the_gate_module_gives():
    """The tests above replace it by this name."""
    from creativity_lens import comparing as module

    assert module.opened is opened
