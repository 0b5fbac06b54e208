"""How MTGRec trains (Zheng et al., SIGIR 2025, 2504.04400): what ``--recipe published`` changes."""

from __future__ import annotations

from bench.recipes import Recipe

SOURCE = "MTGRec (Zheng et al., SIGIR 2025, 2504.04400) and its public scripts"
RECOMMENDER = {
    "backbone": "tiger",
    "examples": "all",
    "max_history": "20",
    "epochs": "300",
    "max_steps": "0",
    "validate_every": "1",
    "validation_users": "0",
    "batch_size": "1024",
    "learning_rate": "0.005",
    "schedule": "cosine",
    "warmup": "0.05",
    "weight_decay": "0.05",
    "clip_norm": "1.0",
    "dropout": "0.1",
    "objective": "vocabulary",
    "normalize": "vocabulary",
    "beam_width": "50",
    "patience": "10",
}
RQVAE = {
    "encoder": "sentence-transformers/sentence-t5-base",
    "dimensions": "128",
    "whiten": "true",
    "hidden": "2048,1024,512,256",
    "latent": "128",
    "epochs": "10000",
    "batch": "2048",
    "optimizer": "adagrad",
    "schedule": "constant",
    "init": "pytorch",
    "commitment": "first",
}
COMMON = (
    "the T5 of TIGER, where theirs has six layers each way and is chosen by data set",
    "beam search is constrained to identifiers that exist",
)
# One tokenizer and no curriculum: what the paper calls TIGER++.
SINGLE = Recipe(SOURCE, RECOMMENDER, RQVAE, COMMON)
MTGREC = Recipe(
    SOURCE,
    RECOMMENDER,
    {
        **RQVAE,
        "variants": "25",
        "pretraining": "0.6667",
        "checkpoints": "0.45,0.5,0.55,0.6",
        "candidates": "6",
        "rate": "0.04",
        "temperature": "3.0",
        "sample": "1.0",
        "formula": "repo",
    },
    (*COMMON, "all fine-tunings share a third of the training budget"),
)
# Codes as new words of a language model, all of whose weights are trained (as LC-Rec does, and after it MiniOneRec).
MINIONEREC = Recipe(
    "the supervised stage of MiniOneRec (2025), by its public scripts",
    {
        "backbone": "Qwen/Qwen2.5-0.5B-Instruct",
        "vocabulary": "extended",
        "examples": "all",
        "max_history": "20",
        "max_tokens": "512",
        "epochs": "10",
        "max_steps": "0",
        "validate_every": "1",
        "validation_users": "0",
        "patience": "3",
        "batch_size": "1024",
        "learning_rate": "0.0003",
        "schedule": "linear",
        "warmup": "0.02",
        "weight_decay": "0.0",
        "clip_norm": "1.0",
        "dropout": "0.0",
        "objective": "vocabulary",
        "normalize": "vocabulary",
        "beam_width": "50",
    },
    {"encoder": "backbone", "dimensions": "0", "whiten": "false", "levels": "3", "codes": "256"},
    (
        "next items alone: neither the tasks that align codes with texts nor the reinforcement learning after them",
        "texts are read by the recommender's own backbone, where theirs has an encoder for them",
        "the tokenizer is trained by this project's defaults, 60 epochs in batches of 1,024; theirs for 10,000 in "
        "batches of 20,480",
        "trained in float32, where theirs is in bfloat16",
        "checkpoints are selected by NDCG@10 and not by the loss on validation; patience counts validations after each "
        "epoch, where theirs counts one after every twentieth of the training",
        "warm-up is a fiftieth of the steps, where theirs is 20 steps; the newest 20 items are read, as in LC-Rec",
    ),
)
