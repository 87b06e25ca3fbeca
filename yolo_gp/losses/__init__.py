"""What heads train with: losses on plain tensors, one file per family."""
