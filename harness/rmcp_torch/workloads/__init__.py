"""Workloads: what a case computes on the device, each with a reference and a bound."""
