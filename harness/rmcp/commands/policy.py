"""`rmcp policy RUN`: the cheapest sufficient workarounds that a run proves, as files and as a page."""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

from rmcp.errors import UserError

_DAYS = 180  # validity of a policy: about one ROCm release, after which the cells want to be tried again


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `rmcp policy`."""
    add = parser.add_argument
    add("run", metavar="RUN", help="run directory, run id, a prefix of one, or latest")
    add("--out", "-o", type=Path, metavar="DIR", help="where the files go (default: the run's directory)")
    add("--expires", metavar="YYYY-MM-DD", help=f"end of validity (default: in {_DAYS} days)")
    add("--json", action="store_true", help="print policy.yaml (which is JSON too) instead of the page")
    add("--reports", type=Path, default=Path("reports"), metavar="DIR", help="where run ids are looked up")


def run(args: argparse.Namespace) -> int:
    """Write policy.yaml, rmcp-env.sh and policy.expect.yaml; print the decision page."""
    from rmcp.diagnose.explain import explanations
    from rmcp.diagnose.policy import compile_policy
    from rmcp.diagnose.policy_files import decision_page, env_text, policy_text, retest_text
    from rmcp.diagnose.study import study
    from rmcp.report.files import write_atomically
    from rmcp.runs import load_run

    expires = _date(args.expires)
    loaded = load_run(args.run, args.reports)
    found = study(loaded)
    rules = {signature: found.localise(signature) for signature in found.signatures()}
    compiled = compile_policy(found, explanations(found, rules))
    out = args.out or loaded.path
    files = {
        "policy.yaml": policy_text(compiled, expires, loaded.id),
        "rmcp-env.sh": env_text(compiled, expires, loaded.id),
        "policy.expect.yaml": retest_text(compiled, expires, loaded.id),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_atomically(out / name, [text.encode()])
    except OSError as error:
        raise UserError(f"cannot write the policy into {out}: {error}; name another place with --out") from error
    if args.json:
        print(files["policy.yaml"], end="")
        return 0
    print(decision_page(compiled, loaded.id))
    print(f"policy       {out / 'policy.yaml'}   (rmcp_torch.apply_policy(model, PATH))")
    print(f"environment  {out / 'rmcp-env.sh'}")
    print(f"re-test      {out / 'policy.expect.yaml'}   (a rule that is no longer needed shows up as improved)")
    return 0


def _date(text: str | None) -> str:
    if text is None:
        return (datetime.date.today() + datetime.timedelta(days=_DAYS)).isoformat()
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        raise UserError(f"--expires {text}: not a date; write it as YYYY-MM-DD") from None
