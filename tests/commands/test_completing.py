"""Completion in a real shell: the names that are installed, the last of a list, and quickly."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from bench import plugins
from bench.commands import completing
from bench.commands.completing import listed
from bench.contract import PRESETS
from bench.data import registry

BENCH = Path(sys.executable).with_name("bench")


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("", ["alpha", "beta", "bet+a"]),
        ("be", ["beta", "bet+a"]),
        ("alpha,", ["alpha,beta", "alpha,bet+a"]),
        ("alpha,beta,b", ["alpha,beta,bet+a"]),
        ("gamma", []),
    ],
)
def test_the_last_of_a_list_is_completed_and_no_name_twice(typed: str, found: list[str]) -> None:
    assert sorted(listed(lambda: ["beta", "alpha", "bet+a"])(typed)) == sorted(found)


def test_of_joined_data_sets_the_last_is_completed() -> None:
    assert listed(lambda: ["toys", "beauty"], "+")("sports,toys+b") == ["sports,toys+beauty"]


def test_what_is_broken_completes_nothing() -> None:
    def broken() -> Iterator[str]:
        raise OSError("no such folder")

    assert listed(broken)("a") == []


def test_names_are_those_that_are_installed_known_and_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy_folder: Path
) -> None:
    monkeypatch.setenv("BENCH_DATA_DIR", str(toy_folder.parent))
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path))
    run = tmp_path / "runs" / "my%2Edata" / "textual.title@2+abc" / "1-2" / "0"
    run.mkdir(parents=True)
    (run / "result.json").touch()
    assert set(completing.schemes()) == {"all", "file:", *plugins.names(plugins.SCHEMES)}
    assert set(completing.baselines()) == {"all", *plugins.names(plugins.BASELINES)}
    assert {"toy", *registry.load()} <= set(completing.datasets())
    assert completing.presets() == list(PRESETS)
    offered = entry_points(group="bench.recipes").names
    assert set(completing.recipes()) == {name.partition(":")[2] for name in offered} >= {"published", "qwen"}
    assert "epochs=" in completing.settings()
    assert (completing.stored(), completing.tested()) == (["textual/title"], ["my.data"])


def test_nothing_heavy_is_imported_for_it() -> None:
    code = (
        "import sys; from bench import cli\nfrom bench.commands import completing as c\n"
        "c.schemes(), c.baselines(), c.datasets(), c.presets(), c.settings(), c.recipes(), c.stored(), c.tested()\n"
        "assert not {'numpy', 'torch', 'pandas', 'pyarrow'} & sys.modules.keys(), sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(not BENCH.exists(), reason="bench is not installed as a command beside this Python")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("bench run --baseline po", {"pop"}),
        ("bench run --id-scheme pop,textual/ti", {"pop,textual/title"}),
        ("bench report --preset ", set(PRESETS)),
    ],
)
def test_bash_completes_what_was_installed(words: str, found: set[str], bash: Callable[[str], str]) -> None:
    empty = "''" if words.endswith(" ") else ""
    said = bash(
        f"source ~/.bash_completions/bench.sh; COMP_WORDS=({words}{empty}); "
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _bench_completion bench; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    assert set(said.split()) == found


@pytest.fixture(scope="module")
def bash(started: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Runs a script in a bash of a new user, who has installed the completion."""
    home = tmp_path_factory.mktemp("home")
    environment = {**started, "HOME": str(home), "PATH": f"{BENCH.parent}{os.pathsep}{os.environ['PATH']}"}

    def run(script: str) -> str:
        # Commands in a row, so that bash stays there to be found as the shell.
        done = subprocess.run(
            ["bash", "--norc", "-c", f"{script}\ntrue"], capture_output=True, text=True, check=True, env=environment
        )
        return done.stdout

    assert "bash completion installed" in run("bench --install-completion")
    assert "bench.sh" in (home / ".bashrc").read_text()
    return run
