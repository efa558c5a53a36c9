"""The scores of a window are its own: they do not change with the rest of the batch."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flexhook.parity.compare import load
from flexhook.parity.golden import read_golden

FIXTURE = Path(__file__).parents[1] / "fixtures" / "tiny_golden"


@pytest.fixture(scope="module")
def scored():
    golden = read_golden(FIXTURE)
    model, batch = load(golden, torch.float32, "weights"), golden.batch(torch.float32)
    with torch.no_grad():
        return model, batch, model(batch).logits


def logits(model, batch):
    with torch.no_grad():
        return model(batch).logits


def test_other_windows_do_not_matter(scored):
    model, batch, together = scored
    frames, sentences = batch.frame[1], batch.expression[1]
    alone = replace(
        batch,
        frame=torch.arange(3)[None],
        boxes=batch.boxes[1:],
        expression=torch.arange(3)[None],
        images=batch.images[frames],
        ids=batch.ids[sentences],
        mask=batch.mask[sentences],
        labels=batch.labels[1:],
    )
    assert (logits(model, alone) - together[1:]).abs().max() < 1e-6


def test_other_expressions_do_not_matter(scored):
    model, batch, together = scored
    for n in range(3):
        one = replace(batch, expression=batch.expression[:, n : n + 1], labels=batch.labels[:, n : n + 1])
        assert (logits(model, one) - together[:, :, n : n + 1]).abs().max() < 1e-6


def test_order_does_not_matter(scored):
    model, batch, together = scored
    windows, sentences = torch.tensor([1, 0]), torch.tensor([2, 0, 1])
    mixed = replace(
        batch,
        frame=batch.frame[windows],
        boxes=batch.boxes[windows],
        expression=batch.expression[windows][:, sentences],
        labels=batch.labels[windows][:, sentences],
    )
    assert (logits(model, mixed) - together[windows][:, :, sentences]).abs().max() < 1e-6


def test_sharing_frames_and_sentences_does_not_matter(scored):
    model, batch, together = scored
    doubled = replace(
        batch,
        frame=batch.frame[[0, 0, 1]],
        boxes=batch.boxes[[0, 0, 1]],
        expression=batch.expression[[0, 0, 1]],
        labels=batch.labels[[0, 0, 1]],
    )
    assert (logits(model, doubled) - together[[0, 0, 1]]).abs().max() < 1e-6
