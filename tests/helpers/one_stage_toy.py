"""One-stage methods at the size of the toy world."""

from toy_world import toy_overrides

METHODS = ("transrmot", "temprmot")
SIZES = ("width=32", "heads=4", "encoder_layers=1", "decoder_layers=2", "ffn=32", "num_queries=6")
EASY = ("birth=0.0", "miss_below=0.0", "score_above=0.0", "area_above=0", "refer_above=0.01")  # untrained, they find something
SPANS = {"a": {1: range(6), 2: range(2, 6)}, "u": {1: range(4), 2: range(3)}, "w": {8: range(3)}}


def one_stage_overrides(root, method, folder):
    """``flexhook`` arguments of a training of 12 steps on the videos of SPANS."""
    common = [o for o in toy_overrides(root, "a", "w", "u") if not o.startswith("sampling.")]
    memory = ["model.temporal_layers=1", "model.temporal_ffn=32", "model.train_history=2", "model.test_history=3"]
    return ["train", *common, f"method={method}", *(f"model.{s}" for s in SIZES), *(memory if method == "temprmot" else []),
            *(f"method.thresholds.{t}" for t in EASY), "+visual.strides=[8,16,32]", "+visual.channels=[6,8,8]",
            "sampling.resize={short: 32, limit: 96}", "sampling.val_length=3", "sampling.num_workers=0",
            "sampling.augmentation.choices=[{_target_: flexhook.methods.one_stage.pictures.ShortSide, sizes: [24, 32]}]",
            "trainer.accelerator=cpu", "trainer.gradient_clip_val=0.1", f"hydra.run.dir={folder}"]  # fmt: skip
