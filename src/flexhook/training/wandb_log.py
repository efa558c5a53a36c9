"""Weights & Biases: a run with its flat configuration, learning curves, summary, evaluation table and contact sheets."""

from __future__ import annotations

import csv
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import OmegaConf

from flexhook.configuration.flat_config import flat_config
from flexhook.errors import ConfigError
from flexhook.structures.files import atomic_write
from flexhook.training.run_folder import read_config

ID = "wandb_id.txt"


def place(folder: Path) -> dict[str, str]:
    """Group, job type and name of a run by its folder: ``<sweep>/<run>/seed<k>``, or ``<experiment>/<time>``.

    Cut to the 128 characters that wandb takes.
    """
    found = {"group": folder.parent.name, "job_type": "train", "name": folder.name}
    if folder.name.startswith("seed"):
        run, sweep = folder.parent.name, folder.parent.parent.name
        found = {"group": sweep, "job_type": run, "name": f"{run}-{folder.name}"}
    return {key: text[:128] for key, text in found.items()}


class WandbLog(WandbLogger):
    """One wandb run per run folder; offline (WANDB_MODE=offline) nothing is lost, ``wandb sync`` sends it later.

    A run that resumes goes on in its wandb run, whose id lies in the folder.

    Args:
        folder: The run folder, with its config.yaml.
        project: Project in wandb.
        tags: Tags, beside the dataset's name and ``seed<k>``.
        options: Further arguments of ``wandb.init``; group, job_type and name are found from the folder.
    """

    def __init__(self, folder: str | Path, project: str = "flexhook", tags: Sequence[str] = (), **options: Any) -> None:
        self.folder = Path(folder)
        cfg: Any = OmegaConf.to_container(read_config(self.folder), resolve=True)
        given = {**place(self.folder), "config": flat_config(cfg), **options}
        tags = [*tags, cfg["data"]["name"], f"seed{cfg['seed']}"]
        super().__init__(project=project, save_dir=str(self.folder), id=self._id_of_folder(), tags=tags, **given)
        self._end_earlier_run()

    @property
    def experiment(self) -> Any:
        """The wandb run.

        Raises:
            ConfigError: wandb wants an account.
        """
        import wandb

        try:
            return super().experiment
        except wandb.errors.UsageError as error:
            raise ConfigError(f"logger=wandb: {error}", hint="Set WANDB_MODE=offline, which needs no account") from None

    def _id_of_folder(self) -> str:
        path = self.folder / ID
        if not path.is_file():
            with atomic_write(path) as temporary:
                temporary.write_text(secrets.token_hex(4))
        return path.read_text().strip()

    @rank_zero_only
    def _end_earlier_run(self) -> None:
        """A run of a sweep that failed in this process is still open; this one would be logged into it."""
        import wandb

        if wandb.run is not None:
            wandb.finish(exit_code=1)

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing more: the whole configuration was given at the start."""

    @rank_zero_only
    def leave_results(self, metrics: Mapping[str, float]) -> None:
        """Add summary metrics, the table of expressions and the pictures, and end the wandb run.

        Args:
            metrics: What metrics.json holds.
        """
        import wandb

        run: Any = self.experiment
        run.summary.update({name: float(value) for name, value in metrics.items()})
        table = self.folder / "expressions.csv"
        if table.is_file():
            with open(table, newline="", encoding="utf-8") as stream:
                columns, *rows = csv.reader(stream)
            data = [[_value(cell) for cell in row] for row in rows]
            run.log({"expressions": wandb.Table(columns=list[Any](columns), data=data)})
        pictures = sorted((self.folder / "pictures").glob("*.png"))
        if pictures:
            run.log({f"pictures/{path.stem}": wandb.Image(str(path)) for path in pictures})
        run.finish()


def _value(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell
