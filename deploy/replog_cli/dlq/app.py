"""The commands of ``replog dlq``."""

from __future__ import annotations

import typer

from replog_cli.lazy_commands import add_command

app = typer.Typer(
    help="See dead letters with their reasons, publish their events again, delete them.",
    epilog="These commands read the dead-letter topic by the settings of the collector, in no consumer group.",
    add_completion=False,
    no_args_is_help=True,
)
#: The commands: module, function, the first line of the help, and an example, its last.
_COMMANDS = (
    (
        "list",
        "list_letters",
        "List dead letters, the newest first, with the reason of each.",
        "replog dlq list --since 2h --summary",
    ),
    (
        "show",
        "show_letter",
        "Show a dead letter: why and when it died, its event, and whether that is valid now.",
        "replog dlq show 2:41",
    ),
    (
        "replay",
        "replay",
        "Publish the events of dead letters again, with their keys and headers, to the topic of events.",
        "replog dlq replay --reason refused --since 2h --execute",
    ),
    (
        "purge",
        "purge",
        "Delete the oldest dead letters for good: in each partition that is named, all before an offset.",
        "replog dlq purge --before 0:1042 --before 1:977 --execute",
    ),
)
for _name, _function, _summary, _example in _COMMANDS:
    add_command(app, _name, f"replog_cli.dlq.{_name}:{_function}", _summary, epilog=f"Example: {_example}")
