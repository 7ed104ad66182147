"""The rated sets that are known: what they hold, where they were published, what is asked of each, and how to load one.

What a direction is tested against in each set, its `primary`, was fixed before any rating was read. A set is read from
the user's cache, where `clens ratings fetch` puts it, or from a folder with the files as published.
"""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from creativity_lens.errors import InputError, nearest
from creativity_lens.files import cache_folder, sha256_of
from creativity_lens.ratings import dat, hanna, lamp, ocsai, ttcw
from creativity_lens.ratings.columns import read_long
from creativity_lens.ratings.table import Ratings

LEVELS = ("overall", "group", "author", "group and author")  # where texts are compared: a primary's `level` is one


@dataclass(frozen=True)
class RemoteFile:
    """One published file, pinned to a commit."""

    name: str
    address: str
    sha256: str | None  # None where the published file was never at hand to be summed
    size: int | None = None  # bytes


@dataclass(frozen=True)
class Primary:
    """The one comparison that a set's verdict rests on."""

    criterion: str
    panel: str
    level: str  # one of LEVELS


@dataclass(frozen=True)
class RatedSet:
    """A published set of rated texts."""

    name: str
    title: str
    items: int  # texts that were rated, whether or not they were published
    raters: str
    criteria: tuple[str, ...]
    licence: str
    source: str  # repository and commit
    files: tuple[RemoteFile, ...]
    primary: Primary
    group_name: str
    note: str
    overall: bool = True  # whether texts of different groups are compared at all
    instead: tuple[str, ...] = ()  # names of files each of which can stand for all of `files`

    @property
    def folder(self) -> Path:
        """Where the set lies once it is fetched."""
        return cache_folder() / "ratings" / self.name

    @property
    def can_be_fetched(self) -> bool:
        """Whether every file's checksum is known: what could not be verified is not fetched."""
        return all(file.sha256 is not None for file in self.files)

    @property
    def is_fetched(self) -> bool:
        """Whether the files lie in the cache, by `clens ratings fetch` or by hand."""
        whole = all((self.folder / file.name).is_file() for file in self.files)
        return whole or any((self.folder / name).is_file() for name in self.instead)


def _pinned(repository: str, commit: str, path: str, sha256: str | None = None, size: int | None = None) -> RemoteFile:
    address = f"https://raw.githubusercontent.com/{repository}/{commit}/{path}"
    return RemoteFile(path.rsplit("/", 1)[-1], address, sha256, size)


_HANNA, _TTCW, _OCSAI = "dig-team/hanna-benchmark-asg", "salesforce/creativity_eval", "massivetexts/ocsai"
_DAT = "DingNLab/probing_creativity"
_TESTS = (
    "Narrative Ending", "Understandability and Coherence", "Scene vs Summary", "Narrative Pacing",
    "Language Proficiency and Literary Devices", "Emotional Flexibility", "Structural Flexibility",
    "Perspective and Voice Flexibility", "Originality in Thought", "Originality in Form and Structure",
    "Originality in Theme and Content", "Rhetorical Complexity", "World Building and Setting", "Character Development",
)  # fmt: skip

SETS: dict[str, RatedSet] = {
    each.name: each
    for each in (
        RatedSet(
            name="ttcw",
            title="TTCW, short stories",
            items=48,
            raters="3 of 11 experts a story",
            criteria=(ttcw.PASSED, *_TESTS),
            licence="BSD-3-Clause",
            source=f"{_TTCW} @ b2b67ef, 128a488",
            files=(
                _pinned(
                    _TTCW, "b2b67ef3894e937ca5c9eb2dc4144a7375715729", "annotations/ttcw_annotations.json",
                    "f10b711378b80972ef80427d938aebea66b55e9d024d41815ec81ad67058d284", 1_086_603,
                ),
                _pinned(
                    _TTCW, "128a488368cee8fe833ddbc93cbaef42c43ca556", "stories/ttcw_short_stories.json",
                    "5ff3138ead096c50ecafc86c7be88837c96fd2d6a0d903042c0fb3ed867c2bcf", 352_050,
                ),
            ),
            primary=Primary(ttcw.PASSED, ttcw.PANEL, "author"),
            group_name="plot",
            note="The magazine's stories were published by their address only. "
            "The four authors differ much, so what tells people from models agrees with the experts overall.",
        ),
        RatedSet(
            name="hanna",
            title="HANNA, stories on prompts",
            items=1056,
            raters="3 of a crowd a story",
            criteria=tuple(hanna.CRITERIA),
            licence="MIT",
            source=f"{_HANNA} @ 52ca804, ba69784",
            files=(
                _pinned(
                    _HANNA, "52ca8046ed603f1b39b4746022d432efbd0b58bb", hanna.SCORES,
                    "d0ce43f9b5cc12894f8b7bf3f7b4da06d19cdbea2c989dd3f173f2240dfee26d", 3_294_679,
                ),
                _pinned(
                    _HANNA, "ba697843e48c5f85af3f43c6809c94830dc25eed", hanna.STORIES,
                    "91f46039ed696be653374eccb38141ac6b8d8b5c675bf48a5032bc9317b50753", 3_297_275,
                ),
            ),
            primary=Primary("surprise", hanna.PANEL, "group"),
            group_name="prompt",
            note="The files that are fetched hold all ratings and the texts of the 96 human stories; the texts of all "
            f"1,056 are in {hanna.MAIN} of the same repository, which can be put beside them by hand.",
            instead=(hanna.MAIN,),
        ),
        RatedSet(
            name="ocsai",
            title="ocsai, answers to the alternate uses test",
            items=4040,
            raters="means over several studies' raters",
            criteria=("originality",),
            licence="MIT",
            source=f"{_OCSAI} @ 2d4b39b",
            files=(
                _pinned(
                    _OCSAI, "2d4b39ba7978d3dad244579f82d2f2779e8af636", f"data/ocsai1/{ocsai.SPLITS['test']}",
                    "bab9bf8fc28c27113a7d4d55e8f718edbad02214d14d53d98e8c78f07b3a4068", 282_935,
                ),
                _pinned(
                    _OCSAI, "2d4b39ba7978d3dad244579f82d2f2779e8af636", f"data/ocsai1/{ocsai.SPLITS['validation']}",
                    "a40bc78a5275ad274baeac7f410f7c1beb37e7913b138f5ef5fcfee8e15ccd9b", 96_005,
                ),
            ),
            primary=Primary("originality", ocsai.PANEL, "group"),
            group_name="object",
            note="Some rows come from a study of children, which its authors hand out on request: do not redistribute "
            "the answers.",
            overall=False,  # answers about different objects were not rated against each other
        ),
        RatedSet(
            name="lamp",
            title="LAMP, paragraphs before and after a writer's edit",
            items=404,
            raters="the writer who edited",
            criteria=(lamp.CRITERION,),
            licence="BSD-3-Clause",
            source=f"{_TTCW} @ 62b6609",
            files=(
                _pinned(
                    _TTCW, "62b660977d67c95adc7e71dcb9b07585ed6bee51",
                    f"Writing_Alignment/preference_ranking/{lamp.PUBLISHED[0]}",
                ),
            ),
            primary=Primary(lamp.CRITERION, lamp.PANEL, "group"),
            group_name="paragraph",
            note="Editors scored their own edits, so the edited paragraph scores higher in nearly every pair.",
            instead=(lamp.TABLE, *lamp.PUBLISHED[1:]),
        ),
        RatedSet(
            name="dat",
            title="DAT, ten words as different as can be",
            items=426,
            raters="2 a person",
            criteria=(*dat.CRITERIA, "DAT"),
            licence="MIT",
            source=f"{_DAT} @ bcdf659",
            files=tuple(
                _pinned(_DAT, "bcdf659e1e62896796304121ef002cc817b80607", f"human-level/{name}")
                for name in dat.STUDIES.values()
            ),
            primary=Primary("originality of other uses", dat.PANEL, "group"),
            group_name="study",
            note="The ratings are of what the same people wrote in other tasks, not of the ten words. In study 1a both "
            "raters' fluency is one and the same count.",
        ),
    )
}  # fmt: skip

_READERS: dict[str, Callable[[Path], Ratings]] = {
    "ttcw": ttcw.read, "hanna": hanna.read, "ocsai": ocsai.read, "lamp": lamp.read, "dat": dat.read,
}  # fmt: skip


def load_ratings(spec: str) -> tuple[Ratings, RatedSet | None]:
    """Ratings by what the command line calls them, and the published set they are, if they are one.

    `spec` is a known set's name (from the cache, checked there), "NAME=FOLDER" (a folder with the files of that set as
    published), "FILE.csv" (the long format, as `clens ratings import` writes) or "NAME=FILE.csv". Raises `InputError`
    for an unknown name (the nearest is offered), a set that was not fetched, files that are not the published ones,
    and whatever the readers refuse; warns where a set has not as many items as were published.

    >>> ratings, known = load_ratings("ttcw=../ttcw")            # doctest: +SKIP
    >>> ratings.means("tests passed", panel="expert").max()      # doctest: +SKIP
    14.0
    """
    name, equals, place = spec.partition("=")
    if os.path.isfile(spec) or (not equals and Path(spec).suffix.lower() in (".csv", ".jsonl", ".json", ".tsv")):
        return read_long(spec), None
    if not equals:
        return _of_set(_known(name, spec), None)
    if not name or not place:
        raise InputError(f"ratings: expected NAME=FOLDER or NAME=FILE.csv, got '{spec}'.")
    if name in SETS or os.path.isdir(place):
        return _of_set(_known(name, spec), Path(place))
    return read_long(place, name=name), None


def _known(name: str, spec: str) -> RatedSet:
    if name not in SETS:
        raise InputError(
            f"ratings: expected {', '.join(SETS)} (or NAME=FOLDER with the files of one), or a FILE.csv; got "
            f"'{spec:.100}'.{nearest(name[:100], SETS)}"
        )
    return SETS[name]


def _of_set(known: RatedSet, folder: Path | None) -> tuple[Ratings, RatedSet]:
    if folder is None:
        if not known.is_fetched:
            get = f"run `clens ratings fetch {known.name}`" if known.can_be_fetched else "get it by hand"
            raise InputError(
                f"{known.name}: not in the cache; {get}, or name a folder with its files: {known.name}=FOLDER."
            )
        folder = known.folder
        for file in known.files:
            path = folder / file.name
            if file.sha256 is not None and path.is_file() and sha256_of(path) != file.sha256:
                raise InputError(
                    f"{path}: not the published file (its checksum differs); `clens ratings fetch {known.name}` gets "
                    f"that, or name the folder if it is meant: {known.name}=FOLDER."
                )
    ratings = _READERS[known.name](folder)
    found = len(ratings.items)
    if found != known.items:
        warnings.warn(f"{folder}: {found:,} items of {known.name}; {known.items:,} were published.", stacklevel=3)
    return ratings, known
