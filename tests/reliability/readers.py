"""What reads files that people bring along, and what is right for each."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from reader import Reader
from safetensors.numpy import load_file, save
from stored import stored_by_bench

from bench import backbone
from bench.data import idmaps, sources
from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.ids import embeddings
from bench.ids.imported.scheme import File

TINY = {"model_type": "t5", "d_model": 16, "d_kv": 8, "d_ff": 32, "num_heads": 2, "num_layers": 1}
COLUMNS = ("user", "item", "time")
ITEMS = tuple(f"i{number:02d}" for number in range(30))
PAIRS = [(f"u{user:02d}", ITEMS[(user * 5 + step) % 30], step) for user in range(12) for step in range(5)]


def made(home: Path) -> list[Reader]:
    """All of them. Takes the time of some small runs."""
    brought = [*_of_data(), *_of_identifiers(), *_of_vectors(), *_of_maps(), *_of_backbones()]
    return [*brought, *stored_by_bench(home, brought[0], TINY, ITEMS[3])]


# -- data -------------------------------------------------------------------------------------------------------------


def _of_data() -> list[Reader]:
    head = "user_id:token\titem_id:token\ttimestamp:float\n"
    log = (head + "".join(f"{user}\t{item}\t{time}\n" for user, item, time in PAIRS)).encode()
    texts = ("item_id:token\ttitle:token_seq\n" + "".join(f"{item}\tred thing {item}\n" for item in ITEMS)).encode()
    table = ("user,item,time\n" + "".join(f"{user},{item},{time + 100}\n" for user, item, time in PAIRS)).encode()
    lines = "".join(json.dumps({"user": u, "item": i, "time": t + 100}) + "\n" for u, i, t in PAIRS).encode()
    frame = io.BytesIO()
    pd.DataFrame(PAIRS, columns=["user", "item", "time"]).to_parquet(frame)
    return [
        Reader("data, atomic", {"d.inter": log, "d.item": texts}, ["d.inter", "d.item"], _dataset, _atomic),
        *(
            Reader(f"data, {name}", {name: content}, [name], lambda folder, name=name: _dataset(folder / name), truth)
            for name, content, truth in (
                ("d.csv", table, _csv),
                ("d.jsonl", lines, _lines),
                ("d.parquet", frame.getvalue(), _frame),
            )
        ),
    ]


def _dataset(path: Path) -> Any:
    """How often each item was taken, and how many interactions there are: users may be parted, items not."""
    found = sources.find(f"{path}/d.inter" if path.is_dir() else str(path))
    ids = [found.items.ids[item] for item in found.sequences.values.tolist()]
    assert len(found.times) == len(ids)
    assert np.isfinite(found.times).all()
    return Counter(ids)


def _atomic(folder: Path) -> Any:
    text = _decoded((folder / "d.inter").read_bytes())
    head, *rows = [line.split("\t") for line in text.replace("\r\n", "\n").strip("\n").split("\n")]
    at = [name.partition(":")[0] for name in head].index("item_id")
    return Counter(row[at] for row in rows if any(cell.strip() for cell in row))


def _decoded(content: bytes) -> str:
    encodings = ("utf-32", "utf-16") if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig",)
    for encoding in encodings:
        with contextlib.suppress(UnicodeError):
            return content.decode(encoding)
    return content.decode("cp1252", errors="replace")


def _csv(folder: Path) -> Any:
    """Where a column is no longer called as it was, its place says what it is."""
    head, *rows = list(csv.reader(io.StringIO(_decoded((folder / "d.csv").read_bytes()), newline="")))
    names = [name if name in COLUMNS else COLUMNS[at % 3] for at, name in enumerate(head)]
    return _present(dict(zip(names, row, strict=False)) for row in rows if row)


def _lines(folder: Path) -> Any:
    text = _decoded((folder / "d.jsonl").read_bytes())
    return _present(json.loads(line, strict=False) for line in text.split("\n") if line.strip())


def _frame(folder: Path) -> Any:
    return _present(_parquet(folder / "d.parquet").to_dict("records"))


def _present(rows: Iterable[Mapping[str, Any]]) -> Any:
    """Of the rows that have a user, an item and a time, each row once: others are skipped and noted."""
    lines = [tuple("" if pd.isna(row.get(name)) else str(row[name]) for name in COLUMNS) for row in rows]
    return Counter(line[1] for line in dict.fromkeys(lines) if all(cell.strip() for cell in line))


def _parquet(path: Path) -> pd.DataFrame:
    """Without what pandas has noted of its own."""
    return pq.read_table(path).replace_schema_metadata(None).to_pandas()


# -- identifiers, vectors, maps ---------------------------------------------------------------------------------------


def _table() -> ItemTable:
    return ItemTable(ITEMS, {"title": tuple(f"thing {item}" for item in ITEMS)})


def _identifiers(name: str) -> Callable[[Path], Any]:
    def of(folder: Path) -> Any:
        class Mine(File):
            name = "file/mine"
            path = folder / "x"

        Mine.path = folder / name
        ids = Mine().fit(TrainView("toy", _table(), Sequences.from_rows([[0, 1], [2, 3]]), 0))
        word = ids.vocabulary.tokenizer.id_to_token
        return {item: [word(token) for token in ids.code(row)] for row, item in enumerate(ITEMS)}

    return of


def _of_identifiers() -> list[Reader]:
    codes = {item: [f"<a_{row % 5}>", f"<b_{row // 5}>"] for row, item in enumerate(ITEMS)}
    numbers = np.array([[row % 5, row // 5] for row in range(30)], np.int64)
    text = "".join(f"{item}\t{' '.join(code)}\n" for item, code in codes.items()).encode()
    listed = "".join(f"{item}\n" for item in ITEMS).encode()
    frame = io.BytesIO()
    pd.DataFrame({"item": ITEMS, "identifier": list(codes.values())}).to_parquet(frame)

    def of_json(folder: Path) -> Any:
        found = json.loads((folder / "x.index.json").read_text("utf-8-sig"))
        return {item: _tokens(found[item]) for item in ITEMS}

    def of_text(folder: Path) -> Any:
        text = (folder / "x.sem_ids").read_bytes().decode("utf-8-sig")
        rows = [line.split(maxsplit=1) for line in text.split("\n") if line.strip()]
        found = {row[0]: row[1].split() for row in rows if len(row) == 2}
        return {item: found[item] for item in ITEMS}

    def of_numbers(folder: Path) -> Any:
        rows = dict(zip(idmaps.numbers(folder / "x.items.txt").values(), np.load(folder / "x.npy"), strict=True))
        return {item: _tokens(rows[item].tolist()) for item in ITEMS}

    def of_frame(folder: Path) -> Any:
        found = _parquet(folder / "x.parquet")
        rows = {str(item): list(code) for item, code in zip(found["item"], found["identifier"], strict=True)}
        return {item: _tokens(rows[item]) for item in ITEMS}

    whole = json.dumps(codes).encode()
    plain = {"x.npy": _npy(numbers), "x.items.txt": listed}
    others = (("x.index.json", whole, of_json), ("x.sem_ids", text, of_text), ("x.parquet", frame.getvalue(), of_frame))
    return [
        Reader("identifiers, x.npy", plain, ["x.npy", "x.npy", "x.items.txt"], _identifiers("x.npy"), of_numbers),
        *(Reader(f"identifiers, {name}", {name: all_}, [name], _identifiers(name), of) for name, all_, of in others),
    ]


def _tokens(code: Sequence[Any]) -> list[str]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return [part if isinstance(part, str) else f"<{letters[at]}_{part}>" for at, part in enumerate(code)]


def _npy(array: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def _of_vectors() -> list[Reader]:
    rows = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    listed = "".join(f"{item}\n" for item in ITEMS).encode()
    frame, stored = io.BytesIO(), save({"vectors": rows}, {"ids": json.dumps(ITEMS)})
    pd.DataFrame({"item": ITEMS, "vector": list(rows)}).to_parquet(frame)

    def vectors(name: str) -> Callable[[Path], Any]:
        return lambda folder: embeddings.bound(str(folder / name), _table()).vectors.tobytes()

    def by_list(rows: Callable[[Path], Any], beside: str) -> Callable[[Path], Any]:
        def of(folder: Path) -> Any:
            lines = (folder / beside).read_text("utf-8-sig").split("\n")
            named = {name: row for row, name in enumerate(line.strip() for line in lines if line.strip())}
            found = rows(folder)
            return np.stack([np.asarray(found[named[item]], np.float32) for item in ITEMS]).tobytes()

        return of

    def of_frame(folder: Path) -> Any:
        found = _parquet(folder / "v.parquet")
        by_item = {str(item): vector for item, vector in zip(found["item"], found["vector"], strict=True)}
        return np.stack([np.asarray(by_item[item], np.float32) for item in ITEMS]).tobytes()

    def of_tensors(folder: Path) -> Any:
        content = (folder / "v.safetensors").read_bytes()
        head = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        named = {str(name): row for row, name in enumerate(json.loads(head["__metadata__"]["ids"]))}
        (found,) = load_file(folder / "v.safetensors").values()
        return np.stack([np.asarray(found[named[item]], np.float32) for item in ITEMS]).tobytes()

    plain = {"v.npy": _npy(rows), "v.ids.txt": listed}
    of_npy = by_list(lambda folder: np.load(folder / "v.npy"), "v.ids.txt")
    others = (("v.parquet", frame.getvalue(), of_frame), ("v.safetensors", stored, of_tensors))
    return [
        Reader("vectors, v.npy", plain, ["v.npy", "v.npy", "v.ids.txt"], vectors("v.npy"), of_npy),
        *(Reader(f"vectors, {name}", {name: content}, [name], vectors(name), of) for name, content, of in others),
    ]


def _of_maps() -> list[Reader]:
    numbers = {item: row for row, item in enumerate(ITEMS)}
    nested = {"user2id": {"u": 0}, "item2id": numbers, "id2item": list(ITEMS)}

    def plain(folder: Path) -> Any:
        found = json.loads((folder / "m.json").read_text("utf-8-sig"))
        if isinstance(found, dict) and isinstance(found.get("item2id"), dict):
            found = found["item2id"]
        elif isinstance(found, dict) and "id2item" in found:
            found = found["id2item"]
        pairs = found.items() if isinstance(found, dict) else ((name, row) for row, name in enumerate(found))
        return {str(number): str(name) for name, number in pairs}

    def of_table(folder: Path) -> Any:
        text = (folder / "m.item2id").read_bytes().decode("utf-8-sig")
        rows = [line.rstrip("\r").split("\t") for line in text.split("\n") if line.strip()]
        if all(len(row) == 2 and row[1].strip().isdecimal() for row in rows):
            return {row[1].strip(): row[0] for row in rows}
        return {str(number): row[0].strip() for number, row in enumerate(rows)} if len(rows) == 1 else {}

    table = "".join(f"{item}\t{row}\n" for item, row in numbers.items()).encode()
    read_map = {name: (lambda folder, name=name: idmaps.numbers(folder / name)) for name in ("m.json", "m.item2id")}
    return [
        Reader("map, json", {"m.json": json.dumps(numbers).encode()}, ["m.json"], read_map["m.json"], plain),
        Reader("map, nested", {"m.json": json.dumps(nested).encode()}, ["m.json"], read_map["m.json"], plain),
        Reader("map, table", {"m.item2id": table}, ["m.item2id"], read_map["m.item2id"], of_table),
    ]


# -- backbones --------------------------------------------------------------------------------------------------------


def _of_backbones() -> list[Reader]:
    def sizes(folder: Path) -> Any:
        config = backbone.scratch(str(folder / "config.json"), 50, 0.1).config
        return [config.d_model, config.d_kv, config.d_ff, config.heads, config.layers]

    def said(folder: Path) -> Any:
        found = json.loads((folder / "config.json").read_text("utf-8-sig"))
        return [found[name] for name in ("d_model", "d_kv", "d_ff", "num_heads", "num_layers")]

    config = json.dumps({**TINY, "feed_forward_proj": "relu", "relative_attention_num_buckets": 8, "dropout_rate": 0.1})
    return [Reader("backbone, config.json", {"config.json": config.encode()}, ["config.json"], sizes, said)]
