"""The auxiliary loss on the cosine of trajectories and sentences."""

import pytest
import torch
from tiny_model import WIDTH, random_batch, tiny_flexhook
from torch.nn import functional as F

from flexhook.errors import ConfigError
from flexhook.methods.flexhook.alignment import TrajectoryAlignment
from flexhook.methods.two_stage.referring_model import Prediction


@pytest.fixture(scope="module")
def model():
    return tiny_flexhook()


def make(**arguments):
    torch.manual_seed(0)
    return TrajectoryAlignment(WIDTH, **arguments).double()


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("queries", [True, False])
def test_value_pair_by_pair(model, own, queries):
    batch = random_batch(model, own=own)
    batch.labels[0, 0] = -1
    term = make(first_query=model.decoder.first_query, queries=queries, weight=0.5, positive_weight=0.6, scale=7.0, offset=-1.0)
    prediction = model(batch)
    tokens, mask = model.encode_expressions(batch.ids, batch.mask)
    total, count = torch.zeros(()), 0
    for b, labels in enumerate(batch.labels.tolist()):
        trajectory = term.match.visual(prediction.trajectory[b].mean(0))
        for n, label in enumerate(labels):
            u = int(batch.expression[b, n]) if own else n
            sentence = term.match.sentence(tokens[u][mask[u]].mean(0))
            logit = 7.0 * F.cosine_similarity(trajectory, sentence, dim=0) - 1.0
            if queries:
                query = term.query_match.visual(model.decoder.first_query(batch.boxes[b : b + 1])[0, 0])
                words = term.query_match.sentence(tokens[u][mask[u]].mean(0))
                logit = logit + 7.0 * F.cosine_similarity(query, words, dim=0)
            if label >= 0:
                total, count = total + (-0.6 * F.logsigmoid(logit) if label else -0.4 * F.logsigmoid(-logit)), count + 1
    assert count == batch.labels.numel() - 1
    assert term(prediction, batch).item() == pytest.approx(0.5 * total.item() / count, rel=1e-12)


def test_gradient_reaches_trajectory_tokens_and_not_the_decoder(model):
    batch = random_batch(model)
    make()(model(batch), batch).backward()
    grads = {name: p.grad is not None and bool(p.grad.abs().sum() > 0) for name, p in model.named_parameters()}
    assert grads["temporal.mlp.3.fc2.weight"] and grads["temporal.mlp.0.fc1.weight"]
    assert not any(hit for name, hit in grads.items() if name.startswith(("decoder.", "hook.conditioning")))
    model.zero_grad()


def test_with_queries_its_gradient_reaches_their_embedding_but_no_attention(model):
    batch = random_batch(model)
    term = make(first_query=model.decoder.first_query)
    term(model(batch), batch).backward()
    reached = {name for name, p in model.decoder.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert reached == {"box_embedding"}
    assert all(p.grad is not None for p in term.parameters())  # DDP knows no unused parameters
    model.zero_grad()


def test_model_without_trajectory_tokens_is_refused(model):
    with pytest.raises(ConfigError, match="alignment=none"):
        make()(Prediction(torch.zeros(1, 1, 1, 2)), random_batch(model))
