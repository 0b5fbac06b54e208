"""Runs: the contract, one run, many runs, and where their results are kept."""
