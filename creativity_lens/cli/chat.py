"""`clens steer --chat`: a conversation, turn by turn, whose push can be changed between turns."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from creativity_lens.cli.asking import pushes_of

HELP = """\
/strength 0.3   push harder or softer; below 0: to the other side; 0: not at all
/layer 5        another layer, or several that share the dose: /layer 3-5
/mode ablate    add, ablate or clamp
/again          the last answer once more, with other luck
/reset          forget the conversation
/help           this
/quit           leave (or Ctrl-D)"""


@dataclass(frozen=True)
class _Settings:
    layer: str
    strength: float
    unit: str
    mode: str
    seed: int


def converse(
    asked: Any, layer: str | None, strength: float | None, unit: str, mode: str, seed: int, sampling: Any
) -> None:
    """Read turns from standard in until it ends; answers stream to standard out, all else to standard error."""
    model = asked.model
    if strength is None:
        strength, unit = asked.chosen.strength, "norm"
    settings = _Settings(str(asked.chosen.layer) if layer is None else layer, strength, unit, mode, seed)
    model.encode_turns(["Hello"])  # whether it takes a conversation is known before the first turn is typed
    push = _push(asked, settings)
    _say(f"{model.name}, {_named(push)}. /help lists what can be changed.")
    turns: list[str] = []
    for line in _lines():
        words = line.split()
        if not words:
            continue
        if not line.startswith("/"):
            turns.append(line)
        elif words[0] == "/quit":
            return
        elif words[0] == "/again" and len(turns) > 1:
            turns, settings = turns[:-1], replace(settings, seed=settings.seed + 1)
        else:
            settings, turns = _change(asked, settings, words, turns)
            continue
        answer = _answer(asked, turns, settings, sampling)
        turns = [*turns, answer] if answer is not None else turns[:-1]


def _lines() -> Iterator[str]:
    """What is typed, with a prompt in a terminal; a pipe is read line by line."""
    while True:
        try:
            line = input("> ") if sys.stdin.isatty() else sys.stdin.readline()
        except EOFError:
            return
        if not line and not sys.stdin.isatty():
            return
        yield line.strip()


def _change(asked: Any, settings: _Settings, words: list[str], turns: list[str]) -> tuple[_Settings, list[str]]:
    """The settings and turns after a command; what is wrong with it is said and changes nothing."""
    from creativity_lens.cli.options import numbers
    from creativity_lens.errors import InputError, check_choice

    name, value = words[0], " ".join(words[1:])
    try:
        check_choice("command", name, ("/strength", "/layer", "/mode", "/again", "/reset", "/help", "/quit"))
        if name == "/help":
            _say(HELP)
        elif name == "/again":
            raise InputError("/again: expected an answer before it; type a turn first.")
        elif name == "/reset":
            _say("the conversation is forgotten.")
            return settings, []
        elif not value:
            raise InputError(f"{name}: expected a value, as in /strength 0.3, /layer 5, /mode add.")
        else:
            if name == "/layer":
                new = replace(settings, layer=value)
            elif name == "/mode":
                new = replace(settings, mode=value)
            else:
                new = replace(settings, strength=numbers(value, "strength")[0])
            _say(f"{_named(_push(asked, new))} from here on.")
            return new, turns
    except InputError as error:
        _say(f"error: {error}")
    return settings, turns


def _push(asked: Any, settings: _Settings) -> Any:
    return pushes_of(asked.chosen, settings.layer, (settings.strength,), settings.unit, settings.mode)[0]


def _answer(asked: Any, turns: list[str], settings: _Settings, sampling: Any) -> str | None:
    """Write the answer to the last turn as it is drawn; None where it could not be given."""
    from creativity_lens.errors import InputError
    from creativity_lens.gating import opened
    from creativity_lens.generation import Row, generate_rows
    from creativity_lens.prompts import Prompt

    model = asked.model
    push, ids, shown = _push(asked, settings), [], ""

    def show(_: list[int], drawn: list[int]) -> None:
        nonlocal shown
        ids.extend(drawn)
        text = model.decode(ids).lstrip()
        if text.startswith(shown) and not text.endswith("\ufffd"):  # a character may take several tokens
            print(text[len(shown) :], end="", flush=True)
            shown = text

    try:
        if asked.gate is not None:
            (reading,) = opened(model, asked.gate, [turns[-1]])
            push = push if reading.is_open else ()
            state = "open" if reading.is_open else "closed, not steered"
            _say(f"gate {state} ({reading.projection:+.2f}, threshold {asked.gate.threshold:+.2f})")
        prompt, ids_given = Prompt(f"turn {len(turns)}", None, turns[-1]), model.encode_turns(turns)
        (made,) = generate_rows(
            model, [Row(prompt, settings.seed, push, sampling.temperature, ids_given)], on_step=show,
            max_new_tokens=sampling.max_new_tokens, top_p=sampling.top_p, top_k=sampling.top_k, min_p=sampling.min_p,
            scope=sampling.scope,
        )  # fmt: skip
    except InputError as error:
        _say(f"error: {error} /reset forgets the conversation.")
        return None
    print(made.text.lstrip()[len(shown) :], flush=True)
    return made.text.strip() or "..."


def _named(push: Any) -> str:
    from creativity_lens.comparing import push_name

    return push_name(push)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
