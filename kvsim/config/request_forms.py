"""The forms of a request that exist in every protocol: alternatives, several requests in a row, and
a request in another protocol.

    put: {first_of: ["CREATE {key} {value}", "MODIFY {key} {value}"]}
    put: {steps: [[MULTI], [SET, "{key}", "{value}"], [EXEC]]}
    status: {speak: {kind: http, port: admin}, send: GET /role}

`kvsim.client.composition` carries them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvsim.config.protocol_schema import SpeakSchema
from kvsim.config.schema import WRONG, Field, ListOf, PlainData, Record, Schema, Validation
from kvsim.config.yaml_nodes import Fields, Tree

FIRST_OF, STEPS, SPEAK, SEND = "first_of", "steps", "speak", "send"
# For the reference page.
FORMS = {
    "{first_of: [REQUEST, …]}": "alternatives in order: the next one is asked when the reply is "
    "`next`; the last reply counts",
    "{steps: [REQUEST, …]}": "requests in a row on one connection, each after the reply to the one "
    "before; rules read all replies together, joined by line ends, and the last `status`",
    "{speak: …, send: REQUEST}": "a request in another protocol, or to another port (`port` of its "
    "`speak`)",
}


def form_of(request: object) -> str | None:
    """FIRST_OF, STEPS or SEND; None for a request that is in the form of its protocol."""
    if not isinstance(request, Mapping):
        return None
    return next((form for form in (FIRST_OF, STEPS, SEND) if form in request), None)


class RequestForms(Schema):
    """A request in the form of its protocol (`own`; None: not checked), or in one of the others.

    Reads into plain data.
    """

    def __init__(self, own: Schema | None, speak: SpeakSchema) -> None:
        self.own, self.speak = own, speak
        self.expected = f"{own.expected if own else 'a request'}, or {', '.join(FORMS)}"

    def read(self, node: Tree, validation: Validation) -> Any:
        written = {key.text for key, _ in node.entries} if isinstance(node, Fields) else set()
        form = next((form for form in (FIRST_OF, STEPS, SEND) if form in written), None)
        if form == SEND:
            self._read_spoken(node, validation)
        elif form is not None:
            Record("request", {form: Field(self._parts(), "its requests")}).read(node, validation)
        elif self.own is not None:
            self.own.read(node, validation)
        return PlainData().read(node, validation)

    def _parts(self) -> ListOf:
        return ListOf(_Part(self), length_min=1)

    def _read_spoken(self, node: Tree, validation: Validation) -> None:
        values = self._spoken().read(node, validation)
        speak = values.get(SPEAK)
        if speak is None or SEND not in values:
            return
        own = self.speak.request_schema(*speak)
        if own is not None:
            with validation.inside(SEND):
                own.read(values.node_of(SEND), validation)

    def _spoken(self) -> Record:
        return Record(
            "request",
            {
                SPEAK: Field(self.speak, "the protocol of this request", required=True),
                SEND: Field(PlainData(), "the request", required=True),
            },
        )

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        own = self.own.json_schema(defs) if self.own else {}
        spoken = self._spoken().json_schema(defs)
        parts = {"type": "array", "minItems": 1, "items": {"anyOf": [own, spoken]}}
        composed = [
            {
                "type": "object",
                "properties": {form: parts},
                "required": [form],
                "additionalProperties": False,
            }
            for form in (FIRST_OF, STEPS)
        ]
        return {"anyOf": [own, *composed, spoken]}


class _Part(Schema):
    """A request inside another: in its protocol's form, or in another protocol."""

    def __init__(self, forms: RequestForms) -> None:
        self.forms = forms
        self.expected = "a request"

    def read(self, node: Tree, validation: Validation) -> Any:
        if isinstance(node, Fields) and (node.get(FIRST_OF) or node.get(STEPS)):
            validation.report(node, f"{FIRST_OF} and {STEPS} cannot be inside each other")
            return WRONG
        return self.forms.read(node, validation)
