"""Writes ``numbers.safetensors`` beside it: losses, gradients and scores of the published module of UniSRec.

The module is ``unisrec.py`` of github.com/RUCAIBox/UniSRec at commit ed0bfbc, which has no licence and so is not here.
Its class for the Transformer is RecBole's SASRec. Fetch it into a folder of its own, then

    python record.py FOLDER

Everything is in double precision, over random weights, so that no parameter is hidden by its first value. Names in the
file: ``inputs/NAME``, ``weights/PARAMETER`` and, of each of the CASES, ``CASE/loss``, ``CASE/gradient/PARAMETER`` and
``CASE/scores``; ``first/PARAMETER`` is mean and deviation of the weights that training begins with. Item 0 is padding,
whose text is zero.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from recbole_baselines import shims
from safetensors.torch import save_file
from torch import Tensor, nn

FILE = Path(__file__).parent / "numbers.safetensors"
ITEMS, RAW, WIDTH, EXPERTS, LAYERS, HEADS, INNER, POSITIONS = 9, 6, 4, 3, 2, 2, 5, 6
TEMPERATURE, WEIGHT = 0.3, 0.25
CASES = ("pretrain", "repeated", "dropped", "noisy", "inductive_ft", "transductive_ft")
NOISE = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)  # of each gate, for every item alike
DROPS = {"input": 0.9, "attention": 1.0, "output": 0.8, "inner": 0.7, "experts": (0.5, 0.6, 1.1)}

CONFIG: dict[str, Any] = {
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "LIST_SUFFIX": "_list",
    "ITEM_LIST_LENGTH_FIELD": "item_length",
    "NEG_PREFIX": "neg_",
    "MAX_ITEM_LIST_LENGTH": POSITIONS,
    "device": "cpu",
    "n_layers": LAYERS,
    "n_heads": HEADS,
    "inner_size": INNER,
    "n_exps": EXPERTS,
    "hidden_dropout_prob": 0.0,
    "attn_dropout_prob": 0.0,
    "adaptor_dropout_prob": 0.0,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "initializer_range": 0.02,
    "loss_type": "CE",
    "temperature": TEMPERATURE,
    "lambda": WEIGHT,
}
INPUTS: dict[str, list[Any]] = {
    "history": [[1, 2, 3, 4], [5, 0, 0, 0], [6, 7, 0, 0], [8, 1, 5, 0], [2, 2, 6, 3]],
    "lengths": [4, 1, 2, 3, 4],
    "targets": [5, 6, 8, 2, 1],
    "repeated": [5, 6, 5, 2, 6],
    "view": [[1, 3, 4, 0], [5, 0, 0, 0], [6, 7, 0, 0], [1, 5, 0, 0], [2, 2, 6, 3]],
    "view_lengths": [3, 1, 2, 2, 4],
    "fewer_words": [0, 1, 0, 0, 1],  # whether the view lacks words and not items
}


class Scaled(nn.Module):
    """In the place of dropout: every element by one factor, which shows where dropout stands."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def made(cls: Any, stage: str, width: int = WIDTH) -> Any:
    config = {**CONFIG, "hidden_size": width, "adaptor_layers": [RAW, width], "train_stage": stage}
    text = nn.Embedding(ITEMS, RAW, padding_idx=0)
    text.weight.requires_grad = False
    return cls(config, SimpleNamespace(num=lambda field: ITEMS, plm_embedding=text))


def scaled(model: Any) -> None:
    model.dropout = Scaled(DROPS["input"])
    for layer in model.trm_encoder.layer:
        layer.multi_head_attention.attn_dropout = Scaled(DROPS["attention"])
        layer.multi_head_attention.out_dropout = Scaled(DROPS["output"])
        layer.feed_forward.dropout = Scaled(DROPS["inner"])
    for expert, factor in zip(model.moe_adaptor.experts, DROPS["experts"], strict=True):
        expert.dropout = Scaled(factor)


def interaction(inputs: dict[str, Tensor], targets: Tensor) -> dict[str, Tensor]:
    text, poorer, view = inputs["text"], inputs["poorer"], inputs["view"]
    return {
        "item_id": targets,
        "item_id_list": inputs["history"],
        "item_length": inputs["lengths"],
        "item_emb_list": text[inputs["history"]],
        "pos_item_emb": text[targets],
        "item_id_list_aug": view,
        "item_length_aug": inputs["view_lengths"],
        "item_emb_list_aug": torch.where(inputs["fewer_words"].bool()[:, None, None], poorer[view], text[view]),
    }


def case(cls: Any, name: str, weights: dict[str, Tensor], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    stage = name if name.endswith("_ft") else "pretrain"
    model = made(cls, stage).double()
    model.load_state_dict(weights, strict=False)
    model.train(name == "noisy")
    if name == "dropped":
        scaled(model)
    asked = interaction(inputs, inputs["repeated" if name == "repeated" else "targets"])
    found = {}
    if stage != "pretrain":
        model.plm_embedding.weight.data.copy_(inputs["text"])
        found[f"{name}/scores"] = model.full_sort_predict(asked).detach()
    with mock.patch.object(torch, "randn_like", lambda x: NOISE.expand_as(x).to(x.dtype)):
        loss = model.calculate_loss(asked)
    loss.backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return {f"{name}/loss": loss.detach(), **found, **{f"{name}/gradient/{n}": g for n, g in gradients.items()}}


def record(folder: str) -> None:
    shims.apply()
    sys.path.insert(0, folder)
    from unisrec import UniSRec

    torch.manual_seed(3)
    first = {n: torch.stack([p.mean(), p.std()]) for n, p in made(UniSRec, "transductive_ft", 512).named_parameters()}
    parameters = made(UniSRec, "transductive_ft").double().named_parameters()
    weights = {n: 0.4 * torch.randn_like(p) + (n.endswith("Norm.weight")) for n, p in parameters if "plm" not in n}
    texts = {name: torch.randn(ITEMS, RAW, dtype=torch.float64) for name in ("text", "poorer")}
    for text in texts.values():
        text[0] = 0
    inputs = {**texts, **{name: torch.tensor(rows) for name, rows in INPUTS.items()}}
    found = {f"inputs/{n}": x for n, x in inputs.items()} | {f"weights/{n}": x for n, x in weights.items()}
    for name in CASES:
        found |= case(UniSRec, name, weights, inputs)
    found |= {f"first/{n}": x.detach() for n, x in first.items() if "plm" not in n}
    save_file({n: x.detach().contiguous() for n, x in found.items()}, FILE, {"of": "commit ed0bfbc, RecBole 1.2.1"})


if __name__ == "__main__":
    record(sys.argv[1])
