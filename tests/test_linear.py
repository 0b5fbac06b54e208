"""The linear layer is PyTorch's own in value, shape and gradient, whichever library multiplies."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench import linear as module
from bench.linear import Linear, linear

SHAPES = [(7,), (1, 7), (33, 7), (3, 5, 7), (2, 3, 5, 7), (0, 7), (4, 0, 7)]


@pytest.fixture(params=[True, False], ids=["oneDNN", "without"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ONEDNN", module.ONEDNN if request.param else None)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("outputs", [1, 5, 64])
def test_products_are_those_of_pytorch(shape: tuple[int, ...], outputs: int) -> None:
    torch.manual_seed(0)
    x, layer = torch.randn(shape), Linear(7, outputs)
    with torch.no_grad():
        found = layer(x)
    torch.testing.assert_close(found, F.linear(x, layer.weight.detach()), atol=1e-6, rtol=1e-5)


@pytest.mark.usefixtures("library")
def test_strided_inputs_and_chosen_rows_are_read_in_their_order() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(7, 4, 3).permute(1, 2, 0), torch.randn(20, 14)[::3, ::2]
    with torch.no_grad():
        found = linear(x, weight)
    torch.testing.assert_close(found, torch.einsum("abk,nk->abn", x, weight), atol=1e-6, rtol=1e-5)


@pytest.mark.usefixtures("library")
def test_a_changed_weight_is_seen_at_once() -> None:
    """A packed copy of the weights would outlive the optimizer's next step."""
    layer, x = Linear(7, 5), torch.ones(40, 7)
    with torch.no_grad():
        layer(x)
        layer.weight.fill_(2.0)
        assert (layer(x) == 14).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_stay_what_they_are(dtype: torch.dtype) -> None:
    x, layer = torch.ones(3, 7, dtype=dtype), Linear(7, 5).to(dtype)
    with torch.no_grad():
        assert torch.equal(layer(x), F.linear(x, layer.weight))
        assert layer(x).dtype == dtype


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_are_those_of_pytorch(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    found = (torch.randn(shape, requires_grad=True), Linear(7, 5))
    expected = (found[0].detach().clone().requires_grad_(), Linear(7, 5))
    expected[1].load_state_dict(found[1].state_dict())
    torch.relu_(found[1](found[0])).square().sum().backward()
    torch.relu(F.linear(expected[0], expected[1].weight)).square().sum().backward()
    for one, other in ((found[0].grad, expected[0].grad), (found[1].weight.grad, expected[1].weight.grad)):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_only_what_needs_a_gradient_gets_one() -> None:
    frozen, x = Linear(7, 5).requires_grad_(False), torch.randn(6, 7, requires_grad=True)
    frozen(x).sum().backward()
    assert frozen.weight.grad is None
    torch.testing.assert_close(x.grad, frozen.weight.sum(0).expand(6, 7))
    assert not frozen(x.detach()).requires_grad


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch is built without oneDNN")
def test_the_operator_that_makes_products_fast_is_still_there() -> None:
    """It is private to PyTorch. Where this fails, all works and is about half as fast on a CPU: find its successor."""
    assert module.onednn_product() is not None, f"torch.ops.mkldnn._linear_pointwise is gone from {torch.__version__}"


class Operators:
    """``torch.ops.mkldnn`` of another PyTorch."""

    def __init__(self, operator: object = None) -> None:
        if operator is not None:
            self._linear_pointwise = operator


def refuses(*_: object) -> Tensor:
    raise RuntimeError("mkldnn::_linear_pointwise() is missing value for argument 'algorithm'")


@pytest.mark.parametrize(
    "others",
    [Operators(), Operators(refuses), Operators(lambda x, weight: x), Operators(lambda x, weight, *_: x)],
    ids=["gone", "refuses", "other arguments", "other result"],
)
def test_without_the_operator_products_are_pytorchs_own(others: Operators, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops, "mkldnn", others)
    assert module.onednn_product() is None
    monkeypatch.setattr(module, "ONEDNN", module.onednn_product())
    x, layer = torch.randn(6, 7, requires_grad=True), Linear(7, 5)
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad, layer.weight.sum(0).expand(6, 7))


def test_autocast_decides_on_precision_itself() -> None:
    layer, x = Linear(7, 5), torch.randn(6, 7)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_rectified_product_is_the_relu_of_the_product_bit_for_bit(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer, x = Linear(24, 40).to(dtype), torch.randn(3, 5, 24, dtype=dtype)
    with torch.no_grad():
        assert torch.equal(layer.rectified(x), torch.relu(layer(x)))
        assert layer.rectified(x[:0]).shape == (0, 5, 40)
    assert layer.rectified(x).requires_grad


@pytest.mark.parametrize("library", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_is_added_or_multiplied_in_one_pass_is_so_bit_for_bit(
    shape: tuple[int, ...], library: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMBINED", module.COMBINED if library else None)
    torch.manual_seed(0)
    x, weight, other, bias = torch.randn(shape), torch.randn(5, 7), torch.randn(*shape[:-1], 5), torch.randn(5)
    before = other.clone()
    with torch.no_grad():
        product = linear(x, weight)
        assert torch.equal(module.combined(x, weight, other, "add"), product + other)
        assert torch.equal(module.combined(x, weight, other, "mul"), product * other)
        assert torch.equal(linear(x, weight, bias), product + bias)
    assert torch.equal(other, before)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch is built without oneDNN")
def test_the_operator_that_takes_two_steps_at_once_is_still_there() -> None:
    assert module.onednn_combined() is not None, f"torch.ops.mkldnn._linear_pointwise.binary of {torch.__version__}"


def test_weights_in_bfloat16_round_what_they_meet() -> None:
    torch.manual_seed(0)
    layer, x = Linear(24, 40).to(torch.bfloat16), torch.randn(3, 24)
    with torch.no_grad():
        found = layer(x)
        assert found.dtype == torch.bfloat16
        expected = x.to(torch.bfloat16).double() @ layer.weight.double().T
        torch.testing.assert_close(found.double(), expected, rtol=2**-7, atol=1e-3)
        assert torch.equal(layer.rectified(x), found.relu())
