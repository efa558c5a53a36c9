"""A whole dataset: scenes, what is visible in them, and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from flexhook.structures import Expression, Frames, TrackSet, Video, make_labels
from flexhook.structures.slugs import unique_slugs
from flexhook.synthetic.config import WorldConfig
from flexhook.synthetic.drawing import write_pictures
from flexhook.synthetic.kinds import CATEGORIES, KINDS
from flexhook.synthetic.meanings import Facts, facts_of
from flexhook.synthetic.order import drawing_order
from flexhook.synthetic.scene import EGO_MODES, Scene, simulate
from flexhook.synthetic.selection import Statement, select
from flexhook.synthetic.visibility import Observations, observe
from flexhook.synthetic.workers import spread


@dataclass(frozen=True, eq=False)
class SimulatedVideo:
    """A video and what is said of it.

    Attributes:
        scene: All that happens.
        seen: The visible objects.
        facts: What is true of each of them.
        statements: The video's sentences.
    """

    scene: Scene
    seen: Observations
    facts: Facts
    statements: tuple[Statement, ...]

    def as_video(self, frames: Frames) -> Video:
        """The in-memory form that the reader would give; ``frames`` are its pictures."""
        seen, statements = self.seen, self.statements
        category = [CATEGORIES.index(KINDS[self.scene.things[t].kind].category) for t in seen.thing]
        truth = TrackSet.build(seen.frame, seen.thing, seen.box, category, categories=CATEGORIES)
        slugs = unique_slugs(s.sentence for s in statements)
        expressions = tuple(Expression(s.sentence, name, s.tags) for s, name in zip(statements, slugs, strict=True))
        columns, rows = np.nonzero(np.stack([s.true for s in statements]))
        labels = make_labels(rows, columns, (len(truth), len(expressions)))
        return Video(self.scene.name, self.scene.camera.size, frames, truth, expressions, labels)


def simulate_world(
    config: WorldConfig, workers: int | None = None, pictures: Path | None = None
) -> dict[str, SimulatedVideo]:
    """Simulate all videos and choose their sentences.

    Args:
        config: The world.
        workers: Processes; by default one per processor. The result does not depend on it.
        pictures: Where a folder of pictures per video goes; None draws nothing.

    Returns:
        Videos by name, in the order of the splits.
    """
    names = [(name, EGO_MODES[k % len(EGO_MODES)]) for split in config.splits.values() for k, name in enumerate(split)]
    jobs = [(name, index, mode, config, pictures) for index, (name, mode) in enumerate(names)]
    scenes = {scene.name: (scene, seen) for scene, seen in spread(_simulate_one, jobs, workers)}
    facts = {name: facts_of(scene, seen) for name, (scene, seen) in scenes.items()}
    statements = select(facts, config)
    return {name: SimulatedVideo(*scenes[name], facts[name], tuple(statements[name])) for name in scenes}


def _simulate_one(job: tuple[str, int, str, WorldConfig, Path | None]) -> tuple[Scene, Observations]:
    name, index, mode, config, pictures = job
    cv2.setNumThreads(1)
    scene = simulate(name, index, mode, config)
    orders = [drawing_order(scene, frame) for frame in range(scene.frames)]
    if pictures is not None:
        write_pictures(scene, config, pictures / name, orders)
    return scene, observe(scene, config, orders)
