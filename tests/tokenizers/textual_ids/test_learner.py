"""The generator learns from a frozen recommender: the right gradient, at the right places, and nothing else moves."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from textual_ids.generator import Writer, unwritable
from textual_ids.learner import GeneratorLearner
from torch import Tensor

from bench.backbone.t5 import T5
from bench.data.dataset import Sequences
from bench.ids.identifiers import Template, TokenIds
from bench.model.sequence import SequenceRecommender, required
from bench.vocabulary import Vocabulary

SENTENCE = Template("car, robot:", ";", "!")
HISTORIES = Sequences.from_rows([[0, 8, 2], [1], [4, 5, 6, 7, 9, 10], [3, 11]])
TARGETS = np.array([3, 0, 8, 5], np.int32)


@pytest.fixture
def learner(writer: Callable[..., Writer], t5: Callable[..., T5]) -> Callable[..., GeneratorLearner]:
    """``learner(sharpness=…, objective=…)``: the generator's distributions are the sharper the larger that is."""

    def make(sharpness: float = 1.0, objective: str = "vocabulary", max_history: int = 4) -> GeneratorLearner:
        made = writer()
        codes = made.vocabulary.encode_batch([f"name {number}" for number in range(12)])
        ids = TokenIds.from_lists(codes, made.vocabulary, SENTENCE)
        recommender = SequenceRecommender(ids, t5(7), 512, objective, "scheme")
        found = GeneratorLearner(recommender, made, max_history, max_length=10)
        with torch.no_grad():
            found.generator.decoder.norm.weight *= sharpness
        return found.train()

    return make


def loss(learner: GeneratorLearner) -> Tensor:
    found: Tensor = learner(learner.collate(HISTORIES, TARGETS))
    return found


def greedy(learner: GeneratorLearner, item: int) -> list[int]:
    """What the generator writes for an item, one token after the other, with its end token where it gets there."""
    vocabulary, written = learner.writer.vocabulary, list[int]()
    forbidden = unwritable(vocabulary, learner.generator)
    source = torch.tensor([learner.writer.sources[item]])
    while len(written) < 10 and vocabulary.eos not in written:
        with torch.no_grad():
            logits = learner.generator(source, None, torch.tensor([[vocabulary.pad, *written]]))[0, -1]
        written.append(int(logits.masked_fill(forbidden, float("-inf")).argmax()))
    return written


def name(learner: GeneratorLearner, written: list[int]) -> list[int]:
    """What an item is called for which this is written."""
    vocabulary, ended = learner.writer.vocabulary, written[-1] == learner.writer.vocabulary.eos
    text = vocabulary.decode([token for token in written if token != vocabulary.eos])
    words = re.findall(r"\b\w+\b", text)
    cut = not ended and words and text.endswith(words[-1])
    return vocabulary.encode(" ".join(words[:-1] if cut else words))


def generated(learner: GeneratorLearner) -> TokenIds:
    """The names that the generator would give all items as they are, as identifiers."""
    codes = [name(learner, greedy(learner, item)) or list(learner.ids.code(item)) for item in range(12)]
    return TokenIds.from_lists(codes, learner.writer.vocabulary, SENTENCE)


@pytest.mark.parametrize("objective", ["vocabulary", "prefix"])
def test_certain_distributions_read_exactly_as_tokens_do(
    learner: Callable[..., GeneratorLearner], objective: str
) -> None:
    sure = learner(1e6, objective)
    hard = SequenceRecommender(sure.recommender.ids, sure.backbone, 512, objective, "scheme").eval()
    hard.writer = hard.writer.renamed(generated(sure))
    cut = HISTORIES.newest(4)
    expected = hard(hard.collate(cut, TARGETS))
    assert torch.equal(loss(sure), expected)
    assert not torch.equal(loss(learner(1.0, objective)), expected)


def test_the_gradient_is_that_of_finite_differences(learner: Callable[..., GeneratorLearner]) -> None:
    found = learner(0.5)
    loss(found).backward()
    tensors = [parameter for parameter in found.parameters() if parameter.requires_grad]
    names, _ = found.soft_names(range(12))
    compared = 0
    for seed in range(20):
        torch.manual_seed(seed)
        ways = [torch.randn_like(tensor) * tensor.detach().std() for tensor in tensors]
        slope = sum(float((tensor.grad * way).sum()) for tensor, way in zip(tensors, ways, strict=True))
        values, same = [], True
        for step in (1e-3, -2e-3, 1e-3):
            with torch.no_grad():
                for tensor, way in zip(tensors, ways, strict=True):
                    tensor += step * way
            values.append(float(loss(found).detach()))
            same = same and found.soft_names(range(12))[0] == names
        if same:  # the tokens are chosen greedily, so a loss is smooth only as long as they are
            assert (values[0] - values[1]) / 2e-3 == pytest.approx(slope, rel=0.05, abs=0.05)
            compared += abs(slope) > 0.5
        if compared == 3:
            break
    assert compared == 3


@pytest.mark.parametrize("at_once", [1, 5])
def test_items_in_parts_give_the_same_loss_and_gradient(
    learner: Callable[..., GeneratorLearner], monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    whole, parts = learner(0.5), learner(0.5)
    loss(whole).backward()
    monkeypatch.setattr("textual_ids.learner.AT_ONCE", at_once)
    found = loss(parts)
    found.backward()
    assert found.item() == pytest.approx(loss(whole).item(), rel=1e-6)
    moved = 0
    for (name, one), other in zip(whole.generator.named_parameters(), parts.generator.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-4, atol=1e-6), name
        moved += bool(one.grad.abs().max() > 0)
    assert moved > 5


def test_what_the_generator_computes_is_not_kept_for_the_gradient(learner: Callable[..., GeneratorLearner]) -> None:
    """Only what goes in: the activations of the generator would be many times as much."""
    found, kept = learner(), list[Tensor]()

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        found.soft_names(range(12))
    wide = found.generator.config.d_model
    assert sum(tensor.dtype.is_floating_point and tensor.shape[-1:] == (wide,) for tensor in kept) < 3


def test_soft_embeddings_are_means_under_probabilities(learner: Callable[..., GeneratorLearner]) -> None:
    """One by one: the distribution after each greedy prefix, times the recommender's table."""
    found = learner(0.5)
    codes, soft = found.soft_names(list(range(12)))
    names = generated(found)
    assert [tuple(code) for code in codes] == [names.code(item) for item in range(12)]
    vocabulary, table = found.writer.vocabulary, found.backbone.embedding.weight
    forbidden = unwritable(vocabulary, found.generator)
    punctuated = respelt = 0
    for item in range(12):
        source = torch.tensor([found.writer.sources[item]])
        written, means, kept = list[int](), list[Tensor](), list[int]()
        while True:
            logits = found.generator(source, None, torch.tensor([[vocabulary.pad, *written]]))[0, -1]
            probabilities = logits.masked_fill(forbidden, float("-inf")).softmax(0)
            assert float(probabilities.detach().sum()) == pytest.approx(1, abs=1e-5)
            token = int(probabilities.argmax())
            if token == vocabulary.eos or len(written) == 9:
                break
            written.append(token)
            if token not in vocabulary.ids([","]):
                kept.append(token)
                means.append(probabilities[: len(table)] @ table)
        if len(written) < 9 and kept:
            expected, at = list[Tensor](), 0
            for token in codes[item]:  # what only the spelling of the name has is read as it is
                soft_here = at < len(kept) and kept[at] == token
                expected.append(means[at] if soft_here else table[token])
                at += soft_here
            assert at == len(kept)
            assert torch.allclose(soft[item, : len(expected)], torch.stack(expected), atol=1e-4)
            punctuated += len(written) > len(kept)
            respelt += len(codes[item]) > len(kept)
    assert punctuated  # it has learned to write a comma, which no name has
    assert respelt  # and behind it a word without the space that its name has


def test_it_learns_under_mixed_precision(learner: Callable[..., GeneratorLearner]) -> None:
    made = learner()
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(made)
    assert torch.allclose(found, loss(made), rtol=0.1)


def test_each_item_stands_in_its_span(learner: Callable[..., GeneratorLearner]) -> None:
    """Whatever is not the name of an item is the embedding of its token, and the other way round."""
    found = learner(0.5)
    names = generated(found)
    source = found.recommender.writer.renamed(names).write(HISTORIES)
    soft = torch.arange(12.0)[:, None, None] + torch.arange(float(names.tokens.shape[2]))[:, None] / 100
    spliced = found.spliced(source, soft.expand(-1, -1, 16))
    expected = found.backbone.embedding(source.tokens).detach().clone()
    items = [item for row in range(4) for item in HISTORIES[row]]
    assert source.items.tolist() == items
    for (row, start, stop), item in zip(source.spans.tolist(), items, strict=True):
        assert tuple(source.tokens[row, start:stop].tolist()) == names.code(item)
        for position in range(stop - start):
            expected[row, start + position] = item + position / 100
    assert torch.equal(spliced, expected)


def test_padding_neither_is_read_nor_counts(learner: Callable[..., GeneratorLearner]) -> None:
    found = learner(0.5)
    alone = [found(found.collate(HISTORIES.rows(np.array([row])), TARGETS[row : row + 1])).detach() for row in range(4)]
    assert float(loss(found).detach()) == pytest.approx(float(sum(alone)), rel=1e-5)


def test_only_the_generator_is_moved_and_the_recommender_not_by_a_bit(
    learner: Callable[..., GeneratorLearner],
) -> None:
    found = learner(0.5)
    before = {name: tensor.clone() for name, tensor in found.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in found.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.1)
    first = loss(found)
    for _ in range(10):
        optimizer.zero_grad()
        loss(found).backward()
        optimizer.step()
    moved = {name for name, tensor in found.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {name.split(".")[0] for name in moved} == {"generator"}
    assert all(parameter.grad is None for parameter in found.recommender.parameters())
    assert float(loss(found).detach()) < float(first.detach())
    assert torch.equal(found.writer.model.embedding.weight, before["generator.embedding.weight"])  # it learns as a copy


def test_histories_are_cut_and_dropout_stays_off(learner: Callable[..., GeneratorLearner]) -> None:
    found = learner(max_history=2)
    assert not any(module.training for module in found.modules())
    assert required(found.collate(HISTORIES, TARGETS), "offsets").tolist() == [0, 2, 3, 5, 7]
    assert found.input_lengths(HISTORIES).tolist() == found.recommender.input_lengths(HISTORIES.newest(2)).tolist()


def test_an_item_that_is_given_no_word_is_read_by_its_present_name(
    learner: Callable[..., GeneratorLearner], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = learner()
    comma, end = found.writer.vocabulary.ids([","])[0], found.writer.vocabulary.eos
    monkeypatch.setattr(found, "_greedy", lambda memory, *_: torch.tensor([[comma, comma, end]] * len(memory)))
    codes, soft = found.soft_names([2, 5])
    assert codes == [list(found.ids.code(item)) for item in (2, 5)]
    assert torch.equal(soft[0], found.backbone.embedding(torch.tensor(codes[0])))
    loss(found).backward()  # nothing to learn, but no error
    gradients = [p.grad for p in found.generator.parameters() if p.grad is not None]
    assert not any(gradient.any() for gradient in gradients)


def test_a_word_that_the_length_limit_may_have_cut_is_not_read(learner: Callable[..., GeneratorLearner]) -> None:
    found = learner()
    vocabulary = found.writer.vocabulary
    red, car, comma = vocabulary.encode("red"), vocabulary.encode("car"), vocabulary.ids([","])
    first, second = range(len(red)), range(len(red), len(red) + len(car))
    assert found._named([*red, *comma, *car]) == (red, [(position, position) for position in first])
    whole = [*((position, position) for position in first), *((position, position + 1) for position in second)]
    assert found._named([*red, *comma, *car, vocabulary.eos, vocabulary.pad]) == ([*red, *car], whole)


def test_a_name_that_is_spelt_otherwise_is_read_as_it_is_spelt(
    learner: Callable[..., GeneratorLearner], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A word that was written in pieces is another token in its name."""
    found = learner()
    vocabulary = found.writer.vocabulary
    pieces, red, car = vocabulary.ids(["▁r", "ed"]), vocabulary.encode("red"), vocabulary.encode("car")
    assert not set(pieces) & set(red)
    written = torch.tensor([[*pieces, *car, vocabulary.eos]])
    monkeypatch.setattr(found, "_greedy", lambda *_: written)
    (code,), soft = found.soft_names([2])
    assert code == name(found, written[0].tolist()) == [*red, *car]
    table = found.backbone.embedding.weight
    assert torch.equal(soft[0, : len(red)], table[red])
    assert not torch.isclose(soft[0, len(red)], table[car[0]]).all()


@pytest.mark.parametrize(
    ("pieces", "read"),
    [
        (["▁spider", "-", "man"], ["▁spider", "▁man"]),
        (["▁battery", "-", "opera", "ted", "▁robot"], ["▁battery", "▁operated", "▁robot"]),
        (["▁card", "/", "board", "▁game"], ["▁card", "▁board", "▁game"]),
    ],
)
def test_in_the_vocabulary_of_t5_a_word_behind_punctuation_is_read(
    pieces: list[str], read: list[str], t5_tokenizer: Path, t5: Callable[..., T5]
) -> None:
    vocabulary = Vocabulary.of_language_model(t5_tokenizer, 32128)
    writer = Writer(t5(1, vocabulary=32128), vocabulary, [[5, vocabulary.eos]])
    ids = TokenIds.from_lists([[7]], vocabulary, SENTENCE)
    found = GeneratorLearner(SequenceRecommender(ids, t5(7, vocabulary=32128), 512, "vocabulary"), writer, 4, 10)
    written = [*vocabulary.ids(pieces), vocabulary.eos]
    code, pairs = found._named(written)
    assert code == vocabulary.ids(read)
    assert pairs == [(read.index(piece), position) for position, piece in enumerate(pieces) if piece in read]
