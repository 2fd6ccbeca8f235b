"""Which GPU a case gets, and when variables say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rmcp.device.facts import HostFacts, host_facts
from rmcp.matrix.model import Case
from rmcp.session.facts import Facts
from rmcp.session.pinning import Pinning

HOSTS = Path(__file__).parents[1] / "golden" / "device"
CARD, APU = "0000:03:00.0", "0000:10:00.0"
ROCM = {"torch": "2.9.0", "hip": "6.4.0", "device": "cuda"}


def host(name: str) -> HostFacts:
    return host_facts(HOSTS / f"{name}.json", deadline_s=5.0)


def case(device: str = "auto", **env: str) -> Case:
    return Case(id="c", key="c", row="c", workload="noop", axes={}, device=device, env=env)


def pinning(name: str, reported: dict[str, Any], **environ: str) -> Pinning:
    known = host(name)
    return Pinning(known, Facts(known, lambda _: reported), environ)


@pytest.mark.parametrize(
    ("device", "count", "environ", "env", "name", "started_on", "index"),
    [
        ("auto", 2, {}, {}, CARD, "cuda:0", "0"),
        ("cuda:1", 2, {}, {}, APU, "cuda:0", "1"),
        ("cuda:1", 2, {"HIP_VISIBLE_DEVICES": "1,0"}, {}, CARD, "cuda:0", "0"),
        # one GPU is left, or the runtime sees another number than /sys: no variable is set
        ("auto", 1, {"HIP_VISIBLE_DEVICES": "1"}, {}, APU, "auto", None),
        ("auto", 1, {}, {}, CARD, "auto", None),
        # the case chooses itself
        ("cuda:0", 2, {}, {"HIP_VISIBLE_DEVICES": "1,0"}, APU, "cuda:0", None),
        ("cpu", 2, {}, {}, "cpu", "cpu", None),
    ],
)
def test_a_case_sees_one_gpu(device, count, environ, env, name, started_on, index) -> None:
    place = pinning("two-gpus", {**ROCM, "count": count}, **environ).place(case(device, **env))
    assert (place.device, place.case.device) == (name, started_on)
    assert place.case.env.get("CUDA_VISIBLE_DEVICES") == index
    assert place.case.env.get("HIP_VISIBLE_DEVICES") == (index if index is not None else env.get("HIP_VISIBLE_DEVICES"))


def test_a_gpu_that_sys_does_not_show_is_locked_by_its_name() -> None:
    place = pinning("none", {**ROCM, "count": 1}).place(case("cuda:3"))
    assert (place.device, place.case.device) == ("cuda:3", "cuda:3")


def test_upcoming_cases_of_a_runtime_that_was_not_asked_stay() -> None:
    asked: list[Case] = []
    known = host("two-gpus")
    chooser = Pinning(known, Facts(known, lambda one: asked.append(one) or {**ROCM, "count": 2}), {})
    assert chooser.upcoming([case()]) == [case()]
    assert not asked
    chooser.place(case())
    assert chooser.upcoming([case()])[0].env == {"HIP_VISIBLE_DEVICES": "0", "CUDA_VISIBLE_DEVICES": "0"}
