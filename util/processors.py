"""How many processors this process may use, which on a shared node are fewer than it has."""

import os


def processors() -> int:
    """Those that it may run on, and on a cluster at most those that SLURM gave its task, also where no cgroup keeps it to them."""
    allowed, given = len(os.sched_getaffinity(0)), os.environ.get("SLURM_CPUS_PER_TASK", "")
    return max(1, min(allowed, int(given))) if given.isdecimal() else allowed
