"""The images of deploy/Dockerfile: built for real, and run as an orchestrator runs them.

They are built by buildah on a base of Debian packages, because not every machine can pull an image. They run on a
read-only root, as the image's user, in namespaces of their own for files and processes, in this machine's network.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest

from tests.support.services.process import free_port, wait_until
from tests.support.tools import required

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
VARIABLE = "REPLOG_TEST_IMAGES"
PACKAGES = "python3,python3-venv,python3-pip,python-is-python3,ca-certificates"
BASE = "localhost/base:test"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
DEADLINE_S = 60.0


class Image(NamedTuple):
    """A built image: its root file system, its configuration, and how many bytes it adds to its base."""

    root: Path
    configuration: dict[str, object]
    added: int


class Buildah:
    """buildah with a storage of its own."""

    def __init__(self, binary: str, folder: Path) -> None:
        self._command = [binary, "--root", str(folder / "root"), "--runroot", str(folder / "run")]
        self._environment = os.environ | {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}

    def __call__(self, verb: str, *arguments: str) -> str:
        """Run a verb; returns what it prints."""
        ended = subprocess.run(
            [*self._command, verb, *arguments], env=self._environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, f"buildah {verb}: {ended.stderr[-2000:]}"
        return ended.stdout.strip()


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    """With a base image in it: a minimal Debian with Python."""
    binary, mmdebstrap = required("buildah", VARIABLE), required("mmdebstrap", VARIABLE)
    if os.geteuid() != 0:
        pytest.skip("only root may make a root file system")
    folder = tmp_path_factory.mktemp("images")
    archive = folder / "base.tar"
    subprocess.run(
        [mmdebstrap, "--mode=root", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(archive)],
        check=True,
        capture_output=True,
    )
    build = Buildah(binary, folder)
    container = build("from", "scratch")
    build("add", container, str(archive), "/")
    # Settings of this machine's network, which are none of the Dockerfile's.
    build("copy", container, str(AUTHORITIES), str(AUTHORITIES))
    build("config", "--env", "PIP_BREAK_SYSTEM_PACKAGES=1", "--env", "UV_SYSTEM_CERTS=1", container)
    build("commit", "--rm", container, BASE)
    try:
        yield build
    finally:
        build("rm", "--all")
        shutil.rmtree(folder)


@pytest.fixture(scope="module", params=["collector", "api", "cli"])
def image(request: pytest.FixtureRequest, buildah: Buildah) -> tuple[str, Image]:
    """One target, built."""
    target = str(request.param)
    name = f"localhost/{target}:test"
    buildah(
        "bud", "--pull=never", "--build-arg", f"BASE={BASE}", "--file", str(ROOT / "deploy/Dockerfile"),
        "--target", target, "--tag", name, str(ROOT),
    )  # fmt: skip
    inspected = json.loads(buildah("inspect", "--type", "image", name))["OCIv1"]
    root = Path(buildah("mount", buildah("from", "--pull=never", name)))
    files = (path for path in (root / "opt/replog").rglob("*") if path.is_file() and not path.is_symlink())
    return target, Image(root, inspected["config"], added=sum(path.lstat().st_size for path in files))


def started(image: Image, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """The image's entry point, on a read-only root, as the image's user."""
    configured = dict(pair.split("=", 1) for pair in image.configuration["Env"])  # type: ignore[attr-defined]
    entry = image.configuration["Entrypoint"]
    assert isinstance(entry, list)
    root = str(image.root)
    script = (
        'mount --bind "$0" "$0" && mount --bind -o remount,ro "$0" "$0" && mount -t proc proc "$0/proc" '
        '&& mount -t tmpfs tmpfs "$0/tmp" && mount --bind /dev "$0/dev" '
        '&& exec chroot --userspec="$1" "$0" "${@:2}"'
    )
    return subprocess.Popen(
        ["/usr/bin/unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", script, root,
         str(image.configuration["User"]), *entry, *arguments],
        env=configured | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_an_image_is_of_a_user_and_says_what_it_is(image: tuple[str, Image]) -> None:
    target, built = image
    # Shown by `pytest -s`.
    print(f"{target}: {built.added / 2**20:.0f} MiB on {BASE}")  # noqa: T201
    assert built.configuration["User"] == "10001:10001"
    labels = built.configuration["Labels"]
    assert isinstance(labels, dict)
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_an_image_runs_on_a_read_only_root(image: tuple[str, Image], redis_url: str, kafka_address: str) -> None:
    """A service answers, and ends in order on SIGTERM."""
    target, built = image
    port = str(free_port())
    environment = {
        "collector": {"REPLOG_COLLECTOR_PORT": port, "REPLOG_KAFKA_BOOTSTRAP_SERVERS": kafka_address},
        "api": {"REPLOG_API_PORT": port, "REPLOG_API_DRAIN_S": "0"},
        "cli": {},
    }[target]
    arguments = ["--help"] if target == "cli" else []
    process = started(built, *arguments, REPLOG_REDIS_URL=redis_url, **environment)
    try:
        if target != "cli":
            assert wait_until(lambda: is_alive(port) or process.poll() is not None, DEADLINE_S)
            os.kill(child_of(process), signal.SIGTERM)
        told, _ = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
    assert ("Execution records" if target == "cli" else '"event": "stopped"') in told, told
    assert process.returncode == 0


def child_of(process: subprocess.Popen[str]) -> int:
    """The process in the namespaces: `unshare` passes no signals on."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii"))


def is_alive(port: str) -> bool:
    """Whether `/livez` says so."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/livez", timeout=1).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
