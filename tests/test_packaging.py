"""The package as others meet it: source roots, wheel, entry points, and what starting it imports."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import pytest

from bench.versions import DISTRIBUTION

ROOT = Path(__file__).resolve().parents[1]
SOURCE_ROOTS = ("tokenizers", "baselines")
GROUPS = ("bench.id_schemes", "bench.baselines")
TOP_LEVEL = {
    *(".ci", ".gitignore", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "SECURITY.md", "constraints.txt"),
    "pyproject.toml",
    *("baselines", "bench", "docs", "results", "tests", "tokenizers"),
}


def python(*arguments: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run this interpreter in ``cwd`` with ``path`` before everything that is installed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{command} in {cwd}:\n{done.stderr[-2000:]}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree."""
    folder = tmp_path_factory.mktemp("dist")
    python("-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed in it, and nothing else."""
    folder = tmp_path_factory.mktemp("site")
    options = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--target", str(folder))
    python("-m", "pip", "install", *options, str(wheel), cwd=folder)
    return folder


def plugins() -> set[str]:
    """Every plugin package of this tree: a new one must be listed in pyproject.toml as well."""
    return {found.parent.name for root in SOURCE_ROOTS for found in (ROOT / root).glob("*/__init__.py")}


# --- Transformers finds its own `tokenizers` ---

HUGGING_FACE = """
import bench, tokenizers
from transformers import PreTrainedTokenizerFast
model = tokenizers.models.WordLevel({"title": 0}, unk_token="title")
wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer(model))
assert wrapped.encode("title", add_special_tokens=False) == [0]
print(bench.__file__, tokenizers.__file__, sep="\\n")
"""


@pytest.mark.parametrize("where", ["repository", "outside", "wheel"])
def test_transformers_imports_its_own_tokenizers(where: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    site: Path | None = request.getfixturevalue("installed") if where == "wheel" else None
    output = python("-c", HUGGING_FACE, cwd=ROOT if where == "repository" else tmp_path, path=site).stdout
    bench, tokenizers = (Path(line).resolve() for line in output.splitlines())
    assert bench == (site or ROOT).resolve() / "bench" / "__init__.py"
    assert tokenizers == Path(str(metadata.distribution("tokenizers").locate_file("tokenizers/__init__.py"))).resolve()


@pytest.mark.parametrize("root", SOURCE_ROOTS)
def test_a_source_root_is_not_a_package(root: str) -> None:
    assert (ROOT / root).is_dir()
    assert not (ROOT / root / "__init__.py").exists()


# --- the wheel ---


def test_wheel_holds_the_packages_at_top_level_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packages = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert packages == {"bench", *plugins()}
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests/")]


def test_wheel_holds_every_module(wheel: Path) -> None:
    roots = [ROOT, *(ROOT / root for root in SOURCE_ROOTS)]
    modules = [path for root in roots for name in ("bench", *plugins()) for path in (root / name).rglob("*.py")]
    expected = {
        path.relative_to(next(root for root in reversed(roots) if root in path.parents)).as_posix() for path in modules
    }
    assert expected == {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}


def test_wheel_holds_the_files_that_modules_read(installed: Path) -> None:
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "bench").rglob("*") if path.is_file()}
    read = {name for name in files if not name.endswith((".py", ".pyc"))}
    assert {"bench/report/published.toml", "bench/report/page/page.html", "bench/py.typed"} <= read
    assert "bench/data/sources.toml" in read
    assert {name for name in read if not (installed / name).is_file()} == set()
    use = "from bench.report import html, published; assert published.load().sources; html.template()"
    python("-c", use, cwd=installed, path=installed)
    use = "from bench.data import registry; assert registry.find('toys').files; print(registry.__file__)"
    assert python("-c", use, cwd=installed, path=installed).stdout.startswith(str(installed))


def test_wheel_brings_the_published_results(wheel: Path, installed: Path) -> None:
    """`bench results join mine published` finds them where `bench` is installed, without a clone."""
    kept = {path for path in tracked() if path.parts[0] == "results" and path.parts[1] in ("toys-cpu", "yelp-cpu")}
    assert {path.parts[1] for path in kept} == {"toys-cpu", "yelp-cpu"}
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"bench/published/{path.relative_to('results').as_posix()}" for path in kept} <= names
    homes = "from bench.results import joining; print(joining.homes()[0].is_dir(), joining.homes()[0])"
    said = python("-c", homes, cwd=installed, path=installed).stdout.split()
    assert said == ["True", str(installed / "bench" / "published")]


def test_the_distribution_has_a_name_of_its_own(installed: Path) -> None:
    """The index has another `bench`: the command and the import keep the name, what pip is told does not."""
    (distribution,) = metadata.distributions(path=[str(installed)])
    assert distribution.metadata["Name"] == DISTRIBUTION == "item-identifier-bench"
    page = (ROOT / "docs" / "pages" / "getting-started.md").read_text(encoding="utf-8").partition("### Extras")[2]
    listed = {name for row in re.findall(r"^\| (`[^|]+) \|", page, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert set(distribution.metadata.get_all("Provides-Extra") or []) <= listed


def test_the_dockerfile_names_what_is_there(installed: Path) -> None:
    """No Docker runs here: what it copies exists, its extras do, and it does not end as root."""
    text = (ROOT / "docs" / "Dockerfile").read_text(encoding="utf-8")
    copied = [word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.M) for word in line.split()]
    assert {"bench", "tokenizers", "baselines", "constraints.txt"} <= set(copied)
    assert [name for name in copied if not (ROOT / name).exists()] == []
    (distribution,) = metadata.distributions(name=DISTRIBUTION, path=[str(installed)])
    extras = {extra for group in re.findall(r"whl\)\[([\w,]+)\]", text) for extra in group.split(",")}
    assert {"serve"} <= extras <= set(distribution.metadata.get_all("Provides-Extra") or [])
    assert re.findall(r"^USER (\w+)$", text, re.M) == ["bench"]
    ignored = (ROOT / "docs" / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    assert {f"!{name}" for name in copied} <= set(ignored)


def test_entry_points_survive_and_load_from_the_wheel(installed: Path) -> None:
    (distribution,) = metadata.distributions(name=DISTRIBUTION, path=[str(installed)])
    from_wheel = {(entry.group, entry.name, entry.value) for entry in distribution.entry_points}
    assert ("bench.id_schemes", "numeric/random", "numeric_ids:Random") in from_wheel
    assert ("bench.id_schemes", "textual", "textual_ids:IdGenRec") in from_wheel
    assert ("console_scripts", "bench", "bench.cli:main") in from_wheel
    targets = sorted(value for group, _, value in from_wheel if group in GROUPS)
    load = "import sys, pkgutil; [pkgutil.resolve_name(target) for target in sys.argv[1:]]"
    python("-c", load, *targets, cwd=installed, path=installed)


@pytest.mark.parametrize("group", GROUPS)
def test_every_family_has_a_default_variant(group: str) -> None:
    targets = {
        entry.name: entry.value for entry in metadata.distribution(DISTRIBUTION).entry_points.select(group=group)
    }
    families = {name.split("/")[0] for name in targets}
    for family in families:
        variants = {value for name, value in targets.items() if name.startswith(f"{family}/")}
        assert family in targets
        assert not variants or targets[family] in variants


# --- what imports what ---


def imported(source: str) -> Iterator[str]:
    """Top-level names that a module imports, by statement or by ``import_module``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").split(".")[0]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (str(name.value).split(".")[0] for name in node.args[:1] if isinstance(name, ast.Constant))


@pytest.mark.parametrize(
    "source",
    ["import recbole", "from recbole.config import Config", "importlib.import_module('recbole.data')"],
)
def test_the_scan_sees_an_import(source: str) -> None:
    assert list(imported(source)) == ["recbole"]


def test_only_baselines_import_recbole() -> None:
    files = [path for room in ("bench", "tokenizers", "tests") for path in (ROOT / room).rglob("*.py")]
    outside = [path for path in files if path.relative_to(ROOT).parts[:2] != ("tests", "baselines")]
    assert len(outside) > 10
    assert [path for path in outside if "recbole" in imported(path.read_text("utf-8"))] == []


def test_help_imports_nothing_heavy() -> None:
    start = "import sys; sys.argv = ['bench', '--help']; from bench.cli import main; main()"
    done = python("-X", "importtime", "-c", start, cwd=ROOT)
    assert "run" in done.stdout
    assert "report" in done.stdout
    loaded = set(re.findall(r"\|\s+(\w+)$", done.stderr, flags=re.MULTILINE))
    assert "typer" in loaded
    assert loaded.isdisjoint({"torch", "pandas", "transformers", "numpy", "scipy", "sklearn", "pyarrow", "matplotlib"})


# --- the repository ---


def tracked() -> Sequence[Path]:
    """What git holds, relative to the root."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    output = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [Path(name) for name in output.split("\0") if name and (ROOT / name).exists()]


def test_top_level_is_as_planned() -> None:
    assert {path.parts[0] for path in tracked()} - TOP_LEVEL == set()


def test_nothing_large_is_kept() -> None:
    assert {str(path): size for path in tracked() if (size := (ROOT / path).stat().st_size) > 2**20} == {}


def test_no_file_knows_somebodys_machine() -> None:
    local = re.compile(rb"(?<![\w./])/(home|root|Users|work|mnt|opt)/\w|file:/{2}")
    assert [str(path) for path in tracked() if local.search((ROOT / path).read_bytes())] == []
