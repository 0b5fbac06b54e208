"""The heads drive a decoder-only language model through the protocol alone, as Transformers computes it at length."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.contract import Contract
from bench.data.dataset import Sequences
from bench.ids.identifiers import Feature, SlotIds, Template, TokenIds, VectorIds
from bench.model.beam import Scoring, score_all
from bench.model.packed import Segments, SharedReader
from bench.model.recommender import Decoding, recommender_for
from bench.model.sequence import SequenceRecommender
from bench.model.vector_set import VectorSetRecommender
from bench.training.examples import sliding_windows
from bench.training.segments import cut
from bench.vocabulary import Vocabulary

Make = Callable[..., tuple[Any, Any]]

ITEMS = 30
HISTORIES = Sequences.from_rows([[3, 7], [1], [2, 9, 12, 5], [8, 8, 20]])
TARGETS = np.array([4, 5, 6, 7], np.int32)
CODES = Vocabulary.private([f"{level}{code}" for level in "abc" for code in range(4)])
MARKS = Vocabulary.private(["<history>", "<next>"])
CLOSE = {"atol": 1e-4, "rtol": 0}


def token_ids(ragged: bool) -> TokenIds:
    names = [[f"a{item % 4}", f"b{item // 4 % 4}", f"c{item // 16}"] for item in range(ITEMS)]
    if ragged:
        names = [name[: 2 if item in (5, 9) else 3] + ["c3"] * (item == 20) for item, name in enumerate(names)]
    return TokenIds.from_lists([CODES.ids(name) for name in names], CODES, Template())


def whole(model: SequenceRecommender, theirs: Any, words: bool = False) -> np.ndarray:
    """``[users, items]``: the log-probability of every identifier after every history, one whole sequence at a time."""
    source = model.writer.write(HISTORIES)
    found = np.zeros((len(HISTORIES), ITEMS))
    for user in range(len(HISTORIES)):
        read = source.tokens[user] if source.mask is None else source.tokens[user][source.mask[user]]
        for item in range(ITEMS):
            code = [token for token in model.labels[0, item].tolist() if token >= 0]
            embedded = theirs.model.embed_tokens(torch.tensor([*read.tolist(), CODES.pad, *code[:-1]]))
            if words:
                embedded[: len(read)] += model.backbone.whole_words(source.item_position_ids[user, : len(read)])
            with torch.no_grad():
                logits = theirs(inputs_embeds=embedded[None]).logits[0, len(read) :]
            found[user, item] = logits.log_softmax(-1)[torch.arange(len(code)), code].sum()
    return found


def by_item(model: SequenceRecommender, decoding: Decoding) -> np.ndarray:
    ranked = model.rank(HISTORIES, ITEMS, decoding)
    assert ranked.valid.all()
    scores = np.full((len(HISTORIES), ITEMS), np.nan)
    np.put_along_axis(scores, ranked.items, ranked.scores, 1)
    return scores


@pytest.mark.parametrize(("kind", "tied"), [("qwen2", True), ("qwen2", False), ("llama", True), ("llama", False)])
@pytest.mark.parametrize("ragged", [True, False])
def test_identifiers_are_scored_as_whole_sequences_are(causal: Make, ragged: bool, kind: str, tied: bool) -> None:
    backbone, theirs = causal(CODES.size, tied=tied, kind=kind)
    model = SequenceRecommender(token_ids(ragged), backbone).eval()
    expected = whole(model, theirs)
    for decoder in ("exact", "beam"):
        scores = by_item(model, Decoding(decoder, 2 * ITEMS, Scoring()))
        np.testing.assert_allclose(scores, expected, **CLOSE)
    loss = model(model.collate(HISTORIES, TARGETS))
    assert loss.item() == pytest.approx(-expected[np.arange(4), TARGETS].sum(), abs=1e-3)
    narrow = model.rank(HISTORIES, 3, Decoding("certified", 12, Scoring()))
    assert np.array_equal(narrow.items, np.argsort(-expected, 1)[:, :3])


@pytest.mark.parametrize("block", [1, 3, 256])
def test_the_tree_is_walked_in_blocks_over_restricted_caches(causal: Make, block: int) -> None:
    backbone, theirs = causal(CODES.size)
    model = SequenceRecommender(token_ids(True), backbone).eval()
    source = model.writer.write(HISTORIES)
    with torch.no_grad():
        cache = backbone.start(backbone.encode(source.tokens, source.mask), source.mask)
    scores = score_all(backbone, cache, model.trie, Scoring(), block).numpy()
    np.testing.assert_allclose(scores[:, model.trie.leaf_of_item], whole(model, theirs), **CLOSE)


def test_whole_words_are_added_to_what_is_read(causal: Make) -> None:
    backbone, theirs = causal(CODES.size)
    backbone.grow_whole_words(6)
    torch.nn.init.normal_(backbone.whole_words.weight)
    model = SequenceRecommender(token_ids(True), backbone).eval()
    expected = whole(model, theirs, words=True)
    np.testing.assert_allclose(by_item(model, Decoding("exact")), expected, **CLOSE)
    assert not np.allclose(expected, whole(model, theirs), atol=1e-2)
    with pytest.raises(TypeError, match="item_position_ids are for a model with whole-word embeddings"):
        backbone.encode(torch.tensor([[3, 4]]))


@pytest.mark.parametrize("kind", ["tokens", "paper", "repo", "slots"])
def test_all_targets_of_a_history_are_decoded_from_one_reading(causal: Make, kind: Any) -> None:
    """As each of them alone is, one at a time."""
    ids = {"tokens": lambda: token_ids(True), "slots": slot_ids}.get(kind, lambda: vector_ids(kind))()
    model = recommender_for(ids, causal(ids.vocabulary.size)[0], template="scheme", training="shared").eval()
    assert isinstance(model, SharedReader)
    sequences = Sequences.from_rows([[3, 7, 4], [2, 9, 12, 5, 1], [8, 8]])
    examples = sliding_windows(sequences, 20)
    none = np.zeros(3, np.int64)
    found = cut(model, examples, Contract(), none, none).segments(np.array([2, 0, 1]))
    with torch.no_grad():
        whole = model(model.collate_segments(found)).item()
        alone = [
            model(model.collate(examples.histories(row), examples.items(row))).item()
            for row in np.arange(len(examples))[:, None]
        ]
    assert whole == pytest.approx(sum(alone), rel=1e-5)


@pytest.mark.parametrize("kind", ["t5", "qwen2", "one layer"])
def test_behind_the_first_items_of_a_segment_training_reads_what_ranking_does_not(
    causal: Make, t5: Callable[..., Any], kind: str
) -> None:
    """What is, not what should be: once a target of a long sequence is read as it is ranked, all here are equal.

    Of 11 items with three shown, the first segment has targets 1 to 6 and the second 7 to 10. With one decoder-only
    layer, keys and values hold nothing of older items: what is left is that the head stands further away.
    """
    layers = {"num_hidden_layers": 1} if kind == "one layer" else {}
    backbone = t5(vocabulary=CODES.size) if kind == "t5" else causal(CODES.size, **layers)[0]
    model = recommender_for(token_ids(False), backbone, template="scheme", training="shared").eval()
    assert isinstance(model, SharedReader)
    sequences, none = Sequences.from_rows([[3, 7, 4, 2, 9, 12, 5, 1, 8, 20, 6]]), np.zeros(1, np.int64)
    cuts = cut(model, sliding_windows(sequences, 3), Contract(max_history=3), none, none)
    found, together, alone = cuts.segments(np.arange(len(cuts))), [], []
    for target in range(10):
        own = found.owners[[target]]
        kept = {name: getattr(found, name)[[target]] for name in ("items", "first", "last")}
        whole = {"variants": found.variants[own], "prompts": found.prompts[own]}
        only = Segments(found.histories.rows(own), owners=np.zeros(1, np.int64), **kept, **whole)
        shown = cuts.examples.histories(np.array([target]))
        with torch.no_grad():
            together.append(model(model.collate_segments(only)).item())
            alone.append(model(model.collate(shown, only.items)).item())
    apart = np.abs(np.array(together) - alone)
    assert (apart < 1e-4).tolist() == [True] * 3 + [False] * 3 + [True] + [False] * 3
    assert apart.max() > 1e-2


# -- sets of vectors --------------------------------------------------------------------------------------------------


def vector_ids(attention: Any) -> VectorIds:
    random = np.random.default_rng(0)
    own, text = (random.standard_normal((ITEMS, 10)).astype(np.float32) for _ in range(2))
    features = Feature("own", own, np.ones(ITEMS, bool)), Feature("text", text, np.ones(ITEMS, bool), 3, (16,))
    return VectorIds(features, MARKS, Template("<history>", after="<next>"), attention)


def vectors_at_length(model: VectorSetRecommender, theirs: Any, user: int) -> Tensor:
    """The queries' hidden states ``[Q, D]`` behind one history, in one whole sequence under one mask."""
    written = model.writer.write(HISTORIES.rows(np.array([user])))
    items, slots = written.items[0], written.slots[0]
    numbers, positions = (part.flatten() for part in (written.item_position_ids, written.positions))
    embedded, table = theirs.model.embed_tokens(written.tokens)[0].clone(), model.vectors()
    embedded[items >= 0] = table[slots[items >= 0], items[items >= 0]]
    read, count = len(items), len(model.queries)
    visible = torch.ones(read + count, read + count).tril().bool()
    if model.ids.attention == "paper":
        same = (numbers[:, None] == numbers) & (numbers > 0) & ~torch.eye(read, dtype=torch.bool)
        visible[:read, :read] &= ~same
        visible[read:, read:] = torch.eye(count, dtype=torch.bool)
    bias = (~visible) * -1e9
    begin = torch.full((count,), int(positions.max()) + 1)
    if model.ids.attention == "repo":  # one behind the other, as its kernel's causal mask has them
        begin = begin + torch.arange(count)
    found = theirs.model(
        inputs_embeds=torch.cat([embedded, model.queries])[None],
        attention_mask=bias[None, None],
        position_ids=torch.cat([positions, begin])[None],
    )
    return found.last_hidden_state[0, read:]


def kernels() -> list[SDPBackend]:
    """Those of PyTorch's attention that compute here under a mask."""
    found, x = [], torch.zeros(1, 2, 4, 8)
    known = SDPBackend.MATH, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION
    for kernel in known:
        with contextlib.suppress(RuntimeError), warnings.catch_warnings(), sdpa_kernel(kernel):
            warnings.simplefilter("ignore")  # why a kernel can't
            F.scaled_dot_product_attention(x, x, x, attn_mask=torch.zeros(1, 1, 4, 4))
            found.append(kernel)
    return found


KERNELS = kernels()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("attention", ["paper", "repo"])
def test_queries_are_decoded_as_in_one_whole_sequence(causal: Make, attention: Any, kernel: SDPBackend) -> None:
    """In SETRec's published code a kernel puts a causal mask in the place of the sparse one, and of the queries' own.
    Transformers' attention is written out here, so that no kernel has a say in what is expected.
    """
    assert len(KERNELS) > 1
    backbone, theirs = causal(MARKS.size)
    model = VectorSetRecommender(vector_ids(attention), backbone).eval()
    with torch.no_grad():
        model.queries.mul_(50)
        with sdpa_kernel(kernel):
            found = model._queried(HISTORIES, model.catalogue())
        for user in range(len(HISTORIES)):
            torch.testing.assert_close(found[user], vectors_at_length(model, theirs, user), **CLOSE)
    assert not torch.allclose(found[0], found[1], atol=0.1)


def test_a_set_of_vectors_learns_and_is_ranked_whole(causal: Make) -> None:
    model = recommender_for(vector_ids("paper"), causal(MARKS.size, tied=False)[0])
    model(model.collate(HISTORIES, TARGETS)).backward()
    assert model.queries.grad.abs().sum() > 0
    assert model.backbone.head.weight.grad is None  # no words are written
    ranked = model.eval().rank(HISTORIES, ITEMS, Decoding())
    assert np.array_equal(np.sort(ranked.items), np.tile(np.arange(ITEMS), (4, 1)))


# -- codes in slots ---------------------------------------------------------------------------------------------------


def slot_ids() -> SlotIds:
    numbers = np.arange(ITEMS)
    codes = np.column_stack([numbers // 6, numbers % 6]).astype(np.int32)
    return SlotIds(codes, (5, 6), MARKS, Template("<history>", after="<next>"))


def test_codes_in_slots_learn_and_are_ranked_whole(causal: Make) -> None:
    model = recommender_for(slot_ids(), causal(MARKS.size, tied=False)[0])
    model(model.collate(HISTORIES, TARGETS)).backward()
    assert model.query.grad.abs().sum() > 0
    assert model.backbone.head.weight.grad is None  # no words are written
    ranked = model.eval().rank(HISTORIES, ITEMS, Decoding())
    assert np.array_equal(np.sort(ranked.items), np.tile(np.arange(ITEMS), (4, 1)))
    alone = model.rank(HISTORIES.rows(np.array([2])), ITEMS, Decoding())  # padding of a batch changes nothing
    np.testing.assert_allclose(alone.scores[0], ranked.scores[2], atol=1e-5)
