"""MovieLens-100k: that of GroupLens and that of RecBole are one data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.data import registry, sources
from bench.data.conversions.write import read_record
from bench.data.download import RetryPolicy
from bench.data.get import GetRequest, get

QUICK = RetryPolicy(attempts=3, first_wait=0.0, timeout=5.0)


def grouplens(folder: Path) -> dict[str, str]:
    """The archive of GroupLens, made again from RecBole's copy: `u.data` and `u.item` in their own form."""
    genres = (
        *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
        *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
    )
    films = []
    for line in (folder / "ml-100k.item").read_text(encoding="utf-8").splitlines()[1:]:
        item, title, year, names = line.split("\t")
        flags = "|".join(str(int(genre in names.split(" "))) for genre in genres)
        known = "unknown|||" if item == "267" else f"{title} ({year})|01-Jan-1995||http://us.imdb.com/M/title-exact?x"
        films.append(f"{item}|{known}|{flags}")
    rows = (folder / "ml-100k.inter").read_text().splitlines()[1:]
    return {"ml-100k/u.data": "\n".join(rows) + "\n", "ml-100k/u.item": "\n".join(films) + "\n"}


def test_movielens_from_grouplens_is_that_of_recbole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = sources.located("ml-100k", tmp_path)
    if folder is None:
        pytest.skip("RecBole is not installed: pip install --no-deps recbole==1.2.1")
    import zipfile

    with zipfile.ZipFile(tmp_path / "ml-100k.zip", "w") as archive:
        for name, text in grouplens(folder).items():
            archive.writestr(name, text.encode("latin-1"))
    source = registry.find("ml-100k")
    source = replace(source, files=(replace(source.files[0], md5=""),))
    request = GetRequest(accept_licence=True, given=(tmp_path / "ml-100k.zip",))
    got = get(source, tmp_path / "data", request, retry=QUICK)
    of_recbole = sources.find("ml-100k")
    monkeypatch.setattr(sources, "_embedded", lambda: None)
    of_grouplens = sources.find("ml-100k", tmp_path / "data")
    assert got.folder == tmp_path / "data" / "ml-100k"
    assert of_grouplens.fingerprint == of_recbole.fingerprint == read_record(got.folder)["data_digest"]  # type: ignore[index]
    assert of_grouplens.dated_fingerprint == of_recbole.dated_fingerprint
