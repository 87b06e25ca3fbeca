"""Pure functions from a graph to a report, in exact integers."""
