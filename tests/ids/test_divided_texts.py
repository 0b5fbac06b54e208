"""Texts that two ranks encode together have the vectors, to the bit, that one process gives them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.ids import text
from tests.ids.test_text_encoders import TITLES, model

__all__ = ["model"]  # a fixture

RANKS = """
import sys
from pathlib import Path
import numpy as np
from bench import ranks
from bench.ids import text

encoder, out, titles = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
text.ENCODED_AT_ONCE, done = 3, []
encoded = text._model


def watched(folder, device):
    (out / f"rank-{0 if ranks.is_main() else 1}").touch()
    return encoded(folder, device)


watched.cache_clear = encoded.cache_clear
text._model = watched
with ranks.connected():
    found = ranks.shared(lambda: text._sentences(titles, encoder, lambda *told: done.append(told[:2]), "cpu"))
    assert encoded.cache_info().currsize == 0
    np.save(out / f"found-{0 if ranks.is_main() else 1}.npy", found)
    assert done == ([(6, 12), (12, 12)] if ranks.is_main() else [])
"""


@pytest.mark.long
def test_two_ranks_encode_as_one(
    model: Path, started: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "ENCODED_AT_ONCE", 3)
    alone = text._sentences(TITLES, str(model), lambda *_: None, "cpu")
    script = tmp_path / "script.py"
    script.write_text(RANKS)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", script]
    subprocess.run([*torchrun, model, tmp_path, *TITLES], env=started, check=True, timeout=300)
    assert {path.name for path in tmp_path.glob("rank-*")} == {"rank-0", "rank-1"}
    for rank in (0, 1):
        assert np.array_equal(np.load(tmp_path / f"found-{rank}.npy"), alone)
