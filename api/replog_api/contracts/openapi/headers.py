"""Headers of answers in the document. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from replog_api.admission.limits import MAX_LINK_BYTES
from replog_api.contracts.openapi.examples import ETAG
from replog_api.http.languages import Text
from replog_api.http.query_values import RECORD_ID, TASK_KEY
from replog_api.middleware import SECURITY_HEADERS

_PAGE = f"</replication/api/task/record/page/{TASK_KEY}?pageSize=20&pageNumber="


class Header(NamedTuple):
    """A header of the answers that name it. They always have it where it is ``required``."""

    text: Text
    schema: dict[str, Any]
    example: Any
    required: bool = True

    def described(self) -> dict[str, Any]:
        """As a Header Object."""
        return {
            "description": self.text.in_both(),
            "required": self.required,
            "schema": self.schema,
            "example": self.example,
        }


def _always(english: str, chinese: str, value: str) -> Header:
    return Header(Text(english, chinese), {"type": "string", "const": value}, value)


_SECURITY = {
    "x-content-type-options": ("X-Content-Type-Options", "browsers are not to guess the type", "浏览器不得猜测类型"),
    "content-security-policy": ("Content-Security-Policy", "nothing here is to run", "不得执行其中内容"),
    "referrer-policy": ("Referrer-Policy", "browsers tell nobody the address", "浏览器不得透露地址"),
}

HEADERS: dict[str, Header] = {
    "X-BKREPO-Time-Zone": Header(
        Text("zone of the times in the answer, as its offset now", "响应中时间的时区，以当前偏移量表示"),
        {"type": "string", "pattern": r"^[+-]\d{4}$"},
        "+0800",
    ),
    "X-Replog-As-Of": Header(
        Text(
            "up to when events had been applied, in UTC; in an error, the last time that the service knew",
            "已应用的事件截至何时（UTC）；错误响应中为服务最后得知的时间",
        ),
        {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"},
        "2026-01-02T03:04:05.678Z",
    ),
    "ETag": Header(
        Text("tag of the answer, for If-None-Match", "响应的标签，用于 If-None-Match"),
        {"type": "string", "pattern": '^W/"[!#-~]+"$'},
        ETAG,
    ),
    "X-Total-Count": Header(
        Text("rows on all pages, as totalRecords", "所有页的总行数，同 totalRecords"),
        {"type": "integer", "minimum": 0},
        41,
    ),
    "Link": Header(
        Text(
            "where the first, prev, next and last page are (RFC 8288), with every other parameter that is named here; "
            f"absent where it would be longer than {MAX_LINK_BYTES} bytes",
            "首页、上一页、下一页、末页的链接（RFC 8288），保留本文档列出的其余请求参数；"
            f"超过 {MAX_LINK_BYTES} 字节时省略",
        ),
        {"type": "string", "pattern": r'^<[^<>]+>; rel="first"(, <[^<>]+>; rel="(prev|next|last)")+$'},
        f'{_PAGE}1>; rel="first", {_PAGE}2>; rel="next", {_PAGE}3>; rel="last"',
        required=False,
    ),
    "Content-Disposition": Header(
        Text("browsers are to keep the answer as a file of this name", "浏览器应将响应保存为此名称的文件"),
        {"type": "string", "pattern": r'^attachment; filename="[A-Za-z0-9._-]+"$'},
        f'attachment; filename="record-{RECORD_ID}.csv"',
    ),
    "Retry-After": Header(
        Text("seconds after which to try again", "多少秒后重试"), {"type": "integer", "minimum": 1}, 2
    ),
    "Content-Language": Header(
        Text("language of message", "错误说明的语言"), {"type": "string", "enum": ["en", "zh"]}, "en"
    ),
    "WWW-Authenticate": Header(
        Text("whether a token is missing or unknown", "缺少令牌，或令牌无效"),
        {"type": "string", "pattern": '^Bearer realm="replog"(, error="invalid_token")?$'},
        'Bearer realm="replog"',
    ),
    "Allow": Header(
        Text("the methods that are allowed", "允许的方法"), {"type": "string", "enum": ["GET", "GET, HEAD"]}, "GET"
    ),
    "Cache-Control": Header(
        Text(
            "answers are kept by who got them, and not without asking again; errors are not kept",
            "成功的响应仅供请求者缓存，且每次须重新验证；错误不得缓存",
        ),
        {"type": "string", "enum": ["private, no-cache", "no-store"]},
        "private, no-cache",
    ),
    "Vary": Header(
        Text("what of the request the answer depends on", "响应取决于哪些请求头"),
        {"type": "string"},
        "Authorization, X-BKREPO-TIME-ZONE",
    ),
    **{
        _SECURITY[name.decode()][0]: _always(*_SECURITY[name.decode()][1:], value.decode())
        for name, value in SECURITY_HEADERS
    },
}
#: Headers of every answer.
EVERYWHERE = ("X-BKREPO-Time-Zone", "X-Replog-As-Of", "Cache-Control", *(shown for shown, _, _ in _SECURITY.values()))


def references(*names: str) -> dict[str, Any]:
    """These headers and those that every answer has, as the document points to them."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*names, *EVERYWHERE)}
