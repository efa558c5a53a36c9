"""Several processes: every job starts its ranks itself, from its own composed configuration.

The process that composed the configuration only supervises; each rank is a fresh interpreter, so that nothing of one job
of a sweep is left over for the next.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from lightning.fabric.plugins.environments import ClusterEnvironment
from omegaconf import DictConfig

from flexhook.errors import ConfigError, FlexHookError


def num_processes(trainer: DictConfig) -> int:
    """How many processes a trainer configuration means on this machine.

    Raises:
        ConfigError: More GPUs are asked for than there are.
    """
    gpus = torch.cuda.device_count() if trainer.accelerator in ("auto", "gpu", "cuda") else 0
    devices = trainer.devices
    if devices in ("auto", -1, "-1"):
        return max(gpus, 1)
    if not isinstance(devices, int) or devices < 1:
        raise ConfigError(f"trainer.devices is {devices!r}", expected="auto or a positive number")
    if gpus and devices > gpus:
        raise ConfigError(f"trainer.devices is {devices}, {gpus} GPU(s) are visible", expected=f"at most {gpus}",
                          hint="Lower trainer.devices, or trainer.accelerator=cpu")
    return devices


class Ranks(ClusterEnvironment):
    """A process among several that something else has started, as its environment variables tell.

    Args:
        variables: The environment to read; by default the process's.
    """

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self.variables = os.environ if variables is None else variables

    @property
    def creates_processes_externally(self) -> bool:
        """True: Lightning starts none."""
        return True

    @property
    def num_nodes(self) -> int:
        """Number of nodes."""
        return 1

    @property
    def ranks_per_node(self) -> int:
        """Ranks on every node."""
        return self.world_size()

    def set_world_size(self, size: int) -> None:
        """Fixed from outside."""

    def set_global_rank(self, rank: int) -> None:
        """Fixed from outside."""


class StartedRanks(Ranks):
    """Rank, world size and address from the environment variables that :func:`run_ranks` sets."""

    @property
    def main_address(self) -> str:
        """Host of rank 0."""
        return self.variables["MASTER_ADDR"]

    @property
    def main_port(self) -> int:
        """Port of rank 0."""
        return int(self.variables["MASTER_PORT"])

    @staticmethod
    def detect() -> bool:
        """Whether this process is a rank."""
        return "FLEXHOOK_RANK" in os.environ

    def world_size(self) -> int:
        """Number of ranks."""
        return int(self.variables["WORLD_SIZE"])

    def global_rank(self) -> int:
        """This rank."""
        return int(self.variables["RANK"])

    def local_rank(self) -> int:
        """This rank on its node."""
        return int(self.variables["LOCAL_RANK"])

    def node_rank(self) -> int:
        """The node."""
        return int(self.variables.get("NODE_RANK", 0))


def run_ranks(config: Path, world_size: int, log_folder: Path) -> None:
    """Run a training job in several processes on this machine and wait for them.

    Args:
        config: The job's config.yaml.
        world_size: Number of processes.
        log_folder: Where the output of ranks above 0 goes, and what they find wrong.

    Raises:
        FlexHookError: A rank failed, with its message where the input was wrong; the others were ended.
    """
    log_folder.mkdir(parents=True, exist_ok=True)
    for rank in range(world_size):
        mistake_file(log_folder, rank).unlink(missing_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ranks: list[subprocess.Popen] = []
    logs = []
    try:
        for rank in range(world_size):
            variables = os.environ | {
                "FLEXHOOK_RANK": str(rank), "RANK": str(rank), "LOCAL_RANK": str(rank), "NODE_RANK": "0",
                "WORLD_SIZE": str(world_size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                "FLEXHOOK_PARENT": str(os.getpid()),
            }
            variables.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // world_size, 1)))
            log = None if rank == 0 else open(log_folder / f"rank{rank}.txt", "w")
            logs.append(log)
            ranks.append(subprocess.Popen([sys.executable, "-m", "flexhook.training.rank", str(config)],
                                          env=variables, stdout=log, stderr=None if log is None else subprocess.STDOUT))
        _wait(ranks, log_folder)
    finally:
        for process in ranks:
            if process.poll() is None:
                process.terminate()
        for process in ranks:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for log in logs:
            if log is not None:
                log.close()


def _wait(ranks: list[subprocess.Popen], log_folder: Path) -> None:
    while any(p.poll() is None for p in ranks):
        failed = [k for k, p in enumerate(ranks) if p.poll() not in (None, 0)]
        if failed:
            break
        time.sleep(0.1)
    failed = [k for k, p in enumerate(ranks) if p.poll() not in (None, 0)]
    if failed:
        mistakes = [mistake_file(log_folder, k) for k in range(len(ranks)) if mistake_file(log_folder, k).is_file()]
        if mistakes:
            raise FlexHookError(mistakes[0].read_text())
        log = log_folder / f"rank{failed[0]}.txt"
        tail = "\n".join(log.read_text().splitlines()[-15:]) if log.is_file() else ""
        code = ranks[failed[0]].returncode
        if code < 0:
            raise FlexHookError(f"process {failed[0]} of {len(ranks)} was {killed_by(-code)}. Its output stands "
                                + (f"in {log}:\n{tail}" if tail else "above."))
        raise FlexHookError(f"process {failed[0]} of {len(ranks)} ended with status {code}; its message stands above"
                            + (f" or in {log}:\n{tail}" if tail else "."))


def killed_by(number: int) -> str:
    """In words, how a process was ended by a signal."""
    return f"killed by signal {number}" + (" (out of memory?)" if number == signal.SIGKILL else "")


def mistake_file(log_folder: Path, rank: int) -> Path:
    """Where a rank leaves the message about what it found wrong with the input, for the supervising process."""
    return log_folder / f"rank{rank}.mistake"


def end_with_parent() -> None:
    """Watch the supervising process from a rank and end when it is gone, however it went."""
    parent = int(os.environ["FLEXHOOK_PARENT"])

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
