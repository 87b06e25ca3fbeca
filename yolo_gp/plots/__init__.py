"""Pictures of numbers, as PNG files."""
