"""Runs: the contract, one cell, many cells, and where their results are kept."""
