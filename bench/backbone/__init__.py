"""The language models that recommend: one protocol, and T5 behind it."""
