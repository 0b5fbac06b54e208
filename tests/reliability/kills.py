"""Ends `bench` at every step at which it writes, and at any moment, and looks at what is left each time.

    python tests/reliability/kills.py --forked 460 --processes 40 --seed 0

After each end no finished run may be lost, ``bench verify`` must find nothing corrupt, and the same command must come
to what one comes to that was never stopped, bit for bit. Prints the figures as JSON; exit code 1 where one is not so.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}  # before what reads them is imported

import argparse
import hashlib
import itertools
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import forks
import psutil
from forks import ENDS, INTERRUPT, KILL, POWER, TERM, TORN, Stop

TINY = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_heads": 2, "num_layers": 1, "num_decoder_layers": 1}
STAGES = """
from bench.ids.identifiers import TokenIds
from bench.ids.scheme import IdScheme, Stage
from bench.vocabulary import Vocabulary

class Twice(IdScheme):
    name = "mine/twice"

    def named(self, train, order):
        words = Vocabulary.private(train.items.ids)
        return TokenIds.from_lists([words.ids([train.items.ids[place]]) for place in order], words)

    def fit(self, train):
        return self.named(train, range(len(train.items)))

    def stages(self, train, ids):
        yield Stage(ids, "first", budget_fraction=0.5)
        yield Stage(self.named(train, train.random().permutation(len(train.items))), "second", budget_fraction=0.5)
"""
KEPT = ("metrics", "training", "identifiers", "split", "contract", "dataset", "scheme", "seed")  # of result.json
OF_THE_MOMENT = ("result.json", "result.sha256")  # they hold times
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
FINE = (0, 130, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, 143)


@dataclass
class Figures:
    """What came of all ends."""

    kills: int = 0
    by_end: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    corrupt: int = 0
    tracebacks: int = 0
    resumed: int = 0
    resumed_equal: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def killed(self, how: str) -> None:
        self.kills += 1
        if not self.kills % 50:
            print(f"{self.kills} ends, {len(self.faults)} faults", file=sys.stderr, flush=True)
        self.by_end[how] = self.by_end.get(how, 0) + 1

    def fault(self, where: str, what: str) -> None:
        self.faults.append(f"{where}: {what}")
        print(self.faults[-1], file=sys.stderr, flush=True)


class Place:
    """A folder with data, a backbone and scenarios; ``words`` of each are those of its command."""

    def __init__(self, root: Path) -> None:
        self.root, self.log = root, root / "log"
        _write_data(root / "toy")
        (root / "config.json").write_text(json.dumps({"model_type": "t5", **TINY}))
        (root / "mine.py").write_text(STAGES)
        small = ["--dataset", root / "toy", "--preset", "smoke"]
        trained = [f"--set={line}" for line in (f"backbone={root / 'config.json'}", "batch_size=16", "epochs=2")]
        scheme = [*small, *trained, "--set=validate_every=1", "--save-every=0"]
        self.words: dict[str, list[object]] = {
            "baselines": ["run", "--baseline", "markov,repeat", *small],
            "scheme": ["run", "--id-scheme", "numeric/random", *scheme],
            "forced": ["run", "--id-scheme", "numeric/random", *scheme, "--force"],
            "codes": ["run", "--id-scheme", "semantic/rqkmeans", *scheme, "--set=semantic.codes=8"],
            "stages": ["run", "--id-scheme", f"{root / 'mine.py'}:Twice", *scheme],
            "seeds": ["run", "--id-scheme", "numeric/random", "--baseline", "markov", *scheme, "--seed", "0,1"],
        }
        self.steps: dict[str, int] = {}
        self.homes: dict[str, set[str]] = {}  # of the runs that are finished before
        self.expected: dict[str, dict[str, str]] = {}

    def preload(self, names: Sequence[str]) -> None:
        results = ["--results", self.root / "warm"]
        commands = [[*self.words[name], *results] for name in names]
        forks.preload([*commands, ["verify", *results], ["ls", *results]], self.root / "preload.log")
        shutil.rmtree(self.root / "warm")

    def run(self, name: str, results: Path, stop: Stop | None = None) -> int:
        words = [*self.words[name], "--results", results]
        return forks.bench(words, results, self.log, stop)

    def prepare(self, name: str) -> None:
        """What is there before, what the command comes to without a break, and in how many steps."""
        base, whole = self.root / "before" / name, self.root / "whole" / name
        must(forks.bench(["run", "--baseline", "pop", *self.words["baselines"][3:], "--results", base], base, self.log))
        if name == "forced":
            must(self.run("scheme", base))
        shutil.copytree(base, whole)
        must(self.run(name, whole))
        self.steps[name] = int(self.log.with_suffix(".steps").read_text())
        self.expected[name] = substance(whole)

    def fresh(self, name: str) -> Path:
        results = self.root / "results"
        shutil.rmtree(results, ignore_errors=True)
        return Path(shutil.copytree(self.root / "before" / name, results))


def _write_data(folder: Path) -> None:
    """40 users who walk round a circle of 30 items."""
    folder.mkdir()
    rows = [f"u{user}\ti{(user * 3 // 4 + step) % 30:02d}\t{step}\n" for user in range(40) for step in range(6)]
    (folder / "toy.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "".join(rows))
    titles = [f"i{item:02d}\t{('red', 'blue', 'green')[item % 3]} thing {item // 3}\n" for item in range(30)]
    (folder / "toy.item").write_text("item_id:token\ttitle:token_seq\n" + "".join(titles))


def must(code: int) -> None:
    if code:
        raise RuntimeError(f"a command that nobody stopped has ended with code {code}")


def substance(results: Path) -> dict[str, str]:
    """All of finished runs that must repeat: everything but when, where and how fast they ran."""
    found = {}
    for path in forks.below(results / "runs"):
        if path.relative_to(results).parts[4].startswith("."):
            continue
        content = path.read_bytes()
        if path.name == "result.json":
            stored = json.loads(content)
            content = json.dumps({name: stored[name] for name in KEPT}).encode()
        elif path.name in OF_THE_MOMENT or path.suffix == ".log":
            content = b""
        found[str(path.relative_to(results))] = hashlib.sha256(content).hexdigest()
    return found


class Judge:
    """Looks at a results folder after an end, and after the same command has come to its own end."""

    def __init__(self, place: Place, name: str, results: Path, figures: Figures) -> None:
        self.place, self.name, self.results, self.figures = place, name, results, figures
        if name not in place.homes:
            place.homes[name] = set(self._verified("before"))
        self.before = place.homes[name]

    def look(self, where: str, codes: Sequence[int]) -> None:
        """After an end: what was finished is still there, and nothing that counts as finished is corrupt."""
        said = self.place.log.read_text(errors="replace")
        if "Traceback" in said or not set(codes) <= {*FINE}:
            self.figures.tracebacks += 1
            self.figures.fault(where, f"ended with {codes}: {said[-1500:]}")
        found = self._verified(where)
        gone = self.before - {home for home, problems in found.items() if not problems}
        if gone:
            self.figures.lost += len(gone)
            self.figures.fault(where, f"lost {sorted(gone)}")

    def resume(self, where: str) -> None:
        """The same command comes to the same bits, and leaves nothing beside them."""
        code = self.place.run(self.name, self.results)
        self.figures.resumed += 1
        if code:
            self.figures.fault(where, f"resumed, it ended with {code}: {self.place.log.read_text()[-1500:]}")
            return
        self._verified(where)
        found, expected = substance(self.results), self.place.expected[self.name]
        differing = sorted(path for path in {*found, *expected} if found.get(path) != expected.get(path))
        left = [path.name for path in self.results.rglob(".*") if forks.LEASE not in path.name]
        if differing or left:
            self.figures.fault(where, f"resumed, it differs in {differing} and left {left}")
        else:
            self.figures.resumed_equal += 1

    def _verified(self, where: str) -> dict[str, list[str]]:
        """What ``bench verify`` says of each run."""
        log = self.place.root / "verify.log"
        forks.bench(["verify", "--json", "--results", self.results], self.results, log)
        try:
            said: dict[str, Any] = json.loads(log.read_text())
        except ValueError:
            self.figures.fault(where, f"bench verify said: {log.read_text()[-1500:]}")
            return {}
        problems = [line for each in (*said["runs"], *said["caches"]) for line in each["problems"]]
        if problems:
            self.figures.corrupt += 1
            self.figures.fault(where, "; ".join(problems))
        return {_home(each["path"]): each["problems"] for each in said["runs"]}


def _home(path: str) -> str:
    """Where a run belongs that a kill has left between two renamings."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{name[1:].partition('.')[0] if name.startswith('.') else name}"


def points(place: Place, names: Sequence[str], first: int, draw: random.Random) -> Iterator[tuple[str, Stop]]:
    """Every step of every scenario once, killed hard; then any of them again, ended in any way. Without end."""
    steps = [(name, step) for name in names for step in range(place.steps[name])]
    random.Random(0).shuffle(steps)
    for at in itertools.count(first):
        name, step = steps[at % len(steps)]
        hard = draw.choice((KILL, KILL, TORN, POWER))
        soft = at >= len(steps) or at % 6 == 5
        yield name, Stop(step, draw.choice((TERM, INTERRUPT)) if soft else hard)


def forked(place: Place, names: Sequence[str], asked: argparse.Namespace, figures: Figures) -> None:
    """End children at steps; some of those that resume are ended too, before one comes to its end."""
    draw, count = random.Random(f"{asked.seed} {asked.first}"), asked.forked
    for name, stop in points(place, names, asked.first, draw) if count else ():
        results = place.fresh(name)
        judge = Judge(place, name, results, figures)
        while True:
            where = f"{name}, {stop.how} at step {stop.step}"
            code = place.run(name, results, stop)
            figures.killed(stop.how)
            judge.look(where, [code])
            if draw.random() < 0.7 or figures.kills >= count:
                break
            stop = Stop(draw.randrange(place.steps[name]), draw.choice(ENDS))
        judge.resume(where)
        if figures.kills >= count:
            return


def in_pairs(place: Place, count: int, draw: random.Random, figures: Figures) -> None:
    """Two children share one folder; one is ended at a step, and the other does what is left."""
    for _ in range(count):
        results = place.fresh("seeds")
        judge = Judge(place, "seeds", results, figures)
        stop = Stop(draw.randrange(place.steps["seeds"] // 2), draw.choice((KILL, KILL, TORN, TERM)))
        words = [*place.words["seeds"], "--results", results]
        doomed = forks.begin(words, results, place.log, stop)
        other = forks.bench(words, results, place.root / "other.log")
        code = forks.ended(doomed)
        figures.killed(f"{stop.how}, of two workers")
        where = f"two workers, {stop.how} at step {stop.step}"
        judge.look(where, [code, other])
        if other:
            figures.fault(where, f"the other ended with {other}: {(place.root / 'other.log').read_text()[-1500:]}")
        if draw.random() < 0.5 and (found := substance(results)) != place.expected["seeds"]:
            unlike = set(found.items()) ^ set(place.expected["seeds"].items())
            figures.fault(where, f"the other has made {sorted(unlike)}")
        judge.resume(where)


def processes(place: Place, count: int, draw: random.Random, figures: Figures) -> None:
    """Real processes at moments drawn at random; every fourth has two workers, one of which is killed."""
    seconds: dict[str, float] = {}
    for number in range(count):
        name = "seeds" if number % 4 == 3 else draw.choice(("baselines", "scheme", "codes", "stages"))
        jobs = ["--jobs", "2"] if name == "seeds" else []
        if name not in seconds:
            begin = time.monotonic()
            must(_start(place, name, place.fresh(name), jobs).wait())
            seconds[name] = time.monotonic() - begin
        results = place.fresh(name)
        judge = Judge(place, name, results, figures)
        process, kind = _start(place, name, results, jobs), draw.choice(SIGNALS)
        time.sleep(draw.uniform(0.3, 1.0) * seconds[name])
        whole = _send(process, kind, bool(jobs))
        code = process.wait()
        figures.killed(f"{kind.name} of a process{', of two workers' if jobs else ''}")
        where = f"{name}, {kind.name} after a while"
        judge.look(where, [code])
        if jobs and whole and code:
            said = place.log.read_text()[-1500:]
            figures.fault(where, f"the command ended with {code} when a worker was killed: {said}")
        judge.resume(where)


def _start(place: Place, name: str, results: Path, jobs: list[str]) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "bench", *map(str, place.words[name]), "--results", str(results), *jobs]
    with place.log.open("wb") as log:
        return subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)


def _send(process: subprocess.Popen[bytes], kind: signal.Signals, workers: bool) -> bool:
    """Send the signal to the process, or to one of its workers, where it has any; whether it was a worker."""
    try:
        alive = [child for child in psutil.Process(process.pid).children() if "bench.runs.worker" in child.cmdline()]
    except psutil.Error:
        alive = []
    if workers and alive:
        alive[0].send_signal(signal.SIGKILL)
        return True
    process.send_signal(kind)
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forked", type=int, default=420, help="children that are ended at a step")
    parser.add_argument("--pairs", type=int, default=40, help="children of which one of two is ended")
    parser.add_argument("--processes", type=int, default=40, help="processes that are ended at any moment")
    parser.add_argument("--scenarios", default="baselines,scheme,forced,codes,stages")
    parser.add_argument("--first", type=int, default=0, help="the step to begin with, of all in a random order")
    parser.add_argument("--folder", type=Path, help="where to work; by default where temporary files are")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    names, begin, figures = asked.scenarios.split(","), time.monotonic(), Figures()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        place, draw = Place(Path(folder).resolve()), random.Random(asked.seed)
        several = ["seeds"] if asked.pairs or asked.processes else []
        place.preload([*names, *several])
        for name in [*names, *several]:
            place.prepare(name)
        forked(place, names, asked, figures)
        in_pairs(place, asked.pairs, draw, figures)
        processes(place, asked.processes, draw, figures)
    figures.seconds = round(time.monotonic() - begin, 1)
    print(json.dumps(asdict(figures), indent=2))
    sys.exit(bool(figures.faults))


if __name__ == "__main__":
    main()
