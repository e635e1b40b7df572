"""A SLURM of one node on this machine, for tests: ``cluster.py start|stop DIR``.

It needs root and Debian's packages ``slurm-wlm`` and ``munge``. ``start`` prints the value of
``SLURM_CONF`` for clients; ``stop`` ends the daemons by their pid files.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

DAEMONS = ("slurmctld", "slurmd", "munged")
CONF = """\
ClusterName=toy
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket,cred_expire=15
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
KillWait=5
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdLogFile={directory}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000 State=UNKNOWN
PartitionName=toy Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why there can be no cluster here; empty if there can."""
    if os.geteuid() != 0:
        return "a SLURM for tests needs root"
    absent = [name for name in (*DAEMONS, "sbatch", "srun") if shutil.which(name) is None]
    return f"no {', '.join(absent)}: apt-get install slurm-wlm munge" if absent else ""


def start(directory: Path) -> Path:
    """Start munged, slurmctld and slurmd; return the file that ``SLURM_CONF`` must name."""
    for name in ("state", "spool"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    host, port = socket.gethostname().split(".")[0], free_port()
    conf = directory / "slurm.conf"
    values = {"host": host, "port": port, "node_port": free_port(), "directory": directory}
    conf.write_text(CONF.format(**values, cpus=os.cpu_count()))
    key = directory / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    paths = {"socket": "munge.socket", "pid-file": "munged.pid", "log-file": "munged.log"}
    options = [f"--{name}={directory / file}" for name, file in paths.items()]
    options += [f"--key-file={key}", f"--seed-file={directory / 'munge.seed'}", "--force"]
    run("munged", *options)
    run("slurmctld", "-f", str(conf))
    time.sleep(2)
    run("slurmd", "-f", str(conf), "-N", host)
    environment = os.environ | {"SLURM_CONF": str(conf)}
    for _ in range(60):
        words = ["sinfo", "--noheader", "--format=%T"]
        state = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if state.stdout.strip() == "idle":
            return conf
        time.sleep(0.5)
    raise RuntimeError(f"The node did not become idle: {state.stdout}{state.stderr}")


def stop(directory: Path) -> None:
    """End the daemons that ``start`` started, each by its pid file."""
    for name in DAEMONS:
        file = directory / f"{name}.pid"
        if not file.is_file():
            continue
        pid = int(file.read_text())
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue


def free_port() -> int:
    """A port that nobody listens to."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def run(*words: str) -> None:
    """Run a command that goes into the background; its error, if it has one, is shown."""
    subprocess.run(words, check=True)


if __name__ == "__main__":
    if sys.argv[1] == "start":
        print(start(Path(sys.argv[2]).absolute()))
    else:
        stop(Path(sys.argv[2]).absolute())
