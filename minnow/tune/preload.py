"""What trials import, imported once by the process that they are forked from.

Importing TensorFlow takes seconds, a fork milliseconds.
"""

import threading

from tqdm import tqdm

from minnow.quiet import import_tensorflow

# In place of a semaphore of the system, which a trial that is stopped would leave behind.
tqdm.set_lock(threading.RLock())
import_tensorflow()

from export import export  # noqa: E402,F401
from training import train  # noqa: E402,F401
from training.recipe import list_recipes, load_recipe  # noqa: E402

for name in list_recipes():
    load_recipe(name)
