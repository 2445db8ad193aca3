"""Every message of the API, in both languages. Values are shown as they came, cut where they are long. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog_api.http.languages import Text

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Longest value that a message shows whole, in characters.
SHOWN = 128


def missing(parameter: str) -> Text:
    """A required parameter is absent or empty."""
    return Text(f"{parameter} is missing", f"缺少参数 {parameter}")


def out_of_range(parameter: str, value: str, least: int, most: int) -> Text:
    """A parameter is not an integer between two bounds."""
    return Text(
        f"{parameter} is {_shown(value)}; allowed: an integer from {least} to {most}",
        f"参数 {parameter} 的值 {_shown(value)} 无效；允许：{least} 到 {most} 的整数",
    )


def none_of(parameter: str, value: str, allowed: Iterable[str]) -> Text:
    """A parameter is none of the allowed words."""
    words = tuple(allowed)
    return Text(
        f"{parameter} is {_shown(value)}; allowed: {', '.join(words)}",
        f"参数 {parameter} 的值 {_shown(value)} 无效；允许：{'、'.join(words)}",
    )


def not_utf8(parameter: str) -> Text:
    """An id is not UTF-8."""
    return Text(f"{parameter} is not UTF-8", f"参数 {parameter} 不是 UTF-8 文本")


def too_long(parameter: str, length: int, most: int) -> Text:
    """An id has too many characters."""
    return Text(
        f"{parameter} has {length} characters; at most {most} are allowed",
        f"参数 {parameter} 有 {length} 个字符；最多允许 {most} 个",
    )


def too_many(parameter: str, count: int, most: int) -> Text:
    """A parameter is given too often."""
    return Text(
        f"{parameter} is given {count} times; at most {most} are allowed",
        f"参数 {parameter} 出现 {count} 次；最多允许 {most} 次",
    )


def too_many_runs(parameter: str, last: int, keys: int, most: int) -> Text:
    """So many runs of so many tasks are more than are answered at once."""
    allowed = most // keys
    return Text(
        f"{parameter} is {last} and there are {keys} keys; allowed with as many: an integer from 1 to {allowed}",
        f"参数 {parameter} 的值为 {last}，且有 {keys} 个 key；key 数量如此时允许：1 到 {allowed} 的整数",
    )


def control_character(parameter: str) -> Text:
    """An id has a control character."""
    return Text(f"{parameter} contains a control character", f"参数 {parameter} 含有控制字符")


def unknown_record(record_id: str) -> Text:
    """A record is unknown."""
    return Text(f"no record with the id {record_id} is known", f"未找到 id 为 {record_id} 的执行记录")


def unknown_url(path: str) -> Text:
    """Nothing answers at a path."""
    return Text(f"nothing is served at {path}", f"{path} 不存在")


def wrong_method(method: str, allowed: str) -> Text:
    """Only other methods are answered: ``allowed``, as in the header ``Allow``."""
    return Text(f"{method} is not allowed here; allowed: {allowed}", f"此处不允许 {method}；允许：{allowed}")


def misdirected(host: str) -> Text:
    """A request without authentication was meant for another host."""
    return Text(
        f"header Host is {_shown(host)}; allowed, as this service has no tokens: localhost, a loopback address or "
        "REPLOG_API_HOST",
        f"请求头 Host 的值为 {_shown(host)}；此服务未启用令牌，仅允许：localhost、回环地址或 REPLOG_API_HOST",
    )


def forbidden(parameter: str, value: str) -> Text:
    """A token is limited to other tasks. It does not learn whether this one exists."""
    return Text(
        f"{parameter} is {_shown(value)}; the token may read nothing of that name, or there is nothing",
        f"参数 {parameter} 的值为 {_shown(value)}；此令牌无权读取，或其不存在",
    )


NO_TOKEN = Text("a token is needed: Authorization: Bearer ...", "需要令牌：Authorization: Bearer ...")
WRONG_TOKEN = Text("the token is not known", "令牌无效")
TOO_MANY_REQUESTS = Text("too many requests; see Retry-After", "请求过多；请按 Retry-After 稍后重试")
TOO_MANY_WAITING_CLIENTS = Text(
    "too many clients wait for changes already; see Retry-After", "等待变更的客户端过多；请按 Retry-After 稍后重试"
)
TOO_MANY_WAITING_OF_ONE_CLIENT = Text(
    "too many streams and long polls of this client are open already; see Retry-After",
    "此客户端的流式和长轮询连接过多；请按 Retry-After 稍后重试",
)
INVALID_REQUEST = Text("the request is not valid HTTP", "请求不是有效的 HTTP")
URL_TOO_LONG = Text("the URL is longer than 32768 bytes", "URL 超过 32768 字节")
HEADERS_TOO_LARGE = Text("the headers have more than 32768 bytes", "请求头超过 32768 字节")
STORE_UNAVAILABLE = Text("the store does not answer; try again", "存储暂时无响应，请稍后重试")
BUSY = Text("too many such questions are being answered; see Retry-After", "此类请求过多，请按 Retry-After 稍后重试")
UNEXPECTED = Text(
    "something unexpected went wrong; the service's log knows the trace id",
    "服务内部错误；请凭 traceId 查询服务日志",
)


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
