"""The recommender: one T5, the heads that write identifiers with it, and their constrained decoders."""
