"""Isolation, the runner's half: Case -> Attempt through zygotes that fork one guarded child per case."""
