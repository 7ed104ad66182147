"""Token by token: several layers in one pass are each layer by itself, and a text's means are its own."""

import numpy as np
import pytest
import torch

from creativity_lens.token_readings import Probe, means_of, read_tokens, window_size

TEXTS = ["The tide came in.", "", "A lamp, a ladder, a long argument about rain and the price of bread in the harbour."]


def probes(model, layers=(1, 4, 7)):
    vectors = torch.randn(len(layers), model.d_model, generator=torch.Generator().manual_seed(0))
    unit = torch.nn.functional.normalize(vectors, dim=-1)
    return [Probe(layer, vector, 0.5 * place) for place, (layer, vector) in enumerate(zip(layers, unit, strict=True))]


def test_each_layer_reads_as_if_it_were_alone(chat):
    ids, size = chat.encode_texts(TEXTS), window_size(chat, None)
    together, surprisal = read_tokens(chat, probes(chat), ids, size)
    assert together.shape == (3, sum(map(len, ids)))
    for place, probe in enumerate(probes(chat)):
        (alone,), same = read_tokens(chat, [probe], ids, size)
        assert together[place] == pytest.approx(alone, abs=1e-5)
        assert surprisal == pytest.approx(same, abs=1e-5)
    assert not np.allclose(together[0], together[1], atol=0.1), "the control: layers differ"


def test_a_projection_is_that_of_the_residual_stream(chat):
    """Independent: the stream as a plain hook sees it."""
    probe, (ids,) = probes(chat)[1], chat.encode_texts([TEXTS[0]])
    seen = []
    with torch.no_grad(), chat.hooks({probe.layer: lambda residual: seen.append(residual.clone())}):
        chat.forward(torch.tensor([[*chat.start_ids, *ids]]))
    expected = (seen[0][0, len(chat.start_ids) :].float() @ probe.vector - probe.zero).numpy()
    (found,), _ = read_tokens(chat, [probe], [ids], window_size(chat, None))
    assert found == pytest.approx(expected, abs=1e-4)


def test_means_are_each_texts_own():
    values = np.array([[1.0, 3.0, 5.0], [np.nan, 1.0, 2.0]])
    found = means_of(values, np.array([1, 0, 2]))
    assert found[0] == pytest.approx([1.0, np.nan, 4.0], nan_ok=True)
    assert found[1] == pytest.approx([np.nan, np.nan, 1.5], nan_ok=True), "what is not finite stays in its text"
