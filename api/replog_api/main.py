"""``replog-api``: one query service, in the foreground."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from replog.errors import FatalError, RecoverableError, SettingsError
from replog.log_configuration import configure_logs
from replog.settings import ApiSettings, load, load_or_exit, mask_url, read_arguments, report_environment
from replog.store.client.connection import Connection
from replog.store.client.rights import QUERY_SERVICE
from replog.telemetry import logger
from replog.tracing.opening import check_extra, opened_tracer
from replog.tracing.reports import ServiceReport
from replog_api import metrics
from replog_api.admission.hosts import is_loopback
from replog_api.admission.proxies import FORWARDED_ALLOW_IPS, Proxies, parse_proxies
from replog_api.app import STORE_TIMEOUT_S, create_app
from replog_api.server.connections import ConnectionLimits, Drain
from replog_api.server.server import STOP_SIGNALS, Server, configuration, finish_s, hold_signals
from replog_api.server.supervisor import Supervisor

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe
    from typing import NoReturn

#: Allocations between two collections of the youngest generation. A page makes hundreds of objects, few of them in
#: cycles: at Python's default of 700 the collections cost a twentieth of all time.
GC_THRESHOLD = 20_000
#: Open files that a process asks for, where the system allows it: each client is one, and the usual limit is 1,024.
MOST_FILES = 65_536


def main() -> None:
    """Run until SIGTERM or SIGINT; exit 0 then, 2 where a person has to change something first."""
    read_arguments("replog-api", "Answers the query API from the store.", ApiSettings)
    settings = load_or_exit(ApiSettings)
    allow_many_clients()
    try:
        check_exposure(settings)
        check_extra(settings)
        _proxies()
        # Clients that connect from now on are answered, also where the process is stopped before it serves.
        hold_signals()
        check_store(settings)
        listener = _listen(settings)
    except FatalError as error:
        print(error, file=sys.stderr)  # noqa: T201 - logging is not configured yet
        raise SystemExit(error.exit_code) from None
    serve(settings, listener)


def check_exposure(settings: ApiSettings) -> None:
    """Refuse to serve unauthenticated clients beyond loopback by accident.

    Raises:
        SettingsError: the service would listen beyond loopback, without tokens and without being set insecure.
    """
    if not (settings.api_tokens or settings.api_insecure or is_loopback(settings.api_host)):
        raise SettingsError(
            f"REPLOG_API_HOST={settings.api_host} is beyond loopback and nobody is authenticated; "
            "allowed: a loopback address, or REPLOG_API_INSECURE=1 or REPLOG_API_TOKENS beside it"
        )


def check_store(settings: ApiSettings) -> None:
    """Refuse a store that this version cannot read. One that does not answer in time is none: it may come later.

    Raises:
        StoreIncompatible: Redis is too old, or its store has another layout.
    """
    # Not asyncio.run: that waits for a thread that asks a name server which does not answer.
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(_check_store(settings))
    finally:
        loop.close()


async def _check_store(settings: ApiSettings) -> None:
    with suppress(RecoverableError, TimeoutError):
        async with (
            asyncio.timeout(STORE_TIMEOUT_S),
            Connection(settings, timeout_s=STORE_TIMEOUT_S, rights=QUERY_SERVICE, pool_size=1) as connection,
        ):
            await connection.check_compatible()


def allow_many_clients() -> None:
    """Raise the limit of open files as far as this process may need, and the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def _listen(settings: ApiSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET
    try:
        return socket.create_server((settings.api_host, settings.api_port), family=family, backlog=2048)
    except OSError as error:
        raise SettingsError(
            f"REPLOG_API_HOST={settings.api_host} REPLOG_API_PORT={settings.api_port}: cannot listen there ({error}); "
            "allowed: an address of this machine and a free port"
        ) from None


def serve(settings: ApiSettings, listener: socket.socket) -> NoReturn:
    """Start up, answer requests until a signal to stop, and end the process."""
    _start_up(settings, listener)
    if settings.api_workers == 1:
        _answer_requests(settings, listener)
    else:
        _supervise_workers(settings, listener)
    logger().info("stopped")
    _end()


def _start_up(settings: ApiSettings, listener: socket.socket) -> None:
    configure_logs(settings, service="api")
    report_environment()
    host, port = listener.getsockname()[:2]
    logger().info("started", api=f"http://{host}:{port}", redis=mask_url(settings.redis_url))
    # For signals that arrive while nothing serves yet, or any more.
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)


def _supervise_workers(settings: ApiSettings, listener: socket.socket) -> None:
    with tempfile.TemporaryDirectory(prefix="replog-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        Supervisor(work, settings.api_workers, listener, drain_s=settings.api_drain_s).run()


def work(listener: socket.socket, stops: Pipe) -> NoReturn:
    """Run one of several worker processes, which reads its settings from the environment; ``stops`` as of Server."""
    # Terminals and systemd send them to all processes. The supervisor alone knows whether all are to stop: a worker
    # that stops by itself would close the listener for all.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    settings = load(ApiSettings)
    configure_logs(settings, service="api")
    _answer_requests(settings, listener, stops)
    _end()


def _answer_requests(settings: ApiSettings, listener: socket.socket, stops: Pipe | None = None) -> None:
    report = ServiceReport(metrics.count_spans)
    with opened_tracer(settings, service="replog-api", report=report) as tracer:
        drain = Drain()
        app = create_app(settings, drain=drain, proxies=_proxies(), tracer=tracer)
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        limits = ConnectionLimits(finished_at_stop_s=finish_s(settings.api_drain_s))
        server = Server(configuration(app), drain, drain_s=settings.api_drain_s, limits=limits, stops=stops)
        server.run(sockets=[listener])


def _proxies() -> Proxies:
    return Proxies(parse_proxies(os.environ.get(FORWARDED_ALLOW_IPS, "")))


def _exit(*_: Any) -> None:
    logger().info("stopped")
    raise SystemExit(0)


def _end() -> NoReturn:
    """End the process without waiting for threads: one may hang in a name lookup."""
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
