"""The published recipes that speed is measured against, on the same weights, identifiers and users."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import T5Config as PeerConfig
from transformers import T5ForConditionalGeneration

from bench.backbone import huggingface
from bench.backbone.t5 import T5, T5Config
from bench.data import sources
from bench.data.splits import Split, leave_one_out
from bench.errors import BenchError
from bench.ids.identifiers import Template, TokenIds
from bench.model.recommender import Recommender, recommender_for
from bench.model.trie import with_eos
from bench.vocabulary import Vocabulary

SMALL = {"d_model": 512, "d_kv": 64, "d_ff": 2048, "heads": 8, "layers": 6, "decoder_layers": 6}  # t5-small


def toys(data_dir: Path | None) -> Split:
    try:
        return leave_one_out(sources.find("toys", data_dir))
    except BenchError as error:
        raise SystemExit(f"this benchmark needs real Toys: {error}") from error


def code_ids(items: int, seed: int = 0) -> TokenIds:
    """Four-level codes of 256 values, skewed as trained quantizers' are."""
    rng = np.random.default_rng(seed)
    vocabulary = Vocabulary.private(f"{level}:{code}" for level in range(4) for code in range(256))
    codes: dict[tuple[int, ...], None] = {}
    while len(codes) < items:
        code = np.minimum(rng.gamma(2.0, 32.0, size=4).astype(int), 255)
        codes[tuple((3 + 256 * np.arange(4) + code).tolist())] = None
    return TokenIds.from_lists(list(codes), vocabulary)


def text_ids(data_dir: Path, tokenizer: Path, item_ids: tuple[str, ...]) -> TokenIds:
    """The identifiers in ``toys.textual_ids.tsv`` over T5's vocabulary; an empty or repeated one gets a counter."""
    lines = (data_dir / "toys" / "toys.textual_ids.tsv").read_text().splitlines()[1:]
    text = dict(line.split("\t") for line in lines)
    vocabulary = Vocabulary.of_language_model(tokenizer, 32128)
    codes: dict[tuple[int, ...], None] = {}
    for item in item_ids:
        code, count = tuple(vocabulary.encode(text.get(item, "item"))), 1
        while code in codes:
            code, count = tuple(vocabulary.encode(f"{text.get(item, 'item')} {count}")), count + 1
        codes[code] = None
    template = Template("What would a customer buy next after", " ; ", " ?")
    return TokenIds.from_lists(list(codes), vocabulary, template)


def pair(ids: TokenIds, size: dict[str, int], dropout: float = 0.0) -> tuple[Recommender, T5ForConditionalGeneration]:
    """Our recommender and Transformers' T5 with the same random weights."""
    torch.manual_seed(0)
    ours = T5(T5Config(vocabulary=ids.vocabulary.size, dropout=dropout, **size))
    config = PeerConfig(**huggingface.export_config(ours.config))
    peer = T5ForConditionalGeneration(config)
    peer.load_state_dict(huggingface.export_weights(ours), strict=False)
    peer.tie_weights()
    return recommender_for(ids, ours).eval(), peer.eval()


def dictionary_trie(ids: TokenIds, end: bool = False) -> dict[int, Any]:
    """Nested dictionaries, as published code has them; with ``end`` the end token closes codes of one length, too."""
    root: dict[int, Any] = {}
    for code in with_eos(ids).tolist():
        node = root
        for token in [*code, *([ids.vocabulary.eos] if end and not ids.appends_eos else [])]:
            if token >= 0:
                node = node.setdefault(token, {})
    return root


@torch.no_grad()
def generate(
    peer: T5ForConditionalGeneration,
    ids: TokenIds,
    source: Any,
    width: int,
    trie: dict[int, Any],
    by_prefix: bool = False,
) -> Any:
    """Transformers' constrained beam search: sequences ``[B, width, L]`` and scores ``[B, width]``. ``by_prefix``:
    probabilities of the tokens that are allowed sum to one.
    """
    depth, node = 0, trie
    while node:
        depth, node = depth + 1, next(iter(node.values()))
    steps = max(depth, with_eos(ids).shape[1])

    def allowed(_: int, prefix: torch.Tensor) -> list[int]:
        node = trie
        for token in prefix.tolist()[1:]:
            node = node.get(token, {})
        return list(node) or [ids.vocabulary.eos]

    mask = torch.ones_like(source.tokens) if source.mask is None else source.mask.long()
    found = peer.generate(
        input_ids=source.tokens,
        attention_mask=mask,
        num_beams=width,
        num_return_sequences=width,
        max_new_tokens=steps,
        prefix_allowed_tokens_fn=allowed,
        return_dict_in_generate=True,
        output_scores=True,
        length_penalty=1.0,
        renormalize_logits=by_prefix,
    )
    users = len(source.tokens)
    return found.sequences.view(users, width, -1), found.sequences_scores.view(users, width)


@torch.no_grad()
def uncached(peer: T5ForConditionalGeneration, source: Any, width: int, steps: int) -> torch.Tensor:
    """A beam loop that reads every history again for each beam and step, uncached, as some published code does."""
    users, vocabulary = len(source.tokens), peer.config.vocab_size
    tokens = source.tokens.repeat_interleave(width, 0)
    mask = torch.ones_like(tokens) if source.mask is None else source.mask.long().repeat_interleave(width, 0)
    prefixes = torch.zeros(users * width, 1, dtype=torch.long)
    scores = torch.full((users, width), float("-inf"))
    scores[:, 0] = 0
    for _ in range(steps):
        logits = peer(input_ids=tokens, attention_mask=mask, decoder_input_ids=prefixes, use_cache=False).logits[:, -1]
        total = scores.view(-1, 1) + logits.log_softmax(-1)
        scores, index = total.view(users, -1).topk(width)
        beam = (index // vocabulary + torch.arange(users)[:, None] * width).flatten()
        prefixes = torch.cat([prefixes[beam], (index % vocabulary).view(-1, 1)], 1)
    return prefixes.view(users, width, -1)


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
