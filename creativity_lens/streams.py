"""One model's part in a batch: the rows that it reads, each row's cache, and the logits for its next token.

A row may be read by one model or by two. Each model keeps its own cache, mask, positions and edits, for its own prompt
of that row; what they share is the token that was drawn.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from creativity_lens.drawing import Decoding, Probe, Row
from creativity_lens.models import Model
from creativity_lens.prefix import Prefix, continue_rows, keep_rows
from creativity_lens.sampling import mixed, next_tokens
from creativity_lens.steering import Table, select_rows, steered

_OWN, _PARTNER, _MIXED = 1, 2, 3  # who writes a row
_BROKEN = -1  # in place of a token id: the row's logits were not numbers

Watch = tuple[int, Callable[[Tensor], None]]


class Stream:
    """A model and the rows of a batch that it reads, by their numbers there, in ascending order.

    `logits` are those for the token after what each row has read so far.
    """

    def __init__(
        self, model: Model, rows: Int[Tensor, " row"], prefix: Prefix, source: Int[Tensor, " row"] | None, steps: int,
        table: Table, *, is_partner: bool = False,
    ) -> None:  # fmt: skip
        self.model, self.rows, self.is_partner = model, rows, is_partner
        self._cache, self._mask = continue_rows(prefix, source, steps)
        self.logits: Float[Tensor, "row vocab"] = prefix.logits if source is None else prefix.logits[source]
        self._positions = self._mask[:, : prefix.mask.shape[1]].sum(-1)
        self._length = prefix.mask.shape[1]
        self._table = table

    def of(self, rows: Int[Tensor, " some"]) -> Float[Tensor, "some vocab"]:
        """The logits of some of its rows, given by their numbers in the batch, in ascending order."""
        if len(rows) == len(self.rows):
            return self.logits
        return self.logits[torch.searchsorted(self.rows, rows).to(self.logits.device)]

    def feed(self, tokens: Int[Tensor, " row"], watch: Watch | None = None) -> None:
        """Read one more token a row. An id that the model has no embedding for is read as its beginning token."""
        tokens = tokens.to(self.model.device)
        tokens = tokens.masked_fill(tokens >= self.model.vocabulary, self.model.start_ids[0])
        self._length += 1
        with steered(self.model, self._table, probe=watch):
            self.logits = self.model.forward(
                tokens[:, None], mask=self._mask[:, : self._length], positions=self._positions[:, None],
                cache=self._cache, keep=1,
            )[:, -1]  # fmt: skip
        self._positions = self._positions + 1

    def keep(self, stay: Int[Tensor, " kept"]) -> None:
        """Let all but some rows leave; `stay` are places among its rows."""
        self.rows = self.rows[stay]
        stay = stay.to(self.model.device)
        keep_rows(self._cache, stay)
        self._table, self._mask = select_rows(self._table, stay), self._mask[stay]
        self.logits, self._positions = self.logits[stay], self._positions[stay]


class Draws:
    """Draws the next token of every row: from the model, from its partner, or from their mixture, as each row needs."""

    def __init__(self, rows: Sequence[Row], model: Model, decoding: Decoding) -> None:
        self._decoding = decoding
        needed = [decoding.needs(row) for row in rows]
        both = [decoding.temperatures(row) for row in rows]
        self._kinds = torch.tensor([_OWN * own + _PARTNER * partner for own, partner in needed])
        self._gamma = torch.tensor([row.gamma or 0.0 for row in rows])
        self._temperature, self._other = (torch.tensor([each[model_] for each in both]) for model_ in (0, 1))
        self.is_greedy = not torch.where(self._kinds == _PARTNER, self._other, self._temperature).any()
        ends = {_OWN: _ends(model)}
        self.vocabulary = model.vocabulary  # ids that luck is needed for
        if decoding.partner is not None:
            ends[_PARTNER] = _ends(decoding.partner)
            ends[_MIXED] = ends[_OWN] | {end for end in ends[_PARTNER] if end < model.vocabulary}
            self.vocabulary = max(model.vocabulary, decoding.partner.vocabulary)
        self._ends = {kind: tuple(sorted(ids)) for kind, ids in ends.items()}

    def is_partners(self, row: int) -> bool:
        """Whether the partner alone writes this row."""
        return int(self._kinds[row]) == _PARTNER

    def draw(
        self,
        alive: Int[Tensor, " row"],
        streams: Sequence[Stream],
        noise: Float[Tensor, "row vocab"] | None,
        step: int,
    ) -> tuple[Int[Tensor, " row"], Bool[Tensor, " row"]]:
        """A token for each row that is alive (on the device), and which rows end their text with it (on the CPU).

        `streams` are the model's, where any row is read by it, and the partner's after it.
        """
        parts = [(kind, at) for kind in (_OWN, _PARTNER, _MIXED) if len(at := self._places(kind, alive))]
        if len(parts) == 1:
            return self._draw(parts[0][0], alive, streams, noise, step)
        drawn = torch.empty(len(alive), dtype=torch.long, device=streams[0].logits.device)
        ended = torch.empty(len(alive), dtype=torch.bool)
        for kind, at in parts:
            there = at.to(drawn.device)
            some, ended[at] = self._draw(
                kind, alive[at], streams, None if noise is None else noise[at.to(noise.device)], step
            )
            drawn[there] = some.to(drawn.device)
        return drawn, ended

    def _places(self, kind: int, alive: Tensor) -> Tensor:
        return (self._kinds[alive] == kind).nonzero()[:, 0]

    def _draw(
        self, kind: int, rows: Tensor, streams: Sequence[Stream], noise: Tensor | None, step: int
    ) -> tuple[Tensor, Tensor]:
        """Of rows that are all of one kind."""
        by = self._decoding
        top_p, top_k, min_p = by.top_p, by.top_k, by.min_p
        banned = self._ends[kind] if step < by.min_new_tokens else ()
        logits = streams[-1 if kind == _PARTNER else 0].of(rows)
        temperature = (self._other if kind == _PARTNER else self._temperature)[rows].to(logits.device)
        if kind == _MIXED:
            logits = mixed(
                logits, streams[-1].of(rows), self._gamma[rows].to(logits.device), temperature,
                self._other[rows].to(logits.device), mixing=by.mixing, top_p=top_p, top_k=top_k, min_p=min_p,
                banned=banned,
            )  # fmt: skip
            # truncated and at its temperatures already
            temperature, top_p, top_k, min_p = (temperature > 0).float(), 1.0, 0, 0.0
        if noise is not None:
            noise = noise[:, : logits.shape[-1]].to(logits.device)
        drawn = next_tokens(logits, noise, temperature, top_p=top_p, top_k=top_k, min_p=min_p, banned=banned)
        broken = logits.gather(-1, drawn[:, None])[:, 0].isnan()  # a NaN wins every argmax
        here = drawn.masked_fill(broken, _BROKEN).cpu()
        return drawn, torch.isin(here, torch.tensor([_BROKEN, *self._ends[kind]]))


def _ends(model: Model) -> set[int]:
    return {end for end in model.end_ids if end < model.vocabulary}


class Probes:
    """Sums of a projection over each row's own tokens, taken where the edit is in place.

    The last of `max_new_tokens` is not among them: it is drawn and never read.
    """

    def __init__(self, rows: int, probe: Probe | None, model: Model) -> None:
        self._probe, self._counts = probe, torch.zeros(rows)
        self._sums = torch.zeros(rows, device=model.device)  # stays there: a copy each step would stall a GPU

    def watch(self, alive: Int[Tensor, " row"], lengths: Int[Tensor, " text"], step: int) -> Watch | None:
        """What a step's forward pass is to show, for the rows that it reads."""
        if self._probe is None:
            return None
        layer, direction = self._probe

        def see(residual: Tensor) -> None:
            projected = residual[:, -1].float() @ direction.to(residual.device).float()
            own = lengths[alive] > step  # rows that ended ride along until enough have
            device = self._sums.device
            self._sums[alive[own].to(device)] += projected.to(device)[own.to(device)]
            self._counts[alive[own]] += 1

        return layer, see

    def means(self) -> list[float]:
        """Each row's mean; NaN where nothing was read."""
        return (self._sums.cpu() / self._counts).tolist()
