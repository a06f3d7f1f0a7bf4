"""The OpenAPI document: what can be asked, in a form that tools read."""

from __future__ import annotations

from typing import Any

from .answers import MOST

__all__ = ["document"]

Json = dict[str, Any]


def document() -> Json:
    """The document, version 3.1."""
    record = {"type": "object", "minProperties": 1, "additionalProperties": True}
    records = {"type": "array", "items": record, "maxItems": MOST}
    given = {"oneOf": [record, records]}
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
                "parameters": [{"name": "key", "in": "query", "schema": {"type": "string"}}],
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
