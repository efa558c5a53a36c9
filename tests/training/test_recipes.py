"""The published recipes, DESIGN.md, section 7: every number of its table, and what is decayed, dropped and validated."""

import pytest
import timm
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from timm.models.swin_transformer import SwinTransformerBlock
from torch import nn

import flexhook.configuration.resolvers  # noqa: F401
from flexhook.configuration.resolvers import config_folder
from flexhook.convert.architecture import Architecture
from flexhook.convert.published import published_names
from flexhook.methods.two_stage.module import parameter_groups
from flexhook.training.build import build_datamodule, build_method, build_reader, training_videos

BY_SOURCE = ("TAO", "VisDrone", "MOT17", "SportsMOT")


def by_source(*values):
    return dict(zip(BY_SOURCE, values, strict=True))


TABLE = {
    "optim.optimizer.lr": (3e-5, 3e-5, 3e-6, 1e-5),
    "optim.optimizer.eps": (1e-10,) * 4,
    "optim.weight_decay": (1e-4,) * 4,
    "optim.epochs": (20, 20, 20, 25),
    "optim.milestones": ([12, 18], [12, 18], [12, 18], [15, 20]),
    "optim.factor": (0.5,) * 4,
    "optim.warmup_steps": (0,) * 4,
    "sampling.batch_size": (7, 7, 9, 7),
    "span": (8, 8, 25, 8),
    "perturbation.masking.span": (8, 8, 25, 8),
    "perturbation.jitter.scale": (0.02,) * 4,
    "perturbation.swap.probability": (0.1,) * 4,
    "perturbation.swap.max_pairs": (1,) * 4,
    "num_frames": (4,) * 4,
    "sampling.stride": (2, 2, 20, by_source(5, 180, 16, 30)),
    "sampling.val_stride": (2, 2, 4, by_source(40, 28, 8, 24)),
    "sampling.val_keep_every": (1, 10, 8, by_source(1, 1, 1, 5)),
    "sampling.expressions": (36, 36, 8, 8),
    "sampling.positives": (24, 24, 4, 4),
    "sampling.noisy": (True, True, True, False),
    "sampling.drop_unreferred": (False, True, True, False),
    "loss.match.positive_weight": (0.7, 0.7, 0.6, 0.7),
    "loss.match.gamma": (1.0,) * 4,
    "loss.match._target_": ("flexhook.methods.two_stage.losses.EntropyWeightedCrossEntropy",) * 4,
    "loss.regulariser.weight": (0.01,) * 4,
    "model.hook.num_reference_points": (10,) * 4,
    "image_size": ([224, 672],) * 4,
    "text.length": (25,) * 4,
    "text.model": ("roberta-base",) * 4,
    "visual.depths": ([2, 2, 6, 2],) * 4,
    "visual.drop_path": (0.1,) * 4,
    "trainer.precision": ("32-true",) * 4,
    "trainer.gradient_clip_val": (None,) * 4,
    "trainer.accumulate_grad_batches": (1,) * 4,
    "freeze": ([],) * 4,
}
RECIPES = ("refer_kitti", "refer_kitti_v2", "refer_dance", "lamot")
KITTI = ["0001", "0002", "0003", "0004", "0006", "0007", "0008", "0009", "0010", "0012", "0014", "0015", "0016", "0018", "0020"]


def recipe(name, *overrides):
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return compose("train", [f"experiment={name}", "data.root=/x", "name=x", "run_dir=/x", *overrides])


def compose_toy(toy, *overrides):
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return compose("train", [*toy.overrides, "run_dir=/x", *overrides])


def plain(value):
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


@pytest.mark.parametrize("column", range(4), ids=RECIPES)
def test_every_number_of_the_table(column):
    cfg = recipe(RECIPES[column])
    assert {key: plain(OmegaConf.select(cfg, key)) for key in TABLE} == {key: row[column] for key, row in TABLE.items()}
    assert cfg.optim.optimizer._target_ == "torch.optim.AdamW"


@pytest.mark.parametrize(("name", "videos", "test"), [
    ("refer_kitti", KITTI, ["0005", "0011", "0013"]),
    ("refer_kitti_v2", ["0000", *KITTI], ["0005", "0011", "0013", "0019"]),
])  # fmt: skip
def test_videos(name, videos, test):
    cfg = recipe(name)
    splits = plain(cfg.data.reader.splits)
    assert sorted(splits["train"] + splits["val"]) == videos
    assert splits["val"] == ["0016", "0018", "0020"]
    assert splits["test"] == test
    assert (plain(cfg.protocol.train_on), cfg.protocol.validate_on) == (["train"], "val")
    published = recipe(name, "protocol=published").protocol
    assert (plain(published.train_on), published.validate_on) == (["train", "val"], "test")  # nothing is held out
    assert (published.judge_last_observation, published.freeze_mode) == (False, "train")


@pytest.mark.parametrize(("protocol", "trained", "validated"), [("default", "abc", "w"), ("published", "abcw", "uv")])
def test_the_published_protocol_trains_on_the_held_out_videos_too(toy, protocol, trained, validated):
    """But never on a test video, were it in both splits."""
    cfg = compose_toy(toy, "data.reader.splits.val=[w]", "data.reader.splits.test=[u,v]", f"protocol={protocol}")
    data = build_datamodule(cfg, build_reader(cfg), build_method(cfg))
    assert "".join(v.name for v in data.train_videos) == trained
    assert "".join(v.name for v in data.val_videos) == validated
    both = compose_toy(toy, "data.reader.splits.val=[u,w]", "data.reader.splits.test=[u,v]", f"protocol={protocol}")
    assert "u" not in [v.name for v in training_videos(both, build_reader(both))]


@pytest.mark.parametrize(("machine", "frozen", "together"), [("2x4090", [], 14), ("gpu_24gb", [], 14),
                                                             ("gpu_8gb", ["visual", "text"], 14)])  # fmt: skip
def test_machines_take_the_published_number_of_windows_per_step(machine, frozen, together):
    cfg = recipe("refer_kitti_v2", f"machine={machine}")
    assert plain(cfg.freeze) == frozen
    assert cfg.sampling.batch_size * cfg.trainer.devices * cfg.trainer.accumulate_grad_batches == together
    assert cfg.trainer.precision == ("bf16-mixed" if machine == "gpu_8gb" else "32-true")


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("machine", ["none", "2x4090", "gpu_24gb"])
def test_clips_of_a_recipe_are_one_per_step(name, machine):
    """A recipe's batch counts windows; seven clips would be up to 56 of them."""
    sampling = recipe(name, f"machine={machine}", "ablation=sampling/clips").sampling
    assert sampling["items"]._target_ == "flexhook.sampling.items.ClipItems"
    windows = recipe(name).sampling
    assert (sampling.batch_size, sampling.max_tracks, sampling.pool) == (1, 8, None)
    for key in ("expressions", "positives", "noisy", "drop_unreferred", "num_workers"):
        assert sampling[key] == windows[key]


def test_published_items_for_the_benchmark():
    sampling = recipe("synthetic", "ablation=sampling/windows").sampling
    assert sampling["items"]._target_ == "flexhook.sampling.items.WindowItems"
    assert (sampling.batch_size, sampling.expressions, sampling.positives) == (7, 36, 24)
    assert sampling.stride == recipe("synthetic", "ablation=sampling/clips").sampling.stride
    assert plain(recipe("synthetic", "ablation=sampling/clips").sampling) == plain(recipe("synthetic").sampling)


def roberta_model():
    config = {"type": "roberta", "vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
              "intermediate_size": 16, "max_position_embeddings": 30, "type_vocab_size": 1}  # fmt: skip
    visual = {"type": "rope_swin", "embed_dim": 16, "depths": [1, 1], "num_heads": [1, 2], "drop_path": 0.1}
    with torch.device("meta"):
        return Architecture(visual, config).build()


def test_weight_decay_by_published_names():
    model = roberta_model()
    decayed, spared = parameter_groups(model, 1e-4)
    names = {id(p): published_names(model)[n] for n, p in model.named_parameters()}
    matrices = {names[id(p)] for p in spared["params"] if p.ndim > 1}
    assert matrices == {
        "backbone.absolute_pos_embed", "backbone.layers.0.blocks.0.attn.rope_freqs",
        "backbone.layers.1.blocks.0.attn.rope_freqs", "text_encoder.embeddings.position_embeddings.weight",
        "absolute_lang_pos_embed", "conditional_pos_embed",
    }  # fmt: skip
    assert all(p.ndim > 1 for p in decayed["params"])
    assert {"init_embeds", "conditional_pos_projector.0.weight", "text_encoder.embeddings.word_embeddings.weight"} <= {
        names[id(p)] for p in decayed["params"]}
    assert len(decayed["params"]) + len(spared["params"]) == len(names)


@pytest.mark.parametrize(("name", "spared"), [
    ("vit_small_patch16_rope_mixed_224", {"rope.freqs"}),
    ("swin_tiny_patch4_window7_224", {"relative_position_bias_table"}),
    ("vit_tiny_patch16_224", {"pos_embed"}),
])  # fmt: skip
def test_weight_decay_spares_what_timm_calls_positions_and_frequencies(name, spared):
    with torch.device("meta"):
        net = timm.create_model(name)
    vectors = {id(p) for p in parameter_groups(net, 0.1)[1]["params"]}
    matrices = {n for n, p in net.named_parameters() if p.ndim > 1 and id(p) in vectors}
    assert {n for n in matrices if n in spared or n.rpartition(".")[2] in spared} == matrices != set()


class Composed(nn.Module):
    """A user's part: names that hold "position" or "rope", and one parameter that it declares a position embedding."""

    position_parameters = frozenset({"place"})

    def __init__(self):
        super().__init__()
        self.composition = nn.Linear(3, 3)
        self.position = nn.Linear(3, 3)
        self.europe_freqs = nn.Linear(3, 3)
        self.place, self.pos_embed = nn.Parameter(torch.zeros(4, 3)), nn.Parameter(torch.zeros(4, 3))
        self.disposition = nn.Embedding(4, 3)


def test_weight_decay_asks_what_a_parameter_is_and_not_what_its_name_holds():
    net = nn.ModuleDict({"decoder": Composed()})
    decayed, spared = ({id(p) for p in group["params"]} for group in parameter_groups(net, 0.1))
    names = dict(net.named_parameters())
    assert {n for n, p in names.items() if id(p) in decayed} == {
        "decoder.composition.weight", "decoder.position.weight", "decoder.europe_freqs.weight", "decoder.disposition.weight"}
    assert {n for n, p in names.items() if id(p) in spared and p.ndim > 1} == {"decoder.place", "decoder.pos_embed"}


def test_stochastic_depth_and_dropout_as_published():
    """Linear in depth up to 0.1 in Swin and RoPE-Swin; RoBERTa and BERT with 0.1 everywhere."""
    for group in ("rope_swin_tiny", "swin_tiny"):
        cfg = recipe("refer_kitti", f"visual={group}", "visual.pretrained=false", "image_size=[32,96]")
        blocks = [m for m in instantiate(cfg.visual).modules() if isinstance(m, SwinTransformerBlock)]
        rates = [getattr(b.drop_path2, "drop_prob", 0.0) for b in blocks]
        assert rates == pytest.approx([0.1 * k / 11 for k in range(12)])
    for name in ("roberta", "bert"):
        cfg = recipe("refer_kitti", f"text={name}", "text.pretrained=false", "+text.config.num_hidden_layers=1")
        with torch.device("meta"):
            net = instantiate(cfg.text)
        assert {m.p for m in net.modules() if isinstance(m, nn.Dropout)} == {0.1}


def test_the_optimiser_and_its_schedule():
    cfg = recipe("lamot", "visual=resnet18", "visual.pretrained=false", "text.pretrained=false", "image_size=[32,96]",
                 "+text.config.num_hidden_layers=1", "+text.config.vocab_size=60", "freeze=[text]")  # fmt: skip
    module = build_method(cfg).module
    made = module.configure_optimizers()
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    assert [(g["lr"], g["eps"], g["weight_decay"]) for g in optimizer.param_groups] == [(1e-5, 1e-10, 1e-4), (1e-5, 1e-10, 0.0)]
    rates = []
    for _ in range(25):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([1e-5] * 15 + [5e-6] * 5 + [2.5e-6] * 5)
