"""Two runs set side by side: how they are found, what is said of them, and what can't be compared."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.commands import compare
from bench.commands.chosen import chosen
from bench.commands.compare import plain, tables
from bench.errors import BenchError
from bench.report.compare import Difference, difference
from bench.report.find import find
from bench.report.labels import labels, names
from bench.report.rows import sections
from bench.report.seeds import with_repeats
from bench.results import read as stored
from bench.results.named import of_file, of_name

Store = Callable[..., Path]
Bench = Callable[..., SimpleNamespace]


@pytest.fixture
def runs(store: Store, tmp_path: Path) -> Path:
    store("textual/title", quality=0.6)
    store("numeric/random", quality=0.3, contract={"beam": 50})
    store("numeric/sequential", quality=0.2)
    store("set/cf-only", quality=0.2)
    store("set/semantic-only", quality=0.2)
    store("pop", kind="baseline", quality=0.1)
    store("pop", kind="baseline", dataset="beauty", quality=0.1)
    for seed in (0, 1, 2):
        store("codes", seed=seed, quality=0.5, version=2)
    return tmp_path


def made(results: Path, one: str, other: str) -> Difference:
    return difference(find(results, one, "toys", None), find(results, other, "toys", None))


@pytest.mark.parametrize("asked", ["textual/title", "textual/title@1", "textual", "codes", "codes@2", "numeric/random"])
def test_a_scheme_is_found_by_name_version_and_family(runs: Path, asked: str) -> None:
    found = find(runs, asked, None, None)
    assert found.first.scheme.name.startswith(asked.split("@")[0])
    assert found.seeds == ([0, 1, 2] if asked.startswith("codes") else [0])


def test_a_family_is_the_variant_that_a_run_takes_it_for(runs: Path) -> None:
    assert find(runs, "numeric", None, None).first.scheme.name == "numeric/sequential"


def test_a_folder_is_a_run_or_the_seeds_below_it(runs: Path) -> None:
    result = find(runs, "codes", None, 1).first
    for asked in (str(result.folder), result.path, result.path.removeprefix("runs/")):
        assert find(runs, asked, None, None).seeds == [1]
    above = find(runs, str(result.folder.parent), None, None)
    assert above.seeds == [0, 1, 2]
    assert find(runs, str(result.folder.parent), None, 2).seeds == [2]


@pytest.mark.parametrize(
    ("asked", "dataset", "seed", "said"),
    [
        ("textul", None, None, "unknown run 'textul'; did you mean"),
        (
            "set",
            None,
            None,
            r"'set' could be any of 2 runs; name one of them, or its folder: set/\S+ \(runs/\S+\), set/",
        ),
        ("pop", None, None, r"any of 2 runs; .*: pop --dataset beauty \(runs/\S+\), pop --dataset toys \(runs/"),
        ("textual", "beauty", None, "'textual' has no result for beauty; it has toys seed 0"),
        ("codes", None, 7, "'codes' has no result for seed 7; it has toys seed 0, toys seed 1"),
        ("codes", "toys", 7, "'codes' has no result for toys seed 7; it has toys seed 0, toys seed 1"),
    ],
)
def test_what_is_not_one_run_is_one_line(
    runs: Path, asked: str, dataset: str | None, seed: int | None, said: str
) -> None:
    with pytest.raises(BenchError, match=said) as caught:
        find(runs, asked, dataset, seed)
    assert "\n" not in str(caught.value)


@pytest.fixture
def alike(store: Store, tmp_path: Path) -> Path:
    """Runs of one name that differ in a setting, in their contract, and in what the model was trained on."""
    for trials in (0, 2):
        store("sasrec/ce", kind="baseline", settings={"tune": trials}, quality=0.3)
    store("textual/title", quality=0.6)
    store("textual/title", quality=0.5, contract={"split": "global-temporal"})
    store("textual/title", quality=0.4, contract={"trained_on": "toys+beauty@0123456789abcdef"})
    return tmp_path


def test_a_run_is_found_by_its_label_in_the_report(alike: Path) -> None:
    (section,) = sections(stored.load(alike))
    for row, letter, name in zip(section.rows, labels(section), names(section.rows), strict=True):
        for asked in (letter, name):
            assert find(alike, asked, None, None).first.folder == row.first.folder
    assert find(alike, "sasrec/ce (tune=2)", None, 0).first.scheme.settings == {"tune": 2}
    assert find(alike, "textual/title, trained on toys+beauty", None, None).first.trained_on == "toys+beauty"


def test_a_row_of_the_report_is_known_to_commands_about_several_runs(alike: Path) -> None:
    (file,) = chosen(alike, ["sasrec/ce (tune=2)"])
    assert file.parent == find(alike, "sasrec/ce (tune=2)", None, 0).first.folder


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("numeric", ["numeric.sequential@1"]),
        ("set", ["set.cf-only@1", "set.semantic-only@1"]),
        ("codes", ["codes@1", "codes@2"]),
        ("codes@2", ["codes@2"]),
        ("codes@3", []),
        ("", []),
    ],
)
def test_a_name_stands_for_folders_as_for_results(asked: str, found: list[str]) -> None:
    known = ["numeric.random@1", "numeric.sequential@1", "set.cf-only@1", "set.semantic-only@1", "codes@1", "codes@2"]
    files = [Path("runs/toys", f"{name}+0123abcd", "c", "0", "result.json") for name in known]
    assert [of_file(file) for file in of_name(asked, files, of_file)] == found


def test_a_label_in_the_report_of_one_data_set_will_do(alike: Path, store: Store) -> None:
    store("sasrec/ce", kind="baseline", dataset="beauty", settings={"tune": 0, "layers": 3})
    assert find(alike, "sasrec/ce (tune=2)", "toys", None).first.scheme.settings == {"tune": 2}
    assert find(alike, "sasrec/ce (tune=2, layers=none)", None, None).first.scheme.settings == {"tune": 2}


@pytest.mark.parametrize(("asked", "seed"), [("sasrec/ce", None), ("sasrec/ce", 1), ("textual", None)])
def test_what_could_be_several_runs_lists_names_to_copy(
    alike: Path, store: Store, asked: str, seed: int | None
) -> None:
    for trials in (0, 2):
        store("sasrec/ce", kind="baseline", settings={"tune": trials}, seed=1)
    with pytest.raises(BenchError, match="name one of them, or its folder") as caught:
        find(alike, asked, None, seed)
    listed = re.findall(r"(?:: |, )('[^']+'|\S+) \((runs/\S+)\)", str(caught.value))
    assert len(listed) == str(caught.value).count("runs/")
    for word, folder in listed:
        (name,) = shlex.split(word)
        assert find(alike, name, None, seed).first.path == folder


def test_a_folder_of_several_runs_lists_their_folders(alike: Path) -> None:
    with pytest.raises(BenchError, match="could be any of 5 runs; name one of their folders: "):
        find(alike, str(alike / "runs"), None, None)


def test_slices_make_up_the_difference(runs: Path) -> None:
    found = made(runs, "textual", "codes")
    gap = found.metrics["ndcg@10"].difference
    for slicing in found.slicings:
        parts = [part for part in found.slices if part.slicing == slicing.name]
        assert sum(part.users for part in parts) == 400
        assert sum(part.part or 0 for part in parts) == pytest.approx(1)
        whole = [
            part.users * (part.one - part.other) / 400
            for part in parts
            if part.one is not None and part.other is not None
        ]
        assert sum(whole) == pytest.approx(gap)


def test_runs_that_agree_have_no_parts(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.5)
    store("two", quality=0.5)
    found = made(tmp_path, "one", "two")
    assert {part.part for part in found.slices} == {None}
    assert found.metrics["ndcg@10"].p == 1


def test_a_slice_without_a_difference_has_no_sign() -> None:
    """Nothing of a negative difference is a negative zero."""
    assert [compare._part(part) for part in (-0.0, 0.0, -0.459)] == ["0.0%", "0.0%", "-45.9%"]


def test_what_differs_is_said(runs: Path) -> None:
    unlike = made(runs, "textual", "numeric/random").unlike
    assert unlike["contract"] == {"beam": {"20": ["A"], "50": ["B"]}}
    assert unlike["environment"] == unlike["data"] == {}
    assert unlike["settings"] == {"scheme": {"textual/title@1": ["A"], "numeric/random@1": ["B"]}}
    assert made(runs, "textual", "pop").unlike["contract"] == {}


def test_only_common_users_with_the_same_target_count(runs: Path, sealed: Callable[[Path], None]) -> None:
    path = find(runs, "textual", None, None).first.folder / "per_user.parquet"
    frame = pd.read_parquet(path)
    frame.loc[:9, "target"] = "elsewhere"
    frame.to_parquet(path)
    sealed(path.parent)
    found = made(runs, "textual", "codes")
    assert found.pair.users == 390
    assert any("tested different users" in note.text for note in tables(found)[0].notes)
    frame.assign(target="elsewhere").to_parquet(path)
    sealed(path.parent)
    with pytest.raises(BenchError, match="no user was tested on one item in both"):
        made(runs, "textual", "codes")


def test_data_sets_are_not_compared(runs: Path) -> None:
    with pytest.raises(BenchError, match="'textual/title' on toys with 'pop' on beauty; name two runs on one data set"):
        difference(find(runs, "textual", None, None), find(runs, "pop", "beauty", None))


def test_the_tables_hold_what_the_json_holds(runs: Path) -> None:
    found = made(runs, "textual", "codes")
    metrics, *sliced = tables(found)
    assert [cell.text for cell in metrics.head.cells] == ["NDCG@10", "Hit@10", "NDCG@5", "Hit@5", "Hit@1", "MRR@20"]
    seen = plain(found)
    columns = {column.title: [cell.value for cell in column.cells] for column in metrics.columns}
    assert columns["A \N{MINUS SIGN} B"] == [line["difference"] for line in seen["metrics"].values()]
    assert columns["won"] == [line["won"] for line in seen["metrics"].values()]
    assert [table.name for table in sliced] == ["popularity", "history", "transition", "direction", "tie"]
    assert sum(len(table.head.cells) for table in sliced) == len(seen["slices"])
    assert all(cell.source.folders for table in tables(found) for row in table.rows for cell in row)


def test_slices_of_a_difference_are_not_cut_off_and_do_not_say_so(runs: Path) -> None:
    _, *slices = tables(made(runs, "pop", "textual"))
    ends = [cell.ends for table in slices for cell in table.columns[3].cells]
    assert any(found is not None and found[0] < 0 for found in ends)
    for table in slices:
        assert table.columns[3].title == "A \N{MINUS SIGN} B"
        assert [note.text.endswith("without the noise of training, of the difference") for note in table.notes] == [
            True
        ]


def test_the_command_prints_tables_or_json(bench: Bench, runs: Path) -> None:
    words = ["compare", "textual", "pop", "--dataset", "toys", "--results", runs]
    said = bench(*words)
    assert said.code == 0, said.err
    for word in ("A \N{MINUS SIGN} B", "p (Holm)", "won", "part of", "B: not trained under a contract"):
        assert word in " ".join(said.out.split()) or word.replace(" ", "") in said.out.replace(" ", "")
    seen = json.loads(bench(*words, "--json").out)
    one, other = (find(runs, name, "toys", None).first.values("ndcg@10") for name in ("textual", "pop"))
    assert seen["metrics"]["ndcg@10"]["difference"] == pytest.approx(np.mean(one) - np.mean(other))
    assert (seen["a"]["scheme"], seen["b"]["scheme"], seen["users"]) == ("textual/title", "pop", 400)
    assert bench("compare", "textual", "nothing", "--results", runs).err.startswith("bench: unknown run 'nothing'; ")


def test_a_comparison_borrows_the_noise_of_runs_that_were_not_named(store: Store, tmp_path: Path) -> None:
    """Two runs of one seed: other schemes were trained three times, under this contract and under another."""
    for seed in (0, 1, 2):
        store("codes", seed=seed, quality=0.5)
        store("others", seed=seed, quality=0.5, contract={"beam": 50})
    store("one", quality=0.5)
    store("three", quality=0.4)
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "result.json").write_text("{")
    alone = [find(tmp_path, name, None, None) for name in ("one", "three")]
    named = with_repeats(alone, tmp_path)
    assert difference(*alone).metrics["ndcg@10"].noise == pytest.approx(
        1.96 * 0.07 * np.hypot(*(row.metric("ndcg@10")[0] for row in alone)), rel=1e-3
    )
    scores = [result.metrics["strict"]["ndcg@10"] for result in find(tmp_path, "codes", None, None).runs]
    relative = np.std(scores, ddof=1) / np.mean(scores)
    expected = stats.t.ppf(0.975, 2) * relative * np.hypot(*(row.metric("ndcg@10")[0] for row in named))
    assert difference(*named).metrics["ndcg@10"].noise == pytest.approx(expected)
    assert [row.label for row in named] == ["one", "three"]
    assert with_repeats(alone, tmp_path / "nowhere")[0].repeated == ()


def test_a_run_and_its_copy_elsewhere_are_compared(store: Store, tmp_path: Path) -> None:
    """The copy is no second seed."""
    folder = store("one", quality=0.5)
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(folder, copy)
    rows = with_repeats([find(tmp_path, str(path), None, None) for path in (folder, copy)], tmp_path)
    assert difference(*rows).metrics["ndcg@10"].p == 1
    assert [row.repeated for row in rows] == [(), ()]
