"""Everything about a synthetic world that can be chosen."""

from __future__ import annotations

from dataclasses import dataclass, field

from flexhook.errors import ConfigError
from flexhook.synthetic.tracker_errors import TrackerErrors

#: Raised with every change that makes other data of the same configuration.
VERSION = 10


@dataclass(frozen=True)
class WorldConfig:
    """A synthetic world: the same configuration always makes the same files.

    Videos are numbered from 0000: the training videos first, then validation, then test.

    Attributes:
        seed: Seed of everything.
        train_videos: Number of training videos.
        val_videos: Number of videos held out of training for choosing checkpoints.
        test_videos: Number of test videos.
        frames: Frames per video.
        frame_rate: Frames per second; a lower rate makes motion larger between frames and tracks shorter.
        objects_per_frame: Mean number of visible objects that the simulation aims at.
        expressions: Sentences per training and test video; validation videos get two thirds of it.
        unseen_share: Share of a test video's sentences that are unseen in training: half are unseen combinations, half
            unseen paraphrases.
        motion_share: Share of the sentences that cannot be decided without motion.
        min_height: An object is visible if its box is at least this high, in pixels of the nominal frame,
        min_unoccluded: if at least this share of what the frame shows of it is not hidden by something nearer,
        min_inside: and if at least this share of its volume is inside the view.
        size: (height, width) of the nominal frame that boxes refer to.
        image_height: Height of the stored images in pixels; their width keeps the frame's aspect ratio.
        jpeg_quality: 1 to 100; a larger value makes larger files.
        tracker: Rates of the simulated tracker's errors.
    """

    seed: int = 0
    train_videos: int = 40
    val_videos: int = 2
    test_videos: int = 4
    frames: int = 100
    frame_rate: float = 4.0
    objects_per_frame: float = 6.3
    expressions: int = 84
    unseen_share: float = 0.30
    motion_share: float = 0.5
    min_height: float = 34.0
    min_unoccluded: float = 0.5
    min_inside: float = 0.4
    size: tuple[int, int] = (375, 1242)
    image_height: int = 192
    jpeg_quality: int = 92
    tracker: TrackerErrors = field(default_factory=TrackerErrors)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", tuple(self.size))
        for name in ("train_videos", "val_videos", "test_videos", "expressions"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}", expected="1 or more")
        if self.frames < 4:
            raise ConfigError(f"frames is {self.frames}", expected="4 or more")
        for name in ("frame_rate", "objects_per_frame", "image_height", "min_height"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}", expected="more than 0")
        for name in ("unseen_share", "motion_share", "min_unoccluded", "min_inside"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}", expected="a share from 0 to 1")
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}", expected="0 or more")
        height, width = self.image_size
        if abs(width / height / (self.size[1] / self.size[0]) - 1) > 0.01:
            raise ConfigError(
                f"image_height is {height}, which makes images of {width}x{height}",
                expected="an aspect ratio within 1 % of the frame's",
                hint="Choose a larger height",
            )
        if not 1 <= self.jpeg_quality <= 100:
            raise ConfigError(f"jpeg_quality is {self.jpeg_quality}", expected="1 to 100")

    @property
    def splits(self) -> dict[str, list[str]]:
        """Names of the videos by split."""
        counts = {"train": self.train_videos, "val": self.val_videos, "test": self.test_videos}
        names, first = {}, 0
        for split, count in counts.items():
            names[split] = [f"{i:04d}" for i in range(first, first + count)]
            first += count
        return names

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the stored images."""
        return self.image_height, round(self.size[1] * self.image_height / self.size[0])
