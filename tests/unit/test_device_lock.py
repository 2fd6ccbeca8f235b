"""The device lock: one holder at a time across processes, freed by death, bounded, private."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rmcp.device.lock import DeviceBusy, DeviceLock, lock_directory
from rmcp.errors import UserError

HOLDER = """
import sys, time
from pathlib import Path
from rmcp.device.lock import DeviceLock
lock = DeviceLock(sys.argv[1], run="run-7", directory=Path(sys.argv[2]))
lock.acquire(5.0)
print("held", flush=True)
time.sleep(60)
"""


def holder(device: str, directory: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, device, str(directory)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(timeout=10)
    assert process.stdout is not None
    process.stdout.close()


def test_a_second_holder_waits_its_deadline_and_is_told_who_holds(tmp_path: Path) -> None:
    other = holder("0000:03:00.0", tmp_path)
    try:
        start = time.monotonic()
        with pytest.raises(DeviceBusy, match=rf"process {other.pid} \(run run-7\).*--rmcp-device"):
            DeviceLock("0000:03:00.0", directory=tmp_path).acquire(0.4)
        assert 0.3 < time.monotonic() - start < 3.0
        free = DeviceLock("0000:04:00.0", directory=tmp_path)  # another device is not concerned
        assert free.try_acquire()
        free.release()
    finally:
        end(other)


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM])
def test_death_frees_the_lock(tmp_path: Path, death: signal.Signals) -> None:
    other = holder("gpu", tmp_path)
    lock = DeviceLock("gpu", directory=tmp_path)
    assert not lock.try_acquire()
    os.kill(other.pid, death)
    other.wait(timeout=10)
    lock.acquire(2.0)
    assert lock.held
    owner = lock.owner()
    assert owner is not None
    assert owner.pid == os.getpid()
    lock.release()
    assert lock.owner() is None
    end(other)


def test_a_forked_child_does_not_keep_what_was_released(tmp_path: Path) -> None:
    lock = DeviceLock("gpu", directory=tmp_path)
    lock.acquire(1.0)
    go, done = os.pipe()
    child = os.fork()
    if child == 0:  # holds a copy of the descriptor, as any child does between fork and exec
        os.close(done)
        os.read(go, 1)
        os._exit(0)
    try:
        lock.release()
        again = DeviceLock("gpu", directory=tmp_path)
        assert again.try_acquire()
        again.release()
    finally:
        os.close(done)
        os.close(go)
        os.waitpid(child, 0)


def test_an_execd_child_does_not_keep_it_after_our_death(tmp_path: Path) -> None:
    silent = "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL"
    spawn = f"subprocess.Popen(['sleep', '30'], close_fds=False, {silent}).pid"
    code = HOLDER.replace("time.sleep(60)", "import os; os._exit(0)")
    code = code.replace('print("held"', f"import subprocess; print({spawn}")
    ended = subprocess.run(
        [sys.executable, "-c", code, "gpu", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    try:
        DeviceLock("gpu", directory=tmp_path).acquire(2.0)
    finally:
        os.kill(int(ended.stdout), signal.SIGKILL)


def test_context_manager_releases(tmp_path: Path) -> None:
    lock = DeviceLock("gpu", directory=tmp_path)
    with pytest.raises(RuntimeError, match="acquire"), lock:
        pass
    lock.acquire(1.0)
    with pytest.raises(RuntimeError, match="already held"):
        lock.try_acquire()
    with lock:
        assert not DeviceLock("gpu", directory=tmp_path).try_acquire()
    assert DeviceLock("gpu", directory=tmp_path).try_acquire()


def test_a_removed_lock_file_does_not_count(tmp_path: Path) -> None:
    first = DeviceLock("gpu", directory=tmp_path)
    first.acquire(1.0)
    first.path.unlink()
    second = DeviceLock("gpu", directory=tmp_path)
    assert second.try_acquire()  # a new file: the first holder's is gone for everyone else
    first.release()
    assert not DeviceLock("gpu", directory=tmp_path).try_acquire()
    second.release()


def test_the_cpu_is_never_locked(tmp_path: Path) -> None:
    locks = [DeviceLock("cpu", directory=tmp_path / "none") for _ in range(3)]
    for lock in locks:
        lock.acquire(0.0)
    assert not (tmp_path / "none").exists()


def test_names_become_files(tmp_path: Path) -> None:
    lock = DeviceLock("../../etc/passwd", directory=tmp_path)
    assert lock.path.parent == tmp_path
    assert DeviceLock("0000:03:00.0", directory=tmp_path).path.name == "0000-03-00.0.lock"


def test_a_link_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious", encoding="utf-8")
    lock = DeviceLock("gpu", directory=tmp_path)
    lock.path.symlink_to(victim)
    with pytest.raises(UserError, match="cannot open the device lock"):
        lock.try_acquire()
    assert victim.read_text(encoding="utf-8") == "precious"


def test_lock_directory_is_private_and_chosen_by_variable(tmp_path: Path) -> None:
    chosen = lock_directory({"RMCP_LOCK_DIR": str(tmp_path / "locks")})
    assert chosen == tmp_path / "locks"
    assert chosen.stat().st_mode & 0o077 == 0
    usual = lock_directory({"TMPDIR": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)})
    assert usual == Path(f"/tmp/rmcp-{os.getuid()}/locks")  # the same for cron, a login shell and a batch job


def test_no_usable_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="RMCP_LOCK_DIR"):
        lock_directory({"RMCP_LOCK_DIR": str(tmp_path / "file" / "below")})
