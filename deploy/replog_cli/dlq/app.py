"""The commands of ``replog dlq``."""

from __future__ import annotations

import typer

from replog_cli.dlq.list import list_letters
from replog_cli.dlq.purge import purge
from replog_cli.dlq.replay import replay
from replog_cli.dlq.show import show_letter

app = typer.Typer(
    help="See dead letters with their reasons, publish their events again, delete them.",
    epilog="These commands read the dead-letter topic by the settings of the collector, in no consumer group.",
    no_args_is_help=True,
)
#: The commands with an example of each, which ends its help.
_COMMANDS = (
    ("list", list_letters, "replog dlq list --since 2h --summary"),
    ("show", show_letter, "replog dlq show 2:41"),
    ("replay", replay, "replog dlq replay --reason refused --since 2h --execute"),
    ("purge", purge, "replog dlq purge --before 0:1042 --before 1:977 --execute"),
)
for _name, _command, _example in _COMMANDS:
    app.command(_name, epilog=f"Example: {_example}")(_command)
