"""Encoders read steps by LSTMs, or by the recurrent layer that a recipe gives."""

import keras
import pytest
from keras import layers

from training.blocks.encoders import read_both_ways, read_forward

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("given", "layer"),
    [({}, layers.LSTM), ({"recurrent": layers.GRU}, layers.GRU)],
    ids=["default", "given"],
)
def test_encoder_is_made_of_that_layer(given, layer):
    steps = keras.Input((None, 4))

    last = read_forward(steps, (3, 5), dropout_rate=0.1, **given)
    states = read_both_ways(steps, (3, 5), **given)

    forward = [type(each) for each in keras.Model(steps, last).layers[1:]]
    both = keras.Model(steps, states).layers[1:]
    assert forward == [layers.Dropout, layer, layers.Dropout, layer]
    assert [type(each.forward_layer) for each in both] == [layer, layer]
    assert [each.name for each in both] == ["bidirectional", "bidirectional_1"]
    assert (last.shape, states.shape) == ((None, 5), (None, None, 10))
