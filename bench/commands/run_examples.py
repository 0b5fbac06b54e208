"""Examples of `bench run`, for its help."""

from __future__ import annotations

EPILOG = (
    "Examples:\n\n"
    "`bench run --id-scheme textual --dataset toys --data-dir ~/data`\n\n"
    "`bench run --id-scheme textual,numeric/random --baseline pop,random --dataset ml-100k --seed 0,1,2`\n\n"
    "`bench run --id-scheme textual,textual/idgenrec-rec-only --dataset toys` sets it beside its control.\n\n"
    "`bench run --id-scheme textual --dataset toys --set backbone=google-t5/t5-small --set textual.words=6`\n\n"
    "`bench run --id-scheme textual --dataset ml-100k --split global-temporal`\n\n"
    "`bench run --id-scheme numeric/random --recipe published --dataset toys`\n\n"
    "`bench run --id-scheme textual/title --baseline pop --preset smoke --yes` gets MovieLens-100k first\n\n"
    "`bench run --id-scheme textual --dataset toys+beauty --zero-shot sports`\n\n"
    "`bench run --baseline unisrec,markov --dataset toys+beauty --zero-shot sports --adapt 0,10,100,1000`\n\n"
    "`bench run --id-scheme file:Beauty.index.json --dataset beauty --set file.items=Beauty.item2id`\n\n"
    "`bench run --id-scheme all --baseline all --dataset toys --seed 0-2 --jobs 4 --dry-run` says what it takes\n\n"
    "`bench run --id-scheme textual --seed 0-4 --write-config mine.toml`, then `bench run --config mine.toml`\n\n"
    "`bench run --id-scheme textual --dataset toys --track tensorboard --log-times`\n\n"
    "`torchrun --nproc-per-node 2 -m bench run --id-scheme textual --dataset toys`"
)
