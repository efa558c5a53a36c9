"""Runs of ablations and seeds as one Hydra multirun, which goes on with the others where a run fails."""

from __future__ import annotations

import logging
import multiprocessing
import shlex
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from flexhook.configuration.mistakes import in_one_line, input_error_behind
from flexhook.configuration.resolvers import run_name
from flexhook.structures.files import atomic_write
from flexhook.training.resume import accepted, done
from flexhook.training.running import FAILED, RUNNING, fallen
from flexhook.training.scheduled_ranks import OtherRankFailed, ScheduledRanks

log = logging.getLogger(__name__)

NOT_BEGUN = "its process ended before the run began; the message stands above"
HOPELESS = 3  # so many runs that do not even begin, one after the other: the sweep's own mistake


def run_of_sweep(cfg: DictConfig) -> float | None:
    """One run of a multirun: as :func:`flexhook.training.job.train`, resumed; why it failed is left in its folder.

    Args:
        cfg: The composed configuration.

    Returns:
        The best validation F1.
    """
    from flexhook.training.job import train

    note = Path(cfg.run_dir) / FAILED
    main_rank = not ScheduledRanks.detect() or ScheduledRanks().global_rank() == 0
    if main_rank:
        note.unlink(missing_ok=True)  # of an earlier attempt
    if multiprocessing.get_start_method() not in multiprocessing.get_all_start_methods():
        multiprocessing.set_start_method(None, force=True)  # joblib's own, by which its workers cannot start processes
    try:
        result = train(cfg, resume=True)
    except Exception as error:
        if not isinstance(error, OtherRankFailed):
            why = in_one_line(error)
            if not note.is_file():  # else another rank was first, and this one may only miss the connection to it
                write_note(note, why, "" if input_error_behind(error) else traceback.format_exc())
            log.error(f"failed: {cfg.run_dir}: {why}")
        traceback.clear_frames(error.__traceback__)  # Hydra keeps the error until the end, and with it what frames hold
        raise
    if main_rank:
        note.unlink(missing_ok=True)  # of another attempt that found this one at work
    return result


def write_note(path: Path, why: str, more: str = "") -> None:
    """Leave in a run's folder why it failed: one line, then what a programmer wants to see."""
    with atomic_write(path) as temporary:
        temporary.write_text(f"{why}\n\n{more}" if more else f"{why}\n")


@dataclass(frozen=True)
class Sweep:
    """Ablations times seeds.

    Attributes:
        folder: Where the runs lie.
        runs: Options of the group ``ablation``.
        seeds: Their seeds.
        overrides: Further overrides of all runs.
        config_dirs: Folders with configurations beside the project's.
    """

    folder: Path
    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    overrides: tuple[str, ...] = ()
    config_dirs: tuple[Path, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """Arguments of the one ``flexhook`` command that makes all runs."""
        return [
            "train", "-m", *(f"--config-dir={folder}" for folder in self.config_dirs), *self.overrides,
            f"ablation={','.join(self.runs)}", f"seed={','.join(map(str, self.seeds))}", f"hydra.sweep.dir={self.folder}",
        ]  # fmt: skip

    def run_folders(self) -> dict[str, dict[int, Path]]:
        """``{run: {seed: folder}}``, as the command makes them."""
        common = [f"{o.get_key_element()}={o.get_value_element_as_str()}"  # as Hydra's sweeper writes them: 3e-3 is 0.003
                  for o in OverridesParser.create().parse_overrides(list(self.overrides))]
        names = {run: run_name([*common, f"ablation={run}"], str(self.folder)) for run in self.runs}
        return {run: {seed: self.folder / name / f"seed{seed}" for seed in self.seeds} for run, name in names.items()}

    def run(self) -> int:
        """Make the runs that are not done, in a process of their own; its exit status.

        A process that is killed (by the system, when memory runs out), or that cannot compose a run's configuration, takes
        only that run with it: the others are made by another one. Where several runs fell together, each is tried alone
        first, which tells whose fault it was. A scheduler's jobs are their own processes: nothing is started again there.
        """
        folders = {(run, seed): folder for run, seeds in self.run_folders().items() for seed, folder in seeds.items()}
        launcher = [o.partition("=")[2] for o in ("launcher=local", *self.overrides) if o.startswith("launcher=")][-1]
        print(f"flexhook {shlex.join(self.arguments)}", flush=True)
        for folder in folders.values():
            (folder / FAILED).unlink(missing_ok=True)
            if fallen(folder, patience=0):
                (folder / RUNNING).unlink(missing_ok=True)
        parts, status, not_begun = [self], 0, 0
        while parts:
            part = parts.pop(0)
            code = _wait_for([sys.executable, "-m", "flexhook.commands.main", *part.arguments])
            status = status or code
            fell = [key for key, folder in folders.items() if code and fallen(folder)]
            for folder in (folders[key] for key in fell):
                (folder / RUNNING).unlink(missing_ok=True)
            left = [key for key, folder in folders.items()
                    if not done(folder) and not any((folder / name).is_file() for name in (FAILED, RUNNING))]
            tried = fell or [key for key in left if key[0] in part.runs and key[1] in part.seeds][:1]  # the others wait for it
            if code == 0 or not tried:
                continue
            if len(fell) == 1 or len(part.runs) * len(part.seeds) == 1:
                not_begun = 0 if fell else not_begun + 1
                if not fell:  # nor would another seed of it
                    tried = [key for key in left if key[0] == tried[0][0]]
                for key in set(tried).intersection(left):
                    write_note(folders[key] / FAILED, _ended_by(-code) if fell else NOT_BEGUN)
                    left.remove(key)
            if launcher not in ("local", "joblib") or not_begun == HOPELESS:
                break
            parts = [replace(self, runs=(run,), seeds=(seed,)) for run, seed in left if (run, seed) in tried]
            parts += self._parts([key for key in left if key not in tried])
        return status

    def _parts(self, left: Sequence[tuple[str, int]]) -> list[Sweep]:
        """Some of its runs, as sweeps."""
        parts: list[Sweep] = []
        for run in dict.fromkeys(run for run, _ in left):
            seeds = tuple(seed for other, seed in left if other == run)
            if parts and parts[-1].seeds == seeds:
                parts[-1] = replace(parts[-1], runs=(*parts[-1].runs, run))
            else:
                parts.append(replace(self, runs=(run,), seeds=seeds))
        return parts

    def finished(self) -> list[Path]:
        """The folders of the runs that are done."""
        return [folder for seeds in self.run_folders().values() for folder in seeds.values() if accepted(folder)]

    def failures(self) -> list[str]:
        """A line per run that is not done, or is another configuration's, with why."""
        lines = []
        for run, seeds in self.run_folders().items():
            for seed, folder in seeds.items():
                if not accepted(folder):
                    note = folder / FAILED
                    why = note.read_text().partition("\n")[0] if note.is_file() else "not finished"
                    lines.append(f"{run}, seed {seed}: {why} ({folder})")
        return lines


def _wait_for(command: Sequence[str]) -> int:
    """The exit status of a process; when this one is stopped, the other is, too, and has time to say how to go on."""
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
            raise


def _ended_by(number: int) -> str:
    """A line for a run whose process was killed, by a signal where that is known."""
    name = f"by {signal.Signals(number).name}" if number > 0 else "from outside"
    return f"its process was ended {name}" + (", as the system does when memory runs out" * (number in (-1, signal.SIGKILL)))
