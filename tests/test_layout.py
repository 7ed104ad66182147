"""The layout is a test: who imports whom, what stays light, which names are public."""

import ast
import importlib.util
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import creativity_lens

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "creativity_lens"
HEAVY = ("torch", "numpy", "pandas", "plotly", "transformers", "transformer_lens", "scipy", "sklearn", "safetensors")

# A module imports those of lower rank. Ranks 0 and 1 are families, and so is a folder: inside, only cycles are barred.
RANKS: dict[str, int] = {
    name: rank
    for rank, names in enumerate([
        "errors layers files tensor_files tensor_header rows prompts scores plan runs progress memory model_names "
        "statistics cells "
        "verdict sides text_features text_files html_tables page_safety ratings agreement correlation ranks "
        "rank_resampling rank_intervals preferences diversity personas effects attractors stretches ratios glove "
        "embedding_cache inputs work storage leases holding run_listing run_differences cell_store engines costs",
        "wording leaks model_files model_hub quantization loading memory_needed tokens native shape models vocabulary "
        "embedding_files embeddings monoculture",
        "lint reading",
        "activations",
        "directions",
        "steering sampling",
        "drawing prefix",
        "backends",
        "streams",
        "generation dosing gating",
        "cluster",
        "scoring",
        "screening readout token_readings token_entropy",
        "figures given",
        "concept conditions",
        "tables layer_table beside choice provenance finding yardstick",
        "ledger controls stages result",
        "judging",
        "sweep",
        "reports exports text_scores comparing packets",
        "colored validation association decoding audit",
        "run_checks",
        "run_cleaning run_comparing",
        "cli",
        "__main__",
    ])
    for name in names.split()
}  # fmt: skip
FAMILIES = (0, 1)
KNOW_NO_MODEL = ("statistics", "cells", "verdict", "prompts", "scores", "files", "figures", "reports", "memory", "plan")


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py")) if PACKAGE / "data" not in path.parents}
MODULES = [name for name in FILES if name != "__init__"]


@cache
def imported(name: str) -> frozenset[str]:
    """Everything a module imports, inside functions too: full names, of this package and of others."""
    found = set()
    for node in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are written in full"
            own = (node.module or "").removeprefix("creativity_lens").removeprefix(".")
            for alias in node.names:
                inner = f"{own}.{alias.name}".removeprefix(".")
                is_module = (node.module or "").startswith("creativity_lens") and inner in FILES
                found.add(f"creativity_lens.{inner}" if is_module else str(node.module))
    return frozenset(found)


def neighbours(name: str) -> set[str]:
    """The modules of this package that a module imports."""
    prefix = "creativity_lens."
    return {each.removeprefix(prefix) for each in imported(name) if each.startswith(prefix)} - {name}


def family(name: str) -> str:
    return name.split(".")[0]


def reached(name: str) -> set[str]:
    """Everything that importing a module may bring in, now or when a function runs."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        new = neighbours(waiting.pop()) - found
        found |= new
        waiting += new
    return found


def test_the_walk_sees_imports():
    """A control: an empty graph would pass every test below."""
    assert {"errors", "files", "models", "reading"} <= neighbours("activations")
    assert "transformer_lens.model_bridge" in imported("loading"), "also inside a function"
    assert "models" in reached("sweep")


def test_every_module_has_a_rank_and_every_rank_a_module():
    families = {family(name) for name in MODULES}
    assert families - set(RANKS) == set(), "give the new module a rank: the lowest its imports allow"
    assert set(RANKS) - families == set(), "these are gone"


@pytest.mark.parametrize("name", MODULES)
def test_imports_only_lower_ranks(name):
    rank = RANKS[family(name)]
    for other in neighbours(name):
        assert other in FILES, f"{name} imports {other}, which does not exist"
        below = RANKS[family(other)] < rank
        akin = family(other) == family(name) or (RANKS[family(other)] == rank and rank in FAMILIES)
        assert below or akin, f"{name} (rank {rank}) imports {other} (rank {RANKS[family(other)]})"


@pytest.mark.parametrize("name", MODULES)
def test_no_cycles(name):
    assert name not in reached(name)


def test_only_loading_imports_transformer_lens():
    users = {name for name in MODULES if any(each.split(".")[0] == "transformer_lens" for each in imported(name))}
    assert users == {"loading", "backends.vllm"}, "the second boots a bridge to another program"


@pytest.mark.parametrize("name", [name for name in MODULES if family(name) in KNOW_NO_MODEL])
def test_arithmetic_and_pictures_know_no_model(name):
    assert not {"models", "reading", "generation"} & reached(name)


def loaded_by(statement: str) -> set[str]:
    """Names in `sys.modules` after a statement in a fresh interpreter."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(done.stdout.split())


def test_importing_the_package_is_light():
    assert not set(HEAVY) & loaded_by("import creativity_lens")
    assert "numpy" in loaded_by("import creativity_lens, numpy"), "the control: the probe does see what is loaded"


def test_commands_and_files_of_text_are_light():
    """Heavy imports are inside the commands, so that `clens --help` answers at once."""
    light = [name for name in MODULES if family(name) == "cli"]
    light += ["errors", "files", "prompts", "rows", "scores", "runs", "progress", "model_names", "model_files"]
    assert not set(HEAVY) & loaded_by("; ".join(f"import creativity_lens.{name}" for name in light))


@pytest.mark.parametrize("name", creativity_lens.__all__)
def test_public_names_resolve(name):
    module = creativity_lens._PUBLIC.get(name)
    if module and importlib.util.find_spec(f"creativity_lens.{module}") is None:
        pytest.skip(f"creativity_lens.{module} is not written yet")
    found = getattr(creativity_lens, name)
    assert name in dir(creativity_lens)
    assert isinstance(found, str) if name == "__version__" else found.__doc__, "public names are documented"


def test_no_public_name_is_a_modules_name():
    """Once imported, a module stands as an attribute of the package, and would hide the function of its name."""
    assert not set(creativity_lens.__all__) & set(FILES)


def test_unknown_names_raise_what_python_raises():
    with pytest.raises(AttributeError, match="no attribute 'load_modell'"):
        creativity_lens.load_modell  # noqa: B018
    with pytest.raises(ImportError):
        exec("from creativity_lens import nothing_of_this_name")


def test_no_text_of_the_repository_names_a_path_of_a_machine():
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        pytest.skip("no git checkout")
    machine = re.compile(rb"(?<![\w.:-])/(?:work|root|home|Users|mnt|workspace|scratch)/\w")
    assert machine.search(b"see " + b"/".join([b"", b"work", b"main"])), "the control: it would be found"
    files = [path for path in map(ROOT.joinpath, done.stdout.split("\0")) if path.is_file()]
    assert PACKAGE / "errors.py" in files
    texts = {path: path.read_bytes() for path in files if path.suffix not in (".safetensors", ".png", ".parquet")}
    assert {str(path): found[0] for path, text in texts.items() if (found := machine.search(text))} == {}
