"""How long a plan takes on a CPU, roughly: to tell seconds from minutes from hours before anything runs."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rmcp.matrix.document import Expectation
from rmcp.matrix.expressions import Expression, compile_expression
from rmcp.matrix.facts import CaseFacts
from rmcp.matrix.model import Case
from rmcp.words import Outcome

# Measured on two shared cores (Xeon, 2.x GHz) with torch 2.13.0 and Debian's 1.13.1; shapes of unet, vgg16, yolov8n.
_START_S = 3.0  # pytest, the first interpreter
_ZYGOTE_S = 1.5  # a further interpreter with `import torch`, per (runtime, env); it warms up beside the case before
_CASE_S = 0.08  # fork, a small convolution with gradients, its reference, the journal
_REFERENCE_S = 0.2  # per 10^9 products of an fp64 reference, comparison included, with MKL
_OTHER_S = 1.5  # the same with the reference BLAS, which Debian's PyTorch takes when no other is installed
_HALF_BACKWARD_S = 3.3  # per 10^9 products of a float16 convolution with gradients: torch has slow kernels for them
_IN_FLOAT32 = ("cpu", "cpu_train", "fp32_upcast")  # workarounds that compute float16 in float32
_STOP_S = 2.0  # for a hung case: dump of its stacks and the grace of the first signal

_CPU: Mapping[str, object] = {
    "device": "cpu", "gfx": None, "rocm": None, "hip": None, "cuda": None, "miopen": None, "torch": "2.13.0",
}  # fmt: skip
# Nothing is known of another interpreter before it starts; the one that shipped matrices name is this old.
_OTHER: Mapping[str, object] = {**_CPU, "torch": "1.13.1"}


def seconds(cases: Iterable[Case], expect: Sequence[Expectation], names: Mapping[str, str]) -> float:
    """Seconds of a run on a CPU, one case at a time. Cases whose requirements a CPU does not fulfil cost nothing,
    hangs that are expected cost their stall budget. ``names`` are the matrix's (`Matrix.names`)."""
    total, zygotes = 0.0, set()
    compiled = functools.lru_cache(maxsize=None)(lambda text: compile_expression(text, names))
    hangs = [rule for rule in expect if {Outcome.HANG, Outcome.TIMEOUT} & set(rule.outcomes)]
    for case in cases:
        facts = CaseFacts(case, _CPU if case.runtime.name == "this" else _OTHER)
        if _is_unsupported(case, facts, compiled):
            continue
        zygotes.add((case.runtime, tuple(sorted(case.env.items(), key=str))))
        total += _CASE_S + _convolution_s(case) + _stalled_s(case, facts, hangs)
    return _START_S + max(0, len(zygotes) - 1) * _ZYGOTE_S + total if zygotes else 0.0


def _is_unsupported(case: Case, facts: CaseFacts, compiled: Any) -> bool:
    needs: Iterable[Expression] = (compiled(need.expression) for need in case.needs)
    return any(need.evaluate(facts) is False for need in needs)


def _stalled_s(case: Case, facts: CaseFacts, hangs: Sequence[Expectation]) -> float:
    for rule in hangs:
        if rule.where is None or rule.where.evaluate(facts) is True:
            return _STOP_S + (case.timeout.silent if Outcome.HANG in rule.outcomes else case.timeout.case)
    return 0.0


def _convolution_s(case: Case) -> float:
    """Seconds of the reference and of the operator itself, beyond what every case costs."""
    billions = products(case.args) / 1e9 if case.workload in ("conv1d", "conv2d", "conv3d") else 0.0
    passes = 1 if case.args.get("direction", "forward") == "forward" else 3
    cost = _REFERENCE_S if case.runtime.name == "this" else _OTHER_S
    half = case.args.get("dtype") == "float16" and case.args.get("workaround") not in _IN_FLOAT32
    if half and passes > 1:
        cost += _HALF_BACKWARD_S * int(case.args.get("repeat") or 1)
    return billions * passes * cost


def products(args: Mapping[str, Any]) -> float:
    """Multiplications of one convolution forward; 0 for arguments that make none. Left out ones are conv2d's."""
    try:
        sizes = [(axis, int(args.get(axis, 32))) for axis in "dhw" if axis in args or axis != "d"]
        sizes = [size for size in sizes if size[0] in args] or sizes
        count = len(sizes)
        kernel, stride, padding, dilation = (
            _extent(args.get(name, default), count)
            for name, default in (("kernel", 3), ("stride", 1), ("padding", 0), ("dilation", 1))
        )
        positions = [
            size if args.get("transposed") else (size + 2 * p - d * (k - 1) - 1) // s + 1
            for (_, size), k, s, p, d in zip(sizes, kernel, stride, padding, dilation, strict=True)
        ]
        channels = int(args.get("c", 3)) // int(args.get("groups", 1))
        numbers = (int(args.get("n", 1)), int(args.get("k", 16)), channels, *kernel, *positions)
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return float(math.prod(max(0, number) for number in numbers))


def _extent(value: Any, count: int) -> tuple[int, ...]:
    return tuple(int(part) for part in value) if isinstance(value, (list, tuple)) else (int(value),) * count
