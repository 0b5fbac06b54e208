"""How IDGenRec trains (Tan et al., SIGIR 2024, 2403.19021): what ``--recipe published`` changes."""

from __future__ import annotations

from bench.recipes import Recipe

# Three rounds: an epoch of the generator at 1e-8, ten of the recommender at 1e-3, each example in three templates.
PUBLISHED = Recipe(
    "IDGenRec (Tan et al., SIGIR 2024, 2403.19021) and its public scripts",
    contract={
        "backbone": "google-t5/t5-small",
        "template": "sampled",
        "examples": "all",
        "max_history": "20",
        "epochs": "90",
        "max_steps": "0",
        "validate_every": "3",
        "validation_users": "2000",
        "patience": "1000",
        "batch_size": "256",
        "learning_rate": "0.001",
        "schedule": "linear",
        "warmup": "0.05",
        "weight_decay": "0.01",
        "clip_norm": "1.0",
        "dropout": "0.1",
        "objective": "vocabulary",
        "normalize": "vocabulary",
        "beam_width": "20",
        "length_penalty": "1.0",
    },
    settings={
        "generator": "nandakishormpai/t5-small-machine-articles-tag-generation",
        "first": "generator",
        "rounds": "3",
        "generator_share": "0.0303",
        "generator_rate": "0.00001",
        "users": "on",
    },
    differs=(
        "generator and recommender share one batch size; the published ones are 48 and 256",
        "users are named from their training items alone",
        "the ten templates are wordings of this project",
        "the best epoch of the last stage on validation is tested, where the scripts test the last one",
        "beam 20 where the scripts have 10, so that Hit@20 can be reported",
    ),
)
