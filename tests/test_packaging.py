"""The package as users get it: what the wheel holds, that it runs anywhere, what it declares, and what `make` does."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import creativity_lens
from creativity_lens.files import data_folder

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
SOURCES = ("creativity_lens", "data")
JUNK = (
    "creativity_lens/__pycache__/sweep.cpython-311.pyc",
    "creativity_lens/.page.css.0f3a.partial",
    "data/pocket/recipe/__pycache__/model.cpython-311.pyc",
    "data/pocket/runs/pocket-chat-001/generations.parquet",
    "runs/pocket-chat-001/run.json",
    "notes.txt",
)


def run(
    *command: str | Path, folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder`, in this environment and what is given, without the marks of a `make` around it."""
    variables = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    variables |= environment or {}
    return subprocess.run(
        [*command], cwd=folder, env=variables, capture_output=True, text=True, timeout=600, check=False
    )


def succeed(*command: str | Path, folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """What the command prints; a test fails with what it says where it fails."""
    done = run(*command, folder=folder, environment=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


# ---- the wheel ----


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the wheel is built from, without git."""
    folder = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "runs", ".*", "*.partial")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built where the leavings of work lie between the sources."""
    littered = tmp_path_factory.mktemp("littered")
    shutil.copytree(source, littered, dirs_exist_ok=True)
    for name in JUNK:
        (littered / name).parent.mkdir(parents=True, exist_ok=True)
        (littered / name).write_text("junk")
    out = tmp_path_factory.mktemp("wheel")
    succeed(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out, folder=littered)
    (built,) = out.iterdir()
    return built


@pytest.mark.slow
def test_the_wheel_holds_the_package_its_data_and_nothing_else(wheel: Path, source: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
    files = [path.relative_to(source) for name in SOURCES for path in (source / name).rglob("*") if path.is_file()]
    places = [path if path.parts[0] == "creativity_lens" else Path("creativity_lens") / path for path in files]
    held = {name for name in names if ".dist-info/" not in name}
    assert held == {path.as_posix() for path in places}
    assert len(names) == len(set(names))
    data = "creativity_lens/data"
    assert {
        "creativity_lens/py.typed",
        "creativity_lens/cli/__init__.py",
        "creativity_lens/reports/page.css",
        "creativity_lens/reports/page.html.j2",
        "creativity_lens/reports/page.js",
        f"{data}/contrastive_pairs/pairs.jsonl",
        f"{data}/contrastive_pairs/prompts.jsonl",
        f"{data}/pocket/README.md",
        f"{data}/pocket/base/model.safetensors",
        f"{data}/pocket/chat/model.safetensors",
        f"{data}/pocket/chat/tokenizer.json",
    } <= held
    information = f"creativity_lens-{creativity_lens.__version__}.dist-info"
    assert {f"{information}/licenses/LICENSE", f"{information}/entry_points.txt"} <= set(names)


@pytest.mark.slow
def test_an_installed_wheel_runs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    place, empty = tmp_path / "place", tmp_path / "empty"
    empty.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    succeed(*pip, "--target", place, wheel, folder=empty)
    environment = {"PYTHONPATH": str(place), "CLENS_CACHE": str(tmp_path / "cache")}

    ask = (
        "import creativity_lens as cl; from creativity_lens.files import data_folder;"
        "print(cl.__file__, data_folder(), len(cl.load_pairs()), len(cl.load_control('register')), sep='\\n')"
    )
    code, data, pairs, control = succeed(sys.executable, "-c", ask, folder=empty, environment=environment).splitlines()
    assert Path(code).is_relative_to(place)
    assert Path(data) == place / "creativity_lens" / "data"
    assert int(pairs) == len(creativity_lens.load_pairs())
    assert int(control) == len(creativity_lens.load_control("register"))

    said = f"creativity-lens {creativity_lens.__version__}\n"
    assert succeed(place / "bin" / "clens", "--version", folder=empty, environment=environment) == said
    module = [sys.executable, "-m", "creativity_lens"]
    assert succeed(*module, "--version", folder=empty, environment=environment) == said
    assert not list(empty.iterdir())

    few = ["--screen-only", "--layers", "4", "--reader", "none", "--positive-control", "none", "--out", "found"]
    succeed(place / "bin" / "clens", "sweep", *few, folder=empty, environment=environment)
    assert "<!doctype html>" in (empty / "found" / "report.html").read_text("utf-8")[:100].lower()


@pytest.mark.slow
def test_an_editable_install_reads_the_data_of_the_checkout(source: Path, tmp_path: Path) -> None:
    """A second copy of data/ in site-packages would go stale unseen."""
    succeed(sys.executable, "-m", "hatchling", "build", "-t", "wheel:editable", "-d", tmp_path, folder=source)
    (built,) = tmp_path.iterdir()
    with zipfile.ZipFile(built) as opened:
        (link,) = (name for name in opened.namelist() if ".dist-info/" not in name)
        assert link.endswith(".pth")
        assert Path(opened.read(link).decode().strip()) == source
    ask = "from creativity_lens.files import data_folder; print(data_folder())"
    environment = {"PYTHONPATH": str(source)}
    assert Path(succeed(sys.executable, "-c", ask, folder=tmp_path, environment=environment).strip()) == source / "data"


# ---- what the project says of itself ----


def test_the_checkout_reads_its_own_data() -> None:
    assert data_folder() == ROOT / "data"


def test_every_import_is_declared() -> None:
    """A package that only comes along with another one may stop coming."""
    used = ("lint", "embed", "sentiment", "ray", "storage", "quantize", "vllm")
    extras = (PROJECT["optional-dependencies"][name] for name in used)
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]
    declared = {_plain(re.match(r"[\w.-]+", line)[0]) for line in lines}
    owners = packages_distributions()
    undeclared = {
        (path.name, name)
        for path in (ROOT / "creativity_lens").rglob("*.py")
        for name in _imports(path)
        if name not in sys.stdlib_module_names
        and name != "creativity_lens"
        and not declared & {_plain(owner) for owner in owners.get(name, [name])}
    }
    assert undeclared == set()


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


def test_the_version_is_the_same_everywhere() -> None:
    version = creativity_lens.__version__
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [version]
    assert re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)[0] == version
    licences = re.search(r"^license:\n((?:  - .+\n)+)", citation, re.MULTILINE)
    assert licences is not None
    assert " AND ".join(re.findall(r"  - (.+)", licences[1])) == PROJECT["license"]


# ---- make, and what continuous integration runs ----

STEPS = ["check", "test", "test-slow", "test-readers"]
BENCHES = ["bench", "bench-peers"]
TARGETS = {"help", "setup", "sweep", "audit", *STEPS, "test-llamacpp", "format", *BENCHES, "notebooks", "clean"}


def test_make_alone_lists_every_target_that_is_named_anywhere() -> None:
    listed = {line.split()[1] for line in succeed("make", folder=ROOT).splitlines()}
    assert listed == TARGETS
    for name in ("README.md", ".ci/run"):
        named = set(re.findall(r"\bmake ([a-z][a-z-]*)", _commands((ROOT / name).read_text("utf-8"))))
        assert named <= TARGETS, name
        assert "test" in named, name


def _commands(text: str) -> str:
    """Lines that are commands, and what stands in quotation marks or between back-quotes: not prose."""
    return "\n".join(re.findall(r"^ *make .*|[`\"]make [^`\"]*[`\"]", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (
            '[ "$1" = --version ] && echo "Python 3.10.4" || exit 1',
            "Python 3.11 or newer as './fake', got Python 3.10.4;",
        ),
        ('case "$2" in *ensurepip*) exit 1 ;; esac', "apt-get install python3-venv"),
    ],
    ids=["too old", "no venv"],
)
def test_setup_says_in_one_line_what_the_machine_lacks(script: str, says: str, tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    _program(tmp_path / "fake", script)
    done = run("make", "setup", "PYTHON=./fake", folder=tmp_path)
    assert done.returncode == 2
    complaint, stopped = done.stderr.splitlines()  # the second line is make's own
    assert says in complaint
    assert stopped.startswith("make: ***")
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("broken", [None, *STEPS])
def test_ci_runs_every_step_and_fails_when_one_does(broken: str | None, tmp_path: Path) -> None:
    """On a machine where chromium is missing and cannot be installed, which is said and is no failure."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("bash", "env", "dirname", "id"):
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    _program(programs / "python3", "exit 0")
    _program(programs / "apt-get", f'echo "$*" >>{tmp_path}/installed; exit 100')
    _program(programs / "sudo", "exit 1")
    _program(programs / "make", f'echo "$1" >>{tmp_path}/made; [ "$1" != "{broken}" ]')
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    done = run(tmp_path / ".ci" / "run", folder=tmp_path, environment={"PATH": str(programs)})
    assert (tmp_path / "made").read_text().split() == ["setup", *STEPS]
    assert "chromium could not be installed" in done.stdout
    assert done.returncode == (0 if broken is None else 1)
    assert (f"failed: make {broken};" in done.stdout) == (broken is not None)


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
