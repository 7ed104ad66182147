"""The conditions of an audit: which stage writes, how it is asked, at what temperature, with what push."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from creativity_lens.audit.plan import AuditPlan
from creativity_lens.errors import InputError
from creativity_lens.models import Model
from creativity_lens.steering import Steering
from creativity_lens.vocabulary import as_asked_by, check_same_vocabulary, in_plain

PLAIN, TEMPLATE = "plain", "template"
CELL, STEERED, LADDER = "cell", "steered", "temperature"

Push = tuple[Steering, ...]


@dataclass(frozen=True, eq=False)
class Condition:
    """One way of writing. `model` is the stage's, asked in the condition's format."""

    name: str
    stage: str
    format: str
    kind: str
    model: Model
    temperature: float
    push: Push = ()

    def encode(self, prompt: str) -> tuple[int, ...]:
        """What the model is given before it writes."""
        return self.model.encode_prompt(prompt).ids

    @property
    def about(self) -> dict[str, Any]:
        """The condition as plain values."""
        return {
            "name": self.name, "stage": self.stage, "format": self.format, "kind": self.kind,
            "temperature": self.temperature,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Conditions:
    """All conditions: the cells first, by stage, plain before template."""

    every: tuple[Condition, ...]
    stages: tuple[str, ...]

    @property
    def cells(self) -> tuple[Condition, ...]:
        """Every stage in every format, unsteered, at the audit's temperature."""
        return tuple(each for each in self.every if each.kind == CELL)

    @property
    def formats(self) -> tuple[str, ...]:
        """Plain, and the template where the last stage has one."""
        return tuple(dict.fromkeys(each.format for each in self.cells))

    @property
    def first(self) -> Condition:
        """The first stage, asked in plain text: what alignment began with."""
        return self.own(self.stages[0])

    @property
    def last(self) -> Condition:
        """The last stage as it is used: in its template, where it has one."""
        return self.own(self.stages[-1])

    def own(self, stage: str) -> Condition:
        """A stage as it is used: the first one in plain text, the others in the template where there is one."""
        form = PLAIN if stage == self.stages[0] else self.formats[-1]
        return next(each for each in self.cells if (each.stage, each.format) == (stage, form))

    def of_kind(self, kind: str) -> tuple[Condition, ...]:
        """The conditions of a kind."""
        return tuple(each for each in self.every if each.kind == kind)


def conditions_of(stages: Mapping[str, Model], plan: AuditPlan, push: Push = ()) -> Conditions:
    """The cells of all stages, the last stage's ladder of temperatures, and its steered twin where there is a push.

    The template is the last stage's, and every stage is asked in it. Raises `InputError` for fewer than two stages, and
    for stages whose vocabularies differ: the same tokens are forced on all of them.
    """
    if len(stages) < 2:
        raise InputError(f"stages: expected at least two, a base model and what was made of it, got {len(stages)}.")
    names = tuple(stages)
    last = stages[names[-1]]
    for name in names[:-1]:
        check_same_vocabulary(stages[name], last)
    formats = (PLAIN, TEMPLATE) if last.template == "chat" else (PLAIN,)
    found = [
        Condition(f"{stage} {form}", stage, form, CELL, _asked(stages[stage], last, form), plan.temperature)
        for stage in names
        for form in formats
    ]
    own = found[-1]
    found += [
        Condition(f"{own.name}, T {value:g}", own.stage, own.format, LADDER, own.model, value)
        for value in plan.temperatures
    ]
    if push:
        found.append(
            Condition(f"{own.name}, steered", own.stage, own.format, STEERED, own.model, plan.temperature, push)
        )
    return Conditions(tuple(found), names)


def _asked(model: Model, last: Model, form: str) -> Model:
    return in_plain(model) if form == PLAIN else last if model is last else as_asked_by(model, last)


def numbers_of(conditions: Sequence[Condition]) -> dict[str, int]:
    """Each condition's place, by name."""
    return {each.name: place for place, each in enumerate(conditions)}
