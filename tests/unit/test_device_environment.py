# ruff: noqa: E501  (tables: one row on one line reads best)
"""The environment knowledge base and its checks: every trap of the investigation, and nothing said of good
values."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmcp.device.docs import environment_markdown
from rmcp.device.environment import (
    Level,
    check_environment,
    evidence_hiding,
    without_hidden_evidence,
)
from rmcp.device.environment import (
    tested_variables as recorded,
)
from rmcp.device.knowledge import knowledge, read_knowledge

DOCS = Path(__file__).parents[2] / "docs" / "environment.md"
REAL = "MIOPEN_DEBUG_CONV_"

# env, args, rocm, gfx, (variable, kind, level) of every finding
CASES: list[tuple[str, dict[str, str | None], dict[str, Any] | None, str | None, str | None, list[tuple[str, str, str]]]] = [
    # what the first investigation set
    ("read by nothing", {"HIP_FORCE_COARSE_GRAIN": "1"}, None, None, None,
     [("HIP_FORCE_COARSE_GRAIN", "read-by-nothing", "warning")]),
    ("real name differs", {"MIOPEN_DEBUG_DISABLE_CACHE": "1"}, None, None, None,
     [("MIOPEN_DEBUG_DISABLE_CACHE", "read-by-nothing", "warning")]),
    ("build time only", {"PYTORCH_ROCM_ARCH": "gfx1030"}, None, None, None,
     [("PYTORCH_ROCM_ARCH", "read-by-nothing", "warning")]),
    ("the fix that is none", {REAL + "IMPLICIT_GEMM": "1"}, None, None, None,
     [(REAL + "IMPLICIT_GEMM", "no-op", "warning")]),
    ("the word form too", {REAL + "WINOGRAD": "enabled"}, None, None, None, [(REAL + "WINOGRAD", "no-op", "warning")]),
    ("disabling works", {REAL + "WINOGRAD": "0"}, None, None, None, []),
    ("no implicit GEMM on RDNA1", {REAL + "IMPLICIT_GEMM": "0"}, None, None, "gfx1010",
     [(REAL + "IMPLICIT_GEMM", "no-op", "warning")]),
    ("a member of the family", {REAL + "IMPLICIT_GEMM_HIP_FWD_V4R1": "0"}, None, None, "gfx1012",
     [(REAL + "IMPLICIT_GEMM_HIP_FWD_V4R1", "no-op", "warning")]),
    ("but with an override", {REAL + "IMPLICIT_GEMM": "0", "HSA_OVERRIDE_GFX_VERSION": "10.3.0"}, None, None, "gfx1010",
     [("HSA_OVERRIDE_GFX_VERSION", "override", "warning")]),
    ("compile only", {"MIOPEN_DEVICE_ARCH": "gfx1030"}, None, None, None,
     [("MIOPEN_DEVICE_ARCH", "never-runs", "error")]),
    ("compile only switch", {"MIOPEN_DEBUG_COMPILE_ONLY": "1"}, None, None, None,
     [("MIOPEN_DEBUG_COMPILE_ONLY", "never-runs", "error")]),
    ("compile only switched off", {"MIOPEN_DEBUG_COMPILE_ONLY": "off"}, None, None, None, []),
    ("find mode without benchmark", {"MIOPEN_FIND_MODE": "FAST"}, {}, None, None,
     [("MIOPEN_FIND_MODE", "inert", "warning")]),
    ("find mode, benchmark unknown", {"MIOPEN_FIND_MODE": "FAST"}, None, None, None,
     [("MIOPEN_FIND_MODE", "inert", "info")]),
    ("find mode with benchmark", {"MIOPEN_FIND_MODE": "FAST"}, {"benchmark": True}, None, None, []),
    ("benchmark as YAML text", {"MIOPEN_FIND_MODE": "fast"}, {"benchmark": "true"}, None, None, []),
    ("find mode 1 is no immediate mode", {"MIOPEN_FIND_MODE": "1"}, {"benchmark": True}, None, None,
     [("MIOPEN_FIND_MODE", "misread", "warning")]),
    ("find mode default", {"MIOPEN_FIND_MODE": "5"}, {"benchmark": True}, None, None,
     [("MIOPEN_FIND_MODE", "no-op", "warning")]),
    ("find mode word", {"MIOPEN_FIND_MODE": "IMMEDIATE"}, None, None, None,
     [("MIOPEN_FIND_MODE", "invalid", "error")]),
    ("find mode number", {"MIOPEN_FIND_MODE": "9"}, None, None, None,
     [("MIOPEN_FIND_MODE", "invalid", "warning")]),
    ("database only it is not", {"MIOPEN_FIND_ENFORCE": "SEARCH_DB_UPDATE"}, None, None, None,
     [("MIOPEN_FIND_ENFORCE", "misread", "warning")]),
    # invalid values
    ("override in two parts", {"HSA_OVERRIDE_GFX_VERSION": "10.3"}, None, None, None,
     [("HSA_OVERRIDE_GFX_VERSION", "invalid", "error")]),
    ("override as a name", {"HSA_OVERRIDE_GFX_VERSION": "gfx1030"}, None, None, None,
     [("HSA_OVERRIDE_GFX_VERSION", "invalid", "error")]),
    ("override out of range", {"HSA_OVERRIDE_GFX_VERSION": "64.0.0"}, None, None, None,
     [("HSA_OVERRIDE_GFX_VERSION", "invalid", "error")]),
    ("override of one node", {"HSA_OVERRIDE_GFX_VERSION_1": "a.b.c"}, None, None, None,
     [("HSA_OVERRIDE_GFX_VERSION_1", "invalid", "error")]),
    ("bool of MIOpen", {"MIOPEN_DISABLE_CACHE": "ja"}, None, None, None,
     [("MIOPEN_DISABLE_CACHE", "invalid", "error")]),
    ("bool of HIP", {"HIP_LAUNCH_BLOCKING": "yes"}, None, None, None,
     [("HIP_LAUNCH_BLOCKING", "invalid", "warning")]),
    ("flag of ROCr", {"HSA_ENABLE_SDMA": "false"}, None, None, None, [("HSA_ENABLE_SDMA", "invalid", "warning")]),
    ("range", {"AMD_SERIALIZE_KERNEL": "4"}, None, None, None, [("AMD_SERIALIZE_KERNEL", "invalid", "warning")]),
    ("number", {"GPU_MAX_HW_QUEUES": "many"}, None, None, None, [("GPU_MAX_HW_QUEUES", "invalid", "warning")]),
    ("allocator option", {"PYTORCH_HIP_ALLOC_CONF": "max_split:64"}, None, None, None,
     [("PYTORCH_HIP_ALLOC_CONF", "invalid", "error")]),
    ("allocator options", {"PYTORCH_CUDA_ALLOC_CONF": "roundup_power2_divisions:[256:1,>:2],expandable_segments:True"},
     None, None, None, []),
    # evidence
    ("log to a file", {"AMD_LOG_LEVEL_FILE": "/tmp/hip"}, None, None, None,
     [("AMD_LOG_LEVEL_FILE", "hides-evidence", "warning")]),
    ("fault message off", {"HSA_ENABLE_VM_FAULT_MESSAGE": "0"}, None, None, None,
     [("HSA_ENABLE_VM_FAULT_MESSAGE", "hides-evidence", "warning")]),
    # partners
    ("mask without level", {"AMD_LOG_MASK": "1"}, None, None, None, [("AMD_LOG_MASK", "inert", "warning")]),
    ("mask with level", {"AMD_LOG_MASK": "1", "AMD_LOG_LEVEL": "4"}, None, None, None, []),
    ("atoi knows no hexadecimal", {"AMD_LOG_MASK": "0x1", "AMD_LOG_LEVEL": "4"}, None, None, None,
     [("AMD_LOG_MASK", "invalid", "warning")]),
    ("strcmp knows no capitals", {"HIP_FORCE_DEV_KERNARG": "True"}, None, None, None,
     [("HIP_FORCE_DEV_KERNARG", "invalid", "warning")]),
    ("a plain default", {"HSA_ENABLE_INTERRUPT": "1"}, None, None, None, [("HSA_ENABLE_INTERRUPT", "no-op", "info")]),
    ("declared by HIP", {"ROC_P2P_SDMA_SIZE": "64"}, None, None, None, []),
    ("declared by ROCr", {"HSA_ENABLE_SCRATCH_ALT": "0"}, None, None, None, []),
    ("no values but these", {"HSA_ENABLE_SCRATCH_ALT": "off"}, None, None, None,
     [("HSA_ENABLE_SCRATCH_ALT", "invalid", "warning")]),
    ("channels_last alone", {}, {"memory_format": "channels_last"}, "6.2", None,
     [("PYTORCH_MIOPEN_SUGGEST_NHWC", "inert", "warning")]),
    ("channels_last on no ROCm", {}, {"memory_format": "channels_last"}, None, None, []),
    ("channels_last with it", {"PYTORCH_MIOPEN_SUGGEST_NHWC": "1"}, {"memory_format": "channels_last"}, "6.2", None, []),
    ("NHWC without channels_last", {"PYTORCH_MIOPEN_SUGGEST_NHWC": "1"}, {"memory_format": "contiguous"}, "6.2", None,
     [("PYTORCH_MIOPEN_SUGGEST_NHWC", "inert", "warning")]),
    # the GPU hidden
    ("same index twice", {"ROCR_VISIBLE_DEVICES": "1", "HIP_VISIBLE_DEVICES": "1"}, None, None, None,
     [("HIP_VISIBLE_DEVICES", "hides-gpu", "error")]),
    ("same index twice, CUDA name", {"ROCR_VISIBLE_DEVICES": "1", "CUDA_VISIBLE_DEVICES": "1"}, None, None, None,
     [("CUDA_VISIBLE_DEVICES", "hides-gpu", "error")]),
    ("second of two", {"ROCR_VISIBLE_DEVICES": "0,1", "HIP_VISIBLE_DEVICES": "1"}, None, None, None, []),
    ("counted anew", {"ROCR_VISIBLE_DEVICES": "1", "HIP_VISIBLE_DEVICES": "0"}, None, None, None, []),
    ("none", {"HIP_VISIBLE_DEVICES": ""}, None, None, None, [("HIP_VISIBLE_DEVICES", "hides-gpu", "warning")]),
    ("minus one", {"CUDA_VISIBLE_DEVICES": "-1"}, None, None, None, [("CUDA_VISIBLE_DEVICES", "hides-gpu", "warning")]),
    ("a word", {"HIP_VISIBLE_DEVICES": "gpu0"}, None, None, None, [("HIP_VISIBLE_DEVICES", "invalid", "warning")]),
    ("two names", {"HIP_VISIBLE_DEVICES": "0", "CUDA_VISIBLE_DEVICES": "1"}, None, None, None,
     [("CUDA_VISIBLE_DEVICES", "overridden", "warning")]),
    # nothing left to run
    ("all off", {REAL + one: "0" for one in ("GEMM", "WINOGRAD", "DIRECT", "FFT", "IMPLICIT_GEMM")}, None, None, None,
     [(REAL + "IMPLICIT_GEMM", "no-solver", "error")]),
    ("only implicit GEMM on RDNA1", {REAL + one: "0" for one in ("GEMM", "WINOGRAD", "DIRECT", "FFT")}, None, None,
     "gfx1010", [(REAL + "FFT", "no-solver", "error")]),
    ("only implicit GEMM elsewhere", {REAL + one: "0" for one in ("GEMM", "WINOGRAD", "DIRECT", "FFT")}, None, None,
     "gfx1030", []),
    # versions
    ("before it existed", {"HIP_SKIP_ABORT_ON_GPU_ERROR": "0"}, None, "6.2", None,
     [("HIP_SKIP_ABORT_ON_GPU_ERROR", "version", "warning")]),
    ("since it exists", {"HIP_SKIP_ABORT_ON_GPU_ERROR": "0"}, None, "7.1", None, []),
    ("default by then", {"HIP_FORCE_DEV_KERNARG": "1"}, None, "6.3", None, [("HIP_FORCE_DEV_KERNARG", "no-op", "warning")]),
    ("not the default yet", {"HIP_FORCE_DEV_KERNARG": "1"}, None, "6.2", None, []),
    ("CUDA's on ROCm", {"CUDA_LAUNCH_BLOCKING": "1"}, None, "6.2", None,
     [("CUDA_LAUNCH_BLOCKING", "read-by-nothing", "warning")]),
    ("CUDA's elsewhere", {"CUDA_LAUNCH_BLOCKING": "1"}, None, None, None, []),
    # overrides
    ("override on an unknown GPU", {"HSA_OVERRIDE_GFX_VERSION": "10.3.0"}, None, None, None,
     [("HSA_OVERRIDE_GFX_VERSION", "override", "info")]),
    ("override within RDNA2", {"HSA_OVERRIDE_GFX_VERSION": "10.3.0"}, None, None, "gfx1031", []),
    ("override to itself", {"HSA_OVERRIDE_GFX_VERSION": "10.1.0"}, None, None, "gfx1010",
     [("HSA_OVERRIDE_GFX_VERSION", "no-op", "info")]),
    ("override to another family", {"HSA_OVERRIDE_GFX_VERSION": "11.0.0"}, None, None, "gfx1010",
     [("HSA_OVERRIDE_GFX_VERSION", "override", "warning")]),
    # spelling
    ("letters swapped", {"HSA_ENABLE_SMDA": "0"}, None, None, None, [("HSA_ENABLE_SMDA", "misspelt", "warning")]),
    ("British", {"AMD_SERIALISE_KERNEL": "3"}, None, None, None, [("AMD_SERIALISE_KERNEL", "misspelt", "warning")]),
    ("unknown", {"MIOPEN_SOMETHING_ELSE": "1"}, None, None, None, [("MIOPEN_SOMETHING_ELSE", "unknown", "info")]),
    ("declared by MIOpen", {"MIOPEN_DEBUG_DYNAMIC_REDUCTION": "0"}, None, None, None, []),
    ("not ours", {"HOME": "/root", "LANG": "C", "CUDA_CACHE_PATH": "/x", "HIPPO_X": "1"}, None, None, None, []),
    # a removed variable is no variable
    ("removed", {"HIP_FORCE_COARSE_GRAIN": None, "MIOPEN_DEVICE_ARCH": None}, None, None, None, []),
    ("sensible", {"HSA_ENABLE_SDMA": "0", "AMD_LOG_LEVEL": "3", "MIOPEN_LOG_LEVEL": "6", "HSA_OVERRIDE_GFX_VERSION": "10.3.2"},
     {}, "6.2", "gfx1031", []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("env", "args", "rocm", "gfx", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_findings(env: Any, args: Any, rocm: Any, gfx: Any, expected: list[tuple[str, str, str]]) -> None:
    found = check_environment(env, args=args, rocm=rocm, gfx=gfx)
    assert [(one.variable, one.kind, one.level.value) for one in found] == expected
    for one in found:
        assert one.suggestion  # a remark without a way on helps nobody
        assert one.message[-1] not in ".!"


def test_misspellings_name_the_right_one() -> None:
    for wrong, right in (
        ("HSA_OVERRIDE_GFX_VERSON", "HSA_OVERRIDE_GFX_VERSION"),
        ("MIOPEN_FINDMODE", "MIOPEN_FIND_MODE"),
        ("PYTORCH_MIOPEN_SUGEST_NHWC", "PYTORCH_MIOPEN_SUGGEST_NHWC"),
        ("HIP_VISIBLE_DEVICE", "HIP_VISIBLE_DEVICES"),
    ):
        (one,) = check_environment({wrong: "1"})
        assert one.suggestion == f"did you mean {right}?"


def test_no_known_variable_is_taken_for_a_misspelling_of_its_neighbour() -> None:
    kinds = {one.kind for name in knowledge().variables for one in check_environment({name: "0"})}
    assert not {"misspelt", "unknown"} & kinds


@pytest.mark.parametrize(
    "pair",
    [
        "HSA_ENABLE_DXG_DETECTION=1",
        "HSA_COREDUMP_PATTERN=/dev/null",
        "HSA_DISABLE_COREDUMP_ON_EXCEPTION=1",
        "MIOPEN_ENABLE_LOGGING_DATE_TIME=1",
        "MIOPEN_DEBUG_CHECK_SUB_BUFFER_OOB_MEMORY_ACCESS=2",
        "ROCBLAS_VERBOSE_HIPBLASLT_ERROR=1",
        "HIPBLASLT_LOG_FILE=/tmp/log",
        "PYTORCH_TUNABLEOP_ENABLED=1",
        "GPU_SINGLE_ALLOC_PERCENT=85",  # a default of old releases only
    ],
)
def test_real_variables_of_newer_releases_are_known(pair: str) -> None:
    name, _, value = pair.partition("=")
    assert check_environment({name: value}) == []


def test_a_word_for_a_number_of_hip_is_told() -> None:
    (one,) = check_environment({"HIP_SKIP_ABORT_ON_GPU_ERROR": "true"}, rocm="7.1")
    assert one.kind == "invalid"


def test_the_hint_for_a_gfx_name_is_what_to_write() -> None:
    (one,) = check_environment({"HSA_OVERRIDE_GFX_VERSION": "gfx90a"})
    assert one.suggestion == "write 9.0.10"


def test_default_values_are_told_to_change_nothing() -> None:
    """Every value that the data calls a no-op is found as one."""
    for variable in knowledge().variables.values():
        for value in (*variable.noop, *variable.usual):
            found = check_environment(
                {variable.name: value}, args={"benchmark": True, "memory_format": "channels_last"}
            )
            assert [one.kind for one in found if one.kind == "no-op"] == ["no-op"], (variable.name, value)


def test_described_values_are_valid() -> None:
    for variable in knowledge().variables.values():
        for value in (
            *variable.noop,
            *variable.usual,
            *variable.accepts,
            *(one for one in variable.hides if one != "*"),
        ):
            found = check_environment({variable.name: value})
            assert not [one for one in found if one.kind == "invalid"], (variable.name, value)


def test_evidence_hiding_and_its_removal() -> None:
    assert evidence_hiding() == {
        "HSA_ENABLE_VM_FAULT_MESSAGE": ("0",),
        "HSA_ENABLE_QUEUE_FAULT_MESSAGE": ("0",),
        "AMD_LOG_LEVEL_FILE": ("*",),
        "MIOPEN_LOG_LEVEL": ("1", "2"),
    }
    env = {
        "HSA_ENABLE_VM_FAULT_MESSAGE": "0",
        "AMD_LOG_LEVEL_FILE": "/x",
        "MIOPEN_LOG_LEVEL": "6",
        "HOME": "/root",
    }
    kept, removed = without_hidden_evidence(env)
    assert kept == {"MIOPEN_LOG_LEVEL": "6", "HOME": "/root"}
    assert removed == ("HSA_ENABLE_VM_FAULT_MESSAGE", "AMD_LOG_LEVEL_FILE")


def test_recorded_variables_hold_no_secrets() -> None:
    env = {
        "MIOPEN_FIND_MODE": "1",
        "HSA_KERNARG_POOL_SIZE": "1",
        "TORCH_HUB_TOKEN": "s3cret",
        "ROCM_API_KEY": "s3cret",
        "NVIDIA_PASSWORD": "s3cret",
        "LD_PRELOAD": "x.so",
        "PYTORCH_PROXY": "http://me:s3cret@proxy:80/",
        "AWS_SECRET_ACCESS_KEY": "s3cret",
        "HOME": "/root",
    }
    kept = recorded(env)
    assert list(kept) == ["HSA_KERNARG_POOL_SIZE", "LD_PRELOAD", "MIOPEN_FIND_MODE", "PYTORCH_PROXY"]
    assert "s3cret" not in json.dumps(kept)


NAMES = st.sampled_from(sorted(knowledge().variables)) | st.text(min_size=1, max_size=30)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        NAMES,
        st.none()
        | st.text(max_size=20)
        | st.integers().map(str)
        | st.sampled_from(["9" * 5000, "²", "0x", "1,²"]),
        max_size=8,
    ),
    st.none() | st.dictionaries(st.sampled_from(["benchmark", "memory_format"]), st.text(max_size=8)),
    st.none() | st.text(max_size=6),
    st.none() | st.sampled_from(["gfx1010", "gfx1030", "gfx90a", ""]),
)
def test_no_environment_is_an_exception(env: Any, args: Any, rocm: Any, gfx: Any) -> None:
    for one in check_environment(env, args=args, rocm=rocm, gfx=gfx):
        assert isinstance(one.level, Level)
        assert one.message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda raw: raw.update(format=2), "format 2"),
        (lambda raw: raw["variables"].append(raw["variables"][0]), "names HSA_ENABLE_SDMA twice"),
        (lambda raw: raw["variables"][0].update(read="Q"), "unknown class"),
        (lambda raw: raw["variables"][0].update(source="rumour"), "unknown source"),
    ],
)
def test_a_broken_knowledge_base_is_refused(change: Any, says: str) -> None:
    raw = json.loads(files("rmcp.device").joinpath("environment.json").read_text(encoding="utf-8"))
    change(raw)
    with pytest.raises(ValueError, match=says):
        read_knowledge(json.dumps(raw))


def test_docs_are_current() -> None:
    assert DOCS.read_text(encoding="utf-8") == environment_markdown(), (
        "run: python -m rmcp.device.docs > docs/environment.md"
    )
