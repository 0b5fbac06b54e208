"""Names that two ranks write together are those that one process writes."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from textual_ids import generator
from textual_ids.diverse import Search
from textual_ids.generator import Writer
from textual_ids.reading import read_tokens

from bench.backbone.t5 import T5
from bench.vocabulary import Vocabulary
from tests.tokenizers.textual_ids.conftest import TEXTS

RANKS = """
import json, pickle, sys
from pathlib import Path
from bench import ranks
from textual_ids import generator

out, room, told = Path(sys.argv[1]), int(sys.argv[2]), []
generator.AT_ONCE = room
written = generator.in_words


def watched(*given):
    (out / f"wrote-{0 if ranks.is_main() else 1}").touch()
    return written(*given)


generator.in_words = watched
writer, search = pickle.loads((out / "writer.pickle").read_bytes()) if ranks.is_main() else (None, None)
with ranks.connected():
    rows = range(1, 11)
    names = ranks.shared(lambda: writer.candidates(rows, search, lambda *said: told.append(said[:2])))
    assert told == ([(6, 10), (10, 10)] if ranks.is_main() else [])
    (out / f"names-{0 if ranks.is_main() else 1}.json").write_text(json.dumps(names))
"""


def test_two_ranks_name_as_one(
    t5: Callable[..., T5],
    words: Vocabulary,
    started: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = Writer(t5(3), words, read_tokens(words, TEXTS, 32))
    search = Search(1.0, 1, 6, 4)
    room = 3 * search.groups * writer.model.vocabulary_size  # three texts at once
    monkeypatch.setattr(generator, "AT_ONCE", room)
    alone = writer.candidates(range(1, 11), search)
    assert len({tuple(names) for names in alone}) > 3
    (tmp_path / "writer.pickle").write_bytes(pickle.dumps((writer, search)))
    (tmp_path / "script.py").write_text(RANKS)
    torchrun: list[str | Path] = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*torchrun, tmp_path / "script.py", tmp_path, str(room)]
    subprocess.run(command, env=started, check=True, timeout=300)
    assert {path.name for path in tmp_path.glob("wrote-*")} == {"wrote-0", "wrote-1"}
    for rank in (0, 1):
        assert json.loads((tmp_path / f"names-{rank}.json").read_text()) == alone
