"""``bench new my_scheme``: a package to start a scheme of one's own from. Its files are in ``template``."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template

from bench import plugins
from bench.errors import BenchError
from bench.files import new_folder

FILES = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    "src/{name}/__init__.py": "scheme.py.txt",
    "src/{name}/py.typed": None,
    "tests/test_{name}.py": "test.py.txt",
}


def write(name: str, parent: Path) -> Path:
    """Write the package ``name`` into a new folder of that name, and return the folder.

    BenchError where the name is none for a package or is taken, or where the folder exists.
    """
    refuse(name)
    folder = parent / name
    if folder.exists():
        raise BenchError(f"'{folder}' exists already; give another name, or another folder with --into")
    if not parent.exists():
        raise BenchError(f"the folder '{parent}' of --into does not exist")
    words = {"name": name, "cls": "".join(part.capitalize() for part in name.split("_"))}
    template = files("bench.new") / "template"
    try:
        with new_folder(folder) as partial:
            for path, source in FILES.items():
                text = Template((template / source).read_text("utf-8")).substitute(words) if source else ""
                target = partial / path.format(name=name)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BenchError(f"cannot write the package to '{folder}': {error}") from error
    return folder


def refuse(name: str) -> None:
    """BenchError where no package can have this name, or one has it."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        near = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")
        hint = f", such as '{near}'" if near and not keyword.iskeyword(near) else ""
        raise BenchError(f"'{name}' can't be the name of a package: take lower-case words joined by '_'{hint}")
    if name in plugins.offers(plugins.SCHEMES) or name in plugins.offers(plugins.BASELINES):
        raise BenchError(f"the name '{name}' is taken by an installed scheme or baseline; give yours another")
    if plugins.top_level(name):
        raise BenchError(f"the name '{name}' is taken by an installed Python module; give yours another")
