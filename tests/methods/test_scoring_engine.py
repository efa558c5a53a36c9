"""The scoring engine: the scores of one window at a time, with every frame and sentence encoded once."""

import os
import shutil
import subprocess
import sys
import weakref
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from tiny_model import IMAGE_SIZE, WORDS, sentences_of, tiny_flexhook
from tiny_video import make_tracks, make_video

from flexhook.errors import ConfigError, InputError
from flexhook.inference.pair_writer import PairWriter
from flexhook.media.images import resize
from flexhook.media.video_files import VideoFileFrames
from flexhook.methods.flexhook.network import WindowBatch
from flexhook.methods.two_stage.engine import ScoringEngine, _Run
from flexhook.methods.two_stage.plan import ScoringPlan
from flexhook.methods.two_stage.window_by_window import score_window_by_window
from flexhook.structures import Expression, Frames, TrackSet
from flexhook.structures.result_files import read_results, write_expressions

# Always there; with gaps; of one observation; of two; crossing the others' gaps. Some frames show nobody.
SPANS = {1: range(20), 7: [0, 1, 2, 15, 16, 24], 3: [5], 4: [9, 10], 9: [3, 6, 9, 12, 15, 18, 30, 31]}
TEXTS = ["cars", *sentences_of(5, seed=3), "cars", " ".join(WORDS[:14]), "red cars"]  # one twice, one too long
EXPRESSIONS = tuple(Expression(s, f"{k}") for k, s in enumerate(TEXTS))
NEEDED = sorted({f for frames in SPANS.values() for f in frames})


@pytest.fixture(scope="module")
def tracks():
    return make_tracks(SPANS)


@pytest.fixture(scope="module")
def model():
    return tiny_flexhook(strides=(16, 32), channels=(6, 8), dtype=torch.float32)


@pytest.fixture(scope="module")
def expected(model, tracks):
    """Logits (n, E, 2) of every observation, from windows put together by loops."""
    return by_loops(model, make_video({}, count=32), tracks, EXPRESSIONS)


def window_rows(tracks, row, frames):
    mine = [r for r in range(row + 1) if tracks.identity[r] == tracks.identity[row]]  # in the order of time
    return ([mine[0]] * (frames - 1) + mine)[-frames:]


@torch.no_grad()
def by_loops(model, video, tracks, expressions):
    ids, mask = model.text.tokenize([e.sentence for e in expressions])
    out = np.zeros((len(tracks), len(expressions), 2), np.float32)
    for row in range(len(tracks)):
        window = window_rows(tracks, row, model.num_frames)
        pictures = np.stack([resize(video.frames.read(int(tracks.frame[r])), IMAGE_SIZE) for r in window])
        boxes = torch.tensor(tracks.box[window] / [192, 64, 192, 64], dtype=torch.float32)
        batch = WindowBatch(frame=torch.arange(len(window))[None], boxes=boxes[None], mask=mask, ids=ids,
                            images=torch.from_numpy(pictures).permute(0, 3, 1, 2))
        out[row] = model(batch).logits[0, -1].numpy()
    return out


class Job:
    """One engine, one video, one folder; encoders start counting at zero."""

    def __init__(self, folder, model, tracks, expressions=EXPRESSIONS, video=None, **settings):
        self.folder, self.model, self.tracks, self.expressions = folder, model, tracks, tuple(expressions)
        self.video = make_video({}, count=32) if video is None else video
        self.engine = ScoringEngine(model, model.text.tokenize, IMAGE_SIZE, **settings)
        model.visual.calls = model.visual.images = model.text.calls = model.text.sentences = 0

    def run(self):
        with PairWriter(self.folder, self.video.name, self.tracks, self.expressions) as writer:
            self.report = self.engine.score(self.video, self.tracks, self.expressions, writer)
        return self

    @property
    def file(self):
        return self.folder / f"{self.video.name}.npz"

    @property
    def logits(self):
        write_expressions(self.folder, {self.video.name: self.expressions})
        scores = read_results(self.folder, self.video.name)
        assert np.array_equal(scores.tracks.box, self.tracks.box)
        return scores.logits


def test_scores_are_those_of_windows_put_together_by_loops(tmp_path, model, tracks, expected):
    assert np.abs(expected[:, 0] - expected[:, 1]).max() > 1e-2
    assert np.abs(Job(tmp_path, model, tracks).run().logits - expected).max() < 1e-5


def test_the_reference_path_gives_them_too(model, tracks, expected):
    video = make_video({}, count=32)
    rows = np.array([0, 7, 20, len(tracks) - 1])
    out = score_window_by_window(model, model.text.tokenize, IMAGE_SIZE, video, tracks, EXPRESSIONS, rows, group=4)
    assert out.shape == (4, 9, 2)
    assert np.abs(out - expected[rows]).max() < 1e-5
    model.visual.images = model.text.sentences = 0
    score_window_by_window(model, model.text.tokenize, IMAGE_SIZE, video, tracks, EXPRESSIONS, rows, group=8)
    assert model.visual.images == 4 * 2 * 4  # windows x groups of expressions x frames: as published
    assert model.text.sentences == 4 * 9


@pytest.mark.parametrize(
    "settings",
    [{}, {"points": 0}, {"frames": 1}, {"frames": 2, "points": 1},
     {"strides": (16,), "channels": (5,), "grid": (16, 48)}],
    ids=["four-scales", "no-conditioning", "one-frame", "two-frames", "one-scale"],
)
def test_scores_of_other_models(tmp_path, tracks, settings):
    model = tiny_flexhook(dtype=torch.float32, **settings)
    expected = by_loops(model, make_video({}, count=32), tracks, EXPRESSIONS)
    job = Job(tmp_path, model, tracks).run()
    assert np.abs(job.logits - expected).max() < 1e-5
    assert model.visual.images == len(NEEDED)


@pytest.mark.parametrize("frame_batch", [1, 3, 8])
def test_every_needed_frame_and_every_sentence_is_encoded_once(tmp_path, model, tracks, expected, frame_batch):
    job = Job(tmp_path, model, tracks, frame_batch=frame_batch).run()
    assert model.visual.images == job.report.frames == len(NEEDED)
    assert model.text.sentences == job.report.sentences == len(set(TEXTS))
    assert job.video.frames.reads == dict.fromkeys(NEEDED, 1)
    assert (job.report.windows, job.report.expressions, job.report.frames_again) == (len(tracks), 9, 0)
    assert np.abs(job.logits - expected).max() < 1e-5


@pytest.mark.parametrize("frame_batch", [3, 8])
def test_frames_are_encoded_in_full_batches(tmp_path, model, tracks, frame_batch):
    Job(tmp_path, model, tracks, frame_batch=frame_batch).run()
    assert model.visual.calls <= len(NEEDED) // frame_batch + 3


@pytest.mark.parametrize("settings", [{"max_pairs": 1}, {"max_pairs": 20}, {"num_workers": 0}, {"num_workers": 5}])
def test_pieces_and_threads_change_nothing(tmp_path, model, tracks, expected, settings):
    assert np.abs(Job(tmp_path, model, tracks, **settings).run().logits - expected).max() < 1e-5


def test_decoding_runs_ahead_but_not_far(tmp_path, model, tracks):
    job = Job(tmp_path, model, make_tracks({1: range(40)}), EXPRESSIONS[:1], make_video({}, count=40), num_workers=2)
    ahead = []
    hook = model.visual.register_forward_pre_hook(
        lambda *_: ahead.append(sum(job.video.frames.reads.values()) - model.visual.images)
    )
    job.run()
    hook.remove()
    assert max(ahead) <= 1 + 2 + 2 + 2


def test_every_box_is_sampled_once(tmp_path, model, tracks, monkeypatch):
    sampled = []
    observe = model.observe
    monkeypatch.setattr(model, "observe", lambda m, f, boxes: sampled.append(len(boxes)) or observe(m, f, boxes))
    Job(tmp_path, model, tracks).run()
    assert sum(sampled) == len(tracks)


def long_gap_video():
    spans = {1: range(60), 2: [0, 40, 41, 42, 43], 3: [10, 11, 50, 51]}
    return make_tracks(spans), make_video({}, count=60)


def test_over_the_memory_budget_frames_are_encoded_again_counted_and_equal(tmp_path, model):
    tracks, video = long_gap_video()
    expressions = EXPRESSIONS[:3]
    plenty = Job(tmp_path / "plenty", model, tracks, expressions, video).run()
    assert (plenty.report.frames, plenty.report.frames_again, model.visual.images) == (60, 0, 60)
    budget = 5 * frame_bytes(model, boxes=1, sentences=3)  # the full track keeps three frames, some of two boxes
    tight = Job(tmp_path / "tight", model, tracks, expressions, video, memory_budget=budget).run()
    assert tight.report.frames == 60
    # frames 0, 10 and 11 wait for 40 and 50: let go, and encoded again where they are needed
    assert 3 <= tight.report.frames_again <= 12
    assert model.visual.images == tight.report.frames + tight.report.frames_again
    assert sum(tight.video.frames.reads.values()) == 2 * 60 + tight.report.frames_again  # one video, two jobs
    assert model.text.sentences == 3
    none = Job(tmp_path / "none", model, tracks, expressions, video, memory_budget=0).run()
    assert none.report.frames_again >= 3 * 56  # every window's frames anew
    assert np.abs(tight.logits - plenty.logits).max() < 1e-5
    assert np.abs(none.logits - plenty.logits).max() < 1e-5


@pytest.mark.parametrize("frame_batch", [8, 16])
def test_frames_ahead_do_not_push_out_what_the_budget_keeps(tmp_path, model, frame_batch):
    """Larger batches must not cost frames: what is encoded ahead has to fit beside what open windows hold."""
    tracks, video = make_tracks({k: range(60) for k in range(4)}), make_video({}, count=60)
    for frames in (4, 6, 11):
        budget = frames * frame_bytes(model, 4, 3)
        job = Job(tmp_path / f"{frames}", model, tracks, EXPRESSIONS[:3], video, frame_batch=frame_batch, memory_budget=budget)
        job.run()
        assert job.report.frames_again <= frame_batch  # the first batch is encoded before the size of a frame is known
    assert model.visual.calls <= 60 // 4  # and still in batches


def test_observations_that_no_open_window_needs_are_not_kept(tmp_path, model, monkeypatch):
    """Frames that wait for one object's return do not hold all others' features."""
    spans = {k: range(40) for k in range(8)} | {100 + k: [k, k + 30] for k in range(4)}
    held, release = [], _Run._release

    def noted(run, end):
        release(run, end)
        held.append(sum(len(frame.observed[0]) for frame in run.kept.values()))

    monkeypatch.setattr(_Run, "_release", noted)
    tracks, video = make_tracks(spans), make_video({}, count=40)
    job = Job(tmp_path, model, tracks, EXPRESSIONS[:3], video).run()
    assert np.abs(job.logits - by_loops(model, video, tracks, EXPRESSIONS[:3])).max() < 1e-5
    assert job.report.frames_again == 0
    assert max(held) <= 3 * 8 + 4 + 4  # three frames of everybody; the four that will come back
    assert held[20] == 3 * 8 + 4


def frame_bytes(model, boxes, sentences):
    grids, channels = model.hook.target.grids, model.visual.channels
    points = model.hook.conditioning.num_points
    return 4 * sum(c * (boxes * h * w + sentences * points) for (h, w), c in zip(grids, channels, strict=True))


def most_kept(folder, model, length, **settings):
    """The largest number of frames whose contributions are alive at a time, engine's business or not."""
    spans = {1: range(length)}
    spans |= {2 + k: [f for f in range(k, length) if f % 30 == k] for k in range(3)}  # gaps of 30 frames
    alive, most = weakref.WeakSet(), []
    observe = model.observe

    def spy(*arguments):
        out = observe(*arguments)
        alive.add(out[0])
        most.append(len(alive))
        return out

    model.observe = spy
    try:
        job = Job(folder, model, make_tracks(spans), EXPRESSIONS[:1], make_video({}, count=length), **settings).run()
    finally:
        del model.observe
    assert (job.report.frames, job.report.frames_again) == (length, 0)
    return max(most)


@pytest.mark.parametrize("frame_batch", [1, 8])
def test_memory_does_not_grow_with_the_length_of_the_video(tmp_path, frame_batch):
    model = tiny_flexhook(strides=(16,), channels=(4,), points=1, frames=2, grid=(8, 24), dtype=torch.float32)
    short = most_kept(tmp_path / "short", model, 70, frame_batch=frame_batch)
    assert short == most_kept(tmp_path / "long", model, 180, frame_batch=frame_batch)
    assert short <= 2 + 3 * 2 + 2 * frame_batch  # each of the four tracks needs its last two observations


LONG = """
import resource, sys, tempfile
from pathlib import Path
import torch
from test_scoring_engine import EXPRESSIONS, Job
from tiny_model import tiny_flexhook
from tiny_video import make_tracks, make_video

torch.set_num_threads(1)
model = tiny_flexhook(strides=(16,), channels=(4,), points=1, frames=2, grid=(8, 24), dtype=torch.float32)
for length in (100, 10_000):
    spans = {1: range(length), **{2 + k: range(k, length, 30) for k in range(3)}}
    with tempfile.TemporaryDirectory() as place:
        job = Job(Path(place), model, make_tracks(spans), EXPRESSIONS[:2], make_video({}, count=length)).run()
    assert (job.report.frames, job.report.frames_again) == (length, 0)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_ten_thousand_frames_score_in_the_memory_of_a_hundred():
    folders = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1] / "helpers")])
    run = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": folders})
    assert run.returncode == 0, run.stderr
    short, long = map(int, run.stdout.split())
    assert long - short < 30_000  # kB; the tracks, the plan and the frames' read counts take some of it


@pytest.mark.slow
def test_a_compiled_encoder_gives_the_same_scores(tmp_path, model, tracks, expected):
    if not shutil.which("g++"):
        pytest.skip("torch.compile needs a C++ compiler on a CPU")
    job = Job(tmp_path, model, tracks, compile=True)
    assert job.engine.encode_frames is not model.encode_frames
    assert np.abs(job.run().logits - expected).max() < 1e-5


class Power(Frames):
    """Frames that fail once the given one is asked for."""

    def __init__(self, frames, last):
        self.frames, self.last = frames, last

    def __len__(self):
        return len(self.frames)

    def name(self, index):
        return self.frames.name(index)

    def read(self, index):
        if index >= self.last:
            raise KeyboardInterrupt
        return self.frames.read(index)


@pytest.mark.parametrize(("frame_batch", "last"), [(1, 16), (1, 1), (3, 16)])
def test_interrupted_job_goes_on_where_it_was_and_writes_the_same_file(tmp_path, model, tracks, frame_batch, last):
    whole = Job(tmp_path / "whole", model, tracks, frame_batch=frame_batch).run()
    broken = Job(tmp_path / "parts", model, tracks, frame_batch=frame_batch)
    object.__setattr__(broken.video, "frames", Power(broken.video.frames, last))
    with pytest.raises(KeyboardInterrupt):
        broken.run()
    assert not broken.file.exists()
    rest = Job(tmp_path / "parts", model, tracks, frame_batch=frame_batch).run()
    done = len(tracks) - rest.report.windows
    if last == 16:
        assert done > len(tracks) / 3  # all up to the frames that were decoded ahead
        left = {int(tracks.frame[r]) for row in range(done, len(tracks)) for r in window_rows(tracks, row, 4)}
        assert rest.video.frames.reads == dict.fromkeys(left, 1)
    assert np.flatnonzero(tracks.frame >= last).size <= rest.report.windows
    if frame_batch == 1:
        assert rest.file.read_bytes() == whole.file.read_bytes()
    assert np.abs(rest.logits - whole.logits).max() < 1e-5
    again = Job(tmp_path / "parts", model, tracks).run()
    assert (again.report.windows, model.visual.images, model.text.sentences) == (0, 0, 0)


def test_job_that_broke_between_the_windows_of_one_frame(tmp_path, model, tracks, expected):
    """Rows of a frame that are written and rows that are not: only the missing ones are computed."""
    with PairWriter(tmp_path, "0001", tracks, EXPRESSIONS) as writer:
        for row in (0, 1, 5, 11, 30):
            writer.write(row, expected[row : row + 1])
    job = Job(tmp_path, model, tracks).run()
    assert job.report.windows == len(tracks) - 5
    assert np.abs(job.logits - expected).max() < 1e-5


def test_no_expressions(tmp_path, model, tracks):
    job = Job(tmp_path, model, tracks, ()).run()
    assert job.logits.shape == (len(tracks), 0, 2)
    assert (model.visual.images, model.text.sentences) == (0, 0)


@pytest.mark.parametrize("expressions", [EXPRESSIONS, ()])
def test_no_tracks(tmp_path, model, expressions):
    job = Job(tmp_path, model, TrackSet.empty(), expressions).run()
    assert job.logits.shape == (0, len(expressions), 2)
    assert (model.visual.images, model.text.sentences, job.report.windows) == (0, 0, 0)


def test_one_observation_and_one_expression(tmp_path, model):
    tracks, video = make_tracks({5: [3]}), make_video({}, count=32)
    job = Job(tmp_path, model, tracks, EXPRESSIONS[2:3], video).run()
    assert model.visual.images == 1
    assert np.abs(job.logits - by_loops(model, video, tracks, EXPRESSIONS[2:3])).max() < 1e-5


def test_identical_sentences_get_identical_scores(tmp_path, model, tracks):
    logits = Job(tmp_path, model, tracks).run().logits
    assert TEXTS[0] == TEXTS[6]
    assert np.array_equal(logits[:, 0], logits[:, 6])


def test_scores_do_not_depend_on_the_other_tracks_or_expressions(tmp_path, model, tracks, expected):
    few = [2, 8]
    rows = np.isin(tracks.identity, [4, 7])
    job = Job(tmp_path, model, tracks.select(rows), [EXPRESSIONS[k] for k in few]).run()
    assert np.abs(job.logits - expected[rows][:, few]).max() < 1e-5


def test_bfloat16_is_near(tmp_path, model, tracks, expected):
    job = Job(tmp_path, model, tracks, precision="bf16").run()
    assert job.logits.dtype == np.float32
    difference = np.abs(job.logits - expected)
    assert 0 < difference.max() < 0.1 * np.abs(expected).max()
    with pytest.raises(ConfigError, match=r"scoring\.precision is 'fp16'"):
        Job(tmp_path, model, tracks, precision="fp16")


def test_model_is_scored_in_evaluation_mode(tmp_path, tracks):
    model = tiny_flexhook(strides=(16,), channels=(4,), dtype=torch.float32).train()
    Job(tmp_path, model, tracks).run()
    assert not any(module.training for module in model.modules())


def test_image_of_another_shape_is_refused_by_name(tmp_path, model, tracks):
    job = Job(tmp_path, model, tracks)
    job.video.frames.size = (32, 64)
    with pytest.raises(InputError, match=r"the image is 64x32 .*configured as 192x64"):
        job.run()


@pytest.mark.parametrize(("name", "container"), [("a.mp4", "mp4"), ("a.h264", "h264")])  # with timestamps, without
def test_video_file_is_read_by_one_thread(tmp_path, model, name, container):
    """Its decoder goes from frame to frame; two threads would push each other's frames on."""
    with av.open(str(tmp_path / name), "w", format=container) as file:
        stream = file.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 192, 64, "yuv420p"
        for k in range(60):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 192, 3), 4 * k, np.uint8), format="rgb24")))
        file.mux(stream.encode())
    frames = VideoFileFrames(tmp_path / name)
    in_order = [resize(frames.read(k), IMAGE_SIZE) for k in range(60)]
    tracks, video = make_tracks({1: range(60)}), make_video({}, count=60)
    object.__setattr__(video, "frames", VideoFileFrames(tmp_path / name))
    seen = []
    hook = model.visual.register_forward_pre_hook(lambda _m, x: seen.append(x[0][0]))
    job = Job(tmp_path, model, tracks, EXPRESSIONS[:1], video, num_workers=4).run()
    hook.remove()
    assert job.report.frames == 60
    for picture, expected in zip(seen, in_order, strict=True):
        x = (expected / 255 - np.array(model.visual.mean)) / np.array(model.visual.std)
        assert np.abs(picture.permute(1, 2, 0).numpy() - x).max() < 1e-5


def test_plan_by_hand():
    """Tracks 1: frames 0, 1, 2; 2: frames 1, 9 (rows: 0 = 1@0, 1 = 1@1, 2 = 2@1, 3 = 1@2, 4 = 2@9); T = 2."""
    tracks = make_tracks({1: [0, 1, 2], 2: [1, 9]})
    plan = ScoringPlan.of(tracks, 2, np.ones(5, bool))
    assert plan.rows.tolist() == [[0, 0], [0, 1], [2, 2], [1, 3], [2, 4]]
    assert plan.frames.tolist() == [[0, 0], [0, 1], [1, 1], [1, 2], [1, 9]]
    assert plan.ends == [0, 1, 2, 9]
    assert [e.tolist() for e in plan.ending] == [[0], [1, 2], [3], [4]]
    assert plan.uses == {0: [0, 1], 1: [1, 2, 9], 2: [2], 9: [9]}
    assert {f: r.tolist() for f, r in plan.needed_rows.items()} == {0: [0], 1: [1, 2], 2: [3], 9: [4]}
    assert plan.last_end.tolist() == [1, 2, 9, 2, 9]


def test_plan_of_what_is_left():
    tracks = make_tracks({1: [0, 1, 2], 2: [1, 9]})
    plan = ScoringPlan.of(tracks, 2, np.array([False, False, False, True, False]))
    assert (plan.ends, [e.tolist() for e in plan.ending]) == ([2], [[3]])
    assert plan.uses == {1: [2], 2: [2]}
    assert {f: r.tolist() for f, r in plan.needed_rows.items()} == {1: [1], 2: [3]}
    assert plan.last_end.tolist() == [-1, 2, -1, 2, -1]
