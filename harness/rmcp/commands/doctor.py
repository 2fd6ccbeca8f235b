"""`rmcp doctor`: this machine's GPU, driver, PyTorch and environment on one page, with verdicts."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rmcp.device import page
from rmcp.device.environment import Finding, Level, check_environment, tested_variables
from rmcp.device.facts import HostFacts, facts_of
from rmcp.device.kernel_log import KernelLog, parse
from rmcp.device.parameters import PARAMETERS, Parameter
from rmcp.device.probes import TOOL_S, TORCH_S, Probed, interpreters, probe_all
from rmcp.device.snapshot import Snapshot, take_snapshot
from rmcp.device.verdicts import Mark, Verdict, examine
from rmcp.errors import UserError

_FACTS_S = 20.0  # 30 ms on a healthy machine; each file that hangs costs 3 s
_NARROW, _WIDE = 60, 110  # columns between which the page adapts


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `rmcp doctor`."""
    parser.epilog = (
        "Everything that may hang on a broken GPU is asked in a child with a deadline. Exit code 1 when "
        "something is suspicious, else 0. The file of --save holds the host's name, and of the kernel "
        "command line only the words that concern devices; look through it before you post it."
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--env",
        nargs="*",
        metavar="NAME=VALUE",
        help="check only environment variables: your shell's, or those given here",
    )
    what.add_argument(
        "--kernel-params",
        nargs="*",
        metavar="NAME=VALUE",
        help="what amdgpu's module parameters really do, and the commands that set them; runs nothing",
    )
    what.add_argument("--save", metavar="FILE", type=Path, help="save what was read for --root")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the page")
    parser.add_argument(
        "--root", metavar="PATH", type=Path, help="look at a saved file or a copied tree, not this machine"
    )
    parser.add_argument("--quick", action="store_true", help="do not start the vendors' tools and PyTorch")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="PATH",
        help="also ask this interpreter about its PyTorch",
    )
    parser.add_argument(
        "--deadline",
        type=float,
        default=TORCH_S,
        metavar="SECONDS",
        help="for each PyTorch (default: %(default)g)",
    )


def run(args: argparse.Namespace) -> int:
    """Print what was asked for."""
    if args.deadline <= 0:
        raise UserError(f"--deadline must be a positive number of seconds, not {args.deadline:g}")
    snap = take_snapshot(args.root or Path("/"), deadline_s=_FACTS_S)
    facts = facts_of(snap)
    if args.save is not None:
        return _save(snap, args.save)
    if args.env is not None:
        return _env(args, facts)
    if args.kernel_params is not None:
        chosen = [_parameter(word) for word in args.kernel_params]
        if args.json:
            wanted = [one for one, _ in chosen] or list(PARAMETERS.values())
            told = [{**dataclasses.asdict(one), "now": facts.parameter(one.name)} for one in wanted]
            print(json.dumps({"parameters": told}, indent=2))
        else:
            _print("\n".join(page.kernel_parameters(facts, _style(), chosen)))
        return 0
    return _everything(args, facts)


def _everything(args: argparse.Namespace, facts: HostFacts) -> int:
    here = args.root is None
    probed: Probed | None = None
    if here and not args.quick:
        pythons = interpreters(os.environ, args.python)
        if sys.stderr.isatty():  # a cold `import torch` takes a while, a GPU that hangs the whole deadline
            print(f"asking {len(pythons)} Pythons and the vendors' tools ...", file=sys.stderr, flush=True)
        probed = probe_all(pythons, tool_s=min(TOOL_S, args.deadline), torch_s=args.deadline)
    log = KernelLog.open() if here else None
    events = parse(log.since_boot()) if log is not None else []
    found = examine(facts, probed, events, (log.source, log.reason) if log is not None else None)
    if log is not None:
        log.close()
    env = tested_variables(os.environ) if here else {}
    remarks = _check(env, facts, probed)
    if remarks:
        found = _with_environment(found, remarks)
    if args.json:
        told: dict[str, Any] = {
            "facts": facts.as_dict(),
            "probed": dataclasses.asdict(probed) if probed is not None else None,
            "environment": {"variables": env, "findings": [dataclasses.asdict(one) for one in remarks]},
            "kernel_events": [dataclasses.asdict(one) for one in events],
            "verdicts": [dataclasses.asdict(one) for one in found],
        }
        print(json.dumps(told, indent=2, default=str))
    else:
        style = _style()
        lines = [*page.machine(facts, style), *page.gpus(facts, style)]
        if probed is not None:
            lines += page.answers(probed, style)
        if here:
            lines += page.environment(remarks, len(env), style, "your shell")
        _print("\n".join([*lines, *page.verdicts(found, style)]))
    return int(any(one.mark is Mark.SUSPICIOUS for one in found))


def _env(args: argparse.Namespace, facts: HostFacts) -> int:
    given = dict(_pair(word, "--env") for word in args.env)
    env: Mapping[str, str] = given or tested_variables(os.environ)
    remarks = _check(env, facts, None)
    if args.json:
        print(
            json.dumps(
                {"variables": dict(env), "findings": [dataclasses.asdict(one) for one in remarks]}, indent=2
            )
        )
    else:
        whose = "given on the command line" if given else "your shell"
        _print("\n".join(page.environment(remarks, len(env), _style(), whose)).lstrip("\n"))
    return int(any(one.level is not Level.INFO for one in remarks))


def _check(env: Mapping[str, str], facts: HostFacts, probed: Probed | None) -> list[Finding]:
    amd = [gpu for gpu in facts.gpus if gpu.gfx and not gpu.apu] or [gpu for gpu in facts.gpus if gpu.gfx]
    here = [one for one in probed.torches if one.hip] if probed is not None else []
    rocm = ".".join(re.findall(r"\d+", here[0].hip)[:2]) if here else None
    remarks = check_environment(env, rocm=rocm, gfx=amd[0].gfx if amd else None)
    order = (Level.ERROR, Level.WARNING, Level.INFO)
    return sorted(remarks, key=lambda one: order.index(one.level))


def _with_environment(found: list[Verdict], remarks: list[Finding]) -> list[Verdict]:
    bad = [one for one in remarks if one.level is not Level.INFO]
    if not bad:
        return found
    names = ", ".join(dict.fromkeys(one.variable for one in bad))
    text = f"{len(bad)} remark{'s' * (len(bad) != 1)} on {names}"
    return [Verdict(Mark.SUSPICIOUS, "environment", text, "see the section above"), *found]


def _save(snap: Snapshot, path: Path) -> int:
    try:
        path.write_text(json.dumps(snap.as_dict(), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}. Give --save a file in a folder of yours."
        ) from error
    print(f"saved {len(snap.files)} files of /proc and /sys to {path}")
    print(f"look at them with: rmcp doctor --root {path}")
    return 0


def _pair(word: str, option: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise UserError(
            f"{option} takes NAME=VALUE, not {word!r}. For example: {option} MIOPEN_FIND_MODE=FAST"
        )
    return name, value


def _parameter(word: str) -> tuple[Parameter, str]:
    name, equals, value = word.removeprefix("amdgpu.").partition("=")
    known = PARAMETERS.get(name)
    if known is None:
        close = difflib.get_close_matches(name, PARAMETERS, 1)
        hint = f"did you mean {close[0]}?" if close else "known: " + ", ".join(PARAMETERS)
        raise UserError(f"--kernel-params: amdgpu has no parameter {name!r} that rmcp knows; {hint}")
    if not equals or not re.fullmatch(r"-?\d+(,-?\d+)*", value):
        example = f"{name}={(known.tries or ('0',))[0]}"
        raise UserError(f"--kernel-params takes NAME=NUMBER, not {word!r}. For example: {example}")
    if known.meanings and value not in known.meanings and name != "vm_fragment_size":
        raise UserError(
            f"--kernel-params: {name}={value} is none of its values: "
            + "; ".join(f"{one} = {text}" for one, text in known.meanings.items())
        )
    return known, value


def _print(text: str) -> None:
    """Print also where the terminal's encoding lacks a character (a name in os-release, a path)."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))


def _style() -> page.Style:
    columns = shutil.get_terminal_size((100, 24)).columns
    encoding = (getattr(sys.stdout, "encoding", "") or "").lower().replace("-", "")
    return page.Style(
        width=max(_NARROW, min(_WIDE, columns)),
        colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb",
        unicode=encoding.startswith("utf"),
    )
