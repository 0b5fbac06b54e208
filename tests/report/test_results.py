"""Reading stored results: what is found, and one clear line for everything that can be wrong with it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.errors import BenchError
from bench.results import read as results

Store = Callable[..., Path]
Sealed = Callable[[Path], None]
Forbidden = Callable[[Path], contextlib.AbstractContextManager[None]]


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "result.json"
    stored = json.loads(path.read_text())
    change(stored)
    path.write_text(json.dumps(stored))


def test_a_run_comes_back_as_it_was_stored(store: Store, tmp_path: Path) -> None:
    folder = store("textual/title", seed=3, settings={"max_words": 5}, shared=5)
    (found,) = results.load(tmp_path)
    stored = json.loads((folder / "result.json").read_text())
    assert found.folder == folder
    assert (found.scheme.name, found.scheme.version, found.scheme.settings) == ("textual/title", 1, {"max_words": 5})
    assert (found.dataset.name, found.dataset.users, found.seed, found.preset) == ("toys", 400, 3, "cpu")
    assert found.contract == stored["contract"]
    assert found.metrics == stored["metrics"]
    assert found.identifiers is not None
    assert found.identifiers.collision_rate == stored["identifiers"]["collision_rate"] == 0.2
    assert found.costs.training_seconds == 1312.5


def test_user_table_gives_the_stored_metrics(store: Store, tmp_path: Path) -> None:
    store("textual/title", shared=3, quality=0.4)
    (found,) = results.load(tmp_path)
    assert len(found.table) == 400
    assert np.isinf(found.table.ranks.strict).any()
    assert (found.table.ranks.strict >= found.table.ranks.optimistic).all()
    for name in ("ndcg@10", "hit@5", "mrr@20"):
        assert found.values(name).mean() == pytest.approx(found.metrics["strict"][name])


def test_users_are_in_one_order_whatever_the_file_has(store: Store, sealed: Sealed, tmp_path: Path) -> None:
    folder = store("textual/title", quality=0.4)
    before = results.load(tmp_path)[0].table
    frame = pd.read_parquet(folder / "per_user.parquet").sample(frac=1, random_state=1)
    frame.to_parquet(folder / "per_user.parquet")
    sealed(folder)
    after = results.load(tmp_path)[0].table
    assert after.users.tolist() == before.users.tolist() == sorted(frame["user"])
    assert np.array_equal(after.ranks.strict, before.ranks.strict)
    assert np.array_equal(after.popularity, before.popularity)


def test_figures_of_identifiers_nobody_foresaw_are_kept(store: Store, tmp_path: Path) -> None:
    rewrite(store("codes"), lambda stored: stored["identifiers"].update(codebook_use=[1.0, 0.5]))
    (found,) = results.load(tmp_path)
    assert found.identifiers is not None
    assert found.identifiers.further == {"codebook_use": [1.0, 0.5]}


def test_a_run_is_called_by_its_path_in_the_results(store: Store, tmp_path: Path) -> None:
    folder = store("textual/title")
    assert results.load(tmp_path)[0].path == folder.relative_to(tmp_path).as_posix()


def test_ranks_stored_as_floats_are_read_alike(store: Store, sealed: Sealed, tmp_path: Path) -> None:
    folder = store("pop", kind="baseline", quality=0.3)
    before = results.load(tmp_path)[0].values("ndcg@10")
    frame = pd.read_parquet(folder / "per_user.parquet").astype({"rank": float, "code_rank": float})
    frame.to_parquet(folder / "per_user.parquet")
    sealed(folder)
    assert np.array_equal(results.load(tmp_path)[0].values("ndcg@10"), before)


def test_order_is_that_of_the_folders_and_unfinished_work_is_passed_over(store: Store, tmp_path: Path) -> None:
    for scheme in ("numeric/random", "textual/title"):
        store(scheme)
    half = store("textual/other")
    half.rename(half.with_name(".0.tmp"))
    (tmp_path / "runs" / "toys" / "started").mkdir(parents=True)
    assert [found.scheme.name for found in results.load(tmp_path)] == ["numeric/random", "textual/title"]


def test_results_below_a_hidden_folder_are_found(store: Store, tmp_path: Path) -> None:
    store("numeric/random")
    hidden = tmp_path / ".cache" / "results"
    hidden.mkdir(parents=True)
    (tmp_path / "runs").rename(hidden / "runs")
    assert len(results.load(hidden)) == 1


def test_no_results_says_where_and_how_to_make_some(tmp_path: Path) -> None:
    command = "bench run --id-scheme textual,numeric --dataset ml-100k"
    with pytest.raises(BenchError, match=f"no finished results in '{tmp_path}'.*{command}"):
        results.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "list indices"),
        ("{}", "'schema' is missing"),
        ('{"schema": null}', "NoneType"),
        ('{"schema": 4}', "'scheme' is missing"),
        (b"\xff\xfe", "utf-8"),
    ],
)
def test_corrupt_result_is_named(store: Store, tmp_path: Path, content: str | bytes, reason: str) -> None:
    path = store() / "result.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BenchError, match=f"'{path}' is corrupt .*{reason}.*run it again"):
        results.load(tmp_path)


@pytest.mark.parametrize("name", ["result.json", "per_user.parquet"])
def test_what_may_not_be_read_is_not_called_corrupt(store: Store, forbidden: Forbidden, name: str) -> None:
    folder = store()
    found = results.read(folder / "result.json", "run")
    with forbidden(folder / name), pytest.raises(BenchError, match=f"'{folder / name}' may not be read by this user"):
        assert found.table if name == "per_user.parquet" else results.read(folder / name, "run")


@pytest.mark.parametrize("entry", ["dataset", "scheme", "contract", "metrics", "costs", "environment", "split"])
def test_a_missing_or_mistyped_entry_is_corrupt(store: Store, tmp_path: Path, entry: str) -> None:
    folder = store()
    rewrite(folder, lambda stored: stored.update({entry: "nonsense"}))
    with pytest.raises(BenchError, match="is corrupt"):
        results.load(tmp_path)
    rewrite(folder, lambda stored: stored.pop(entry))
    with pytest.raises(BenchError, match=f"'{entry}' is missing"):
        results.load(tmp_path)


def test_another_schema_says_what_to_do(store: Store, tmp_path: Path) -> None:
    folder = store()
    for schema, remedy in ((5, "update bench to read it"), (2, "run it again with --force")):
        rewrite(folder, lambda stored, schema=schema: stored.update(schema=schema))  # type: ignore[misc]
        with pytest.raises(BenchError, match=f"result schema {schema}, this bench reads 4; {remedy}"):
            results.load(tmp_path)


def test_a_file_that_is_not_the_one_the_run_wrote_is_named(store: Store, tmp_path: Path) -> None:
    folder = store("textual/title", quality=0.3)
    frame = pd.read_parquet(folder / "per_user.parquet")
    frame.assign(popularity=frame["popularity"] + 1).to_parquet(folder / "per_user.parquet")
    (found,) = results.load(tmp_path)
    with pytest.raises(BenchError, match=r"is corrupt: its SHA-256 differs from the one in result.json; run it again"):
        _ = found.table
    rewrite(folder, lambda stored: stored.update(files={}))
    with pytest.raises(BenchError, match=r"does not belong to its result.json, which names none"):
        _ = results.load(tmp_path)[0].table


def test_absence_of_a_user_table_is_named(store: Store, tmp_path: Path) -> None:
    folder = store()
    path = folder / "per_user.parquet"
    path.unlink()
    with pytest.raises(BenchError, match=f"'{path}' is missing beside its result.json"):
        results.load(tmp_path)
    found = results.read(folder / "result.json", "run")
    with pytest.raises(BenchError, match=f"'{path}' is missing beside its result.json"):
        _ = found.table


def test_corrupt_user_table_is_named(store: Store, tmp_path: Path) -> None:
    path = store() / "per_user.parquet"
    whole = path.read_bytes()
    for content in (whole[:200], whole[:-200], b"", b"PAR1"):
        path.write_bytes(content)
        with pytest.raises(BenchError, match=f"'{path}' is corrupt"):
            results.load(tmp_path)


def test_corruption_behind_the_outline_of_a_user_table_is_named_when_it_is_read(store: Store, tmp_path: Path) -> None:
    path = store() / "per_user.parquet"
    path.write_bytes(bytes(byte ^ 255 if 4 <= at < 400 else byte for at, byte in enumerate(path.read_bytes())))
    (found,) = results.load(tmp_path)
    with pytest.raises(BenchError, match=f"'{path}' is corrupt"):
        _ = found.table


def test_user_table_without_a_column_is_corrupt(store: Store, tmp_path: Path) -> None:
    path = store() / "per_user.parquet"
    pd.read_parquet(path).drop(columns="code_rank").to_parquet(path)
    with pytest.raises(BenchError, match=r"is corrupt .*code_rank"):
        results.load(tmp_path)


def test_empty_user_table_is_an_error(store: Store, tmp_path: Path) -> None:
    path = store() / "per_user.parquet"
    pd.read_parquet(path).head(0).to_parquet(path)
    with pytest.raises(BenchError, match="holds no user"):
        results.load(tmp_path)


def test_user_table_of_other_users_is_corrupt(store: Store, tmp_path: Path) -> None:
    path = store() / "per_user.parquet"
    pd.read_parquet(path).head(399).to_parquet(path)
    with pytest.raises(BenchError, match=r"is corrupt \(399 rows for 400 test targets\)"):
        results.load(tmp_path)


def test_broken_runs_are_skipped_and_named(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, lost = store("kept"), [store("lost"), store("other")]
    (lost[0] / "result.json").write_text("{")
    (lost[1] / "per_user.parquet").unlink()
    broken: dict[str, BenchError] = {}
    assert [found.folder for found in results.load(tmp_path, broken)] == [kept]
    assert list(broken) == [folder.relative_to(tmp_path).as_posix() for folder in lost]
    assert capsys.readouterr().err.splitlines() == [f"skipped: {error}" for error in broken.values()]


def test_user_table_of_another_run_is_noticed(store: Store, sealed: Sealed, tmp_path: Path) -> None:
    one, other = store("textual/title", quality=0.1), store("numeric/random", quality=0.3)
    (other / "per_user.parquet").replace(one / "per_user.parquet")
    sealed(one)
    with pytest.raises(BenchError, match=r"contradicts itself: hit@1 is 0\.\d+ in result.json and 0\.\d+ in"):
        _ = next(found for found in results.load(tmp_path) if found.folder == one).table


def test_reports_do_not_import_torch() -> None:
    modules = "bench.report.write, bench.report.figures, bench.commands.compare"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
