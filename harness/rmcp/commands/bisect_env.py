"""`rmcp bisect-env CASE`: the smallest set of variables that causes a failure, and the smallest that cures
it."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rmcp.commands._cases import Found
    from rmcp.diagnose.bisect_env import Answer, Env, EnvAnswer, Switch
    from rmcp.matrix.model import Case


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `rmcp bisect-env`."""
    from rmcp.commands._cases import configure_case

    configure_case(parser)
    add = parser.add_argument
    add(
        "--try",
        dest="tries",
        action="append",
        default=[],
        metavar="A=1,B=0",
        help="a patch to try as a cure first",
    )
    add("--no-knowledge", action="store_true", help="only the matrix's own environments and --try")
    add("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print cause and cure with the number of attempts they took."""
    from rmcp.commands._cases import find_case, open_oracle
    from rmcp.diagnose.bisect_env import MIOPEN_SWITCHES, OTHER_SWITCHES, applied, bisect_env
    from rmcp.diagnose.searching import begin, passes, same_as, steady
    from rmcp.diagnose.variants import variant

    found = find_case(args.case, args.matrix, args.reports)
    values = [*_given(args.tries), *_matrix_values(found)]
    switches: tuple[Switch, ...] = () if args.no_knowledge else (*MIOPEN_SWITCHES, *OTHER_SWITCHES)
    with open_oracle(found, args) as oracle:
        began = begin(oracle, found.case, args.signature)
        same = same_as(began.signature)

        def under(env: Env) -> Case:
            return variant(found.case, env=env)

        def search() -> EnvAnswer:
            return bisect_env(
                found.case.env,
                lambda env: oracle.ask(under(env), same),
                lambda env: oracle.ask(under(env), passes),
                values,
                switches,
            )

        def decisive(seen: EnvAnswer) -> list[Case]:
            cause = [under(seen.cause.patch)] if seen.cause else []
            return cause + ([under(applied(found.case.env, seen.cure.patch.items()))] if seen.cure else [])

        answer = steady(oracle, same, search, decisive)
        spent = oracle.spent
    if args.json:
        data = {
            "case": found.case.id, "signature": began.signature, "cause": _plain(answer.cause),
            "cure": _plain(answer.cure), "notes": list(answer.notes), "attempts": spent,
            "tried": [{"name": t.name, "env": dict(t.patch), "cured": t.cured} for t in answer.tried],
            "complete": answer.complete,
        }  # fmt: skip
        print(json.dumps(data, indent=1))
        return 0 if answer.complete else 2
    print(began.text)
    for word, one in (("causes", answer.cause), ("cures", answer.cure)):
        if one is not None and one.patch:
            print(_told(word, one))
    for tried in answer.tried:
        state = "cured" if tried.cured else "no cure" if tried.cured is False else "gave no verdict"
        print(f"  tried {tried.name}: {state}")
    for note in answer.notes:
        print(f"  {note}")
    print(f"{spent} attempts in all")
    return 0 if answer.complete else 2


def _told(word: str, answer: Answer) -> str:
    from rmcp.diagnose.bisect_env import patch_text

    lines = [f"{word}: {patch_text(answer.patch)}   (from {answer.source})"]
    if answer.refined:
        lines.append(f"  these solvers are the part of {answer.refined} that matters")
    lines.append(
        f"  {answer.questions} sets tried by {answer.method}; telling that set from all of its size needs "
        f"{answer.floor:.1f} answers"
    )
    return "\n".join([*lines, *(f"  {note}" for note in answer.notes)])


def _plain(answer: Answer | None) -> dict[str, object] | None:
    if answer is None:
        return None
    return {
        "env": dict(answer.patch), "source": answer.source, "refined": answer.refined,
        "method": answer.method, "questions": answer.questions,
        "floor": round(answer.floor, 2), "notes": list(answer.notes),
    }  # fmt: skip


def _given(tries: list[str]) -> list[Switch]:
    from rmcp.diagnose.bisect_env import Switch
    from rmcp.errors import UserError

    switches = []
    for text in tries:
        patch: dict[str, str | None] = {}
        for part in text.split(","):
            name, sign, value = part.partition("=")
            if not name.strip():
                raise UserError(f"--try {text}: write NAME=VALUE,NAME=VALUE; NAME alone unsets it")
            patch[name.strip()] = value if sign else None
        switches.append(Switch(text, patch))
    return switches


def _matrix_values(found: Found) -> list[Switch]:
    """The other environments of the run or matrix: first those of cases that differ in nothing else.

    Cases that passed come first among a run's siblings: their environments are the likeliest cures.
    """
    from rmcp.diagnose.bisect_env import Switch, patch_text

    own = found.case
    others = [case for case in found.siblings if case.runtime == own.runtime and dict(case.env) != dict(own.env)]
    others.sort(key=lambda case: dict(case.args) != dict(own.args))
    seen: dict[str, Switch] = {}
    for case in others:
        differ = [value for axis, value in case.axes.items() if own.axes.get(axis) != value]
        name = "/".join(differ) if dict(case.args) == dict(own.args) and differ else patch_text(case.env)
        seen.setdefault(patch_text(case.env), Switch(name, dict(case.env)))
    return list(seen.values())
