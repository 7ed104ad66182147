"""The proof that a backend steers as this package does, made each time it starts, before any text is kept."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from creativity_lens.backends.edits import hook_name, specs_of
from creativity_lens.backends.served import Drawn, Served
from creativity_lens.drawing import Decoding, Ids, Row
from creativity_lens.errors import InputError
from creativity_lens.models import Model
from creativity_lens.prompts import Prompt
from creativity_lens.steering import RowEdits, Steering, edit_table, steered

PROMPTS = ("Write about rain.", "Describe a key.", "Tell me of an old ship that comes home.")
TOKENS = 6  # of each text; ends are not drawn before
LARGE = 8.0  # of the residual stream's own norm: no text survives it
MODERATE = 1.0
SAME = 0.02  # mean difference of log-probabilities, in nats, of two runs that compute the same
# Between two programs: nats a token, and a share of the stream. With the built-in model on a CPU nats were below 0.0001
# in float32 and 0.02 in bfloat16, and the share 0.003; an edit one layer off made 0.33 nats, one of half the size 0.9.
NEAR, NEAR_IN_HALF = 0.1, 0.3
SHARE = 0.1

Streams = dict[int, Tensor]  # layer -> [pos, d_model]
Draw = Callable[[Model, Decoding, Sequence[Row], Sequence[Ids]], list[Drawn]]


def prove(served: Served, draw_rows: Draw, model: Model, *, scopes: tuple[str, ...]) -> None:
    """Raise `InputError` unless the backend draws what the model's own bridge would.

    The stream after each block is that of the model's own bridge after the same block, and an edit moves it by itself
    there and nowhere before. In each scope: greedy tokens at strength 0 are those without steering; a large strength
    changes them, and not the first one where prompts are not to be edited; nothing of it is left afterwards. In scope
    "all" the log-probabilities without and with a moderate edit are those of the model's own bridge. Costs some thirty
    short texts.
    """
    layer = model.n_layers // 2
    if missing := [index for index in range(model.n_layers) if hook_name(index) not in served.hooks]:
        _refuse(f"expected a hook after every block, got none after block {missing[0]}")
    if served.caches_prefixes:
        _refuse("expected its cache of prefixes to be off, got it on; an edit does not act on what is read from it")
    ids = [model.encode_prompt(text).ids for text in PROMPTS]
    direction = torch.randn(model.d_model, generator=torch.Generator().manual_seed(0))
    own = _residuals(model, ids[0])
    direction *= own[layer][1:].norm(dim=-1).median() / direction.norm()
    _check_streams(served, model, ids[0], own, Steering(layer, direction, 1.0))

    def draw(strength: float | None, scope: str) -> list[Drawn]:
        rows = [Row(Prompt(text, None, text), 0, _edit(layer, direction, strength), 0.0) for text in PROMPTS]
        return draw_rows(model, Decoding(TOKENS, TOKENS, scope=scope), rows, ids)

    for scope in scopes:  # "all" is the last one
        plain, zero, large, after = (draw(strength, scope) for strength in (None, 0.0, LARGE, None))
        if not _equal(plain, zero):
            _refuse(f"expected strength 0 to change nothing at scope '{scope}', got other tokens")
        if not _equal(plain, after):
            _refuse(f"expected no edit after an edited batch at scope '{scope}', got one that stayed")
        if all(one.ids == other.ids for one, other in zip(plain, large, strict=True)):
            _refuse(f"expected a large strength to change tokens at scope '{scope}', got the same ones")
        first = all(_same_first(one, other) for one, other in zip(plain, large, strict=True))
        if scope == "generated" and not first:
            _refuse("expected prompts to be read without the edit at scope 'generated', got them edited")
        if scope == "all" and first:
            _refuse("expected the edit to act on prompts too at scope 'all', got them unedited")
    near = NEAR if model.dtype == torch.float32 else NEAR_IN_HALF
    for strength, drawn in ((None, plain), (MODERATE, draw(MODERATE, "all"))):
        gap = _gap(model, ids, drawn, _edit(layer, direction, strength))
        if not gap <= near:  # NaN too
            what = "without steering" if strength is None else "under a moderate edit"
            _refuse(
                f"expected log-probabilities {what} within {near:g} of TransformerLens's own bridge, got {gap:.3g} away"
            )


def _refuse(problem: str) -> None:
    raise InputError(f"backend vllm: its self-test failed: {problem}; leave --backend out.")


def _edit(layer: int, direction: torch.Tensor, strength: float | None) -> RowEdits:
    return None if strength is None else Steering(layer, strength * direction, strength)


def _residuals(model: Model, prompt: Ids) -> Streams:
    """What the model's own bridge has after every block; float32, on the CPU."""
    seen: Streams = {}

    def see(layer: int, residual: Tensor) -> None:
        seen[layer] = residual[0].float().cpu()

    model.residuals(
        torch.tensor([prompt], device=model.device), {layer: partial(see, layer) for layer in range(model.n_layers)}
    )
    return seen


def _check_streams(served: Served, model: Model, prompt: Ids, own: Streams, edit: Steering) -> None:
    plain = served.residuals(prompt, range(model.n_layers), {})
    for layer, stream in plain.items():
        away = {other: _share(stream - seen, seen) for other, seen in own.items()}
        nearest = min(away, key=lambda other: away[other])
        if not away[layer] <= 1.5 * away[nearest] + 0.02:
            _refuse(
                f"expected the stream after block {layer} of TransformerLens's own bridge, got one nearest to its "
                f"block {nearest}"
            )
    edited = served.residuals(prompt, range(edit.layer + 1), specs_of(edit, model))
    for layer, stream in edited.items():
        wanted = edit.vector if layer == edit.layer else torch.zeros(model.d_model)
        if not (gap := _share(stream - plain[layer] - wanted, plain[layer])) <= SHARE:
            _refuse(
                f"expected an edit at layer {edit.layer} to move the stream there by itself and not before, got it "
                f"{gap:.0%} of the stream off at layer {layer}"
            )


def _share(part: Tensor, whole: Tensor) -> float:
    """The median over tokens, the first left out, of how long one vector is beside another."""
    return float((part[1:].norm(dim=-1) / whole[1:].norm(dim=-1)).median())


def _equal(some: list[Drawn], others: list[Drawn]) -> bool:
    """Equal tokens, and log-probabilities as two runs of one computation have them."""
    if [one.ids for one in some] != [other.ids for other in others]:
        return False
    return all(_distance(one.logs, other.logs) <= SAME for one, other in zip(some, others, strict=True))


def _same_first(one: Drawn, other: Drawn) -> bool:
    return one.ids[:1] == other.ids[:1] and _distance(one.logs[:1], other.logs[:1]) <= SAME


def _distance(some: tuple[float, ...], others: tuple[float, ...]) -> float:
    return sum(abs(one - other) for one, other in zip(some, others, strict=True)) / max(1, len(some))


def _gap(model: Model, ids: list[Ids], drawn: list[Drawn], edit: RowEdits) -> float:
    """How far, in nats a token, the texts' log-probabilities are from those that the model's own bridge gives them."""
    gaps = []
    for prompt, text in zip(ids, drawn, strict=True):
        tokens = torch.tensor([prompt + text.ids], device=model.device)
        with steered(model, edit_table([edit], model)):
            logits = model.forward(tokens, keep=len(text.ids) + 1)[0, :-1]
        chosen = torch.tensor(text.ids, device=logits.device)[:, None]
        own = logits.float().log_softmax(-1).gather(-1, chosen)[:, 0].cpu()
        gaps.append((own - torch.tensor(text.logs)).abs())
    return float(torch.cat(gaps).mean())
