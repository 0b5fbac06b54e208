"""A model is found on disk or asked of the hub, in the revision that is named, and what is not had is one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from bench.errors import BenchError
from bench.hub import locate


@pytest.mark.parametrize(("asked", "name", "revision"), [("lab/t5", "lab/t5", None), ("lab/t5@v1", "lab/t5", "v1")])
def test_the_hub_is_asked_for_what_is_wanted_in_the_revision_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: str, name: str, revision: str | None
) -> None:
    told: dict[str, Any] = {}

    def download(repository: str, **options: Any) -> str:
        told.update(options, name=repository)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert locate(asked, "backbone", ("config.json",), "connect") == tmp_path
    assert told == {"name": name, "revision": revision, "allow_patterns": ["config.json"]}


def test_a_long_reason_is_cut_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("snapshot " * 40)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(BenchError, match=r"\(OSError: (snapshot ){25}…\); connect$"):
        locate("lab/t5", "backbone", (), "connect")


def test_a_folder_is_never_asked_of_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("it was asked"))
    assert locate(str(tmp_path), "backbone", (), "connect") == tmp_path
    with pytest.raises(BenchError, match=r"^no folder '\./absent' \(asked for as text encoder\); connect$"):
        locate("./absent", "text encoder", (), "connect")
