"""More rows of the pattern table: what drivers say beside the common lines. Data, as in `patterns`.

Older and newer kernels (amdgpu, i915, xe), the NVIDIA tools, and Windows, where a reset is a TDR.
"""

# ruff: noqa: E501 - regular expressions read better in one piece

from __future__ import annotations

from rmcp.outcome.patterns import Pattern, Rank
from rmcp.words import Cause

_DMESG = "Linux amdgpu driver, kernel log"

DRIVER_PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "amdgpu-fault-status-old", Cause.MEMORY_ACCESS_FAULT,
        r"VM_CONTEXT\d+_PROTECTION_FAULT_(?:STATUS|ADDR)\s*:?\s*0x[0-9a-fA-F]{8}|\[(?:gfxhub|mmhub)\d*\] (?:VMC|ATHUB|UTCL2) page fault",
        ("_PROTECTION_FAULT_", "page fault"), "amdgpu 0000:03:00.0: VM_CONTEXT1_PROTECTION_FAULT_STATUS 0x0E04400C",
        _DMESG + ": GCN1 to GCN3, and 4.15 to 5.0", "kernel-log", device=True,
    ),
    Pattern(
        "amdgpu-fault-page-old", Cause.NONE, r"\bat (?:page|address) (?P<address>0x[0-9a-fA-F]{8,16}) from \d+\s*$", ("at page 0x", "at address 0x"),
        "amdgpu 0000:03:00.0:   at page 0x0000000000567000 from 27", _DMESG + ", 4.15 to 5.0", "kernel-log",
        rank=Rank.DETAIL, expect={"address": "0x0000000000567000"},
    ),
    Pattern(
        "amdgpu-reset-way", Cause.GPU_HANG_RESET,
        r"(?:MODE[12]|BACO|PSP mode1|SMU mode1|PCI CONFIG) reset\s*$|\b[Rr]ing (?P<ring>\w+[\w.]*) reset (?:succeeded|failed)\b|\bRing (?P<ring2>\w+[\w.]*) reset failed",
        (" reset",), "amdgpu 0000:03:00.0: amdgpu: MODE1 reset", _DMESG + ": how it resets", "kernel-log", device=True, whole=True,
    ),
    Pattern(
        "amdgpu-mes", Cause.GPU_HANG_RESET,
        r"\bMES failed to respon[sd]e? (?:to )?msg=|failed to (?:unmap|map) legacy queue|failed to (?:suspend|resume) (?:all )?gangs"
        r"|failed to (?:add|reset) hardware queue (?:to|from) MES|[Ff]ailed to (?:evict|restore) queue \d|(?:[Pp]asid 0x[0-9a-f]+|pid \d+) destroy queue \d+ failed, ret -\d+"
        r"|SMU: I'm not done with your previous command|\*ERROR\* IB test failed on \S+|\*ERROR\* KCQ (?:disable|enable) failed"
        r"|\*ERROR\* \[CRTC:\d+:[\w-]+\] (?:hw_done or )?flip_done timed out",
        ("MES failed", "legacy queue", " gangs", "hardware queue", " queue", "SMU: I", "IB test failed", "KCQ ", "flip_done timed out"),
        "[drm:mes_v11_0_submit_pkt_and_poll_completion.constprop.0 [amdgpu]] *ERROR* MES failed to response msg=14",
        _DMESG + ", mes_v*.c, kfd_device_queue_manager.c, amdgpu_ib.c, drm_atomic_helper.c", "kernel-log", device=True,
    ),
    Pattern(
        "intel-hang", Cause.GPU_HANG_RESET, r"\bGPU HANG: ecode [0-9a-f:]+|\[drm\](?: \*ERROR\*)? (?:Tile\d+: )?(?:GT\d+: )?Timedout job: seqno=\d+",
        ("GPU HANG: ecode", "Timedout job"), "i915 0000:00:02.0: [drm] GPU HANG: ecode 12:1:85dffffb, in python3 [4711]",
        "Linux i915 and xe drivers, kernel log", "kernel-log", device=True,
    ),
    Pattern(
        "windows-tdr", Cause.GPU_HANG_RESET,
        r"Display driver \S+ stopped responding and has successfully recovered|\bVIDEO_TDR_(?:FAILURE|TIMEOUT_DETECTED|ERROR)\b(?=\W*$| \()"
        r"|\bDXGI_ERROR_DEVICE_(?:REMOVED|HUNG|RESET)\b(?=\W*$|\W*\(?0x887A)|The GPU device instance has been suspended\. Use GetDeviceRemovedReason"
        r"|The GPU will not respond to more commands, most likely because of an invalid command",
        ("stopped responding", "VIDEO_TDR_", "DXGI_ERROR_DEVICE", "instance has been suspended", "will not respond to more"),
        "Display driver amdkmdag stopped responding and has successfully recovered.", "Windows event log, DirectX, DirectML",
        "driver", rank=Rank.DOWNSTREAM,
    ),
    Pattern(
        "driver-init", Cause.HIP_INIT_ERROR,
        r"\bFatal error during GPU init|\*ERROR\* amdgpu: probe failed|\bamdgpu:? (?:\S+: )?probe (?:of \S+ failed|\S+ ?failed|with driver amdgpu failed) with error -\d+"
        r"|probe with driver amdgpu failed with error -\d+|probe of [0-9a-f:.]+ failed with error -\d+|\*ERROR\* hw_init of IP block <\w+> failed -\d+|NVRM: RmInitAdapter failed!",
        ("during GPU init", "probe failed", "probe of", "probe with driver", "hw_init of IP block", "RmInitAdapter failed"),
        "amdgpu 0000:03:00.0: amdgpu: Fatal error during GPU init", "Linux amdgpu and NVIDIA drivers, kernel log", "kernel-log",
        device=True,
    ),
    Pattern(
        "tool-no-driver", Cause.HIP_INIT_ERROR,
        r"NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver|Driver not initialized \(amdgpu not found in modules\)"
        r"|\bNVMLError_(?:DriverNotLoaded|LibraryNotFound|LibRmVersionMismatch|NoPermission)\b(?=:|\W*$)"
        r"|nvidia-container-cli: initialization error: |could not select device driver \"\w*\" with capabilities: \[\[gpu\]\]"
        r"|(?:error gathering device information )?while adding custom device \"/dev/(?:kfd|dri\S*|nvidia\w+)\": no such file or directory|amdgpu_device_initialize: amdgpu_get_auth \(\d+\) failed"
        r"|\(EE\) NVIDIA\(GPU-?\d+\): Failed to initialize the NVIDIA GPU|failed to inject CDI devices: unresolvable CDI devices",
        ("NVIDIA-SMI has failed", "Driver not initialized", "NVMLError_", "nvidia-container-cli", "could not select device driver", "adding custom device",
         "amdgpu_get_auth", "unresolvable CDI", "Failed to initialize the NVIDIA"),
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", "nvidia-smi, rocm-smi, docker, libdrm", "driver",
    ),
)
