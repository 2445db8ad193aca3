"""``replog-api``: one query service, in the foreground."""

from __future__ import annotations

import argparse
import gc
import os
import resource
import signal
import socket
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from replog.errors import SettingsError
from replog.settings import ApiSettings, describe, load, load_or_exit, mask_url, report_environment
from replog.telemetry import configure_logs, logger
from replog_api.app import create_app
from replog_api.hosts import is_loopback
from replog_api.protocol import FINISHED_AT_STOP_S, BoundedProtocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp

#: How long answers in flight may take after SIGTERM, in seconds, before uvicorn cancels them: those whose clients are
#: slow were cut off before, for it reports what it cancels as errors of ours.
GRACE_S = int(FINISHED_AT_STOP_S) + 2
#: Objects made before the garbage collector looks at the young ones. A page makes hundreds, few of them in cycles: at
#: Python's 700 the looking costs a twentieth of all time, and the modules' own objects are looked at again and again.
GC_THRESHOLD = 20_000
#: Files that a process may have open, where the system lets it: each client is one, and the usual limit is 1,024.
MOST_FILES = 65_536


def main() -> None:
    """Run until SIGTERM or SIGINT; exit 0 then, 2 on a wrong setting."""
    argparse.ArgumentParser(
        prog="replog-api",
        description="Answers the query API from the store. Takes no arguments.",
        epilog="settings (environment variables, or a .env file):\n" + describe(ApiSettings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    settings = load_or_exit(ApiSettings)
    allow_many_clients()
    try:
        check_exposure(settings)
        listener = _listen(settings)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - logging is not configured yet
        raise SystemExit(2) from None
    _serve(settings, listener)


def check_exposure(settings: ApiSettings) -> None:
    """Refuse to answer strangers.

    Raises:
        SettingsError: the service would listen beyond loopback, and nobody said that this is meant.
    """
    if not (settings.api_tokens or settings.api_insecure or is_loopback(settings.api_host)):
        raise SettingsError(
            f"REPLOG_API_HOST={settings.api_host} is beyond loopback and nobody is authenticated; "
            "allowed: a loopback address, or REPLOG_API_INSECURE=1 or REPLOG_API_TOKENS beside it"
        )


def allow_many_clients() -> None:
    """Let this process have as many files open as it may need, where the system lets it."""
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


def _serve(settings: ApiSettings, listener: socket.socket) -> None:
    config = uvicorn.Config(
        "replog_api.main:worker_app",
        factory=True,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        workers=settings.api_workers,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    configure_logs(settings, service="api")
    report_environment()
    host, port = listener.getsockname()[:2]
    logger().info("started", api=f"http://{host}:{port}", redis=mask_url(settings.redis_url))
    # uvicorn raises the signal it stopped on once more; an orderly end is exit 0.
    signal.signal(signal.SIGTERM, _exit_in_order)
    signal.signal(signal.SIGINT, _exit_in_order)
    if settings.api_workers == 1:
        uvicorn.Server(config).run(sockets=[listener])
        return
    with tempfile.TemporaryDirectory(prefix="replog-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        Multiprocess(config, sockets=[listener]).run()
    logger().info("stopped")


def worker_app() -> ASGIApp:
    """The application of one worker process, which has only its environment to go by."""
    settings = load(ApiSettings)
    configure_logs(settings, service="api")
    app = create_app(settings)
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    return app


def _exit_in_order(*_: Any) -> None:
    logger().info("stopped")
    raise SystemExit(0)


if __name__ == "__main__":
    main()
