"""How much memory is free, on the machine or on a device, before anything large is put there."""

from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def free_memory(device: str = "cpu") -> int | None:
    """Bytes that can still be taken on "cpu", "cuda", "cuda:N" or "mps"; None where the system does not say.

    On the CPU this is what the machine can give without swapping, or what a container's limit leaves, if less.
    """
    if device.startswith("cuda"):
        import torch

        index = torch.device(device).index
        place = torch.cuda.current_device() if index is None else index
        held = torch.cuda.memory_reserved(place) - torch.cuda.memory_allocated(place)  # cached by torch, free to it
        return int(torch.cuda.mem_get_info(place)[0]) + held
    if device.startswith("mps"):
        import torch

        return int(torch.mps.recommended_max_memory()) - int(torch.mps.driver_allocated_memory())
    known = [free for free in (_machine(), _container()) if free is not None]
    return min(known, default=None)


def _machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import psutil  # comes with accelerate, which TransformerLens needs

        return int(psutil.virtual_memory().available)
    except ImportError:
        return None


def _container() -> int | None:
    """What the control group of this process leaves; its page cache counts as free, it is given back on demand."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    left = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2
            root, limit, usage, cache = _CGROUP, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, limit, usage = _CGROUP / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cache = "total_inactive_file"
        else:
            continue
        for folder in {root / path.lstrip("/"), root}:  # inside a container the group often is the root
            try:
                most = int((folder / limit).read_text())  # "max" where there is no limit
                used = int((folder / usage).read_text())
                stat = dict(row.split() for row in (folder / "memory.stat").read_text().splitlines())
                left.append(max(0, most - used + int(stat.get(cache, 0))))
            except (OSError, ValueError):
                continue
    return min(left, default=None)
