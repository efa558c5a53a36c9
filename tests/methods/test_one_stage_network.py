"""The network of one-stage methods: initialisation, attention, what is shared between sentences."""

import math

import pytest
import torch
from overfit_clip import SIZE, SmallVisual, overfit_video, small_network
from tiny_model import TinyText

from flexhook.errors import ConfigError
from flexhook.methods.one_stage.deformable import DeformableAttention, sample
from flexhook.methods.one_stage.online import OnlineTracker, Thresholds
from flexhook.methods.one_stage.pictures import InferenceResize
from flexhook.methods.one_stage.positions import image_positions, text_positions, time_positions
from flexhook.methods.one_stage.video import SentenceTrackers
from flexhook.methods.temprmot.network import TempRMOT
from flexhook.methods.transrmot.network import TransRMOT

ANYTHING = Thresholds(0.0, 0.0, 5, 0.0, 0.0, 0.5)  # every query becomes a track


def loud(network):
    """Random boxes and scores in place of the cautious first ones."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval()


def test_sampling_at_cell_centres_gives_the_cells_themselves():
    value = torch.arange(2 * 3 + 1 * 2.0)[:, None].expand(-1, 4).contiguous()  # levels 2x3 and 1x2, d = 4
    location = torch.zeros(1, 2, 2, 1, 2)
    location[0, :, 0, 0] = torch.tensor([2.5 / 3, 1.5 / 2])  # last column, last row
    location[0, :, 1, 0] = torch.tensor([0.5 / 2, 0.5])
    weights = torch.tensor([[[[0.75], [0.25]], [[0.5], [0.5]]]])
    found = sample(value, [(2, 3), (1, 2)], location, weights)
    assert found[0].tolist() == pytest.approx([0.75 * 5 + 0.25 * 6] * 2 + [5.5] * 2)
    outside = sample(value, [(2, 3), (1, 2)], location + 2, weights)
    assert not outside.any()


def test_attention_begins_with_equal_weights_and_one_direction_per_head():
    attention = DeformableAttention(32, heads=4, levels=2, points=3)
    bias = attention.sampling_offsets.bias.view(4, 2, 3, 2)
    assert torch.allclose(bias[0, 1], torch.tensor([[1.0, 0], [2, 0], [3, 0]]), atol=1e-6)
    assert torch.allclose(bias[1, 0], torch.tensor([[0.0, 1], [0, 2], [0, 3]]), atol=1e-6)
    assert not attention.attention_weights.weight.any() and not attention.sampling_offsets.weight.any()


def test_positions():
    assert text_positions(3, 8, torch.zeros(())).shape == (3, 8)
    word = text_positions(2, 8, torch.zeros((), dtype=torch.float64))
    assert word[0, 0].item() == pytest.approx(math.sin(math.pi), abs=1e-5)  # the first of two words
    cells = image_positions(2, 4, 8, torch.zeros((), dtype=torch.float64))
    assert cells[:4, :4].std(0).max() < 1e-12  # of one row: the first half is the row's
    assert cells[0, 0].item() == pytest.approx(math.sin(2 * math.pi * 0.5 / 2), abs=1e-5)
    assert cells[1, 4].item() == pytest.approx(math.sin(2 * math.pi * 1.5 / 4), abs=1e-5)
    time = time_positions(3, 4, torch.zeros((), dtype=torch.float64))
    assert time[:, 1].tolist() == pytest.approx([1, -1, 1])


@pytest.mark.parametrize("kind", [TransRMOT, TempRMOT])
def test_initial_scores_and_boxes(kind):
    network = small_network(kind)
    for heads in (network.class_embed, network.refer_embed):
        assert [head.bias.item() for head in heads] == pytest.approx([-math.log(99)] * 2)
        assert torch.equal(heads[0].weight, heads[1].weight)
    first, second = (mlp.layers[2].bias.tolist() for mlp in network.bbox_embed)
    assert (first, second) == ([0, 0, -2, -2], [0, 0, 0, 0])
    assert not any(mlp.layers[2].weight.any() for mlp in network.bbox_embed)
    assert network.query_embed.weight.std().item() == pytest.approx(1, abs=0.1)
    assert not network.transformer.reference_points.bias.any()
    if kind is TempRMOT:
        reasoner = network.STReasoner
        assert reasoner.track_cls.bias.item() == reasoner.track_ref.bias.item() == pytest.approx(-math.log(99))
        assert reasoner.track_box.layers[2].weight.any() and not reasoner.track_box.layers[2].bias.any()


@pytest.mark.parametrize(("options", "words"), [
    ({"width": 48}, "model.width is 48"), ({"width": 64, "heads": 5}, "model.width is 64"),
    ({"num_queries": 0}, "no queries"), ({"fixed": ["visual.net.layer1"]}, "model.fixed names visual.net.layer1"),
    ({"fp_ratio": 1.5}, "model.fp_ratio is 1.5"),
])  # fmt: skip
def test_sizes_that_no_network_has_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        TransRMOT(SmallVisual(), TinyText(), **{"width": 32, "heads": 4, "ffn": 8, **options})


def test_a_memory_of_one_frame_is_refused():
    with pytest.raises(ConfigError, match="at least 2"):
        small_network(TempRMOT, train_history=1)


@pytest.mark.parametrize("kind", [TransRMOT, TempRMOT])
def test_frames_are_encoded_once_for_all_sentences_and_answers_are_those_of_one_alone(kind):
    video, network = overfit_video(), loud(small_network(kind))
    counts, sentences = {"visual": 0, "projection": 0}, ["red things", "blue things", "green"]
    network.visual.register_forward_hook(lambda *_: counts.update(visual=counts["visual"] + 1))
    network.input_proj[3].register_forward_hook(lambda *_: counts.update(projection=counts["projection"] + 1))

    def rows(asked):
        trackers = SentenceTrackers(network, ANYTHING, InferenceResize(*SIZE), SIZE)
        for sentence in asked:
            trackers.add(sentence)
        return [trackers.update(video.frames.read(f)) for f in range(4)]

    together = rows(sentences)
    assert counts == {"visual": 4, "projection": 4}
    for sentence in sentences:
        for one, all_ in zip(rows([sentence]), together, strict=True):
            assert torch.equal(one[sentence].identity, all_[sentence].identity)
            assert torch.allclose(one[sentence].refer, all_[sentence].refer, atol=1e-5)
            assert torch.allclose(one[sentence].box, all_[sentence].box, atol=1e-3)
    assert not torch.allclose(together[3]["red things"].refer, together[3]["green"].refer, atol=1e-5)


@pytest.mark.parametrize("kind", [TransRMOT, TempRMOT])
def test_tracks_are_queries_of_the_next_frame(kind):
    network = loud(small_network(kind, **({"track_attention": True})))
    tracker = OnlineTracker(network, network.encode_sentence("red things"), ANYTHING)
    pyramid = [level[0] for level in network.encode_frames(torch.zeros(1, 3, *SIZE, dtype=torch.uint8))]
    first = tracker.update(pyramid)
    assert first.events.births == list(range(8)) and len(first.survivors) == 8
    assert len(tracker.table) == 16 and tracker.table.identity.tolist() == [-1] * 8 + list(range(8))
    second = tracker.update(pyramid)
    assert second.survivors.identity.tolist() == [*range(8, 16), *range(8)]  # fresh queries come first
