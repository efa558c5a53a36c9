"""Checkpoints: written whole, read without executing anything, the five best kept, taken over by a run that resumes."""

from __future__ import annotations

import errno
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from flexhook.encoders.weight_files import weights_fingerprint
from flexhook.errors import ConfigError, InputError
from flexhook.structures.files import atomic_write
from flexhook.training.checkpoint_file import HINT, require_checkpoint_file
from flexhook.training.csv_log import keep_rows

log = logging.getLogger(__name__)


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints beside their final name and renames them, so that none is ever half there."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write one, see :func:`write_checkpoint`."""
        write_checkpoint(Path(path), checkpoint)


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint whole or not at all.

    Raises:
        InputError: It cannot be written; what torch says of a full disk does not name it.
    """
    hint = ("Make room, or keep fewer with callbacks.checkpoint.save_top_k; then go on from the last one with ckpt_path, in a "
            "sweep with the same command")
    with atomic_write(path, hint=hint) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:  # a full disk, whose name torch does not say
            raise OSError(errno.ENOSPC, str(error).splitlines()[0]) from error


class BestCheckpoints(ModelCheckpoint):
    """Lightning's, for a run that may go on in another folder or after its end was cut off.

    The last checkpoint is that of the last epoch, also where that one is not among the best (Lightning 2.6 leaves it out).
    A file of the same epoch is written over, not beside; what an earlier folder kept is known by its name in this one,
    where :func:`take_over` has put it.

    Args:
        keep_epoch: The number of an epoch, from 1 on, whose checkpoint is kept besides; anything but a number keeps none.
        arguments: Lightning's.

    Attributes:
        kept_epoch_path: That checkpoint's file; empty before it is written.
    """

    def __init__(self, keep_epoch: Any = None, **arguments: Any) -> None:
        super().__init__(**arguments, enable_version_counter=False)
        self.keep_epoch = keep_epoch if type(keep_epoch) is int else None
        self.kept_epoch_path = ""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """See that the epoch to be kept will come.

        Raises:
            ConfigError: The training has fewer epochs.
        """
        if self.keep_epoch is not None and self.keep_epoch > (trainer.max_epochs or 0):
            raise ConfigError(f"select_by is {self.keep_epoch}, and the training has {trainer.max_epochs} epochs",
                              expected="the number of one of its epochs, last, monitor or hota")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write what Lightning writes, and the checkpoint of the epoch to be kept."""
        if trainer.current_epoch + 1 == self.keep_epoch:
            self.kept_epoch_path = str(Path(str(self.dirpath)) / f"epoch{trainer.current_epoch:03d}-kept.ckpt")
            trainer.save_checkpoint(self.kept_epoch_path)
        super().on_train_epoch_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Lightning's state, and the kept epoch's file."""
        return {**super().state_dict(), "kept_epoch_path": self.kept_epoch_path}

    def _save_topk_checkpoint(self, trainer: L.Trainer, monitor_candidates: dict[str, torch.Tensor]) -> None:
        super()._save_topk_checkpoint(trainer, monitor_candidates)
        self._last_global_step_saved = trainer.global_step  # what Lightning asks before it writes the last one

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The state with the checkpoints that lie in this folder."""
        assert self.dirpath is not None
        here = {p: str(Path(self.dirpath) / Path(p).name) for p in _names(state_dict)}
        here = {old: new for old, new in here.items() if Path(new).is_file()}
        scores = {here[old]: score for old, score in state_dict["best_k_models"].items() if old in here}
        self.kept_epoch_path = here.get(state_dict.get("kept_epoch_path", ""), "")
        first, last = (max, min) if self.mode == "max" else (min, max)
        best, worst = (choose(scores, key=scores.__getitem__, default="") for choose in (first, last))
        super().load_state_dict({
            **state_dict,
            "dirpath": self.dirpath,
            "best_k_models": scores,
            "best_model_path": best or here.get(state_dict["best_model_path"], ""),
            "best_model_score": scores.get(best),
            "kth_best_model_path": worst,
            "kth_value": scores.get(worst, self.kth_value),
            "last_model_path": here.get(state_dict["last_model_path"], ""),
        })


def take_over(checkpoint: dict, path: Path, folder: Path, config: dict) -> None:
    """Bring what a run that resumes goes on with into its folder: the best checkpoints so far and the log up to there.

    Args:
        checkpoint: The content of the checkpoint it resumes from.
        path: That checkpoint's file.
        folder: The folder of the run that goes on.
        config: That run's configuration as plain containers, which its checkpoints carry from now on.
    """
    source, target = path.resolve().parent, (folder / "checkpoints").resolve()
    keep_rows(source.parent / "metrics.csv", folder / "metrics.csv", int(checkpoint.get("global_step", 0)))
    if source == target:
        return
    names = set(kept(checkpoint))
    missing = sorted(name for name in names if not (source / name).is_file())
    if missing:
        log.warning(f"{', '.join(missing)} of the earlier run do not lie in {source} and are out of the choice")
    for name in sorted(names.difference(missing)):  # by epoch: one that is cut short here goes on from the newest there is
        content = read_checkpoint(source / name)
        content["flexhook"] = {**content["flexhook"], "config": config}
        write_checkpoint(target / name, content)


def kept(checkpoint: dict) -> list[str]:
    """The files that a checkpoint's run had kept when it was written: the best ones and the last, by name."""
    states = [s for s in checkpoint.get("callbacks", {}).values() if isinstance(s, dict) and "best_k_models" in s]
    return sorted({Path(p).name for s in states for p in _names(s)})


def read_checkpoint(path: str | Path) -> dict:
    """A checkpoint's content: tensors and plain containers, nothing is executed, and the checksums of all parts hold.

    Raises:
        InputError: The file is missing, damaged or no checkpoint of ours.
    """
    whole = "a whole file that `flexhook train` wrote"
    require_checkpoint_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        checkpoint = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make the readers fail in any way there is
        raise InputError(f"the checkpoint does not load ({(str(error) or repr(error)).splitlines()[0]})", file=path,
                         expected=whole, hint=HINT) from None
    if damaged:
        raise InputError(f"the checkpoint is damaged: the checksum of {damaged} differs", file=path, expected=whole,
                         hint="Copy it again from its source, or name another one of the run")
    wrong = _misformed(checkpoint)
    if wrong:
        raise InputError(f"the file is not a checkpoint of this project: {wrong}", file=path, hint=HINT)
    return checkpoint  # type: ignore[return-value]


def require_training_state(checkpoint: dict, path: str | Path) -> None:
    """See that a training can go on from a checkpoint.

    Raises:
        InputError: It has weights, but not the state of a training, as a converted one.
    """
    wanted = {"optimizer_states": list, "lr_schedulers": list, "loops": dict, "callbacks": dict, "epoch": int,
              "global_step": int}
    missing = [name for name, kind in wanted.items() if not isinstance(checkpoint.get(name), kind)]
    if missing:
        raise InputError(f"the checkpoint has no state of a training ({missing[0]} is missing)", file=path,
                         expected="a checkpoint of a training that was stopped",
                         hint="Name one under checkpoints/ of its run folder; score and predict take this one as it is")


def _misformed(checkpoint: Any) -> str | None:
    """What keeps a content from being a checkpoint's, in words; None where it is one."""
    if not isinstance(checkpoint, dict) or not {"flexhook", "state_dict"} <= checkpoint.keys():
        return "it has no entries flexhook and state_dict"
    ours, state = checkpoint["flexhook"], checkpoint["state_dict"]
    if not isinstance(ours, dict) or not isinstance(ours.get("config"), dict):
        return "its entry flexhook holds no configuration"
    forms = {"frozen": str, "metrics": int | float}
    for name, kind in forms.items():
        part = ours.get(name, {})
        if not isinstance(part, dict) or not all(isinstance(k, str) and isinstance(v, kind) for k, v in part.items()):
            return f"flexhook.{name} is malformed"
    words = ours.get("words", [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return "flexhook.words is malformed"
    if not isinstance(state, dict) or not all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in state.items()):
        return "its state_dict holds something else than tensors by name"
    return None


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the latest step that loads; one that was cut off while it was written is passed over."""
    best: tuple[int, bool, Path] | None = None
    for path in sorted(folder.glob("*.ckpt")):
        try:
            step = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["global_step"]
        except Exception:  # whatever a cut-off file makes torch say
            log.warning(f"{path} does not load and is passed over")
            continue
        candidate = (step, path.name == "last.ckpt", path)
        best = candidate if best is None else max(best, candidate)
    return None if best is None else best[2]


def load_weights(module: torch.nn.Module, checkpoint: dict, path: str | Path) -> None:
    """Put a checkpoint's weights into a LightningModule built from the same configuration.

    Raises:
        InputError: As :func:`complete`.
    """
    complete(module, checkpoint, path)
    for name, tensor in checkpoint["state_dict"].items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise InputError(f"the weight {name} is not finite", file=path, expected="finite weights",
                             hint="The training diverged: lower optim.optimizer.lr, or name an earlier checkpoint")
    module.load_state_dict(checkpoint["state_dict"])


def complete(module: torch.nn.Module, checkpoint: dict, path: str | Path) -> None:
    """Complete a checkpoint's state dict with the frozen parts of a freshly built module, and see that it fits.

    Args:
        module: The LightningModule, built from the checkpoint's configuration.
        checkpoint: The loaded checkpoint; its ``state_dict`` is completed in place.
        path: Its name, for the message.

    Raises:
        InputError: Names or shapes do not fit, or the pretrained part at hand is not the one trained with.
    """
    hint = "Give the overrides of that training; a file of another version has to be trained again"
    for name, fingerprint in checkpoint.get("flexhook", {}).get("frozen", {}).items():
        try:
            part = module.get_submodule(name)
        except AttributeError:
            raise InputError(f"it names a frozen part {name}, which the model has not", file=path, hint=hint) from None
        if weights_fingerprint(part) != fingerprint:
            problem = f"the frozen {name.rpartition('.')[2]} encoder at hand has other weights than the one trained with"
            raise InputError(problem, file=path, expected=f"the same pretrained weights (fingerprint {fingerprint})", hint=hint)
        for key, value in part.state_dict().items():
            checkpoint["state_dict"][f"{name}.{key}"] = value
    misfit = _misfit(module.state_dict(), checkpoint["state_dict"])
    if misfit:
        raise InputError(f"the checkpoint does not fit the model: {misfit}", file=path,
                         expected="the model it was trained with", hint=hint)


def _names(state: dict[str, Any]) -> Iterator[str]:
    """The checkpoints that a callback's state names."""
    others = [state.get("last_model_path"), state.get("kept_epoch_path")]
    yield from (p for p in dict.fromkeys([*state["best_k_models"], state["best_model_path"], *others]) if p)


def _misfit(wanted: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> str | None:
    """The first of what does not fit, in words; None where all does."""
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found:
            return f"{name} is missing"
        if name not in wanted:
            return f"{name} is left over"
        if wanted[name].shape != found[name].shape:
            return f"{name} is {tuple(found[name].shape)}, {tuple(wanted[name].shape)} here"
    return None
