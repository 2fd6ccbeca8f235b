"""Reproducers: a plain Python script that needs only torch, and the two commands that people copy."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from rmcp.compare.sides import matrix_facts
from rmcp.matrix.model import Case
from rmcp.report.facts import matrix_path
from rmcp.runs.model import CaseRecord, Run

_HEADER = """\
# {id}
# Run it in a process of its own: {shell}
import platform, sys, torch
print("python", sys.version.split()[0], "kernel", platform.release(), "torch", torch.__version__, end=" ")
print("hip", torch.version.hip, "cuda", torch.version.cuda, flush=True)
"""
_DEVICE = """\
device = {device}
if device != "cpu": print(torch.cuda.get_device_name(device), flush=True)
"""
_AUTO = '"cuda:0" if torch.cuda.is_available() else "cpu"  # "cuda" is ROCm too'
_CONV_ARGS = frozenset(
    (
        *(
            "n",
            "c",
            "h",
            "w",
            "k",
            "kernel",
            "stride",
            "padding",
            "dilation",
            "groups",
            "bias",
            "memory_format",
        ),
        *("dtype", "direction", "benchmark", "deterministic", "tf32", "repeat"),
    )
)


def _device_text(device: str) -> str:
    if device == "auto":
        return _AUTO
    return repr({"rocm": "cuda:0", "cuda": "cuda:0"}.get(device, device))


def _comment(text: str) -> str:
    """Text that cannot leave its comment line, whatever it holds."""
    return " ".join(ascii(text)[1:-1].split())


def shell_word(word: str) -> str:
    """``word`` quoted for a shell; what cannot be printed is escaped ($'..' of bash, zsh and ksh), so that
    nobody pastes a control character into a terminal."""
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + word.encode("unicode_escape").decode("ascii").replace("'", "\\'") + "'"


def shell_command(case: CaseRecord | Case) -> str:
    """`env -u B A=1 python repro.py`, with the interpreter of the case's runtime when it names one."""
    words = ["env"]
    words += [word for name, value in sorted(case.env.items()) if value is None for word in ("-u", name)]
    words += [f"{name}={value}" for name, value in sorted(case.env.items()) if value is not None]
    runtime = case.runtime
    python = runtime.get("python") if isinstance(runtime, Mapping) else runtime.python
    command = [*(words if len(words) > 1 else []), str(python or "python"), "repro.py"]
    return " ".join(shell_word(word) for word in command)


def rmcp_command(run: Run, case: CaseRecord) -> str:
    """`rmcp run MATRIX --case ID`: the same case again, isolated, with the run's options that make the case."""
    options = run.manifest.get("options")
    given = matrix_facts(run).get("runtimes")
    return run_command(
        matrix_path(run),
        case.id,
        str(case.runtime.get("name", "this")),
        options if isinstance(options, Mapping) else {},
        given if isinstance(given, (list, tuple)) else (),
    )


def run_command(
    matrix: str, case_id: str, runtime: str, options: Mapping[str, Any], runtimes: Iterable[object]
) -> str:
    """The same from its parts: ``options`` as RunOptions names them, ``runtimes`` as --rmcp-runtime takes them."""
    words = ["rmcp", "run", matrix, "--case", case_id]
    if options.get("profile"):
        words += ["--profile", str(options["profile"])]
    for text in map(str, runtimes):
        if text.partition("=")[0] == runtime:
            words += ["--runtime", text]
    if options.get("device"):
        words.append(f"--rmcp-device={options['device']}")
    return " ".join(map(shell_word, words))


def reproducer(case: CaseRecord | Case) -> str:
    """The script. conv2d needs torch alone; any other workload is run from where it lives."""
    header = _HEADER.format(id=_comment(case.id), shell=_comment(shell_command(case)))
    body = None
    if case.workload == "conv2d":
        body = _conv2d(case.args, case.device, case.seed)
    return header + (body if body is not None else _workload(case))


def _conv2d(args: Mapping[str, Any], device: str, seed: int) -> str | None:
    """The convolution in plain torch; None when the case uses what only the workload itself can do."""
    if set(args) - _CONV_ARGS - {"autocast", "workaround"} or {"n", "c", "h", "w", "k", "kernel"} - set(args):
        return None
    if args.get("autocast") or args.get("workaround", "none") != "none":
        return None
    get = args.get
    kernel = get("kernel")
    pair = list(kernel) if isinstance(kernel, (list, tuple)) else [kernel, kernel]
    groups = get("groups", 1)
    layout, direction = get("memory_format", "contiguous"), get("direction", "forward")
    backward = direction != "forward"
    lines = [_DEVICE.format(device=_device_text(device)).rstrip("\n")]
    for flag in ("benchmark", "deterministic"):
        if get(flag) is not None:
            lines.append(f"torch.backends.cudnn.{flag} = {bool(get(flag))}")
    lines += [
        f"torch.backends.cudnn.allow_tf32 = {bool(get('tf32', False))}",
        f"torch.manual_seed({seed!r})",
        f"dtype = torch.{_word(get('dtype', 'float32'))}",
        f"x = torch.randn({get('n')!r}, {get('c')!r}, {get('h')!r}, {get('w')!r}).to(dtype)",
        f"w = (torch.randn({get('k')!r}, {get('c')!r} // {groups!r}, {pair[0]!r}, {pair[1]!r})"
        f" * ({get('c')!r} // {groups!r} * {pair[0]!r} * {pair[1]!r}) ** -0.5).to(dtype)",
        f"b = torch.randn({get('k')!r}).to(dtype)" if get("bias", True) else "b = None",
        f"options = dict(stride={_value(get('stride', 1))}, padding={_value(get('padding', 0))},"
        f" dilation={_value(get('dilation', 1))}, groups={groups!r})",
        "def conv(x, w, b): return torch.nn.functional.conv2d(x, w, b, **options)",
        "def put(t, nhwc):",
        "    if t is None: return None",
        "    t = t.contiguous(memory_format=torch.channels_last) if nhwc else t",
        f"    return t.to(device).requires_grad_({backward})",
        f"dx, dw, db = put(x, {layout != 'contiguous'}), put(w, {layout == 'channels_last'}), put(b, False)",
        'print("launch", flush=True)',
        f"y = conv(dx{'.contiguous()' if layout == 'explicit' else ''}, dw, db)",
    ]
    if backward:
        lines.append("y.backward(torch.randn(y.shape).to(y))")
    lines += [
        'if device != "cpu": torch.cuda.synchronize()',
        "want = conv(x.double(), w.double(), None if b is None else b.double())",
        'print("largest error", (y.detach().cpu().double() - want).abs().max().item(), flush=True)',
    ]
    return "\n".join(lines) + "\n"


def _word(text: object) -> str:
    """An attribute name of torch, or one that fails by name instead of running something."""
    word = str(text)
    return word if word.isidentifier() else "float32"


def _value(value: Any) -> str:
    return repr(tuple(value) if isinstance(value, (list, tuple)) else value)


def _workload(case: CaseRecord | Case) -> str:
    """For every other workload: call its function with a small context (needs rmcp_torch, no runner)."""
    return "\n".join(
        [
            _DEVICE.format(device=_device_text(case.device)).rstrip("\n"),
            "from rmcp_torch.context import Context  # of pytest-rmcp; or put its folder on PYTHONPATH",
            "from rmcp_torch.workloads.registry import resolve",
            f"context = Context(device, {case.seed!r}, lambda frame: print(frame, flush=True))",
            f"run = resolve({case.workload!r})",
            f"result = run(context, **{dict(case.args)!r})",
            "context.synchronize()",
            'print("result", result, "metrics", context.metrics, flush=True)',
            'for check in context.checks: print(check["name"], "tight" if check["tight"] else "OFF", check)',
            "",
        ]
    )
