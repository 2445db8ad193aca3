"""``replog-collector``: one collector, in the foreground."""

from __future__ import annotations

import asyncio
import gc
import sys

import uvloop

from replog.errors import FatalError
from replog.log_configuration import configure_logs
from replog.settings import CollectorSettings, load_or_exit, read_arguments, report_environment
from replog.tracing.opening import opened_tracer
from replog.tracing.reports import ServiceReport
from replog_collector import metrics
from replog_collector.process import CollectorProcess

#: Allocations between two collections of the youngest generation. A batch makes tens of thousands of objects, none of
#: them in cycles: at Python's default of 700 the collections cost a tenth of all time.
GC_THRESHOLD = 50_000


def main() -> None:
    """Run until SIGTERM or SIGINT; exit 0 then, 2 or 3 where a person has to change something first."""
    read_arguments("replog-collector", "Folds the events of a Kafka topic into the store.", CollectorSettings)
    settings = load_or_exit(CollectorSettings)
    configure_logs(settings, service="collector")
    report_environment()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    except FatalError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one line that the operator's contract asks for
        raise SystemExit(error.exit_code) from None


async def serve(settings: CollectorSettings) -> None:
    """Run one collector process. Raises FatalError where a person has to change something."""
    report = ServiceReport(metrics.count_spans)
    with opened_tracer(settings, service="replog-collector", report=report) as tracer:
        # After all imports, those of tracing included.
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        await CollectorProcess(settings, tracer).run()


if __name__ == "__main__":
    main()
