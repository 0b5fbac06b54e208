"""The README is executed: its commands run, its scheme competes, its links and make targets exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench import cli
from bench.runs import matrix

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
QUICK = ["--set", "max_steps=2", "--set", "validation_users=20", "--set", "max_history=5"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands(language: str, start: str) -> list[list[str]]:
    """The words of every command line of the fenced blocks that begins with ``start``."""
    lines = [line for block in blocks(language) for line in block.splitlines() if line.startswith(start)]
    assert lines, f"the README has no {start} command in a {language} block any more"
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.skipif(sys.platform == "win32", reason="the README speaks to a POSIX shell")
def test_commands_run_and_the_scheme_in_the_readme_gets_a_row(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(blocks("python")[0])
    for words in commands("sh", ".venv/bin/bench"):
        quick = QUICK if words[1] == "run" else []
        done = subprocess.run([sys.executable, "-m", "bench", *words[1:], *quick], cwd=tmp_path, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "quality.png").stat().st_size > 10_000
    assert "numeric/<wbr>random" in (tmp_path / "report.html").read_text()
    subprocess.run([sys.executable, "-m", "bench", "report"], cwd=tmp_path, check=True, capture_output=True)
    report = (tmp_path / "results" / "report.md").read_text()
    assert all(f"| {name}" in report for name in ("textual/title", "numeric/random", "alphabetical", "pop", "random"))


@pytest.mark.parametrize("words", commands("text", "bench run") + commands("text", "torchrun"))
def test_longer_commands_ask_for_what_exists(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[matrix.Plan] = []
    monkeypatch.setattr(matrix, "execute", asked.append)
    found = CliRunner().invoke(cli.app, words[words.index("run") :])
    assert found.exit_code == 0, found.output
    subjects, contract, _ = matrix.resolve(asked[0])
    assert subjects
    assert contract.decoder == "beam"


def test_scheme_in_the_readme_is_as_short_as_it_says() -> None:
    code = [line for line in blocks("python")[0].splitlines() if line.strip() and not line.startswith("#")]
    assert len(code) <= 12


def test_make_targets_exist() -> None:
    for words in commands("text", "make"):
        subprocess.run(["make", "--dry-run", words[1]], cwd=ROOT, check=True, capture_output=True)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_probes_stand_before_whatever_is_trained() -> None:
    """A reader sees first what rules that only count have."""
    rows = [line.split("|")[1].strip() for line in README.splitlines() if re.match(r"\| [^|]+ \| 0\.\d", line)]
    probes = [row.endswith("(probe)") for row in rows]
    assert rows
    assert probes == sorted(probes, reverse=True)
    assert {"graph (probe)", "markov (probe)"} <= set(rows)
