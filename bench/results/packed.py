"""Results without what only their owner needs: ``result.json`` and the ranks, small enough for a repository.

    <folder>/runs/<data set>/<scheme>@<version>/<contract>/<seed>/result.json, result.sha256, per_user.parquet
    <folder>/runs/<data set>/users-<16 hex digits>.parquet

What all runs of a split share, users and targets and what is told of them, stands once in the file of users, which the
schema of each ``per_user.parquet`` names by its SHA-256. Ranks are stored as differences from the strict rank, byte by
byte (``BYTE_STREAM_SPLIT``), under zstd: a rank of a beam takes a bit or two, one of a whole catalogue two bytes.
Nothing is lost: ``read`` gives the table that was packed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench import files
from bench.errors import CorruptError
from bench.results import digests
from bench.results.schema import COLUMNS, DESCRIBED, GROUP_COLUMNS

if TYPE_CHECKING:
    import pandas as pd
    from pyarrow import parquet

KEY = b"bench.users"  # of the schema's metadata: the SHA-256 of the file of users
OF_RANKS = ("rank", "code_rank", "group_size", *GROUP_COLUMNS.values())
OF_USERS = (*(name for name in COLUMNS if name not in OF_RANKS), *DESCRIBED)
AS_DIFFERENCE = tuple(name for name in OF_RANKS if name.endswith("_rank"))
TABLE = "per_user.parquet"
ABOVE = 4  # folders between a table and the file of users


def pack(source: Path, folder: Path) -> None:
    """Write the run in the folder ``source`` into an empty ``folder``, and the file of users beside its data set.

    The run must be a whole one. Raises what the operating system raises.
    """
    stored = json.loads((source / digests.RESULT).read_text(encoding="utf-8"))
    table = source / TABLE
    frame = read_any(table)
    users = _write_users(frame, folder.parents[2])
    _write_ranks(frame, folder / table.name, users)
    whole = stored.get("packed", stored["files"])
    stored |= {"files": {table.name: digests.of_file(folder / table.name)}, "packed": whole}
    files.write_text(folder / digests.RESULT, json.dumps(stored, separators=(",", ":")) + "\n")
    digests.seal(folder)


def is_packed(folder: Path) -> bool:
    """Whether the run in a folder holds nothing but what is packed."""
    known = {digests.RESULT, digests.SEAL, TABLE}
    return {path.name for path in folder.iterdir()} <= known


def _write_users(frame: pd.DataFrame, folder: Path) -> str:
    """The digest of the file that holds what runs of one split share."""
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.Table.from_pandas(frame[[name for name in OF_USERS if name in frame]], preserve_index=False)
    folder.mkdir(parents=True, exist_ok=True)
    files.remove_left_behind(folder)
    unnamed = files.beside(folder / "users")
    try:
        parquet.write_table(table.replace_schema_metadata(None), unnamed, compression="zstd", compression_level=19)
        digest = digests.of_file(unnamed)
        if (named := folder / _name(digest)).exists():
            with contextlib.suppress(OSError):  # another user's
                os.utime(named)  # it is of use again, before a run says so
        else:
            files.sync(unnamed)
            files.rename(unnamed, named)
    finally:
        files.remove(unnamed)
    return digest


def _write_ranks(frame: pd.DataFrame, path: Path, users: str) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    base = _base(frame)
    columns = {}
    for name in (name for name in OF_RANKS if name in frame):
        known = frame[name].notna().to_numpy()
        values = frame[name].to_numpy(dtype=np.int64, na_value=0) - (base if name in AS_DIFFERENCE else 0)
        columns[name] = pa.array(values.astype(np.int32), mask=~known)
    table = pa.table(columns).replace_schema_metadata({KEY: users.encode()})
    split = {"use_dictionary": False, "use_byte_stream_split": True}
    parquet.write_table(table, path, compression="zstd", compression_level=19, **split)


def _base(frame: pd.DataFrame) -> NDArray[np.int64]:
    """What the other ranks are told against: the strict one, 0 where the target was not retrieved."""
    return np.asarray(frame["rank"].to_numpy(dtype=np.int64, na_value=0))


def read_any(path: Path) -> pd.DataFrame:
    """A per-user table, packed or not. Raises as ``read``."""
    import pandas as pd

    return read(path) if users_of(_schema(path)) else pd.read_parquet(path)


def read(path: Path) -> pd.DataFrame:
    """The table that was packed. CorruptError where it or its users are; else ValueError, KeyError or OSError."""
    import pandas as pd
    import pyarrow as pa
    from pyarrow import parquet

    users = parquet.read_table(users_file(path, users_of(_schema(path)))).to_pandas()
    ranks = parquet.read_table(path)
    if len(users) != len(ranks):
        raise ValueError(f"{len(ranks):,} ranks of {len(users):,} users")
    whole = {
        name: ranks.column(name).to_pandas(types_mapper={pa.int32(): pd.Int32Dtype()}.get)
        for name in ranks.column_names
    }
    base = _base(pd.DataFrame(whole))
    whole |= {name: (whole[name] + base).astype("Int32") for name in AS_DIFFERENCE if name in whole}
    found: pd.DataFrame = users.assign(**whole)
    return found


def outline(path: Path) -> tuple[int, list[str]]:
    """How many rows a per-user table has, packed or not, and of what columns. CorruptError, OSError or ValueError."""
    metadata = _schema(path)
    names = list(metadata.schema.names)
    if users := users_of(metadata):
        names += _schema(users_file(path, users)).schema.names
    return metadata.num_rows, names


def _schema(path: Path) -> parquet.FileMetaData:
    from pyarrow import parquet

    return parquet.read_metadata(path)


def unused(folder: Path) -> list[Path]:
    """Files of users in a data set's folder that no run names, and that nobody has written for a day: whoever packs
    writes the users first. None where a run can't be read that may name one.
    """
    found = [path for path in sorted(folder.glob("users-*.parquet")) if re.fullmatch(_name("[0-9a-f]{16}"), path.name)]
    try:
        named = {_name(users_of(_schema(path))) for path in files.below(folder, TABLE)} if found else set()
        now = files.now(folder) if found else 0.0
        return [path for path in found if path.name not in named and now - path.stat().st_mtime > files.FOREIGN_AGE]
    except (OSError, ValueError):
        return []


def users_of(metadata: Any) -> str:
    """The digest of the file of users that a table names; ``""`` where it is not a packed one."""
    found: Mapping[bytes, bytes] = metadata.metadata or {}
    return found.get(KEY, b"").decode("ascii", errors="replace")


def users_file(path: Path, digest: str) -> Path:
    """The file of users of the table at ``path``. CorruptError where it is not as it was stored, or missing."""
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise CorruptError(f"'{path}' is corrupt (it names no file of users)", "copy it again")
    named = (folder / _name(digest) for folder in path.absolute().parents[:ABOVE])
    found = next((file for file in named if file.is_file()), None)
    if found is None:
        raise CorruptError(f"'{path}' is packed, and {_name(digest)} is not in its data set's folder", "copy that too")
    if digests.of_file(found) != digest:
        raise CorruptError(f"'{found}' is corrupt: its SHA-256 is not that in '{path}'", "copy it again")
    return found


def _name(digest: str) -> str:
    return f"users-{digest[:16]}.parquet"
