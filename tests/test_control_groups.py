"""The least limit of a process's own group and of all above it, in trees as Linux shows them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bench import control_groups

NO_LIMIT_1 = str(2**63 - 4096)  # what version 1 says where there is none


def tree(home: Path, own: str, limits: dict[str, str]) -> float:
    """What is found where a process is in the groups ``own``, and the files below the mount say these limits."""
    (home / "own").write_text(own)
    for name, text in limits.items():
        path = home / "mounted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return control_groups.memory_limit(home / "own", home / "mounted")


def version_2(path: str) -> str:
    return f"{path}/memory.max".lstrip("/")


def version_1(path: str) -> str:
    return f"memory{path}/memory.limit_in_bytes"


SLURM = "/system.slice/slurmstepd.scope/job_7/step_0/user/task_0"


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        ({SLURM: "max", "/system.slice/slurmstepd.scope/job_7": "64000", "/system.slice": "max"}, 64000),
        ({SLURM: "100", "/system.slice/slurmstepd.scope/job_7": "64000"}, 100),
        ({SLURM: "64000", "/system.slice": "200"}, 200),  # the least, wherever it stands
        ({SLURM: "max"}, math.inf),  # the root of a machine has no such file
        ({"/user.slice": "5", "/system.slice/other": "6"}, math.inf),  # others' groups
        ({SLURM: "nonsense", "/system.slice": "300"}, 300),
    ],
)
def test_groups_of_version_2_on_the_way_to_the_root(limits: dict[str, str], found: float, tmp_path: Path) -> None:
    assert tree(tmp_path, f"0::{SLURM}\n", {version_2(path): text for path, text in limits.items()}) == found


def test_groups_of_version_1_on_the_way_to_the_root(tmp_path: Path) -> None:
    own = "9:name=systemd:/else\n5:cpu,cpuacct:/cpus\n4:memory:/slurm/uid_1/job_7\n"
    limits = {"/slurm/uid_1/job_7": "64000", "/slurm/uid_1": NO_LIMIT_1, "/slurm": "70000", "": NO_LIMIT_1}
    assert tree(tmp_path, own, {version_1(path): text for path, text in limits.items()} | {"cpu/cpus/x": "1"}) == 64000


def test_both_versions_at_once(tmp_path: Path) -> None:
    own = "4:memory:/process_api/f00d\n0::/\n"
    limits = {version_1("/process_api/f00d"): "500", version_1(""): NO_LIMIT_1, "unified/cgroup.procs": "1"}
    assert tree(tmp_path, own, limits) == 500
    assert tree(tmp_path, own.replace("0::/", "0::/a:b"), {"unified/a:b/memory.max": "400"}) == 400


def test_a_container_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    assert tree(tmp_path, "0::/\n", {"memory.max": "800"}) == 800
    # Without a namespace of its own it is told the name outside, where it sees no folder.
    assert tree(tmp_path, "4:memory:/docker/f00d\n0::/docker/f00d\n", {version_1(""): "700"}) == 700
    assert tree(tmp_path, "0::/../other\n", {"other/memory.max": "600"}) == 600


def test_where_nothing_is_said_there_is_no_limit(tmp_path: Path) -> None:
    assert control_groups.memory_limit(tmp_path / "absent", tmp_path / "absent") == math.inf
    assert tree(tmp_path, "", {"memory.max": "5"}) == math.inf
    assert tree(tmp_path, "what is this\n\n:::\n", {}) == math.inf
    (tmp_path / "own").unlink()
    assert control_groups.memory_limit(tmp_path / "own", tmp_path / "mounted") == 5, "no /proc, and yet a container"
