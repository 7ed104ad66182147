"""Seconds and peak memory of a piece of work, in the process that does it. Read in both environments."""

import contextlib
import ctypes
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def measured(work: Callable[[], Any], device: torch.device) -> tuple[Any, dict[str, float | None]]:
    """What the work returns; its seconds by the wall and by the processor, and the peak of memory in bytes meanwhile.

    The peak is the process's resident size on a CPU, what torch has allocated on a GPU; None where it cannot be told.
    """
    settle()
    can_tell = reset_peak(device)
    start, busy = time.perf_counter(), time.process_time()
    found = work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - start
    busy = time.process_time() - busy
    return found, {"wall": seconds, "cpu": busy, "peak": peak(device) if can_tell else None}


def settle() -> None:
    """Give back what is held and not used, so that one piece of work does not pay for another, nor profit from it."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


def reset_peak(device: torch.device) -> bool:
    """Start a peak anew; False where this system does not let us."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak becomes what is resident now
    except OSError:
        return False
    return True


def peak(device: torch.device) -> int:
    """The peak since then, in bytes."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else status("VmHWM")


def held(device: torch.device) -> int | None:
    """Bytes in use now; None where the system does not say."""
    settle()
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return status("VmRSS") if Path("/proc/self/status").exists() else None


def status(name: str) -> int:
    """A number of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))
