"""The errors of training; each message says where, what came, what was wanted, what to do."""


class TrainingError(Exception):
    """Root of everything that training raises on purpose."""


class DataError(TrainingError, ValueError):
    """A data file that cannot be trained on or scored."""


class ColumnsError(DataError):
    """A file without the columns that are looked for."""


class SettingsError(TrainingError, ValueError):
    """A setting that no model can be trained with, or a recipe that does not exist."""


class RunError(TrainingError):
    """A run folder that is missing, incomplete, in the way, or of an unknown format."""


class LabellingError(TrainingError):
    """A labeller that cannot be asked, or rows that have no label from it."""


class CurationError(TrainingError):
    """A table of suspects or of suggestions that cannot be made."""
