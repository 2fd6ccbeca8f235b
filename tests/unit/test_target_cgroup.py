"""Where the own control group is, whose a pen is, and what is read from its files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rmcp_torch import cgroup

UNIFIED = "30 24 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = (
    "42 41 0:37 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "43 41 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup rw\n"
)


@pytest.mark.parametrize(
    ("mounts", "groups", "found"),
    [
        (UNIFIED, "0::/user.slice/session-1.scope\n", "/sys/fs/cgroup/user.slice/session-1.scope"),
        (UNIFIED, "0::/\n", "/sys/fs/cgroup"),
        (HYBRID, "4:memory:/a\n0::/b\n", "/sys/fs/cgroup/unified/b"),
        (HYBRID, "4:memory:/a\n", None),  # in no group of version 2
        ("42 41 0:37 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "0::/a\n", None),  # none mounted
        # A container without a namespace of its own for groups: only its part of the tree is mounted.
        ("9 8 0:27 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "0::/docker/1/x\n", "/sys/fs/cgroup/x"),
        ("9 8 0:27 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "0::/docker/1\n", "/sys/fs/cgroup"),
        ("9 8 0:27 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "0::/docker/12\n", None),
        ("9 8 0:27 / /mnt/a\\040b rw - cgroup2 cgroup rw\n", "0::/c\n", "/mnt/a b/c"),
        ("nonsense\n", "0::/c\n", None),
        ("", "", None),
    ],
)
def test_the_own_group(mounts: str, groups: str, found: str | None) -> None:
    assert cgroup.find_base(mounts, groups) == found


def test_the_variable_names_a_folder_or_forbids_it(tmp_path: Path) -> None:
    assert cgroup.base({cgroup.VARIABLE: ""}) is None
    assert cgroup.base({cgroup.VARIABLE: str(tmp_path)}) is None  # no group: nothing that takes processes
    (tmp_path / "cgroup.procs").write_text("")
    assert cgroup.base({cgroup.VARIABLE: str(tmp_path)}) == str(tmp_path)


def test_whose_a_pen_is(tmp_path: Path) -> None:
    pen = cgroup.Pen.make(str(tmp_path))
    assert pen is not None
    name = os.path.basename(pen.path)
    assert sorted(os.listdir(pen.path)) == ["aside", "case"]
    assert cgroup.owner_alive(name) is True
    word, namespace, pid, started, number = name.split("-")
    assert cgroup.owner_alive(f"{word}-{namespace}-{pid}-{int(started) - 1}-{number}") is False  # pid used again
    assert cgroup.owner_alive(f"{word}-{int(namespace) + 1}-{pid}-{started}-{number}") is None  # not ours to see
    assert cgroup.owner_alive("rmcp-mine") is None
    stale = tmp_path / f"{word}-{namespace}-{2**22 + 1}-1-1"
    (stale / "case" / "deeper").mkdir(parents=True)
    (tmp_path / "system.slice").mkdir()
    assert cgroup.sweep(str(tmp_path)) == [stale.name]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "system.slice"])
    assert pen.remove()
    assert cgroup.sweep(str(tmp_path / "missing")) == []


def test_a_pen_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    assert cgroup.Pen.make(str(tmp_path / "missing")) is None
    assert list(tmp_path.iterdir()) == []


def test_what_the_memory_controller_says(tmp_path: Path) -> None:
    pen = cgroup.Pen(str(tmp_path))
    assert pen.oom_kills() == 0
    assert pen.limit(10) is False
    assert not (tmp_path / "memory.max").exists()  # nothing is made where there is no controller
    (tmp_path / "memory.events").write_text("oom 9\noom_kill 4\noom_group_kill 1\n")
    assert pen.oom_kills() == 4
    (tmp_path / "memory.current").write_text("4096\n")
    assert pen.limit(10) is False
    (tmp_path / "memory.max").write_text("max\n")
    assert pen.limit(10) is True
    assert (tmp_path / "memory.max").read_text() == "4106"
