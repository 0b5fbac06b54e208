"""Files that people have become a data set: recognized by content, read as text, shaped by stated rules, written down.

What had to be guessed is said: in the notes of the data set, and in the ``dataset.json`` beside its files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import plugins
from bench.data import audit, idmaps, registry, sources, twins
from bench.data.conversions.write import RECORD, sha256
from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.formats import catalogue, columns, kinds, sequences, shaping, stamps
from bench.data.formats.atomic import ordered
from bench.data.formats.catalogue import Catalogue
from bench.data.formats.columns import Roles
from bench.data.formats.delimited import Delimited
from bench.data.formats.kinds import Part
from bench.data.formats.log import Log, repaired
from bench.data.formats.shaping import RULES, Rows, Rule
from bench.data.formats.writing import write_atomic
from bench.errors import BenchError, unknown
from bench.files import replacing

ITEM_STEMS = (
    *("item", "items", "product", "products", "movie", "movies", "book", "books", "catalog", "catalogue"),
    *("meta", "metadata"),
)
# Of files in a folder that nobody has named one by one, only these are looked at: models and pictures lie there too.
ENDINGS = {
    *(".csv", ".tsv", ".tab", ".txt", ".dat", ".data", ".json", ".jsonl", ".ndjson", ".parquet", ".npy"),
    *(".inter", ".item", ".user", ".item2id", ".user2id", ".gz", ".zst", ".zstd", ".bz2", ".xz"),
}
WITHOUT = {"catalogue": "it is a catalogue of items", "ids": "it is a map of ids"}
IGNORED = (RECORD, "readme", "license", "licence", "citation")


@dataclass(frozen=True)
class Options:
    """How files are read. ``roles`` are the columns that were named; ``fields`` the text columns, by default all.

    ``id_map`` is a file that says which original ids the numbers in the files stand for.
    """

    roles: Roles = kinds.NOBODY
    fields: tuple[str, ...] = ()
    duplicates: Rule = "exact"
    min_rating: float | None = None
    k_core: int = 0
    id_map: Path | None = None
    items: tuple[Path, ...] = ()
    encoding: str = ""

    def __post_init__(self) -> None:
        if self.duplicates not in RULES:
            raise unknown("rule for --duplicates", self.duplicates, RULES)
        if self.k_core < 0:
            raise BenchError(f"--k-core must be 0 (keep all) or more; got {self.k_core}")


@dataclass(frozen=True)
class Imported:
    """A data set and how it came about, as plain values."""

    dataset: Dataset
    described: dict[str, Any]


def read(paths: Sequence[Path], options: Options | None = None, name: str = "") -> Imported:
    """The data set in these files, or in the files of these folders. BenchError in one line for whatever is wrong."""
    options = options or Options()
    parts = _parts(paths, options)
    log, notes = Log(), list[str]()
    used = [part for part in parts if part.kind in ("interactions", "lists", "histories")]
    if not used:
        raise BenchError(_no_interactions(parts))
    _gather(log, used, options)
    notes += _guessed(parts, used, log, options)
    notes += [note for ids, what in ((log.users, "user"), (log.items, "item")) for note in repaired(ids, what)]
    if options.id_map:
        _rename(log, options.id_map)
    names = log.users.names, log.items.names
    rows, clock = _rows(log)
    _refuse_hours(rows, clock, used, options)
    notes += stamps.notes(rows.times, clock)
    rows, thinned = _thinned(rows, options, log.undated)
    users, by_user = shaping.compact(rows.users, names[0])
    items, by_item = shaping.compact(rows.items, names[1])
    notes += [*twins.notes(users, "user"), *twins.notes(items, "item")]
    times = shaping.positions(rows.users) if log.undated else rows.times
    order, offsets = ordered(users, items, by_user, by_item, times)
    table, text_notes = _texts(items, log, [part for part in parts if part.kind == "catalogue"], options)
    found = Sequences(by_item[order].astype("int32"), offsets)
    notes = [
        *([] if log.undated else [f"time stamps: {clock}"]),
        *notes,
        *thinned,
        *text_notes,
        *audit.order_notes(found),
    ]
    dataset = Dataset(name or name_of(paths[0]), users, table, found, times[order], tuple(notes))
    return Imported(dataset, _described(dataset, parts, used, options, clock))


def store(
    paths: Sequence[Path], options: Options, name: str, data_dir: Path | None, force: bool
) -> tuple[dict[str, Any], Path]:
    """Import files into a folder of their own in the folder of data sets. What was made, and where."""
    named = name or name_of(paths[0])
    if name != "" and name != name_of(Path(name)):
        raise BenchError(f"--name takes letters, digits, - and _; got '{name}'")
    if named in registry.load() or named in plugins.offers(plugins.DATASETS):
        raise BenchError(f"'{named}' is the name of a published or an installed data set; give another with --name")
    folder = sources.home(data_dir) / named
    inside = [path for path in (*paths, *options.items) if folder.resolve() in path.resolve().parents]
    if inside:
        raise BenchError(f"'{inside[0]}' is in '{folder}', which would be replaced; give another name with --name")
    if not force:
        refuse_taken(folder, named)
    items = tuple(path.expanduser() for path in options.items)
    options = replace(options, items=items, id_map=options.id_map and options.id_map.expanduser())
    imported = read([path.expanduser() for path in paths], options, named)
    write(imported, folder, force)
    return imported.described, folder


def write(imported: Imported, folder: Path, force: bool = False) -> None:
    """The data set as atomic files, and ``dataset.json``, last. BenchError where the folder holds another."""
    path = folder / RECORD
    if not force:
        refuse_taken(folder, imported.dataset.name)
    path.unlink(missing_ok=True)
    write_atomic(imported.dataset, folder)
    made = [folder / f"{imported.dataset.name}{ending}" for ending in (".inter", ".item")]
    files = {file.name: sha256(file) for file in made}
    with replacing(path, "the description of the data set") as partial:
        described = {**imported.described, "files": files}
        partial.write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def refuse_taken(folder: Path, name: str) -> None:
    """BenchError where the folder holds a data set of that name."""
    if any((folder / f"{name}{ending}").exists() for ending in (".inter", ".item")):
        raise BenchError(f"'{folder}' holds a data set '{name}' already; give another --name, or --force to replace it")


def name_of(path: Path) -> str:
    """What a data set is called that comes from this file or folder."""
    stem = path.resolve().name if path.is_dir() else path.name.partition(".")[0]
    return "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in stem).strip("-") or "data"


def _parts(paths: Sequence[Path], options: Options) -> list[Part]:
    """What the files are; those of a folder that say nothing are skipped, a catalogue beside a file is looked for."""
    found, asked = [], options.roles
    for path in paths:
        inside = sorted(_files(path)) if path.is_dir() else [path]
        parts = [kinds.recognize(file, asked, options.encoding) for file in inside]
        if path.is_dir():
            _refuse_several(path, [part.name for part in parts if part.kind == "interactions"])
        found += parts if path.is_dir() else [kinds.check_used(part) for part in parts]
        if not inside:
            raise BenchError(f"the folder '{path}' holds no file that is read: {', '.join(sorted(ENDINGS))}")
    found += [
        kinds.check_used(kinds.recognize(path, asked, options.encoding, catalogue=True)) for path in options.items
    ]
    columns.check_named(asked, [column for part in found if part.table for column in part.table.columns])
    if not any(part.kind == "catalogue" for part in found):
        named = [part.source.path for part in found]
        beside = [path for file in named for path in _beside(file) if path not in named]
        found += _catalogues(dict.fromkeys(beside), options)
    return found


def _refuse_several(folder: Path, names: Sequence[str]) -> None:
    """BenchError where nobody has said that files of interactions belong together, and their names do not say it."""
    if len(names) > 1 and not all(map(sequences.is_part, names)):
        raise BenchError(
            f"the folder '{folder}' holds {len(names)} files of interactions ({', '.join(names[:5])}); name one, or "
            "those that are of one data set: bench data import FILE FILE"
        )


def _files(folder: Path) -> Iterable[Path]:
    try:
        there = list(folder.iterdir())
    except OSError as error:
        raise BenchError(f"the folder '{folder}' cannot be read: {error.strerror}") from error
    for path in there:
        hidden = path.name.startswith((".", "_")) or path.name.lower().startswith(IGNORED)
        if path.is_file() and not hidden and path.suffix.lower() in ENDINGS:
            yield path


def _beside(path: Path) -> list[Path]:
    """Files in the same folder that are called as catalogues are: ``items.csv``, or ``toys.item.json`` of ``toys``."""
    stem = path.name.partition(".")[0]
    names = [other for other in _files(path.parent) if other != path]
    return sorted(
        other
        for other in names
        if other.name.partition(".")[0].lower() in ITEM_STEMS or other.name.startswith(f"{stem}.item")
    )


def _catalogues(paths: Iterable[Path], options: Options) -> list[Part]:
    """Those of the files that are catalogues; nobody has named them, so one that is broken hurts nobody."""
    found = []
    for path in paths:
        try:
            part = kinds.recognize(path, replace(options.roles, user=""), options.encoding)
        except BenchError:
            continue
        found += [replace(part, named=False)] if part.kind == "catalogue" else []
    return found


def _no_interactions(parts: Sequence[Part]) -> str:
    told = "; ".join(f"'{part.name}': {part.reason or WITHOUT[part.kind]}{_no_user(part)}" for part in parts[:3])
    return f"no interactions found: {told}; give a file with a user and an item in every row"


def _no_user(part: Part) -> str:
    """Why a table is read as one of items: none of its columns is called as those of users are."""
    if part.kind != "catalogue" or part.table is None:
        return ""
    return f", as no column of users is among {', '.join(part.table.columns)} ({kinds.HINT} if one is)"


def _gather(log: Log, used: Sequence[Part], options: Options) -> None:
    """Every interaction of the files, in their order. BenchError where some have time stamps and some have none."""
    dated = [part for part in used if part.roles.time]
    if dated and len(dated) < len(used):
        without = next(part.name for part in used if not part.roles.time)
        raise BenchError(f"'{dated[0].name}' has time stamps and '{without}' has none; give files that all have them")
    for part in used:
        if part.kind == "interactions" and part.table:
            near = columns.likely_time(part.table.columns)
            if near and not part.roles.time and options.roles.time != columns.NO_TIME:
                raise BenchError(
                    f"'{part.name}' has no column that is clearly the time stamp; is '{near}' meant? Name it with "
                    f"--time, or use --time {columns.NO_TIME} to take the order of the file"
                )
            if options.min_rating is not None and not part.roles.rating:
                columns.require_rating(part.table.columns, part.name)
            log.add_table(part.table, part.roles, options.min_rating)
    lists = [part.table for part in used if part.kind == "lists" and isinstance(part.table, Delimited)]
    if options.min_rating is not None and not any(part.kind == "interactions" for part in used):
        raise BenchError("--min-rating needs a column of ratings; lists of items have none")
    histories = sequences.together((part.source, part.content) for part in used if part.kind == "histories")
    for found in (sequences.of_lists(lists), histories):
        if found:
            log.add_histories(found)


def _guessed(parts: Sequence[Part], used: Sequence[Part], log: Log, options: Options) -> list[str]:
    """What was not said by the user, in a line each."""
    notes = []
    for roles in dict.fromkeys(part.roles for part in used if part.kind == "interactions"):
        said = ", ".join(f"{name or 'none'} as {role}" for role, name in vars(roles).items() if name)
        notes.append(f"columns: {said}")
        if roles.rating and options.min_rating is None:
            notes.append(f"every row counts, whatever its {roles.rating}; --min-rating keeps those of high ones")
    notes += [
        f"'{part.name}' is not UTF-8; read as {part.source.encoding}"
        for part in parts
        if part.source.encoding not in ("", "utf-8") and not options.encoding
    ]
    notes += [note for part in used if part.table for note in columns.notes(part.table.columns, part.roles, part.name)]
    notes += [note for part in parts if isinstance(part.table, Delimited) for note in part.table.notes()]
    notes += [f"'{part.name}': {sequences.GUESS}" for part in used if part.lines]
    maps = [part.name for part in parts if part.kind == "ids"]
    if maps and not options.id_map and all(name.isdecimal() for name in log.items.names[:1000]):
        notes.append(f"ids are numbers, and '{maps[0]}' may say whose: --id-map {maps[0]} gives the original ids")
    notes += log.notes()
    notes += [f"'{part.name}' is skipped: {part.reason}" for part in parts if part.kind == "nothing"]
    return notes


def _rename(log: Log, path: Path) -> None:
    """Original ids for numbers; users keep theirs where the map has none of them."""
    for ids, of in ((log.items, "item"), *([(log.users, "user")] if idmaps.has_users(path) else [])):
        known = idmaps.numbers(path, of)
        unknown_ids = [name for name in ids.names if name not in known]
        if unknown_ids:
            raise BenchError(
                f"'{path}' does not say which {of} {len(unknown_ids):,} ids are, such as '{unknown_ids[0]}'"
            )
        ids.renamed([known[name] for name in ids.names])


def _rows(log: Log) -> tuple[Rows, str]:
    """All rows, and what their time stamps are in words."""
    users, items, times, kind = log.gathered()
    if log.undated:
        return Rows(users, items, times), "positions"
    try:
        times, clock = stamps.unit(times, kind)
    except stamps.UnreadableError as error:
        raise BenchError(f"time stamps: {error}") from error
    return Rows(users, items, times), clock


def _refuse_hours(rows: Rows, clock: str, used: Sequence[Part], options: Options) -> None:
    """BenchError where what is taken for the time may be the hour alone, and another column the day."""
    if options.roles.time or clock != stamps.UNKNOWN or rows.times.min() < 0 or rows.times.max() >= stamps.HOURS:
        return
    for part in used:
        other = columns.other_time(part.table.columns, part.roles.time) if part.table and part.roles.time else ""
        if other:
            raise BenchError(
                f"'{part.name}': '{part.roles.time}' holds small numbers, which may be the time of day, and '{other}' "
                "may be the time as well; name one with --time"
            )


def _thinned(rows: Rows, options: Options, undated: bool) -> tuple[Rows, list[str]]:
    """What the rules leave, and how much each has taken."""
    notes, before = [], len(rows)
    rule = options.duplicates
    if not (undated and rule == "exact"):  # a row is then a position of its own
        rows = shaping.without_repeats(rows, rule)
    if len(rows) < before:
        notes.append(f"{before - len(rows):,} repeated rows are skipped: {RULES[rule]} (--duplicates {rule})")
    before = len(rows)
    rows = shaping.core(rows, options.k_core)
    if len(rows) < before:
        notes.append(f"{before - len(rows):,} interactions are outside the {options.k_core}-core: skipped")
    return rows, notes


def _texts(items: tuple[str, ...], log: Log, parts: Sequence[Part], options: Options) -> tuple[ItemTable, list[str]]:
    """The catalogue's text for these items. BenchError where a named catalogue knows none of them."""
    found = Catalogue()
    for part in parts:
        if part.table is not None and not catalogue.by_keys(part.content, part.roles.item, items):
            catalogue.of_table(found, part.table, part.roles.item, options.fields)
        else:
            catalogue.of_map(found, part.content, options.fields)
    if not parts and options.fields:
        raise BenchError(f"--fields {','.join(options.fields)}: there is no file of items")
    if not parts:
        return ItemTable(items, {}), ["no file of items was found: items have no text"]
    names = ", ".join(f"'{part.name}'" for part in parts)
    catalogue.require_fields(found, options.fields, names)
    changed = found.mend(items, log.items.were, names)
    silent = sum(item not in found.text for item in items)
    if silent == len(items):
        theirs = (
            twins.nearly(items, found.text) or f"ids are '{items[0]}' here, '{next(iter(found.text), 'none')}' there"
        )
        if not (options.fields or any(part.named for part in parts)):
            return ItemTable(items, {}), [f"items have no text: none of them is in {names} beside the file: {theirs}"]
        raise BenchError(f"none of the {len(items):,} items is in {names}: {theirs}")
    near = twins.nearly([item for item in items if item not in found.text], found.text)
    text = {name: found.column(name, items) for name in (options.fields or found.columns)}
    counts = {
        f"text: {', '.join(text) or 'none'} from {names}": True,
        f"{silent:,} of {len(items):,} items are not in {names}: their text is empty{near and f'; {near}'}": silent,
        f"{found.again:,} items come twice with different text in {names}: the first is kept": found.again,
        f"{found.marked:,} texts held markup, such as tags and entities escaped twice: taken out": found.marked,
    }
    return ItemTable(items, text), [*(note for note, count in counts.items() if count), *changed]


def _described(
    dataset: Dataset, parts: Sequence[Part], used: Sequence[Part], options: Options, clock: str
) -> dict[str, Any]:
    """What ``dataset.json`` holds. Folders are not in it: they are nobody's business but the user's."""
    return {
        "format": 1,
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "users": len(dataset.users),
        "items": len(dataset.items),
        "interactions": len(dataset.sequences.values),
        "sources": [
            {"file": part.name, "sha256": part.source.sha256, "bytes": part.source.size, "read_as": part.kind}
            for part in parts
            if part.kind != "nothing" and (part.named or dataset.items.text)
        ],
        "columns": [{"file": part.name, **vars(part.roles)} for part in used if part.kind == "interactions"],
        "text": list(dataset.items.text),
        "time": clock,
        "ties": "digest",
        "duplicates": options.duplicates,
        "min_rating": options.min_rating,
        "k_core": options.k_core,
        "id_map": options.id_map.name if options.id_map else None,
        "notes": list(dataset.notes),
    }
