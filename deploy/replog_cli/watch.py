"""``replog watch``: a record, live, from one stream of the query service."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer
from rich.live import Live

from replog.errors import FatalError
from replog_cli.client.api import Api, record_path
from replog_cli.client.errors import UnknownRecord
from replog_cli.client.record_stream import Alive, Lost, RecordStream, State
from replog_cli.completion import task_keys
from replog_cli.display import console
from replog_cli.display.record_progress import RecordProgress
from replog_cli.options import JsonOption, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from rich.console import Console, RenderableType

    from replog_cli.client.record_stream import News

#: Redraws of the bars in a second.
REDRAWS_PER_S = 4
#: Least seconds between two lines, where there is no terminal.
LINE_INTERVAL_S = 5.0
#: Exit code of a command that Ctrl-C ended.
INTERRUPTED = 130


def watch(
    target: Annotated[
        str,
        typer.Argument(
            metavar="RECORD|KEY", help="A record's id, or a task's key: its newest record.", autocompletion=task_keys
        ),
    ],
    *,
    exit_status: Annotated[
        bool, typer.Option("--exit-status", help="End with exit code 1 if the record ends FAILED.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Watch a record until it ends: bars on a terminal, lines elsewhere.

    A connection that breaks is opened again. Ctrl-C ends watching only, with exit code 130.
    """
    output = console.output()
    try:
        with Api() as api:
            status = _watch(api, target, output, as_json=as_json)
    except KeyboardInterrupt:
        console.messages().print("Stopped watching. The record is not affected.")
        raise typer.Exit(INTERRUPTED) from None
    if exit_status and status == "FAILED":
        raise typer.Exit(1)


def _watch(api: Api, target: str, output: Console, *, as_json: bool) -> str:
    """Show the record until its stream ends; returns its last status."""
    news = _first_news(api, target)
    with _display(output, as_json=as_json) as display:
        last: dict[str, Any] = {}
        for one in news:
            display.show(one)
            last = one.data if isinstance(one, State) else last
    if last.get("reason") == "removed":
        raise FatalError(f"record {last['record']['id']} was removed before it ended: its retention time is over")
    return str(last["record"]["status"])


def _first_news(api: Api, target: str) -> Iterator[News]:
    """The stream of the record ``target`` or else of the newest record of the task ``target``, opened."""
    try:
        return _opened(api, target)
    except UnknownRecord:
        runs = api.data(record_path("page", target), {"pageNumber": 1, "pageSize": 1})["records"]
    if not runs:
        raise FatalError(f"there is no record {target}, and no task {target} with a record")
    return _opened(api, runs[0]["id"])


def _opened(api: Api, record_id: str) -> Iterator[News]:
    # The first piece comes with the answer, so a refusal is raised here.
    news = RecordStream(api, record_id).news()
    first = next(news)
    return _chained(first, news)


def _chained(first: News, rest: Iterator[News]) -> Iterator[News]:
    yield first
    yield from rest


def _display(output: Console, *, as_json: bool) -> _Display:
    if as_json:
        return _JsonLines()
    return _Bars(output) if output.is_terminal else _Lines(output)


class _Display(AbstractContextManager["_Display"], Protocol):
    def show(self, news: News) -> None:
        """Show what is new."""


class _JsonLines(_Display):
    """Each state as a line of JSON: the data of the event, and its kind."""

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, news: News) -> None:
        if isinstance(news, State):
            print_json({"event": news.event, **news.data})


class _Lines(_Display):
    """Lines for a log: the first and the last state, each new status, and not more than one in some seconds."""

    def __init__(self, output: Console, interval_s: float = LINE_INTERVAL_S) -> None:
        self._output = output
        self._interval_s = interval_s
        self._progress: RecordProgress | None = None
        self._printed_s = 0.0
        self._due = False

    def __exit__(self, *_: object) -> None:
        self._print()

    def show(self, news: News) -> None:
        now = datetime.now().astimezone()
        urgent = isinstance(news, Lost)
        match news:
            case State():
                before = self._progress
                if before is not None and (before.record, before.overview) == (
                    news.data["record"],
                    news.data["overview"],
                ):
                    return
                urgent = before is None or before.record["status"] != news.data["record"]["status"]
                self._progress, self._due = _updated(before, news, now), True
            case Lost():
                self._output.print(_said(news), soft_wrap=True)
        if urgent or time.monotonic() >= self._printed_s + self._interval_s:
            self._print()

    def _print(self) -> None:
        if self._progress is None or not self._due:
            return
        now = datetime.now().astimezone()
        self._output.print(f"{now:%H:%M:%S} {self._progress.line(now)}", soft_wrap=True)
        self._printed_s, self._due = time.monotonic(), False


class _Bars(_Display):
    """A view that is drawn again in its place."""

    def __init__(self, output: Console) -> None:
        self._output = output
        self._progress: RecordProgress | None = None
        self._live = Live(
            console=output, get_renderable=self._view, refresh_per_second=REDRAWS_PER_S, vertical_overflow="crop"
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.refresh()
        self._live.stop()

    def show(self, news: News) -> None:
        match news:
            case State():
                self._progress = _updated(self._progress, news, datetime.now().astimezone())
            case Lost() if self._progress is not None:
                self._progress.trouble = _said(news)
            case Alive() if self._progress is not None:
                self._progress.trouble = None

    def _view(self) -> RenderableType:
        if self._progress is None:
            return "waiting for the first state"
        return self._progress.view(datetime.now().astimezone(), self._output.width)


def _updated(progress: RecordProgress | None, state: State, now: datetime) -> RecordProgress:
    if progress is None:
        return RecordProgress(state.data, now)
    progress.update(state.data, now)
    return progress


def _said(lost: Lost) -> str:
    return f"Connection lost: {lost.problem}. Next attempt in {lost.wait_s:.1f} s."
