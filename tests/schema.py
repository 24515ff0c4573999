# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds what pmemctl prints, in the unit tests and in guests, against its JSON Schema.

    from schema import check_schema
    check_schema(json.loads(line), "event")
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

FILE = Path(__file__).resolve().parent.parent / "Documentation/pmemctl.schema.json"


def strict_schema() -> dict[str, Any]:
    """The schema, but nothing is allowed that it does not name."""
    def close(part: Any) -> None:
        if isinstance(part, dict):
            if "properties" in part:
                part["additionalProperties"] = False
            for inner in part.values():
                close(inner)
        elif isinstance(part, list):
            for inner in part:
                close(inner)

    schema: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    close(schema)
    return schema


def validator(kind: str) -> jsonschema.Draft202012Validator:
    """What judges one of the schema's definitions."""
    return jsonschema.Draft202012Validator(dict(SCHEMA, anyOf=[{"$ref": "#/$defs/" + kind}]))


SCHEMA = strict_schema()
VALIDATORS = {kind: validator(kind) for kind in ("answer", "event")}


def check_schema(value: Any, kind: str = "answer") -> None:
    """The value is an "answer" or an "event" of the schema."""
    error = jsonschema.exceptions.best_match(VALIDATORS[kind].iter_errors(value))
    assert not error, (f"{'.'.join(map(str, error.absolute_path))}: {error.message}\n"
                       f"it is not so in {FILE.relative_to(FILE.parent.parent)}")
