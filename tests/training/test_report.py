"""What the report says of the epochs."""

import pytest

from training.figures.report import find_kept

LOSSES = (0.5, 0.3, 0.4)
HISTORY = [{"epoch": number + 1, "dev_loss": loss} for number, loss in enumerate(LOSSES)]


@pytest.mark.parametrize(("patience", "epoch"), [(0, 3), (1, 2), (5, 2)])
def test_the_kept_epoch_is_the_last_or_with_patience_the_best(patience, epoch):
    assert find_kept(patience, HISTORY)["epoch"] == epoch


def test_the_kept_epoch_is_that_of_the_greatest_gain_where_one_is_measured():
    history = [row | {"gain": gain} for row, gain in zip(HISTORY, (-0.1, 0.2, 0.2), strict=True)]

    assert find_kept(0, history)["epoch"] == 2
