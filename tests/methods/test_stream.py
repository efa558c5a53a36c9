"""The stream: frame by frame the scores of whole videos, every frame encoded once, in bounded memory."""

import resource
import time
from functools import partial

import numpy as np
import pytest
import torch
from tiny_model import IMAGE_SIZE, TinyText, TinyVisual, sentences_of, tiny_flexhook
from tiny_video import SIZE, NumberedFrames, make_tracks, make_video

from flexhook.errors import ConfigError, InputError
from flexhook.inference.pair_writer import PairWriter
from flexhook.methods.flexhook.motion_decoder import MotionQueryDecoder
from flexhook.methods.ikun.network import IKUN
from flexhook.methods.two_stage.cosine import CosineDecoder
from flexhook.methods.two_stage.engine import ScoringEngine
from flexhook.methods.two_stage.stream import TwoStageStream
from flexhook.structures import Expression, PairResults, TrackSet
from flexhook.structures.result_files import read_results, write_expressions

COUNT = 32
# Always there; with gaps; of one observation; of two; one that comes back; two that begin together. Some frames show nobody.
SPANS = {1: range(20), 7: [0, 1, 2, 15, 16, 24], 3: [5], 4: [9, 10], 9: [3, 6, 9, 12, 15, 18, 30, 31], 5: range(10, 20)}
TEXTS = sentences_of(7, seed=3)


def tiny_ikun():
    torch.manual_seed(1)
    return IKUN(TinyVisual(), TinyText(), image_size=IMAGE_SIZE, heads=4).eval()


MODELS = {
    "flexhook": partial(tiny_flexhook, strides=(8, 16, 32), channels=(5, 6, 8), dtype=torch.float32),
    "motion queries": partial(tiny_flexhook, strides=(16, 32), channels=(6, 8), dtype=torch.float32,
                              decoder=MotionQueryDecoder),
    "no conditioning": partial(tiny_flexhook, strides=(16,), channels=(4,), points=0, dtype=torch.float32),
    "cosine": partial(tiny_flexhook, strides=(16,), channels=(4,), points=0, dtype=torch.float32,
                      decoder=lambda heads, **more: CosineDecoder(**more)),
    "one frame": partial(tiny_flexhook, strides=(16,), channels=(4,), frames=1, dtype=torch.float32),
    "iKUN": tiny_ikun,
}


@pytest.fixture(scope="module", params=MODELS)
def engine(request):
    model = MODELS[request.param]()
    return ScoringEngine(model, model.text.tokenize, IMAGE_SIZE, max_pairs=5)


def whole_video(folder, engine, tracks, texts=TEXTS):
    """(n, E, 2) logits of a whole video."""
    video, expressions = make_video({}, count=COUNT), tuple(Expression(s, f"{k}") for k, s in enumerate(texts))
    with PairWriter(folder, video.name, tracks, expressions) as writer:
        engine.score(video, tracks, expressions, writer)
    write_expressions(folder, {video.name: expressions})
    return np.array(read_results(folder, video.name).logits)


def expected_results(folder, engine, tracks, texts=TEXTS):
    """(frame, identity, sentence) -> (probability, accepted) of a whole video."""
    logits = whole_video(folder, engine, tracks, texts)
    results = PairResults("", tracks, [Expression(s, s) for s in texts], logits)
    return {(f, i, r.expression.sentence): (p, a) for r in results
            for f, i, p, a in zip(r.tracks.frame.tolist(), r.tracks.identity.tolist(), r.score, r.accepted, strict=True)}


def at_frame(tracks, frame):
    return tracks.select(tracks.frame == frame)


def run(stream, tracks, frames=range(COUNT), before=None):
    """The stream's answers, {(frame, identity, sentence): (probability, accepted)}; ``before(frame)`` changes sentences."""
    pictures, out = NumberedFrames(COUNT), {}
    for frame in frames:
        if before:
            before(frame)
        answer = stream.update(pictures.read(frame), at_frame(tracks, frame))
        assert list(answer) == stream.sentences
        for sentence, result in answer.items():
            assert (result.tracks.frame == frame).all()
            for identity, p, a in zip(result.tracks.identity.tolist(), result.score, result.accepted, strict=True):
                out[frame, identity, sentence] = p, a
    return out


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    assert max(abs(found[k][0] - expected[k][0]) for k in expected) < 1e-5
    assert all(found[k][1] == expected[k][1] for k in expected if abs(expected[k][0] - 0.5) > 1e-5)


def test_stream_answers_as_whole_videos_do(tmp_path, engine):
    tracks = make_tracks(SPANS)
    expected = expected_results(tmp_path, engine, tracks)
    assert 1e-3 < np.std([p for p, _ in expected.values()])
    assert_same(run(TwoStageStream(engine, TEXTS, SIZE), tracks), expected)


def test_sentences_come_and_go(tmp_path, engine):
    """From the frame on at which a sentence is added its answers are those of the whole video."""
    tracks = make_tracks(SPANS)
    expected = expected_results(tmp_path, engine, tracks)
    stream, there = TwoStageStream(engine, TEXTS[:2], SIZE), {}
    changes = {4: ("add", TEXTS[2]), 11: ("remove", TEXTS[0]), 13: ("add", TEXTS[3]), 16: ("add", TEXTS[0]),
               17: ("remove", TEXTS[3]), 24: ("remove", TEXTS[2]), 30: ("add", TEXTS[6])}  # fmt: skip

    def change(frame):
        if frame in changes:
            getattr(stream, changes[frame][0])(changes[frame][1])
        there[frame] = list(stream.sentences)

    found = run(stream, tracks, before=change)
    assert_same(found, {key: value for key, value in expected.items() if key[2] in there[key[0]]})


def test_stream_that_begins_without_sentences(tmp_path, engine):
    tracks = make_tracks(SPANS)
    expected = expected_results(tmp_path, engine, tracks)
    stream = TwoStageStream(engine, [], SIZE)
    found = run(stream, tracks, before=lambda frame: stream.add(TEXTS[1]) if frame == 14 else None)
    assert_same(found, {key: value for key, value in expected.items() if key[0] >= 14 and key[2] == TEXTS[1]})


def test_last_sentence_may_go_and_another_come(tmp_path, engine):
    tracks = make_tracks(SPANS)
    expected = expected_results(tmp_path, engine, tracks)
    stream = TwoStageStream(engine, [TEXTS[0]], SIZE)

    def change(frame):
        if frame == 8:
            stream.remove(TEXTS[0])
        if frame == 15:
            stream.add(TEXTS[5])

    found = run(stream, tracks, before=change)
    wanted = {key: v for key, v in expected.items()
              if (key[2] == TEXTS[0] and key[0] < 8) or (key[2] == TEXTS[5] and key[0] >= 15)}
    assert_same(found, wanted)


@pytest.fixture
def small():
    """The smallest model, whose encoders count from zero."""
    model = tiny_flexhook(strides=(16, 32), channels=(6, 8), dtype=torch.float32)
    return ScoringEngine(model, model.text.tokenize, IMAGE_SIZE)


def test_every_frame_with_tracks_and_every_sentence_is_encoded_once(small):
    tracks = make_tracks(SPANS)
    stream = TwoStageStream(small, TEXTS[:3], SIZE)
    run(stream, tracks, before=lambda frame: stream.add(TEXTS[4]) if frame == 12 else None)
    assert small.model.visual.images == len(set(tracks.frame.tolist()))
    assert small.model.text.sentences == 4


def test_added_sentence_looks_at_kept_frames_and_at_nothing_twice(small, monkeypatch):
    looks = []
    look = small.model.look
    monkeypatch.setattr(small.model, "look", lambda maps, k, state: looks.append(len(state)) or look(maps, k, state))
    tracks = make_tracks({1: range(10), 2: range(10)})
    stream = TwoStageStream(small, TEXTS[:3], SIZE)
    run(stream, tracks, range(6))
    assert looks == [3] * 6
    looks.clear()
    stream.add(TEXTS[3])
    assert looks == []
    run(stream, tracks, range(6, 7))
    assert looks == [1, 1, 1, 4]  # the new sentence in the last three frames, all in the new frame


def test_calibration_shifts_each_sentence(tmp_path, small):
    small.calibration = lambda features: features.sum(1)
    tracks = make_tracks(SPANS)
    expected = expected_results(tmp_path, small, tracks)
    stream = TwoStageStream(small, TEXTS[:2], SIZE)

    def change(frame):
        if frame == 3:
            stream.add(TEXTS[2])
        if frame == 6:
            stream.remove(TEXTS[0])

    found = run(stream, tracks, before=change)
    assert_same(found, {key: expected[key] for key in found})
    assert len(found) > 20


def test_smoothing_averages_the_last_observations(tmp_path, small):
    tracks = make_tracks(SPANS)
    logits = whole_video(tmp_path, small, tracks)
    stream = TwoStageStream(small, TEXTS, SIZE, smoothing=2)
    found = run(stream, tracks)
    for identity, rows in tracks.tracks().items():
        for k, row in enumerate(rows):
            mean = logits[rows[max(k - 2, 0) : k + 1]].astype(float).mean(0)
            probability = 1 / (1 + np.exp(mean[:, 0] - mean[:, 1]))
            mine = [found[int(tracks.frame[row]), identity, text][0] for text in TEXTS]
            np.testing.assert_allclose(mine, probability, atol=1e-5)


def test_smoothing_of_an_added_sentence_begins_with_it(small):
    tracks = make_tracks({1: range(8)})
    plain, smooth = TwoStageStream(small, TEXTS[:1], SIZE), TwoStageStream(small, TEXTS[:1], SIZE, smoothing=3)
    runs = [run(s, tracks, range(8), lambda frame, s=s: s.add(TEXTS[1]) if frame == 5 else None) for s in (plain, smooth)]
    assert runs[0][5, 1, TEXTS[1]][0] == pytest.approx(runs[1][5, 1, TEXTS[1]][0], abs=1e-7)
    assert runs[0][6, 1, TEXTS[1]][0] != runs[1][6, 1, TEXTS[1]][0]


def test_track_that_was_away_for_long_begins_anew(small):
    tracks = make_tracks({1: [0, 1, 2, 20, 21]})
    found = run(TwoStageStream(small, TEXTS[:2], SIZE, forget_after=10), tracks)
    alone = run(TwoStageStream(small, TEXTS[:2], SIZE), at_frames(tracks, [20, 21]))
    assert_same({k: v for k, v in found.items() if k[0] >= 20}, alone)
    remembered = run(TwoStageStream(small, TEXTS[:2], SIZE, forget_after=18), tracks)
    assert any(abs(remembered[k][0] - alone[k][0]) > 1e-4 for k in alone)


def at_frames(tracks, frames):
    return tracks.select(np.isin(tracks.frame, frames))


def crowd(frame, rng, life=25):
    """Tracks that live for 25 frames; a new one every 5, with another identity each, and boxes that tremble."""
    identities = np.arange(frame // 5 - life // 5 + 1, frame // 5 + 1)
    identities = identities[identities >= 0]
    corner = rng.uniform(0, 40, (len(identities), 2))
    return TrackSet.build(np.zeros(len(identities)), identities, np.concatenate([corner, corner + 20], 1))


def state_of(stream):
    windows = stream._windows
    return len(windows), windows.capacity, len(stream._kept), len(stream._mean._history)


def test_memory_is_bounded_by_the_tracks_that_are_remembered(small):
    rng, picture = np.random.default_rng(0), NumberedFrames(1).read(0)
    stream, states = TwoStageStream(small, TEXTS[:2], SIZE, forget_after=20, smoothing=1), []
    for frame in range(400):
        if frame % 40 == 20:
            stream.add(TEXTS[4])
        if frame % 40 == 35:
            stream.remove(TEXTS[4])
        stream.update(picture, crowd(frame, rng))
        states.append(state_of(stream))
    assert max(states[100:]) <= max(states[:100])
    assert np.max(states, axis=0).tolist() == [9, 16, 15, 9]  # 5 seen, 4 not yet forgotten; 3 frames of each, shared by some
    for _ in range(25):
        stream.update(picture, crowd(-1, rng))
    assert state_of(stream) == (0, 16, 0, 0)


@pytest.mark.slow
def test_ten_thousand_frames_take_no_more_memory_and_time_than_a_hundred():
    model = tiny_flexhook(strides=(32,), channels=(4,), points=1, frames=2, dtype=torch.float32)
    engine = ScoringEngine(model, model.text.tokenize, IMAGE_SIZE)
    rng, picture = np.random.default_rng(0), NumberedFrames(1).read(0)
    stream, young = (TwoStageStream(engine, TEXTS[:3], SIZE, forget_after=20) for _ in range(2))
    memory, spent = {}, {stream: [], young: []}
    for frame in range(10_000):
        tracks = crowd(frame, rng, life=10)
        for each in (stream, young) if frame >= 9_500 else (stream,):  # side by side: other work on the machine slows both
            begin = time.process_time()
            each.update(picture, tracks)
            spent[each].append(time.process_time() - begin)
        if frame in (99, 9_999):
            with open("/proc/self/statm") as file:
                memory[frame] = int(file.read().split()[1]) * resource.getpagesize()
    assert memory[9_999] <= 1.05 * memory[99]
    assert np.median(spent[stream][-400:]) < 1.1 * np.median(spent[young][-400:])


@pytest.mark.parametrize(("call", "message"), [
    (lambda s, f, t: s.update(f[..., 0], t), "the frame is uint8 of shape"),
    (lambda s, f, t: s.update(f / 255, t), "the frame is float64"),
    (lambda s, f, t: s.update(None, t), "the frame is NoneType"),
    (lambda s, f, t: s.update(f[:, :50], t), "frame 1: the image is 50x32"),
    (lambda s, f, t: s.update(f), "a frame without tracks"),
    (lambda s, f, t: s.update(f, make_tracks({1: [0, 1]})), "identity occurs twice"),
    (lambda s, f, t: s.add(" "), "a sentence is ' '"),
    (lambda s, f, t: s.add(TEXTS[0] + " "), "is given twice"),
    (lambda s, f, t: s.remove("green cars"), "“green cars” is not answered"),
])  # fmt: skip
def test_mistakes_are_refused_and_change_nothing(small, call, message):
    tracks, frames = make_tracks({1: range(6), 2: range(1, 4)}), NumberedFrames(COUNT)
    undisturbed = run(TwoStageStream(small, TEXTS[:2], SIZE), tracks, range(4))
    stream = TwoStageStream(small, TEXTS[:2], SIZE)
    found = run(stream, tracks, range(1))
    with pytest.raises(InputError, match=message):
        call(stream, frames.read(1), at_frame(tracks, 1))
    assert_same(found | run(stream, tracks, range(1, 4)), undisturbed)


def test_options_out_of_range_are_refused(small):
    for wrong in ({"forget_after": 0}, {"smoothing": -1}):
        with pytest.raises(ConfigError, match="forget_after"):
            TwoStageStream(small, TEXTS, SIZE, **wrong)
    with pytest.raises(ConfigError, match="given twice"):
        TwoStageStream(small, [TEXTS[0], TEXTS[0]], SIZE)
