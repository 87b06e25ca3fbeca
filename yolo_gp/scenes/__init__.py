"""Pictures of shapes made from numbers: a data set that needs nothing. Loads no torch."""
