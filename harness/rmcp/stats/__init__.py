"""Exact statistics without dependencies, pure: tests of counts, rates of attempts, medians of times."""
