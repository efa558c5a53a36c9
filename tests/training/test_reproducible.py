"""The same seed, the same numbers: whatever the workers, the cache, the process did before."""

import json

import pytest
import torch
from hydra import compose, initialize_config_dir
from toy_world import run_here

from flexhook.configuration.resolvers import config_folder
from flexhook.training.build import build_datamodule, build_method, build_reader


def compose_toy(toy, *more):
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return compose("train", [*toy.overrides, "run_dir=unused", *more])


def modules(toy, *more):
    """Module and datamodule of a configuration."""
    cfg = compose_toy(toy, *more)
    method = build_method(cfg)
    return method.module, build_datamodule(cfg, build_reader(cfg), method)


def fill_features(data, model, *arguments, **named):
    """Fill the feature cache for the videos of a datamodule."""
    data.source.data.fill_features(model, data.train_videos + data.val_videos, *arguments, **named)


def flatten(batch):
    """Everything in a batch, as one list of tensors."""
    parts = [batch.frame, batch.boxes, batch.mask, batch.expression, batch.labels, batch.ids, batch.images]
    return [p for p in parts if p is not None]


@pytest.fixture(scope="module")
def reference(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference") / "run"
    toy.run(folder)
    return folder


def same(one, other):
    return [(one / f).read_text() == (other / f).read_text() for f in ("metrics.json", "metrics.csv", "expressions.csv")]


@pytest.mark.parametrize("change", [
    [],  # the same again
    ["sampling.num_workers=2"],
    ["sampling.keep_images=true"],
    ["sampling.num_workers=1", "logger=tensorboard", "trainer.log_every_n_steps=1"],
])
def test_run_does_not_depend_on_what_is_not_its_seed(toy, reference, tmp_path, change):
    torch.rand(17)  # what a process did before has no part in it
    toy.run(tmp_path / "run", *change)
    assert all(same(tmp_path / "run", reference))
    assert (tmp_path / "run/scores/u.npz").read_bytes() == (reference / "scores/u.npz").read_bytes()


def test_another_seed_is_another_run(toy, reference, tmp_path):
    toy.run(tmp_path / "run", "seed=1")
    assert not any(same(tmp_path / "run", reference)[1:2])


def test_noise_and_draws_are_of_seed_epoch_and_item(toy):
    more = ["perturbation.swap.probability=0.5", "sampling=windows", "sampling.expressions=4", "sampling.positives=2"]

    def batches(epoch, *changes):
        _, data = modules(toy, *more, *changes)
        loader = data.train_dataloader()
        loader.batch_sampler.set_epoch(epoch)
        return [flatten(b) for b in loader]

    def equal(one, other):
        return len(one) == len(other) and all(
            len(a) == len(b) and all(x.shape == y.shape and torch.equal(x, y) for x, y in zip(a, b, strict=True))
            for a, b in zip(one, other, strict=True)
        )

    first = batches(3)
    assert len(first) > 3
    assert equal(first, batches(3))
    assert equal(first, batches(3, "sampling.num_workers=3"))
    assert not equal(first, batches(2))
    assert not equal(first, batches(3, "seed=1"))
    assert not equal(first, batches(3, "perturbation.jitter.scale=0.0"))


@pytest.mark.parametrize("freeze", ["[visual,text]", "[visual]", "[text]"])
def test_cached_features_give_the_same_loss_and_gradients(toy, tmp_path, freeze):
    """With encoders in training mode the two would differ by dropout: what is frozen has none."""
    losses, gradients = [], []
    for cached in (False, True):
        module, data = modules(toy, f"freeze={freeze}", "++visual.dropout=0.5", "++text.dropout=0.5")
        if cached:
            module.model.eval()
            fill_features(data, module.model, tmp_path / "cache", "visual" in freeze, "text" in freeze)
            fill_features(data, module.model, tmp_path / "cache", "visual" in freeze, "text" in freeze)  # now opened
        module.on_fit_start()
        batch = next(iter(data.train_dataloader()))
        assert (batch.images is None) == (batch.maps is not None) == (cached and "visual" in freeze)
        assert (batch.ids is None) == (batch.tokens is not None) == (cached and "text" in freeze)
        torch.manual_seed(0)
        loss = module.objective(module(batch), batch)["loss"]
        loss.backward()
        losses.append(loss.item())
        gradients.append({k: p.grad for k, p in module.named_parameters() if p.grad is not None})
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-6)


def test_features_are_cached_in_the_precision_of_training(toy, tmp_path):
    def low():
        return torch.autocast("cpu", torch.bfloat16)

    maps = {}
    for kind in ("uncached", "cached", "cached in float32"):
        module, data = modules(toy, "freeze=[visual,text]")
        module.model.eval()
        if kind == "cached":
            fill_features(data, module.model, tmp_path, True, True, precision="bf16-mixed", context=low)
        elif kind != "uncached":
            fill_features(data, module.model, tmp_path, True, True)
        with torch.no_grad(), low():
            maps[kind] = module.model.encode_batch(next(iter(data.train_dataloader())))[0].rows[0]
    torch.testing.assert_close(maps["cached"], maps["uncached"], rtol=0, atol=1e-6)
    assert (maps["cached in float32"] - maps["uncached"]).abs().max() > 1e-5


def test_cached_run_ends_as_the_uncached_one(toy, tmp_path):
    more = ["freeze=[visual,text]", "optim.epochs=3"]
    plain = toy.run(tmp_path / "plain", *more)
    cached = toy.run(tmp_path / "cached", *more, "cache_features=true", f"cache_dir={tmp_path}/cache")
    assert cached == pytest.approx(plain, abs=1e-3)
    again = toy.run(tmp_path / "again", *more, "cache_features=true", f"cache_dir={tmp_path}/cache", "sampling.num_workers=2")
    assert again == cached


def test_cache_is_keyed_by_weights_images_and_scales(toy, tmp_path):
    def cached(*more):
        module, data = modules(toy, "freeze=[visual,text]", *more)
        module.model.eval()
        fill_features(data, module.model, tmp_path, True, True)
        return {p.name for p in tmp_path.iterdir()}

    first = cached()
    assert len(first) == 7  # six videos and the sentences
    assert cached() == first
    seen = len(first)
    for change, added in (
        (["seed=1"], 7),  # other random weights
        (["image_size=[64,192]"], 6),
        (["++visual.mean=[0.4,0.4,0.4]"], 0),  # ToyVisual has its own
        (["++text.dropout=0.2"], 0),
    ):
        count = len(cached(*change))
        assert count - seen == added, change
        seen = count


def test_frozen_encoders_stay_as_they_are(toy, tmp_path):
    """In evaluation mode: no dropout, no moving statistics; the rest of the model trains."""
    module, _ = modules(toy, "freeze=[visual]")
    module.on_fit_start()
    assert not any(m.training for m in module.model.visual.modules())
    assert all(m.training for m in [*module.model.text.modules(), *module.model.hook.modules()])
    toy.run(tmp_path / "run", "freeze=[visual]")  # its checkpoints do not hold the encoder and are loaded again
    status, said = run_here(["score", f"ckpt={tmp_path}/run/checkpoints/last.ckpt", f"out={tmp_path}/scored"], tmp_path)
    assert status == 0, said
    assert json.loads((tmp_path / "run/metrics.json").read_text())["test/HOTA"] > 0
