"""Redis servers of the tests' own that speak TLS alone, also among themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.certificates import Authority

if TYPE_CHECKING:
    from pathlib import Path

#: A setting that only a Redis knows that was built with TLS.
_SETTING = b"tls-auth-clients"


class RedisTls:
    """What they are started with, and reached at; files are kept in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self._server = self.authority.issue("redis", "127.0.0.1", "localhost")

    def options(self, port: int) -> tuple[str, ...]:
        """Options of a server that listens at ``port``."""
        return (
            *("--port", "0", "--tls-port", str(port)),
            *("--tls-cert-file", str(self._server.chain), "--tls-key-file", str(self._server.key)),
            *("--tls-ca-cert-file", str(self.authority.file), "--tls-auth-clients", "no"),
            *("--tls-replication", "yes"),
        )

    def url_of(self, place: str, scheme: str = "rediss") -> str:
        """A URL that trusts them; ``place`` is what follows the scheme."""
        return f"{scheme}://{place}?ssl_ca_certs={self.authority.file}"


def has_tls(binary: Path) -> bool:
    """Whether a Redis was built with TLS."""
    return _SETTING in binary.read_bytes()
