"""Expectations: match a rule, give the verdict, write machine-made updates. Pure."""
