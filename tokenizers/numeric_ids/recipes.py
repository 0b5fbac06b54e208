"""How OpenP5 and "How to Index Item IDs" train: what ``--recipe published`` changes for numeric identifiers."""

from __future__ import annotations

from bench.recipes import Recipe

OPENP5 = "OpenP5 (Xu et al., SIGIR 2024, 2306.11134) and its public scripts"
INDEX = "How to Index Item IDs (Hua et al., SIGIR-AP 2023, 2305.06569) and its public scripts"
COMMON = {  # AdamW, linear decay
    "backbone": "google-t5/t5-small",
    "whole_words": "true",
    "examples": "all",
    "max_history": "20",
    "max_steps": "0",
    "validate_every": "1",
    "validation_users": "2000",
    "patience": "1000",
    "learning_rate": "0.001",
    "schedule": "linear",
    "warmup": "0.05",
    "weight_decay": "0.01",
    "clip_norm": "1.0",
    "dropout": "0.1",
    "objective": "vocabulary",
    "normalize": "vocabulary",
}
OPEN = {**COMMON, "epochs": "10", "batch_size": "64", "beam_width": "20"}
DIFFERS = (
    "sequential recommendation alone: no other task of P5 or OpenP5 (straightforward, rating, review) is trained",
    "the ten templates are wordings of this project",
    "the best epoch on validation is tested, where the scripts test the last one",
    "beam 20 where OpenP5 has 10, so that Hit@20 can be reported",
)
NUMBERS = Recipe(OPENP5, {**OPEN, "template": "unseen", "reinitialize": "numbers"}, differs=DIFFERS)
# Their LLaMA: an adapter over a frozen base, which its authors keep as pickled weights; its folder is converted once.
DECODER_ONLY = Recipe(
    OPENP5,
    {
        **{name: text for name, text in OPEN.items() if name != "whole_words"},
        "backbone": "openlm-research/open_llama_3b_v2",
        "adapter": "lora",
        "template": "unseen",
        "epochs": "2",
        "dropout": "0.0",
    },
    differs=(
        *DIFFERS,
        "rank, scale and targets of the adapter are this project's defaults",
        "all training examples, where the script trains on a fifth of them",
        "no whole-word embeddings",
    ),
)
# New tokens have a vocabulary of their own here, without words: no template stands around a history of them.
COLLABORATIVE = Recipe(OPENP5, OPEN, {"clusters": "20", "leaf": "500"}, (*DIFFERS, "no words around the new tokens"))
CATEGORY = Recipe(
    INDEX, {**OPEN, "epochs": "20", "batch_size": "128"}, {}, (*DIFFERS, "no words around the new tokens")
)
