"""Property: a mutated file loads to equal data, or ends in the project's own error or a finding; nothing else ever happens."""

import file_mutations as mutations
import layouts
import numpy as np
import pytest
import small_world as world
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flexhook.datasets.check import check_dataset
from flexhook.datasets.kitti_labels import read_kitti_labels
from flexhook.datasets.lamot import read_annotation
from flexhook.datasets.mot import read_mot, read_mot_truth
from flexhook.errors import InputError
from flexhook.trackers.mot_files import TrackerFiles

many = settings(
    max_examples=1100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
#: What the check says of the small world as it is.
ALWAYS = {"frame-without-label"}
harmless = st.one_of(mutations.harmless_expression(), mutations.harmless_labels(), mutations.harmless_tracks())
harmful = st.one_of(mutations.harmful_expression(), mutations.harmful_labels(), mutations.harmful_tracks())


class Bench:
    """The small world with tracks on disk; a mutation replaces one file for as long as it is looked at."""

    def __init__(self, root):
        self.root = world.refer_kitti(root)
        rows = "".join(",".join(row) + "\n" for row in mutations.tracker_rows())
        world.text(root / mutations.TRACKER, rows)
        self.tracker = TrackerFiles(root / "tracks", layout="per_video")
        self.video, self.tracks = self.load()

    def reader(self):
        sizes, lengths = {"default": list(world.SIZE)}, {world.NAME: world.FRAMES}
        return layouts.refer_kitti(self.root, {"train": [world.NAME]}, sizes, images=None, lengths=lengths)

    def load(self):
        video = self.reader().read(world.NAME)
        return video, self.tracker.track(video)

    def check(self):
        return {finding.kind for finding in check_dataset(self.reader(), self.tracker.checked(), images="none").findings}

    def replaced(self, path, content):
        return _Replaced(self.root / path, content)


class _Replaced:
    def __init__(self, path, content):
        self.path, self.content = path, content

    def __enter__(self):
        self.whole = self.path.read_bytes()
        self.path.write_bytes(self.content)

    def __exit__(self, *error):
        self.path.write_bytes(self.whole)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("world"))


def assert_equal(one, two):
    for name in ("frame", "identity", "category"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    assert np.abs(one.box - two.box).max() < 1e-9
    assert np.abs(one.confidence - two.confidence).max() < 1e-9


@many
@given(mutation=harmless)
def test_harmless_mutations_load_to_equal_data(bench, mutation):
    with bench.replaced(*mutation):
        video, tracks = bench.load()
    assert_equal(video.truth, bench.video.truth)
    assert_equal(tracks, bench.tracks)
    assert video.expressions == bench.video.expressions
    assert (video.labels != bench.video.labels).nnz == 0


@many
@given(mutation=harmful)
def test_harmful_mutations_are_an_error_with_file_and_line_or_a_finding(bench, mutation):
    with bench.replaced(*mutation):
        try:
            bench.load()
        except InputError as error:
            assert error.file is not None
            assert error.line is not None
            assert str(error.file) in str(error)
            assert error.expected or error.hint
        else:
            assert bench.check() - ALWAYS


@settings(many, max_examples=150)
@given(data=st.data())
def test_arbitrary_damage_never_ends_in_another_exception(bench, data):
    path = data.draw(st.sampled_from([mutations.TRACKER, mutations.label_path(0), "expression/0001/red-cars.json"]))
    content = bytearray((bench.root / path).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at, length = data.draw(st.integers(0, len(content))), data.draw(st.integers(0, 6))
        content[at : at + length] = data.draw(st.binary(max_size=6))
    with bench.replaced(path, bytes(content)):
        bench.check()
        try:
            bench.load()
        except InputError as error:
            assert error.file is not None


@settings(many, max_examples=150)
@given(content=st.one_of(st.binary(max_size=60), st.text('0123456789,.-+e \n{}[]":nainf_', max_size=60).map(str.encode)))
def test_arbitrary_content_never_ends_in_another_exception(tmp_path, content):
    path = tmp_path / "labels.json"
    path.write_bytes(content)
    readers = [
        lambda: read_mot(path, first_frame=1),
        lambda: read_mot_truth(path, classes={1: "person"}),
        lambda: read_kitti_labels(path),
        lambda: read_annotation(path),
        lambda: layouts.ikun(tmp_path, {"train": ["0001"]}, {"default": [9, 9]}, images=None, expressions=None).read("0001"),
    ]
    for read in readers:
        try:
            read()
        except InputError as error:
            assert error.file is not None
