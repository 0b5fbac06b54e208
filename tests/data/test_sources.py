"""Data sets by name and by path, without loading more than is needed."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from bench.data.audit import statistics
from bench.data.sources import find, home, known, located, missing
from bench.errors import BenchError

INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
ITEM = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"


@pytest.fixture(autouse=True)
def _no_data_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BENCH_DATA_DIR", raising=False)
    monkeypatch.setattr(platformdirs, "user_data_path", lambda name: tmp_path / "home" / name)


def put(folder: Path, name: str, user: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.inter").write_text(f"{INTER}{user}\ta\t5\t1\n")
    return folder


def test_names_are_looked_for_in_the_documented_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, variable, home = tmp_path / "given", tmp_path / "variable", tmp_path / "home" / "bench"
    monkeypatch.setenv("BENCH_DATA_DIR", str(variable))
    for folder, user in [(home, "4"), (variable / "toys", "3"), (given, "2"), (given / "toys", "1")]:
        put(folder, "toys", user)
        assert find("toys", given).users == (user,)
        assert {entry.name: entry.found for entry in known(given)}["toys"] == folder
    assert find("toys").users == ("3",)
    assert find("toys").name == "toys"


def test_a_data_set_that_is_not_here_says_where_it_was_sought_and_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "variable"))
    with pytest.raises(BenchError) as caught:
        find("sports", tmp_path / "given")
    for folder in ("given", "variable", "home/bench"):
        assert str(tmp_path / folder) in str(caught.value)
    for part in (
        "Sports_and_Outdoors",
        f"get it: bench data get sports --data-dir {tmp_path / 'given'};",
        "sports.inter",
    ):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def offer(site: Path, source: str, *names: str) -> None:
    """A package with data sets, as pip leaves it behind."""
    metadata = site / "data_package-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "data_package.py").write_text(source)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: data_package\nVersion: 1.0\n")
    lines = "\n".join(f"{name} = data_package:{name}" for name in names)
    (metadata / "entry_points.txt").write_text(f"[bench.datasets]\n{lines}\n")


def test_a_package_offers_data_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "files", "reviews", "u")
    source = (
        "from bench.data.sources import find\n"
        f"def shop(): return {str(tmp_path / 'files')!r}\n"
        f"def shelf(): return find({str(tmp_path / 'files')!r})\n"
        "def toys(): raise AssertionError\n"
        "def empty(): return 3\n"
        "def broken(): raise OSError('no network')\n"
        "folder = 'somewhere'\n"
    )
    offer(tmp_path / "site", source, "shop", "shelf", "toys", "empty", "broken", "folder", "absent")
    monkeypatch.syspath_prepend(tmp_path / "site")
    for name in ("shop", "shelf"):
        assert (find(name).name, find(name).users) == (name, ("u",))
    package = r"data set 'NAME' of package data_package \(data_package:NAME\)"
    for name, complaint in {
        "toys": r"'toys' of package data_package .* has the name of a data set that bench knows itself; uninstall it",
        "empty": f"{package} must return a Dataset or a folder of atomic files; it returned 3",
        "broken": f"{package} is not available: OSError: no network",
        "folder": f"{package} must be a function that returns a Dataset or a folder; got 'somewhere'",
        "absent": f"{package} can't be loaded: AttributeError",
        "shpo": r"unknown data set 'shpo'; did you mean 'shop'\? known: .*shop",
    }.items():
        with pytest.raises(BenchError, match=complaint.replace("NAME", name)):
            find(name)
    monkeypatch.delitem(sys.modules, "data_package")


def test_any_name_in_the_data_folder_is_a_data_set(tmp_path: Path) -> None:
    put(tmp_path / "mine", "mine", "1")
    put(tmp_path, "yours", "2")
    assert [find(name, tmp_path).users for name in ("mine", "yours")] == [("1",), ("2",)]
    with pytest.raises(BenchError, match="unknown data set 'theirs'"):
        find("theirs", tmp_path)
    with pytest.raises(BenchError, match=r"unknown data set 'mime'; did you mean 'mine'\? known: .*mine"):
        find("mime", tmp_path)


def test_any_folder_is_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "mine", "reviews", "u")
    monkeypatch.chdir(tmp_path)
    for path in ("mine", "./mine", str(tmp_path / "mine")):
        assert find(path).name == "reviews"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find("~/mine").users == ("u",)
    with pytest.raises(BenchError, match=r"'absent', which is not a folder"):
        find("./absent")


def test_the_file_of_a_folder_of_its_name_is_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "mine", "mine", "u")
    monkeypatch.chdir(tmp_path / "mine")
    for path in ("mine.inter", "./mine.inter", str(tmp_path / "mine" / "mine.inter"), "../mine/mine.inter"):
        assert (find(path).name, find(path).users) == ("mine", ("u",))


@pytest.mark.parametrize("asked", ["single.csv", "./single.csv", "other.inter", "./other.inter"])
def test_another_file_is_read_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    put(tmp_path, "other", "u")
    (tmp_path / "single.csv").write_text("customer,item_id,timestamp\nu,a,1\n")
    monkeypatch.chdir(tmp_path)
    assert (find(asked).name, find(asked).users) == (Path(asked).stem, ("u",))


def test_two_data_sets_in_one_folder_are_not_made_one(tmp_path: Path) -> None:
    put(tmp_path, "one", "u")
    put(tmp_path, "two", "v")
    with pytest.raises(BenchError, match=r"one\.inter, two\.inter; exactly one is needed"):
        find(str(tmp_path))


def test_a_file_or_folder_that_holds_no_interactions_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing of use\n")
    with pytest.raises(BenchError, match="is not read: it is no table"):
        find(str(tmp_path / "notes.txt"))
    with pytest.raises(BenchError, match=r"no interactions found: 'notes\.txt': it is no table"):
        find(str(tmp_path))


def test_a_name_in_the_data_folder_goes_before_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "data" / "mine", "mine", "1")
    (tmp_path / "mine").touch()
    monkeypatch.chdir(tmp_path)
    assert find("mine", tmp_path / "data").users == ("1",)


def test_a_folder_where_data_are_missing_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    with pytest.raises(BenchError, match=rf"is not in {tmp_path}, {tmp_path / 'home' / 'bench'}; get it: "):
        find("toys", tmp_path)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        BenchError,
        match=r"unknown data set 'toyz'; did you mean 'toys'\? known: beauty, industrial-scientific, ml-100k, ",
    ):
        find("toyz")


@pytest.fixture
def recbole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of that name which holds the data and fails when imported."""
    folder = put(tmp_path / "site" / "recbole" / "dataset_example" / "ml-100k", "ml-100k", "196")
    (folder / "ml-100k.item").write_text(f"{ITEM}a\tToy Story\t1995\tAnimation Comedy\n")
    (tmp_path / "site" / "recbole" / "__init__.py").write_text("raise ImportError('needs an older world')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return folder


def test_the_embedded_data_set_is_read_without_importing_recbole(recbole: Path) -> None:
    dataset = find("ml-100k")
    assert dataset.name == "ml-100k"
    assert dataset.items.text == {"title": ("Toy Story",), "year": ("1995",), "genres": ("Animation Comedy",)}
    assert known()[0].found == recbole
    assert "recbole" not in sys.modules


def test_without_recbole_the_one_command_is_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        BenchError, match=r"'ml-100k' .* is not in .*; get it: bench data get ml-100k --accept-licence;"
    ):
        find("ml-100k")
    assert [(entry.name, entry.found) for entry in known()][:2] == [("ml-100k", None), ("ml-1m", None)]


def test_without_recbole_it_is_read_from_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    folder = put(tmp_path / "data" / "ml-100k", "ml-100k", "196")
    (folder / "ml-100k.item").write_text("item_id:token\ttitle:token_seq\na\tToy Story\n")
    assert find("ml-100k", tmp_path / "data").items.text == {"title": ("Toy Story",)}
    assert located("ml-100k", tmp_path / "data") == folder


def test_what_is_missing_and_could_be_got(tmp_path: Path) -> None:
    put(tmp_path / "toys", "toys", "1")
    assert missing("toys", tmp_path) == []
    assert missing("toys+beauty+mine", tmp_path) == ["beauty"]
    assert missing("./folder", tmp_path) == []


def test_data_go_to_the_first_folder_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert home() == tmp_path / "home" / "bench"
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "variable"))
    assert home() == tmp_path / "variable"
    assert home(tmp_path / "given") == tmp_path / "given"


def test_a_user_without_a_home_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(name: str) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(platformdirs, "user_data_path", no_home)
    with pytest.raises(BenchError, match="this user has no home; name one with --data-dir"):
        home()
    with pytest.raises(BenchError, match=r"'toys' .* is not in any folder; get it: bench data get toys"):
        find("toys")
    assert home(tmp_path) == tmp_path


def test_the_real_embedded_data_set() -> None:
    if known()[0].found is None:
        pytest.skip("RecBole is not installed: pip install --no-deps recbole==1.2.1")
    dataset = find("ml-100k")
    found = statistics(dataset)
    assert (found.users, found.items, found.interactions) == (943, 1_682, 100_000)
    assert found.text_columns == ("title", "year", "genres")
    assert dataset.items.text["title"][dataset.items.ids.index("1")] == "Toy Story"
    assert found.tied_in_time > 0.5  # ratings were entered in batches: the tie rule decides much here


def test_listing_needs_neither_pandas_nor_torch() -> None:
    heavy = "{'pandas', 'torch', 'transformers', 'recbole'}"
    code = f"import sys, bench.data.sources as found; found.known(); print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_here_never_stands_in_for_a_data_set_of_its_name(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Imported data and the raw files they came from may well have one name."""
    shutil.copytree(toy_folder, tmp_path / "data" / toy_folder.name)
    shutil.copytree(toy_folder, tmp_path / "here" / toy_folder.name)
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(BenchError, match=f"'{toy_folder.name}' is both a folder here and a data set in"):
        find(toy_folder.name, tmp_path / "data")
    assert find(f"./{toy_folder.name}", tmp_path / "data").name == toy_folder.name
    monkeypatch.chdir(tmp_path / "data")
    assert find(toy_folder.name, tmp_path / "data").name == toy_folder.name
