"""Boxes fit what is drawn, and what is hidden, small or outside is not labelled."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from flexhook.synthetic import WorldConfig
from flexhook.synthetic.camera import Camera, clip_near, place
from flexhook.synthetic.drawing import Painter
from flexhook.synthetic.kinds import KINDS
from flexhook.synthetic.mesh import Batch
from flexhook.synthetic.order import drawing_order, parts_at
from flexhook.synthetic.scene import Scene
from flexhook.synthetic.thing import HISTORY, Thing
from flexhook.synthetic.visibility import observe

CONFIG = WorldConfig(frames=4)
SIZES = {name: tuple(np.mean(span) for span in (k.length, k.width, k.height)) for name, k in KINDS.items()}


def thing(kind, x, z, yaw=0.0, colour="red", size=None):
    return Thing(kind, colour, size or SIZES[kind], np.tile([x, z, yaw], (HISTORY + 4, 1)), np.zeros(HISTORY + 4))


def scene(*things, ego=(0.0, -25.0, 0.0)):
    camera = Camera((375, 1242), 720.0, (621.0, 170.0), 1.7)
    return Scene("made", 0, camera, 4, 4.0, np.tile(ego, (HISTORY + 4, 1)), things)


def seen(*things, frame=0, **arguments):
    """{object: (box, unoccluded share)} of a frame."""
    rows = observe(scene(*things, **arguments), CONFIG)
    here = rows.frame == frame
    return dict(zip(rows.thing[here].tolist(), zip(rows.box[here], rows.unoccluded[here], strict=True), strict=True))


def test_a_box_is_where_a_pinhole_camera_sees_the_object():
    ((box, _),) = seen(thing("bus", 0.0, 0.0, size=(6.0, 2.0, 3.0))).values()
    depth = 25.0 - 3.0
    wanted = [621 - 720 / depth, 170 - 720 * 1.3 / depth, 621 + 720 / depth]
    assert box[:3] == pytest.approx(wanted, abs=0.5)
    assert box[3] == pytest.approx(170 + 720 * 1.7 / (25.0 - 0.28 * 6.0), abs=0.5), "the rear wheels stand lowest"


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("yaw", [0.0, 0.7, np.pi / 2, np.pi, -2.3])
def test_the_box_is_that_of_the_pixels_drawn(kind, yaw):
    made = scene(thing(kind, 2.5, -11.0, yaw))
    batch = Batch(np.zeros(3))
    ego = made.ego[HISTORY]
    batch.add_object(parts_at(made.things[0], 0), made.things[0].poses[HISTORY], np.array([ego[0], 1.7, ego[1]]))
    canvas = np.zeros((375, 1242, 3), np.uint8)
    batch.fill(canvas, made.camera, ego)
    ys, xs = np.nonzero(canvas.any(-1))
    box, unoccluded = seen(*made.things)[0]
    assert box == pytest.approx([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], abs=1.8)
    assert unoccluded == 1.0


def test_labels_are_where_the_picture_changes_when_the_object_is_taken_away():
    """Painted with and without the object, a picture differs in the labelled box and in the shadow on the ground."""
    config = replace(CONFIG, image_height=375)
    behind, front = thing("truck", 5.0, -3.0, 0.3, "white"), thing("car", -4.0, -12.0, 2.0, "blue")
    with_both = Painter(scene(behind, front), config).draw(0).astype(int)
    without = Painter(scene(behind), config).draw(0).astype(int)
    ys, xs = np.nonzero(np.abs(with_both - without).max(-1) > 12)
    x1, y1, x2, y2 = seen(behind, front)[1][0]
    assert abs(ys.min() - y1) <= 2 and abs(xs.min() - x1) < 12 and abs(xs.max() - x2) < 12 and 0 <= ys.max() - y2 + 2 < 14


def test_the_nearer_object_hides_the_farther_one():
    car, bus = thing("car", 0.0, 0.0), thing("bus", 0.3, -12.0, np.pi / 2)
    assert set(seen(car)) == {0}
    assert set(seen(car, bus)) == {1}
    assert set(seen(bus, car)) == {0}


def test_an_object_beside_a_long_one_is_ordered_by_what_is_in_front_not_by_its_middle():
    """The car's middle is nearer than the bus's, yet the bus stands between us and the car."""
    bus, car = thing("bus", 3.4, -14.0, size=(8.5, 2.4, 3.0)), thing("car", 6.3, -16.0)
    order = [s.thing for s in drawing_order(scene(bus, car), 0) if s.thing >= 0]
    assert order == [1, 0]
    assert seen(bus, car)[0][1] == 1.0


def test_the_unoccluded_share_decides():
    car = thing("car", 0.0, -5.0, np.pi / 2)
    half_hidden = seen(car, thing("bus", 2.4, -10.0))
    assert 0.35 < half_hidden[0][1] < 0.9
    nearly_hidden = seen(car, thing("bus", 0.9, -12.0), thing("bus", -1.6, -12.0))
    assert 0 not in nearly_hidden


def test_small_and_far_objects_are_not_labelled():
    heights = {}
    for z in range(-10, 40, 2):
        for box, _ in seen(thing("pedestrian", 1.0, float(z))).values():
            heights[z] = box[3] - box[1]
    assert min(heights.values()) >= CONFIG.min_height
    assert min(heights.values()) < CONFIG.min_height * 1.1
    assert max(heights) < 15


def test_objects_mostly_outside_the_frame_are_not_labelled_and_boxes_end_at_it():
    labelled = {}
    for x in np.arange(4, 12, 0.25):
        for box, _ in seen(thing("car", x, -16.0)).values():
            labelled[x] = box
    assert max(labelled) < 9.5
    assert max(box[2] for box in labelled.values()) == 1242
    assert 7.0 in labelled


def test_houses_hide_what_is_behind_them():
    car = thing("car", 20.0, 3.0, np.pi / 2)
    assert not seen(car, ego=(0.0, -30.0, 0.3))
    assert set(seen(car, ego=(0.0, -10.0, 0.6))) == {0}


def test_every_default_observation_obeys_the_rule(default_world):
    config = WorldConfig()
    for video in default_world.values():
        box = video.seen.box
        assert (box[:, 3] - box[:, 1] >= config.min_height).all()
        assert (video.seen.unoccluded >= config.min_unoccluded).all()
        assert (box >= 0).all() and (box <= [1242, 375, 1242, 375]).all() and (box[:, 2:] > box[:, :2]).all()


def test_polygons_are_cut_at_the_near_plane():
    square = np.array([[-1.0, 1, -1], [1, 1, -1], [1, 1, 3], [-1, 1, 3]])
    cut = clip_near(square)
    assert len(cut) == 4 and cut[:, 2].min() == pytest.approx(0.4)
    assert len(clip_near(square - (0, 0, 9))) == 0


def test_a_right_turn_raises_the_yaw():
    ahead = place(np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, np.pi / 2]))
    assert ahead == pytest.approx([1.0, 0.0, 0.0])
    camera = Camera((375, 1242), 720.0, (621.0, 170.0), 1.7)
    assert camera.to_camera(np.array([10.0, 1.7, 0.0]), np.array([0.0, 0.0, np.pi / 2])) == pytest.approx([0.0, 0.0, 10.0])


def test_a_moving_and_a_standing_object_in_the_same_pose_look_the_same():
    """No blinker, no brake light, no blur: motion is not in a single picture."""
    still = thing("car", 2.0, -10.0, 0.4)
    poses = still.poses + np.arange(-HISTORY, 4)[:, None] * (0.3, 0.8, 0.1)
    moving = replace(still, poses=poses)
    assert np.array_equal(Painter(scene(still), CONFIG).draw(0), Painter(scene(moving), CONFIG).draw(0))


def test_the_pictures_show_the_colours(default_world):
    """The middle of an unoccluded vehicle's side is nearest to its own paint."""
    from flexhook.synthetic.kinds import COLOURS

    paints = np.array(list(COLOURS.values()), float)
    for k, colour in enumerate(COLOURS):
        made = scene(thing("truck", 0.0, -12.0, np.pi / 2, colour))
        picture = Painter(made, CONFIG).draw(0)
        x1, y1, x2, y2 = seen(*made.things)[0][0] * 192 / 375
        patch = picture[
            int(y1 + 0.3 * (y2 - y1)) : int(y1 + 0.5 * (y2 - y1)), int(x1 + 0.2 * (x2 - x1)) : int(x1 + 0.5 * (x2 - x1))
        ]
        assert np.argmin(np.square(paints - np.median(patch, (0, 1))).sum(1)) == k


def test_the_ground_streams_past_a_moving_camera_and_rests_under_a_standing_one():
    still = Painter(scene(), CONFIG)
    egos = np.tile([0.0, -25.0, 0.0], (HISTORY + 4, 1))
    egos[:, 1] += 0.7 * np.arange(HISTORY + 4)
    moving = Painter(replace(scene(), ego=egos), CONFIG)

    def change(painter):
        a, b = (cv2.GaussianBlur(painter.draw(k), (0, 0), 2)[130:].astype(int) for k in (1, 2))
        return np.abs(a - b).mean()

    assert change(moving) > 2 * change(still)
