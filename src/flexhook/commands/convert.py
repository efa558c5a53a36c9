"""``flexhook convert``: checkpoints of the authors to ours and back."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flexhook.convert.architecture import Architecture
    from flexhook.convert.checkpoint import Published
    from flexhook.convert.published import Mapped


def run(argv: list[str]) -> int:
    """Convert one checkpoint and report every tensor."""
    parser = argparse.ArgumentParser(
        prog="flexhook convert",
        description="Turns a checkpoint of the authors (.pth) into one of this project (.ckpt), which score, predict and "
        "evaluate take; with --to-published, the other way round. No code from the file is executed. Every tensor "
        "must find its place: one that is missing, left over or of the wrong shape stops the conversion.",
    )
    parser.add_argument("checkpoint", type=Path, help="the file to convert")
    parser.add_argument("--out", type=Path, help="where to write; by default beside it, as .ckpt (or .pth)")
    parser.add_argument("--to-published", action="store_true", help="from this project's names to the authors'")
    parser.add_argument("--text-length", type=int, help="tokens per sentence, where not the checkpoint's own: position "
                        "vectors are interpolated linearly")  # fmt: skip
    parser.add_argument("--architecture", type=Path, metavar="CONFIG.JSON", help="sizes of the model, for one that is "
                        "none of the published encoder pairs (form: config.json of a golden folder)")  # fmt: skip
    parser.add_argument("--tokenizer", help="folder or name of the tokenizer to note in the checkpoint, where it is not "
                        "the text encoder's own on the hub")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace a result that is already there")
    arguments = parser.parse_args(argv)

    from flexhook.errors import InputError

    out = arguments.out or arguments.checkpoint.with_suffix(".pth" if arguments.to_published else ".ckpt")
    if not arguments.checkpoint.is_file():
        raise InputError("the checkpoint does not exist", file=arguments.checkpoint)
    if out.exists() and (not arguments.overwrite or out.samefile(arguments.checkpoint)):
        raise InputError("the result would replace an existing file", file=out,
                         hint="Choose another name with --out, or pass --overwrite")  # fmt: skip
    print(f"converting {arguments.checkpoint}")
    mapped = _to_published(arguments, out) if arguments.to_published else _from_published(arguments, out)
    for (old, new), tensor in zip(mapped.pairs, mapped.state.values(), strict=False):
        print(f"  {old} -> {new} {tuple(tensor.shape)}")
    for notice in mapped.notices:
        print(f"note: {notice}")
    print(f"{len(mapped.pairs)} tensors mapped, none missing, none left over: {out}")
    return 0


def _from_published(arguments: argparse.Namespace, out: Path) -> Mapped:
    from flexhook.convert.architecture import Architecture
    from flexhook.convert.checkpoint import convert, read_published, write_ours
    from flexhook.convert.one_stage import is_one_stage

    published = read_published(arguments.checkpoint)
    if is_one_stage(published.state):
        return _one_stage(arguments, published, out)
    given = Architecture.from_json(arguments.architecture) if arguments.architecture else None
    architecture, _, mapped = convert(published, str(arguments.checkpoint), given, arguments.text_length)
    write_ours(out, mapped, _configuration(architecture, arguments.tokenizer), published.others)
    return mapped


def _one_stage(arguments: argparse.Namespace, published: Published, out: Path) -> Mapped:
    """Convert TransRMOT or TempRMOT."""
    from hydra.utils import instantiate

    from flexhook.configuration.trust import check_parts
    from flexhook.convert.checkpoint import write_ours
    from flexhook.convert.one_stage import OneStageArchitecture, from_published

    file, state = str(arguments.checkpoint), published.state
    architecture, notices = OneStageArchitecture.infer(state, file)
    if arguments.architecture:
        architecture = OneStageArchitecture.from_json(arguments.architecture, state)
        notices = []
    visual, text = architecture.encoders(state, file)
    text |= {k: v for k, v in {"length": arguments.text_length, "tokenizer": arguments.tokenizer}.items() if v is not None}
    config = _compose(f"method={architecture.name}", "visual=resnet50_imagenet", "image_size=[464,1536]")
    config.visual, config.text = visual | {"image_size": list(config.image_size)}, text
    config.model.update({**architecture.sizes, **(architecture.temporal or {})})
    check_parts(config, ["method", "model"], file)
    network = instantiate(config.model)
    mapped = from_published(network, state, file)
    mapped.notices = [*notices, *mapped.notices]
    write_ours(out, mapped, _plain(config), published.others, "network")
    return mapped


def _to_published(arguments: argparse.Namespace, out: Path) -> Mapped:
    from flexhook.convert.checkpoint import write_published
    from flexhook.training.build import build_trained
    from flexhook.training.checkpoints import read_checkpoint

    checkpoint = read_checkpoint(arguments.checkpoint)
    method = build_trained(checkpoint, arguments.checkpoint)
    return write_published(out, method.network, checkpoint["flexhook"].get("published", {}))


def _configuration(architecture: Architecture, tokenizer: str | None) -> dict[str, Any]:
    """The composed configuration of a converted model: the published experiment's with the checkpoint's sizes."""
    config = _compose()
    text = architecture.text_config() | ({} if tokenizer is None else {"tokenizer": tokenizer})
    config.visual, config.text = architecture.visual_config(), text
    config.image_size, config.num_frames = list(architecture.image_size), architecture.window_frames
    config.model.grid = list(architecture.grid)
    hook = {"num_reference_points": architecture.num_reference_points, "finest": list(architecture.grid)}
    config.model.hook.update({**hook, "heads": architecture.attention_heads})
    config.model.decoder.heads = architecture.attention_heads
    return _plain(config)


def _compose(*overrides: str) -> Any:
    """The training configuration for Refer-KITTI-V2, open for changes."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from flexhook.configuration.resolvers import config_folder

    common = ["experiment=none", "data=refer_kitti_v2", "data.root=data/refer_kitti_v2", "name=converted", "run_dir=null"]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", [*common, *overrides])
    OmegaConf.set_struct(config, False)
    return config


def _plain(config: Any) -> dict[str, Any]:
    from omegaconf import OmegaConf

    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]
