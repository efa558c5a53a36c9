"""``flexhook bench stream``: latency of a live frame by tracks and sentences, and what one more sentence costs.

Frames are in memory and tracks are given: the first stage (detector and associator) and the camera are not in these times. The
model has the sizes of the embedded one (EfficientNet-Lite0, MiniLM, 160x480) and random weights.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any

import numpy as np

from flexhook.benchmarks.made_up import EMBEDDED, SIZE, TOY, made_up_video, random_model
from flexhook.benchmarks.measurement import add_accelerator, device_clock, machine
from flexhook.errors import InputError
from flexhook.inference.prediction import best_device
from flexhook.memory import peak_memory
from flexhook.methods.two_stage.engine import ScoringEngine
from flexhook.methods.two_stage.stream import TwoStageStream
from flexhook.structures import TrackSet, Video

TRACKS, SENTENCES = (1, 5, 10, 20), (1, 20, 200)
GOAL_TRACKS, GOAL_SENTENCES = 7, 20
FRAMES_PER_SECOND = 10
WARM_UP = 6  # frames: windows are full, and memory is allocated


@dataclass
class Latency:
    """What frames took.

    Attributes:
        seconds: (n,) of each frame.
        parts: Seconds per frame by part.
        cpu: Seconds of all threads of this process per frame.
    """

    seconds: np.ndarray
    parts: dict[str, float]
    cpu: float

    @property
    def p50(self) -> float:
        """Median."""
        return float(np.median(self.seconds))

    @property
    def p95(self) -> float:
        """95th percentile."""
        return float(np.percentile(self.seconds, 95))


def run(argv: list[str]) -> int:
    """Measure, print the tables, and compare with the targets."""
    parser = argparse.ArgumentParser(prog="flexhook bench stream", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20, help="measured frames of each setting (default: %(default)s)")
    parser.add_argument("--tracks", type=int, nargs="+", default=TRACKS, help="trajectories per frame")
    parser.add_argument("--sentences", type=int, nargs="+", default=SENTENCES, help="sentences answered")
    add_accelerator(parser)
    parser.add_argument("--precision", default="float32", help="float32 or bf16 (default: %(default)s)")
    parser.add_argument("--cpu-time", action="store_true",
                        help="CPU seconds of this process in place of elapsed ones, where others use the CPU too; set "
                        "OMP_NUM_THREADS=1 besides, since threads that wait count as well")
    parser.add_argument("--toy", action="store_true", help="a small model of the same kind, to try the benchmark out")
    arguments = parser.parse_args(argv)
    if min(arguments.frames, *arguments.tracks, *arguments.sentences) < 1:
        raise InputError("a number is too small", expected="1 frame, track and sentence or more")
    device = best_device(arguments.accelerator)
    if arguments.cpu_time and device.type != "cpu":
        raise InputError("--cpu-time is given on a GPU", expected="--accelerator cpu beside it")
    sizes = TOY if arguments.toy else EMBEDDED
    model, _ = random_model(sizes)
    engine = ScoringEngine(model, model.text.tokenize, sizes.image_size, device, precision=arguments.precision)
    clock = time.process_time if arguments.cpu_time else device_clock(device)
    print(f"{machine(device)}\nframes {SIZE[0]}x{SIZE[1]}, seen at {sizes.image_size[0]}x{sizes.image_size[1]}, "
          f"{arguments.precision}, random weights, first stage apart; {arguments.frames} frames each\n", flush=True)
    unit = "CPU ms" if arguments.cpu_time else "ms"
    print(f"{f'{unit} per frame':18}" + "".join(f"{f'{count} sentences':>22}" for count in arguments.sentences))
    print(f"{'tracks':18}" + f"{'p50':>12}{'p95':>10}" * len(arguments.sentences))
    for tracks in arguments.tracks:
        row = f"{tracks:<18}"
        for sentences in arguments.sentences:
            latency = measure(engine, clock, tracks, sentences, arguments.frames)
            row += f"{1e3 * latency.p50:12.1f}{1e3 * latency.p95:10.1f}"
        print(row, flush=True)
    goal = measure(engine, clock, GOAL_TRACKS, GOAL_SENTENCES, max(arguments.frames, 2))
    added = cost_of_adding(engine, clock, GOAL_TRACKS, GOAL_SENTENCES, max(arguments.frames // 2, 2))
    print(f"\n{GOAL_TRACKS} tracks x {GOAL_SENTENCES} sentences: {1 / goal.p50:.1f} frames per second (median; "
          f"{1e3 * goal.cpu:.0f} ms of CPU time per frame); target {FRAMES_PER_SECOND}")
    print("where the time goes: " + ", ".join(f"{name} {1e3 * s:.1f} ms" for name, s in goal.parts.items()))
    print(f"one more sentence: {1e3 * added:.1f} ms once, {added / goal.p50:.2f} of a frame's time; target at most 1")
    print(f"peak memory {peak_memory(device) / 2**20:.0f} MB")
    return 0 if arguments.toy or (1 / goal.p50 >= FRAMES_PER_SECOND and added <= goal.p50) else 1


def live_frames(video: Video, count: int) -> Iterator[tuple[np.ndarray, TrackSet]]:
    """Frames in memory and their tracks; four pictures take turns."""
    pictures = [video.frames.read(k) for k in range(4)]
    for frame in range(count):
        yield pictures[frame % 4], video.truth.select(video.truth.frame == frame)


def measure(engine: ScoringEngine, clock: Callable[[], float], tracks: int, sentences: int, frames: int) -> Latency:
    """Run a stream for some frames, of which the first ones are not counted."""
    video = made_up_video(frames + WARM_UP, tracks, sentences)
    stream = TwoStageStream(engine, [e.sentence for e in video.expressions], video.size)
    seconds, cpu, parts = [], 0.0, {"encode": 0.0, "sample": 0.0, "look": 0.0, "judge": 0.0}
    with timed(engine, clock, parts):
        for k, (picture, found) in enumerate(live_frames(video, frames + WARM_UP)):
            if k == WARM_UP:
                parts.update(dict.fromkeys(parts, 0.0))
                cpu = time.process_time()
            begin = clock()
            stream.update(picture, found)
            seconds.append(clock() - begin)
    cpu, measured = (time.process_time() - cpu) / frames, np.array(seconds[WARM_UP:])
    parts = {name: spent / frames for name, spent in parts.items()}
    return Latency(measured, parts | {"other": float(measured.mean()) - sum(parts.values())}, cpu)


@contextlib.contextmanager
def timed(engine: ScoringEngine, clock: Callable[[], float], parts: dict[str, float]) -> Iterator[None]:
    """Add the seconds of the model's parts to ``parts`` within this context."""
    places: dict[str, tuple[Any, str]] = {
        "encode": (engine, "encode_frames"), "sample": (engine.model, "observe"), "look": (engine.model, "look"),
        "judge": (engine.model, "judge"),
    }  # fmt: skip
    before = {part: getattr(*place) for part, place in places.items()}

    def counted(part: str) -> Callable:
        @wraps(before[part])
        def call(*arguments: Any) -> Any:
            begin = clock()
            result = before[part](*arguments)
            parts[part] += clock() - begin
            return result

        return call

    for part, (owner, name) in places.items():
        setattr(owner, name, counted(part))
    try:
        yield
    finally:
        for part, (owner, name) in places.items():
            setattr(owner, name, before[part])


def cost_of_adding(engine: ScoringEngine, clock: Callable[[], float], tracks: int, sentences: int, times: int) -> float:
    """Seconds that adding a sentence takes beyond the frames themselves: the call, and what the next frame takes more."""
    video = made_up_video(WARM_UP + 3 * times, tracks, sentences + 1)
    *first, last = [e.sentence for e in video.expressions]
    stream = TwoStageStream(engine, first, video.size)
    frames = live_frames(video, WARM_UP + 3 * times)

    def update() -> float:
        picture, found = next(frames)
        begin = clock()
        stream.update(picture, found)
        return clock() - begin

    for _ in range(WARM_UP):
        update()
    spent, plain = [], []
    for _ in range(times):
        begin = clock()
        stream.add(last)
        spent.append(clock() - begin + update())
        plain.append(update())
        stream.remove(last)
        update()
    return max(float(np.median(spent) - np.median(plain)), 0.0)
