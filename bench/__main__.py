"""``python -m bench``, the way in for ``torchrun -m bench``."""

from bench.cli import main

main()
