# ruff: noqa: E501  (tables: one row on one line reads best)
"""Kernel log: formats, joined reports, owners, and windows over /dev/kmsg, dmesg and journalctl."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmcp.device.bounded import Ended
from rmcp.device.kernel_log import KernelEvent, KernelLog, attribute, parse
from rmcp.words import DeviceEvent

AMD = "amdgpu 0000:03:00.0: amdgpu: "
FAULT = [
    AMD + "[gfxhub] page fault (src_id:0 ring:24 vmid:8 pasid:32771)",
    AMD + " in process python3 pid 4321 thread python3 pid 4321)",
    AMD + "  in page starting at address 0x00007f0012345000 from client 0x1b (UTCL2)",
    AMD + "GCVM_L2_PROTECTION_FAULT_STATUS:0x00801031",
    AMD + "\t Faulty UTCL2 client ID: TCP (0x8)",
    AMD + "\t MORE_FAULTS: 0x1",
]
HANG = [
    "[drm:amdgpu_job_timedout [amdgpu]] *ERROR* ring comp_1.1.0 timeout, signaled seq=5, emitted seq=7",
    "[drm:amdgpu_job_timedout [amdgpu]] *ERROR* Process information: process python3 pid 99 thread python3 pid 99",
    AMD + "GPU reset begin!",
    AMD + "GPU reset(1) succeeded!",
    AMD + "VRAM is lost due to GPU reset!",
]

# one line, kind, what it does to the device, pid, process, PCI address
LINES = [
    (AMD + "[gfxhub0] no-retry page fault (src_id:0 ring:158 vmid:8 pasid:32769, for process py thon pid 7 thread x pid 7)",
     "page-fault", "fault", 7, "py thon", "0000:03:00.0"),
    (AMD + "[mmhub] page fault (src_id:0 ring:40 vmid:1 pasid:0, for process  pid 0 thread  pid 0)",
     "page-fault", "fault", None, "", "0000:03:00.0"),
    (AMD + "ring gfx_0.0.0 timeout, but soft recovered", "ring-timeout", "reset", None, "", "0000:03:00.0"),
    (AMD + "GPU reset begin!. Source:  1", "reset-begin", "reset", None, "", "0000:03:00.0"),
    (AMD + "GPU reset succeeded, trying to resume", "reset-succeeded", "reset", None, "", "0000:03:00.0"),
    (AMD + "GPU reset end with ret = -62", "reset-failed", "wedged", None, "", "0000:03:00.0"),
    (AMD + "Starting comp_1.0.0 ring reset", "ring-reset", "reset", None, "", "0000:03:00.0"),
    (AMD + "VRAM is lost due to GPU reset!", "vram-lost", "reset", None, "", "0000:03:00.0"),
    ("amdgpu: qcm fence wait loop timeout expired", "scheduler-hang", "reset", None, "", ""),
    (AMD + "MES failed to respond to msg=REMOVE_QUEUE", "scheduler-hang", "reset", None, "", "0000:03:00.0"),
    ("amdgpu: Failed to evict process queues", "eviction-failed", "reset", None, "", ""),
    (AMD + "Illegal register access in command stream", "illegal-command", "fault", None, "", "0000:03:00.0"),
    ("[drm] scheduler comp_1.1.1 is not ready, skipping", "not-ready", "wedged", None, "", ""),
    ("NVRM: Xid (PCI:0000:01:00): 31, pid=808, name=llama-server, Ch 00000008, intr 00000000. MMU Fault",
     "xid", "fault", 808, "llama-server", "0000:01:00.0"),
    ("NVRM: Xid (PCI:0000:01:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
     "gpu-lost", "lost", None, "", "0000:01:00.0"),
    ("NVRM: Xid (PCI:0000:01:00): 119, pid=5, name=python3, Timeout after 6s", "xid", "wedged", 5, "python3", "0000:01:00.0"),
    ("Out of memory: Killed process 4567 (python3) total-vm:8123456kB, anon-rss:5234567kB",
     "oom-kill", "none", 4567, "python3", ""),
    ("Memory cgroup out of memory: Killed process 12 (my prog) total-vm:1kB", "oom-kill", "none", 12, "my prog", ""),
    ("oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,task=python3,pid=12,uid=0",
     "oom-kill", "none", 12, "python3", ""),
    ("python3[1234]: segfault at 0 ip 00007f sp 0000 error 4 in libamdhip64.so.5[7f00+1000]",
     "segfault", "none", 1234, "python3", ""),
    ("traps: python3[1234] trap divide error ip:7f sp:7f error:0 in libdnnl.so", "segfault", "none", 1234, "python3", ""),
    ("INFO: task python3:77 blocked for more than 120 seconds.", "hung-task", "none", 77, "python3", ""),
]  # fmt: skip
PREFIXES = {
    "bare": "",
    "dmesg": "[  499.707618] ",
    "dmesg with caller": "[  499.707618] [   T4321] ",
    "kmsg": "6,1234,499707618,-;",
    "kmsg with flags": "6,1234,499707618,c,caller=T1;",
    "journal": "Oct 27 13:02:30 my-host kernel: ",
    "journal monotonic": "[  499.707618] my-host kernel: ",
    "journal unix": "1700000000.123456 my-host kernel: ",
    "journal iso": "2026-11-21T04:00:00+0000 my-host kernel: ",
    "coloured dmesg": "\x1b[32m[  499.707618] \x1b[0m\x1b[33m",
}


@pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES)
@pytest.mark.parametrize(("line", "kind", "device", "pid", "process", "pci"), LINES)
def test_lines(
    prefix: str, line: str, kind: str, device: str, pid: int | None, process: str, pci: str
) -> None:
    (event,) = parse([prefix + line])
    assert (event.kind, event.device.value, event.pid, event.process, event.pci) == (
        kind,
        device,
        pid,
        process,
        pci,
    )
    assert event.text == line.strip()
    if "499.707618" in prefix or "499707618" in prefix:
        assert event.at == 499.707618


def test_a_page_fault_report_is_one_event() -> None:
    (event,) = parse(FAULT)
    assert (event.pid, event.process, event.address) == (4321, "python3", "0x00007f0012345000")
    assert "GCVM_L2_PROTECTION_FAULT_STATUS:0x00801031" in event.text


def test_two_devices_that_talk_at_once() -> None:
    other = [
        line.replace("0000:03", "0000:0a").replace("4321", "55").replace("12345", "54321") for line in FAULT
    ]
    mixed = [line for pair in zip(FAULT, other, strict=True) for line in pair]
    first, second = parse(mixed)
    assert (first.pci, first.pid, first.address) == ("0000:03:00.0", 4321, "0x00007f0012345000")
    assert (second.pci, second.pid, second.address) == ("0000:0a:00.0", 55, "0x00007f0054321000")


def test_unrelated_lines_do_not_break_a_report() -> None:
    noisy = [
        line for one in FAULT for line in (one, "usb 1-2: new high-speed USB device", "audit: type=1400")
    ]
    assert parse(noisy) == parse(FAULT)


def test_a_timeout_and_its_reset_belong_to_the_process_that_hung() -> None:
    events = parse(HANG)
    assert [one.kind for one in events] == ["ring-timeout", "reset-begin", "reset-succeeded", "vram-lost"]
    assert (events[0].pid, events[0].ring) == (99, "comp_1.1.0")
    mine = attribute(events, 99)
    assert mine.own == tuple(events)
    assert mine.worst is DeviceEvent.RESET
    theirs = attribute(events, 4321)
    assert theirs.own == ()
    assert theirs.foreign == tuple(events)
    assert theirs.foreign_owner == "process python3 (pid 99)"


def test_the_first_named_owns_what_follows_on_its_device() -> None:
    events = parse([*FAULT, AMD + "GPU reset begin!", AMD.replace("03", "0a") + "GPU reset begin!"])
    told = attribute(events, {4321, 4322})
    assert [one.kind for one in told.own] == ["page-fault", "reset-begin"]
    assert [one.pci for one in told.nameless] == ["0000:0a:00.0"]
    assert told.foreign == ()


def test_a_reset_without_a_name_is_nobodys() -> None:
    told = attribute(parse([AMD + "GPU reset begin!"]), 5)
    assert (told.own, told.foreign, len(told.nameless)) == ((), (), 1)


def test_an_oom_kill_is_one_event_and_no_owner_of_resets() -> None:
    events = parse(
        [
            LINES[16][0],
            LINES[16][0].replace("Out of memory", "Memory cgroup out of memory"),
            AMD + "GPU reset begin!",
        ]
    )
    assert [one.kind for one in events] == ["oom-kill", "reset-begin"]
    told = attribute(events, 4567)
    assert [one.kind for one in told.own] == ["oom-kill"]
    assert told.worst is DeviceEvent.NONE
    assert [one.kind for one in told.nameless] == ["reset-begin"]


@pytest.mark.parametrize(
    "line",
    [
        "amdgpu 0000:03:00.0: amdgpu: SMU is initialized successfully!",
        "[drm] amdgpu kernel modesetting enabled.",
        "python3: page fault in my head",
        "amdgpu: Virtual CRAT table created for GPU",
        "nvidia 0000:01:00.0: enabling device",
        "systemd[1]: Started Killer process service",
        "",
    ],
)
def test_ordinary_lines_are_no_events(line: str) -> None:
    assert parse([line]) == []


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text(max_size=80) | st.sampled_from(FAULT + HANG + [row[0] for row in LINES]), max_size=30)
)
def test_no_log_is_an_exception(lines: list[str]) -> None:
    for event in parse([*lines, "9" * 1900, "6,1," + "9" * 900 + ",-;x", "[" + "9" * 900 + ".1] " + HANG[0]]):
        assert event.text
    attribute(parse(lines), 4321)


def test_random_text_is_no_event() -> None:
    import random

    rng = random.Random(7)
    words = [line.split() for line in FAULT + HANG]
    bag = [word for line in words for word in line]
    for _ in range(200):
        assert not [
            one
            for one in parse([" ".join(rng.choices(bag, k=6))])
            if one.kind in ("xid", "oom-kill", "segfault")
        ]


# -- the readers
# --------------------------------------------------------------------------------------------------


class Kmsg:
    """A stand-in for /dev/kmsg: a pipe in packet mode, one record per read."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe2(os.O_DIRECT | os.O_NONBLOCK | os.O_CLOEXEC)
        self.sequence = 100

    def say(self, *lines: str) -> None:
        for line in lines:
            os.write(
                self.write, f"6,{self.sequence},{self.sequence * 1000},-;{line}\n SUBSYSTEM=pci\n".encode()
            )
            self.sequence += 1


@pytest.fixture
def kmsg() -> Kmsg:
    return Kmsg()


def test_windows_by_sequence_number(kmsg: Kmsg) -> None:
    kmsg.say("before everything")
    log = KernelLog.from_descriptor(kmsg.read)
    first = log.mark()
    assert log.window(first) == []
    kmsg.say(*FAULT)
    second = log.mark()
    kmsg.say(*HANG)
    assert [one.kind for one in log.events(second)] == [
        "ring-timeout",
        "reset-begin",
        "reset-succeeded",
        "vram-lost",
    ]
    assert [one.kind for one in log.events(first)][:2] == ["page-fault", "ring-timeout"]
    assert all("SUBSYSTEM" not in line and "before" not in line for line in log.window(first))
    assert log.fileno() == kmsg.read
    log.close()
    log.close()


def test_a_flood_is_bounded(kmsg: Kmsg) -> None:
    log = KernelLog.from_descriptor(kmsg.read)
    mark = log.mark()
    for _ in range(1100):
        kmsg.say(*["x" * 200] * 10)
        log.mark()
    assert len(log.window(mark)) == 10_000
    log.close()


def test_escapes_and_garbage_in_records(kmsg: Kmsg) -> None:
    log = KernelLog.from_descriptor(kmsg.read)
    mark = log.mark()
    os.write(kmsg.write, b"no record at all")
    os.write(kmsg.write, b"\xff\xfe;;;,,,\n")
    kmsg.say("caf\\xc3 and \\x1b[31m")
    (line,) = log.window(mark)
    assert line.endswith("caf\xc3 and \x1b[31m")
    log.close()


def test_a_watch_tells_every_event_once_and_ends(kmsg: Kmsg) -> None:
    now = [1000.0]
    log = KernelLog.from_descriptor(kmsg.read)
    watch = log.watch(log.mark(), 70.0, clock=lambda: now[0])
    assert watch.poll() == []
    kmsg.say(FAULT[0])
    (event,) = watch.poll()
    assert event.pid is None
    kmsg.say(*FAULT[1:])
    (event,) = watch.poll()  # the same report, of which more is known now
    assert (event.kind, event.pid) == ("page-fault", 4321)
    assert watch.poll() == []
    now[0] += 60.0
    kmsg.say(*HANG)
    assert [one.kind for one in watch.poll()] == [
        "ring-timeout",
        "reset-begin",
        "reset-succeeded",
        "vram-lost",
    ]
    assert not watch.done
    now[0] += 10.0
    assert watch.done
    log.close()


class Child:
    """Stands for run_bounded: answers by the program's name, notes the calls."""

    def __init__(self, **answers: Ended) -> None:
        self.answers = answers
        self.calls: list[tuple[str, ...]] = []

    def __call__(self, argv: Sequence[str], deadline_s: float) -> Ended:
        assert deadline_s <= 10.0
        self.calls.append(tuple(argv))
        return self.answers.get(argv[0], Ended(tuple(argv), missing="No such file or directory"))


def said(text: str, stderr: str = "") -> Ended:
    return Ended((), returncode=0, stdout=text, stderr=stderr)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")


def test_dmesg_when_kmsg_is_closed(tmp_path: Path, installed: None) -> None:
    child = Child(dmesg=said("[    5.000000] old line\n"))
    log = KernelLog.open(path=str(tmp_path / "none"), run=child)
    assert (log.source, log.fileno()) == ("dmesg", -1)
    mark = log.mark()
    child.answers["dmesg"] = said(
        "[    5.000000] old line\n" + "".join(f"[   {6 + n}.000000] {line}\n" for n, line in enumerate(HANG))
    )
    assert [one.kind for one in log.events(mark)][:2] == ["ring-timeout", "reset-begin"]
    assert len(log.since_boot()) == 6


def test_journal_when_dmesg_is_closed_too(tmp_path: Path, installed: None) -> None:
    denied = Ended((), returncode=1, stderr="dmesg: read kernel buffer failed: Operation not permitted")
    child = Child(dmesg=denied, journalctl=said("-- No entries --\n"))
    log = KernelLog.open(path=str(tmp_path / "none"), run=child)
    assert log.source == "journal"
    assert "Operation not permitted" in log.reason
    mark = log.mark()
    lines = [f"{mark.wall_s - 5:.6f} host kernel: {FAULT[0]}"] + [
        f"{mark.wall_s + 1:.6f} host kernel: {one}" for one in HANG
    ]
    child.answers["journalctl"] = said("\n".join(lines))
    assert [one.kind for one in log.events(mark)] == [
        "ring-timeout",
        "reset-begin",
        "reset-succeeded",
        "vram-lost",
    ]
    assert child.calls[-1][-1] == f"--since=@{int(mark.wall_s)}"
    assert len(log.since_boot()) == 6
    assert child.calls[-1][-2:] == ("--since=@0", "--boot")


def test_a_watch_does_not_start_a_child_at_every_poll(tmp_path: Path, installed: None) -> None:
    child, now = Child(dmesg=said("")), [0.0]
    log = KernelLog.open(path=str(tmp_path / "none"), run=child)
    watch = log.watch(log.mark(), 70.0, clock=lambda: now[0])
    before = len(child.calls)
    for _ in range(100):
        watch.poll()
        now[0] += 0.1
    assert len(child.calls) - before <= 6


def test_no_source_says_why_and_sees_nothing(tmp_path: Path, installed: None) -> None:
    hint = said("", "Hint: You are currently not seeing messages from other users and the system.")
    child = Child(dmesg=Ended((), returncode=1, stderr="dmesg: read kernel buffer failed"), journalctl=hint)
    log = KernelLog.open(path=str(tmp_path / "none"), run=child)
    assert log.source == "none"
    assert "group" in log.reason
    mark = log.mark()
    assert (log.window(mark), log.since_boot(), log.events(mark)) == ([], [], [])


def test_the_past_is_read_without_moving_the_windows(tmp_path: Path) -> None:
    path = tmp_path / "kmsg"
    path.write_text(f"6,1,1000,-;{FAULT[0]}\n", encoding="utf-8")  # a file gives all in one read: one record
    log = KernelLog.open(path=str(path))
    mark = log.mark()
    assert [one.kind for one in parse(log.since_boot())] == ["page-fault"]
    assert log.window(mark) == []
    log.close()


def test_the_real_one_opens_or_says_why_not() -> None:
    log = KernelLog.open()
    mark = log.mark()
    assert isinstance(log.window(mark), list)
    assert log.source != "none" or log.reason
    log.close()


def test_events_are_values() -> None:
    assert KernelEvent("xid", "x") == KernelEvent("xid", "x")
