"""A real Slurm of two nodes on this machine without an installation: daemons of its own, ended by their numbers."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "slurm-wlm-basic-plugins", "munge", "libmunge2", "libhwloc15")
LIBRARIES = ("usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/slurm-wlm")

CONFIGURATION = """
ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={home}/munge.socket
CredType=cred/munge
PluginDir={plugins}
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool-%n
SlurmctldPidFile={home}/ctld.pid
SlurmdPidFile={home}/slurmd-%n.pid
SlurmctldLogFile={home}/ctld.log
SlurmdLogFile={home}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
KillWait=30
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=4000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=4000
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class UnavailableError(Exception):
    """Why there can be no Slurm here."""


def unpacked(folder: Path) -> Path:
    """The root of Debian's packages, unpacked."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise UnavailableError("there is no apt-get to fetch Slurm's packages with")
    (folder / "packages").mkdir()
    fetched = subprocess.run(
        ["apt-get", "download", *PACKAGES], cwd=folder / "packages", capture_output=True, text=True, check=False
    )
    if fetched.returncode:
        raise UnavailableError(f"Slurm's packages cannot be fetched: {fetched.stderr.splitlines()[-1:]}")
    for package in (folder / "packages").glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, folder / "root"], check=True)
    return folder / "root"


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Cluster:
    """``environment`` is that of whoever uses it."""

    def __init__(self, folder: Path) -> None:
        self.root, self.home = unpacked(folder), folder / "home"
        (self.home / "state").mkdir(parents=True)
        self.home.chmod(0o755)
        libraries = os.pathsep.join(str(self.root / each) for each in LIBRARIES)
        text = CONFIGURATION.format(
            host=socket.gethostname(),
            ports=free_ports(3),
            home=self.home,
            plugins=self.root / LIBRARIES[1],
            user=os.environ.get("USER", "root"),
        )
        (self.home / "slurm.conf").write_text(text)
        self.environment = {
            **os.environ,
            "LD_LIBRARY_PATH": libraries,
            "SLURM_CONF": str(self.home / "slurm.conf"),
            "PATH": f"{self.root / 'usr/bin'}{os.pathsep}{os.environ['PATH']}",
        }
        self.daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Bring it up; UnavailableError where it does not come in a minute."""
        key = self.home / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        self.daemon("munged", "-F", "-f", f"--key-file={key}", f"--socket={self.home / 'munge.socket'}",
                    f"--pid-file={self.home / 'munge.pid'}", f"--log-file={self.home / 'munge.log'}",
                    f"--seed-file={self.home / 'munge.seed'}")  # fmt: skip
        time.sleep(1)
        self.daemon("slurmctld-wlm", "-D", "-f", str(self.home / "slurm.conf"))
        for node in ("n1", "n2"):
            (self.home / f"spool-{node}").mkdir()
            stepd = self.root / "usr/sbin/slurmstepd-wlm"
            self.daemon("slurmd-wlm", "-D", "-N", node, "-f", str(self.home / "slurm.conf"), "-d", str(stepd))
        deadline = time.monotonic() + 60
        while self.ask("sinfo", "-h", "-o", "%D %t") != "2 idle":
            if time.monotonic() > deadline:
                logs = "; ".join(path.read_text()[-300:] for path in self.home.glob("*.log"))
                raise UnavailableError(f"Slurm does not come up here: {self.ask('sinfo')}; {logs}")
            time.sleep(0.5)

    def daemon(self, name: str, *words: str) -> None:
        with (self.home / f"{name}.out").open("ab") as out:
            words = (str(self.root / "usr/sbin" / name), *words)
            self.daemons.append(subprocess.Popen(words, env=self.environment, stdout=out, stderr=out))

    def ask(self, *words: str) -> str:
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).strip()

    def stop(self) -> None:
        self.ask("scancel", "--user", os.environ.get("USER", "root"))
        time.sleep(2)
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in self.daemons:
            try:
                daemon.wait(15)
            except subprocess.TimeoutExpired:
                daemon.kill()
