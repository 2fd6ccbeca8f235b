"""`rmcp explain RUN`: which factors cause each failure; with --probe, runs the cells that tell the rules
apart."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rmcp.errors import UserError

if TYPE_CHECKING:
    from rmcp.diagnose.exploring import Exploration
    from rmcp.diagnose.study import Study
    from rmcp.matrix.model import Case

_MOST_SIGNATURES = 40  # explained at once, the most frequent first; each takes up to a second


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `rmcp explain`."""
    add = parser.add_argument
    add("run", metavar="RUN", help="run directory, run id, a prefix of one, or latest")
    add("--signature", metavar="TEXT", help="only signatures that contain this text")
    add(
        "--probe",
        type=int,
        default=0,
        metavar="N",
        help="run at most N untried cells that separate the rules",
    )
    add(
        "--repeat",
        type=int,
        default=1,
        metavar="N",
        help="attempts of each probed cell (default: %(default)s)",
    )
    add("--seconds", type=float, metavar="S", help="stop probing after about this many seconds of case time")
    add("--hazard", type=float, metavar="X", help="stop probing after this many expected device incidents")
    add("--no-product", action="store_true", help="look only at the run's own cells, not at the full product")
    add("--no-proof", action="store_true", help="leave the tables of proof cases out")
    add("--json", action="store_true", help="print JSON (the same is written to explain.json in the run)")
    add("--reports", type=Path, default=Path("reports"), metavar="DIR", help="where run ids are looked up")


def run(args: argparse.Namespace) -> int:
    """Explain every signature of a run; write explain.json beside its journal for the HTML report."""
    from rmcp.diagnose.explain import explanations, to_json, to_text
    from rmcp.diagnose.exploring import explored_text, explored_to_json
    from rmcp.diagnose.product import product_of
    from rmcp.diagnose.study import coverage_of, study
    from rmcp.report.files import write_atomically
    from rmcp.runs import load_run

    if args.probe < 0 or args.repeat < 1:
        raise UserError("--probe takes 0 or more and --repeat 1 or more")
    loaded = load_run(args.run, args.reports)
    product, remark = ([], "") if args.no_product else product_of(loaded)
    found = study(loaded, product)
    wanted = [name for name in found.signatures() if not args.signature or args.signature in name]
    if args.signature and not wanted:
        known = "".join(f"\n  {name}" for name in found.signatures()) or " none"
        raise UserError(f"no signature of run {loaded.id} contains {args.signature!r}; it has:{known}")
    left_out = wanted[_MOST_SIGNATURES:]
    wanted = wanted[:_MOST_SIGNATURES]
    rules = {signature: found.localise(signature) for signature in wanted}
    told = explanations(found, rules)
    data = to_json(told, coverage_of(found, rules))
    text = to_text(told, coverage_of(found, rules), proofs=not args.no_proof)
    if left_out:
        text += f"{len(left_out)} rarer signatures were not explained: name one with --signature\n"
        data["not_explained"] = left_out
    if remark:
        text += remark + "\n"
    if args.probe and wanted:
        explored = _explore(found, wanted, product, args)
        data["probes"] = [explored_to_json(one) for one in explored]
        text += "\n" + "\n".join(explored_text(one) for one in explored)
    try:
        write_atomically(loaded.path / "explain.json", [json.dumps(data, indent=1).encode() + b"\n"])
        if told:
            text += f"(`rmcp report {args.run}` puts this into the HTML report)\n"
    except OSError as error:
        text += f"explain.json was not written: {error}\n"
    print(json.dumps(data, indent=1) if args.json else text, end="" if not args.json else "\n")
    return 0


def _explore(
    found: Study, signatures: Sequence[str], product: Sequence[Case], args: argparse.Namespace
) -> list[Exploration]:
    """Probe each signature in turn; the budget is for all of them together."""
    from rmcp.commands._cases import open_runner, tell
    from rmcp.diagnose.exploring import explore_signature
    from rmcp.diagnose.probe import Budget
    from rmcp.diagnose.records import probe_of

    done: list[Exploration] = []
    left = args.probe
    with open_runner(found.run, args.reports) as runner:
        probe = probe_of(runner, tell)
        for position, signature in enumerate(signatures):
            share = max(1, left // (len(signatures) - position)) if left else 0
            budget = Budget(share, args.seconds or math.inf, args.hazard or math.inf)
            one = explore_signature(found, signature, probe, budget, product, args.repeat)
            left = max(0, left - len(one.explored.probes))
            done.append(one)
    return done
