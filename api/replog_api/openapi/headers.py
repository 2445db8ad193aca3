"""What the document says of the headers of answers. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from replog_api.gate import SECURITY_HEADERS
from replog_api.languages import Text
from replog_api.openapi.examples import ETAG, TASK_KEY

_PAGE = f"</replication/api/task/record/page/{TASK_KEY}?pageSize=20&pageNumber="


class Header(NamedTuple):
    """A header that the answers that name it always have."""

    text: Text
    schema: dict[str, Any]
    example: Any

    def described(self) -> dict[str, Any]:
        """As a Header Object."""
        return {
            "description": self.text.in_both(),
            "required": True,
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
            "where the first, prev, next and last page are (RFC 8288), with everything else that was asked",
            "首页、上一页、下一页、末页的链接（RFC 8288），保留其余请求参数",
        ),
        {"type": "string", "pattern": r'^<[^<>]+>; rel="first"(, <[^<>]+>; rel="(prev|next|last)")+$'},
        f'{_PAGE}1>; rel="first", {_PAGE}2>; rel="next", {_PAGE}3>; rel="last"',
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
    "Allow": _always("the method that is allowed", "允许的方法", "GET"),
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
#: What every answer has.
EVERYWHERE = ("X-BKREPO-Time-Zone", "Cache-Control", *(shown for shown, _, _ in _SECURITY.values()))


def references(*names: str) -> dict[str, Any]:
    """These headers and those that every answer has, as the document points to them."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*names, *EVERYWHERE)}
