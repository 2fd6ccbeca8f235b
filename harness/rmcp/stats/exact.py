"""Exact tests without dependencies: Fisher's one-sided test, the binomial tail, Holm's correction, SPRT.

All probabilities of the Fisher test are natural logarithms: a rule that 61 cells support has a p-value far
below what a float can hold after the correction for the number of hypotheses.
Sources: Fisher (1935), Holm (1979), Wald (1945).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


def log_choose(n: int, k: int) -> float:
    """Natural logarithm of the binomial coefficient; minus infinity outside of 0 <= k <= n."""
    if k < 0 or k > n:
        return -math.inf
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def log_sum(logs: Sequence[float]) -> float:
    """log(sum(exp(x))) without overflow; minus infinity for an empty sequence."""
    top = max(logs, default=-math.inf)
    if top == -math.inf:
        return top
    return top + math.log(math.fsum(math.exp(value - top) for value in logs))


def log_fisher_greater(a: int, b: int, c: int, d: int) -> float:
    """Log of P(at least ``a`` failures inside) for the table [[a, b], [c, d]] with its margins fixed.

    Rows: inside and outside of the rule; columns: failing and passing. One-sided: more failures inside.
    """
    if min(a, b, c, d) < 0:
        raise ValueError(f"counts of a table cannot be negative: {a}, {b}, {c}, {d}")
    inside, failing, total = a + b, a + c, a + b + c + d
    whole = log_choose(total, inside)
    terms = [
        log_choose(failing, x) + log_choose(total - failing, inside - x) - whole
        for x in range(a, min(inside, failing) + 1)
    ]
    return min(0.0, log_sum(terms))


def fisher_greater(a: int, b: int, c: int, d: int) -> float:
    """The same as a probability; 0.0 where it is below what a float can hold."""
    return math.exp(log_fisher_greater(a, b, c, d))


def fisher_two_sided(a: int, b: int, c: int, d: int) -> float:
    """Probability of a table at most as likely as this one (the usual two-sided definition)."""
    inside, failing, total = a + b, a + c, a + b + c + d
    whole = log_choose(total, inside)

    def log_p(x: int) -> float:
        return log_choose(failing, x) + log_choose(total - failing, inside - x) - whole

    seen = log_p(a)
    low, high = max(0, inside - (total - failing)), min(inside, failing)
    # 1e-7: tables that are equally likely must count as such in spite of rounding.
    return min(1.0, math.exp(log_sum([p for x in range(low, high + 1) if (p := log_p(x)) <= seen + 1e-7])))


def binomial_tail(k: int, n: int, p: float) -> float:
    """P(at least ``k`` of ``n``) when each happens with probability ``p``."""
    if k <= 0:
        return 1.0
    return min(1.0, math.fsum(math.comb(n, x) * p**x * (1 - p) ** (n - x) for x in range(k, n + 1)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given: they hold the family-wise error rate."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = running
    return adjusted


@dataclass(frozen=True)
class Sprt:
    """Wald's sequential test of "this point fails" against "it passes" when attempts lie with chance
    ``flip``.

    ``risk`` is the accepted chance of a wrong decision. Attempts go on until `decide` says True or False.
    """

    flip: float = 0.02
    risk: float = 0.02

    def decide(self, failed: int, passed: int) -> bool | None:
        """True: fails, False: passes, None: another attempt is needed."""
        step = math.log((1 - self.flip) / self.flip)
        bound = math.log((1 - self.risk) / self.risk)
        evidence = (failed - passed) * step
        # A hair of slack: with flip == risk one attempt is exactly enough, whatever the rounding.
        if evidence >= bound - 1e-9:
            return True
        return False if evidence <= -bound + 1e-9 else None
