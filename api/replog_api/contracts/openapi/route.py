"""Operations as FastAPI's routes: what they declare, without what answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi.routing import APIRoute

if TYPE_CHECKING:
    from replog_api.contracts.openapi.operation import Operation


class OperationRoute(APIRoute):
    """FastAPI's declaration of one operation; :mod:`replog_api.routes` adds the endpoint.

    FastAPI takes the query value for what it is to call, and its fields for the parameters of the path and the query
    string.
    """

    def __init__(self, operation: Operation) -> None:
        super().__init__(
            operation.path,
            operation.query,
            # FastAPI would give HEAD the same operation id.
            methods=["GET"],
            operation_id=operation.operation_id,
            summary=" / ".join(operation.summary),
            description=operation.text.in_both(),
            tags=[operation.tag],
            **operation.declared(),
        )
