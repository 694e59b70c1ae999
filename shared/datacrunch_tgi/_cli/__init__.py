"""The command line, with click and rich. Imported by `__main__` alone."""
