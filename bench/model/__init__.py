"""The recommender: a backbone, the heads that write identifiers with it, and their constrained decoders."""
