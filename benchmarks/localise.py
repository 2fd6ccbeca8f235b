"""Planted faults: how often `rmcp explain` finds the rule, with and without probes.

    python benchmarks/localise.py [--plants 300] [--seed 1] [--only plain|probe|searches]

A simulated matrix of 6 axes and 2,000 cells (runtime 5, env 4, memory format 2, dtype 2, shape size 5,
channels 5). Two signatures at once, each planted by a random conjunction of one to four predicates; where
both hold, the first one shows. One cell in ten is flaky: its attempts fail with chance 1/2 inside its rule
and 1/5 outside, for either signature. Every cell that is tried has three attempts.

- plain: all 2,000 cells were run. Right: the rule that is reported has the planted rule's extension on the
  cells that say anything about it, so the planted rule is in the reported set; "named" counts those that
  list it.
- probe: a random tenth of the cells was run, and at most 40 further cells may be (for one signature). Right:
  the rule that is reported holds in exactly the planted cells of all 2,000 (cells masked by the other
  signature aside).
- searches: boundary, env bisect and shrink on planted truths, steady and with a fifth of the failing attempts
  passing; attempts against the fewest yes-or-no answers that could tell the truth from all others.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import statistics
import time
from collections.abc import Sequence

from rmcp.diagnose.bisect_env import EnvAnswer, bisect_env
from rmcp.diagnose.boundary import Boundary, Kind, decisive, find_boundary
from rmcp.diagnose.features import Value, features_of
from rmcp.diagnose.localise import Finding, clear_tallies, firm_cells, localise, rule_text
from rmcp.diagnose.probe import Budget, explore
from rmcp.diagnose.probing import Oracle, Probe, ProbeResult, Question
from rmcp.diagnose.searching import begin, same_as, steady
from rmcp.diagnose.shrink import shrink
from rmcp.diagnose.space import Evidence, Space, Tally, mask_of
from rmcp.diagnose.variants import variant
from rmcp.matrix.model import Case
from rmcp.words import Outcome

RUNTIMES = ("5.2", "5.7", "6.0", "6.2", "6.4")
ENVS = ("stock", "no-sdma", "no-direct", "no-winograd")
SIZES = (7, 16, 28, 43, 56)
CHANNELS = (3, 16, 20, 32, 64)
ATTEMPTS = 3
FLAKY_SHARE = 0.1


def matrix() -> list[dict[str, Value]]:
    """Features of the 2,000 cells."""
    cells = []
    for rocm, env, layout, dtype, size, channels in itertools.product(
        RUNTIMES, ENVS, ("contiguous", "channels_last"), ("float32", "float16"), SIZES, CHANNELS
    ):
        axes = {
            "rocm": rocm, "env": env, "memory_format": layout, "dtype": dtype,
            "h": str(size), "c": str(channels),
        }  # fmt: skip
        args = {
            "n": 1,
            "c": channels,
            "h": size,
            "w": size,
            "k": 16,
            "kernel": 3,
            "padding": 1,
            "dtype": dtype,
        }
        cells.append(features_of(axes, args))
    return cells


class World:
    """One draw: two planted rules, flaky cells, and a die for the attempts."""

    def __init__(self, space: Space, rng: random.Random, least: int) -> None:
        self.space, self.rng = space, rng
        self.rules = [self._plant(least), self._plant(least)]
        while self.rules[1][1] & ~self.rules[0][1] == 0 or self._visible(1).bit_count() < least:
            self.rules = [self._plant(least), self._plant(least)]
        self.flaky = {i for i in range(len(space.cells)) if rng.random() < FLAKY_SHARE}

    def _plant(self, least: int) -> tuple[tuple[int, ...], int]:
        while True:
            terms = tuple(self.rng.sample(range(len(self.space.masks)), self.rng.randint(1, 4)))
            mask = self.space.extension(terms)
            minimal = all(self.space.extension(t for t in terms if t != term) != mask for term in terms)
            if mask.bit_count() >= least and minimal and mask.bit_count() < len(self.space.cells) // 2:
                return terms, mask

    def _visible(self, which: int) -> int:
        return self.rules[which][1] & ~(self.rules[0][1] if which else 0)

    def attempt(self, cell: int) -> int | None:
        """Which signature one attempt of a cell ends with; None when it passes."""
        for which, (_, mask) in enumerate(self.rules):
            inside = bool(mask >> cell & 1)
            chance = (0.5 if inside else 0.2) if cell in self.flaky else float(inside)
            if self.rng.random() < chance:
                return which
        return None

    def tallies(self, cells: Sequence[int]) -> tuple[list[dict[int, Tally]], list[set[int]]]:
        """Per signature: tallies of these cells, and the cells that ended with the other signature."""
        found: list[dict[int, Tally]] = [{}, {}]
        others: list[set[int]] = [set(), set()]
        for cell in cells:
            ends = [self.attempt(cell) for _ in range(ATTEMPTS)]
            for which in (0, 1):
                if (1 - which) in ends:
                    others[which].add(cell)
                found[which][cell] = Tally(ends.count(which), ends.count(None))
        return found, others


def missed(space: Space, terms: Sequence[int], finding: Finding | None) -> None:
    """Print a plant that was not found."""
    print(f"  planted {' and '.join(space.atoms[term].text() for term in terms)}")
    print(f"  found   {rule_text(space, finding.hypothesis) if finding else 'nothing'}")


def plain(space: Space, plants: int, seed: int) -> None:
    """The figure without probes."""
    rng = random.Random(seed)
    right = named = total = 0
    seconds = []
    for _ in range(plants):
        world = World(space, rng, least=4)
        tallies, others = world.tallies(range(len(space.cells)))
        for which in (0, 1):
            start = time.perf_counter()
            answer = localise(space, tallies[which], others[which])
            seconds.append(time.perf_counter() - start)
            total += 1
            planted = world.rules[which][1]
            evidence = Evidence(clear_tallies(tallies[which], others[which]))
            known = firm_cells(evidence, mask_of(others[which]))
            first: Finding | None = answer.findings[0] if answer.findings else None
            if first and (first.hypothesis.mask ^ planted) & known == 0:
                right += 1
                named += any(h.mask == planted for h in (first.hypothesis, *first.rivals))
            elif args.verbose:
                missed(space, world.rules[which][0], first)
    print(
        f"without probes: {right} of {total} rules found ({100 * right / total:.1f} %), planted rule itself "
        f"listed in {named}; median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s"
    )


def probed(space: Space, plants: int, seed: int) -> None:
    """The figure with at most 40 probes for each signature, from a tenth of the cells."""
    rng = random.Random(seed + 1)
    right = settled = total = 0
    used: list[int] = []
    seconds = []
    for _ in range(plants):
        world = World(space, rng, least=4)
        while True:  # a fault that was never seen cannot be explained: the sample must have met both
            sample = rng.sample(range(len(space.cells)), len(space.cells) // 10)
            tallies, others = world.tallies(sample)
            if all(any(t.failed == ATTEMPTS for t in found.values()) for found in tallies):
                break
            world = World(space, rng, least=4)
        for which in (0, 1):
            start = time.perf_counter()

            def run(cell: int, which: int = which, world: World = world) -> tuple[Tally, bool]:
                ends = [world.attempt(cell) for _ in range(ATTEMPTS)]
                return Tally(ends.count(which), ends.count(None)), (1 - which) in ends

            answer = explore(space, tallies[which], others[which], run, Budget(probes=40))
            seconds.append(time.perf_counter() - start)
            total += 1
            used.append(len(answer.probes))
            settled += answer.settled
            planted = world.rules[which][1]
            masked = world.rules[1 - which][1] & (-1 if which else ~planted)
            found = answer.finding.hypothesis.mask if answer.finding else 0
            ok = (found ^ planted) & ~masked == 0
            right += ok
            if not ok and args.verbose:
                missed(space, world.rules[which][0], answer.finding)
    print(
        f"with probes: {right} of {total} rules exact ({100 * right / total:.1f} %), at most 40 probes each: "
        f"median {statistics.median(used):.0f}, worst {max(used)}, settled {settled}; "
        f"median {statistics.median(seconds):.2f} s"
    )


def searches(seed: int, rounds: int = 30) -> None:
    """Boundary, env bisect and shrink: planted truths, attempts against the fewest answers that could tell them."""
    base = {"n": 2, "c": 24, "h": 56, "w": 56, "k": 32, "kernel": 3, "padding": 1}
    names = [f"V{i}" for i in range(24)]
    for flip in (0.0, 0.2):
        rng = random.Random(seed)
        right: dict[str, int] = {"boundary": 0, "env bisect": 0, "shrink": 0}
        spent: dict[str, list[int]] = {name: [] for name in right}
        floors: dict[str, list[float]] = {name: [] for name in right}
        for _ in range(rounds):
            edge, guilty = rng.randint(5, 56), set(rng.sample(names, rng.randint(1, 3)))
            case = Case("case", "k", "r", "conv2d", {}, base, dict.fromkeys(names, "1"))
            probe = planted_probe(rng, flip, edge, guilty)
            for name in right:
                oracle = Oracle(probe, 100_000)
                same = same_as(begin(oracle, case).signature)
                ok, floor = SEARCHES[name](oracle, case, same, edge, guilty)
                right[name] += ok
                spent[name].append(oracle.spent)
                floors[name].append(floor)
        for name in right:
            print(
                f"{name}, {flip:.0%} of failing attempts pass: {right[name]} of {rounds} right, "
                f"mean {statistics.fmean(spent[name]):.0f} attempts, floor {statistics.fmean(floors[name]):.1f} answers"
            )


def planted_probe(rng: random.Random, flip: float, edge: int, guilty: set[str]) -> Probe:
    """Fails for h >= edge with all guilty variables set; a share ``flip`` of failing attempts passes."""

    def probe(cases: Sequence[Case]) -> list[ProbeResult]:
        fails = [c.args["h"] >= edge and all(c.env.get(name) == "1" for name in guilty) for c in cases]
        return [FAILED if f and rng.random() >= flip else PASSED for f in fails]

    return probe


def a_boundary(oracle: Oracle, case: Case, same: Question, edge: int, guilty: set[str]) -> tuple[bool, float]:
    """The edge along h."""

    def at(t: int) -> Case:
        return variant(case, args={"h": t})

    def search() -> Boundary:
        return find_boundary(lambda t: oracle.ask(at(t), same), 56, 1, 224)

    found = steady(oracle, same, search, lambda seen: map(at, decisive(seen)))
    return found.low == edge and found.kind is Kind.EDGE, found.floor


def a_bisect(oracle: Oracle, case: Case, same: Question, edge: int, guilty: set[str]) -> tuple[bool, float]:
    """The variables that cause it."""

    def search() -> EnvAnswer:
        return bisect_env(case.env, lambda env: oracle.ask(variant(case, env=env), same), lambda env: False, (), ())

    def hangs_on(seen: EnvAnswer) -> list[Case]:
        return [variant(case, env=seen.cause.patch)] if seen.cause else []

    found = steady(oracle, same, search, hangs_on)
    return found.cause is not None and set(found.cause.patch) == guilty, found.cause.floor if found.cause else 0.0


def a_shrink(oracle: Oracle, case: Case, same: Question, edge: int, guilty: set[str]) -> tuple[bool, float]:
    """The smallest h, everything else at its least, only the guilty variables."""
    found = steady(oracle, same, lambda: shrink(case, lambda c: oracle.ask(c, same)), lambda seen: [seen.case])
    args = found.case.args
    ok = args["h"] == edge and args["c"] == args["w"] == args["k"] == 1 and set(found.case.env) == guilty
    sets = math.log2(math.comb(len(case.env), len(guilty)))
    return ok, sets + math.log2(56)


SEARCHES = {"boundary": a_boundary, "env bisect": a_bisect, "shrink": a_shrink}
FAILED = ProbeResult(Outcome.CRASH, "crash|segfault|SIGSEGV")
PASSED = ProbeResult(Outcome.PASS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plants", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=("plain", "probe", "searches"))
    parser.add_argument("-v", "--verbose", action="count", default=0)
    args = parser.parse_args()
    started = time.perf_counter()
    the_space = Space(matrix(), ("rocm", "env", "memory_format", "dtype", "h", "c"))
    print(
        f"{len(the_space.cells)} cells, {len(the_space.masks)} distinct predicates, "
        f"{args.plants} plants of two rules, "
        f"built in {time.perf_counter() - started:.2f} s"
    )
    if args.only in (None, "plain"):
        plain(the_space, args.plants, args.seed)
    if args.only in (None, "probe"):
        probed(the_space, args.plants, args.seed)
    if args.only in (None, "searches"):
        searches(args.seed)
