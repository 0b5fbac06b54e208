"""A finished run behind HTTP: what is asked at one moment is ranked together. Needs the extra ``serve``."""
