"""Errors in the document: the error table, with an example of each message in both languages. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from replog_api.admission.limits import MAX_HEADER_BYTES, MAX_URL_BYTES
from replog_api.contracts.openapi.examples import enveloped
from replog_api.contracts.openapi.headers import references
from replog_api.http import errors, messages
from replog_api.http.languages import CHINESE, ENGLISH, Text
from replog_api.http.query_values import (
    FORMATS,
    GROUPINGS,
    MAX_PAGE_NUMBER,
    MAX_REASONS,
    MAX_RUNS,
    RECORD_ID,
    TASK_KEY,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog_api.http.errors import Problem


class Error(NamedTuple):
    """A line of the error table. ``messages`` are examples; ``headers`` come beside those of every error."""

    name: str
    problem: Problem
    when: Text
    messages: tuple[Text, ...]
    headers: tuple[str, ...] = ()


MISSING = Error(
    "MissingParameter",
    errors.MISSING_PARAMETER,
    Text("a required parameter is missing or empty", "缺少必需的参数，或其为空"),
    (messages.missing("pageNumber"),),
)
INVALID_ID = Error(
    "InvalidParameter",
    errors.INVALID_PARAMETER,
    Text(
        "an id is longer than 128 characters, has a control character or is no UTF-8",
        "id 超过 128 个字符、含有控制字符或不是 UTF-8",
    ),
    (messages.too_long("key", 129, 128),),
)
INVALID_PAGE = Error(
    "InvalidParameter",
    errors.INVALID_PARAMETER,
    Text(
        "a parameter is no integer, out of range or an unknown status; an id is longer than 128 characters, has a "
        "control character or is no UTF-8",
        "参数不是整数、超出范围或状态未知；id 超过 128 个字符、含有控制字符或不是 UTF-8",
    ),
    (
        messages.out_of_range("pageNumber", "-1", 0, MAX_PAGE_NUMBER),
        messages.none_of("status", "PAUSED", ("RUNNING", "SUCCESS", "FAILED")),
    ),
)
INVALID_RUNS = Error(
    "InvalidParameter",
    errors.INVALID_PARAMETER,
    Text(
        f"last is no integer or out of range, or there are more than {MAX_RUNS:,} keys times last; a key is longer "
        "than 128 characters, has a control character or is no UTF-8",
        f"last 不是整数或超出范围，或 key 的个数与 last 之积超过 {MAX_RUNS:,}；"
        "key 超过 128 个字符、含有控制字符或不是 UTF-8",
    ),
    (messages.too_many_runs("last", 20, 150, MAX_RUNS),),
)
INVALID_GROUPING = Error(
    "InvalidParameter",
    errors.INVALID_PARAMETER,
    Text(
        "a parameter is none of its words; an id is longer than 128 characters, has a control character or is no UTF-8",
        "参数不是所允许的值之一；id 超过 128 个字符、含有控制字符或不是 UTF-8",
    ),
    (messages.none_of("by", "task", GROUPINGS),),
)
INVALID_FILTER = INVALID_GROUPING._replace(messages=(messages.none_of("format", "xlsx", FORMATS),))
INVALID_LIMIT = Error(
    "InvalidParameter",
    errors.INVALID_PARAMETER,
    Text(
        "limit is no integer or out of range; an id is longer than 128 characters, has a control character or is no "
        "UTF-8",
        "limit 不是整数或超出范围；id 超过 128 个字符、含有控制字符或不是 UTF-8",
    ),
    (messages.out_of_range("limit", "0", 1, MAX_REASONS),),
)
UNKNOWN_RECORD = Error(
    "UnknownRecord",
    errors.UNKNOWN_RECORD,
    Text("no such record is known", "未找到此执行日志"),
    (messages.unknown_record(RECORD_ID),),
)
UNAUTHENTICATED = Error(
    "Unauthenticated",
    errors.UNAUTHENTICATED,
    Text("no token, or an unknown one, where the service wants one", "服务要求令牌，而请求没有令牌或令牌无效"),
    (messages.NO_TOKEN, messages.WRONG_TOKEN),
    ("WWW-Authenticate",),
)
FORBIDDEN = Error(
    "Forbidden",
    errors.FORBIDDEN,
    Text("the token may not read this, or it does not exist", "令牌无权读取，或其不存在"),
    (messages.forbidden("key", TASK_KEY),),
)
UNKNOWN_URL = Error(
    "UnknownUrl",
    errors.UNKNOWN_URL,
    Text(
        "nothing is served at this URL: an id is empty, or has a slash that is not written %2F",
        "此 URL 不存在：id 为空，或其中的斜杠没有写作 %2F",
    ),
    (messages.unknown_url("/replication/api/task/record/list/"),),
)
WRONG_METHOD = Error(
    "WrongMethod",
    errors.WRONG_METHOD,
    Text(
        "any method but GET, on any URL; HEAD is answered at /livez and /readyz alone",
        "除 GET 外的任何方法，适用于所有 URL；仅 /livez 和 /readyz 响应 HEAD",
    ),
    (messages.wrong_method("POST", "GET"),),
    ("Allow",),
)
URL_TOO_LONG = Error(
    "UrlTooLong",
    errors.URL_TOO_LONG,
    Text(f"the URL is longer than {MAX_URL_BYTES} bytes", f"URL 超过 {MAX_URL_BYTES} 字节"),
    (messages.URL_TOO_LONG,),
)
MISDIRECTED = Error(
    "Misdirected",
    errors.MISDIRECTED,
    Text(
        "the service has no tokens and listens on loopback, and Host names another host",
        "服务未启用令牌且仅监听回环地址，而请求头 Host 指向其他主机",
    ),
    (messages.misdirected("evil.example"),),
)
TOO_MANY_REQUESTS = Error(
    "TooManyRequests",
    errors.TOO_MANY_REQUESTS,
    Text("too many requests of this token or address", "此令牌或地址的请求过多"),
    (messages.TOO_MANY_REQUESTS,),
    ("Retry-After",),
)
HEADERS_TOO_LARGE = Error(
    "HeadersTooLarge",
    errors.HEADERS_TOO_LARGE,
    Text(
        f"the headers have more than {MAX_HEADER_BYTES} bytes (beyond 262144, the answer has none of those below)",
        f"请求头超过 {MAX_HEADER_BYTES} 字节（超过 262144 字节时，响应不含下列响应头）",
    ),
    (messages.HEADERS_TOO_LARGE,),
)
UNEXPECTED = Error(
    "Unexpected",
    errors.UNEXPECTED,
    Text("something unexpected; the service's log has the traceId", "服务内部错误；服务日志中有此 traceId"),
    (messages.UNEXPECTED,),
)
STORE_UNAVAILABLE = Error(
    "StoreUnavailable",
    errors.STORE_UNAVAILABLE,
    Text("the store does not answer in time", "存储未能及时响应"),
    (messages.STORE_UNAVAILABLE,),
    ("Retry-After",),
)
#: Errors of every query, whatever its parameters.
OF_EVERY_QUERY = (
    UNAUTHENTICATED,
    FORBIDDEN,
    URL_TOO_LONG,
    MISDIRECTED,
    TOO_MANY_REQUESTS,
    HEADERS_TOO_LARGE,
    UNEXPECTED,
    STORE_UNAVAILABLE,
)
#: The error table.
TABLE = (MISSING, INVALID_PAGE, UNKNOWN_RECORD, *OF_EVERY_QUERY, UNKNOWN_URL, WRONG_METHOD)
#: Those that several operations share.
SHARED = (*OF_EVERY_QUERY, UNKNOWN_URL, WRONG_METHOD)


def responses(errors: Sequence[Error]) -> dict[str, Any]:
    """The Response Objects of ``errors`` by status."""
    by_status: dict[int, list[Error]] = {}
    for error in errors:
        by_status.setdefault(error.problem.status, []).append(error)
    return {str(status): _response(together) for status, together in sorted(by_status.items())}


def _response(together: list[Error]) -> dict[str, Any]:
    (first, *others) = together
    if not others and first in SHARED:
        return {"$ref": f"#/components/responses/{first.name}"}
    return described(*together)


def described(*together: Error) -> dict[str, Any]:
    """Errors of one status as a Response Object."""
    codes = sorted({error.problem.code for error in together})
    texts = [Text(*(f"{language} ({error.problem.code})" for language in error.when)) for error in together]
    narrowed = {"properties": {"code": {"enum": codes}}}
    return {
        "description": Text(
            "; ".join([text.english for text in texts]), "；".join([text.chinese for text in texts])
        ).in_both(),
        "headers": references("Content-Language", *together[0].headers),
        "content": {
            "application/json": {
                "schema": {"allOf": [{"$ref": "#/components/schemas/Refusal"}, narrowed]},
                "examples": {name: example for error in together for name, example in _examples(error)},
            }
        },
    }


def _examples(error: Error) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for number, text in enumerate(error.messages, 1):
        for language in (ENGLISH, CHINESE):
            value = enveloped(None, code=error.problem.code, message=text.in_language(language))
            found.append((f"{error.name}{number}-{language}", {"value": value}))
    return found
