"""`rmcp boundary CASE --along h,w`: the exact edge of a failure along whole numbers."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from rmcp.errors import UserError

if TYPE_CHECKING:
    from rmcp.diagnose.boundary import Boundary
    from rmcp.matrix.model import Case

_REACH = 4  # times the case's own value that is looked at when --high does not say


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `rmcp boundary`."""
    from rmcp.commands._cases import configure_case

    configure_case(parser)
    add = parser.add_argument
    add("--along", required=True, metavar="WHAT", help="h,w or c or h=t,w=2*t: what the number t sets")
    add("--start", type=int, metavar="T", help="the t of the failing case (default: read from its arguments)")
    add("--low", type=int, default=1, metavar="T", help="smallest t (default: %(default)s)")
    add("--high", type=int, metavar="T", help=f"largest t (default: {_REACH} times the start)")
    add("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Find, describe and draw the failing set along t."""
    from rmcp.commands._cases import find_case, open_oracle
    from rmcp.diagnose.along import parse_along
    from rmcp.diagnose.boundary import decisive, draw, find_boundary
    from rmcp.diagnose.searching import begin, same_as, steady
    from rmcp.diagnose.variants import variant

    found = find_case(args.case, args.matrix, args.reports)
    along = parse_along(args.along, found.case.args)
    start = args.start if args.start is not None else along.start(found.case.args)
    high = args.high if args.high is not None else max(start * _REACH, start + 32)
    if not args.low <= start <= high:
        raise UserError(f"the start t={start} is not within --low {args.low} and --high {high}")
    with open_oracle(found, args) as oracle:
        first = variant(found.case, args=along.args(start))
        began = begin(oracle, first, args.signature)
        same = same_as(began.signature)

        def at(t: int) -> Case:
            return variant(found.case, args=along.args(t))

        def search() -> Boundary:
            return find_boundary(lambda t: oracle.ask(at(t), same), start, args.low, high)

        edge = steady(oracle, same, search, lambda seen: map(at, decisive(seen)))
        spent = oracle.spent
    name = args.along if all(e == "t" for _, e in along.parts) else "t"
    if args.json:
        print(
            json.dumps(
                {
                    "case": found.case.id, "signature": began.signature, "along": args.along,
                    "kind": edge.kind.value, "low": edge.low, "high": edge.high, "modulus": edge.modulus,
                    "residues": list(edge.residues), "limits": list(edge.limits), "text": edge.text(name),
                    "asked": {str(t): failed for t, failed in sorted(edge.asked.items())},
                    "attempts": spent, "floor": round(edge.floor, 1), "complete": edge.complete,
                },
                indent=1,
            )
        )  # fmt: skip
        return 0 if edge.complete else 2
    print(began.text)
    print(edge.text(name))
    print()
    print(draw(edge, name))
    print()
    print(
        f"{spent} attempts on {len(edge.asked)} values; telling the edge alone needs at least {edge.floor:.0f} answers"
    )
    if not edge.complete:
        print("the budget ended the search: what is said above may be incomplete (--budget, --resume)")
    return 0 if edge.complete else 2
