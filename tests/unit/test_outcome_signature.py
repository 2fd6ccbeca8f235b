"""Signatures: equal for the same crash, different for another, and merging where one log knows less."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmcp.outcome.fingerprint import RELEASES, runtime_of_line, runtimes, source_line, warning
from rmcp.outcome.signature import cluster, normalise, normalise_kernel, same, signature_of
from rmcp.words import Cause, Outcome


def sign(**given_parts):
    parts = {
        "outcome": Outcome.CRASH,
        "cause": Cause.MEMORY_ACCESS_FAULT,
        "signal": "SIGABRT",
        "layer": "rocr",
    }
    return signature_of(**{**parts, "phase": "launch", **given_parts})


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("on address 0x7f3a00200000.", "on address <addr>."),
        ("on address (nil).", "on address <addr>."),
        ("node-12 pid 4711 tid: 9", "node-<n> pid <n> tid: <n>"),
        ("amdgpu 0000:03:00.0: x", "amdgpu <pci>: x"),
        ("/opt/rocm-5.7.0/lib/a.dat: no", "<path>: no"),
        ("C:\\Users\\me\\x.cu failed", "<path> failed"),
        ("Tried to allocate 14.00 MiB", "Tried to allocate <size>"),
        ("step 12 of 400", "step <n> of <n>"),
        ("gfx1010 keeps its name", "gfx1010 keeps its name"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("  many \n blanks ", "many blanks"),
    ],
)
def test_normalise(text, normal):
    assert normalise(text) == normal


@given(st.text(max_size=80))
def test_normalise_settles(text):
    once = normalise(text)
    assert normalise(once) == once


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("_Z22fused_gated_ffn_kernelPKfS0_S0_Pfiii", "_Z22fused_gated_ffn_kernelPKfS0_S0_Pfiii"),
        ("void conv_fwd<float, 3, 16>(float const*, int)", "conv_fwd<float, #, #>"),
        ("conv_fwd.kd", "conv_fwd"),
        ("input_scatter_fusion_38", "input_scatter_fusion_#"),
        ("triton_poi_fused_add_0", "triton_poi_fused_add_#"),
        ("Cijk_Ailk_Bljk_SB_MT64x64x8", "Cijk_Ailk_Bljk_SB_MT64x64x8"),
    ],
)
def test_kernel_name(name, normal):
    assert normalise_kernel(name) == normal


def test_parts_in_order():
    best, titles = sign(kernel="conv_fwd.kd")
    assert best == "crash|memory_access_fault|SIGABRT|rocr|conv_fwd|launch"
    assert titles == (
        "crash|memory_access_fault|SIGABRT|rocr|?|launch",
        "crash|memory_access_fault|SIGABRT|?|?|?",
    )


def test_a_pass_has_no_signature():
    assert signature_of(outcome=Outcome.PASS) == ("", ())


def test_pipe_in_a_name_cannot_forge_a_part():
    best, _ = sign(kernel="a|b")
    assert best.count("|") == 5


def test_with_and_without_kernel_name_is_the_same_crash():
    named, unnamed, other = sign(kernel="conv_fwd")[0], sign()[0], sign(kernel="conv_bwd")[0]
    assert same(named, unnamed)
    assert same(unnamed, other)
    assert not same(named, other)
    assert not same(named, sign(cause=Cause.APERTURE_VIOLATION)[0])
    assert unnamed in sign(kernel="conv_fwd")[1], "the shorter name is a title of the longer one"


def test_cluster_merges_what_is_clear_only():
    named, unnamed, other = sign(kernel="conv_fwd")[0], sign()[0], sign(kernel="conv_bwd")[0]
    assert cluster([unnamed, named]) == {named: named, unnamed: named}
    assert cluster([unnamed, named, other])[unnamed] == unnamed, "it could be either, so it stays alone"
    assert cluster([]) == {}


@given(st.lists(st.tuples(*[st.sampled_from(["a", "b", "?"])] * 3), max_size=8))
def test_cluster_is_total_and_idempotent(rows):
    signatures = ["|".join(row) for row in rows]
    found = cluster(signatures)
    assert set(found) == set(signatures)
    assert all(found[head] == head for head in found.values())
    assert all(same(item, head) for item, head in found.items())


@pytest.mark.parametrize(
    ("line", "rocm"),
    [
        (2984, "6.2"),
        (2985, "6.2"),
        (2726, "6.0"),
        (2672, "5.4"),
        (2651, "5.2"),
        (2690, "5.7"),
        (2881, "6.1.0"),
        (2302, "4.0"),
        (2301, "4.0"),
        (2603, "5.0"),
        (2789, "5.5"),
        (3675, "6.3 or newer"),
        (2993, "6.3 or newer"),
        (1772, ""),
        (2400, ""),
    ],
)
def test_source_line_tells_the_release(line, rocm):
    assert runtime_of_line(line) == rocm


def test_neighbouring_releases_are_both_named():
    assert runtimes(2614) == ("5.1",)
    assert all(runtimes(release.line) for release in RELEASES)


def test_source_line_is_read_from_the_abort_line_only():
    assert source_line(":0:rocdevice.cpp            :2984: 1 us: x") == 2984
    assert source_line(":3:rocdevice.cpp            :468 : 1 us: x") is None


@pytest.mark.parametrize(
    ("hint", "meant", "warns"),
    [
        ("6.2", "6.2", False),
        ("6.2", "6.2.4", False),
        ("6.2", "5.2", True),
        ("5.7", "5.7.31921-d1770ee1b", False),
        ("6.3 or newer", "7.0", False),
        ("6.3 or newer", "6.2", True),
        ("5.3.1 or later 5.3", "5.3", False),
        ("", "5.2", False),
        ("6.2", "", False),
        ("6.2", "custom", False),
    ],
)
def test_warning_when_another_runtime_printed(hint, meant, warns):
    text = warning(hint, meant)
    assert bool(text) is warns
    if warns:
        assert hint in text
        assert meant in text
