"""Text from strangers is shown and does nothing: on terminals, in notebooks, in files, in any encoding."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Column, Table

from bench.console import WHOLE, Console, bold, visible

ESCAPES = "\x1b]0;title\x07\x1b[2J\x1b]52;c;cm0=\x07\x9b31m\u202ekcab\u2066"


def printed(*texts: object, terminal: bool = True, width: int = 80) -> str:
    file = io.StringIO()
    Console(file=file, force_terminal=terminal, width=width, color_system=None).print(*texts)
    return file.getvalue()


def steers(text: str) -> bool:
    """Whether any character but a line end does something to a terminal."""
    return any((ord(sign) < 32 and sign != "\n") or 127 <= ord(sign) < 160 or sign in "\u202e\u2066" for sign in text)


def test_escapes_do_nothing_wherever_they_are_printed() -> None:
    table = Table(ESCAPES)
    table.add_row(ESCAPES)
    for found in (printed(ESCAPES), printed(bold(ESCAPES)), printed(table), visible(ESCAPES)):
        assert not steers(found)
        assert "title" in found


@given(st.text())
def test_no_text_at_all_steers_a_terminal(text: str) -> None:
    assert not steers(visible(text))
    assert not steers(printed(text, terminal=False))


@pytest.mark.parametrize("item", [":star:", "[red]B00X[/]", "[/]", "http://x.y/z?a=1", "a\\[b]", "007", "'x'"])
def test_an_id_that_is_printed_can_be_pasted_back(item: str) -> None:
    assert printed(item).rstrip("\n") == item
    table = Table("item", show_header=False, box=None, pad_edge=False)
    table.add_row(item)
    assert printed(table).strip() == item


def test_a_long_id_is_neither_cut_nor_wrapped_on_a_narrow_terminal() -> None:
    item, file = "item-" * 20, io.StringIO()
    table = Table(Column("item", **WHOLE), "title", box=None)
    table.add_row(item, "a title of many words that are not needed here")
    Console(file=file, force_terminal=True, width=40, color_system=None).show(table)
    assert item in file.getvalue()


def test_colors_that_are_forced_make_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not Console(file=io.StringIO()).lively


PROGRAM = """
from rich.table import Table
from bench import console, machine
console.write_anyhow()
console.Console().print("caf\\u00e9 \\u2605 \\u6771\\u4eac")
machine.show({"title": "caf\\u00e9 \\u2605", "half": "\\ud800"})
console.say("bench: \\u2605 \\ud800 \\x1b[2J")
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gbk", "cp1252", "utf-8"])
def test_every_terminal_shows_something(encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode(encoding)
    assert "caf" in done.stdout.decode(encoding)
    assert b"\x1b" not in done.stdout + done.stderr


LONG = """
import pathlib, sys
from bench import console, machine
machine.show(["line"] * 100_000) if sys.argv[1] == "json" else console.Console().print("line\\n" * 100_000)
console.Console().print("more")
pathlib.Path(sys.argv[2]).write_text("written")
"""


@pytest.mark.parametrize("what", ["json", "text"])
def test_whoever_stops_reading_ends_nothing_else(what: str, tmp_path: Path) -> None:
    """``bench report --html page.html | head`` writes the page."""
    command = [sys.executable, "-c", LONG, what, str(tmp_path / "file")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read().decode()
    assert (process.returncode, said) == (0, "")
    assert (tmp_path / "file").read_text() == "written"


@pytest.mark.parametrize("unset", [("HOME",), ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "USER", "LOGNAME", "TERM")])
def test_a_user_without_home_or_name_sees_what_there_is(unset: tuple[str, ...], tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in unset} | {"COLUMNS": "80"}
    command = [sys.executable, "-m", "bench", "ls", "--results", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert "numeric/random" in done.stdout
