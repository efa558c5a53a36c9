"""Model.stream: supervision Detections in, those that each sentence refers to out."""

import numpy as np
import pytest
import supervision as sv
from tiny_video import SIZE

import flexhook
from flexhook.errors import ConfigError, InputError

SENTENCES = ["cars", "cars with odd plates"]


@pytest.fixture(scope="module")
def predicted(toy):
    """Without smoothing, as streams are."""
    return flexhook.load(toy.run, "cpu", smoothing=0).predict(toy.frames, SENTENCES, toy.track_set)


def detections_at(tracks, frame, **more):
    part = tracks.select(tracks.frame == frame)
    order = np.roll(np.arange(len(part)), 1)
    return sv.Detections(part.box[order], tracker_id=part.identity[order], **{k: v(order) for k, v in more.items()})


def by_identity(result, frame):
    rows = result.tracks.frame == frame
    return dict(zip(result.tracks.identity[rows].tolist(), result.score[rows].tolist(), strict=True))


def test_stream_answers_as_predict_does(toy, model, predicted):
    stream = model.stream(SENTENCES, frame_size=SIZE, rejected=True)
    for frame, picture in enumerate(toy.frames):
        given = detections_at(toy.track_set, frame)
        answer = stream.update(picture, given)
        assert list(answer) == SENTENCES
        for sentence, found in answer.items():
            assert found.tracker_id.tolist() == given.tracker_id.tolist()
            expected = by_identity(predicted[sentence], frame)
            np.testing.assert_allclose(found.data["probability"], [expected[i] for i in found.tracker_id], atol=1e-5)
            rows = predicted[sentence].tracks.frame == frame
            assert sorted(found[found.data["accepted"]].tracker_id) == \
                predicted[sentence].tracks.identity[rows & predicted[sentence].accepted].tolist()
    assert stream.frames == 12


def test_answers_are_the_accepted_detections_with_all_that_they_came_with(toy, model):
    whole, chosen = (model.stream(SENTENCES, SIZE, threshold=0.4, rejected=r) for r in (True, False))
    for frame, picture in enumerate(toy.frames):
        given = detections_at(toy.track_set, frame, confidence=lambda o: 0.5 + 0.1 * o, class_id=lambda o: o + 3)
        given.data["name"] = np.array([f"car {i}" for i in given.tracker_id])
        everything, found = whole.update(picture, given), chosen.update(picture, given)
        for sentence in SENTENCES:
            mask = everything[sentence].data["probability"] >= 0.4
            part = given[mask]
            assert found[sentence].tracker_id.tolist() == part.tracker_id.tolist()
            assert found[sentence].class_id.tolist() == part.class_id.tolist()
            assert found[sentence].confidence.tolist() == part.confidence.tolist()
            assert found[sentence].data["name"].tolist() == part.data["name"].tolist()
        assert "probability" not in given.data  # the caller's are as before


def test_arrays_do_as_well(toy, model):
    one, other = (model.stream("cars", SIZE, threshold=0) for _ in range(2))
    for frame, picture in enumerate(toy.frames[:5]):
        given = detections_at(toy.track_set, frame)
        a, b = one.update(picture, given)["cars"], other.update(picture, given.xyxy, given.tracker_id)["cars"]
        np.testing.assert_allclose(a.xyxy, b.xyxy, rtol=1e-6)
        assert a.tracker_id.tolist() == b.tracker_id.tolist()
        np.testing.assert_allclose(a.data["probability"], b.data["probability"], atol=1e-6)


def test_sentences_come_and_go(toy, model, predicted):
    stream = model.stream(frame_size=SIZE, rejected=True)
    for frame, picture in enumerate(toy.frames):
        if frame == 3:
            stream.add(" cars ")
        if frame == 6:
            stream.add("cars with odd plates")
        if frame == 8:
            stream.remove("cars")
        answer = stream.update(picture, detections_at(toy.track_set, frame))
        assert set(answer) == set(stream.sentences)
        for sentence, found in answer.items():
            expected = by_identity(predicted[sentence], frame)
            np.testing.assert_allclose(found.data["probability"], [expected[i] for i in found.tracker_id], atol=1e-5)
    assert stream.sentences == ("cars with odd plates",)


def test_frames_without_detections_and_unconfirmed_ones(toy, model):
    stream = model.stream(SENTENCES, SIZE, threshold=0)
    assert len(stream.update(toy.frames[0], sv.Detections.empty())["cars"]) == 0
    assert len(stream.update(toy.frames[0], np.zeros((0, 4)), [])["cars"]) == 0
    boxes = np.array([[1.0, 1, 20, 20], [30, 5, 60, 40], [3, 3, 9, 9]])
    answer = stream.update(toy.frames[0], sv.Detections(boxes, tracker_id=np.array([-1, 4, -1])))
    assert answer["cars"].tracker_id.tolist() == [4]
    assert answer["cars"].xyxy.tolist() == [boxes[1].tolist()]


def flickering(model, toy, **options):
    """Whether each track is accepted, per frame, at a threshold that splits the answers."""
    stream = model.stream("cars", SIZE, rejected=True, **options)
    out = {}
    for frame, picture in enumerate(toy.frames):
        found = stream.update(picture, detections_at(toy.track_set, frame))["cars"]
        for identity, a, p in zip(found.tracker_id.tolist(), found.data["accepted"], found.data["probability"], strict=True):
            out.setdefault(identity, []).append((bool(a), float(p)))
    return out


def test_vote_and_top_k_follow_what_was_seen_so_far(toy, model):
    plain = flickering(model, toy)
    cut = float(np.median([p for track in plain.values() for _, p in track]))
    for identity, track in flickering(model, toy, threshold=cut, vote=True).items():
        yes = np.cumsum([p >= cut for _, p in plain[identity]])
        assert [a for a, _ in track] == (2 * yes > np.arange(1, len(yes) + 1)).tolist()
    for identity, track in flickering(model, toy, threshold=cut, vote=3).items():
        yes = [p >= cut for _, p in plain[identity]]
        assert [a for a, _ in track] == [2 * sum(yes[max(k - 2, 0) : k + 1]) > min(k + 1, 3) for k in range(len(yes))]
    stream = model.stream("cars", SIZE, threshold=0, top_k=1)
    sums = {}
    for frame, picture in enumerate(toy.frames):
        given = detections_at(toy.track_set, frame)
        found = stream.update(picture, given)["cars"]
        for identity in given.tracker_id.tolist():
            sums.setdefault(identity, []).append(plain[identity][len(sums.get(identity, []))][1])
        means = {i: np.mean(sums[i]) for i in given.tracker_id.tolist()}
        assert found.tracker_id.tolist() == [max(means, key=means.__getitem__)]


@pytest.mark.parametrize(("call", "message"), [
    (lambda s, f: s.update(f, sv.Detections(np.array([[1.0, 1, 5, 5]]))), "frame 0 have no identities"),
    (lambda s, f: s.update(f, np.array([[1.0, 1, 5, 5]])), "frame 0 have no identities"),
    (lambda s, f: s.update(f, np.array([[1.0, 1, 5, 5]]), [1, 2]), "a whole number for each of the 1 boxes"),
    (lambda s, f: s.update(f, np.array([[1.0, 1, 5, 5]]), [0.5]), "identities of frame 0 are float64"),
    (lambda s, f: s.update(f, np.ones((2, 5)), [1, 2]), r"have shape \(2, 5\)"),
    (lambda s, f: s.update(f, np.array([[1.0, 1, 5, 5], [1, 1, 6, 6]]), [3, 3]), "identity 3 occurs twice"),
    (lambda s, f: s.update(f, np.array([[5.0, 1, 5, 5]]), [3]), "with x1 < x2"),
    (lambda s, f: s.update(f), "a frame without tracks"),
    (lambda s, f: s.update(f[:, ::2], np.zeros((0, 4)), []), "frame 0 is 64x96.*Expected 64x192"),
    (lambda s, f: s.update(f[..., 0], np.zeros((0, 4)), []), "OpenCV reads BGR"),
    (lambda s, f: s.add(""), "a sentence is ''"),
    (lambda s, f: s.add("cars"), "given twice"),
    (lambda s, f: s.remove("people"), "“people” is not answered"),
])  # fmt: skip
def test_stream_says_what_is_wrong_and_goes_on(toy, model, call, message):
    stream = model.stream(SENTENCES, SIZE, rejected=True)
    with pytest.raises(InputError, match=message):
        call(stream, toy.frames[0])
    expected = model.stream(SENTENCES, SIZE, rejected=True).update(toy.frames[0], detections_at(toy.track_set, 0))
    found = stream.update(toy.frames[0], detections_at(toy.track_set, 0))
    assert found["cars"].data["probability"].tolist() == expected["cars"].data["probability"].tolist()


@pytest.mark.parametrize(("options", "message"), [
    ({"frame_size": (720,)}, "frame_size is"),
    ({"frame_size": (720, 0.5)}, "frame_size is"),
    ({"threshold": "high"}, "threshold is 'high'"),
    ({"forget_after": 0}, "forget_after is 0"),
    ({"sentences": ["cars", "cars"]}, "given twice"),
])  # fmt: skip
def test_stream_options_are_checked(model, options, message):
    with pytest.raises(ConfigError, match=message):
        model.stream(**({"sentences": ["cars"], "frame_size": SIZE} | options))
