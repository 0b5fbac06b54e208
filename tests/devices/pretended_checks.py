"""The device that is not there behaves as one that is: it computes as the CPU does, and two of them never meet."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from tests.pretended import MetError, Pretended, device, there

there()


@pytest.fixture(autouse=True)
def name() -> Iterator[str]:
    with device() as found:
        yield found


def test_tensors_are_where_they_are_put(name: str) -> None:
    x = torch.ones(3, 4).to(name)
    assert isinstance(x, Pretended)
    assert (x.device.type, x.cpu().device.type) == ("pretend", "cpu")
    for made in (torch.zeros(3, device=name), x.new_zeros(2), torch.arange(3, device=x.device), x[0], x + 1, x > 0):
        assert made.device == x.device
    assert torch.tensor([1, 2], device=name).device == torch.as_tensor([1.0], device=x.device).device == x.device
    assert x.tolist() == [[1.0] * 4] * 3
    x[1, 2] = 5.0
    row = x[1]
    row += 1
    assert x.sum().item() == 20  # a view shares its numbers: 11 are one and one is five, and four of them rise by one
    assert x.cpu().numpy()[1].tolist() == [2.0, 2.0, 6.0, 2.0]


@pytest.mark.parametrize(
    "meet",
    [
        lambda x, y: x + y,
        lambda x, y: y @ x.T,
        lambda x, y: torch.cat([x, y]),
        lambda x, y: torch.where(x > 0, x, y),
        lambda x, y: x[y[0].long()],
        lambda x, y: x.masked_fill(y > 0, 0.0),
        lambda x, y: nn.functional.embedding(y.long(), x),
    ],
)
def test_two_devices_never_meet(name: str, meet) -> None:  # type: ignore[no-untyped-def]
    x, y = torch.ones(4, 4).to(name), torch.ones(4, 4)
    with pytest.raises(MetError):
        meet(x, y)
    meet(x, y.to(name))
    assert (x + torch.tensor(2.0)).device == x.device  # a number may come along


def test_training_on_it_is_training_on_the_cpu(name: str) -> None:
    found = []
    for place in ("cpu", name):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Embedding(9, 6), nn.Linear(6, 9, bias=False), nn.Dropout(0.3))
        model[1].weight = model[0].weight  # tied
        model.to(place)
        assert model[1].weight is model[0].weight
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        for _ in range(3):
            loss = nn.functional.cross_entropy(model(torch.arange(9, device=place)), torch.arange(9, device=place))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        copied = copy.deepcopy(model)
        copied.load_state_dict({key: value.cpu() for key, value in model.state_dict().items()})
        found.append(copied[0].weight.detach().cpu())
        assert copied[0].weight.device.type == torch.device(place).type
    assert torch.equal(*found)
