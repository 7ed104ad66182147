"""What an edit does to the next token equals a hand computation; doses are found at which edits do equally much."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from creativity_lens import scoring
from creativity_lens.files import data_folder
from creativity_lens.models import Model
from creativity_lens.prompts import ContrastivePair, load_control
from creativity_lens.screening import match_divergence, screen
from creativity_lens.steering import Steering

NORMS = (230, 340, 450, 540, 620, 730, 880, 1080)  # of the residual stream, roughly


@pytest.fixture(scope="module")
def plain():
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(data_folder() / "pocket" / "chat", dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def pairs() -> list[ContrastivePair]:
    return load_control("register")[:3]


def edit(model: Model, layer: int, strength: float, seed: int = 0) -> Steering:
    vector = torch.randn(model.d_model, generator=torch.Generator().manual_seed(100 * layer + seed))
    return Steering(layer, strength * NORMS[layer] * torch.nn.functional.normalize(vector, dim=0), strength)


@torch.inference_mode()
def logs_by_hand(
    chat, plain, pair: ContrastivePair, text: str, width: int, edit: Steering | None
) -> tuple[Tensor, Tensor]:
    """Next-token log probabilities where the response's tokens after the first are predicted, and those tokens."""
    front, ids = chat.encode_prompt(pair.neutral).ids, chat.encode_text(text)[:width]

    def add(module, args, output):
        hidden = (output[0] if isinstance(output, tuple) else output).clone()
        hidden[:, len(front) :] += edit.vector
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    handle = plain.model.layers[edit.layer].register_forward_hook(add) if edit else None
    logs = plain(torch.tensor([front + ids])).logits[0].log_softmax(-1)
    if handle:
        handle.remove()
    return logs[len(front) : -1].double(), torch.tensor(ids[1:])


def test_equals_a_hand_computation(chat, plain, pairs):
    edits = [edit(chat, 1, 0.3), edit(chat, 5, 0.4), edit(chat, 7, -0.5)]
    found = screen(chat, pairs[:2], edits, max_tokens=20)
    for column, pair in enumerate(pairs[:2]):
        sides = (pair.creative_response, pair.boring_response)
        width = min(20, *(len(chat.encode_text(side)) for side in sides))
        for row, one in enumerate(edits):
            changes, divergences = [], []
            for side in sides:
                clean, ids = logs_by_hand(chat, plain, pair, side, width, None)
                steered, _ = logs_by_hand(chat, plain, pair, side, width, one)
                changes.append((steered - clean).gather(-1, ids[:, None]).mean())
                divergences.append((steered.exp() * (steered - clean)).sum(-1).mean())
            assert found.log_ratio_change[row, column] == pytest.approx(float(changes[0] - changes[1]), abs=1e-4)
            assert found.kl[row, column] == pytest.approx(float(sum(divergences) / 2), abs=1e-4)
            assert found.kl[row, column] > 0.01


def test_strength_zero_changes_nothing_and_kl_is_never_negative(chat, pairs):
    edits = [edit(chat, 1, 0.0), edit(chat, 5, 0.0), edit(chat, 5, 1e-4), edit(chat, 2, 0.3)]
    found = screen(chat, pairs, edits, max_tokens=12)
    assert found.kl.shape == found.log_ratio_change.shape == (4, 3)
    assert (found.kl >= 0).all()
    assert found.kl[:2].max() < 1e-6
    assert found.log_ratio_change[:2].abs().max() < 1e-4
    assert found.kl[3].min() > 1e-3


def test_the_sign_says_which_side_became_likelier(chat, pairs):
    same = replace(pairs[0], boring_response=pairs[0].creative_response)
    swapped = replace(pairs[0], creative_response=pairs[0].boring_response, boring_response=pairs[0].creative_response)
    found = screen(chat, [pairs[0], swapped, same], [edit(chat, 4, 0.5)], max_tokens=16)
    there, back, none = found.log_ratio_change[0].tolist()
    assert abs(there) > 0.01
    assert there == pytest.approx(-back, abs=1e-4)
    assert none == pytest.approx(0, abs=1e-4)
    assert found.kl[0, 0] == pytest.approx(float(found.kl[0, 1]), abs=1e-4)
    # towards the unembedding of the words of one side: that side becomes likelier
    towards = chat.bridge.original_model.get_output_embeddings().weight.detach()
    own, other = (
        towards[list(chat.encode_text(text)[:16])].mean(0)
        for text in (pairs[0].creative_response, pairs[0].boring_response)
    )
    vector = torch.nn.functional.normalize(own - other, dim=0) * 0.1 * NORMS[7]
    edits = [Steering(7, vector, 0.1), Steering(7, -vector, -0.1)]
    pushed, pulled = screen(chat, pairs[:1], edits, max_tokens=16).log_ratio_change[:, 0].tolist()
    assert pushed > 0.05 > -0.05 > pulled


def test_edits_do_not_touch_each_other_however_they_are_batched(chat, pairs, monkeypatch):
    edits = [edit(chat, layer, 0.3, seed) for layer in (0, 3, 6) for seed in (0, 1)]
    together = screen(chat, pairs[:2], edits, max_tokens=12)
    monkeypatch.setattr(scoring, "LOGIT_BYTES", 1)  # one edit at a time
    alone = screen(chat, pairs[:2], edits, max_tokens=12)
    assert torch.allclose(together.kl, alone.kl, atol=1e-5)
    assert torch.allclose(together.log_ratio_change, alone.log_ratio_change, atol=1e-4)


def test_both_responses_are_cut_to_the_same_length(chat, pairs):
    longer = replace(pairs[0], boring_response=pairs[0].boring_response + " And more. And still more of it.")
    shorter = replace(pairs[0], creative_response=pairs[0].creative_response[:40])
    cut = replace(longer, creative_response=shorter.creative_response)
    one = [edit(chat, 3, 0.3)]
    assert torch.equal(screen(chat, [shorter], one).kl, screen(chat, [cut], one).kl)


def test_a_response_of_one_token_is_not_measured(chat, pairs):
    single = replace(pairs[0], creative_response=chat.decode(chat.encode_text("Rain")[:1]))
    assert len(chat.encode_text(single.creative_response)) == 1
    found = screen(chat, [single, pairs[1]], [edit(chat, 3, 0.3)], max_tokens=12)
    assert found.kl[0].isnan().tolist() == found.log_ratio_change[0].isnan().tolist() == [True, False]

    def make(doses: Tensor) -> list[Steering]:
        return [edit(chat, 3, float(dose)) for dose in doses]

    dose = match_divergence(chat, [single, pairs[1]], make, torch.tensor([0.3]), torch.tensor([0.1]), max_tokens=12)
    assert dose.isfinite().all()


def test_doses_are_found_at_which_random_directions_reach_the_target(chat, pairs):
    places = [(layer, seed) for layer in (1, 5) for seed in range(3)]
    target = screen(chat, pairs, [edit(chat, 3, 0.25, seed=99)], max_tokens=32).kl.mean().expand(len(places))

    def make(doses: Tensor) -> list[Steering]:
        return [edit(chat, *place[:1], float(dose), place[1]) for place, dose in zip(places, doses, strict=True)]

    start = torch.full((len(places),), 0.25)
    before = screen(chat, pairs, make(start), max_tokens=32).kl.mean(1)
    doses = match_divergence(chat, pairs, make, start, target)
    reached = screen(chat, pairs, make(doses), max_tokens=32).kl.mean(1)
    assert ((before / target).log().abs()).max() > 0.3  # equal strengths were not equal effects
    assert torch.allclose(reached, target, rtol=0.1)
    assert (start == 0.25).all()  # what was given is not written to


def test_one_round_is_the_square_law(chat, pairs):
    one = [edit(chat, 3, 0.1)]
    kl = float(screen(chat, pairs[:1], one, max_tokens=8).kl[0, 0])

    def make(doses: Tensor) -> list[Steering]:
        return [edit(chat, 3, float(dose)) for dose in doses]

    start, target = torch.tensor([0.1]), torch.tensor([4 * kl])
    dose = match_divergence(chat, pairs[:1], make, start, target, rounds=1, max_tokens=8)
    assert float(dose) == pytest.approx(0.2, rel=1e-3)
