"""Scores credited to items: ranks, metrics and statistics."""
