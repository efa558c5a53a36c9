"""Detections of sentences linked sentence by sentence, with exact known results: identities, scores, gaps, cache, streams."""

import numpy as np
import pytest
from colour_method import COLOURS
from omegaconf import OmegaConf
from sentence_detectors import ColourDetector

import flexhook
from flexhook.api.inputs import open_video
from flexhook.configuration.resolvers import config_folder
from flexhook.errors import ConfigError, InputError
from flexhook.methods.grounding.method import GroundingMethod
from flexhook.methods.grounding.sentence_tracking import STRONG, Repair
from flexhook.structures import Frames
from flexhook.trackers.associators.algorithms import BotSort, ByteTrack, OCSort, Sort

SENTENCES = ["red cars", "blue cars", "cars"]


class Rectangles(Frames):
    """A red rectangle that goes right and a blue one that goes left, on grey; every reading is noted."""

    def __init__(self, count=10, shift=0):
        self.count, self.shift, self.reads = count, shift, []

    def __len__(self):
        return self.count

    def name(self, index):
        return f"rectangles {self.count} {self.shift} {index}"

    def digest(self):
        return self.name(0)

    def boxes(self, colour):
        x = np.arange(self.count) % 20
        left, top = (8 + 2 * x + self.shift, 8) if colour == "red" else (130 - 2 * x, 40)
        return np.stack([left, left * 0 + top, left + 24, left * 0 + top + 16], 1)

    def read(self, index):
        self.reads.append(index)
        picture = np.full((64, 192, 3), 90, np.uint8)
        for colour in ("red", "blue"):
            x1, y1, x2, y2 = self.boxes(colour)[index]
            picture[y1:y2, x1:x2] = np.eye(3, dtype=np.uint8)[COLOURS[colour]] * 230
        return picture


class Writer:
    def __init__(self, expressions):
        self.expressions, self.results = expressions, {}

    def missing(self):
        return tuple(e for e in self.expressions if e.sentence not in self.results)

    def write(self, expression, tracks, score, accepted):
        assert accepted.all()
        self.results[expression.sentence] = (tracks, score)


def predict(detector, frames, sentences=SENTENCES, associator=None, repair=None, cache_dir=None):
    method = GroundingMethod(detector, associator or OCSort(), repair, cache_dir=cache_dir)
    video = open_video(frames, sentences)
    writer = Writer(video.expressions)
    report = method.predict(video, video.expressions, writer)
    return writer.results, report


def test_each_sentence_has_its_objects_with_identities_of_its_own():
    frames = Rectangles()
    results, report = predict(ColourDetector(score=0.5), frames)
    for sentence, colours in {"red cars": ["red"], "blue cars": ["blue"], "cars": ["red", "blue"]}.items():
        tracks, score = results[sentence]
        rows = tracks.tracks()
        assert list(rows) == list(range(1, len(colours) + 1)) and tracks.categories == ("object",)
        for identity, colour in enumerate(colours, 1):
            assert tracks.frame[rows[identity]].tolist() == list(range(10))
            assert tracks.box[rows[identity]].tolist() == frames.boxes(colour).tolist()
        np.testing.assert_allclose(score, 0.5, atol=1e-6)
    assert report.frames == 10 and report.text == "3 expressions, 10 frames"
    assert sorted(frames.reads) == [0, *range(10)]  # once to know the size, then once for all sentences


def test_weak_scores_make_tracks_with_every_associator_as_it_is_configured():
    """Text-grounded detectors score lower than those that the associators' thresholds are for."""
    for kind in (Sort, ByteTrack, OCSort, lambda: BotSort(enable_cmc=False)):
        results, _ = predict(ColourDetector(threshold=0.2, score=0.2), Rectangles(), associator=kind(), cache_dir="off")
        tracks, score = results["cars"]
        assert len(tracks.tracks()) == 2 and len(tracks) == 20, kind
        np.testing.assert_allclose(score, 0.2, atol=1e-6)
    for path in (config_folder() / "associator").glob("*.yaml"):
        settings = OmegaConf.load(path)
        used = [settings[k] for k in ("track_activation_threshold", "high_conf_det_threshold") if k in settings]
        assert used and max(used) < STRONG


def test_gaps_of_a_sentence_are_filled_and_short_tracks_left_out():
    detector = ColourDetector(miss={("blue cars", 5), *(("red cars", k) for k in range(2, 10))})
    results, _ = predict(detector, Rectangles())
    blue, red = results["blue cars"][0], results["red cars"][0]
    assert blue.box.tolist() == Rectangles().boxes("blue").tolist() and len(red) == 0
    plain, _ = predict(detector, Rectangles(), repair=Repair(recover=0, fill_gaps=0, min_length=1))
    assert 5 not in plain["blue cars"][0].frame and plain["red cars"][0].frame.tolist() == [1]  # held back in its first frame


def test_detections_are_kept_by_frame_and_sentence():
    first, again, other = ColourDetector(), ColourDetector(), ColourDetector(score=0.6)
    results, _ = predict(first, Rectangles(), SENTENCES[:2])
    frames = Rectangles()
    repeated, report = predict(again, frames, SENTENCES[:2], associator=Sort())
    assert report.frames == 0 and not again.asked and frames.reads == [0]
    assert repeated["red cars"][0].box.tolist() == results["red cars"][0].box.tolist()
    _, report = predict(again, Rectangles())
    assert again.asked == [("cars",)] * 10  # the sentence that was not there
    for detector, video in ((other, Rectangles()), (ColourDetector(), Rectangles(shift=4))):
        assert predict(detector, video)[1].frames == 10 and detector.asked[0] == tuple(SENTENCES)
    off = ColourDetector()
    assert predict(off, Rectangles(), cache_dir="off")[1].frames == 10 and len(off.asked) == 10


def test_an_interrupted_prediction_goes_on_with_the_block_it_was_in():
    with pytest.raises(RuntimeError, match="interrupted"):
        predict(ColourDetector(fail_at=67), Rectangles(70))
    frames, detector = Rectangles(70), ColourDetector()
    results, report = predict(detector, frames)
    assert report.frames == 6 and frames.reads == [0, *range(64, 70)]
    assert results["red cars"][0].box.tolist()[:20] == Rectangles(70).boxes("red").tolist()[:20]


def test_frames_in_memory_are_told_apart_by_their_content():
    clips = [np.stack([Rectangles(shift=shift).read(k) for k in range(10)]) for shift in (0, 30)]
    model = flexhook.grounding(ColourDetector(), "cpu")
    left = [model.predict(clip, "red cars")["red cars"].tracks.box[0, 0] for clip in clips]
    assert left == [8, 38]


def test_frames_of_another_size_are_in_pixels_of_the_original():
    video = open_video(Rectangles(), SENTENCES, (128, 384))
    method = GroundingMethod(ColourDetector(), OCSort())
    writer = Writer(video.expressions)
    method.predict(video, video.expressions, writer)
    assert writer.results["red cars"][0].box.tolist() == (2 * Rectangles().boxes("red")).tolist()
    with pytest.raises(InputError, match="aspect ratio"):
        method.predict(open_video(Rectangles(), SENTENCES, (128, 128)), video.expressions, Writer(video.expressions))


def test_predict_and_stream_from_python(tmp_path):
    model, frames = flexhook.grounding(ColourDetector(score=0.5), "cpu", associator=ByteTrack()), Rectangles()
    result = model.predict(frames, SENTENCES)
    assert repr(model) == "Model(grounding, 'ColourDetector', device='cpu')"
    assert len(result["red cars"].chosen) == 10 and result["red cars"].to_mot(tmp_path).is_file()
    assert len(model.predict(frames, SENTENCES, threshold=0.6)["red cars"].chosen) == 0
    stream = model.stream(["red cars"], frame_size=(64, 192))
    for k in range(4):
        answer = stream.update(frames.read(k))
    assert answer["red cars"].xyxy.tolist() == [frames.boxes("red")[3].tolist()]
    assert answer["red cars"].tracker_id.tolist() == [1] and answer["red cars"].data["probability"] == pytest.approx([0.5])
    stream.add("blue cars")
    stream.remove("red cars")
    for k in range(4, 8):
        answer = stream.update(frames.read(k))
    assert list(answer) == ["blue cars"] and answer["blue cars"].xyxy.tolist() == [frames.boxes("blue")[7].tolist()]
    for wrong in (lambda: stream.add(" "), lambda: stream.add("blue cars"), lambda: stream.remove("red cars")):
        with pytest.raises(ConfigError, match="sentence"):
            wrong()
    with pytest.raises(InputError, match="no such animal"):
        stream.add("zebra")
    assert stream.sentences == ("blue cars",)


def test_there_is_nothing_to_train_and_no_other_precision():
    method = GroundingMethod(ColourDetector(), OCSort())
    with pytest.raises(ConfigError, match="needs no training"):
        method.collator("train", [])
    with pytest.raises(ConfigError, match=r"scoring.precision is 'bf16'"):
        method.prepare_inference(OmegaConf.create({"scoring": {"precision": "bf16"}}), "cpu", None)
