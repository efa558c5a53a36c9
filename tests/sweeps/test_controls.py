"""The controls: a model that sees nothing, and sentences without meaning."""

import layouts
import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from toy_world import write_toy_world

import flexhook.configuration.resolvers  # noqa: F401
from flexhook.configuration.resolvers import config_folder
from flexhook.datasets.reader import load
from flexhook.datasets.shuffled import ShuffledSentences
from flexhook.encoders.blank import BlankVisualEncoder


def test_a_blank_encoder_has_the_sizes_of_a_real_one_and_no_weights():
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        cfg = compose("train", ["experiment=synthetic_tiny", "ablation=control/boxes_only", "name=x", "run_dir=/x"])
    encoder = instantiate(cfg.visual)
    assert isinstance(encoder, BlankVisualEncoder)
    height, width = cfg.image_size
    maps = encoder(torch.rand(2, 3, height, width))
    assert [tuple(m.shape) for m in maps] == [(2, 8, height // s, width // s) for s in (8, 16, 32)]
    assert not any(m.any() for m in maps) and not list(encoder.parameters())


def test_shuffled_sentences_keep_their_referents_but_not_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("FLEXHOOK_CACHE", str(tmp_path / "cache"))
    write_toy_world(tmp_path / "set", {"0000": {1: range(12), 2: range(12), 3: range(4, 12)}, "0001": {1: range(8)}})
    reader = layouts.refer_kitti(tmp_path / "set", splits={"train": ["0000"], "val": ["0001"]}, sizes={"default": [64, 192]})
    plain, shuffled = load(reader, "train")[0], load(ShuffledSentences(reader, seed=1), "train")[0]
    assert [e.sentence for e in shuffled.expressions] == [e.sentence for e in plain.expressions]
    one, two = plain.labels.toarray(), shuffled.labels.toarray()
    assert not np.array_equal(one, two)
    assert sorted(map(tuple, one.T)) == sorted(map(tuple, two.T))
    assert np.array_equal(load(reader, "val")[0].labels.toarray(), load(ShuffledSentences(reader), "val")[0].labels.toarray())
