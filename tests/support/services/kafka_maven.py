"""A real broker from its jars: Maven brings them, Java runs them, `kafka-broker/pom.xml` names them.

The jars are kept under the checkout's `.cache/`, so that only the first run asks Maven.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import tempfile
import uuid
from pathlib import Path

from tests.support.services import PROBE_TIMEOUT_S, ServiceUnavailableError
from tests.support.services.kafka_admin import answers
from tests.support.services.kafka_settings import broker_properties
from tests.support.services.process import OwnProcess, free_port, run

PROJECT = Path(__file__).with_name("kafka-broker")
CACHE = Path(__file__).parents[3] / ".cache" / "kafka-broker"
#: Least Java that runs a broker of version 4.
JAVA_MAJOR = 17
#: How long all jars (60 MB) may take, once the repository is known to answer.
DOWNLOAD_TIMEOUT_S = 120.0
#: The same where this way was asked for by name.
PATIENT_TIMEOUT_S = 600.0
#: How long the broker may take until it answers.
START_TIMEOUT_S = 60.0
#: A small heap, and a start that is fast rather than a long run that is.
JAVA_OPTIONS = ("-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

_POM = (PROJECT / "pom.xml").read_text()


class MavenBroker(OwnProcess):
    """Apache Kafka in KRaft mode, with its data, settings and log in ``data_dir``."""

    kind = "maven"
    restartable = True

    def __init__(self, data_dir: Path, *, patient: bool = False, cluster_id: str | None = None) -> None:
        self.version = f"Apache Kafka {_kafka_version()}"
        self.address = f"127.0.0.1:{free_port()}"
        #: Where it is a controller, for others of its cluster.
        self.controller = f"127.0.0.1:{free_port()}"
        #: What it is set up with beside what every broker is; read when it is started first.
        self.more_properties: dict[str, str] = {}
        self._cluster_id = cluster_id or new_cluster_id()
        self._data_dir = data_dir
        self._properties = data_dir / "server.properties"
        super().__init__(data_dir / "broker.out")
        self._patient = patient

    def start(self) -> None:
        """Start it, and return once it takes requests; the first time, format its data folder."""
        _require_java()
        jars = _jars(patient=self._patient)
        if not self._properties.exists():
            self._format(jars)
        command = self._java(jars, "kafka.Kafka", str(self._properties))
        self._process.start(command, lambda: answers(self.address), START_TIMEOUT_S)

    def _format(self, jars: Path) -> None:
        properties = broker_properties(listeners=self.address, advertised=self.address, controller=self.controller) | {
            "log.dirs": str(self._data_dir / "data"),
            **self.more_properties,
        }
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        # An id may begin with a dash.
        tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={self._cluster_id}", "-c", str(self._properties)]
        run(self._java(jars, *tool), START_TIMEOUT_S if self._patient else PROBE_TIMEOUT_S)

    def _java(self, jars: Path, *words: str) -> list[str]:
        log_options = (
            f"-Dlog4j2.configurationFile={PROJECT / 'log4j2.xml'}",
            f"-Dbroker.log={self._data_dir / 'broker.log'}",
        )
        return ["java", *JAVA_OPTIONS, *log_options, "-cp", str(jars / "*"), *words]


def new_cluster_id() -> str:
    """An id that the nodes of one cluster share."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _kafka_version() -> str:
    return _property("kafka.version")


def _property(name: str) -> str:
    found = re.search(rf"<{re.escape(name)}>(.+)</", _POM)
    if found is None:
        raise ValueError(f"{PROJECT / 'pom.xml'} has no property {name}")
    return found[1]


def _require_java() -> None:
    if shutil.which("java") is None:
        raise ServiceUnavailableError("no java on PATH")
    shown = run(["java", "-version"], PROBE_TIMEOUT_S)
    found = re.search(r'version "(\d+)', shown)
    if found is None or int(found[1]) < JAVA_MAJOR:
        raise ServiceUnavailableError(f"Java {JAVA_MAJOR} or later is needed, found: {shown.splitlines()[0]}")


def _jars(*, patient: bool) -> Path:
    """The folder of the broker's jars, downloaded where this ``pom.xml`` is new."""
    folder = CACHE / hashlib.sha256(_POM.encode()).hexdigest()[:16]
    if not folder.exists():
        _require_maven(PATIENT_TIMEOUT_S if patient else PROBE_TIMEOUT_S)
        _download(folder, PATIENT_TIMEOUT_S if patient else DOWNLOAD_TIMEOUT_S)
    return folder


def _require_maven(timeout_s: float) -> None:
    if shutil.which("mvn") is None:
        raise ServiceUnavailableError("no mvn on PATH")
    artifact = f"org.apache.kafka:kafka_2.13:{_kafka_version()}:pom"
    run(_maven("dependency:get", "-Dtransitive=false", f"-Dartifact={artifact}"), timeout_s)


def _download(folder: Path, timeout_s: float) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as parent:
        jars = Path(parent) / "jars"
        run(
            _maven("dependency:copy-dependencies", f"-DoutputDirectory={jars}", "-DincludeScope=runtime"),
            timeout_s,
        )
        # In one step, so that a folder that exists is complete; another run may have been faster.
        if not folder.exists():
            jars.rename(folder)


def _maven(*words: str) -> list[str]:
    return ["mvn", "-B", "-q", "-f", str(PROJECT / "pom.xml"), *words]
