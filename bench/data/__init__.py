"""Data sets, splits, and the training view: the only door through which a scheme sees data."""
