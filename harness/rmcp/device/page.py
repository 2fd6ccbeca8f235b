"""The doctor's page as text. Pure: values in, lines out; colours and signs are the caller's choice."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rmcp.device.facts import HostFacts
from rmcp.device.findings import Finding, Level
from rmcp.device.gpus import Gpu
from rmcp.device.parameters import PARAMETERS, Parameter
from rmcp.device.probes import Probed, Tool, Torch
from rmcp.device.verdicts import Mark, Verdict

_LABEL = 12  # columns of the left-hand labels
_COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


@dataclass(frozen=True)
class Style:
    """How to print: terminal width in columns, ANSI colours or none, Unicode signs or ASCII."""

    width: int = 100
    colour: bool = False
    unicode: bool = True

    def paint(self, text: str, colour: str) -> str:
        """``text`` in a colour (or bold, dim), plain when colours are off."""
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self.colour else text

    def join(self, parts: Iterable[str]) -> str:
        """The non-empty parts with a dot between them."""
        return (" · " if self.unicode else ", ").join(part for part in parts if part)

    def sign(self, mark: Mark | Level) -> str:
        """The sign of a verdict or a finding."""
        signs = {
            "fine": ("✓", "ok", "green"),
            "note": ("·", "--", "cyan"),
            "info": ("·", "--", "cyan"),
            "suspicious": ("!", "!!", "yellow"),
            "warning": ("!", "!!", "yellow"),
            "error": ("✗", "XX", "red"),
        }
        pretty, plain, colour = signs[str(mark)]
        return self.paint(pretty if self.unicode else plain, colour)


def machine(facts: HostFacts, style: Style) -> list[str]:
    """The head of the page: host, CPU, ROCm, driver, kernel parameters that differ from their defaults."""
    cpu = facts.cpu
    cores = f"{cpu.cores} cores, {cpu.logical} threads" if cpu.cores else f"{cpu.logical} threads"
    limit = cpu.memory_limit_bytes
    memory = _size(cpu.memory_bytes) + (f" (limited to {_size(limit)})" if limit is not None else "")
    place = "virtual machine" if cpu.virtual_machine else ""
    where = f"in a {facts.container} container" if facts.container else ""
    folders: dict[str, list[str]] = {}
    for path, version in sorted(facts.rocm_installations.items()):
        folders.setdefault(version, []).append(path)
    rocm = style.join(f"{version} ({', '.join(paths)})" for version, paths in folders.items())
    lines = [
        style.paint(style.join([f"rmcp doctor: {facts.hostname or 'unknown host'}"]), "bold"),
        "",
        _row("system", style.join([facts.distribution, f"kernel {facts.kernel}", place, where])),
        _row("cpu", style.join([cpu.model, cores, memory])),
        _row("ROCm", rocm or "none installed system-wide (a PyTorch wheel brings its own)"),
    ]
    if facts.nvidia_driver:
        lines.append(_row("NVIDIA", f"driver {facts.nvidia_driver}"))
    if facts.cmdline:
        lines += _wrap("cmdline", facts.cmdline, style)
    changed = [
        one
        for one in facts.parameters
        if one.name in PARAMETERS and one.value != PARAMETERS[one.name].default
    ]
    if facts.parameters:
        told = [f"{one.name}={one.value}" + (f" ({one.meaning})" if one.meaning else "") for one in changed]
        lines += _wrap(
            "amdgpu", style.join(told) or "all module parameters that matter are at their defaults", style
        )
    if facts.taint_reasons:
        lines.append(_row("taint", style.join(facts.taint_reasons)))
    return lines


def gpus(facts: HostFacts, style: Style) -> list[str]:
    """Two or three lines for each GPU."""
    lines = ["", style.paint("GPUs", "bold")]
    if not facts.gpus:
        return [*lines, "  none found on the PCI bus or in the KFD topology"]
    for gpu in facts.gpus:
        lines += _gpu(gpu, style)
    return lines


def answers(probed: Probed, style: Style) -> list[str]:
    """PyTorch of the interpreters, then the vendors' tools."""
    lines = ["", style.paint("PyTorch", "bold")]
    for torch in probed.torches:
        lines += _torch(torch, style)
    lines += ["", style.paint("Tools", "bold")]
    return lines + [_tool(one, style) for one in probed.tools]


def environment(found: Sequence[Finding], checked: int, style: Style, whose: str) -> list[str]:
    """Findings on an environment. ``checked``: how many variables concern the stack; ``whose``: a
    headline."""
    lines = ["", style.paint(f"Environment ({whose})", "bold")]
    if not checked:
        return [*lines, "  no variable of ROCm, CUDA or PyTorch is set"]
    if not found:
        many = checked != 1
        return [
            *lines,
            f"  {checked} variable{'s' * many} set, nothing to say against {'them' if many else 'it'}",
        ]
    for one in found:
        lines += _remark(style.sign(one.level), one.message, one.suggestion, style)
    return lines


def verdicts(found: Sequence[Verdict], style: Style) -> list[str]:
    """The verdicts, as given; a last line counts them."""
    lines = ["", style.paint("Verdicts", "bold")]
    for one in found:
        lines += _remark(style.sign(one.mark), f"{one.subject}: {one.text}", one.advice, style)
    bad = sum(1 for one in found if one.mark is Mark.SUSPICIOUS)
    total = f"{bad} thing{'s' * (bad != 1)} to look at" if bad else "nothing suspicious"
    return [*lines, "", style.paint(total, "yellow" if bad else "green")]


def kernel_parameters(facts: HostFacts, style: Style, chosen: Sequence[tuple[Parameter, str]]) -> list[str]:
    """What the parameters are and do, then the commands that would set ``chosen``; nothing is run."""
    rdna1 = any(gpu.gfx.startswith("gfx101") for gpu in facts.gpus)
    lines = [
        style.paint("amdgpu module parameters", "bold"),
        "Nothing is changed; the commands below are for you to run.",
        "",
    ]
    for one in [parameter for parameter, _ in chosen] or list(PARAMETERS.values()):
        now = facts.parameter(one.name)
        default = one.default or "empty"
        state = f"now {now or 'empty'}, default {default}" if now is not None else f"default {default}"
        lines.append(f"{style.paint(one.name, 'bold')}: {one.what} ({state})")
        values = "; ".join(f"{value} = {text}" for value, text in one.meanings.items())
        if values:
            lines += _wrap("  values", values, style)
        lines += _wrap("  on RDNA1" if rdna1 or not facts.gpus else "  RDNA1 only", one.rdna1, style)
    return [*lines, *_commands(facts, style, chosen)]


def _commands(facts: HostFacts, style: Style, chosen: Sequence[tuple[Parameter, str]]) -> list[str]:
    pairs = [(one.name, value) for one, value in chosen]
    if not pairs:
        pairs = [
            (one.name, one.tries[0])
            for one in PARAMETERS.values()
            if one.name in ("noretry", "lockup_timeout")
        ]
        lines = ["", style.paint("For example", "bold")]
    else:
        lines = ["", style.paint("To set them", "bold")]
    options = " ".join(f"{name}={value}" for name, value in pairs)
    words = " ".join(f"amdgpu.{name}={value}" for name, value in pairs)
    lines += [
        "  for good, from the next boot on:",
        f"    echo 'options amdgpu {options}' | sudo tee /etc/modprobe.d/rmcp.conf",
        f"    {_initramfs(facts.distribution)}",
        "    sudo reboot",
        "  for one boot: press e in the GRUB menu and append to the line that starts with `linux`:",
        f"    {words}",
        "  to see that it took:",
        *(f"    cat /sys/module/amdgpu/parameters/{name}" for name, _ in pairs),
        "  to go back:",
        "    sudo rm /etc/modprobe.d/rmcp.conf",
        f"    {_initramfs(facts.distribution)}",
        "    sudo reboot",
    ]
    return [*lines, "", "A run records all of these; `rmcp compare` then groups runs by them."]


def _initramfs(distribution: str) -> str:
    name = distribution.lower()
    if any(word in name for word in ("fedora", "red hat", "rhel", "rocky", "alma", "centos", "suse")):
        return "sudo dracut --force"
    if any(word in name for word in ("arch", "manjaro", "endeavour", "cachy")):
        return "sudo mkinitcpio -P"
    if any(word in name for word in ("debian", "ubuntu", "mint", "pop!_os", "raspbian")):
        return "sudo update-initramfs -u"
    return "sudo update-initramfs -u   # Fedora, openSUSE: sudo dracut --force; Arch: sudo mkinitcpio -P"


def _gpu(gpu: Gpu, style: Style) -> list[str]:
    vram = f"{_size(gpu.vram_bytes)} VRAM" if gpu.vram_bytes else ""
    units = f"{gpu.compute_units} CU" if gpu.compute_units else ""
    kind = "integrated" if gpu.apu else ""
    ids = f"{gpu.vendor_id:04x}:{gpu.device_id:04x} rev {gpu.revision:02x}" if gpu.device_id else ""
    link = f"PCIe {gpu.link}" if gpu.link else ""
    atomics = "" if gpu.pcie_atomics is None else f"atomics {'yes' if gpu.pcie_atomics else 'NO'}"
    busy = f"{gpu.busy_percent} % busy" if gpu.busy_percent is not None else ""
    head = style.join([gpu.name, gpu.gfx, units, vram, kind])
    lines = [
        f"  {gpu.index}  {style.paint(head, 'bold')}",
        "     " + style.join([gpu.pci, ids, f"driver {gpu.driver or 'NONE'}", gpu.render_node]),
    ]
    more = style.join([link, atomics, busy, f"power {gpu.power}" if gpu.power else ""])
    if more:
        lines.append("     " + more)
    firmware = ", ".join(f"{name} {value}" for name, value in sorted(gpu.firmware.items()))
    if firmware:
        lines += textwrap.wrap(
            "firmware " + firmware, style.width, initial_indent=" " * 5, subsequent_indent=" " * 14
        )
    return lines


def _torch(one: Torch, style: Style) -> list[str]:
    where = one.python + (" (this one)" if one.this else "")
    if one.status == "absent":
        return [f"  {where}  no PyTorch"]
    build = f"ROCm {one.hip}" if one.hip else f"CUDA {one.cuda}" if one.cuda else "CPU build"
    state = "" if one.status == "ok" else one.status.upper()
    devices = ", ".join(_torch_device(device) for device in one.devices)
    python = f"Python {one.python_version}" if one.python_version else ""
    torch = f"torch {one.torch}" if one.torch else ""
    lines = [
        f"  {where}",
        "     "
        + style.join(
            [torch, build if one.torch else "", python, devices, state, f"asked in {one.seconds:.1f} s"]
        ),
    ]
    folders = sorted({str(Path(library).parent) for library in one.libraries})
    if folders:
        lines.append("     GPU libraries from " + ", ".join(folders))
    return lines


def _torch_device(device: Mapping[str, Any]) -> str:
    memory = device.get("memory")
    return str(device.get("name", "?")) + (f" ({_size(memory)})" if isinstance(memory, int) and memory else "")


def _tool(tool: Tool, style: Style) -> str:
    if tool.status == "missing":
        return f"  {tool.name:<{_LABEL}} not installed"
    first = tool.lines[0] if tool.lines else ""
    state = {"ok": "answers", "failed": f"exit code {tool.returncode}", "hung": "HUNG"}[tool.status]
    return f"  {tool.name:<{_LABEL}} " + style.join(
        [f"{state} in {tool.seconds:.1f} s", textwrap.shorten(first, style.width - 40, placeholder=" …")]
    )


def _remark(sign: str, text: str, advice: str, style: Style) -> list[str]:
    indent = "      " if not style.unicode else "     "
    body = textwrap.wrap(text, style.width - len(indent)) or [""]
    lines = [f"  {sign}  {body[0]}", *(indent + line for line in body[1:])]
    if advice:
        # Advice that is a question or a list reads badly after "try".
        lead = "" if advice.startswith(("did you mean", "values are", "known: ")) else "try: "
        told = textwrap.wrap(advice, style.width - len(indent) - len(lead))
        lines.append(indent + (style.paint(lead, "dim") if lead else "") + told[0])
        lines += [indent + " " * len(lead) + line for line in told[1:]]
    return lines


def _row(label: str, text: str) -> str:
    return f"  {label:<{_LABEL}} {text}"


def _wrap(label: str, text: str, style: Style) -> list[str]:
    indent = " " * (_LABEL + 3)
    body = textwrap.wrap(text, style.width - len(indent), break_long_words=False, break_on_hyphens=False) or [
        ""
    ]
    return [_row(label, body[0]), *(indent + line for line in body[1:])]


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count else "unknown memory"
