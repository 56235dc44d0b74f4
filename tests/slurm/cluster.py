"""A SLURM of one node on this machine, in a temporary folder, which leaves no process behind."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONF = """\
ClusterName=tcpe
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={port}
SlurmdPort={port2}
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,batch_sched_delay=0,defer=0
ReturnToService=2
KillWait=10
MinJobAge=600
InactiveLimit=0
SlurmdTimeout=60
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=60 State=UP
"""


def lacking() -> list[str]:
    """SLURM's programs that are not on this machine."""
    path = os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin"
    return [name for name in ("slurmctld", "slurmd", "sbatch", "squeue", "scontrol") if shutil.which(name, path=path) is None]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def cluster(folder: Path, cpus: int = 2) -> Iterator[None]:
    """Run a controller and a node while open; SLURM's commands find them through SLURM_CONF."""
    host = socket.gethostname().partition(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    ports = {"port": _free_port(), "port2": _free_port()}
    (folder / "slurm.conf").write_text(CONF.format(folder=folder, host=host, user=getpass.getuser(), cpus=cpus, **ports))
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    os.environ["PATH"] += ":/usr/sbin"
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        for program in ("slurmctld", "slurmd"):
            with open(folder / f"{program}.out", "wb") as out:
                daemons.append(subprocess.Popen([program, "-D"], stdout=out, stderr=out))
        deadline = time.monotonic() + 40
        while (said := subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True)).stdout.strip() != "idle":
            if time.monotonic() > deadline or any(one.poll() is not None for one in daemons):
                logs = "\n".join(path.read_text(errors="replace")[-1500:] for path in sorted(folder.glob("*.log")))
                raise RuntimeError(f"SLURM did not come up: {said.stdout}{said.stderr}\n{logs}")
            time.sleep(0.5)
        yield
    finally:
        subprocess.run(["scancel", "--user", getpass.getuser()], capture_output=True, timeout=20)
        time.sleep(1)
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            try:
                daemon.wait(15)
            except subprocess.TimeoutExpired:
                daemon.kill()
        del os.environ["SLURM_CONF"]
