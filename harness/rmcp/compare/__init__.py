"""Comparisons: Runs -> change classes per row. Pure."""
