"""How SETRec trains (Lin et al., SIGIR 2025, 2502.10833): what its recipes change."""

from __future__ import annotations

from bench.recipes import Recipe

# The setting of its T5 back end on Toys, the only one that its code gives.
PUBLISHED = Recipe(
    "SETRec (Lin et al., SIGIR 2025, 2502.10833) and its public code",
    contract={
        "split": "global-temporal",
        "max_history": "50",
        "backbone": "google-t5/t5-small",
        "template": "scheme",
        "examples": "all",
        "epochs": "30",
        "max_steps": "0",
        "validate_every": "1",
        "validation_users": "2000",
        "batch_size": "512",
        "learning_rate": "0.001",
        "schedule": "cosine",
        "warmup": "0.02",
        "weight_decay": "0.0",
        "clip_norm": "1.0",
        "dropout": "0.1",
        "patience": "10",
    },
    settings={
        "encoder": "sentence-transformers/sentence-t5-base",
        "dimensions": "0",
        "whiten": "false",
        "attention": "repo",
        "scale": "raw",
        "init": "pytorch",
        "reconstruct_over": "batch",
        "slots": "4",
        "alpha": "0.7",
    },
    differs=(
        "the weight of the text slots is chosen on validation, where the code chooses it on the test set",
        "checkpoints are selected by NDCG@10 and not by the loss on validation",
        "the first item of a user is no training example",
        "the SASRec behind the collaborative slot is trained here: theirs is not public",
        "trained in float32, where theirs is in half precision",
    ),
)
# The other back end of the paper: Qwen2.5 under an adapter, which also reads the texts of items.
DECODER_ONLY = Recipe(
    "SETRec (Lin et al., SIGIR 2025, 2502.10833) and its public code, on Qwen2.5",
    contract={
        **PUBLISHED.contract,
        "backbone": "Qwen/Qwen2.5-1.5B",
        "adapter": "lora",
        "lora_rank": "8",
        "lora_alpha": "16",
        "lora_dropout": "0.02",
        "lora_targets": "q_proj,v_proj,o_proj",
        "base_precision": "int8",
        "epochs": "20",
        "learning_rate": "0.0003",
        "dropout": "0.0",
        "patience": "5",
    },
    settings={**PUBLISHED.settings, "encoder": "backbone", "pool": "fields", "slots": "6", "alpha": "0.5"},
    differs=(
        *PUBLISHED.differs[:-1],
        "trained in float32 over the base in eight bits, where theirs is in bfloat16",
        "the weight of the text slots, 0.1 in their code, is chosen on validation",
        "schedule and warm-up are those of their T5",
    ),
)
