"""What heads, training loop and runs ask of a language model, whatever its architecture.

A backbone reads a history once (``encode``), starts a decoder on what it has read (``start``), and decodes any number
of tokens against the cache of it (``decode``). An encoder-decoder keeps the encoder's output for cross-attention; a
decoder-only model keeps the keys and values of the history, and decodes behind them. Heads cannot tell which.

A row that is read may hold several histories, kept apart by the mask, and several decoders may be started on one row,
each of which sees a part of it: so all targets of a user are decoded from one pass over the history. Positions are
therefore relative in every backbone: only their differences within a history count.

    memory = backbone.encode(tokens, mask)
    cache = backbone.start(memory, mask)
    logits = backbone.logits(backbone.decode(first_tokens, cache))

Shapes: B batch, S source, T target, K keys, D model width.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bench.flops import TRAINING
from bench.linear import Linear, linear

LARGE = 4096  # rows of an output layer from which a rounded copy has it in bfloat16 as well
LANES = 16  # keys that a processor takes at once; those left over take fused attention up to twice the time of all
MASKED = -1e9  # finite, so that a row with nothing to attend to yields an average rather than NaN

Memory = Any  # what ``encode`` returns and ``start`` takes; only the backbone itself looks into it


@dataclass
class Cache:
    """What a decoder has read and decoded so far for ``users`` histories. A backbone adds fields for what it has read.

    ``past`` holds for each layer what it keeps of the decoded tokens, ``[B, K, ·]``, or None before the first.
    ``positions [K]`` are their decoder positions, counted from 0 at the first decoded token.
    """

    users: int
    past: list[Tensor | None]
    positions: Tensor

    def restricted(self, kept: Tensor) -> Cache:
        """A cache with only the decoded tokens that are ``kept [K]`` bool; this one stays as it is."""
        past = [None if layer is None else layer[:, kept] for layer in self.past]
        return replace(self, past=past, positions=self.positions[kept])

    def aligned(self) -> Cache:
        """The same with so many keys of what was read, which nobody sees, that attention is fast. It changes in which
        order weights are summed, and so the last bits.
        """
        return self

    def gathered(self, users: Tensor, past: list[Tensor | None], positions: Tensor) -> Cache:
        """A cache over what was read for these ``users [R]``, one a row, as often as they are named, and over a
        ``past`` of R rows at ``positions``. A backbone gathers what it has added.
        """
        return replace(self, users=len(users), past=past, positions=positions)


class Backbone(nn.Module, ABC):
    """A language model under a recommender's head.

    ``embedding`` is the table of input embeddings. ``head`` is an output layer of its own, None where the output layer
    is tied to ``embedding``. ``kind`` names the architecture in checkpoints.

    Whole-word embeddings (P5, Geng et al., 2022, section 3.2) are added to those of the tokens that are read: all
    tokens of one word share a row of their table, here all tokens of one history item. P5 counts every word of its
    prompt, while an item's number there is mostly one word; identifiers of several words or codes are the words here,
    and what stands around them is row 0. The table starts at zero: until it has learned, the model is the plain one.
    ``whole_words`` is None in a model without one.

    A backbone may freeze parameters. Checkpoints then hold what is trained (``trained_state``), and what is frozen is
    rebuilt from where it came from.

    ``causal`` says that what is read sees nothing newer, and that what is decoded goes on where reading ended.
    """

    kind: ClassVar[str]
    causal: ClassVar[bool] = False
    linear_layer: ClassVar[type[nn.Linear]] = Linear  # what the layers multiply with
    embedding: nn.Embedding
    head: nn.Linear | None
    whole_words: nn.Embedding | None
    own_from: int | None = None  # the first row of the embeddings that a pretrained model did not have
    rough: Tensor | None = None  # the output layer in bfloat16, of a rounded copy alone
    recompute: bool = False  # what layers computed is not kept for the gradient but computed again, where a kind can

    # -- reading and writing ------------------------------------------------------------------------------------------

    @abstractmethod
    def encode(
        self,
        inputs: Tensor,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        item_position_ids: Tensor | None = None,
    ) -> Memory:
        """Read token ids ``[B, S]`` or embeddings ``[B, S, D]``.

        ``mask`` is None, true where there is a token (``[B, S]`` bool), true where a query sees a key (``[B, S, S]``
        bool), or added to the attention logits (``[S, S]`` or ``[B, S, S]`` float). ``positions [S]`` or ``[B, S]``
        default to 0..S-1. ``item_position_ids [B, S]`` are rows of the whole-word table; TypeError where they are given
        to a model without one, or missing for one with it.
        """

    @abstractmethod
    def start(self, memory: Memory, mask: Tensor | None = None) -> Cache:
        """A fresh decoder cache over what ``encode`` has read, with its padding ``mask [B, S]`` bool, or None.

        With ``mask [B, N, S]`` bool, true where a decoder sees what was read, there are N decoders for every row, side
        by side: to the cache they are B·N users. A decoder-only backbone decodes behind the newest that each sees.
        """

    @abstractmethod
    def decode(
        self, inputs: Tensor, cache: Cache, mask: Tensor | None = None, positions: Tensor | None = None
    ) -> Tensor:
        """Token ids ``[B, T]`` or embeddings ``[B, T, D]`` to hidden states ``[B, T, D]``; ``cache`` is extended in
        place.

        ``positions [T]`` count decoded tokens and default to the next T. ``mask`` is added to the logits over all
        decoded keys, cached ones first (``[T, K]`` or ``[B, T, K]`` float); None is causal in ``positions``. Whatever
        was read is visible but for the mask given to ``start``.
        """

    @abstractmethod
    def logits(self, hidden: Tensor, rows: Tensor | None = None) -> Tensor:
        """``[..., D]`` to ``[..., vocabulary]``, or to the vocabulary ``rows`` asked for."""

    def rough_logits(self, hidden: Tensor) -> Tensor | None:
        """``logits`` over the whole vocabulary by ``rough``, rounded to 8 bits; None where there is no such layer."""
        return None if self.rough is None else linear(hidden, self.rough)

    @abstractmethod
    def hidden_states(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """What a text comes to: token ids ``[B, S]``, with their ``mask [B, S]`` bool or None, to ``[B, S, D]``."""

    def through(self, layer: nn.Module, *given: Any) -> tuple[Tensor, Tensor]:
        """What a layer makes of what it is given, computed again for the gradient under ``recompute``."""
        if self.recompute and torch.is_grad_enabled():
            again: tuple[Tensor, Tensor] = checkpoint(layer, *given, use_reentrant=False)
            return again
        found: tuple[Tensor, Tensor] = layer(*given)
        return found

    def embed(self, inputs: Tensor) -> Tensor:
        """Token ids to their embeddings; embeddings stay as they are."""
        embedded: Tensor = inputs if inputs.is_floating_point() else self.embedding(inputs)
        return embedded

    # -- shape --------------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def signature(self) -> str:
        """The architecture and all sizes: weights fit where signatures are equal."""

    @abstractmethod
    def with_vocabulary(self, size: int) -> Backbone:
        """The same body with fresh embeddings for another vocabulary of ``size`` rows."""

    def resize_vocabulary(self, size: int) -> None:
        """Have so many rows of embeddings, and of an output layer of its own: those that are there stay, new ones are
        zero.
        """
        for layer in (self.embedding, self.head):
            if layer is not None:
                weight = torch.zeros(size, self.d_model, device=self.device)
                weight[: len(layer.weight)] = layer.weight.detach()
                layer.weight = nn.Parameter(weight)
        self.embedding.num_embeddings = size
        if self.head is not None:
            self.head.out_features = size

    @property
    def d_model(self) -> int:
        return self.embedding.embedding_dim

    @property
    def vocabulary_size(self) -> int:
        return self.embedding.num_embeddings

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @abstractmethod
    def flops(self, batch: int, read: int, written: int, logits: int, targets: int = 1) -> int:
        """Floating-point operations of the matrix products of one forward pass (``bench.flops``): ``batch``
        rows of ``read`` tokens, ``targets`` of ``written`` tokens for each of them, and ``logits`` hidden states
        through the output layer.
        """

    def training_flops(
        self, batch: int, read: int, written: int, logits: int, targets: int = 1, vectors: bool = False
    ) -> int:
        """The same of a training step, gradients included: of a frozen base only those that are computed. ``vectors``:
        what is read and decoded are vectors that learn, not embeddings of tokens alone.
        """
        return TRAINING * self.flops(batch, read, written, logits, targets)

    # -- whole words --------------------------------------------------------------------------------------------------

    def grow_whole_words(self, rows: int) -> None:
        """Have a table of at least so many whole-word embeddings: rows that are there stay, new ones are zero."""
        old = self.whole_words
        if old is not None and old.num_embeddings >= rows:
            return
        weight = torch.zeros(rows, self.d_model, device=self.device)
        if old is not None:
            weight[: old.num_embeddings] = old.weight.detach()
        self.whole_words = nn.Embedding(rows, self.d_model, _weight=weight)

    def add_whole_words(self, embedded: Tensor, item_position_ids: Tensor | None) -> Tensor:
        """``[B, S, D]`` with the whole-word embeddings added, if there are any. Numbers behind the last row of the
        table begin again with 1: what is read for many targets is longer than a history, and no row is for training
        alone.
        """
        if (self.whole_words is None) != (item_position_ids is None):
            raise TypeError(
                "item_position_ids are for a model with whole-word embeddings, which needs them; got "
                f"{'none' if item_position_ids is None else 'some'} for {self.signature}"
            )
        if self.whole_words is None or item_position_ids is None:
            return embedded
        items = self.whole_words.num_embeddings - 1
        rows = torch.where(item_position_ids > 0, (item_position_ids - 1) % items + 1, 0)
        words: Tensor = self.whole_words(rows)
        return embedded + words

    def of_no_item(self, tokens: Tensor) -> Tensor | None:
        """Numbers of whole words ``[B, S]`` for a text that is no history; None for a model without such a table."""
        return None if self.whole_words is None else tokens.new_zeros(tokens.shape[:2], dtype=torch.long)

    # -- training -----------------------------------------------------------------------------------------------------

    def copied(self) -> Backbone:
        """A copy that may be trained without changing this one. A backbone over a frozen base shares the base."""
        return copy.deepcopy(self)

    def rounded(self) -> Backbone:
        """A copy to rank with whose layers multiply in bfloat16. It shares all else with this one: norms, embeddings
        and the output layer, which stay in float32; a ``LARGE`` output layer it has in bfloat16 too (``rough``).
        """
        shared = {id(tensor): tensor for part in (self.parameters(), self.buffers()) for tensor in part}
        fresh = copy.deepcopy(self, shared)
        for layer in fresh.modules():
            if isinstance(layer, self.linear_layer) and layer is not fresh.head:
                for name, weight in layer.named_parameters(recurse=False):
                    if weight.is_floating_point():
                        setattr(layer, name, nn.Parameter(weight.detach().to(torch.bfloat16), requires_grad=False))
        if self.vocabulary_size >= LARGE:
            table = weight_of(self.embedding if self.head is None else self.head)
            fresh.rough = table.detach().to(torch.bfloat16)
        return fresh

    def unfreeze(self) -> None:
        """Let everything require gradients that this backbone trains; a frozen base stays frozen."""
        self.requires_grad_()

    def undecayed(self) -> Iterator[nn.Parameter]:
        """Parameters without weight decay: norms and biases, which have one dimension."""
        return (parameter for parameter in self.parameters() if parameter.dim() < 2)


def weight_of(layer: Any) -> Tensor:
    """``[rows, D]``: the weight of a table or an output layer; of one in two parts a copy."""
    found: Tensor = layer.joined() if hasattr(layer, "joined") else layer.weight
    return found


def trained_state(module: nn.Module) -> dict[str, Tensor]:
    """What training can change of ``module.state_dict()``: parameters that require gradients, and all buffers."""
    frozen = _frozen(module)
    named = {
        name for part in (module.named_parameters, module.named_buffers) for name, _ in part(remove_duplicate=False)
    }
    # what else a state has tells how frozen weights are stored, such as their scales in eight bits
    return {name: tensor for name, tensor in module.state_dict().items() if name in named - frozen}


def load_trained_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load what ``trained_state`` gave; what is frozen stays. RuntimeError where anything else is missing or extra."""
    lacking, unexpected = module.load_state_dict(state, strict=False)
    wrong = [*unexpected, *(name for name in lacking if name not in _frozen(module))]
    if wrong:
        raise RuntimeError(f"the stored parameters are of another model; they differ in {', '.join(sorted(wrong)[:5])}")


def _frozen(module: nn.Module) -> set[str]:
    named = module.named_parameters(remove_duplicate=False)
    return {name for name, parameter in named if not parameter.requires_grad}


def additive(mask: Tensor) -> Tensor:
    """A mask as ``[·, 1, ·, K]`` to add: bool, true on what is visible, ``[B, K]`` or ``[B, T, K]``; float, ``[T, K]``
    or ``[B, T, K]``.
    """
    if mask.dtype == torch.bool:
        return (~(mask[:, None] if mask.dim() == 3 else mask[:, None, None, :])) * MASKED
    if not mask.is_floating_point():  # added as they are, zeros and ones would mask nothing
        raise TypeError(f"a mask is bool (true on tokens) or float (added to the logits), not {mask.dtype}")
    return mask[None, None] if mask.dim() == 2 else mask[:, None]
