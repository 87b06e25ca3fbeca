"""Rewriting networks in the text of their cfg: residual stages, depth, width."""
