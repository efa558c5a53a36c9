"""Ranks of a scheduler's job, from environment variables as srun (its manual page) and submitit set them."""

import os
import time

import pytest

from flexhook.errors import FlexHookError, InputError
from flexhook.training.scheduled_ranks import OtherRankFailed, ScheduledRanks, first_host, tasks_on

STEP = {
    "SLURM_JOB_ID": "48123456", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NODELIST": "gpu[07-08]", "SLURM_STEP_TASKS_PER_NODE": "2(x2)", "SLURM_NTASKS": "4",
}  # fmt: skip


def task(rank):
    return STEP | {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank % 2), "SLURM_NODEID": str(rank // 2)}


def test_two_slurm_nodes():
    ranks = [ScheduledRanks(task(k)) for k in range(4)]
    assert all(ScheduledRanks.detect(task(k)) for k in range(4))
    assert [r.global_rank() for r in ranks] == [0, 1, 2, 3]
    assert [r.local_rank() for r in ranks] == [0, 1, 0, 1]
    assert [r.node_rank() for r in ranks] == [0, 0, 1, 1]
    assert {(r.world_size(), r.num_nodes, r.ranks_per_node) for r in ranks} == {(4, 2, 2)}
    assert {(r.main_address, r.main_port) for r in ranks} == {("gpu07", 15000 + 48123456 % 20000)}
    assert all(r.creates_processes_externally for r in ranks)


@pytest.mark.parametrize(("nodes", "host"), [
    ("gpu[07-09,12],login1", "gpu07"), ("node1,node2", "node1"), ("a3-b[2,5]-c", "a3-b2-c"), ("single", "single")])
def test_the_address_is_the_lists_first_host(nodes, host):
    assert first_host(nodes) == host


def test_counts_of_tasks_are_expanded():
    assert [tasks_on("2(x3),1", node) for node in range(4)] == [2, 2, 2, 1]


def test_a_batch_shell_or_a_single_task_is_no_rank():
    assert not ScheduledRanks.detect({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"})
    assert not ScheduledRanks.detect(task(0) | {"SLURM_STEP_NUM_TASKS": "1"})
    assert not ScheduledRanks.detect({"SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_NTASKS": "1"})


def test_uneven_nodes_are_refused():
    with pytest.raises(FlexHookError, match="as many on each"):
        _ = ScheduledRanks(task(0) | {"SLURM_STEP_TASKS_PER_NODE": "3,1"}).ranks_per_node


def test_submitits_local_executor():
    variables = {"SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_NTASKS": "2", "SUBMITIT_LOCAL_GLOBALID": "1",
                 "SUBMITIT_LOCAL_LOCALID": "1", "SUBMITIT_LOCAL_JOB_ID": "4711"}
    ranks = ScheduledRanks(variables)
    assert ScheduledRanks.detect(variables)
    assert (ranks.world_size(), ranks.global_rank(), ranks.ranks_per_node, ranks.main_address) == (2, 1, 2, "127.0.0.1")


def test_rank_0_prepares_and_its_failure_ends_the_others(tmp_path):
    done, here = [], {"MASTER_ADDR": "127.0.0.1"}
    ScheduledRanks(task(0) | here).prepare(tmp_path, lambda: done.append(0))
    ScheduledRanks(task(3) | here).prepare(tmp_path, lambda: done.append(3), patience=1)
    assert done == [0]

    def fail():
        raise ValueError("no data")

    with pytest.raises(ValueError, match="no data"):
        ScheduledRanks(task(0) | here | {"SLURM_RESTART_COUNT": "1"}).prepare(tmp_path, fail)
    with pytest.raises(FlexHookError, match="another process of the job failed"):
        ScheduledRanks(task(1) | here | {"SLURM_RESTART_COUNT": "1"}).prepare(tmp_path, fail, patience=1)


def test_an_unresolvable_host_is_one_message_within_seconds_and_ends_the_others(tmp_path):
    begin, wrong, here = time.monotonic(), {"MASTER_ADDR": "node.invalid"}, {"MASTER_ADDR": "127.0.0.1"}
    with pytest.raises(InputError, match=r"'node\.invalid', is not resolved.*Set MASTER_ADDR to the IP address"):
        ScheduledRanks(task(2) | wrong).prepare(tmp_path / "run", lambda: None)
    with pytest.raises(OtherRankFailed):
        ScheduledRanks(task(0) | here).prepare(tmp_path / "run", lambda: None)
    with pytest.raises(OtherRankFailed):
        ScheduledRanks(task(1) | here).prepare(tmp_path / "run", lambda: None)
    with pytest.raises(InputError, match=r"'gpu\.invalid', is not resolved"):
        ScheduledRanks(task(0) | {"SLURM_STEP_NODELIST": "gpu.invalid,b"}).prepare(tmp_path / "other", lambda: None)
    assert time.monotonic() - begin < 20


def test_signs_are_whole_or_not_there_and_gone_when_the_job_ends_well(tmp_path, monkeypatch):
    """Also those of earlier attempts at the job, which a scheduler put back into its queue; other jobs' stay."""
    here, seen = {"MASTER_ADDR": "127.0.0.1"}, []
    replace = os.replace

    def noted(source, target):
        seen.append((os.path.basename(target), open(source).read()))
        replace(source, target)

    monkeypatch.setattr(os, "replace", noted)
    with pytest.raises(ValueError, match="no data"):
        ScheduledRanks(task(0) | here).prepare(tmp_path, lambda: int("no data"))
    ranks = ScheduledRanks(task(0) | here | {"SLURM_RESTART_COUNT": "1"})
    ranks.prepare(tmp_path, lambda: None)
    other = ScheduledRanks(task(0) | here | {"SLURM_JOB_ID": "48123457"})
    other.prepare(tmp_path, lambda: None)
    assert seen == [(".prepared-48123456.0.0", "failed"), (".prepared-48123456.0.1", "ready"),
                    (".prepared-48123457.0.0", "ready")]
    assert len(list(tmp_path.iterdir())) == 3
    ranks.tidy(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".prepared-48123457.0.0"]
    other.tidy(tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_went_wrong_is_told_where_the_run_folder_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="not resolved"):
        ScheduledRanks(task(2) | {"MASTER_ADDR": "node.invalid"}).prepare(tmp_path / "file/run", lambda: None)
