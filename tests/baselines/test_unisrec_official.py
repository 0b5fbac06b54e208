"""UniSRec against numbers of its published module, which ``unisrec_official/record.py`` has written: the same weights
and inputs give the same losses, gradients and scores. Where ours differs on purpose, a test says how.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from unisrec_baseline.budget import stages
from unisrec_baseline.examples import NOTHING, Padded
from unisrec_baseline.losses import similarities
from unisrec_baseline.model import Model, scores
from unisrec_baseline.network import Network
from unisrec_baseline.settings import Settings

from bench.contract import Contract
from bench.data.dataset import Sequences
from bench.training.examples import Examples

RECORDED = load_file(Path(__file__).parent / "unisrec_official" / "numbers.safetensors")
ITEMS, RAW, LENGTH = 9, 6, 6  # item 0 is padding there, and an item without text here
SETTINGS = Settings(
    width=4, experts=3, inner=5, dropout=0.0, adaptor_dropout=0.0, temperature=0.3, sequence_weight=0.25
)
NOISE = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
EXPERTS = torch.tensor([0.5, 0.6, 1.1], dtype=torch.float64)[:, None, None]


class Scaled(nn.Module):
    """In the place of dropout."""

    def __init__(self, factor: Any) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def part(name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}/"): value for key, value in RECORDED.items() if key.startswith(f"{name}/")}


INPUTS = part("inputs")


def ours(official: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Parameters, or their gradients, by our names and in our shapes."""
    experts = [f"moe_adaptor.experts.{k}" for k in range(SETTINGS.experts)]
    found = {
        "adaptor.bias": torch.stack([official[f"{expert}.bias"] for expert in experts]),
        "adaptor.weight": torch.stack([official[f"{expert}.lin.weight"].T for expert in experts]),
        "adaptor.gate": official["moe_adaptor.w_gate"],
        "encoder.positions": official["position_embedding.weight"],
        "encoder.norm.weight": official["LayerNorm.weight"],
        "encoder.norm.bias": official["LayerNorm.bias"],
    }
    optional = {"adaptor.noise": "moe_adaptor.w_noise", "own": "item_embedding.weight"}
    found |= {name: official[other] for name, other in optional.items() if other in official}
    for at in range(SETTINGS.layers):
        for kind in ("weight", "bias"):
            there, here = f"trm_encoder.layer.{at}", f"encoder.layers.layers.{at}"
            attention = f"{there}.multi_head_attention"
            read = [official[f"{attention}.{name}.{kind}"] for name in ("query", "key", "value")]
            found |= {
                f"{here}.self_attn.in_proj_{kind}": torch.cat(read),
                f"{here}.self_attn.out_proj.{kind}": official[f"{attention}.dense.{kind}"],
                f"{here}.norm1.{kind}": official[f"{attention}.LayerNorm.{kind}"],
                f"{here}.linear1.{kind}": official[f"{there}.feed_forward.dense_1.{kind}"],
                f"{here}.linear2.{kind}": official[f"{there}.feed_forward.dense_2.{kind}"],
                f"{here}.norm2.{kind}": official[f"{there}.feed_forward.LayerNorm.{kind}"],
            }
    return found


def model(own: bool = False, drop_padding: bool = False) -> Model:
    """With the recorded weights; item 0 is a candidate as it is there, or left out."""
    network = Network(RAW, LENGTH, SETTINGS, ITEMS if own else 0).double()
    weights = ours(part("weights"))
    network.load_state_dict(weights if own else {name: w for name, w in weights.items() if name != "own"})
    texts = [INPUTS[name].numpy()[drop_padding:] for name in ("text", "poorer")]
    return Model(network.eval(), np.concatenate(texts), ITEMS - drop_padding, SETTINGS)


def rows(name: str, lengths: str) -> Padded:
    found, counts = INPUTS[name].numpy(), INPUTS[lengths].numpy()
    return Padded(np.where(np.arange(found.shape[1]) < counts[:, None], found, NOTHING), counts)


def views() -> Padded:
    found = rows("view", "view_lengths")
    poorer = INPUTS["fewer_words"].numpy().astype(bool)[:, None] & (found.rows != NOTHING)
    return Padded(found.rows + ITEMS * poorer, found.lengths)


def examples(first: int = 0) -> tuple[Examples, Any]:
    """Histories and the items after them; the number of an item begins with ``first`` there."""
    histories = [row[:length].tolist() for row, length in zip(INPUTS["history"], INPUTS["lengths"], strict=True)]
    whole = [[*h, int(target)] for h, target in zip(histories, INPUTS["targets"], strict=True)]
    sequences = Sequences.from_rows([[item - first for item in row] for row in whole])
    starts, ends = sequences.offsets[:-1], sequences.offsets[1:] - 1
    return Examples(sequences, starts, ends), np.arange(len(whole))


def same(found: Tensor, network: Network, case: str) -> None:
    """The loss and the gradient of every parameter."""
    assert float(found.detach()) == pytest.approx(float(RECORDED[f"{case}/loss"]), abs=1e-9)
    found.backward()  # type: ignore[no-untyped-call]
    expected = ours(part(f"{case}/gradient"))
    learned = {name: weights.grad for name, weights in network.named_parameters() if weights.grad is not None}
    assert learned.keys() == expected.keys()
    for name, gradient in learned.items():
        assert torch.allclose(gradient, expected[name], atol=1e-9), name


def contrasted(found: Model, targets: str = "targets") -> Tensor:
    return found.contrasted(rows("history", "lengths"), views(), INPUTS[targets].numpy())


def test_pre_training() -> None:
    found = model()
    same(contrasted(found), found.network, "pretrain")


@pytest.mark.parametrize(("case", "own"), [("inductive_ft", False), ("transductive_ft", True)])
def test_fine_tuning_and_scores(case: str, own: bool) -> None:
    found, (windows, asked) = model(own), examples()
    same(found.fine_tuning(windows, asked, np.random.default_rng(0)), found.network, case)
    got = scores(found.network, found.catalogue(), windows.histories(asked))
    assert np.allclose(got, RECORDED[f"{case}/scores"].numpy(), atol=1e-5)


def test_gates_have_as_much_noise() -> None:
    found = model()
    found.network.train()
    with mock.patch.object(torch, "randn_like", lambda x: NOISE.expand_as(x)):
        same(contrasted(found), found.network, "noisy")


def test_dropout_stands_in_the_same_places() -> None:
    """Each place of dropout multiplies by a factor of its own instead; of attention, PyTorch's own holds the share."""
    found = model()
    network = found.network
    network.adaptor.dropout, network.encoder.dropout = Scaled(EXPERTS), Scaled(0.9)
    for layer in network.encoder.layers.layers:
        assert layer.dropout.p == 0  # none between the two halves of the feed-forward part
        layer.dropout1, layer.dropout2 = Scaled(0.8), Scaled(0.7)
    same(contrasted(found), network, "dropped")
    dropping = Network(RAW, LENGTH, Settings(width=4, dropout=0.4, adaptor_dropout=0.1))
    for layer in dropping.encoder.layers.layers:
        shares = [layer.self_attn.dropout, layer.dropout.p, layer.dropout1.p, layer.dropout2.p]
        assert shares == [0.4, 0, 0.4, 0.4]
    assert (dropping.adaptor.dropout.p, dropping.encoder.dropout.p) == (0.1, 0.4)


def test_every_expert_drops_other_dimensions() -> None:
    network = Network(400, LENGTH, Settings(width=4, experts=2, adaptor_dropout=0.5)).train()
    with torch.no_grad():
        network.adaptor.weight.copy_(torch.tensor([1.0, -1.0])[:, None, None].expand_as(network.adaptor.weight))
    with mock.patch.object(torch, "randn_like", torch.zeros_like):
        found = network.adaptor(torch.ones(50, 400))
    assert float(found.detach().std()) > 1  # with one mask for both they would cancel


def test_weights_begin_alike() -> None:
    """Zeros, ones, or a normal distribution of the recorded deviation."""
    torch.manual_seed(0)
    wide = Network(RAW, LENGTH, Settings(width=512, experts=3, inner=5), ITEMS)
    first, shapes = part("first"), part("weights")
    means, deviations = (
        ours({name: torch.full_like(weights, float(first[name][at])) for name, weights in shapes.items()})
        for at in (0, 1)
    )
    for name, weights in wide.named_parameters():
        mean, deviation = float(means[name].mean()), float(deviations[name].mean())
        assert float(weights.detach().mean()) == pytest.approx(mean, abs=2e-3), name
        assert float(weights.detach().std()) == pytest.approx(deviation, rel=0.1, abs=1e-9), name


# -- what differs on purpose ------------------------------------------------------------------------------------------


def test_who_wants_the_same_item_is_left_out_and_not_set_to_zero() -> None:
    """There the logit becomes 0, and its exponential 1 stays in the sum as a negative whose cosine is 0."""
    found = model()
    history, view, targets = rows("history", "lengths"), views(), INPUTS["repeated"]
    vectors = found.network.named(found.text)
    queries, others = (found.sequences(vectors, asked) for asked in (history, view))
    same_target = (targets[:, None] == targets[None, :]) & ~torch.eye(len(targets), dtype=torch.bool)
    parts = [similarities(queries, keys, 0.3) for keys in (vectors[targets], others)]
    zeroed, left_out = (  # of items, of views
        [F.cross_entropy(logits.masked_fill(same_target, value), torch.arange(len(logits))) for logits in parts]
        for value in (0.0, -torch.inf)
    )
    recorded, here = float(RECORDED["repeated/loss"]), float(contrasted(found, "repeated").detach())
    assert float((zeroed[0] + 0.25 * zeroed[1]).detach()) == pytest.approx(recorded, abs=1e-9)
    assert here == pytest.approx(float((left_out[0] + 0.25 * left_out[1]).detach()), abs=1e-9)
    assert here < recorded


def test_padding_is_no_candidate() -> None:
    """There item 0, which has no text, stands among those that a target is told from; here are items alone."""
    found, (windows, asked) = model(drop_padding=True), examples(first=1)
    loss = found.fine_tuning(windows, asked, np.random.default_rng(0)).detach()
    logits = RECORDED["inductive_ft/scores"][:, 1:] / 0.3
    assert float(loss) == pytest.approx(float(F.cross_entropy(logits, INPUTS["targets"] - 1)), abs=1e-9)
    assert float(loss) < float(RECORDED["inductive_ft/loss"])


def test_fine_tuning_after_pre_training_changes_the_adaptor_alone() -> None:
    """There the norm of the encoder's input changes as well, which is fixed in the paper as all of the encoder is."""
    job: Any = SimpleNamespace(
        settings=SETTINGS, windows=examples()[0], contract=Contract(epochs=1), part_users=(), seed=0
    )
    for own, names in ((False, {"adaptor"}), (True, {"adaptor", "own"})):
        found = model(own)
        _, second = stages(job, found, 0.5, 0, whole_network=False)
        named = {id(weights): name.split(".")[0] for name, weights in found.network.named_parameters()}
        assert {named[id(weights)] for weights in second.parameters} == names
