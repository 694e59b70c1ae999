"""Batches of any size: answers for a file or an iterable of rows."""
