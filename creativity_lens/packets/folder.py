"""The folder of a packet: written whole into a new place, with a note for the organiser, told in a few sentences."""

import secrets
import shlex
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from creativity_lens.errors import InputError
from creativity_lens.packets.packet import KEY, Packet
from creativity_lens.packets.page import minutes
from creativity_lens.packets.power import pairs_power, texts_power

README = "README.txt"
LONG = 60  # minutes, from which on attention is said to fade


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that takes its name when the block is done, and is gone when it fails."""
    made: list[Path] = []
    temporary = out.parent / f".{out.name[:50]}.{secrets.token_hex(4)}.partial"
    try:
        if not out.name:
            raise InputError(f"--out {out}: expected the name of a new folder.")
        if out.exists() and not out.is_dir():
            raise InputError(f"--out {out}: expected a folder, got a file; choose another name.")
        if out.is_dir() and any(out.iterdir()):
            what = "another packet" if (out / KEY).exists() else "other files"
            raise InputError(f"--out {out}: holds {what}; choose a new folder, packets are never mixed.")
        made = [path for path in out.parents if not path.exists()]
        temporary.mkdir(parents=True)
        yield temporary
        if out.is_dir():
            out.rmdir()
        temporary.rename(out)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        for path in made:
            with suppress(OSError):
                path.rmdir()
        if isinstance(error, OSError | ValueError) and not isinstance(error, InputError):
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"--out {out}: cannot be written ({reason}); choose another place.") from None
        raise


def readme(packet: Packet, out: Path) -> str:
    """What the organiser is to do with the folder."""
    pages = _pages(packet)
    return f"""Packet {packet.id}: what to do

1. Send one page to each rater: {pages}. Each page is for one person.
   It opens in any browser, also offline and on a phone. Nothing is installed, and nothing is sent anywhere.
2. A rater opens the page, answers, and saves a file at the end: answers-{packet.id}-rater-1.json and so on.
   That file comes back to you, by mail or as you like. Whoever stops can go on later in the same browser.
3. Collect the files, {len(packet.raters)} when everyone has answered, and run

       clens rate collect {shlex.quote(str(out))} answers-{packet.id}-*.json

Keep {KEY} to yourself and keep it safe. It is the key: it says which text is which, without it the answers cannot
be read, and a rater who sees it is no longer blind. It must not be sent to raters.

Each answers file carries a digest, which finds files that were cut or edited by accident. It is no proof against
someone who means to forge one.
"""


def told(packet: Packet, out: str | Path, *, show_prompts: bool = True) -> list[str]:
    """A packet in sentences: what each rater gets, what is compared, the smallest difference, what to do next."""
    pairs = packet.mode == "pairs"
    asked = packet.pairs if pairs else packet.items
    checks = f"{len(packet.checks)} attention check{'s' * (len(packet.checks) != 1)}"
    time = minutes(packet, show_prompts=show_prompts)
    what = ("pair" if pairs else "text") + "s" * (len(asked) != 1)
    pages = f"{len(packet.raters)} page{'s' * (len(packet.raters) != 1)} ({_pages(packet)})"
    said = [
        f"{pages} of {len(asked)} {what}, {checks} "
        f"and one {what.rstrip('s')} to practise with; about {time} minute{'s' * (time != 1)} a page."
    ]
    if time > LONG:
        said.append("That is long for one sitting: fewer texts or criteria are answered with more care.")
    counts = Counter(item.condition for item in packet.items if item.condition is not None)
    prompts = len({item.group for item in packet.items if item.group is not None})
    if counts:
        of = ", ".join(f"{count} {name}" for name, count in counts.items())
        said.append(f"Texts: {of}; {prompts} prompt{'s' * (prompts != 1)}." if prompts else f"Texts: {of}.")
    if power := _power(packet):
        said.append(power)
    said.append(
        f"Send one page to each rater. {KEY} is the key: keep it, and send it to nobody who rates. Then: clens rate "
        f"collect {shlex.quote(str(out))} answers-{packet.id}-*.json"
    )
    return said


def _power(packet: Packet) -> str:
    if packet.scale is None:
        items = {item.key: item for item in packet.items}
        twos = [(items[pair.first], items[pair.second]) for pair in packet.pairs]
        found = pairs_power(twos, packet.conditions, len(packet.raters))
    else:
        found = texts_power(packet.items, packet.conditions, packet.scale, len(packet.raters))
    return found.sentence if found else ""


def _pages(packet: Packet) -> str:
    first, last = packet.raters[0].file, packet.raters[-1].file
    return first if first == last else f"{first} to {last}"
