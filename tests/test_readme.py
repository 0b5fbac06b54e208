"""README and pages of docs/ are executed: their commands run, their scheme competes, their links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from bench import cli
from bench.data import sources
from bench.data.dataset import Dataset
from bench.data.formats.writing import write_atomic
from bench.data.splits import leave_one_out
from bench.runs import matrix

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "pages"
README = (ROOT / "README.md").read_text(encoding="utf-8")
QUICK = ["--set", "max_steps=2", "--set", "validation_users=20", "--set", "max_history=5"]
OWN = "own-scheme"  # the tutorial, which tests/test_tutorial.py runs in an environment of its own
EXECUTED = ("getting-started", "data", "schemes", "after")  # in this order, in the folder where the README's ran


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(text: str, language: str, start: str = "bench ") -> list[list[str]]:
    """The words of every command line of the fenced blocks that begins with ``start``."""
    lines = [line for block in blocks(text, language) for line in block.splitlines() if line.startswith(start)]
    return [shlex.split(line, comments=True) for line in lines]


EVERYTHING = {"README": README} | {path.stem: page(path.stem) for path in sorted(PAGES.glob("*.md"))}
SHOWN = [(name, words) for name, text in EVERYTHING.items() for words in commands(text, "(?:text|sh)")]
LAUNCHED = [(name, words) for name, text in EVERYTHING.items() for words in commands(text, "text", "torchrun")]
SHOWN += [(name, words[words.index("-m") + 1 :]) for name, words in LAUNCHED]


@pytest.mark.skipif(sys.platform == "win32", reason="the README speaks to a POSIX shell")
def test_commands_run_and_the_scheme_in_the_readme_gets_a_row(
    bench: Callable[..., SimpleNamespace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(blocks(README, "python")[0])
    shown = [commands(text, "sh") for text in (README, *map(page, EXECUTED))]
    assert all(shown)
    for words in (words for each in shown for words in each):
        quick = QUICK if words[1] == "run" else []
        done = bench(*words[1:], *quick)
        assert done.code == 0, f"{words}: {done.err}"
    assert (tmp_path / "quality.png").stat().st_size > 10_000
    assert "numeric/<wbr>random" in (tmp_path / "report.html").read_text()
    report = (tmp_path / "results" / "report.md").read_text()
    assert all(f"| {name}" in report for name in ("textual/title", "numeric/random", "alphabetical", "pop", "random"))


@pytest.mark.parametrize(("where", "words"), [(name, words) for name, words in SHOWN if words[1] == "run"])
def test_runs_ask_for_what_exists(where: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[matrix.Plan] = []
    monkeypatch.setattr(matrix, "execute", lambda plan, noted: asked.append(plan))
    needs_files = "./" in " ".join(words) or "file:ml-100k" in " ".join(words) or "--dry-run" in words
    if not needs_files and where != OWN:
        found = CliRunner().invoke(cli.app, words[1:])
        assert found.exit_code == 0, found.output
        subjects, contract, _ = matrix.resolve(asked[0])
        assert subjects
        assert contract.decoder == "beam"


@pytest.mark.parametrize(("where", "words"), SHOWN)
def test_commands_and_their_options_exist(where: str, words: list[str]) -> None:
    """Every command on every page is parsed by the command line itself."""
    command: Any = typer.main.get_command(cli.app)
    left = words[1:]
    while isinstance(command, click.Group) or hasattr(command, "commands"):
        assert left[0] in command.commands, f"{where}: {' '.join(words)}"
        command, left = command.commands[left[0]], left[1:]
    command.make_context(command.name, list(left))


def options(command: Any, path: str = "bench") -> Iterator[tuple[str, list[str]]]:
    """Of every command below this one, each option by all of its names; a command without any is there as well."""
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from options(inner, f"{path} {name}")
        return
    yield path, [path]
    found = (each for each in command.params if each.param_type_name == "option")
    yield from ((path, [*each.opts, *each.secondary_opts]) for each in found)


def test_every_command_and_option_is_on_a_page() -> None:
    pages = "\n".join(EVERYTHING.values())
    found = list(options(typer.main.get_command(cli.app)))
    assert len(found) > 100
    unsaid = [
        (path, names)
        for path, names in found
        if not any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", pages) for name in names)
    ]
    assert unsaid == []


def test_scheme_in_the_readme_is_as_short_as_it_says() -> None:
    code = [line for line in blocks(README, "python")[0].splitlines() if line.strip() and not line.startswith("#")]
    assert len(code) <= 12


def test_the_baseline_of_the_docs_recommends_what_came_last(toy: Dataset) -> None:
    names: dict[str, Any] = {}
    exec(blocks(page("own-baseline"), "python")[0], names)
    split = leave_one_out(toy)
    baseline = names["Newest"]()
    baseline.fit(split.train)
    scores = baseline.score(split.test.histories)
    assert scores.shape == (40, 30)
    assert set(np.argmax(scores, axis=1)) == {split.train.sequences.values[-1]}


def test_the_function_of_the_docs_offers_the_data_set_beside_it(toy: Dataset, tmp_path: Path) -> None:
    names: dict[str, Any] = {"__file__": str(tmp_path / "shop.py")}
    exec(blocks(page("own-data-set"), "python")[0], names)
    write_atomic(replace(toy, name="my_shop"), tmp_path / "my_shop")
    assert sources.find(str(names["folder"]())).name == "my_shop"
    heads = [line.split(":", 1) for line in blocks(page("own-data-set"), "text")[0].splitlines()]
    shown = {name: columns.split() for name, columns in heads}
    made = (tmp_path / "my_shop" / "my_shop.inter").read_text(encoding="utf-8").splitlines()[0]
    assert shown["my_shop.inter"] == made.split("\t")
    assert shown["my_shop.item"][0] == "item_id:token"


def test_make_targets_exist() -> None:
    targets = {target for text in EVERYTHING.values() for target in re.findall(r"(?:^|`)make ([\w-]+)", text, re.M)}
    assert {"demo", "docs", "test", "install"} <= targets
    for target in targets:
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("name", EVERYTHING)
def test_links_lead_somewhere(name: str) -> None:
    folder = ROOT if name == "README" else PAGES
    for target in re.findall(r"\]\(([^)]+)\)", EVERYTHING[name]):
        path, _, anchor = target.partition("#")
        assert target.startswith("http") or not path or (folder / path).exists(), target
        if anchor and not target.startswith("http"):
            text = (folder / path).read_text(encoding="utf-8") if path else EVERYTHING[name]
            heads = {re.sub(r"\W+", "-", head.lower()).strip("-") for head in re.findall(r"^#+ (.*)$", text, re.M)}
            assert anchor in heads, target


def test_every_page_is_in_the_navigation() -> None:
    listed = re.findall(r": ([\w-]+)\.md$", (ROOT / "docs" / "mkdocs.yml").read_text(encoding="utf-8"), re.M)
    assert sorted(listed) == sorted(path.stem for path in PAGES.glob("*.md"))


def test_sentences_of_the_readme_are_short() -> None:
    text = re.sub(r"```.*?```|^\|.*$|^#.*$|^!.*$|\]\([^)]*\)", "", README, flags=re.DOTALL | re.M)
    sentences = re.split(r"(?<=[.:;?])\s+|\n\n", text)
    assert max((len(sentence.split()), sentence) for sentence in sentences) < (26, "")


def test_probes_stand_before_whatever_is_trained() -> None:
    """A reader sees first what rules that only count have."""
    rows = [line.split("|")[1].strip() for line in README.splitlines() if re.match(r"\| [^|]+ \| 0\.\d", line)]
    probes = [row.endswith("(probe)") for row in rows]
    assert len(rows) == 12
    assert probes == sorted(probes, reverse=True)
    assert {"graph (probe)", "markov (probe)"} <= set(rows)
