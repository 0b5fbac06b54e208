"""The first minutes after `pip install` of the wheel: no RecBole, no data, nothing but what the wheel brings."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Of what is installed here: another copy of bench, and what does not come with it.
ABSENT = ("bench", "item_identifier_bench", "_item_identifier_bench", "__editable__", "recbole")
ABSENT += ("_bench", "_virtualenv", "distutils-precedence")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python of its own with the wheel in it, and with the libraries that it depends on."""
    folder = tmp_path_factory.mktemp("environment")
    dist = folder / "dist"
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    venv.create(folder / "venv", symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
    for place in [Path(path) for path in sys.path if path.endswith("site-packages")][::-1]:
        for found in place.iterdir():
            if not found.name.startswith(ABSENT) and found.suffix != ".pth":
                (site / found.name).unlink(missing_ok=True)
                (site / found.name).symlink_to(found)
    (wheel,) = dist.glob("*.whl")
    options = ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--target", str(site)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True, capture_output=True)
    return folder / "venv"


@pytest.fixture
def films(web: Any, tmp_path: Path) -> Path:
    """A list of sources with MovieLens-100k of 40 users and films at an address that can be reached here."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        rows = [f"{u}\t{(7 * u + 3 * step) % 40 + 1}\t5\t{881250949 + step}" for u in range(40) for step in range(9)]
        archive.writestr("ml-100k/u.data", "\n".join(rows))
        flags = "|".join("0" * 18) + "|1"
        titles = [f"{item + 1}|Film number {item} (1995)|||http://x|{flags}" for item in range(40)]
        archive.writestr("ml-100k/u.item", "\n".join(titles))
    web.files["ml-100k.zip"] = data.getvalue()
    listed = tmp_path / "sources.toml"
    listed.write_text(
        '[ml-100k]\ndescription = "Films"\npage = "https://example.org"\nlicence = "research only"\n'
        'must_accept = true\nconversion = "movielens-100k"\nversion = 1\ntext = ["title", "year", "genres"]\n'
        f'files = [{{ role = "archive", name = "ml-100k.zip", urls = ["{web.url("ml-100k.zip")}"] }}]\n'
    )
    return listed


def call(environment: Path, folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """``bench`` of that environment for a user whose home is empty."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    variables = {**kept, "HOME": str(folder), "COLUMNS": "200", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **more}
    command = [environment / "bin" / "python", "-m", "bench", *words]
    return subprocess.run(command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX")
def test_from_the_wheel_to_a_report(environment: Path, films: Path, web: Any, tmp_path: Path) -> None:
    listed = call(environment, tmp_path, "ls")
    assert listed.returncode == 0, listed.stderr
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in listed.stdout.splitlines() if line.strip()}
    assert rows["ml-100k"].startswith("not here: bench data get ml-100k --accept-licence")
    assert rows["sasrec/ce"].startswith("lacks recbole")
    assert rows["pop"].startswith("Every user gets the items with the most training interactions")
    assert str(environment) not in listed.stdout

    run = (
        "run",
        "--id-scheme",
        "textual/title,numeric",
        "--baseline",
        "all",
        "--preset",
        "smoke",
        "--set",
        "max_steps=2",
    )
    refused = call(environment, tmp_path, *run)
    assert refused.returncode == 1
    assert "get it: bench data get ml-100k --accept-licence;" in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr

    done = call(environment, tmp_path, *run, "--yes", BENCH_SOURCES=str(films))
    assert done.returncode == 0, done.stderr
    assert "skipped in 'all' on ml-100k: bert4rec, caser, fdsa, " in done.stderr
    assert (tmp_path / ".local" / "share" / "bench" / "ml-100k" / "dataset.json").is_file()
    report = call(environment, tmp_path, "report")
    assert report.returncode == 0, report.stderr
    for name in ("textual/title", "numeric", "pop", "random"):
        assert f"| {name}" in (tmp_path / "results" / "report.md").read_text()
    assert len(web.asked) == 1
