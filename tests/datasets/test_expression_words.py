"""File names and attribute groups of expressions."""

from pathlib import Path

import pytest

from flexhook.datasets.attributes import ATTRIBUTES, attributes
from flexhook.structures.slugs import slug, unique_slugs

SEQMAPS = Path(__file__).parents[2].parent / "shared" / "data" / "seqmaps"


@pytest.mark.parametrize(
    ("sentence", "name"),
    [
        ("cars in the left", "cars-in-the-left"),
        ("in silver, cars were parked", "in-silver,-cars-were-parked"),  # the field keeps punctuation
        ("dancing person with white Tshirt", "dancing-person-with-white-Tshirt"),  # and case
        ("bicycle tricycle awning-tricycle motor", "bicycle-tricycle-awning-tricycle-motor"),
        ("  men\twalking ", "men-walking"),
        ("cd/dvd player", "cd-dvd-player"),  # a path separator cannot be in a file name
        ("../secret", "-.-secret"),
    ],
)
def test_slug_is_the_sentence_with_hyphens(sentence, name):
    assert slug(sentence) == name


def test_slug_of_a_very_long_sentence_still_names_a_file():
    one, two = slug("car " * 200), slug("car " * 200 + "left")
    assert len(one.encode()) <= 200
    assert one != two


def test_equal_slugs_are_told_apart():
    assert unique_slugs(["a b", "a-b", "a  b", "c"]) == ["a-b", "a-b-2", "a-b-3", "c"]
    assert unique_slugs(["cars", "CARS", "Cars"]) == ["cars", "CARS-2", "Cars-3"]  # one file where the disk ignores case
    assert unique_slugs(["caf\u00e9", "cafe\u0301"]) == ["caf\u00e9", "cafe\u0301-2"]
    assert unique_slugs(["a b", "c"], taken=["A-b", "c-2"]) == ["a-b-2", "c"]


def test_a_made_up_name_is_not_that_of_another_sentence():
    assert unique_slugs(["red cars", "red-cars", "red-cars-2"]) == ["red-cars", "red-cars-3", "red-cars-2"]
    assert unique_slugs(["red cars", "red-cars", "RED-CARS-2"]) == ["red-cars", "red-cars-3", "RED-CARS-2"]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("black cars in the left", {"class": "car", "colour": "black", "side": "left"}),
        ("cars in front of ours", {"class": "car", "side": "front"}),
        ("cars right in front", {"class": "car", "side": "front"}),  # this right is no side
        ("autos in front of the ego car", {"class": "car", "side": "front"}),
        (
            "vehicles that are red and moving in the opposite direction of the ego car",
            {"class": "vehicle", "colour": "red", "direction": "opposite", "motion": "moving"},
        ),
        ("men in the same direction of ours", {"class": "man", "direction": "same"}),
        ("women back to the camera", {"class": "woman", "direction": "facing away"}),
        ("the individuals on the right are females", {"class": "woman", "side": "right"}),
        ("light-colored cars are parked", {"class": "car", "colour": "light", "motion": "parked"}),
        ("dark cars", {"class": "car", "colour": "dark"}),
        ("cars that slowed down using the brakes", {"class": "car", "motion": "braking"}),
        ("vehicles changing direction", {"class": "vehicle", "motion": "turning"}),
        ("cars which are faster than ours", {"class": "car", "motion": "faster"}),
        ("cars getting closer", {"class": "car", "motion": "approaching"}),
        ("cars moving away from us", {"class": "car", "motion": "receding"}),
        ("pedestrians near the camera", {"class": "person", "distance": "near"}),
        ("vehicles far from us", {"class": "vehicle", "distance": "far"}),
        ("standing women", {"class": "woman", "motion": "standing"}),
        ("those wearing t-shirts", {"class": "person"}),
        ("folks on the port side", {"class": "person", "side": "left"}),
        ("cyclists", {"class": "cyclist"}),
        ("cars facing sideways", {"class": "car", "direction": "crossing"}),
        (
            "dancing person with white shirt and black pants",
            {"class": "person", "colour": "black+white", "motion": "dancing"},
        ),
        ("those on the left side", {"side": "left"}),
        ("", {}),
    ],
)
def test_attributes_are_found_from_the_words(sentence, expected):
    assert attributes(sentence) == expected


def test_attributes_have_the_order_of_the_groups():
    found = attributes("parked black cars far from us in the left in the same direction of ours")
    assert tuple(found) == ATTRIBUTES


@pytest.mark.skipif(not SEQMAPS.is_dir(), reason="the published sequence lists are not beside this checkout")
def test_every_published_name_is_the_slug_of_its_sentence():
    names = [line.strip().split("+")[1] for path in sorted(SEQMAPS.iterdir()) for line in path.open() if line.strip()]
    assert len(names) > 1400
    assert [slug(name.replace("-", " ")) for name in names] == names


@pytest.mark.skipif(not SEQMAPS.is_dir(), reason="the published sequence lists are not beside this checkout")
def test_nearly_every_published_test_sentence_has_a_class():
    slugs = {
        line.split("+")[1].strip()
        for name in ("kitti-1.txt", "kitti-2.txt", "dance.txt")
        for line in (SEQMAPS / name).read_text().splitlines()
    }
    without = {s for s in slugs if "class" not in attributes(s)}
    assert len(slugs) > 900
    assert all(s.startswith("those-") for s in without)
    assert len(without) <= 6
    left = {s for s in slugs if "-left" in f"-{s}"}
    assert all("left" in attributes(s)["side"] for s in left)
