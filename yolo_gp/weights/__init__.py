"""Weights on disk: what a file holds in which order, and reading and writing it."""
