"""Errors of export."""


class ExportError(Exception):
    """A run that cannot become a bundle; nothing was put in place."""


class ToleranceError(ExportError):
    """The bundle computes something else than Keras."""
