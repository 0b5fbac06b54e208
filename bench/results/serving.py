"""What a server of language models needs beside the model: a grammar of the identifiers, and how to ask.

    grammar.ebnf   every identifier, in xgrammar's EBNF
    serving.json   the prompt as tokens, what ends it, and how many tokens to write
    README.md      the same for readers, with commands for vLLM and SGLang

Names of options and fields are those that vLLM (``structured_outputs``) and SGLang (``ebnf``) document. Neither server
runs in our tests; xgrammar, which both of them ask, does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from bench import files
from bench.model.sequence import SequenceRecommender
from bench.results import grammar

GRAMMAR, FACTS, README = "grammar.ebnf", "serving.json", "README.md"
PAGE = Path(__file__).with_name("serving.md")
SERVERS: Mapping[str, Mapping[str, str]] = {
    "vllm": {
        "start": "vllm serve ./model --served-model-name bench --dtype float32 "
        "--structured-outputs-config.backend xgrammar",
        "address": "http://localhost:8000/v1/completions",
    },
    "sglang": {
        "start": "python -m sglang.launch_server --model-path ./model --port 30000 --dtype float32 "
        "--grammar-backend xgrammar",
        "address": "http://localhost:30000/generate",
    },
}


def write(folder: Path, recommender: SequenceRecommender, facts: Mapping[str, Any]) -> None:
    """The three files, into an export's ``folder`` whose ``export.json`` holds the ``facts``."""
    rules = grammar.written(recommender.trie, facts["end"])
    (folder / GRAMMAR).write_text(rules, encoding="utf-8")
    found = described(recommender, facts)
    files.write_json(folder / FACTS, found)
    (folder / README).write_text(page(found, facts), encoding="utf-8")


def described(recommender: SequenceRecommender, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The content of ``serving.json``. A prompt ends in the token that identifiers are written behind."""
    history, name = facts["history"], recommender.ids.vocabulary.tokenizer.id_to_token
    prompt = {**history, "after": [*history["after"], facts["start"]]}
    shown = {part: [name(token) for token in prompt[part]] for part in ("before", "separator", "after")}
    return {
        "prompt": {**prompt, "shown": shown},
        "max_tokens": facts["depth"],
        "end": facts["end"],
        "grammar": {"file": GRAMMAR, "reads": f"xgrammar>={grammar.READS}"},
        "servers": SERVERS,
        "servers_tested": False,
    }


def page(found: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """The ``README.md``."""
    shown = {part: " ".join(f"`{token}`" for token in tokens) for part, tokens in found["prompt"]["shown"].items()}
    run, history = facts["run"], found["prompt"]
    return Template(PAGE.read_text(encoding="utf-8")).substitute(
        scheme=run["scheme"],
        dataset=run["dataset"],
        before=shown["before"] or "nothing",
        separator=shown["separator"] or "nothing",
        after=shown["after"],
        items=history["items"],
        tokens=history["tokens"],
        xgrammar=grammar.READS,
        normalized_over=facts["scores"]["normalized_over"],
        precision="products in bf16" if run["contract"].get("decoding_precision") == "bf16" else "`float32`",
        vllm=SERVERS["vllm"]["start"],
        sglang=SERVERS["sglang"]["start"],
    )
