"""From titles to identifiers: unique, in codebooks of their own, from what training may see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from semantic_ids import (
    Opq,
    Pq,
    RqKmeans,
    RqVae,
)
from semantic_ids.collisions import RULES, alone, collision_rate, occurrence
from semantic_ids.quantizers import Vectors, residual_kmeans
from semantic_ids.rqvae import ResidualAutoEncoder
from semantic_ids.schemes import Semantic, letter, token_ids
from semantic_ids.settings import RqVaeSettings, Settings

from bench.data.dataset import Dataset, ItemTable, TrainView
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.ids.identifiers import Template, TokenIds
from bench.ids.text import TextSettings, embed
from bench.runs.subjects import load_scheme
from bench.runs.subjects import settings as settings_of

MakeView = Callable[..., TrainView]
CODES = {"codes": "16", "dimensions": "12"}
NETWORK = {**CODES, "epochs": "4", "hidden": "16", "latent": "6", "batch": "64"}
SCHEMES: list[tuple[type[Semantic], Mapping[str, str]]] = [(RqKmeans, CODES), (Pq, CODES), (RqVae, NETWORK)]
NAMES = ["rqkmeans", "pq", "rqvae"]
each_scheme = pytest.mark.parametrize(("scheme", "options"), SCHEMES, ids=NAMES)


def make(scheme: type[Semantic], options: Mapping[str, str], **changes: str) -> Semantic:
    return scheme(settings_of(scheme, {**options, **changes}))


def codes_of(ids: TokenIds, variant: int = 0) -> np.ndarray[Any, np.dtype[np.int64]]:
    """``[items, places]``: the codes that tokens such as ``a7 b0`` are named for, each place with its own letter."""
    names = [ids.vocabulary.decode(ids.code(item, variant)).split() for item in range(len(ids))]
    assert {tuple(name[0] for name in row) for row in names} == {tuple("abcdefgh"[: len(ids.codebooks)])}
    return np.array([[int(name[1:]) for name in row] for row in names])


def assert_sound(ids: TokenIds, items: int) -> None:
    """Every item has a token from each codebook, and the codebooks are the whole vocabulary but for its specials."""
    starts = 3 + np.cumsum([0, *ids.codebooks])
    assert ids.tokens.shape[1:] == (items, len(ids.codebooks))
    assert (ids.tokens >= starts[:-1]).all()
    assert (ids.tokens < starts[1:]).all()
    assert ids.vocabulary.size == starts[-1]
    assert not ids.appends_eos
    assert ids.template == Template()
    for variant in range(len(ids.tokens)):
        np.testing.assert_array_equal(codes_of(ids, variant), ids.tokens[variant] - starts[:-1])


def unique(ids: TokenIds) -> bool:
    return len(set(ids.groups.tolist())) == len(ids)


@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 3), st.booleans(), st.integers(0, 999))
def test_tokens_lie_in_codebooks_of_their_own(levels: int, size: int, variants: int, counted: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    codes = [random.integers(0, size, (12, levels)) for _ in range(variants)]
    if counted:
        codes = [np.column_stack([one, occurrence(one)]) for one in codes]
    ids = token_ids(codes, levels, size)
    assert_sound(ids, 12)
    assert ids.codebooks[:levels] == (size,) * levels
    assert ids.codebooks[levels:] == ((max(int(one[:, -1].max()) for one in codes) + 1,) if counted else ())
    for variant, one in enumerate(codes):
        np.testing.assert_array_equal(codes_of(ids, variant), one)


def test_letters_never_run_out_nor_repeat() -> None:
    assert [letter(level) for level in (0, 25, 26, 51, 52)] == ["a", "z", "aa", "zz", "aaa"]
    assert len({letter(level) for level in range(200)}) == 200
    ids = token_ids([np.zeros((2, 60), np.int64)], 60, 3)
    assert ids.vocabulary.decode(ids.code(0)).split()[25:28] == ["z0", "aa0", "bb0"]
    assert ids.vocabulary.size == 3 + 60 * 3


@each_scheme
@pytest.mark.parametrize("rule", RULES)
def test_a_catalogue_with_equal_texts_under_every_rule(
    rule: str, scheme: type[Semantic], options: Mapping[str, str], titles: list[str], make_view: MakeView
) -> None:
    train = make_view(titles)
    ids = make(scheme, options, collisions=rule, codes="32").fit(train)
    plain = codes_of(make(scheme, options, collisions="none", codes="32").fit(train))
    assert_sound(ids, 200)
    assert ids.codebooks[:3] == (32, 32, 32)
    assert unique(ids) == (rule != "none")
    assert 0 < collision_rate(plain) < 0.9
    assert len(np.unique(plain[-6:], axis=0)) == 1  # those with one title
    stay = alone(plain)
    assert np.array_equal(codes_of(ids)[stay][:, :3], plain[stay])
    if rule == "counter":
        np.testing.assert_array_equal(codes_of(ids)[:, :3], plain)
        np.testing.assert_array_equal(codes_of(ids)[:, 3], occurrence(plain))
        assert ids.codebooks[3] == occurrence(plain).max() + 1 >= 6


@each_scheme
def test_a_counter_beyond_255_has_tokens_of_its_own(
    scheme: type[Semantic], options: Mapping[str, str], make_view: MakeView
) -> None:
    """The published code reads 256 as the token of the user."""
    titles = [f"w{word} w{word * 7 % 40}" for word in range(40)]
    ids = make(scheme, options).fit(make_view([*titles, *["spare part"] * 300]))
    assert_sound(ids, 340)
    assert unique(ids)
    assert ids.codebooks[3] >= 300
    assert ids.vocabulary.decode(ids.code(339)).split()[3] == f"d{ids.codebooks[3] - 1}"


@each_scheme
def test_a_seed_repeats_and_another_gives_other_identifiers(
    scheme: type[Semantic], options: Mapping[str, str], titles: list[str], make_view: MakeView
) -> None:
    first, again, other = (make(scheme, options).fit(make_view(titles, seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.tokens, again.tokens)
    assert first.vocabulary.fingerprint == again.vocabulary.fingerprint
    assert not np.array_equal(codes_of(first)[:, :3], codes_of(other)[:, :3])


def test_the_levels_are_those_of_the_quantizer(titles: list[str], make_view: MakeView) -> None:
    train = make_view(titles, seed=9)
    ids = make(RqKmeans, CODES, levels="5", collisions="none").fit(train)
    vectors = embed(train, TextSettings(dimensions=12))
    assert ids.codebooks == (16,) * 5
    np.testing.assert_array_equal(codes_of(ids), residual_kmeans(vectors, 5, 16, 9).codes)


def test_a_rotation_comes_before_product_quantization(make_view: MakeView) -> None:
    random = np.random.default_rng(0)
    titles = [" ".join(f"w{word}" for word in random.integers(0, 90, 5)) for _ in range(300)]
    ids, plain = (make(scheme, CODES).fit(make_view(titles)) for scheme in (Opq, Pq))
    assert_sound(ids, 300)
    assert unique(ids)
    assert not np.array_equal(codes_of(ids)[:, :3], codes_of(plain)[:, :3])
    with pytest.raises(BenchError, match=r"opq learns its rotation from 256 or more items .* got 255 items"):
        make(Opq, CODES).fit(make_view(titles[:255]))


class LastThree(RqVae):
    def variants(self) -> int:
        return 3


def test_variants_are_the_codes_of_the_last_epochs_newest_first(titles: list[str], make_view: MakeView) -> None:
    scheme, train = make(LastThree, NETWORK, epochs="12", collisions="none"), make_view(titles, seed=5)
    ids = scheme.fit(train)
    assert_sound(ids, 200)
    vectors = embed(train, TextSettings(dimensions=12))
    assert isinstance(scheme, RqVae)
    model = ResidualAutoEncoder(vectors, 3, 16, 5, scheme.settings.training())
    epochs = [model.quantize(vectors).codes for _ in model.epochs()]
    for variant in range(3):
        np.testing.assert_array_equal(codes_of(ids, variant), epochs[11 - variant])
    one = make(RqVae, NETWORK, epochs="12", collisions="none").fit(train)
    np.testing.assert_array_equal(one.tokens, ids.tokens[:1])


def test_every_variant_is_unique_and_they_share_codebooks(titles: list[str], make_view: MakeView) -> None:
    for rule in ("counter", "reassign", "sinkhorn"):
        ids = make(LastThree, NETWORK, codes="32", collisions=rule).fit(make_view(titles))
        assert_sound(ids, 200)
        assert len(ids.tokens) == 3
        assert all(len(np.unique(codes_of(ids, variant), axis=0)) == 200 for variant in range(3))
        assert ids.codebooks[:3] == (32, 32, 32)


def test_variants_drift_little_and_first_codes_least(titles: list[str], make_view: MakeView) -> None:
    ids = make(LastThree, NETWORK, epochs="40", learning_rate="0.003", collisions="none").fit(make_view(titles))
    newest, before, earlier = (codes_of(ids, variant) for variant in range(3))
    assert (newest != earlier).any()
    assert (newest != before).any(axis=1).mean() < 0.3
    assert (newest[:, 0] != before[:, 0]).mean() < 0.05
    assert (newest[:, 0] != earlier[:, 0]).mean() <= (newest != earlier).any(axis=1).mean()


def test_epochs_are_reported_with_what_was_found(titles: list[str], make_view: MakeView) -> None:
    seen: list[tuple[int, int, dict[str, float]]] = []
    train = replace(make_view(titles), progress=lambda done, total, figures: seen.append((done, total, dict(figures))))
    plain = make(RqVae, NETWORK, epochs="12", collisions="none").fit(train)
    assert [(done, total) for done, total, _ in seen] == [(epoch, 12) for epoch in range(1, 13)]
    assert [done for done, _, figures in seen if "collisions" in figures] == [5, 10, 12]
    assert all(figures["reconstruction"] > 0 for *_, figures in seen)
    last = seen[-1][2]
    assert last["collisions"] == collision_rate(codes_of(plain))
    assert last["codes used"] == min(len(np.unique(level)) for level in codes_of(plain).T) / 16


ROWS = [[0, 3, 5], [8, 1], [*range(20, 120), 0]]  # of 200 items, what training sequences hold


def test_only_items_of_training_sequences_train_the_auto_encoder(titles: list[str], make_view: MakeView) -> None:
    train, scheme = make_view(titles, ROWS), make(RqVae, NETWORK)
    vectors = embed(train, TextSettings(dimensions=12))
    seen = np.zeros(200, bool)
    seen[np.concatenate(ROWS)] = True

    def quantized(changed: Vectors) -> tuple[Any, Any]:
        (found,) = scheme.quantize(changed, train)
        return found.codes, found.codebook

    def shifted(rows: Any) -> Vectors:
        changed = vectors.copy()
        changed[rows] = changed[rows][::-1] + 1
        return changed

    codes, codebook = quantized(vectors)
    assert codes.shape == (200, 3)  # all have codes
    assert len(np.unique(codes[~seen], axis=0)) > 10
    other, same = quantized(shifted(~seen))
    np.testing.assert_array_equal(codebook, same)
    np.testing.assert_array_equal(codes[seen], other[seen])
    assert not np.array_equal(codes[~seen], other[~seen])
    assert not np.array_equal(codebook, quantized(shifted(seen))[1])


@each_scheme
def test_neither_order_nor_number_of_interactions_matters(
    scheme: type[Semantic], options: Mapping[str, str], titles: list[str], make_view: MakeView
) -> None:
    """Identifiers come from text; what training sequences add is which items they hold."""
    one, other = (make(scheme, options).fit(make_view(titles, rows)) for rows in (ROWS, [[*ROWS[2], 3], [5, 8, 1, 8]]))
    np.testing.assert_array_equal(one.tokens, other.tokens)


@each_scheme
def test_an_embedding_that_is_not_finite_names_the_item_in_the_catalogue(
    scheme: type[Semantic], options: Mapping[str, str], titles: list[str], make_view: MakeView
) -> None:
    train = make_view(titles, ROWS)
    for item in (0, 8, 21, 190):  # the last is in no training sequence
        vectors = embed(train, TextSettings(dimensions=12)).copy()
        vectors[item, 2] = np.nan
        with pytest.raises(BenchError, match=f"catalogue item {item} is not finite"):
            make(scheme, options).quantize(vectors, train)


@each_scheme
def test_fewer_items_than_codes(scheme: type[Semantic], options: Mapping[str, str], make_view: MakeView) -> None:
    titles = ["red car", "blue car", "red doll", "green robot", "blue puzzle"]
    for rule in ("counter", "reassign", "sinkhorn"):
        ids = make(scheme, options, codes="256", collisions=rule).fit(make_view(titles))
        assert_sound(ids, 5)
        assert unique(ids)
        assert ids.codebooks[:3] == (5, 5, 5)


@pytest.mark.parametrize(("scheme", "options"), [SCHEMES[0], SCHEMES[2]], ids=["rqkmeans", "rqvae"])
def test_one_item_and_items_of_one_text(
    scheme: type[Semantic], options: Mapping[str, str], make_view: MakeView
) -> None:
    alone = make(scheme, options).fit(make_view(["red car"]))
    assert [codes_of(alone).tolist(), alone.codebooks] == [[[0, 0, 0, 0]], (1, 1, 1, 1)]
    same = make(scheme, options).fit(make_view(["red car"] * 40))
    assert unique(same)
    assert codes_of(same)[:, 3].tolist() == list(range(40))
    assert len(np.unique(codes_of(same)[:, :3], axis=0)) == 1
    with pytest.raises(BenchError, match=r"40 items share the codes .* only 16 codes .* use collisions=counter"):
        make(scheme, options, collisions="reassign").fit(make_view(["red car"] * 40))


def test_blocks_need_as_many_dimensions_as_the_texts_have(make_view: MakeView) -> None:
    with pytest.raises(BenchError, match="1 dimensions cannot be cut into 3 blocks; use fewer levels"):
        make(Pq, CODES).fit(make_view(["red car"] * 40))
    assert unique(make(Pq, CODES, levels="1").fit(make_view(["red car"] * 40)))


@each_scheme
def test_text_that_is_not_there(scheme: type[Semantic], options: Mapping[str, str], make_view: MakeView) -> None:
    with pytest.raises(BenchError, match="text for every item: 2 of 4 items have none, the first is 'i1'"):
        make(scheme, options).fit(make_view(["red car", "", " ", "doll"]))
    with pytest.raises(BenchError, match="unknown text field 'titel'; did you mean 'title'"):
        make(scheme, options, fields="titel").fit(make_view(["red car", "doll"]))
    textless = replace(make_view(["red car", "doll"]), items=ItemTable(("x", "y"), {}))
    with pytest.raises(BenchError, match="2 of 2 items have none, the first is 'x'"):
        make(scheme, options).fit(textless)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("levels", "0", "'levels' must be 1 or more; got 0"),
        ("codes", "1", "'codes' must be 2 or more; got 1"),
        ("collisions", "ignore", "'collisions' must be one of counter, reassign, sinkhorn, none; got 'ignore'"),
        ("dimensions", "-1", "dimensions must be 0 .* or more; got -1"),
        ("hidden", "16,0", r"'hidden' must be 1 or more; got \(16, 0\)"),
        ("latent", "0", "'latent' must be 1 or more; got 0"),
        ("epochs", "0", "'epochs' must be 1 or more; got 0"),
        ("batch", "0", "'batch' must be 1 or more; got 0"),
        ("learning_rate", "0", "'learning_rate' must be above 0; got 0"),
        ("decay", "1", "'decay' must be at least 0 and below 1; got 1"),
        ("schedule", "cosine", "'schedule' must be one of linear, constant; got 'cosine'"),
        ("init", "zero", "'init' must be one of xavier, pytorch; got 'zero'"),
        ("optimizer", "sgd", "'optimizer' must be one of adam, adagrad; got 'sgd'"),
        ("commitment", "none", "'commitment' must be one of all, first; got 'none'"),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, value: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        settings_of(RqVae, {setting: value})


def test_settings_reach_the_training() -> None:
    changes = {"hidden": "9,8", "latent": "7", "epochs": "6", "batch": "5", "learning_rate": "0.4", "beta": "0.3"}
    others = {"optimizer": "adagrad", "decay": "0.2", "commitment": "first", "reset_after": "40", "balance": "0.5"}
    others |= {"schedule": "constant", "init": "pytorch"}
    scheme = RqVae(settings_of(RqVae, changes | others))
    plan = vars(scheme.settings.training())
    assert plan.pop("rate") == 0.4
    assert plan == {name: getattr(scheme.settings, name) for name in (*changes, *others) if name != "learning_rate"}


def test_the_published_setting_is_a_matter_of_settings(vectors: Vectors) -> None:
    """What the site says it is, read as `--set` reads it, and an epoch of it."""
    page = (Path(__file__).parents[3] / "docs" / "pages" / "contract.md").read_text()
    said = page.partition("The published setting is ")[2].partition("each with `--set semantic/rqvae.`")[0]
    scheme = RqVae(settings_of(RqVae, dict(line.split("=", 1) for line in said.split("`")[1::2])))
    plan = scheme.settings.training()
    assert (plan.hidden, plan.latent, plan.epochs, plan.batch) == ((2048, 1024, 512, 256), 128, 10_000, 2048)
    assert (plan.rate, plan.rate_in(9999), plan.optimizer) == (1e-3, 1e-3, "adagrad")
    assert (plan.init, plan.commitment, plan.beta, plan.decay, plan.reset_after) == (
        "pytorch",
        "first",
        0.25,
        0.99,
        0,
    )
    settings = scheme.settings
    assert (settings.levels, settings.codes, settings.dimensions, settings.whiten) == (3, 256, 128, True)
    assert settings.encoder == "sentence-transformers/sentence-t5-base"
    assert next(ResidualAutoEncoder(vectors, 3, 16, 7, plan).epochs()) > 0


def test_the_bare_family_is_the_rqvae_of_the_papers() -> None:
    assert load_scheme("semantic") is RqVae
    assert {name: load_scheme(f"semantic/{name}") for name in ("rqvae", "rqkmeans", "pq", "opq")} == {
        "rqvae": RqVae,
        "rqkmeans": RqKmeans,
        "pq": Pq,
        "opq": Opq,
    }
    found = RqVaeSettings()
    assert (found.levels, found.codes, found.beta, found.decay, found.commitment) == (3, 256, 0.25, 0.99, "all")


@pytest.fixture(scope="module")
def real(toys: Dataset, tmp_path_factory: pytest.TempPathFactory) -> TrainView:
    """Toys, with a cache that keeps the embeddings."""
    return replace(leave_one_out(toys, seed=3).train, cache=tmp_path_factory.mktemp("cache"))


def test_real_toys_fill_three_codebooks_and_are_told_apart(real: TrainView) -> None:
    ids = RqKmeans().fit(real)
    assert unique(ids)
    (found,) = RqKmeans().quantize(embed(real, Settings()), real)
    codes, stay = found.codes, alone(found.codes)
    np.testing.assert_array_equal(ids.tokens[0] - 3 - 256 * np.arange(4), np.column_stack([codes, occurrence(codes)]))
    assert ids.codebooks == (256, 256, 256, occurrence(codes).max() + 1)
    assert all(len(np.unique(level)) == 256 for level in codes.T)
    assert collision_rate(codes) < 0.2
    for rule in ("reassign", "sinkhorn"):
        resolved = RqKmeans(settings_of(RqKmeans, {"collisions": rule})).resolved(found, real)
        assert len(np.unique(resolved, axis=0)) == 11_924
        np.testing.assert_array_equal(resolved[stay], codes[stay])
        np.testing.assert_array_equal(resolved[:, :2], codes[:, :2])


def test_the_embeddings_are_kept_for_other_seeds_and_schemes(real: TrainView) -> None:
    RqKmeans(Settings(codes=4)).fit(real)
    assert isinstance(real.cache, Path)
    kept = [(path, path.stat().st_mtime_ns) for path in real.cache.rglob("*.safetensors")]
    Pq(Settings(codes=4)).fit(replace(real, seed=4))
    assert kept == [(path, path.stat().st_mtime_ns) for path in real.cache.rglob("*.safetensors")]
    assert len(kept) == 1
