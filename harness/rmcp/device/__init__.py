"""The device: facts, lock, canary, kernel log windows, and the state machine that gates the next case."""
