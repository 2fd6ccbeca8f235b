"""Kernel log lines -> events: page faults, ring timeouts, resets, Xids, OOM kills. Pure; the patterns are a
table.

Formats: amdgpu (gmc_v9_0.c, gmc_v10_0.c, amdgpu_job.c, amdgpu_device.c, kfd_device_queue_manager.c),
NVIDIA's NVRM Xid lines, mm/oom_kill.c, arch/x86 fault reports. A line may carry any of the usual prefixes:
raw /dev/kmsg, dmesg's ``[  12.345678]``, journalctl's ``Oct 27 13:02:30 host kernel:``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from rmcp.words import DeviceEvent

_LONGEST = 2000  # characters of a line that are looked at; printk's own limit is 1024
_JOIN_LINES = 40  # a page fault report is 10 lines; other devices may talk in between

_PREFIX = re.compile(
    r"^(?:\d+,\d+,[0-9]{1,20},[^;]*;"  # /dev/kmsg
    # dmesg, and journalctl -o short-monotonic
    r"|(?:<\d+>)?\s*\[\s*\d+\.\d+\]\s*(?:\[\s*[TC]\d+\]\s*)?(?:(?:[\w.-]+ )?kernel: )?"
    # journalctl's other forms
    r"|(?:\w{3} [ \d]\d [\d:]{8}|\d{4}-\d\d-\d\dT\S+|\d+\.\d+) \S+ kernel: (?:\[\s*\d+\.\d+\]\s*)?"
    r")"
)
_PCI = re.compile(r"(?<![\w:])(?:PCI:)?([0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(?:\.[0-7])?)")
_PROCESS = re.compile(
    r"\bprocess\s+(?:information:\s+process\s+)?(?P<process>\S.{0,63}?)?\s*\bpid\s+(?P<pid>\d+)",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"\bin page starting at address (0x[0-9a-fA-F]+)|\bat (?:page|address) (0x[0-9a-fA-F]+)"
)


@dataclass(frozen=True)
class _Rule:
    """One kind of line. ``opens``: lines that follow may belong to it and tell the process or the address."""

    kind: str
    device: DeviceEvent
    pattern: re.Pattern[str]
    opens: bool = False


def _rule(kind: str, device: DeviceEvent, pattern: str, opens: bool = False) -> _Rule:
    return _Rule(kind, device, re.compile(pattern), opens)


_FAULT, _RESET, _WEDGED, _LOST = DeviceEvent.FAULT, DeviceEvent.RESET, DeviceEvent.WEDGED, DeviceEvent.LOST
_RULES = (
    _rule("page-fault", _FAULT, r"\[(?:gfxhub|mmhub)\d*\] (?:no-retry |retry )?page fault \(", True),
    _rule("page-fault", _FAULT, r"amdgpu.*\bVM fault \(0x|amdgpu.*GPU fault detected:", True),
    _rule("ring-timeout", _RESET, r"\bring (?P<ring>[\w.]+) timeout\b", True),
    _rule("reset-begin", _RESET, r"\bGPU reset begin\b"),
    _rule(
        "reset-succeeded", _RESET, r"\bGPU reset(?:\(\d+\))? succeeded\b|wedged, but recovered through reset"
    ),
    _rule(
        "reset-failed", _WEDGED, r"\bGPU reset end with ret = -|\bGPU Recovery Failed\b|\bASIC reset failed\b"
    ),
    _rule(
        "ring-reset",
        _RESET,
        r"\bStarting (?P<ring>[\w.]+) ring reset\b|\bRing (?P<ring2>[\w.]+) reset (?:fail|succ)",
    ),
    _rule("vram-lost", _RESET, r"\bVRAM is lost due to GPU reset\b"),
    _rule(
        "scheduler-hang",
        _RESET,
        r"\bqcm fence wait loop timeout expired\b|\bHWS hang\b|\bcp might be in an unrecoverable state\b",
    ),
    _rule(
        "scheduler-hang", _RESET, r"\bMES failed to respond to msg=|\bMES might be in unrecoverable state\b"
    ),
    _rule(
        "eviction-failed", _RESET, r"\bFailed to evict (?:process )?queues?\b|\bFreeing queue vital buffer\b"
    ),
    _rule("illegal-command", _FAULT, r"\bIllegal (?:instruction|register access) in command stream\b", True),
    _rule(
        "not-ready", _WEDGED, r"\bscheduler \S+ is not ready, skipping\b|\bdevice wedged, needs recovery\b"
    ),
    _rule(
        "gpu-lost",
        _LOST,
        r"\bhas fallen off the bus\b|\bdevice lost from bus\b|\bconfig space inaccessible\b",
    ),
    _rule("xid", _FAULT, r"\bNVRM: Xid \(PCI:(?P<pci>[0-9a-fA-F:.]+)\): (?P<xid>\d+)\b"),
    _rule("oom-kill", DeviceEvent.NONE, r"\bKilled process (?P<pid>\d+) \((?P<process>.{0,63}?)\)"),
    _rule("oom-kill", DeviceEvent.NONE, r"\boom-kill:.*\btask=(?P<process>[^,]{0,63}),pid=(?P<pid>\d+)\b"),
    _rule(
        "segfault",
        DeviceEvent.NONE,
        r"(?:\btraps: |^)(?P<process>\S.{0,62}?)\[(?P<pid>\d+)\]:? (?:segfault at |trap |general protection)",
    ),
    _rule(
        "hung-task",
        DeviceEvent.NONE,
        r"\btask (?P<process>\S.{0,62}?):(?P<pid>\d+) blocked for more than \d+ seconds",
    ),
)
# Lines that continue an open report of the same device.
_CONTINUES = re.compile(
    r"\bin process |\bfor process |[Pp]rocess information: |\bProcess \S.* pid \d+ thread "
    r"|\bin page starting at address|VM_L2_PROTECTION_FAULT_STATUS|Faulty UTCL2 client ID"
    r"|\b(?:MORE_FAULTS|WALKER_ERROR|PERMISSION_FAULTS|MAPPING_ERROR|RW):"
)
_XID_PID = re.compile(r"\bpid=['\"]?(\d+)")
_XID_NAME = re.compile(r"\bname=([^,]{1,63})")
# Xids after which the GPU needs a reset or is gone (NVIDIA's Xid catalogue): 74 NVLink, 79 off the bus,
# 95 uncontained ECC, 119 and 120 GSP timeouts.
_XID_EVENT = {"79": _LOST, "74": _WEDGED, "95": _WEDGED, "119": _WEDGED, "120": _WEDGED}


@dataclass(frozen=True)
class KernelEvent:
    """One report of the kernel. ``text`` are its lines without log prefixes, joined by newlines.

    ``pid`` and ``process`` are whom the kernel blames, None and '' when it names nobody; ``address`` is the
    page of a fault; ``at`` seconds on the kernel's log clock, None when the line had none; ``number`` an Xid.
    """

    kind: str
    text: str
    device: DeviceEvent = DeviceEvent.NONE
    pid: int | None = None
    process: str = ""
    address: str = ""
    pci: str = ""
    ring: str = ""
    number: int | None = None
    at: float | None = None


@dataclass(frozen=True)
class Attribution:
    """Events of one window by owner. ``own``: the kernel names the pid, or an event that names nobody
    follows such a one on the same device; ``foreign``: another process is named first; ``nameless``: nobody
    is named."""

    own: tuple[KernelEvent, ...] = ()
    foreign: tuple[KernelEvent, ...] = ()
    nameless: tuple[KernelEvent, ...] = ()

    @property
    def worst(self) -> DeviceEvent:
        """The worst thing that the own events say of the device."""
        order = list(DeviceEvent)
        return max((event.device for event in self.own), key=order.index, default=DeviceEvent.NONE)

    @property
    def foreign_owner(self) -> str:
        """Who the first foreign event blames, for people; empty when there is none."""
        first = next(iter(self.foreign), None)
        return "" if first is None else f"process {first.process or '?'} (pid {first.pid})"


@dataclass
class _Open:
    event: KernelEvent
    index: int  # in the result
    line: int


@dataclass
class _State:
    found: list[KernelEvent] = field(default_factory=list)
    open: list[_Open] = field(default_factory=list)


def parse(lines: Iterable[str]) -> list[KernelEvent]:
    """Events in the order of their first lines. Lines that are no event are skipped; nothing raises."""
    state = _State()
    for number, raw in enumerate(lines):
        at, text = strip_prefix(raw[:_LONGEST].rstrip("\r\n"))
        found = _match(text, at)
        if found is None:
            if _CONTINUES.search(text):
                _join(state, text, number)
            continue
        event, opens = found
        if _same_kill(state.found, event):
            continue
        state.found.append(event)
        state.open = [one for one in state.open if number - one.line < _JOIN_LINES]
        if opens:
            state.open = [one for one in state.open if one.event.pci != event.pci]
            state.open.append(_Open(event, len(state.found) - 1, number))
    return state.found


def strip_prefix(line: str) -> tuple[float | None, str]:
    """(seconds on the kernel's log clock or None, the message without prefix and ANSI colours)."""
    line = re.sub(r"\x1b\[[0-9;]*m", "", line)
    prefix = _PREFIX.match(line)
    if prefix is None:
        return None, line.strip()
    head = prefix[0]
    if head.endswith(";"):
        return int(head.split(",")[2]) / 1e6, line[prefix.end() :].strip()
    stamp = re.search(r"\[\s*(\d+\.\d+)\]", head)
    return float(stamp[1]) if stamp else None, line[prefix.end() :].strip()


def attribute(events: Sequence[KernelEvent], pid: int | Iterable[int]) -> Attribution:
    """Divide the events of a window among ``pid`` (or the pids of a case and its descendants), others, and
    nobody.

    An event that names nobody (``GPU reset begin!``) belongs to whoever was named last before it on its
    device.
    """
    pids = {pid} if isinstance(pid, int) else set(pid)
    last: dict[str, KernelEvent] = {}  # by device; some drivers' lines do not tell which, those are under ""
    latest: KernelEvent | None = None
    own, foreign, nameless = [], [], []
    for event in events:
        if event.pid is not None:
            named: KernelEvent | None = event
            if event.device is not DeviceEvent.NONE:
                latest = last[event.pci] = event
        else:
            named = last.get(event.pci) or last.get("") if event.pci else latest
        if named is None or (event.pid is None and event.device is DeviceEvent.NONE):
            nameless.append(event)
        elif named.pid in pids:
            own.append(event)
        else:
            foreign.append(event)
    return Attribution(tuple(own), tuple(foreign), tuple(nameless))


def _match(text: str, at: float | None) -> tuple[KernelEvent, bool] | None:
    for rule in _RULES:
        found = rule.pattern.search(text)
        if found is None:
            continue
        groups = found.groupdict()
        pci = groups.get("pci") or next(iter(_PCI.findall(text)), "")
        event = KernelEvent(
            kind=rule.kind,
            text=text,
            device=rule.device,
            pid=int(groups["pid"]) if groups.get("pid") else None,
            process=groups.get("process") or "",
            pci=_normal_pci(pci),
            ring=groups.get("ring") or groups.get("ring2") or "",
            number=int(groups["xid"]) if groups.get("xid") else None,
            at=at,
        )
        if rule.kind == "xid":
            event = _xid(event, text)
        return _more(event, text) if event.device is not DeviceEvent.NONE else event, rule.opens
    return None


def _xid(event: KernelEvent, text: str) -> KernelEvent:
    pid, name = _XID_PID.search(text), _XID_NAME.search(text)
    return replace(
        event,
        device=_XID_EVENT.get(str(event.number), _FAULT),
        pid=int(pid[1]) if pid else None,
        process=name[1].strip() if name else "",
    )


def _more(event: KernelEvent, text: str) -> KernelEvent:
    """The event with the process and address that this line of its report names."""
    process, address = _PROCESS.search(text), _ADDRESS.search(text)
    if process and event.pid is None and int(process["pid"]) > 0:
        event = replace(event, pid=int(process["pid"]), process=(process["process"] or "").strip())
    if address and not event.address:
        event = replace(event, address=address[1] or address[2])
    return event


def _join(state: _State, text: str, number: int) -> None:
    pci = _normal_pci(next(iter(_PCI.findall(text)), ""))
    for one in reversed(state.open):
        if number - one.line < _JOIN_LINES and (pci == one.event.pci or not pci or not one.event.pci):
            joined = replace(_more(one.event, text), text=one.event.text + "\n" + text)
            if pci and not joined.pci:
                joined = replace(joined, pci=pci)
            state.found[one.index] = one.event = joined
            return


def _same_kill(found: Sequence[KernelEvent], event: KernelEvent) -> bool:
    """The OOM killer names its victim in two lines; that is one kill."""
    return event.kind == "oom-kill" and any(one.kind == "oom-kill" and one.pid == event.pid for one in found)


def _normal_pci(pci: str) -> str:
    """``00000000:01:00.0`` and ``0000:01:00`` -> ``0000:01:00.0``, as sysfs names devices."""
    if not pci:
        return ""
    domain, _, rest = pci.lower().partition(":")
    return f"{domain[-4:]}:{rest}" + ("" if "." in rest else ".0")
