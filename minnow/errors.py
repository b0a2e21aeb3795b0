"""The command line's error."""


class CommandError(Exception):
    """A command that cannot do its work; the message is the one line that the user reads."""
