"""The group of commands, and how help is written: in panels on a terminal, plain elsewhere.

A command is a module of `minnow/commands` with a function of the same name, whose docstring is its
help, a PANEL that it is listed under, and EXAMPLES. Only the invoked one is imported.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS = (  # in the order of the help
    "train",
    "tune",
    "evaluate",
    "export",
    "inspect",
    "sign",
    "predict",
    "score",
    "shards",
    "serve",
    "poll",
    "drift",
    "invoke",
    "key",
    "init",
    "package",
    "push",
    "promote",
    "models",
    "compare",
    "label",
    "lint",
    "suggest",
    "feedback",
    "data",
    "cost",
)
EXAMPLES = (
    "minnow train reviews.csv --out runs/reviews",
    "minnow export runs/reviews --out bundles/reviews",
    'minnow predict --bundle bundles/reviews "A clever, moving film."',
    "minnow COMMAND --help",
)
COMPLETION = ("--install-completion", "--show-completion")
NAMED_SHELL = "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"  # Typer's, for its own tests
Panels = dict[str, list[tuple[str, str]]]  # title -> name and help of each row


class Command(TyperCommand):
    """A command whose plain help is grouped as its panels are."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        write_sections(formatter, group_parameters(self, ctx))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        write_epilog(formatter, self.epilog)


class Commands(TyperGroup):
    """The commands by name; a module is imported when its command is asked for."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = dict.fromkeys(COMMANDS)  # type: ignore[assignment]  # None: not imported

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in COMMANDS and self.commands[cmd_name] is None:
            self.commands[cmd_name] = load_command(cmd_name, self.rich_markup_mode)
        return self.commands.get(cmd_name)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        panels: Panels = {}
        for name in COMMANDS:
            command = self.get_command(ctx, name)
            summary = command.help.split("\n\n")[0]
            panels.setdefault(command.rich_help_panel, []).append((name, summary))
        write_sections(formatter, panels)
        write_sections(formatter, group_parameters(self, ctx))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        write_epilog(formatter, self.epilog)


@contextmanager
def naming_shell(arguments: Sequence[str]) -> Iterator[None]:
    """Let a group that is made inside take the name of a shell, where one is given.

    Typer has options that take none and ask the parent process instead, and with a variable others
    that take one: `minnow --install-completion fish` would install what the parent process uses.
    """
    named = len(arguments) > 1 and arguments[0] in COMPLETION and NAMED_SHELL not in os.environ
    if named:
        os.environ[NAMED_SHELL] = "1"
    try:
        yield
    finally:
        if named:
            os.environ.pop(NAMED_SHELL)


def make_group() -> Any:
    """Return the group of all commands."""
    app = typer.Typer(
        cls=Commands,
        rich_markup_mode="rich" if sys.stdout.isatty() else None,
        no_args_is_help=True,
        help="Labelled text in, a classifier in a serverless function out.",
        epilog=format_examples(EXAMPLES),
    )
    app.callback()(take_root_options)
    return typer.main.get_command(app)


def take_root_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda asked: print_version() if asked else None,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Take the options that stand before the command."""


def print_version() -> None:
    """Print the installed version and exit."""
    from importlib import metadata  # its import takes longer than all the rest

    print(f"minnow {metadata.version('minnow-maas')}")
    raise typer.Exit


def load_command(name: str, markup: Any) -> Any:
    """Import the module of the command `name` and return the command."""
    module = importlib.import_module(f"minnow.commands.{name}")
    function = getattr(module, name)
    paragraphs = function.__doc__.split("\n\n")
    app = typer.Typer(add_completion=False, rich_markup_mode=markup)
    app.command(
        name,
        cls=Command,
        help="\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs),
        epilog=format_examples(module.EXAMPLES),
        rich_help_panel=module.PANEL,
    )(function)
    return typer.main.get_command(app)


def format_examples(examples: tuple[str, ...]) -> str:
    """Return the lines below a command's options."""
    title = "Examples:" if len(examples) > 1 else "Example:"
    return "\n".join([title, *(f"  {example}" for example in examples)])


def group_parameters(command: Any, ctx: Any) -> Panels:
    """Return (name, help) of every argument and option by the title of its panel."""
    panels: Panels = {"Arguments": [], "Options": []}
    for parameter in command.get_params(ctx):
        if (record := parameter.get_help_record(ctx)) is not None:
            is_argument = parameter.param_type_name == "argument"
            panel = parameter.rich_help_panel or ("Arguments" if is_argument else "Options")
            panels.setdefault(panel, []).append(record)
    return panels


def write_sections(formatter: Any, panels: Panels) -> None:
    """Write each panel's rows under its title."""
    for title, records in panels.items():
        if records:
            with formatter.section(title):
                formatter.write_dl(records)


def write_epilog(formatter: Any, epilog: str | None) -> None:
    """Write the examples as they stand: a command broken in two lines cannot be copied."""
    if epilog:
        formatter.write_paragraph()
        formatter.write(f"{epilog}\n")
