"""What pip does where two distributions own one package, in a fresh environment: the commands that bench gives work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import hashlib, sys
import numpy as np
from bench import faiss_library
from bench.errors import BenchError
vectors = np.random.default_rng(0).standard_normal((3000, 32)).astype(np.float32)
try:
    for levels in (64, 16):
        codes, centroids = faiss_library.kmeans(vectors, levels, 3, *sys.argv[1:])
        print(hashlib.sha256(codes.tobytes() + centroids.tobytes()).hexdigest())
    turned, matrix = faiss_library.rotation(vectors, 4)
    print(hashlib.sha256(turned.tobytes() + matrix.tobytes()).hexdigest())
    print(faiss_library.build(), file=sys.stderr)
except BenchError as error:
    sys.exit(str(error))
"""
pytestmark = pytest.mark.long


class Environment:
    """An empty one, in which bench itself is read from its source."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=300)
        self.bin = folder / "bin"

    def pip(self, *words: str) -> None:
        done = subprocess.run(
            [str(self.bin / "python"), "-m", "pip", "--disable-pip-version-check", *words],
            capture_output=True,
            text=True,
            timeout=1500,
        )
        if "No matching distribution" in done.stderr or "NewConnectionError" in done.stderr:
            pytest.skip(f"the registry of packages does not answer for {' '.join(words)}")
        assert done.returncode == 0, done.stderr[-2000:]

    def learned(self, *words: str) -> subprocess.CompletedProcess[str]:
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [str(self.bin / "python"), "-c", PROGRAM, *words]
        return subprocess.run(command, env=variables, cwd=self.bin, capture_output=True, text=True, timeout=300)

    def follow(self, message: str) -> None:
        """Do what the message says: its pip commands, in order."""
        commands = re.findall(r"pip ((?:un)?install [^&(\n]+)", message)
        assert commands, message
        for command in commands:
            self.pip(*command.split())


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    if sys.platform != "linux":
        pytest.skip("faiss-gpu has wheels for Linux alone")
    found = Environment(tmp_path_factory.mktemp("fresh") / "venv")
    found.pip("install", f"numpy=={version('numpy')}", f"faiss-cpu=={version('faiss-cpu')}")
    return found


def test_the_build_for_gpus_takes_the_place_of_the_other_and_learns_the_same(environment: Environment) -> None:
    plain = environment.learned()
    assert plain.returncode == 0, plain.stderr
    assert "built for the CPU" in plain.stderr

    environment.pip("install", f"faiss-gpu=={version('faiss-cpu')}")  # what one would try first
    both = environment.learned()
    assert both.returncode == 1
    assert "faiss-cpu and faiss-gpu are installed together" in both.stderr
    environment.follow(both.stderr)
    alone = environment.learned()
    assert alone.returncode == 0, alone.stderr
    assert "built for GPUs" in alone.stderr
    assert alone.stdout == plain.stdout
    if "sees none" in alone.stderr:  # a run on a device that faiss does not see clusters on the CPU
        assert environment.learned("cuda:0").stdout == plain.stdout

    environment.pip("install", f"faiss-cpu=={version('faiss-cpu')}")  # as installing bench anew does
    assert "installed together" in environment.learned().stderr
    environment.pip("uninstall", "-y", "faiss-cpu")  # takes files of the other along
    gone = environment.learned()
    assert gone.returncode == 1
    assert "the files of faiss are gone, though faiss-gpu is there" in gone.stderr
    environment.follow(gone.stderr)
    assert environment.learned().stdout == plain.stdout
