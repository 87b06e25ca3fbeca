"""Images and data sets on their way into a network."""
