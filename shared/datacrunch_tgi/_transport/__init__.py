"""Connections and everything else that does I/O."""
