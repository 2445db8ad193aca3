"""Headers of requests in the document. :mod:`replog_api.http.request_context` reads them. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from replog_api.contracts.openapi.examples import ETAG, LAST_EVENT, TRACEPARENT
from replog_api.http.languages import Text
from replog_api.http.request_context import TIME_ZONE_HEADER


class RequestHeader(NamedTuple):
    """A header that a request may have; ``examples`` are values by their names."""

    name: str
    text: Text
    examples: dict[str, str]

    def described(self) -> dict[str, Any]:
        """As a Parameter Object."""
        return {
            "name": self.name,
            "in": "header",
            "required": False,
            "description": self.text.in_both(),
            "schema": {"type": "string"},
            "examples": {name: {"value": value} for name, value in self.examples.items()},
        }

    def reference(self) -> dict[str, str]:
        """The document's pointer to it."""
        return {"$ref": f"#/components/parameters/{self.name}"}


TIME_ZONE = RequestHeader(
    TIME_ZONE_HEADER,
    Text(
        "zone of the times in the answer: an IANA name; an offset up to 18 hours, with or without sign, in hours, "
        "decimal hours or hours and minutes; Z; UTC, UT or GMT, alone or with an offset. Absent, empty or anything "
        "else: the service's own",
        "响应中时间的时区：IANA 时区名；不超过 18 小时的偏移量（符号可省略），以小时、小数小时或时分表示；Z；"
        "UTC、UT 或 GMT，可带偏移量。缺省、为空或无法识别时使用服务的时区",
    ),
    {"name": "Asia/Shanghai", "offset": "+08:00", "hours": "8", "decimal": "5.5"},
)
LANGUAGE = RequestHeader(
    "Accept-Language",
    Text(
        "language of messages: English, or Chinese where zh is preferred to en",
        "错误说明的语言：英文；优先 zh 时为中文",
    ),
    {"chinese": "zh-CN,zh;q=0.9,en;q=0.8", "english": "en"},
)
IF_NONE_MATCH = RequestHeader(
    "If-None-Match",
    Text(
        "tags of answers that the client has: where one is still good, the answer is 304 without a body; * is any",
        "客户端已有响应的 ETag：若其中之一仍然有效，则返回 304 且无响应体；* 表示任意",
    ),
    {"tag": ETAG, "several": f'{ETAG}, W/"0-"', "any": "*"},
)
TRACE = RequestHeader(
    "traceparent",
    Text(
        "W3C trace context; its trace id becomes the answer's traceId. One that is malformed is as none",
        "W3C trace context；其 trace id 即响应的 traceId。格式错误时视为没有",
    ),
    {"sampled": TRACEPARENT},
)
LAST_EVENT_ID = RequestHeader(
    "Last-Event-ID",
    Text(
        "the id of the last event that the client has: what it says already is not said again",
        "客户端已收到的最后一个事件的 id：其内容不再重复发送",
    ),
    {"event": LAST_EVENT},
)
#: Headers of every query, and of a stream.
OF_A_QUERY = (TIME_ZONE, LANGUAGE, IF_NONE_MATCH, TRACE)
OF_A_STREAM = (TIME_ZONE, LANGUAGE, LAST_EVENT_ID, TRACE)
