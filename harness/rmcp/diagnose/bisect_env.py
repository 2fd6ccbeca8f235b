"""Which variables matter: the smallest set that causes a failure, and the smallest that cures it.

Cause: the case fails with its whole environment patch and passes without; the smallest part of the patch
that fails the same way. Cure: a patch under which the failing case passes, from the matrix or from the
knowledge below; its smallest part that still cures, then, for a family of MIOpen solvers, the smallest set
of single solvers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rmcp.diagnose.minimal import minimal_subset
from rmcp.diagnose.probing import BudgetSpent, Undecidable

Env = Mapping[str, "str | None"]
Change = "tuple[str, str | None]"
Test = Callable[[Env], bool]


@dataclass(frozen=True)
class Switch:
    """One thing that can be turned: a patch, and the finer switches that together do the same (if known)."""

    name: str
    patch: Env
    parts: tuple[Switch, ...] = ()


def _off(name: str, *variables: str) -> Switch:
    """A family that one variable turns off, and the variables of its solvers."""
    return Switch(name, {name: "0"}, tuple(Switch(v, {v: "0"}) for v in variables))


def _each(stem: str, *ends: str) -> tuple[str, ...]:
    return tuple(stem + end for end in ends)


# MIOpen's switches from coarse to fine: algorithm, then solver; then build method. "0" disables, "1" is the
# same as unset (only `disabled()` is tested). Sources: MIOpen docs how-to/debug-log.rst,
# src/conv/solver_finders.cpp, src/solver/*.cpp (4.5.2 to 6.2.0).
MIOPEN_SWITCHES: tuple[Switch, ...] = (
    _off(
        "MIOPEN_DEBUG_CONV_DIRECT",
        *_each(
            "MIOPEN_DEBUG_CONV_DIRECT_",
            "NAIVE_CONV_FWD", "NAIVE_CONV_BWD", "NAIVE_CONV_WRW", "OCL_FWD",
            "OCL_FWDGEN",
            "OCL_FWD11X11", "OCL_FWD1X1", "OCL_WRW2", "OCL_WRW53", "OCL_WRW1X1", "ASM_1X1U", "ASM_1X1UV2",
            "ASM_3X3U", "ASM_5X10U2V2", "ASM_7X7C3H224W224", "ASM_WRW1X1", "ASM_WRW3X3",
        ),
    ),
    _off(
        "MIOPEN_DEBUG_CONV_WINOGRAD",
        *_each(
            "MIOPEN_DEBUG_AMD_WINOGRAD_",
            "3X3", "RXS", "RXS_F2X3", "RXS_F2X3_G1", "RXS_F3X2", "RXS_WRW",
            "RXS_FWD_BWD",
            "FURY_RXS_F2X3", "FURY_RXS_F3X2", "MPASS_F3X2", "MPASS_F3X3", "MPASS_F3X4", "MPASS_F3X5",
            "MPASS_F3X6", "MPASS_F5X3", "MPASS_F5X4", "MPASS_F7X2", "MPASS_F7X3",
        ),
        "MIOPEN_DEBUG_AMD_FUSED_WINOGRAD",
    ),
    _off("MIOPEN_DEBUG_CONV_IMPLICIT_GEMM"),
    _off("MIOPEN_DEBUG_CONV_FFT"),
    _off("MIOPEN_DEBUG_CONV_GEMM"),
    _off("MIOPEN_DEBUG_GCN_ASM_KERNELS"),
    _off("MIOPEN_DEBUG_HIP_KERNELS"),
    _off("MIOPEN_DEBUG_OPENCL_CONVOLUTIONS"),
)  # fmt: skip

# Single settings outside of the solvers that have cured failures of this kind.
OTHER_SWITCHES: tuple[Switch, ...] = (
    Switch("no-sdma", {"HSA_ENABLE_SDMA": "0"}),
    Switch("coarse-grain", {"HIP_HOST_COHERENT": "0"}),
    Switch("rocm-blas-gemm-off", {"MIOPEN_GEMM_ENFORCE_BACKEND": "3"}),
    Switch("find-fast", {"MIOPEN_FIND_MODE": "FAST"}),
    Switch("no-caching-allocator", {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1", "PYTORCH_NO_HIP_MEMORY_CACHING": "1"}),
    Switch("serialised", {"AMD_SERIALIZE_KERNEL": "3", "AMD_SERIALIZE_COPY": "3"}),
    Switch("suggest-nhwc", {"PYTORCH_MIOPEN_SUGGEST_NHWC": "1"}),
)


@dataclass(frozen=True)
class Answer:
    """A minimal patch with how it was found. ``refined`` says which coarse switch the solvers replace."""

    patch: Env
    questions: int
    floor: float
    method: str
    source: str = ""
    refined: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tried:
    """A patch that was tried as a cure, and whether the case passed under it."""

    name: str
    patch: Env
    cured: bool | None


@dataclass(frozen=True)
class EnvAnswer:
    """What was found. ``complete``: False when the budget ended it; ``tried`` are the whole patches tried as
    cures."""

    cause: Answer | None = None
    cure: Answer | None = None
    tried: tuple[Tried, ...] = ()
    notes: tuple[str, ...] = ()
    complete: bool = True


@dataclass
class _Finding:
    cause: Answer | None = None
    cure: Answer | None = None
    tried: list[Tried] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def bisect_env(
    own: Env,
    fails_same: Test,
    passes: Test,
    values: Sequence[Switch] = (),
    switches: Sequence[Switch] = (*MIOPEN_SWITCHES, *OTHER_SWITCHES),
) -> EnvAnswer:
    """Cause and cure of a failing case whose environment patch is ``own``.

    ``fails_same`` and ``passes`` run the case with a whole patch. ``values`` are the matrix's environment
    values, tried first; then ``switches`` on top of ``own``. Both tests may raise BudgetSpent.
    """
    found = _Finding()
    complete = True
    try:
        found.cause = _cause(own, fails_same, found.notes)
        found.cure = _cure(own, passes, values, switches, found)
    except BudgetSpent as spent:
        complete = False
        found.notes.append(str(spent))
    return EnvAnswer(found.cause, found.cure, tuple(found.tried), tuple(found.notes), complete)


def _cause(own: Env, fails_same: Test, notes: list[str]) -> Answer | None:
    changes = sorted(own.items())
    if not changes:
        notes.append("the case sets no variable, so none of them causes it")
        return None
    found = minimal_subset(changes, lambda part: fails_same(dict(part)))
    if found is None:
        notes.append("the case did not fail the same way under its own environment")
        return None
    if not found.items:
        notes.append("it fails the same way without any of its variables: they do not cause it")
    return Answer(dict(found.items), found.questions, found.floor, found.method, "the case's own environment")


def _cure(
    own: Env, passes: Test, values: Sequence[Switch], switches: Sequence[Switch], found: _Finding
) -> Answer | None:
    for switch in values:
        patch = dict(switch.patch)
        if patch != dict(own) and _try(found, switch.name, patch, passes):
            return _smallest_difference(own, patch, passes, f"environment value {switch.name}")
    questions = 0
    for switch in switches:
        questions += 1
        if any(name in own and own[name] == value for name, value in switch.patch.items()):
            continue
        if _try(found, switch.name, {**own, **switch.patch}, passes):
            answer = _smallest_difference(own, {**own, **switch.patch}, passes, f"knowledge base: {switch.name}")
            return _refined(own, switch, answer, passes, questions)
    return _several(own, passes, switches, found)


def _try(found: _Finding, name: str, patch: Env, passes: Test) -> bool:
    try:
        cured: bool | None = passes(patch)
    except Undecidable:
        cured = None
    found.tried.append(Tried(name, dict(patch), cured))
    return bool(cured)


def _smallest_difference(own: Env, cured: Env, passes: Test, source: str) -> Answer:
    """The smallest set of changes from ``own`` towards ``cured`` under which the case passes."""
    changes = difference(own, cured)
    found = minimal_subset(changes, lambda part: passes(applied(own, part)))
    if found is None:  # it passed when it was tried: a flaky answer; the whole change is what is known
        return Answer(dict(changes), 0, 0.0, "not reduced", source, notes=("the cure did not hold when asked again",))
    return Answer(dict(found.items), found.questions, found.floor, found.method, source)


def _refined(own: Env, switch: Switch, answer: Answer, passes: Test, before: int) -> Answer:
    """The single solvers that do what turning off their whole family did, if they do."""
    if not switch.parts:
        return answer
    items = [change for part in switch.parts for change in part.patch.items()]
    found = minimal_subset(items, lambda part: passes(applied(own, part)))
    if found is None or not found.items:
        note = f"no set of its {len(items)} known solvers does what {switch.name} does: the family has others"
        return Answer(
            answer.patch,
            before + answer.questions + 1,
            answer.floor,
            answer.method,
            answer.source,
            notes=(note,),
        )
    return Answer(
        dict(found.items), before + answer.questions + found.questions, found.floor, found.method,
        answer.source,
        refined=switch.name,
    )  # fmt: skip


def _several(own: Env, passes: Test, switches: Sequence[Switch], found: _Finding) -> Answer | None:
    """No single switch cures: try all of them but one (a library needs one algorithm left), then reduce."""
    families = [switch for switch in switches if switch.name.startswith("MIOPEN_DEBUG_CONV_")]
    for kept in families:
        patch = dict(own)
        for switch in families:
            if switch is not kept:
                patch.update(switch.patch)
        if patch != dict(own) and len(families) > 1 and _try(found, f"only {kept.name}", patch, passes):
            return _smallest_difference(own, patch, passes, f"knowledge base: only {kept.name} left")
    found.notes.append("no environment tried lets the case pass")
    return None


def difference(start: Env, end: Env) -> list[tuple[str, str | None]]:
    """The changes that turn one patch into another; None takes a variable out."""
    names = sorted({*start, *end})
    return [
        (name, end.get(name)) for name in names if start.get(name) != end.get(name) or (name in start) != (name in end)
    ]


def applied(start: Env, changes: Iterable[tuple[str, str | None]]) -> dict[str, str | None]:
    """``start`` with these changes; a variable that changes to None is unset."""
    patch = dict(start)
    patch.update(changes)
    return patch


def patch_text(patch: Env) -> str:
    """A patch as ``A=1 B=0``; ``-u C`` for a variable that is unset."""
    words = [f"-u {name}" if value is None else f"{name}={value}" for name, value in sorted(patch.items())]
    return " ".join(words) or "no variable"
