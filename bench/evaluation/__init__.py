"""Scores credited to items: ranks, metrics, statistics and costs."""
