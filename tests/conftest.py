"""Fixtures shared by all tests: real data and a real vocabulary, where this machine has them, and runs of seconds."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import http.server
import io
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import settings
from torch import nn
from transformers import T5Config as PeerConfig
from transformers import T5ForConditionalGeneration

from bench.backbone import huggingface
from bench.backbone.t5 import T5, RMSNorm, T5Config
from bench.data.dataset import Dataset, ItemTable, Sequences

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
COLORS = ("red", "blue", "green", "iron", "wooden", "small", "large", "happy", "loud", "quiet")
THINGS = ("car", "robot", "puzzle")
BUNDLE = 4  # items that are bought on one day
TINY = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_heads": 2, "num_layers": 1, "num_decoder_layers": 1}
QWEN = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
QWEN |= {"num_attention_heads": 4, "num_key_value_heads": 2}

for variable in ("BENCH_DATA_DIR", "BENCH_RESULTS"):
    os.environ.pop(variable, None)  # folders of whoever runs the tests: theirs are neither read nor written

# A busy machine is slow, not wrong. `make test` gives one verdict of one tree; `make test-long` draws new examples.
settings.register_profile("bench", deadline=None, derandomize=True)
settings.register_profile("drawn", deadline=None, max_examples=300)
settings.load_profile("bench")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run what is marked as long too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long tests are not collected without ``--long``, so that `make test` does not list them as skipped."""
    if not config.getoption("--long"):
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("long")]
    gc.freeze()  # what tests and libraries hold: the look for garbage that ends a training need not go through it


def pytest_runtest_setup() -> None:
    """Hypothesis times the garbage collector by a callback, in which a Ctrl-C that a test sends itself is lost."""
    gc.callbacks[:] = [call for call in gc.callbacks if "hypothesis" not in str(getattr(call, "__module__", ""))]


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell starts what runs in its background with Ctrl-C ignored; tests send it to themselves."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def forbidden() -> Callable[[Path], contextlib.AbstractContextManager[None]]:
    """``with forbidden(path):`` this process may not read the file, not even where it is root's."""

    @contextlib.contextmanager
    def block(path: Path) -> Iterator[None]:
        mode, user = path.stat().st_mode, os.geteuid()
        path.chmod(0)
        try:
            if user == 0:
                os.seteuid(65534)
            yield
        finally:
            os.seteuid(user)
            path.chmod(mode)

    return block


@pytest.fixture(scope="session")
def real_data() -> Path:
    """A folder with real Amazon data as RecBole atomic files."""
    folder = Path(os.environ.get("BENCH_TEST_DATA", SHARED / "datasets"))
    if not (folder / "toys" / "toys.inter").exists():
        pytest.skip(f"no real Toys data in {folder}; point BENCH_TEST_DATA at it")
    return folder


@pytest.fixture(scope="session")
def t5_tokenizer() -> Path:
    """A folder with the tokenizer of T5."""
    folder = Path(os.environ.get("BENCH_TEST_T5", SHARED / "t5-tokenizer"))
    if not (folder / "tokenizer.json").exists():
        pytest.skip(f"no T5 tokenizer in {folder}; point BENCH_TEST_T5 at it")
    return folder


@pytest.fixture(scope="session")
def toy() -> Dataset:
    """40 users walk round a circle of 30 items, mostly one step at a time: a next item that can be learned."""
    random = np.random.default_rng(3)
    rows = []
    for user in range(40):
        steps = np.where(random.random(random.integers(4, 9)) < 0.9, 1, random.integers(2, 30))
        rows.append((user * 3 // 4 + np.cumsum([0, *steps])) % 30)
    titles = tuple(f"{COLORS[item % 10]} {THINGS[item // 10]}" for item in range(30))
    items = ItemTable(tuple(f"i{item:02d}" for item in range(30)), {"title": titles, "category": ("Toys",) * 30})
    sequences = Sequences.from_rows(rows)
    times = np.concatenate([np.arange(length, dtype=float) for length in sequences.lengths])
    return Dataset("toy", tuple(f"u{user:02d}" for user in range(40)), items, sequences, times)


@pytest.fixture(scope="session")
def dated() -> Dataset:
    """60 users take what is new while they are there: of 150 items, those of the end are never seen before it."""
    random = np.random.default_rng(5)
    times = np.sort(random.random((60, 1)) * 0.7 + np.cumsum(random.exponential(0.04, (60, 10)), axis=1), axis=1)
    times = np.floor(times / times.max() * 300)  # days, so that many tie
    items = (times / 300 * 110).astype(int) + random.integers(0, 40, times.shape)
    titles = tuple(f"{COLORS[item % 10]} {THINGS[item // 10 % 3]} {COLORS[item // 30]}" for item in range(150))
    catalogue = ItemTable(tuple(f"i{item:03d}" for item in range(150)), {"title": titles})
    users = tuple(f"u{user:02d}" for user in range(60))
    return Dataset("dated", users, catalogue, Sequences.from_rows(items), times.ravel())


@pytest.fixture(scope="session")
def bundles() -> Dataset:
    """500 users buy on three days, each day one of 60 bundles of four items, in the order of a file sorted by item.

    Nothing leads from one day to the next, so all that can be learned about the next item is its bundle; and inside a
    bundle the order is that of ids, as in reviews that a source keeps item by item and dates by the day.
    """
    random = np.random.default_rng(7)
    members = random.permutation(60 * BUNDLE).reshape(60, BUNDLE)
    rows = [np.sort(members[random.choice(60, 3, replace=False)], axis=1).ravel() for _ in range(500)]
    ids = tuple(f"B{number:05d}" for number in np.sort(random.choice(100_000, 60 * BUNDLE, replace=False)))
    times = np.tile(np.repeat([16000.0, 16003.0, 16010.0], BUNDLE), 500)
    users = tuple(f"u{user:03d}" for user in range(500))
    titles = {"title": tuple(f"thing {number} for the house" for number in range(60 * BUNDLE))}
    times = times + np.repeat(np.arange(500.0), 3 * BUNDLE)  # everybody begins on a day of their own
    return Dataset("bundles", users, ItemTable(ids, titles), Sequences.from_rows(rows), times)


@pytest.fixture(scope="session")
def toy_folder(toy: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy data as atomic files."""
    from bench.data.formats import write_atomic

    folder = tmp_path_factory.mktemp("data") / "toy"
    write_atomic(toy, folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config.json of a T5 that trains in no time."""
    path = tmp_path_factory.mktemp("backbone") / "config.json"
    path.write_text(json.dumps({"model_type": "t5", **TINY}))
    return path


@pytest.fixture(scope="session")
def quick(toy_folder: Path, tiny: Path) -> list[str]:
    """Options of `bench run` that make a run of a second: 12 steps, two validations, on the toy data."""
    changed = [f"backbone={tiny}", "batch_size=16", "epochs=4", "validate_every=2"]
    return ["--dataset", str(toy_folder), "--preset", "smoke", *(f"--set={line}" for line in changed)]


@pytest.fixture(scope="session")
def bench() -> Callable[..., SimpleNamespace]:
    """``bench("run", "--dataset", folder)`` in this process, on one thread: its exit ``code``, ``out`` and ``err``."""
    import torch

    from bench import cli

    torch.set_num_threads(1)  # so that the bits of two runs can be compared

    def call(*words: object) -> SimpleNamespace:
        code: Any = 0
        argv = mock.patch.object(sys, "argv", ["bench", *map(str, words)])
        with argv, contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
            try:
                cli.main()
            except SystemExit as stop:
                code = stop.code or 0
        return SimpleNamespace(code=code, out=out.getvalue(), err=err.getvalue())

    return call


@pytest.fixture(scope="session")
def started() -> dict[str, str]:
    """The environment of a `bench` in a process of its own, as like as can be to one in this process."""
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    return {**os.environ, "OMP_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}


@pytest.fixture(scope="session")
def run_folders() -> Callable[[Path], list[Path]]:
    """The folders of the finished runs in a results folder."""

    def found(results: Path) -> list[Path]:
        return sorted(path.parent for path in results.glob("runs/*/*/*/[!.]*/result.json"))

    return found


@pytest.fixture(scope="session")
def substance() -> Callable[[Path], dict[str, Any]]:
    """All of a finished run that must repeat: everything but when, where and how fast it ran."""
    import pandas as pd

    def of(run_folder: Path) -> dict[str, Any]:
        stored = json.loads((run_folder / "result.json").read_text())
        kept = {name: stored[name] for name in ("metrics", "training", "identifiers", "split", "contract", "dataset")}
        files = {
            path.name: path.read_bytes()
            for path in run_folder.iterdir()
            if path.suffix not in (".parquet", ".jsonl", ".log")
        }
        for name in ("result.json", "result.sha256"):  # they hold times
            del files[name]
        tables = {path.name: pd.read_parquet(path).to_json() for path in run_folder.glob("*.parquet")}
        return {**kept, **files, **tables, "files": sorted(path.name for path in run_folder.iterdir())}

    return of


def write_qwen(folder: Path, texts: tuple[str, ...], rows: int = 700) -> Path:
    """A Qwen2 with random weights and a tokenizer of its kind: bytes in pairs trained on the texts, no unknown token,
    one token for padding and end, and more rows than tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=rows - 100, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    end = "<|endoftext|>"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end, pad_token=end).save_pretrained(folder)
    torch.manual_seed(11)
    Qwen2ForCausalLM(Qwen2Config(vocab_size=rows, tie_word_embeddings=True, **QWEN)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def qwen(toy: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small Qwen2 whose tokenizer was trained on the toy catalogue."""
    sentence = "The user interacted with these items, oldest first:"
    return write_qwen(tmp_path_factory.mktemp("base") / "qwen", (*toy.items.text["title"] * 4, *[sentence] * 3))


MakeT5 = Callable[..., T5]
MakePeer = Callable[[T5], T5ForConditionalGeneration]

SMALL: dict[str, Any] = {
    "vocabulary": 40,
    "d_model": 16,
    "d_kv": 5,
    "d_ff": 24,
    "heads": 3,
    "layers": 2,
    "decoder_layers": 3,
    "buckets": 8,
    "max_distance": 20,
}


@pytest.fixture(scope="session")
def one_thread() -> None:
    """Tensors this small are slower on several threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def t5() -> MakeT5:
    """``t5(seed, **changes)``: a small T5 in ``eval`` mode, whose norms and position biases are random too."""

    def make(seed: int = 0, **changes: Any) -> T5:
        torch.manual_seed(seed)
        model = T5(T5Config(**{**SMALL, **changes}))
        for module in model.modules():
            if isinstance(module, RMSNorm):
                nn.init.uniform_(module.weight, 0.5, 1.5)
        for stack in (model.encoder, model.decoder):
            nn.init.normal_(stack.bias.table.weight)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def peer() -> MakePeer:
    """Transformers' T5 with the same weights. It ties the output layer whatever it is told: untied here by hand."""

    def make(ours: T5) -> T5ForConditionalGeneration:
        theirs = T5ForConditionalGeneration(PeerConfig(**huggingface.export_config(ours.config)))
        weights = huggingface.export_weights(ours)
        head = weights.pop("lm_head.weight", None)
        lacking, unexpected = theirs.load_state_dict(weights, strict=False)
        assert not unexpected
        assert set(lacking) <= {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"}
        if head is not None:
            theirs.lm_head.weight = nn.Parameter(head)
        return theirs.eval()

    return make


class Web:
    """Files over HTTP on the loopback interface. ``faults[path]`` are used up one for each request: ("cut", n) closes
    the connection after n bytes, ("status", code, headers) answers so, ("range", text) lies about the part it sends.
    ``asked`` are paths and Range headers in the order of requests.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[tuple[Any, ...]]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.ranges, self.validators, self.lengths = True, True, True
        self.address = ""

    def url(self, path: str) -> str:
        return f"{self.address}/{path}"

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        path, range_ = request.path.lstrip("/"), request.headers["Range"]
        self.asked.append((path, range_))
        fault = self.faults[path].pop(0) if self.faults.get(path) else ("none",)
        if fault[0] == "status" or path not in self.files:
            code, headers = fault[1:] if fault[0] == "status" else (404, {})
            request.send_response(code)
            for name, value in {"Content-Length": "0", **headers}.items():
                request.send_header(name, value)
            request.end_headers()
            return
        body = self.files[path]
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        begin = int(range_[6:].partition("-")[0]) if range_ and self.ranges else 0
        begin = begin if request.headers["If-Range"] == tag else 0
        if begin >= len(body):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(body)}")
            request.end_headers()
            return
        request.send_response(206 if begin else 200)
        if begin:
            place = f"bytes {begin}-{len(body) - 1}/{len(body)}"
            request.send_header("Content-Range", fault[1] if fault[0] == "range" else place)
        if self.validators:
            request.send_header("ETag", tag)
        if self.lengths:
            request.send_header("Content-Length", str(len(body) - begin))
        request.end_headers()
        request.wfile.write(body[begin : begin + fault[1]] if fault[0] == "cut" else body[begin:])


@pytest.fixture
def web() -> Iterator[Web]:
    """A server of files that fails as it is told to."""
    site = Web()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.answer(self)
            self.close_connection = True

        def log_message(self, *words: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *connection: Any) -> None:
            """A client that hangs up is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    site.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    server.shutdown()
    server.server_close()
    thread.join()
