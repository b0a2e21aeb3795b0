"""The training room's errors; each message says where, what came, what was wanted, what to do."""


class TrainingError(Exception):
    """Root of everything that training raises on purpose."""


class DataError(TrainingError, ValueError):
    """A data file that cannot be trained on or scored."""


class RunError(TrainingError):
    """A run folder that is missing, incomplete, in the way, or of an unknown format."""
