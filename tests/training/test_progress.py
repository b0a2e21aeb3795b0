import os
import signal
import threading
import time

import numpy as np
import pytest

from tests.helpers.objectives import single_label
from training.figures.mistakes import find_mistakes, format_mistakes
from training.progress import interruptible, is_quiet, quiet, say, step
from training.rows.data import Part


def test_what_takes_long_in_c_is_left_at_once():
    released = threading.Event()

    def compute() -> None:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        released.wait(30)

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interruptible(compute)

    released.set()
    assert time.monotonic() - started < 2


def test_results_and_errors_come_through():
    assert interruptible(lambda: 7) == 7
    with pytest.raises(ValueError, match="odd"):
        interruptible(lambda: (_ for _ in ()).throw(ValueError("odd")))


def test_a_step_is_a_line_unless_all_is_quiet(capsys):
    with step("phrases"):
        pass
    with quiet(True), step("words"):
        say("nothing")

    assert capsys.readouterr().err == "phrases: 0.0 s\n"
    assert not is_quiet()


def test_the_most_confident_mistakes_come_first_and_are_safe_in_markdown():
    objective = single_label(2)
    labels = list(objective.task.labels)
    part = Part(
        ["fine", "a|b\n<i>", "right"], [labels[0], labels[0], labels[1]], [4, 9, 12], np.arange(3)
    )
    outputs = np.array([[0.4, 0.6], [0.1, 0.9], [0.2, 0.8]], np.float32)

    mistakes = find_mistakes(objective, part, outputs)

    assert [(mistake.row, mistake.predicted) for mistake in mistakes] == [
        (9, labels[1]),
        (4, labels[1]),
    ]
    assert format_mistakes(mistakes)[2].endswith("| 0.900 | a\\|b \\<i\\> |")
