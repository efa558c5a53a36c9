"""Processes that a scheduler has started: rank, world size and address from SLURM's or submitit's variables.

Here every process runs the whole job, composed configuration included; none is started by another. One of them, rank 0,
prepares what exists once (data, config.yaml) while the others wait for a file in the run folder, which all nodes share.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from flexhook.errors import FlexHookError, InputError
from flexhook.structures.files import atomic_write
from flexhook.training.ranks import Ranks

_FIRST_PORT, _PORTS = 15000, 20000
_SIGN = ".prepared-"  # the file of a job in the run folder: ready, or failed


def first_host(node_list: str) -> str:
    """The first host of SLURM's compact list: ``gpu[07-09,12],login1`` -> ``gpu07``.

    Raises:
        FlexHookError: It is no such list.
    """
    matched = re.match(r"^([^\s,\[]+)(?:\[(\d+)[^\]]*\]([^\s,\[]*))?(?:,|$)", node_list)
    if not matched:
        raise FlexHookError(f"SLURM's list of nodes '{node_list}' has no first host.")
    return "".join(part or "" for part in matched.groups())


def tasks_on(tasks_per_node: str, node: int) -> int:
    """Tasks on a node from SLURM's compact counts: ``2(x3),1`` means 2 on nodes 0 to 2 and 1 on node 3."""
    counts: list[int] = []
    for part in tasks_per_node.split(","):
        count, _, times = part.partition("(x")
        counts += [int(count)] * int(times.rstrip(")") or 1)
    return counts[node]


class OtherRankFailed(FlexHookError):
    """Another process of the job failed; the cause is in its log."""


class ScheduledRanks(Ranks):
    """Rank, world size and address of a process of a SLURM job step, or of submitit's local executor.

    Args:
        variables: The environment to read; by default the process's.
    """

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        super().__init__(variables)
        self.local = self.variables.get("SUBMITIT_EXECUTOR") == "local"

    @classmethod
    def detect(cls, variables: Mapping[str, str] | None = None) -> bool:
        """Whether this process is one of several of a scheduler's job."""
        seen = os.environ if variables is None else variables
        if seen.get("SUBMITIT_EXECUTOR") == "local":
            return int(seen.get("SUBMITIT_LOCAL_NTASKS", 1)) > 1
        return "SLURM_PROCID" in seen and int(seen.get("SLURM_STEP_NUM_TASKS", 1)) > 1

    @property
    def job(self) -> str:
        """What tells this attempt at the job from others."""
        if self.local:
            return self.variables["SUBMITIT_LOCAL_JOB_ID"]
        names = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT")
        return ".".join(self.variables.get(name, "0") for name in names)

    @property
    def main_address(self) -> str:
        """Host of rank 0: the first of the step's nodes."""
        if self.local:
            return "127.0.0.1"
        return self.variables.get("MASTER_ADDR") or first_host(self.variables["SLURM_STEP_NODELIST"])

    @property
    def main_port(self) -> int:
        """Port of rank 0, derived from the job's number, so that jobs on one host do not meet."""
        number = re.sub(r"\D.*", "", self.job)
        return int(self.variables.get("MASTER_PORT") or _FIRST_PORT + int(number) % _PORTS)

    def world_size(self) -> int:
        """Number of ranks over all nodes."""
        return int(self.variables["SUBMITIT_LOCAL_NTASKS" if self.local else "SLURM_STEP_NUM_TASKS"])

    def global_rank(self) -> int:
        """This rank among all."""
        return int(self.variables["SUBMITIT_LOCAL_GLOBALID" if self.local else "SLURM_PROCID"])

    def local_rank(self) -> int:
        """This rank on its node."""
        return int(self.variables["SUBMITIT_LOCAL_LOCALID" if self.local else "SLURM_LOCALID"])

    def node_rank(self) -> int:
        """The node."""
        return 0 if self.local else int(self.variables["SLURM_NODEID"])

    @property
    def num_nodes(self) -> int:
        """Number of nodes."""
        return 1 if self.local else int(self.variables["SLURM_STEP_NUM_NODES"])

    @property
    def ranks_per_node(self) -> int:
        """Ranks on every node.

        Raises:
            FlexHookError: The nodes have different numbers of them.
        """
        if self.local:
            return self.world_size()
        here = tasks_on(self.variables["SLURM_STEP_TASKS_PER_NODE"], self.node_rank())
        if here * self.num_nodes != self.world_size():
            raise FlexHookError(f"SLURM runs {self.variables['SLURM_STEP_TASKS_PER_NODE']} tasks on the job's nodes. "
                                "Expected as many on each. Set hydra.launcher.tasks_per_node.")
        return here

    def check_address(self) -> None:
        """Resolve the host of rank 0, which the process group would try again and again for minutes.

        Raises:
            InputError: It is not resolved.
        """
        try:
            socket.getaddrinfo(self.main_address, self.main_port)
        except OSError as error:
            raise InputError(f"the host of process 0, '{self.main_address}', is not resolved ({error.strerror})",
                             expected="a name that every node of the job resolves",
                             hint="Set MASTER_ADDR to the IP address of the job's first node") from None

    def prepare(self, folder: Path, once: Callable[[], object], patience: float = 3600.0) -> None:
        """Let rank 0 do something before all go on.

        Args:
            folder: The run folder, on a file system that all nodes share.
            once: What rank 0 does.
            patience: Seconds that the others wait at most.

        Raises:
            InputError: The host of rank 0 is not resolved.
            FlexHookError: Another rank failed (:class:`OtherRankFailed`), or rank 0 did not come.
        """
        sign = folder / f"{_SIGN}{self.job}"
        try:
            self.check_address()
            if self.global_rank() == 0:
                once()
        except BaseException:
            with contextlib.suppress(OSError, InputError):  # what went wrong first is told
                _leave(sign, "failed")
            raise
        if self.global_rank() == 0 and not sign.is_file():
            _leave(sign, "ready")
        begin = time.monotonic()
        while not sign.is_file():
            if time.monotonic() - begin > patience:
                raise FlexHookError(f"process 0 of the job did not write {sign}. Expected a folder that all nodes share.")
            time.sleep(0.2)
        if sign.read_text() != "ready":
            raise OtherRankFailed("another process of the job failed; its message is in its log.")

    def tidy(self, folder: Path) -> None:
        """Remove the job's signs, also those of its earlier attempts, from the run folder; when all ranks have done their work.

        Args:
            folder: The run folder.
        """
        attempts = self.job if self.local else f"{self.job.rpartition('.')[0]}.*"
        for sign in folder.glob(f"{_SIGN}{attempts}"):
            with contextlib.suppress(OSError):
                sign.unlink()


def _leave(sign: Path, said: str) -> None:
    with atomic_write(sign) as temporary:
        temporary.write_text(said)
