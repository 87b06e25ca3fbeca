"""Findings about cfg files beyond those that stop a compilation, and their repair. Torch-free."""
