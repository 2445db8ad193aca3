"""Secrets in files: read by the loader of the settings, and again when the file changes."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from replog.errors import SettingsError
from replog.secret_files import Reloaded, read_secret
from replog.settings import (
    ApiSettings,
    ClientSettings,
    CollectorSettings,
    NotifySettings,
    StoreSettings,
    load,
    load_or_exit,
    secret,
    secrets_of,
    variable,
)
from replog.store.client.credentials import CurrentUrl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GROUPS = (ApiSettings, ClientSettings, CollectorSettings, NotifySettings)
#: Each secret of the operator's contract, with a value that it may have.
VALUES = {
    "kafka_sasl_password": "hunter2",
    "kafka_ssl_key_password": "hunter2",
    "kafka_sasl_oauthbearer_client_secret": "hunter2",
    "kafka_sasl_oauthbearer_token": "hunter2",
    "redis_url": "redis://user:hunter2@redis.example/0",
    "api_tokens": f"grafana:{sha256(b'hunter2').hexdigest()}",
    "api_token": "hunter2",
    "notify_secret": "hunter2",
}

each_secret = pytest.mark.parametrize("name", VALUES)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("REPLOG_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def group_of(name: str) -> Any:
    """A group that has the secret."""
    return next(group for group in GROUPS if name in group.model_fields)


def text_of(settings: Any, name: str) -> str:
    """The secret."""
    value = getattr(settings, name)
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def test_every_secret_may_be_in_a_file() -> None:
    """Whatever is masked, and the URL that has a password."""
    masked = {name for group in GROUPS for name, field in group.model_fields.items() if "SecretStr" in str(field)}
    assert masked | {"redis_url"} == VALUES.keys() == {name for group in GROUPS for name in secrets_of(group)}


@each_secret
@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
def test_a_file_holds_what_the_variable_would(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, ending: str
) -> None:
    """Without the newline that editors put at its end."""
    (tmp_path / "secret").write_bytes((VALUES[name] + ending).encode())
    monkeypatch.setenv(variable(f"{name}_file"), str(tmp_path / "secret"))
    assert text_of(load(group_of(name)), name) == VALUES[name]


@each_secret
def test_a_secret_in_two_places_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Nobody could tell which of the two is used."""
    (tmp_path / "secret").write_text(VALUES[name])
    # One of them may be in the file of variables.
    (tmp_path / ".env").write_text(f"{variable(name)}={VALUES[name]}\n")
    monkeypatch.setenv(variable(f"{name}_file"), str(tmp_path / "secret"))
    with pytest.raises(SystemExit) as exited:
        load_or_exit(group_of(name))
    assert exited.value.code == 2
    both = f"{variable(name)} and {variable(f'{name}_file')}"
    assert capsys.readouterr().err == f"{both} are both set; allowed: one of them\n"


@each_secret
@pytest.mark.parametrize(
    "wrong",
    [(None, "cannot be read (No such file or directory)"), (b"\n", "is empty"), (b"\xff", "is not UTF-8")],
    ids=["absent", "empty", "binary"],
)
def test_a_file_that_cannot_be_read_ends_the_process(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    wrong: tuple[bytes | None, str],
) -> None:
    """One line names the variable, the file and what is wrong."""
    file = tmp_path / "secret"
    content, reason = wrong
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv(variable(f"{name}_file"), str(file))
    with pytest.raises(SystemExit) as exited:
        load_or_exit(group_of(name))
    assert exited.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith(f"{variable(f'{name}_file')}={file} {reason}; allowed: ")
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "wrong"), [("redis_url", "http://user:hunter2@h"), ("api_tokens", "x"), ("api_token", "hunter2 x")]
)
def test_a_wrong_value_in_a_file_is_told_with_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, wrong: str
) -> None:
    """And without the secret."""
    (tmp_path / "secret").write_text(wrong)
    monkeypatch.setenv(variable(f"{name}_file"), str(tmp_path / "secret"))
    with pytest.raises(SettingsError) as refused:
        load(group_of(name))
    line = str(refused.value)
    assert line.startswith(f"{variable(f'{name}_file')}={tmp_path / 'secret'} holds a wrong value, ")
    assert "; allowed: " in line
    assert "hunter2" not in line


def test_an_override_wins_over_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it wins over the variable."""
    monkeypatch.setenv("REPLOG_REDIS_URL_FILE", "/nowhere")
    settings = load(StoreSettings, redis_url="redis://h")
    assert (settings.redis_url, settings.redis_url_file) == ("redis://h", None)


def test_a_file_has_one_token_a_line(tmp_path: Path) -> None:
    """Blank lines do not count, and commas separate tokens there, too."""
    digest = "0" * 64
    file = tmp_path / "tokens"
    file.write_text(f"a:{digest}\n\r\nb:{digest[:-1]}1:team/\r\nc:{digest[:-1]}2,d:{digest[:-1]}3\n")
    tokens = load(ApiSettings, api_tokens_file=file).tokens
    assert [(token.name, token.prefix) for token in tokens] == [("a", ""), ("b", "team/"), ("c", ""), ("d", "")]


def swap_link(folder: Path, text: str) -> None:
    """Change the secret as Kubernetes does: in a new folder, which one symbolic link is moved to."""
    new = folder / f"..{len(list(folder.iterdir()))}"
    new.mkdir()
    (new / "secret").write_text(text)
    (folder / "..new").symlink_to(new.name)
    (folder / "..new").rename(folder / "..data")


def replace_file(folder: Path, text: str) -> None:
    """Change it as `mv` does."""
    (folder / "new").write_text(text)
    (folder / "new").rename(folder / "secret")


def write_file(folder: Path, text: str) -> None:
    """Change it in its place."""
    (folder / "secret").write_text(text)


def linked(folder: Path) -> Path:
    """A secret as Kubernetes mounts it."""
    swap_link(folder, "one")
    (folder / "secret").symlink_to("..data/secret")
    return folder / "secret"


@pytest.mark.parametrize("change", [swap_link, replace_file, write_file])
def test_a_file_is_read_again_when_it_changes(tmp_path: Path, change: Callable[[Path, str], None]) -> None:
    """However that is done; and not while it does not change."""
    file = linked(tmp_path) if change is swap_link else tmp_path / "secret"
    file.write_text("one")
    read: list[str] = []

    def make() -> str:
        read.append(read_secret(file))
        return read[-1]

    reloaded = Reloaded([file], make)
    assert [reloaded.value for _ in range(3)] == ["one"] * 3
    change(tmp_path, "another")
    with capture_logs() as lines:
        assert [reloaded.value for _ in range(3)] == ["another"] * 3
    assert read == ["one", "another"]
    assert lines == [{"event": "secret_reloaded", "log_level": "info", "files": [str(file)]}]


def test_a_file_that_became_unusable_leaves_the_secret_as_it_is(tmp_path: Path) -> None:
    """It is told once for each change, and what comes then is used."""
    file = tmp_path / "secret"
    file.write_text("1")
    reloaded = Reloaded([file], lambda: int(read_secret(file)))
    for change in (file.unlink, lambda: file.write_text("hunter2!"), lambda: file.write_bytes(b"")):
        change()
        with capture_logs() as lines:
            assert [reloaded.value for _ in range(3)] == [1] * 3
        assert [line["event"] for line in lines] == ["secret_unreadable"]
    file.write_text("22")
    assert reloaded.value == 22


def test_a_secret_that_is_not_set_is_none() -> None:
    """And one of a variable does not change."""
    assert secret(load(CollectorSettings), "kafka_sasl_password", str) is None
    given = secret(load(CollectorSettings, kafka_sasl_password="x"), "kafka_sasl_password", str)
    assert given is not None
    assert given.value == "x"


async def test_new_connections_to_redis_have_the_credentials_of_the_moment(tmp_path: Path) -> None:
    """Those of the servers, and those of the Sentinels."""
    file = tmp_path / "url"

    def write(user: str, sentinel: str) -> None:
        file.write_text(f"redis+sentinel://{user}@s:1/main/0?sentinel_password={sentinel}\n")

    write("app:one", "first")
    url = CurrentUrl(load(StoreSettings, redis_url_file=file))
    servers = url.server_options()["credential_provider"]
    sentinels = url.sentinel_options()["credential_provider"]
    assert await servers.get_credentials_async() == ("app", "one")
    assert await sentinels.get_credentials_async() == ("first",)
    write("app:other", "second")
    assert await servers.get_credentials_async() == ("app", "other")
    assert await sentinels.get_credentials_async() == ("second",)
    assert {"one", "other", "first", "second"} <= set(url.secrets)


async def test_another_server_in_the_file_of_the_url_is_not_taken_for_new_credentials(tmp_path: Path) -> None:
    """Calls would go on to the old one, with the password of the new one."""
    file = tmp_path / "url"
    file.write_text("redis://app:one@here:1/0")
    provider = CurrentUrl(load(StoreSettings, redis_url_file=file)).server_options()["credential_provider"]
    file.write_text("redis://app:hunter2@there:1/0")
    with capture_logs() as lines:
        assert await provider.get_credentials_async() == ("app", "one")
    assert [line["event"] for line in lines] == ["secret_unreadable"]
    assert "restart" in lines[0]["error"]
    assert "hunter2" not in str(lines)
