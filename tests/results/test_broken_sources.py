"""Broken runs and archives among what is joined or packed: skipped, named, and exit code 1; the rest is done."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.results import archive, digests, joining
from bench.results import read as stored

Bench = Callable[..., SimpleNamespace]
MEMBERS = {name: f"runs/toy/{name}@1/[^']*/0/" for name in ("pop", "random")}


@pytest.fixture(scope="module")
def mine(bench: Bench, quick: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("mine")
    said = bench("run", "--baseline", "pop,random", *quick, "--results", results)
    assert said.code == 0, said.err
    return results


@pytest.fixture
def broken(mine: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A copy, and the result of `pop` in it, to be broken."""
    shutil.copytree(mine, tmp_path / "broken")
    (file,) = (tmp_path / "broken").glob("runs/*/pop*/*/0/result.json")
    return tmp_path / "broken", file


@pytest.fixture(scope="module")
def sent(bench: Bench, mine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sent") / "theirs.zip"
    assert bench("results", "pack", "--results", mine, "--out", path).code == 0
    return path


def names(results: Path) -> list[str]:
    return sorted(run.scheme.name for run in stored.load(results, whole=True))


def changed_archive(source: Path, path: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """The same members with other content."""
    with zipfile.ZipFile(source) as read, zipfile.ZipFile(path, "w") as write:
        for name in read.namelist():
            write.writestr(name, change(name, read.read(name)))
    return path


@pytest.mark.parametrize("how", ["truncated", "changed", "of another schema", "without its table"])
def test_whatever_breaks_a_run_it_is_skipped_and_the_exit_code_is_1(
    bench: Bench, broken: tuple[Path, Path], tmp_path: Path, how: str
) -> None:
    folder, file = broken
    content = file.read_bytes()
    if how == "without its table":
        file.with_name("per_user.parquet").unlink()
    else:
        other = {"truncated": content[:500], "changed": content.replace(b'"seed": 0', b'"seed": 1')}
        file.write_bytes(other.get(how, re.sub(rb'"schema": \d+', b'"schema": 999', content)))
    for command, *words in (["join", str(folder)], ["pack", "--results", str(folder)]):
        out = tmp_path / command
        said = bench("results", command, *words, "--out", out)
        assert said.code == 1, said.err
        (skipped,) = (line for line in said.err.splitlines() if line.startswith("skipped: "))
        assert str(file.parent) in skipped
        assert names(out) == ["random"]


def test_wherever_a_result_is_cut_off_it_hurts_no_other(broken: tuple[Path, Path]) -> None:
    folder, file = broken
    content = file.read_bytes()
    for length in range(0, len(content), 97):
        file.write_bytes(content[:length])
        with joining.opened([str(folder)]) as found:
            assert [run.scheme.name for _, run in found.runs] == ["random"]
            assert len(found.skipped) == 1


def test_what_is_broken_in_an_archive_is_named_as_it_is_called_there(bench: Bench, sent: Path, tmp_path: Path) -> None:
    def cut(name: str, content: bytes) -> bytes:
        return content[:300] if "/pop@" in name and name.endswith("result.json") else content

    def other(name: str, content: bytes) -> bytes:
        return content + b" " if "/random@" in name and name.endswith("result.json") else content

    def lost(name: str, content: bytes) -> bytes:
        return b"PAR1" if "/users-" in name else content

    for change, count in ((cut, 1), (other, 1), (lost, 2)):
        path = changed_archive(sent, tmp_path / f"{change.__name__}.zip", change)
        said = bench("results", "join", sent, path, "--out", tmp_path / "out")
        assert said.code == 1
        skipped = [line for line in said.err.splitlines() if line.startswith("skipped: ")]
        assert len(skipped) == count
        for line in skipped:
            assert re.match(rf"skipped: 'runs/toy/[^']*' in '{path}' ", line), line
            assert line.endswith(f"; {archive.ADVICE}")
            assert "/tmp" not in line.replace(str(tmp_path), "")
            assert "--force" not in line
        assert names(tmp_path / "out") == ["pop", "random"]


def test_a_member_that_cannot_be_unpacked_costs_its_run_alone(bench: Bench, sent: Path, tmp_path: Path) -> None:
    path = tmp_path / "sent.zip"
    content = bytearray(sent.read_bytes())
    with zipfile.ZipFile(sent) as read:
        (table,) = (each for each in read.infolist() if re.fullmatch(MEMBERS["pop"] + "per_user.*", each.filename))
    content[table.header_offset + 30 + len(table.filename) + 9] ^= 0xFF
    path.write_bytes(content)
    said = bench("results", "join", path, "--out", tmp_path / "out")
    assert said.code == 1
    (skipped,) = (line for line in said.err.splitlines() if line.startswith("skipped: "))
    assert skipped.startswith(f"skipped: '{table.filename}' in '{path}' cannot be unpacked (Bad CRC-32")
    assert names(tmp_path / "out") == ["random"]


@pytest.mark.parametrize(
    "name", ["runs/toy/random@1/x/0/result.json/runs/a/b/c/0/result.json", f"runs/{'x' * 300}/b/c/0/result.json"]
)
def test_a_member_whose_name_is_impossible_hurts_no_other(bench: Bench, sent: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "sent.zip"
    shutil.copyfile(sent, path)
    with zipfile.ZipFile(path, "a") as write:
        write.writestr("runs/toy/random@1/x/0/result.json", "{}")
        write.writestr(name, "{}")
    said = bench("results", "join", path, "--out", tmp_path / "out")
    assert said.code == 1
    (skipped,) = (line for line in said.err.splitlines() if "cannot be unpacked" in line)
    assert re.search(r"\((Not a directory|File name too long)\)", skipped)
    assert names(tmp_path / "out") == ["pop", "random"]


def test_nothing_outside_is_removed_where_a_member_cannot_be_unpacked(tmp_path: Path) -> None:
    victim = tmp_path / "runs/a/b/c/0/result.json"
    victim.parent.mkdir(parents=True)
    victim.write_text("mine")
    path, folder = tmp_path / "evil.zip", tmp_path / "here" / "unpacked"
    with zipfile.ZipFile(path, "w") as write:
        write.writestr("../../runs/a/b/c/0/result.json", "evil")
        write.writestr("runs/a/b/c/1/result.json", "{}")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"evil", b"live"))
    folder.mkdir(parents=True)
    assert list(archive.unpack(path, folder)) == [folder / "runs/a/b/c/0/result.json"]
    assert victim.read_text() == "mine"


def test_a_name_with_a_backslash_is_refused_and_costs_its_run_alone(bench: Bench, sent: Path, tmp_path: Path) -> None:
    """As some programs of Windows write them, which this system takes for a part of a name."""
    path = tmp_path / "odd.zip"
    with zipfile.ZipFile(sent) as old, zipfile.ZipFile(path, "w") as new:
        names = [name for name in old.namelist() if name.endswith("result.json")]
        for name in old.namelist():
            new.writestr(name.replace("/", "\\") if name == names[0] else name, old.read(name))
    said = bench("results", "join", path, "--out", tmp_path / "joined")
    odd = names[0].replace("/", "\\")
    reason = "cannot be unpacked (its name has a backslash, as no file of a packed run has)"
    assert f"'{odd}' in '{path}' {reason}; {archive.ADVICE}" in said.err
    assert not [each for each in tmp_path.rglob("*") if "\\" in each.name]
    assert len(list((tmp_path / "joined").rglob("result.json"))) == len(names) - 1


def test_an_archive_that_is_none_is_skipped_beside_others(bench: Bench, mine: Path, sent: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.zip"
    half.write_bytes(sent.read_bytes()[:-100])
    said = bench("results", "join", half, mine, "--out", tmp_path / "out")
    assert said.code == 1
    assert f"skipped: cannot read '{half}': File is not a zip file; {archive.ADVICE}" in said.err
    assert f"note: nothing of {half} can be read, so other sources are compared with {mine}" in said.err
    assert f"joined in {tmp_path / 'out'}: 0 runs of {half}, 2 runs of {mine}" in said.err
    alone = bench("results", "join", half, "--out", tmp_path / "none")
    assert (alone.code, alone.err) == (1, f"bench: cannot read '{half}': File is not a zip file; {archive.ADVICE}\n")
    assert not (tmp_path / "none").exists()


def test_where_nothing_can_be_read_every_run_is_named(bench: Bench, mine: Path, tmp_path: Path) -> None:
    shutil.copytree(mine, tmp_path / "broken")
    for file in (tmp_path / "broken").rglob("result.json"):
        file.write_text("{")
    said = bench("results", "join", tmp_path / "broken", "--out", tmp_path / "out")
    assert said.code == 1
    assert [line.partition(": ")[0] for line in said.err.splitlines()] == ["skipped", "bench"]


def test_runs_that_do_not_fit_are_counted_in_one_line(bench: Bench, mine: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(mine, other)
    for file in other.rglob("result.json"):
        text = file.read_text()
        print_ = re.search(r'"fingerprint": "(\w+)"', text)
        assert print_
        file.write_text(text.replace(print_[1], "0123456789abcdef"))
        digests.seal(file.parent)
    said = bench("results", "join", mine, other, "--out", tmp_path / "out")
    assert said.code == 0
    first, *_ = said.err.splitlines()
    expected = f"left out: 2 runs of {other}, which cannot be compared with any of the first source: 2 of other data"
    assert first == f"{expected} (--details names them, --all takes them)"
    assert said.err.count("left out") == 1
    named = bench("results", "join", mine, other, "--out", tmp_path / "out", "--details").err
    assert len(re.findall(r"^left out: \w+ on toy, seed 0 of \S+: other data, toy 012345 and ", named, re.M)) == 2
