"""Runtime + environment -> the command that starts its interpreter. Pure but for ``discover``, which looks at
/dev.

Three kinds: an interpreter on this machine (`this`, or a venv), the same behind an unpacked ROCm (`prefix`),
and one in a container image, started by podman's or docker's command line (no library, no daemon of ours).
"""

from __future__ import annotations

import os
import secrets
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rmcp.errors import UserError
from rmcp.matrix.model import RuntimeSpec
from rmcp.runtimes.environment import SEARCH_PATHS, base_environment, merged, private_miopen, with_prefix

INSIDE = "/rmcp/rmcp_torch"  # where rmcp_torch is mounted in a container
ENGINES = ("podman", "docker")
_SHM = "8g"  # DataLoader workers hand tensors over in /dev/shm; the engines' default is 64 MB

Control = Literal["fd", "stdio"]


@dataclass(frozen=True)
class Launch:
    """How to start an interpreter with rmcp_torch. ``argv`` ends with ``.../rmcp_torch/__main__.py``; the
    role (`zygote`, `child`) and its options are appended.

    ``env`` is for exec of ``argv`` itself: of a container that is the engine's environment, while the case's
    variables travel in ``argv``. ``control`` is the stream that reaches the interpreter: an inherited
    descriptor or stdin/stdout. ``folders`` must exist before the start. ``kill`` ends it from outside as well
    (a container outlives the engine's client that was killed), ``remove`` clears what is left; both empty on
    the host.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    control: Control
    cwd: str | None = None
    folders: tuple[str, ...] = ()
    kill: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    container: str | None = None
    changes: Mapping[str, str | None] = field(default_factory=dict)

    def shell(self, *arguments: str) -> str:
        """The command as text for a shell; on the host with the variables that differ from the parent's."""
        words: list[str] = []
        if self.container is None and self.changes:
            words = ["env", *(f"-u{name}" for name, value in sorted(self.changes.items()) if value is None)]
            words += [f"{name}={value}" for name, value in sorted(self.changes.items()) if value is not None]
        return shlex.join([*words, *self.argv, *arguments])


@dataclass(frozen=True)
class HostDevices:
    """What of this machine a container needs: ROCm's device nodes, whether there is an NVIDIA driver, the
    numeric groups that own the nodes (names differ between images), and whether we are root."""

    nodes: tuple[str, ...] = ()
    nvidia: bool = False
    groups: tuple[int, ...] = ()
    root: bool = False


def launch(
    runtime: RuntimeSpec,
    env: Mapping[str, str | None],
    *,
    base_env: Mapping[str, str],
    package_dir: Path,
    control: Control = "fd",
    miopen_root: Path | None = None,
    mounts: Sequence[Path] = (),
    host: HostDevices | None = None,
    token: str | None = None,
) -> Launch:
    """The start command of ``runtime`` with the case's ``env`` (None removes a variable).

    ``base_env`` is the runner's environment (``os.environ``); ``package_dir`` the folder of rmcp_torch;
    ``miopen_root`` a folder for private MIOpen databases, None for a case on the CPU; ``mounts`` folders that
    a container must see (the matrix's, for workload files and preloaded libraries), at the same path,
    read-only. Raises UserError for a runtime that contradicts itself.
    """
    private = {} if miopen_root is None else private_miopen(miopen_root, runtime.name, env)
    if runtime.image is not None:
        return _container(
            runtime,
            {**private, **env},
            base_env,
            package_dir,
            tuple(private.values()),
            mounts,
            host if host is not None else discover(),
            token or secrets.token_hex(4),
        )
    if runtime.engine is not None:
        raise UserError(f"runtime {runtime.name}: `engine: {runtime.engine}` needs an `image`")
    own = runtime.python is None
    base = base_environment(base_env, own_interpreter=own)
    if runtime.prefix is not None:
        # Applied over the case's own LD_LIBRARY_PATH and PATH, so that these still come, but second.
        full = with_prefix(merged({**base, **private}, env), str(Path(runtime.prefix).expanduser()))
        full = merged(full, {name: value for name, value in env.items() if name not in SEARCH_PATHS})
    else:
        full = merged({**base, **private}, env)
    changes: dict[str, str | None] = {name: None for name in base_env if name not in full}
    changes.update({name: value for name, value in full.items() if base_env.get(name) != value})
    return Launch(
        argv=(interpreter(runtime), str(package_dir / "__main__.py")),
        env=full,
        control=control,
        folders=tuple(private.values()),
        changes=changes,
    )


def interpreter(runtime: RuntimeSpec) -> str:
    """Path of the interpreter on this machine; a folder means the venv in it."""
    if runtime.python is None:
        return sys.executable
    path = Path(runtime.python).expanduser()
    return str(path / "bin" / "python") if path.is_dir() else str(path)


def discover(dev: Path = Path("/dev")) -> HostDevices:
    """Look at the device nodes of this machine."""
    nodes = tuple(str(dev / name) for name in ("kfd", "dri") if (dev / name).exists())
    groups = set()
    for node in (dev / "kfd", *sorted((dev / "dri").glob("renderD*"))):
        try:
            groups.add(node.stat().st_gid)
        except OSError:
            continue
    return HostDevices(nodes, (dev / "nvidiactl").exists(), tuple(sorted(groups - {0})), os.geteuid() == 0)


def _container(
    runtime: RuntimeSpec,
    env: Mapping[str, str | None],
    base_env: Mapping[str, str],
    package_dir: Path,
    writable: Sequence[str],
    mounts: Sequence[Path],
    host: HostDevices,
    token: str,
) -> Launch:
    engine = runtime.engine or "podman"
    if Path(engine).name not in ENGINES:
        raise UserError(f"runtime {runtime.name}: engine {engine!r} is not known; use podman or docker")
    if runtime.prefix is not None:
        raise UserError(
            f"runtime {runtime.name}: `prefix` and `image` exclude each other; set LD_LIBRARY_PATH in "
            "`env` and mount the folder with `options`"
        )
    name = f"rmcp-{_safe(runtime.name)}-{token}"
    podman = Path(engine).name == "podman"
    words = [engine, "run", "--rm", "--interactive", "--name", name, "--label", "rmcp=zygote"]
    words += _unless(runtime.options, "--pull", "never")  # a pull of 20 GB inside the start budget ends as a riddle
    words += _unless(runtime.options, "--network", "none", "--net")
    words += ["--log-driver", "none"]  # else the protocol on stdout is stored a second time by the engine
    words += _unless(runtime.options, "--shm-size", _SHM, "--ipc")
    words += ["--ulimit", "core=0"]
    words += _device_words(host, podman)
    words += ["--mount", _bind(package_dir, INSIDE, read_only=True)]
    words += [w for m in dict.fromkeys(mounts) for w in ("--mount", _bind(m, str(m.resolve()), read_only=True))]
    words += [w for m in writable for w in ("--mount", _bind(Path(m), m, read_only=False))]
    words += ["--workdir", "/tmp"]
    for variable, value in sorted(env.items()):
        if value is not None:
            words += ["--env", f"{variable}={value}"]
    words += [*runtime.options, str(runtime.image)]
    removed = sorted(variable for variable, value in env.items() if value is None)
    if removed:  # the image may set it; docker has no option that unsets
        words += ["env", *(w for variable in removed for w in ("-u", variable))]
    words += [runtime.python or "python3", f"{INSIDE}/__main__.py"]
    grace = ("--time", "0") if podman else ()
    return Launch(
        argv=tuple(words),
        env=dict(base_env),
        control="stdio",
        folders=tuple(writable),
        kill=(engine, "kill", "--signal", "KILL", name),
        remove=(engine, "rm", "--force", *grace, name),
        container=name,
        changes=dict(env),
    )


def _device_words(host: HostDevices, podman: bool) -> list[str]:
    """Devices, their groups, and what ROCm needs of the sandbox."""
    words = [word for node in host.nodes for word in ("--device", node)]
    if host.nodes:
        if podman and not host.root:
            words += ["--group-add", "keep-groups"]  # rootless: a numeric group of the host cannot be given
        else:
            words += [word for group in host.groups for word in ("--group-add", str(group))]
        # The thunk's memory policy calls (mbind, set_mempolicy) are filtered by the default profile.
        words += ["--security-opt", "seccomp=unconfined"]
    if host.nvidia:
        words += ["--device", "nvidia.com/gpu=all"] if podman else ["--gpus", "all"]
    if podman:
        words += ["--security-opt", "label=disable"]  # SELinux would refuse the mounts and the device nodes
    return [*words, "--cap-add", "SYS_PTRACE"]  # to read the stacks of a stuck case


def _unless(options: Sequence[str], flag: str, value: str, other: str = "\0") -> list[str]:
    """Our default for ``flag``, unless the matrix's own engine options decide it."""
    given = any(option.split("=", 1)[0] in (flag, other) for option in options)
    return [] if given else [flag, value]


def _bind(source: Path, target: str, *, read_only: bool) -> str:
    path = str(source.resolve())
    if "," in path or "," in target:
        raise UserError(f"{path}: a folder with a comma in its name cannot be mounted into a container")
    return f"type=bind,source={path},target={target}" + (",readonly" if read_only else "")


def _safe(text: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "-" for c in text).strip("-")[:40] or "runtime"


__all__ = ["INSIDE", "Control", "HostDevices", "Launch", "discover", "interpreter", "launch"]
