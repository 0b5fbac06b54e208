"""Item text and its embeddings: composed, encoded and whitened once, and kept by content.

``tfidf-svd`` needs nothing but the catalogue, and its vectors mean nothing to another one. ``hashed`` gives a text the
same vector in every catalogue. A ``.npy``, ``.parquet`` or ``.safetensors`` file holds vectors that somebody else has
made (``bench.ids.embeddings``). ``backbone`` is the contract's own pretrained model: the mean of its hidden states over
a text's tokens. Any other encoder is a sentence-transformers model, by folder or by name.
"""

from __future__ import annotations

import hashlib
import html
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench import devices, hub, ranks, tensors
from bench.data.dataset import ItemTable, Progress, TextReader, TrainView, silent
from bench.errors import BenchError, unknown
from bench.ids import embeddings, per_field
from bench.ids.encoders import refuse_code
from bench.ids.limits import CatalogueSize, Needs
from bench.threads import one_thread
from bench.versions import installed

OFFLINE, HASHED, BACKBONE = "tfidf-svd", "hashed", "backbone"
OWN = (OFFLINE, HASHED)  # that need no files
ID_COLUMN = "id"  # of a catalogue without text, where the ids stand in
HASH_BYTES = 64  # of a word's hash, each bit of which is the sign of a channel
CHANNELS = 160  # of the random projection; with more, ever more items are near neighbors of none
MODEL_FILES = (".json", ".safetensors", ".txt", ".model", ".bin")
SHARD = 1 << 18  # items whose vectors are in memory with all digits
ENCODED_AT_ONCE = 1024  # texts of a part; each rank has one between two reports of progress
FIELDS = 4  # of an item, where nobody says
MANY = 10  # items for each dimension from which a catalogue is not looked at: so many share no text
EQUIDISTANT = (
    "the texts of these {} items say nothing after whitening: in {} dimensions all are equally far apart; keep fewer "
    "(the setting dimensions) or leave lengths as they are (whiten=false)"
)
Embeddings = NDArray[np.float32]


class MissingTextError(BenchError):
    """Items have no text, and something needs it."""


@dataclass(frozen=True)
class TextSettings:
    """What of an item's text is embedded, and how. A scheme's settings can inherit these.

    The text of an item is its ``fields``, by default every text column in file order, with ``separator`` between those
    that are not empty. ``encoder`` is ``tfidf-svd``, ``hashed``, ``backbone``, a file of vectors, a folder, or
    ``name[@revision]`` on the Hugging Face hub; the first alone is made for one catalogue (``bench.ids.spaces``).
    The embedding is turned to its ``dimensions`` principal axes (0: left as encoded), each of variance 1 if ``whiten``.
    ``pool`` says what a model makes a vector of: the ``text`` of an item, or each of its ``fields`` by itself, as a
    sentence without HTML. The item's vector is then their mean. Empty fields are left out.
    """

    fields: tuple[str, ...] = ()
    separator: str = ". "
    encoder: str = OFFLINE
    dimensions: int = 128
    whiten: bool = True
    pool: Literal["text", "fields"] = field(default="text", metadata={"later": True})

    def __post_init__(self) -> None:
        if self.dimensions < 0:
            raise BenchError(f"dimensions must be 0 (those of the encoder) or more; got {self.dimensions}")
        if self.pool == "fields" and (self.encoder in OWN or embeddings.is_file(self.encoder)):
            raise BenchError(
                f"pool=fields is for a model that reads texts; got encoder={self.encoder}: use encoder={BACKBONE}, "
                "or a sentence-transformers model by folder or name"
            )


def embed(train: TrainView, settings: TextSettings) -> Embeddings:
    """``[items, dimensions]``: the text of every item of the catalogue, taken in training or not, as a vector."""
    return embedded(train, settings)["embeddings"]


def embedded(train: TrainView, settings: TextSettings) -> dict[str, Embeddings]:
    """``embeddings`` as of ``embed``, and where they are turned the ``mean [raw]`` and ``axes [raw, dimensions]``. Kept
    in ``train.cache`` under all that they depend on: the texts, the encoder's content and these settings.
    """
    return train.share(lambda: _kept(train, settings))


def _kept(train: TrainView, settings: TextSettings) -> dict[str, Embeddings]:
    given, own = embeddings.is_file(settings.encoder), settings.encoder == BACKBONE
    texts = train.items.ids if given else _texts(train.items, settings)
    source = b"".join(Path(file).read_bytes() for file in (__file__, per_field.__file__))
    described: dict[str, Any] = {
        "texts": hashlib.sha256("\x00".join(texts).encode()).hexdigest(),
        "encoder": _reader(train).digest if own else encoder_digest(settings.encoder) or settings.encoder,
        "library": str(installed("scikit-learn" if settings.encoder in OWN else "sentence-transformers")),
        "source": hashlib.sha256(source).hexdigest(),
        **{name: value for name, value in asdict(settings).items() if name in ("dimensions", "whiten", "pool")},
    }
    if not given and settings.encoder not in OWN and (device := devices.key(train.device)):
        described["device"] = " ".join(device)
    key = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:32]
    path = train.cache / "text" / f"{key}.safetensors" if train.cache else None
    if path and path.exists():
        found, seconds = _load(path, described, len(texts))
        train.cached_seconds.append(seconds)
        return found
    begin = time.monotonic()
    raw = embeddings.bound(settings.encoder, train.items).vectors if given else _raw(train, settings, texts)
    with one_thread():
        arrays = projected(raw, settings.dimensions, settings.whiten) if settings.dimensions else {"embeddings": raw}
    if path:
        described["seconds"] = round(time.monotonic() - begin, 6)
        tensors.write(path, arrays, described, "text embeddings", once=True)
    return arrays


def _texts(items: ItemTable, settings: TextSettings) -> list[str]:
    """The text of every item; its fields in lines of their own where each is read by itself."""
    return compose(items, settings.fields, settings.separator if settings.pool == "text" else per_field.BETWEEN)


def _raw(train: TrainView, settings: TextSettings, texts: Sequence[str]) -> Embeddings:
    encode = partial(
        _encode, encoder=settings.encoder, progress=train.progress, reader=train.reader, device=train.device
    )
    return encode(texts) if settings.pool == "text" else per_field.mean_of_fields(texts, encode)


def raw_width(settings: TextSettings) -> int:
    """Numbers that the encoder gives of an item, about."""
    return {OFFLINE: CHANNELS, HASHED: 8 * HASH_BYTES}.get(settings.encoder, 768)


def width_of(settings: TextSettings) -> int:
    """Numbers of an item that are kept, about."""
    raw = raw_width(settings)
    return min(settings.dimensions, raw) if settings.dimensions else raw


def embedding_needs(size: CatalogueSize, settings: TextSettings) -> Needs:
    """Of ``embed``: as encoded, as kept, and a shard of both with all digits; texts and their words."""
    raw, kept = raw_width(settings), width_of(settings)
    texts = 1 if settings.pool == "text" else len(settings.fields) or FIELDS  # of an item
    read = raw if settings.pool == "text" else raw * (1 + texts)
    shard = 8 * min(size.items, SHARD) * (raw + kept)
    each = 1e-4 if settings.encoder in OWN or embeddings.is_file(settings.encoder) else 2e-2
    return Needs(size.items * (4.0 * (read + kept) + 250) + shard, size.items * each * texts)


def validate_items(items: ItemTable, settings: TextSettings) -> None:
    """BenchError where there is an item that cannot be embedded."""
    if embeddings.is_file(settings.encoder):
        embeddings.bound(settings.encoder, items)
    else:
        require_text(items, fields=settings.fields)


def warnings(items: ItemTable, settings: TextSettings) -> tuple[str, ...]:
    """What a reader of the result should know of the vectors, in a line each."""
    found = embeddings.bound(settings.encoder, items).warnings if embeddings.is_file(settings.encoder) else ()
    return (*found, EQUIDISTANT.format(len(items), settings.dimensions)) if _flattened(items, settings) else found


def _flattened(items: ItemTable, settings: TextSettings) -> bool:
    """Whether whitening makes all distances equal: n different vectors that span n - 1 dimensions become a simplex."""
    if not settings.whiten or len(items) > MANY * settings.dimensions:
        return False
    if embeddings.is_file(settings.encoder):
        raw = embeddings.bound(settings.encoder, items).vectors
        return _spans_all(raw, len(np.unique(raw, axis=0)), settings.dimensions)
    if stand_in(items, settings.fields)[1]:
        return False  # items without text are refused
    texts = compose(items, settings.fields, settings.separator)
    different = len(set(texts))
    if different - 1 > settings.dimensions or settings.encoder not in OWN:
        return different - 1 <= settings.dimensions
    return _spans_all(_encode(texts, settings.encoder, silent), different, settings.dimensions)


def _spans_all(raw: Embeddings, different: int, dimensions: int) -> bool:
    return different - 1 <= dimensions and int(np.linalg.matrix_rank(raw - raw.mean(axis=0))) >= different - 1


def compose(items: ItemTable, fields: Sequence[str], separator: str) -> list[str]:
    """The text of every item; a BenchError where a field is unknown or an item has none."""
    require_text(items, fields=fields)
    columns = [items.text[field] for field in fields or items.text]
    parts = ([_plain(column[item]) for column in columns] for item in range(len(items)))
    return [separator.join(filter(None, part)) for part in parts]


def stand_in(items: ItemTable, fields: Sequence[str] = ()) -> tuple[ItemTable, int]:
    """The catalogue with the id of an item for its text where it has none in any of the fields, by default in any
    column; and how many those are.
    """
    if any(field not in items.text for field in fields):
        return items, 0  # require_text says which
    names = list(fields or items.text) or [ID_COLUMN]
    columns = {name: items.text.get(name, ("",) * len(items)) for name in names}
    empty = [not any(map(_plain, cells)) for cells in zip(*columns.values(), strict=True)]
    first = zip(items.ids, columns[names[0]], empty, strict=True)
    filled = {names[0]: tuple(item if missing else text for item, text, missing in first)}
    return ItemTable(items.ids, {**items.text, **filled}), sum(empty)


def require_text(items: ItemTable, what: str = "text embeddings", fields: Sequence[str] = ()) -> None:
    """BenchError where a field is unknown, or an item has no text in any of the fields, by default in any column."""
    for name in fields:
        if name not in items.text:
            raise unknown("text field", name, items.text)
    columns = [items.text[field] for field in fields or items.text]
    without = [name for item, name in enumerate(items.ids) if not any(_plain(column[item]) for column in columns)]
    if without:
        raise MissingTextError(
            f"{what} need text for every item: {len(without):,} of {len(items):,} items have none, "
            f"the first is '{without[0]}'; add text to the item file, drop these items, or use another scheme"
        )


def _plain(cell: str) -> str:
    """Without HTML entities, line breaks and runs of spaces: a cell of nothing but ``&nbsp;`` holds no text."""
    return " ".join(html.unescape(cell).split())


def encoder_digest(encoder: str) -> str:
    """A digest of the content of a model's files or of a file of vectors; ``""`` for the encoders that have none, and
    for the backbone, whose digest is in the contract.
    """
    if embeddings.is_file(encoder):
        return embeddings.digest(encoder)
    if encoder in (*OWN, BACKBONE):
        return ""
    folder, digest = locate(encoder), hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.suffix in MODEL_FILES):
        digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return digest.hexdigest()


def locate(encoder: str) -> Path:
    """The folder of a sentence encoder, downloaded where need be."""
    hint = f"connect, give a folder that holds it, or use --set FAMILY.encoder={OFFLINE}"
    wanted = [f"*{suffix}" for suffix in MODEL_FILES if suffix != ".bin"]  # the same weights as a safetensors file
    return hub.locate(encoder, "text encoder", wanted, hint)


def _reader(train: TrainView) -> TextReader:
    if train.reader is None:
        raise BenchError(f"encoder={BACKBONE} reads texts with a pretrained backbone; this one starts from scratch")
    return train.reader


def _encode(
    texts: Sequence[str], encoder: str, progress: Progress, reader: TextReader | None = None, device: str = "cpu"
) -> Embeddings:
    own = {OFFLINE: tfidf_svd, HASHED: hashed}
    if encoder == BACKBONE and reader is not None:
        vectors = reader.read(texts, progress)
    else:
        vectors = own[encoder](texts) if encoder in own else _sentences(texts, encoder, progress, device)
    if not np.isfinite(vectors).all():
        item = int(np.argwhere(~np.isfinite(vectors))[0][0])
        raise BenchError(
            f"text encoder '{encoder}' gave a vector that is not finite, for the text '{texts[item][:60]}'"
        )
    return vectors


def _sentences(texts: Sequence[str], encoder: str, progress: Progress, device: str) -> Embeddings:
    """Of several ranks each encodes its share: the texts of a part are encoded together, whoever does it."""
    parts = [list(texts[start : start + ENCODED_AT_ONCE]) for start in range(0, len(texts), ENCODED_AT_ONCE)]
    found, all_ranks = list[Embeddings](), ranks.count()
    for start in range(0, len(parts), all_ranks):
        found += ranks.divided(partial(_encoded, encoder, device), parts[start : start + all_ranks])
        progress(min(len(found) * ENCODED_AT_ONCE, len(texts)), len(texts), {})
    ranks.divided(_forget, range(all_ranks))
    return np.concatenate(found)


def _encoded(encoder: str, device: str, texts: list[str]) -> Embeddings:
    return np.asarray(_model(encoder, ranks.own(device)).encode(texts, show_progress_bar=False), np.float32)


def _forget(_: int) -> None:
    _model.cache_clear()


@lru_cache(maxsize=1)
def _model(encoder: str, device: str) -> Any:
    folder = locate(encoder)
    refuse_code(folder)
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise BenchError(
            f"text encoder '{folder}' needs sentence-transformers: pip install 'item-identifier-bench[sentence]'"
        ) from error
    try:
        return SentenceTransformer(str(folder), device=device, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the library raises whatever the parts of a model raise
        cause = " ".join(str(error).split())[:160]
        raise BenchError(f"'{folder}' is no sentence-transformers model ({type(error).__name__}: {cause})") from error


def _load(path: Path, described: dict[str, Any], items: int) -> tuple[dict[str, Embeddings], float]:
    """What ``_kept`` has written, and the seconds it took. BenchError where it is corrupt or not what its name says."""
    what, hint = "the file of text embeddings", "delete the file and run again"
    arrays, stored = tensors.read(path, "np", what, hint)
    seconds = stored.pop("seconds", None)
    if seconds is None or stored != described or len(arrays.get("embeddings", ())) != items:
        raise tensors.corrupt(path, "it holds the vectors of another encoder or of other texts", what, hint)
    return {name: np.asarray(array, np.float32) for name, array in arrays.items()}, float(seconds)


def tfidf_svd(texts: Sequence[str]) -> Embeddings:
    """``[texts, at most 160]``: tf-idf vectors of words under a random projection, of length 1.

    The projection keeps distances (Johnson and Lindenstrauss). Singular vectors of tf-idf itself would drop the words
    that only one item has, and with them what tells a board game from the next.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.random_projection import GaussianRandomProjection

    try:
        weights = TfidfVectorizer(sublinear_tf=True, dtype=np.float32, token_pattern=r"(?u)\b\w+\b").fit_transform(
            texts
        )
    except ValueError as error:
        raise BenchError(f"{OFFLINE} found no word in the text of {len(texts):,} items") from error
    if weights.shape[1] <= CHANNELS:
        return _of_length_one(weights, weights.shape[1], lambda shard: shard.toarray())
    projection = GaussianRandomProjection(CHANNELS, random_state=0).fit(weights)
    return _of_length_one(weights, CHANNELS, projection.transform)


def hashed(texts: Sequence[str]) -> Embeddings:
    """``[texts, 512]``: the words of each text under a projection that is the same for every catalogue, of length 1.

    The hash of a word gives its sign in each channel (Achlioptas, 2003: random signs keep distances). A word counts by
    the logarithm of its number in the text, and English stop words not at all: how rare a word is would differ from one
    catalogue to the next.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(token_pattern=r"(?u)\b\w+\b", stop_words="english", dtype=np.float32)
    try:
        counts = counter.fit_transform(texts)
    except ValueError as error:
        raise BenchError(f"{HASHED} found no word in the text of {len(texts):,} items") from error
    counts.data = 1 + np.log(counts.data)
    words = counter.get_feature_names_out()
    hashes = b"".join(hashlib.blake2b(word.encode(), digest_size=HASH_BYTES).digest() for word in words)
    bits = np.unpackbits(np.frombuffer(hashes, np.uint8).reshape(len(words), HASH_BYTES), axis=1)
    signs = 2 * bits.astype(np.float32) - 1
    return _of_length_one(counts, 8 * HASH_BYTES, lambda shard: np.asarray(shard @ signs))


def _of_length_one(sparse: Any, width: int, dense: Callable[[Any], NDArray[np.floating[Any]]]) -> Embeddings:
    """``[rows, width]`` that are made of those of a sparse matrix, a shard at a time; rows of zeros stay."""
    every = np.empty((sparse.shape[0], width), np.float32)
    for shard in shards(len(every)):
        found = dense(sparse[shard])
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        every[shard] = found / np.where(lengths > 0, lengths, 1)
    return every


def projected(raw: Embeddings, dimensions: int, whiten: bool) -> dict[str, NDArray[np.float32]]:
    """Principal axes, by decreasing variance: the ``mean`` and ``axes [raw, dimensions]`` fitted on all items, and the
    ``embeddings`` they give. Fewer dimensions where the data have fewer.

    The eigenvectors of the covariance are found without randomness, and the largest coordinate of each is positive.
    """
    mean = raw.mean(axis=0, dtype=np.float64)
    parts = shards(len(raw))
    variances, axes = np.linalg.eigh(sum(_scatter(raw[shard] - mean) for shard in parts) / len(raw))
    order = np.argsort(-variances, kind="stable")[:dimensions]
    order = order[variances[order] > max(variances.max(), 0) * 1e-9]
    axes = axes[:, order]
    largest = np.round(np.abs(axes), 9).argmax(axis=0)  # of coordinates that are equal to 9 digits the first
    axes = axes * np.sign(axes[largest, np.arange(len(order))])
    if whiten:
        axes = axes / np.sqrt(variances[order])
    embeddings = np.concatenate([((raw[shard] - mean) @ axes).astype(np.float32) for shard in parts])
    return {"embeddings": embeddings, "mean": mean.astype(np.float32), "axes": axes.astype(np.float32)}


def shards(count: int) -> list[slice]:
    return [slice(start, start + SHARD) for start in range(0, count, SHARD)]


def _scatter(centered: NDArray[np.float64]) -> Any:
    return centered.T @ centered
