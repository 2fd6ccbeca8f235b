"""Every message format of the table, bare and as logs, containers and posters decorate it; and texts that only name one."""

# ruff: noqa: E501 - log lines are long

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from rmcp.outcome.recognise import recognise
from rmcp.words import Cause

TABLE = Path(__file__).with_name("outcome_formats.txt")


def rows() -> list[tuple[str, dict, str]]:
    found = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("# "):
            cause, fields, text = line.split(" | ", 2)
            found.append((cause, json.loads(fields), text.replace("\\n", "\n").replace("\\\\", "\\")))
    return found


def each(prefix: str) -> Callable[[str], str]:
    return lambda text: "\n".join(prefix + line for line in text.split("\n"))


def as_json(text: str) -> str:
    stamp = "2025-03-01T10:11:12Z"
    return "\n".join(json.dumps({"log": line + "\n", "stream": "stderr", "time": stamp}) for line in text.split("\n"))


def wrapped(text: str) -> str:
    """As mail programs and careful writers break lines, at 80 columns between words."""
    return "\n".join(textwrap.fill(line, 80, break_long_words=False, break_on_hyphens=False) for line in text.split("\n"))


DECORATIONS: dict[str, Callable[[str], str]] = {
    "time stamp": each("2025-03-01 10:11:12,345 "),
    "rank": each("[rank0]: "),
    "kubernetes": each("2025-03-01T10:11:12.345678901Z stderr F "),
    "compose": each("worker-1  | "),
    "quote": each("> "),
    "colour": lambda text: "\n".join(f"\x1b[31m{line}\x1b[0m" for line in text.split("\n")),
    "docker json": as_json,
    "fence": lambda text: f"When I run the script it crashes:\n```\nstep 12\n{text}\n```\n",
    "neighbours": lambda text: f"INFO 03-13 09:37:39 model_runner.py:1099] Loading\nepoch 3 done\n{text}\nGPU: gfx1030\n",
    "journal": each("May 15 08:57:36 box python3[4711]: "),
    "actions": each("2025-03-01T10:11:12.3456789Z "),
    "ray": each("\x1b[36m(EngineCore_DP0 pid=4711)\x1b[0m "),
    "vllm": each("(EngineCore_0 pid=4711) ERROR 09-03 06:07:08 [core.py:700] "),
    "windows": lambda text: text.replace("\n", "\r\n") + "\r\n",
    "wrapped": wrapped,
}
# What a decoration may cost: a message whose own first word is a prefix, and lines broken inside their proof.
LOST = {"vllm": 2, "wrapped": 15}


@pytest.mark.parametrize(("cause", "fields", "text"), rows(), ids=lambda value: None)
def test_format(cause, fields, text):
    found = recognise(text)
    assert found.cause == cause, found
    assert {name: found.fields.get(name) for name in fields} == fields


@pytest.mark.parametrize("name", DECORATIONS)
def test_decorated(name):
    wrong = [text for cause, _, text in rows() if recognise(DECORATIONS[name](text)).cause != cause]
    assert len(wrong) <= LOST.get(name, 0), wrong


# Words of the formats above in texts where nothing failed: one for each thing that was made easier to match.
ONLY_NAMED = [
    "If the worker is terminated by signal SIGSEGV (Address boundary error) the launcher starts it again.",
    "| exit code 139 | segmentation fault | rebuild the wheel |",
    "# Exit code 139 = vulnerable, 1 = patched",
    "- others still give exit code 139, see the table",
    "const char fmt[] = \"LLVM ERROR: Cannot select: %s\";",
    "The tool greps for `AddressSanitizer: heap-use-after-free` in the log.",
    'assert parse("==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x1") is not None',
    "earlyoom sends SIGTERM to processes when memory is low, then sends SIGKILL.",
    "Use `earlyoom` so that it is not the desktop that dies.",
    'OOM = ["died due to signal 9 (Kill signal)", "terminated with signal 9 [Killed]"]',
    "The driver prints `MODE1 reset` while the card recovers, which may be seen after a resume.",
    "| MODE2 GPU reset | **0** | PASS |",
    "```c\ndev_err(adev->dev, \"MES failed to respond to msg=%s\\n\", op_str);\n```",
    "+\t\t\tdev_err(adev->dev, \"failed to unmap legacy queue\\n\");\n+\t\t\tgoto out;\n+\t\treturn r;",
    "When a display driver stopped responding, Windows writes event 4101.",
    "HRESULT_NAMES = {0x887A0005: \"DXGI_ERROR_DEVICE_REMOVED\", 0x887A0006: \"DXGI_ERROR_DEVICE_HUNG\"}",
    "If you see `NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver`, reboot.",
    "raise RuntimeError(\"Unable to initialize backend 'rocm': NOT_FOUND: No visible GPU devices.\")",
    "case CL_DEVICE_NOT_FOUND: return \"CL_DEVICE_NOT_FOUND\";",
    "clGetDeviceIDs(platform, CL_DEVICE_TYPE_GPU, 1, &device, NULL);",
    "if (status != miopenStatusSuccess) { return status; }",
    "Without these files you get: `rocBLAS error: Cannot read TensileLibrary.dat: Illegal seek for GPU arch : gfx1030`",
    "- **No GPU**: jobs with the wrong slot may fail with the error\n   ``RuntimeError: No HIP GPUs are available``. Ensure that the drivers are installed",
    "If you see the following error, you may need to install a [package](https://example.org)\nthat fits your machine.\n\n```text\nRuntimeError: No HIP GPUs are available\n```\n",
    "a comment says that the card dies with `HIP error: no kernel image is\navailable for execution on the device` unless the override is set",
    "We handle ggml_gallocr_reserve_n: failed to allocate messages by retrying with a smaller context.",
    '    "ggml_metal: failed to allocate buffer, size = 3072.00 MiB",\n    "ggml_cuda: cudaMalloc failed: out of memory",',
    "Allocator (GPU_0_bfc) ran out of memory trying to allocate 2.00GiB. The caller indicates that this is not a failure, but may mean that there could be performance gains if more memory were available.",
    "Loading checkpoint shards:  57%|#####     | 4/7 [00:40<00:29,  9.96s/it]",
    "CHECK(a == b) prints Check failed: a == b with both values.",
    '{"log":"epoch 3 done\\n","stream":"stdout","time":"2025-03-01T10:11:12Z"}',
    "This one is the GPU case: `Memory access fault by GPU node-2 ... on address 0x7f91da000000`, recorded on a test host.",
    "[drm] REG_WAIT timeout 1us * 100 tries - dcn30_enable_stream line:1",
    'If you get an error I get a "allocating 98988.40 MiB on device 0: cudaMalloc failed: out of memory" too, lower the context.',
    "### HCC is deprecated since ROCm 3.5",
    "EXPECT_DEATH(run(), \"SEH exception with code 0xc0000005 thrown\");",
    "| NCCL failure: unhandled errors | fixed |",
    "MIOpen(HIP): Warning [SQLiteBase] Missing system database file: gfx1010_36.kdb Performance may degrade.",
]


@pytest.mark.parametrize("text", ONLY_NAMED)
def test_only_named(text):
    found = recognise(text)
    assert found.cause is Cause.NONE, (found.pattern_id, found.line)
