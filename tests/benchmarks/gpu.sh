#!/usr/bin/env bash
# What a GPU shows, in one command and under ten minutes. Needs bench installed with a CUDA build of PyTorch,
# and for k-means faiss-gpu in the place of faiss-cpu (docs/pages/getting-started.md).
set -euo pipefail
cd "$(dirname "$0")"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
timeout 580 "${PYTHON:-python}" gpu.py "$@"
