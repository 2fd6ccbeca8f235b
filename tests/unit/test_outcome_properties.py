"""What holds for the recogniser whatever the text is: it never raises, never invents, and does not mind decoration."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rmcp.outcome import scan
from rmcp.outcome.patterns import Rank
from rmcp.outcome.recognise import ALL_PATTERNS, _needles, recognise
from rmcp.words import Cause

FAULTS = [
    pattern.example
    for pattern in ALL_PATTERNS
    if pattern.rank is Rank.PRIMARY and pattern.cause is not Cause.NONE and "\n" not in pattern.example
]
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOISE = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\x1b\x85\u2028\u2029"), max_size=60
).filter(lambda text: not recognise(text))


def same(found, wanted):
    return found.cause is wanted.cause and found.pattern_id == wanted.pattern_id


@given(st.lists(st.integers(0, 255), max_size=2000).map(bytes))
@example(b"\xff\xfe")
@example(b"\xfe\xff\x00")
@example(b"\x1b[")
@example(b"\r\r\n\r")
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_safe_and_random_ones_have_no_cause(data):
    assert recognise(data).cause is Cause.NONE


@given(st.lists(st.characters(), max_size=500).map("".join))  # not st.text(): it draws literals of our own source
@settings(max_examples=300, deadline=None)
def test_random_text_has_no_cause(text):
    assert recognise(text).cause is Cause.NONE


def test_random_words_have_no_cause():
    """Also not when the words are those of error messages, in any order."""
    words = sorted(
        {word for pattern in ALL_PATTERNS for word in pattern.example.split() if word.isalpha() and word.islower()}
    )
    rng = random.Random(5)
    found = [
        text
        for text in (" ".join(rng.choices(words, k=12)) for _ in range(3000))
        if recognise(text).cause is not Cause.NONE
    ]
    assert found == []


@pytest.mark.parametrize("fault", FAULTS)
@given(before=st.lists(NOISE, max_size=5), after=st.lists(NOISE, max_size=5))
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_unrelated_lines_around_a_fault_change_nothing(fault, before, after):
    wanted = recognise(fault, raw=True)
    found = recognise("\n".join([*before, fault, *after]), raw=True)
    assert same(found, wanted), (found, wanted)


@pytest.mark.parametrize("fault", FAULTS)
def test_decoration_changes_nothing(fault):
    wanted = recognise(fault)
    coloured = " ".join(f"\x1b[31m{word}\x1b[0m" if index % 2 else word for index, word in enumerate(fault.split(" ")))
    for name, text in {
        "colours": coloured,
        "whole line coloured": f"\x1b[1;31m{fault}\x1b[0m",
        "crlf": f"start\r\n{fault}\r\nend\r\n",
        "carriage return before": f"50%|###\r100%|######\r{fault}",
        "journal": f"Nov 21 03:37:00 box run[4711]: {fault}",
        "container": f"2026-08-31T17:43:36.721672607Z stderr F {fault}",
        "rank": f"[rank0]: {fault}",
        "ray": f"(RayWorkerVllm pid=12470) {fault}",
        "compose": f"server-1  | {fault}",
        "mail": f"> {fault}",
        "deep": f"\t        {fault}",
    }.items():
        assert same(recognise(text), wanted), (name, recognise(text), wanted)
    for name, data in {
        "bad utf-8 before": b"\xff\xfe\x80 junk\n\xc3\n" + fault.encode(),
        "bad utf-8 after": fault.encode() + b"\n\xf0\x9f\n",
        "utf-16": fault.encode("utf-16"),
        "nul": b"\0" + fault.encode() + b"\0",
    }.items():
        if name == "bad utf-8 before" and data[:2] == b"\xff\xfe":
            data = b"." + data
        assert same(recognise(data), wanted), (name, recognise(data), wanted)


@given(st.sampled_from(FAULTS), st.integers(0, 400))
@SLOW
def test_any_prefix_is_safe(fault, cut):
    """A torn line never raises; it has the cause of the whole, or an honest less."""
    torn = recognise(fault[:cut], raw=True)
    assert torn.cause in {
        recognise(fault, raw=True).cause,
        Cause.NONE,
        Cause.PYTHON_EXCEPTION_OTHER,
        Cause.UNKNOWN_ABORT,
        Cause.MEMORY_ACCESS_FAULT,
        Cause.OUT_OF_MEMORY,
    }


@pytest.mark.parametrize("size", [1 << 18, 1 << 20, 9 << 20])
def test_a_fault_is_found_in_every_size_of_log(size):
    """Both ways to search (all words, few words) agree on driver faults, deaths and exceptions."""
    filler = b"INFO step 12 of 400: nothing happened, all is well on this line\n"
    filler *= size // len(filler) // 2 + 1
    for line, cause in (
        (
            "Memory access fault by GPU node-1 (Agent handle: 0x55) on address 0x7f00. Reason: Unknown.",
            "memory_access_fault",
        ),
        (
            ":0:rocdevice.cpp :2984: 1 us: Callback: Queue 0x7f00 aborting with error : HSA_STATUS_ERROR_"
            "MEMORY_APERTURE_"
            "VIOLATION: The agent attempted to access memory beyond the largest legal address. code: 0x29",
            "aperture_violation",
        ),
        ("HW Exception by GPU node-1 (Agent handle: 0x5) reason :GPU Hang", "gpu_hang_reset"),
        ("torch.OutOfMemoryError: HIP out of memory. Tried to allocate 14.00 MiB.", "out_of_memory"),
        ("RuntimeError: HIP error: invalid device function", "no_kernel_image"),
        ("CUDA error: an illegal memory access was encountered", "memory_access_fault"),
        (
            "MIOpen Error: /MIOpen/src/ocl/convolutionocl.cpp:518: Forward Convolution cannot be executed",
            "miopen_error",
        ),
        (
            "rocBLAS error: Cannot read /x/TensileLibrary.dat: No such file or directory for GPU arch : gfx1010",
            "missing_library_kernels",
        ),
        ("Segmentation fault (core dumped)", "segfault"),
        ("Aborted (core dumped)", "unknown_abort"),
        ("Out of memory: Killed process 4567 (firefox) total-vm:8123456kB", "cpu_oom_kill"),
        ("ValueError: no", "python_exception_other"),
        (
            "amdgpu 0000:03:00.0: amdgpu: ring gfx_0.0.0 timeout, signaled seq=2, emitted seq=4",
            "gpu_hang_reset",
        ),
    ):
        found = recognise(filler + line.encode() + b"\n" + filler, raw=True)
        assert (found.cause, found.line) == (cause, line)


def test_speed():
    """A log of 20 MB without a fault, at 50 MB/s in the benchmark; here with room for a busy machine."""
    rng = random.Random(3)
    words = [
        "loading",
        "model",
        "slot",
        "task",
        "prompt",
        "progress",
        "cache",
        "usage",
        "timeout=30",
        "failed=0",
        "error=0.1",
        "memory",
        "process",
    ]
    block = "\n".join(" ".join(rng.choices(words, k=14)) for _ in range(20_000)).encode() + b"\n"
    data = block * (20_000_000 // len(block))
    start = time.process_time()
    assert recognise(data).cause is Cause.NONE
    seconds = time.process_time() - start
    assert len(data) / 1e6 / seconds > 15, f"{len(data) / 1e6 / seconds:.0f} MB/s"


def test_one_endless_line_and_hostile_lines_are_quick():
    for text in (
        "error" * 400_000,
        "CUDA error: " * 100_000,
        "(" * 100_000 + " Error:",
        "a.b." * 100_000 + "Error: x",
        "[" * 50_000,
        "> " * 50_000 + "Segmentation fault",
        "Memory access fault by GPU node-1 " * 20_000,
    ):
        start = time.process_time()
        recognise(text)
        assert time.process_time() - start < 2.0, text[:30]


def test_many_different_error_lines_are_bounded():
    text = "\n".join(
        f"Error{index}: step {index} {'x' * (index % 7)} failed {index * 7919 % 97}{chr(97 + index % 26)}"
        for index in range(150_000)
    )
    start = time.process_time()
    recognise(text)
    assert time.process_time() - start < 10.0


def test_every_literal_is_found_in_a_text_of_usual_size():
    """The search by words misses no needle of the table, wherever it stands in its line."""
    for needle in _needles():
        text = b"first\n" + b"x" * 9 + needle + b"y" * 9 + b"\nlast\n"
        assert [line.offset for line in scan.candidates(text, _needles())] == [6], needle


def test_clean_keeps_line_numbers():
    assert scan.clean(b"a\r\nb\rc\n").split(b"\n") == [b"a", b"b", b"c", b""]
