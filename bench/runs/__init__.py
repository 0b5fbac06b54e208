"""Runs: planned, run one by one, resumed."""
