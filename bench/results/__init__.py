"""Stored runs: written, verified, found and read back."""
