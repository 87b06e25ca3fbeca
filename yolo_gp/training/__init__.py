"""How a network learns: recipes, learning rates, optimisers, averages, checkpoints."""
