"""Average precision by hand, and against pycocotools through torchmetrics where that is installed."""

import numpy as np
import pytest
import torch

from flexhook.evaluation.average_precision import FrameDetections, average_precision

BOX, FAR = [0, 0, 10, 10], [100, 100, 110, 110]


def frame(boxes, scores, truth, labels=None, true_labels=None):
    boxes, truth = np.array(boxes, float).reshape(-1, 4), np.array(truth, float).reshape(-1, 4)
    labels = np.zeros(len(boxes), int) if labels is None else np.array(labels)
    true_labels = np.zeros(len(truth), int) if true_labels is None else np.array(true_labels)
    return FrameDetections(boxes, np.array(scores, float), labels, truth, true_labels)


def test_all_found_is_one_and_nothing_found_is_zero():
    assert average_precision([frame([BOX, FAR], [0.9, 0.8], [BOX, FAR])]) == {0.5: 1.0, 0.75: 1.0}
    assert average_precision([frame([], [], [BOX])]) == {0.5: 0.0, 0.75: 0.0}


def test_a_false_detection_costs_by_its_score():
    assert average_precision([frame([BOX, FAR], [0.9, 0.8], [BOX])])[0.5] == 1.0  # below the true one
    assert average_precision([frame([BOX, FAR], [0.8, 0.9], [BOX])])[0.5] == pytest.approx(0.5)


def test_one_of_two_objects_gives_the_share_of_recalls_that_it_reaches():
    assert average_precision([frame([BOX], [0.9], [BOX, FAR])])[0.5] == pytest.approx(51 / 101)


def test_an_object_is_found_once():
    found = average_precision([frame([BOX, BOX, FAR], [0.9, 0.8, 0.7], [BOX, FAR])])
    assert found[0.5] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_box_must_overlap_by_the_threshold():
    loose = [0, 0, 10, 16]  # IoU 0.625
    assert average_precision([frame([loose], [0.9], [BOX])]) == {0.5: 1.0, 0.75: 0.0}


def test_classes_count_alike_and_only_those_of_the_truth():
    frames = [frame([BOX, FAR, BOX], [0.9, 0.9, 0.9], [BOX, FAR], [0, 0, 7], [0, 1])]
    assert average_precision(frames)[0.5] == pytest.approx((1 + 0) / 2)


def test_without_true_objects_there_is_no_value():
    assert np.isnan(average_precision([frame([BOX], [0.9], [])])[0.5]) and np.isnan(average_precision([])[0.5])


def test_it_agrees_with_pycocotools():
    pytest.importorskip("pycocotools")
    detection = pytest.importorskip("torchmetrics.detection")
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(30):
        truth = rng.uniform(0, 80, (rng.integers(0, 6), 2))
        truth = np.concatenate([truth, truth + rng.uniform(20, 40, truth.shape)], 1)
        found = np.concatenate([truth + rng.normal(0, 3, truth.shape), rng.uniform([0, 0, 50, 50], [50, 50, 100, 100], (2, 4))])
        true_labels = rng.integers(0, 2, len(truth))
        labels = np.concatenate([true_labels, rng.integers(0, 2, 2)])
        frames.append(FrameDetections(found, rng.uniform(size=len(found)).round(6), labels, truth, true_labels))
    recalls = np.linspace(0, 1, 101).tolist()  # its own are rounded to float32, beside which whole shares fall
    metric = detection.MeanAveragePrecision(iou_thresholds=[0.5, 0.75], rec_thresholds=recalls)
    tensors = [{name: torch.from_numpy(getattr(f, name)) for name in ("boxes", "scores", "labels")} for f in frames]
    truths = [{"boxes": torch.from_numpy(f.true_boxes), "labels": torch.from_numpy(f.true_labels)} for f in frames]
    metric.update(tensors, truths)
    theirs, ours = metric.compute(), average_precision(frames)
    assert ours[0.5] == pytest.approx(float(theirs["map_50"]), abs=1e-6) and 0.3 < ours[0.5] < 1
    assert ours[0.75] == pytest.approx(float(theirs["map_75"]), abs=1e-6)
