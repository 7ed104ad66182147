"""Texts of an audit: every stage writes all of its conditions in one call.

Every condition has luck of its own. With shared luck a model held against itself would write the same texts, and the
audit's own null, `--base X --aligned X`, would show nothing but that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from creativity_lens.audit.conditions import LADDER, Condition, Conditions
from creativity_lens.audit.plan import AuditPlan
from creativity_lens.drawing import check_room
from creativity_lens.generation import Row, generate_rows
from creativity_lens.prompts import Prompt
from creativity_lens.vocabulary import known_ids

LUCK = 1_000_000  # between the seeds of two conditions
PERSONAS, PULLS = 500, 600  # numbers of luck for what is not a condition

Ids = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Written:
    """A condition's texts as token ids, `[prompt][sample]`, each cut to the same length."""

    condition: Condition
    ids: tuple[tuple[Ids, ...], ...]

    @property
    def texts(self) -> list[str]:
        """All texts, prompt by prompt."""
        return [self.condition.model.decode(ids) for ids in self.flat]

    @property
    def flat(self) -> list[Ids]:
        """All texts' token ids, prompt by prompt."""
        return [ids for of_prompt in self.ids for ids in of_prompt]


def check_prompts(
    conditions: Conditions, prompts: Sequence[Prompt], personas: Sequence[Prompt], plan: AuditPlan
) -> None:
    """Refuse a prompt that leaves no room in a context before anything is written."""
    for condition in conditions.every:
        for prompt in prompts:
            check_room(condition.model, len(condition.encode(prompt.text)), plan.max_new_tokens, prompt.text)
    for condition in (conditions.first, conditions.last):
        for prompt in personas:
            check_room(condition.model, len(condition.encode(prompt.text)), plan.persona_tokens, prompt.text)


def write_conditions(conditions: Conditions, prompts: Sequence[Prompt], plan: AuditPlan) -> dict[str, Written]:
    """Every condition's texts, by its name."""
    wanted: dict[str, list[tuple[Condition, list[Row]]]] = {}
    for number, condition in enumerate(conditions.every):
        samples = plan.ladder_samples if condition.kind == LADDER else plan.samples
        rows = [
            Row(
                prompt, plan.seed + number * LUCK + sample, condition.push or None, condition.temperature,
                condition.encode(prompt.text),
            )
            for prompt in prompts
            for sample in range(samples)
        ]  # fmt: skip
        wanted.setdefault(condition.stage, []).append((condition, rows))
    found: dict[str, Written] = {}
    for stage, parts in wanted.items():
        made = _write(parts[0][0], [row for _, rows in parts for row in rows], plan.max_new_tokens, f"writing: {stage}")
        for condition, rows in parts:
            own, made = made[: len(rows)], made[len(rows) :]
            size = len(rows) // len(prompts)
            found[condition.name] = Written(
                condition, tuple(tuple(own[at : at + size]) for at in range(0, len(own), size))
            )
    return {each.name: found[each.name] for each in conditions.every}


@dataclass(frozen=True, eq=False)
class Perturbed:
    """What a stage writes after a forced beginning of another prompt's text; beginnings are the same for all stages.

    Token ids, `[prompt][sample]`: `free` and `followed` are the parts that come after as many tokens of the stage's own
    texts and of those that the beginnings come from.
    """

    condition: Condition
    tokens: int  # of the beginning
    free: list[list[Ids]]
    perturbed: list[list[Ids]]
    followed: list[list[Ids]]


def write_perturbed(
    conditions: Conditions, written: Mapping[str, Written], prompts: Sequence[Prompt], plan: AuditPlan
) -> list[Perturbed]:
    """For the first stage and every later one as it is used, and for every length of beginning.

    Prompt p is given the beginnings of texts about prompt p + half, in turn by the first and by the last stage: what
    is forced belongs to neither model alone.
    """
    count = min(plan.attractor_prompts, len(prompts))
    if count < 2:
        return []
    sources = [(prompt + max(1, count // 2)) % count for prompt in range(count)]
    authors = (written[conditions.first.name], written[conditions.last.name])
    samples = min(plan.attractor_samples, plan.samples)
    taken = [[authors[sample % 2].ids[source][sample] for sample in range(samples)] for source in sources]
    found = []
    for stage in conditions.stages:
        condition = conditions.own(stage)
        number = PULLS + conditions.stages.index(stage)
        rows = [
            Row(
                prompt, plan.seed + number * LUCK + 1000 * k + sample, None, condition.temperature,
                condition.encode(prompt.text) + known_ids(condition.model, text[:k]),
            )
            for k in plan.beginnings
            for prompt, texts in zip(prompts[:count], taken, strict=True)
            for sample, text in enumerate(texts)
        ]  # fmt: skip
        longest = plan.max_new_tokens - min(plan.beginnings)
        made = _write(condition, rows, longest, f"forced beginnings: {stage}")
        own = written[condition.name]
        for k in plan.beginnings:
            part, made = made[: count * samples], made[count * samples :]
            left = plan.max_new_tokens - k
            found.append(
                Perturbed(
                    condition,
                    k,
                    free=[[ids[k:] for ids in of_prompt] for of_prompt in own.ids[:count]],
                    perturbed=[[ids[:left] for ids in part[at : at + samples]] for at in range(0, len(part), samples)],
                    followed=[[text[k:] for text in texts] for texts in taken],
                )
            )
    return found


def write_personas(conditions: Conditions, prompts: Sequence[Prompt], plan: AuditPlan) -> dict[str, list[str]]:
    """Personas by the first and by the last stage as they are used, prompt by prompt; ends are drawn."""
    found = {}
    for place, condition in enumerate((conditions.first, conditions.last)):
        rows = [
            Row(
                prompt, plan.seed + (PERSONAS + place) * LUCK + sample, None, condition.temperature,
                condition.encode(prompt.text),
            )
            for prompt in prompts
            for sample in range(plan.persona_samples)
        ]  # fmt: skip
        made = generate_rows(
            condition.model, rows, max_new_tokens=plan.persona_tokens, description=f"personas: {condition.stage}"
        )
        found[condition.name] = [text.text for text in made]
    return found


def _write(condition: Condition, rows: Sequence[Row], tokens: int, description: str) -> list[Ids]:
    """Texts of exactly so many tokens. Only a model whose numbers break stops before."""
    made = generate_rows(condition.model, rows, max_new_tokens=tokens, min_new_tokens=tokens, description=description)
    return [text.token_ids for text in made]
