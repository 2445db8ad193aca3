"""URLs of Redis: parsing, checking and masking.

::

    redis://[user:password@]host:port/0        one server; rediss:// with TLS, unix:// over a socket
    redis+sentinel://host:port,.../NAME/0      the master that these Sentinels call NAME
    redis+cluster://host:port,...              a cluster, found through these nodes

``rediss+sentinel`` and ``rediss+cluster`` are the same with TLS. User and password are those of the servers that hold
data. Credentials for the Sentinels themselves are the options ``sentinel_username`` and ``sentinel_password``.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field, replace
from typing import Literal, NoReturn, TypeAlias
from urllib.parse import parse_qsl, unquote, unquote_plus, urlencode, urlsplit

Topology: TypeAlias = Literal["standalone", "sentinel", "cluster"]
#: Host and port.
Address: TypeAlias = tuple[str, int]

#: Schemes that a URL may have.
SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
#: Options that a URL may have after its ``?``. Timeouts are not among them: the processes set these.
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
TLS_OPTIONS = ("ssl_cert_reqs", *FILES)
SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")
OPTIONS = ("db", "username", "password", *TLS_OPTIONS, *SENTINEL_OPTIONS)
CERT_REQS = ("none", "optional", "required")

ALLOWED = (
    "a URL that starts with redis://, rediss:// or unix://, or is redis+sentinel://host:port,.../NAME/0 or "
    "redis+cluster://host:port,... (rediss+ with TLS), with numbers for port and database, and of the options "
    + ", ".join(OPTIONS)
)

_DEFAULT_PORTS: dict[Topology, int] = {"standalone": 6379, "sentinel": 26379, "cluster": 6379}
_LAST_PORT = 65535
_AUTHORITY = re.compile(r"(?<=://)[^/?#]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"[^\s:,@\[\]]*|\[[^\s,@\[\]]*\]")

_SCHEME = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?")
_USER = re.compile(r"[^:/?#@&=]*")
_NOT_SECRET = frozenset(OPTIONS) - {"password", "sentinel_password"}
_SECRET = re.compile(r"pass|pwd|secret|token|auth|cred|key", re.IGNORECASE)
MASK = "***"


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """The parts of a URL."""

    topology: Topology
    #: URL of one server for the driver, with credentials, database and options.
    server: str = field(repr=False)
    #: Sentinels, or the first nodes of the cluster to contact.
    addresses: tuple[Address, ...] = ()
    #: Name of the master at the Sentinels.
    name: str = ""
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    #: All passwords in the URL, decoded. No message may show them.
    secrets: tuple[str, ...] = field(default=(), repr=False)
    #: Option and path of each file that the options name.
    files: tuple[tuple[str, str], ...] = ()


class _NotAllowedError(ValueError):
    """A URL is not allowed; the text says what is allowed, and quotes nothing of the URL."""


def parse(url: str) -> RedisUrl:
    """Parse ``url``.

    Raises:
        ValueError: the URL cannot be used; the text says what is allowed.
    """
    try:
        return _parse(url)
    except _NotAllowedError:
        raise
    except ValueError:
        _refuse()


def _parse(url: str) -> RedisUrl:
    authority = _authority(url)
    user_info, at, servers = authority.rpartition("@")
    # Some Python versions reject a list of hosts in which a host other than the first is in brackets.
    parts = urlsplit(url.replace(authority, "", 1) if "," in servers else url)
    _require(parts.scheme in SCHEMES and url.lower().startswith(f"{parts.scheme}://"))
    _require("#" not in url and not _CONTROL.search(url))
    scheme, _, kind = parts.scheme.partition("+")
    topology: Topology = "sentinel" if kind == "sentinel" else "cluster" if kind else "standalone"
    options = _options(parts.query)
    _check_options(options, topology, encrypted=scheme == "rediss")
    _check_credentials(user_info, options)
    password = unquote(user_info.partition(":")[2])
    secrets = (password, options.get("password", ""), options.get("sentinel_password", ""))
    files = tuple((name, options[name]) for name in FILES if name in options)
    known = RedisUrl(topology, url, secrets=tuple(filter(None, secrets)), files=files)
    if topology == "standalone":
        _check_server(scheme, servers, parts.path, parts.port)
        return known

    addresses = tuple(_address(server, _DEFAULT_PORTS[topology]) for server in servers.split(","))
    name, database = _place(topology, parts.path)
    own = [options.pop(option, None) for option in SENTINEL_OPTIONS]
    server = f"{scheme}://{user_info}{at}{servers.split(',')[0]}/{database}?{urlencode(options)}"
    return replace(
        known, server=server, addresses=addresses, name=name, sentinel_username=own[0], sentinel_password=own[1]
    )


def _authority(url: str) -> str:
    found = _AUTHORITY.search(url)
    return found[0] if found else ""


def _options(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    # The message must not quote an unknown name: it may be a part of a password.
    _require(options.keys() <= set(OPTIONS))
    _require(len(pairs) == len(options), "each option once")
    _require(all(options.values()), "options with a value")
    return options


def _check_options(options: dict[str, str], topology: Topology, *, encrypted: bool) -> None:
    for name in options:
        _require(
            topology == "sentinel" or name not in SENTINEL_OPTIONS,
            f"{name} with redis+sentinel:// or rediss+sentinel://",
        )
        _require(
            encrypted or name not in TLS_OPTIONS,
            f"{name} with TLS: rediss://, rediss+sentinel:// or rediss+cluster://",
        )
    _require(topology != "cluster" or "db" not in options, "no db with a cluster, which has one database")
    _require(_is_number(options.get("db", "0")), "a number as db")
    _require(options.get("ssl_cert_reqs", "none") in CERT_REQS, f"ssl_cert_reqs of {', '.join(CERT_REQS)}")
    _require("ssl_keyfile" not in options or "ssl_certfile" in options, "ssl_keyfile beside ssl_certfile")


def _check_credentials(user_info: str, options: dict[str, str]) -> None:
    user, _, password = user_info.partition(":")
    twice = (user and "username" in options) or (password and "password" in options)
    _require(not twice, "user and password once: before the host, or as options")


def _check_server(scheme: str, servers: str, path: str, port: int | None) -> None:
    if scheme == "unix":
        _require(not servers and path.strip("/") != "", "unix:///path/of/the/socket")
        return
    host = servers if servers.endswith("]") else servers.rpartition(":")[0] or servers.partition(":")[0]
    _require(_HOST.fullmatch(host) is not None and _is_number(path.strip("/") or "0"))
    _require(port is None or 0 < port <= _LAST_PORT)


def _place(topology: Topology, path: str) -> tuple[str, int]:
    """Name of the master and number of the database; empty and 0 for a cluster."""
    name, _, database = path.strip("/").partition("/") if topology == "sentinel" else ("", "", path.strip("/"))
    _require((topology == "sentinel") == bool(name) and _is_number(database or "0"))
    _require(topology == "sentinel" or int(database or 0) == 0, "database 0 of a cluster, which has no other")
    return name, int(database or 0)


def _address(server: str, default_port: int) -> Address:
    parts = urlsplit(f"//{server}")
    port = default_port if parts.port is None else parts.port
    _require(bool(parts.hostname) and parts.netloc == server and 0 < port <= _LAST_PORT)
    return str(parts.hostname), port


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _require(condition: bool, allowed: str = ALLOWED) -> None:  # noqa: FBT001 - reads as a sentence
    if not condition:
        _refuse(allowed)


def _refuse(allowed: str = ALLOWED) -> NoReturn:
    raise _NotAllowedError(allowed) from None


def check_files(url: RedisUrl) -> None:
    """Load the certificates and keys that ``url`` names, as a connection will.

    Raises:
        ValueError: one cannot be used; the text says which.
    """
    files = dict(url.files)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if "ssl_ca_certs" in files:
            context.load_verify_locations(cafile=files["ssl_ca_certs"])
        if "ssl_certfile" in files:
            # Without this argument, OpenSSL would prompt for a password on the terminal.
            context.load_cert_chain(files["ssl_certfile"], files.get("ssl_keyfile"), password="")
    except OSError as error:
        named = ", ".join(f"{name}={path}" for name, path in files.items())
        raise ValueError(f"readable PEM files; {named} cannot be used ({error.strerror or error})") from None


def masked(url: str) -> str:
    """``url`` with its passwords masked; in an invalid URL, everything that may be part of a password is masked."""
    try:
        parse(url)
    except ValueError:
        return _masked_text(url)
    authority = _authority(url)
    user_info, at, servers = authority.rpartition("@")
    user, colon, _ = user_info.partition(":")
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{user}{colon and f':{MASK}'}{at}{servers}{_masked_rest(rest[len(authority) :])}"


def _masked_text(text: str) -> str:
    scheme = _SCHEME.match(text)
    head = scheme[0] if scheme else ""
    rest = text[len(head) :]
    before, at, after = rest.rpartition("@")
    if not at:
        return head + _masked_without_user(rest)
    found = _USER.match(before)
    user = found[0] if found else ""
    if re.search("[?#]", before):
        # The text after this @ may belong to a password in an option.
        return f"{head}{user}:{MASK}"
    return f"{head}{user}{'' if user == before else f':{MASK}'}@{_masked_rest(after)}"


def _masked_without_user(rest: str) -> str:
    """``rest`` with a password masked whose host was forgotten, so that it is in the place of a port."""
    end = re.search("[/?#]", rest)
    authority, tail = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    for server in authority.split(","):
        host, colon, port = server.rpartition(":")
        if colon and not (host and (not port or (_is_number(port) and int(port) <= _LAST_PORT))):
            return f"{authority.partition(':')[0]}:{MASK}"
    return authority + _masked_rest(tail)


def _masked_rest(text: str) -> str:
    """Path, query and fragment with secrets masked."""
    text, sharp, _ = text.partition("#")
    path, mark, query = text.partition("?")
    return f"{path}{mark}{_masked_query(query)}{sharp and f'#{MASK}'}"


def _masked_query(query: str) -> str:
    shown, in_secret = [], False
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        plain = unquote_plus(name).lower()
        if plain in _NOT_SECRET and "@" not in value and not _SECRET.search(unquote_plus(value)):
            shown.append(part)
        elif _SECRET.search(plain) or plain in _NOT_SECRET:
            in_secret = True
            shown.append(f"{name}={MASK}")
        else:
            # After a password, an unknown option may be the rest of that password.
            shown.append(part if equals and not in_secret else part and MASK)
    return "&".join(shown)
