"""Item identifiers: the interface every scheme implements, and what the harness knows of their vocabularies."""
