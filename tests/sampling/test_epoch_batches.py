"""From items to batches: the order of an epoch, each frame and sentence once, swapped observations."""

import pickle

import numpy as np
import pytest
import torch
from tiny_model import TinyText
from tiny_video import make_video

from flexhook.errors import ConfigError
from flexhook.media.images import resize
from flexhook.methods.two_stage.collate import Collator, FrameLoader, Sentences
from flexhook.sampling.expression_sampler import ExpressionSampler
from flexhook.sampling.items import ClipItems, ValidationItems, WindowItems
from flexhook.sampling.perturbations import IdentitySwap, NoJitter, NoMasking
from flexhook.training.epoch_sampler import EpochBatchSampler

SENTENCES = ("red cars", "men walking", "parked vehicles on the left")
REFERENTS = (lambda f, i: i == 1, lambda f, i: i != 1, lambda f, i: f > 4)
IMAGE_SIZE = (32, 96)


@pytest.fixture(scope="module")
def videos():
    return [
        make_video({1: range(10), 2: range(3, 12)}, SENTENCES, REFERENTS),
        make_video({5: range(8), 6: range(8)}, SENTENCES[1:], REFERENTS[1:], name="0002", seed=1),
    ]


@pytest.fixture(scope="module")
def items(videos):
    return WindowItems(videos, 4, 2, NoMasking(), ExpressionSampler(5, 2), NoJitter(), False, 0)


def collator(videos, swap=None):
    return Collator(FrameLoader(videos, IMAGE_SIZE), Sentences.of(videos, TinyText().tokenize), swap)


def epoch(items, batch, seed=0, number=0, rank=0, world=1):
    sampler = EpochBatchSampler(items, batch, seed, rank, world)
    sampler.set_epoch(number)
    assert len(list(sampler)) == len(sampler)
    return list(sampler)


def test_epoch_takes_every_item_once_but_for_the_incomplete_last_step():
    batches = epoch(23, 4)
    assert [len(b) for b in batches] == [4] * 5
    flat = [k for b in batches for k in b]
    assert len(set(flat)) == 20
    assert {e for e, _ in flat} == {0}
    assert all(0 <= k < 23 for _, k in flat)


def test_epochs_and_seeds_have_orders_of_their_own():
    assert epoch(50, 5) == epoch(50, 5)
    order = [k for b in epoch(50, 5) for _, k in b]
    assert order != sorted(order)
    assert order != [k for b in epoch(50, 5, number=1) for _, k in b]
    assert order != [k for b in epoch(50, 5, seed=1) for _, k in b]
    assert {e for b in epoch(50, 5, number=3) for e, _ in b} == {3}


@pytest.mark.parametrize(("batch", "world"), [(3, 2), (2, 4)])
def test_processes_together_see_what_one_with_a_larger_batch_sees(batch, world):
    whole = epoch(50, batch * world)
    parts = [epoch(50, batch, rank=r, world=world) for r in range(world)]
    assert [[k for part in step for k in part] for step in zip(*parts, strict=True)] == whole


def test_set_too_small_for_one_step_is_refused():
    with pytest.raises(ConfigError, match="7 items, one step needs 4 on each of 2 processes"):
        EpochBatchSampler(7, 4, 0, 0, 2)
    assert len(EpochBatchSampler(8, 4, 0, 0, 2)) == 1


def test_batch_holds_each_frame_and_sentence_once(videos, items):
    chosen = [items[0, k] for k in (1, 2, 3, 9, 10)]
    batch = collator(videos)(chosen)
    pairs = {(i.video, int(f)) for i in chosen for f in i.frame.flatten()}
    assert len(batch.images) == len(pairs)
    assert batch.images.dtype == torch.uint8
    heard = {videos[i.video].expressions[e].sentence for i in chosen for e in i.expression.flatten()}
    assert len(batch.ids) == len(heard)  # a sentence of both videos is one
    for b, item in enumerate(chosen):
        for t, f in enumerate(item.frame[0]):
            picture = resize(videos[item.video].frames.read(int(f)), IMAGE_SIZE)
            assert torch.equal(batch.images[batch.frame[b, t]], torch.from_numpy(picture).permute(2, 0, 1))
        ids, mask = TinyText().tokenize([videos[item.video].expressions[e].sentence for e in item.expression[0]])
        assert torch.equal(batch.ids[batch.expression[b]], ids)
        assert torch.equal(batch.mask[batch.expression[b]], mask)
        assert torch.equal(batch.boxes[b], torch.from_numpy(item.box[0]).float())
        assert batch.labels[b].tolist() == item.label[0].tolist()


def test_windows_of_a_clip_share_their_frames(videos):
    clips = ClipItems(videos, 4, 1, NoMasking(), ExpressionSampler(5, 2), NoJitter(), False, 0)
    item = clips[0, 8]
    batch = collator(videos)([item])
    assert item.frame.shape == (2, 4)
    assert len(batch.images) == 4


def test_validation_batch_has_all_expressions_of_its_video(videos):
    items = ValidationItems(videos, 4, 2, group=4)
    for k in range(len(items)):
        item = items[k]
        batch = collator(videos)([item])
        ids, _ = TinyText().tokenize([e.sentence for e in videos[item.video].expressions])
        assert batch.expression is None
        assert torch.equal(batch.ids, ids)
        assert batch.labels.shape == (len(item.frame), len(ids))


def test_swap_moves_frame_and_box_together_and_labels_stay(videos, items):
    chosen = [items[0, 2], items[0, 9], items[0, 3]]
    before = [item.frame.copy() for item in chosen]
    plain = collator(videos)(chosen)
    swapped = collator(videos, lambda windows, frames, rng: [(1, 6), (11, 4)])(chosen)  # (0,1)<->(1,2), (2,3)<->(1,0)
    order = np.arange(12)
    order[[1, 6]] = [6, 1]
    order[[4, 11]] = [11, 4]
    assert torch.equal(swapped.boxes.flatten(0, 1), plain.boxes.flatten(0, 1)[order])
    picture = [batch.images[batch.frame].flatten(0, 1) for batch in (plain, swapped)]
    assert torch.equal(picture[1], picture[0][order])
    assert torch.equal(swapped.labels, plain.labels)
    heard = [batch.ids[batch.expression] for batch in (plain, swapped)]
    assert torch.equal(heard[0], heard[1])
    assert all(np.array_equal(item.frame, frame) for item, frame in zip(chosen, before, strict=True))


def test_swap_is_the_same_whoever_collates_and_whenever(videos, items):
    chosen = [items[1, k] for k in (2, 9, 3, 5)]
    swap = IdentitySwap(0.5, None)
    first = collator(videos, swap)(chosen)
    again = pickle.loads(pickle.dumps(collator(videos, swap)))  # as in a worker process
    again([items[1, k] for k in (0, 1)])
    assert torch.equal(first.boxes, again(chosen).boxes)
    assert not torch.equal(first.boxes, collator(videos)(chosen).boxes)
    other = [items[2, k] for k in (2, 9, 3, 5)]
    moved = collator(videos, swap)(other).boxes
    assert not torch.equal(moved - collator(videos)(other).boxes, first.boxes - collator(videos)(chosen).boxes)


def test_kept_pictures_are_decoded_once():
    video = make_video({1: range(3)}, ["all"], [lambda f, i: True])
    loader = FrameLoader([video], (16, 48), keep=True)
    first = loader.load(0, 1)
    assert np.array_equal(first, loader.load(0, 1))
    assert video.frames.reads == {1: 1}
    assert first.shape == (16, 48, 3)
