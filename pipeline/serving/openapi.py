"""The OpenAPI document: what can be asked, in a form that tools read."""

from __future__ import annotations

from typing import Any

from ...core.online.schema import Schema
from .answers import MOST

__all__ = ["document"]

Json = dict[str, Any]


def document(schema: Schema | None) -> Json:
    """The document, version 3.1, of a run over records of this `schema`, or over others."""
    record = {"type": "object"} if schema is None else _record(schema)
    records = {"type": "array", "items": {"type": "object"}, "maxItems": MOST}
    given = {"oneOf": [record, records]}
    keyed = schema is not None and schema.key is not None
    predictions = _answer(
        "A line for each record, in their order.", {"oneOf": [_ref("Prediction"), _array(_ref("Prediction"))]}
    )
    refusals = {"401": _refusal("The token is missing."), "421": _refusal("Asked for by another name.")}
    busy = {"503": _refusal("It cannot be said yet.")}
    paths: Json = {
        "/predict": {
            "post": {
                "summary": "What would be forecast of records if they came next; nothing of it stays.",
                "operationId": "predict",
                "requestBody": {"required": True, "content": {"application/json": {"schema": given}}},
                "responses": {
                    "200": predictions,
                    "400": _refusal("No JSON."),
                    "408": _refusal("Too slow."),
                    "409": _refusal("The run makes no forecasts of records."),
                    "413": _refusal("Too large."),
                    "422": _refusal("No record that can be used."),
                    **busy,
                    **refusals,
                },
            }
        },
        "/predictions": {
            "get": {
                "summary": "The last forecasts of a key.",
                "operationId": "predictions",
                "parameters": [{"name": "key", "in": "query", "required": keyed, "schema": {"type": "string"}}],
                "responses": {
                    "200": _answer("The last ones, the oldest first.", _ref("Predictions")),
                    "404": _refusal("None is remembered."),
                    "409": _refusal("The run makes no forecasts of records."),
                    "422": _refusal("The key is missing."),
                    **refusals,
                },
            }
        },
        "/status": {"get": _get("status", "The state of the run.", {"type": "object"}, refusals)},
        "/history": {"get": _get("history", "The curves so far, in few points.", {"type": "object"}, refusals)},
        "/healthz": {"get": _get("healthz", "Whether it runs, and what is wrong.", {"type": "object"}, {})},
        "/readyz": {"get": _get("readyz", "Whether it can forecast.", {"type": "object"}, busy)},
        "/openapi.json": {"get": _get("openapi", "This document.", {"type": "object"}, refusals)},
        "/metrics": {"get": _text("metrics", "The state for Prometheus.", "text/plain", refusals)},
        "/events": {"get": _text("events", "The state, as server-sent events.", "text/event-stream", refusals)},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Recurrio", "version": "1", "description": "A run that is learning, asked while it does."},
        "paths": paths,
        "components": {
            "schemas": {"Prediction": PREDICTION, "Predictions": PREDICTIONS, "Refusal": REFUSAL},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _record(schema: Schema) -> Json:
    """A record that can be used; further fields say nothing."""
    kinds = {feature.name: TEXT if feature.category else NUMBER for feature in schema.features}
    kinds |= {target.name: NUMBER for target in schema.targets}
    if schema.label is not None:
        kinds[schema.label] = TEXT
    needed = [{"required": [name]} for name in kinds]
    found: Json = {"type": "object", "properties": kinds, "anyOf": needed, "required": []}
    for name, kind in ((schema.key, KEY), (schema.time, TIME)):
        if name is not None:
            kinds[name] = kind
            found["required"].append(name)
    return found


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _array(items: Json) -> Json:
    return {"type": "array", "items": items}


def _answer(about: str, schema: Json) -> Json:
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def _refusal(about: str) -> Json:
    return _answer(about, _ref("Refusal"))


def _get(name: str, about: str, schema: Json, others: Json) -> Json:
    return {"summary": about, "operationId": name, "responses": {"200": _answer(about, schema), **others}}


def _text(name: str, about: str, kind: str, others: Json) -> Json:
    text = {"description": about, "content": {kind: {"schema": {"type": "string"}}}}
    return {"summary": about, "operationId": name, "responses": {"200": text, **others}}


DECIMAL = r"^ *([+-]?([0-9]{1,99}([.][0-9]{0,99})?|[.][0-9]{1,99})([eE][+-]?[0-9]{1,2})?|NA)? *$"
NUMBER: Json = {
    "description": "a number, also as a text; null, an empty text and NA are missing",
    "anyOf": [
        {"type": "number"},
        {"type": "string", "pattern": DECIMAL},
        {"type": "null"},
    ],
}
TEXT: Json = {"description": "a text, a whole number, true or false; null is missing"}
TEXT["type"] = ["string", "integer", "boolean", "null"]
KEY: Json = {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 4096}, {"type": "integer"}]}
TIME: Json = {"description": "seconds since 1970, or ISO 8601", "anyOf": [{"type": "number"}, {"type": "string"}]}
TIME["anyOf"][0] |= {"minimum": 0, "maximum": 4e9}
TIME["anyOf"][1] |= {"format": "date-time"}
VALUE: Json = {"description": "a number, a class, an object of numbers by target, or null"}
PREDICTION: Json = {
    "type": "object",
    "required": ["prediction"],
    "properties": {
        "record": {"type": ["integer", "null"]},
        "prediction": VALUE,
        "lower": VALUE,
        "upper": VALUE,
        "version": {"type": "integer"},
        "key": {"type": "string"},
        "time": {"type": "number"},
        "id": {"type": "string"},
        "reason": {"type": "string", "description": "why the record cannot be used"},
        "anomaly": {"type": "number"},
        "alarm": {"type": "boolean"},
    },
}
PREDICTIONS: Json = {
    "type": "object",
    "required": ["key", "predictions"],
    "properties": {"key": {"type": ["string", "null"]}, "predictions": _array(_ref("Prediction"))},
}
REFUSAL: Json = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
