"""Commands whose modules are imported when they are called, and not for the help of the program.

Each import of `rich`, the bus or the contracts costs a person a fraction of a second. So the
program knows of a command only its name, the line that its own help shows, and where the rest is.
Help is plain text: drawn by `rich` it takes three times as long.
"""

import sys
from functools import cached_property
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

HERE = __package__


class PlainGroup(TyperGroup):
    """A group of commands whose help is plain text and cuts no line short."""

    # Types of click are Any: typer has its own private copy of them.
    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002 - click's
        """Write each command with the first sentence of its help."""
        rows = [
            (name, command.get_short_help_str(sys.maxsize))
            for name, command in self.commands.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def new_app(about: str) -> typer.Typer:
    """An empty group of commands in the style of the program.

    Args:
        about: its help.
    """
    return typer.Typer(
        cls=PlainGroup,
        help=about,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
    )


class LazyCommand(TyperCommand):
    """Stands in the program's list for a command, and becomes that command when it is called.

    Args:
        name: as a person writes it; dashes are underscores in the module's name.
        about: the first line of the command's help.
    """

    def __init__(self, name: str, about: str) -> None:
        super().__init__(name=name, help=about, rich_markup_mode=None)

    @cached_property
    def loaded(self) -> Any:  # noqa: ANN401 - a command of click's
        """The command: the `app` of its module, or the function that has the command's name."""
        module = import_module(f"{HERE}.{self.name}")
        app = getattr(module, "app", None)
        if app is None:
            app = new_app("")
            app.command(self.name)(getattr(module, str(self.name)))
        command = typer.main.get_command(app)
        command.name = self.name
        return command

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: Any = None,  # noqa: ANN401 - a context of click's
        **extra: Any,  # noqa: ANN401 - whatever click passes on
    ) -> Any:  # noqa: ANN401 - a context of click's
        """The context of the real command, which is what click runs then."""
        return self.loaded.make_context(info_name, args, parent, **extra)
