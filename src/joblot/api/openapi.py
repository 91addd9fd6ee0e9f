"""The API's OpenAPI document, with the error responses that all operations share."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from ninja import NinjaAPI, Schema
from ninja.openapi.schema import OpenAPISchema

from joblot.api.problems import TITLES
from joblot.api.schemas.common import Problem

REFUSALS = (400, 401, 403, 404, 409, 413, 422, 429, 503)
_REF = "#/components/schemas/{model}"
_REFUSAL = {
    "content": {
        "application/problem+json": {"schema": {"$ref": _REF.format(model=Problem.__name__)}}
    }
}


class DocumentedAPI(NinjaAPI):
    """An API whose operations all have the same error responses."""

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        document = super().get_openapi_schema(**options)
        schemas = document["components"]["schemas"]
        schemas[Problem.__name__] = Problem.model_json_schema(ref_template=_REF)
        for operations in document["paths"].values():
            for operation in operations.values():
                _hoist(operation, schemas)
                for status in REFUSALS:
                    refusal = {"description": TITLES[status], **_REFUSAL}
                    operation["responses"].setdefault(status, refusal)
        return document


def json_body(shape: type[Schema], **others: Any) -> dict[str, Any]:
    """For `openapi_extra`: a body that the view itself reads; `others` are further media types."""
    schema = shape.model_json_schema(ref_template=_REF)
    content = {"application/json": {"schema": schema}, **others}
    return {"requestBody": {"required": True, "content": content}}


def also(**media_types: Any) -> dict[str, Any]:
    """For `openapi_extra`: further media types of the answer, for a client that accepts them."""
    return {"responses": {200: {"content": media_types}}}


def _hoist(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Move the definitions in a body's schema to where its references point."""
    if "requestBody" not in operation:
        return
    operation["requestBody"] = deepcopy(operation["requestBody"])  # the views hold it too
    for content in operation["requestBody"]["content"].values():
        schemas.update(content["schema"].pop("$defs", {}))
