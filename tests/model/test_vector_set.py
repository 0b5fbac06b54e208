"""Sets of vectors: against a plain rewriting of the method, and against the defects of its published code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.backbone.t5 import MASKED, T5
from bench.data.dataset import Sequences
from bench.data.splits import Targets
from bench.errors import BenchError
from bench.ids.identifiers import Feature, Template, VectorIds
from bench.model import top, vector_set
from bench.model.recommender import Decoding, recommender_for
from bench.model.vector_set import VectorSetRecommender
from bench.training.ranking import evaluate
from bench.vocabulary import Vocabulary

MakeT5 = Callable[..., T5]
ITEMS, WIDTH = 9, 16
VOCABULARY = Vocabulary.private([*"abcde"])
HISTORIES = Sequences.from_rows([[0, 1, 2, 3], [4], [5, 5, 6]])
TARGETS = np.array([7, 8, 0], np.int32)


def identifiers(seed: int = 1, known: NDArray[np.bool_] | None = None, items: int = ITEMS, **changes: Any) -> VectorIds:
    random = np.random.default_rng(seed)
    everything = np.ones(items, bool)
    own = Feature("own", random.standard_normal((items, 5)).astype(np.float32), everything if known is None else known)
    text = random.standard_normal((items, 7)).astype(np.float32)
    features = own, Feature("text", text, everything, slots=2, hidden=(6,), reconstruction=0.7)
    return replace(VectorIds(features, VOCABULARY, Template("a b", after="c")), **changes)


def make(t5: MakeT5, ids: VectorIds | None = None, seed: int = 3, **options: Any) -> VectorSetRecommender:
    model = t5(vocabulary=VOCABULARY.size)
    torch.manual_seed(seed)
    found = recommender_for(ids or identifiers(), model, **options)
    assert isinstance(found, VectorSetRecommender)
    for bias in (p for name, p in found.vectors.named_parameters() if name.endswith("bias")):
        torch.nn.init.normal_(bias)
    return found.eval()


def decoded(model: VectorSetRecommender, histories: Sequences = HISTORIES) -> Tensor:
    """``[B, Q, D]``."""
    with torch.no_grad():
        return model._queried(histories, model.catalogue())


# -- against plain loops ----------------------------------------------------------------------------------------------


def plainly(model: VectorSetRecommender, history: list[int], attention: str) -> Tensor:
    """What the decoder gives for one history, place by place and query by query: ``[Q, D]``."""
    t5, vectors = model.backbone, model.vectors()
    places: list[tuple[Tensor, int, int]] = []  # embedding, position, item number
    for token in VOCABULARY.encode("a b"):
        places.append((t5.embedding.weight[token], len(places), 0))
    start = len(places)
    for number, item in enumerate(history):
        places += [(vectors[slot, item], start + number, number + 1) for slot in range(len(vectors))]
    last = len(places) if attention == "repo" else start + len(history)
    places.append((t5.embedding.weight[VOCABULARY.encode("c")[0]], last, 0))
    mask = torch.zeros(len(places), len(places))
    for row, (_, _, mine) in enumerate(places):
        for column, (_, _, other) in enumerate(places):
            if attention == "paper" and row != column and mine == other > 0:
                mask[row, column] = MASKED
    read = torch.stack([embedding for embedding, _, _ in places])[None]
    memory = t5.encode(read, mask, torch.tensor([position for _, position, _ in places]))
    if attention == "repo":  # zeros and ones, added
        nowhere = torch.zeros(len(model.queries), dtype=torch.long)
        return t5.decode(model.queries[None], t5.start(memory), torch.eye(len(model.queries)), nowhere)[0]
    alone = [
        t5.decode(query[None, None], t5.start(memory), positions=torch.zeros(1, dtype=torch.long))[0, 0]
        for query in model.queries
    ]
    return torch.stack(alone)


@pytest.mark.parametrize("attention", ["paper", "repo"])
def test_every_query_is_decoded_as_if_it_were_alone(t5: MakeT5, attention: Any) -> None:
    model = make(t5, identifiers(attention=attention))
    found = decoded(model)
    for row in range(len(HISTORIES)):
        expected = plainly(model, HISTORIES[row].tolist(), attention)
        assert torch.allclose(found[row], expected, atol=1e-5)
    other = make(t5, identifiers(attention="repo" if attention == "paper" else "paper"))
    assert not torch.allclose(found, decoded(other), atol=1e-3)


@pytest.mark.parametrize("over", ["example", "batch"])
def test_the_loss_is_what_the_paper_or_its_code_writes(t5: MakeT5, over: str) -> None:
    """The code averages the reconstruction over all positions of the batch; the loss here is a sum over examples."""
    model = make(t5, identifiers(reconstruct_over=over))
    vectors, total, errors = model.vectors(), torch.zeros(()), []
    for row, target in enumerate(TARGETS):
        hidden = plainly(model, HISTORIES[row].tolist(), "paper")
        for slot in range(3):
            total = total - torch.log_softmax(vectors[slot] @ hidden[slot], 0)[target] / 3
        feature = model.vectors.features[1]
        wrong = []
        for item in HISTORIES[row]:
            rebuilt = feature.decoder(torch.cat([vectors[1, item], vectors[2, item]]))
            wrong.append((rebuilt - feature.vectors[item]).square().mean())
        errors.append(torch.stack(wrong))
    means = [error.mean() for error in errors] if over == "example" else [torch.cat(errors).mean()] * len(TARGETS)
    total = total + 0.7 * torch.stack(means).sum()
    loss = model(model.collate(HISTORIES, TARGETS))
    assert model.targets(TARGETS) == 3
    assert torch.allclose(loss, total, rtol=1e-5)
    loss.backward()
    for name, parameter in model.named_parameters():
        alone = name.startswith("backbone.decoder.blocks") and ("attention.query" in name)
        assert parameter.grad is not None, name
        assert alone or parameter.grad.abs().sum() > 0 or "decoder.bias" in name or "embedding" in name, name


@pytest.mark.parametrize("way", ["chunked", "sampled"])
def test_a_large_catalogue_has_the_same_loss_in_chunks(t5: MakeT5, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    whole = make(t5)
    expected = whole(whole.collate(HISTORIES, TARGETS))
    expected.backward()
    other = make(t5, identifiers(negatives=20_000 if way == "sampled" else 0))
    monkeypatch.setattr(vector_set, "AT_ONCE", 4)
    found = other(other.collate(HISTORIES, TARGETS))
    if way == "sampled":
        assert abs(float((found - expected).detach())) < 0.1
        assert not torch.equal(found, expected)
        return
    found.backward()
    assert torch.allclose(found, expected, rtol=1e-6)
    for mine, theirs in zip(other.parameters(), whole.parameters(), strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        assert (mine.grad - theirs.grad).abs().max() <= 1e-5 * (1 + theirs.grad.abs().max())


# -- what the order-agnostic identifier promises ----------------------------------------------------------------------


def changed_query(model: VectorSetRecommender, slot: int) -> Tensor:
    with torch.no_grad():
        model.queries[slot] += 1
    return decoded(model)


@pytest.mark.parametrize("slot", [0, 1, 2])
def test_a_changed_query_leaves_the_other_slots_alone(t5: MakeT5, slot: int) -> None:
    before, after = decoded(model := make(t5)), changed_query(model, slot)
    others = [other for other in range(3) if other != slot]
    assert torch.allclose(before[:, others], after[:, others], atol=1e-6)
    assert not torch.allclose(before[:, slot], after[:, slot], atol=1e-2)


def test_the_published_mask_of_zeros_and_ones_would_be_seen(t5: MakeT5) -> None:
    """Added to the logits, an identity of ones hides nothing."""
    published = T5.decode

    def added(self: T5, inputs: Tensor, cache: Any, mask: Tensor, positions: Tensor) -> Tensor:
        return published(self, inputs, cache, torch.eye(len(mask)), positions)

    with mock.patch.object(T5, "decode", added):
        before, after = decoded(model := make(t5)), changed_query(model, 0)
    assert not torch.allclose(before[:, 1:], after[:, 1:], atol=1e-4)
    before, after = decoded(model := make(t5, identifiers(attention="repo"))), changed_query(model, 0)
    assert not torch.allclose(before[:, 1:], after[:, 1:], atol=1e-4)


@pytest.mark.parametrize("attention", ["paper", "repo"])
def test_nothing_depends_on_who_else_is_in_the_batch(t5: MakeT5, attention: Any) -> None:
    known = np.arange(ITEMS) != 5
    for ids in (identifiers(attention=attention), identifiers(attention=attention, known=known)):
        model = make(t5, ids)
        together = decoded(model)
        for row in range(len(HISTORIES)):
            assert torch.allclose(together[row], decoded(model, HISTORIES.rows(np.array([row])))[0], atol=1e-5)


def test_a_long_history_beside_it_changes_no_rank(t5: MakeT5) -> None:
    """Left padding between instruction and items would move them apart."""
    model, long = make(t5), Sequences.from_rows([[1, 2], list(range(9)) * 2])
    alone = model.rank(long.rows(np.array([0])), ITEMS, Decoding())
    assert model.rank(long, ITEMS, Decoding()).items[0].tolist() == alone.items[0].tolist()


@pytest.mark.parametrize("attention", ["paper", "repo"])
def test_the_order_of_an_items_vectors_means_nothing(t5: MakeT5, attention: Any) -> None:
    model = make(t5, identifiers(attention=attention))
    before, ranks = decoded(model), model.rank(HISTORIES, ITEMS, Decoding()).items
    write = model.writer.write
    for order in ([2, 0, 1], [0, 2, 1], [1, 0, 2]):

        def permuted(*given: Any, order: list[int] = order) -> Any:
            found = write(*given)
            slots = torch.where(found.items >= 0, torch.tensor(order)[found.slots], found.slots)
            assert not torch.equal(slots, found.slots)
            return replace(found, slots=slots)

        with mock.patch.object(model.writer, "write", permuted):
            assert torch.allclose(before, decoded(model), atol=1e-5)
            assert np.array_equal(model.rank(HISTORIES, ITEMS, Decoding()).items, ranks)


def test_permuted_slots_of_all_items_permute_nothing_else(t5: MakeT5) -> None:
    """Semantic slots 1 and 2 change places, in the items and in the queries: the same scores."""
    model = make(t5)
    before = model.rank(HISTORIES, ITEMS, Decoding())
    last = model.vectors.features[1].encoder[-1]
    with torch.no_grad():
        for parameter in (last.weight, last.bias):
            parameter.copy_(parameter.unflatten(0, (2, WIDTH)).flip(0).flatten(0, 1))
        model.queries[1:] = model.queries[1:].flip(0)
    after = model.rank(HISTORIES, ITEMS, Decoding())
    assert np.array_equal(before.items, after.items)
    assert np.allclose(before.scores, after.scores, atol=1e-4)


# -- ranking ----------------------------------------------------------------------------------------------------------


def scores_of(model: VectorSetRecommender, weight: float, histories: Sequences = HISTORIES) -> NDArray[np.float64]:
    """``[B, m]``, slot by slot."""
    hidden, vectors = decoded(model, histories).double(), model.vectors().detach().double()
    slots = [hidden[:, slot] @ vectors[slot].T for slot in range(3)]
    return ((1 - weight) * slots[0] + weight * (slots[1] + slots[2])).numpy()


@pytest.mark.parametrize("at_once", [1 << 15, 4])
@pytest.mark.parametrize("wanted", [3, ITEMS])
def test_ranking_is_that_of_brute_force(t5: MakeT5, monkeypatch: pytest.MonkeyPatch, at_once: int, wanted: int) -> None:
    monkeypatch.setattr(vector_set, "AT_ONCE", at_once)
    model = make(t5)
    model.weight.fill_(0.3)
    expected = scores_of(model, 0.3)
    candidates = np.arange(ITEMS) != 8
    for exclude, allowed in ((False, None), (True, None), (False, candidates), (True, candidates)):
        found = model.rank(HISTORIES, wanted, Decoding(exclude_history=exclude), allowed)
        assert found.items.shape == (3, wanted)
        assert found.complete == (wanted == ITEMS)
        for row in range(3):
            exclusion_mask = set(HISTORIES[row].tolist() if exclude else []) | ({8} if allowed is not None else set())
            order = [item for item in np.argsort(-expected[row], kind="stable") if item not in exclusion_mask]
            assert found.items[row][found.valid[row]].tolist() == order[:wanted]
            best = expected[row][order[:wanted]]
            assert np.allclose(found.scores[row][found.valid[row]], best, atol=1e-4)


def test_what_a_user_has_is_not_ranked_though_it_is_not_shown(t5: MakeT5) -> None:
    model = make(t5)
    model.weight.fill_(0.3)
    seen = Sequences.from_rows([[item, *HISTORIES[row]] for row, item in enumerate((6, 7, 8))])
    expected = scores_of(model, 0.3)
    found = model.rank(HISTORIES, ITEMS, Decoding(exclude_history=True), seen=seen)
    for row in range(3):
        order = [item for item in np.argsort(-expected[row], kind="stable") if item not in seen[row]]
        assert found.items[row][found.valid[row]].tolist() == order
    assert model.rank(HISTORIES, ITEMS, Decoding(), seen=seen).valid.all()


def test_ties_are_broken_by_catalogue_index() -> None:
    scores = torch.tensor([[1.0, 3, 2, 3, 2, 2, 0], [0.0, 0, 0, 0, 0, 0, 0]])
    for count in range(1, 8):
        assert top.first(scores, count).tolist() == [[1, 3, 2, 4, 5, 0, 6][:count], list(range(count))]


def fused_step(model: VectorSetRecommender) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    model(model.collate(HISTORIES, TARGETS)).backward()
    optimizer.step()


def plain_step(model: VectorSetRecommender) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(model.collate(HISTORIES, TARGETS)).backward()
    optimizer.step()


def written_data(model: VectorSetRecommender) -> None:
    for parameter in model.vectors.parameters():
        parameter.data.mul_(-3)


def loaded_state(model: VectorSetRecommender) -> None:
    model.load_state_dict({name: tensor * -3 for name, tensor in model.state_dict().items()})


@pytest.mark.parametrize("change", [fused_step, plain_step, written_data, loaded_state])
def test_items_are_ranked_by_the_weights_as_they_are(
    t5: MakeT5, change: Callable[[VectorSetRecommender], None]
) -> None:
    """Fused optimizers and whatever writes through ``.data`` raise no version of a tensor: none may be trusted."""
    model, reference = make(t5), make(t5, seed=4)
    before = model.rank(HISTORIES, ITEMS, Decoding())
    with model.fixed_weights():
        model.rank(HISTORIES, ITEMS, Decoding())
    change(model)
    reference.load_state_dict(model.state_dict())  # it has never ranked anything
    found, expected = (each.rank(HISTORIES, ITEMS, Decoding()) for each in (model, reference))
    assert np.array_equal(found.scores, expected.scores)
    assert not np.allclose(found.scores, before.scores)
    assert torch.allclose(model.catalogue(), model.vectors().transpose(0, 1).flatten(1))


def test_under_fixed_weights_the_catalogue_is_computed_once(t5: MakeT5) -> None:
    model = make(t5)
    with mock.patch.object(model.vectors, "forward", wraps=model.vectors.forward) as computed:
        with model.fixed_weights():
            for _ in range(3):
                model.rank(HISTORIES, ITEMS, Decoding())
            with model.fixed_weights():
                model.calibrate(users(), Decoding(), "ndcg@10")
            kept = model.catalogue()
            assert model.catalogue() is kept
        assert computed.call_count == 1
        assert model.catalogue() is not kept


def test_fixed_weights_end_with_an_error_too(t5: MakeT5) -> None:
    model = make(t5)
    context = model.fixed_weights()
    context.__enter__()
    kept = model.catalogue()
    assert not context.__exit__(ValueError, ValueError("left"), None)
    assert model.catalogue() is not kept


@pytest.mark.parametrize("decoder", ["beam", "exact"])
def test_a_tie_that_goes_on_past_the_last_place_counts_against_all(t5: MakeT5, decoder: str) -> None:
    """Six items of which nothing is known score alike: the lowest indices must not have the places."""
    from accelerate import Accelerator

    ids = identifiers(known=np.arange(ITEMS) < 3)
    model = make(t5, replace(ids, features=ids.features[:1]))
    histories = Sequences.from_rows([[0]] * 6)
    targets = Targets(np.arange(6), histories, np.arange(3, ITEMS).astype(np.int32))
    unknown = np.arange(ITEMS) >= 3
    ranks, _ = evaluate(model, targets, Decoding(decoder), 4, Accelerator(cpu=True), candidates=unknown)
    assert not (ranks.strict <= 4).any()
    all_ranks, _ = evaluate(model, targets, Decoding(decoder), 6, Accelerator(cpu=True), candidates=unknown)
    assert (all_ranks.strict == 6).all()


# -- the weight -------------------------------------------------------------------------------------------------------


def users(count: int = 40) -> Targets:
    random = np.random.default_rng(8)
    histories = Sequences.from_rows([random.integers(0, ITEMS, random.integers(1, 5)) for _ in range(count)])
    return Targets(np.arange(count), histories, random.integers(0, ITEMS, count).astype(np.int32), max_history=2)


# -- items that a feature says nothing of -----------------------------------------------------------------------------


# -- contract lines ---------------------------------------------------------------------------------------------------


def test_whole_words_count_items(t5: MakeT5) -> None:
    model = t5(vocabulary=VOCABULARY.size, whole_words=6)
    torch.manual_seed(3)
    words = recommender_for(identifiers(), model).eval()
    assert isinstance(words, VectorSetRecommender)
    plain = decoded(words)
    assert model.whole_words is not None
    with torch.no_grad():
        model.whole_words.weight[2] = 1.0
    moved = (decoded(words) - plain).abs().amax((1, 2)) > 1e-4
    assert moved.tolist() == [True, False, True]  # of whom one has no second item


def test_prompts_need_a_language_model_and_long_templates_room(t5: MakeT5) -> None:
    with pytest.raises(BenchError, match="template=sampled needs identifiers in a language model's words"):
        make(t5, template="sampled")
    with pytest.raises(BenchError, match="takes 3 tokens and every history item 3; the encoder reads at most 5"):
        make(t5, max_tokens=5)


def test_an_output_layer_of_its_own_is_left_alone(t5: MakeT5) -> None:
    model = recommender_for(identifiers(), t5(vocabulary=VOCABULARY.size, tied=False))
    assert model.backbone.head is not None
    assert not model.backbone.head.weight.requires_grad
