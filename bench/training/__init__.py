"""The training loop every scheme shares, what it trains on, and the checkpoints it resumes from."""
