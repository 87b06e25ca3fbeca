"""The command line: flags in, one task, its result out. Only here does anything print or exit."""
