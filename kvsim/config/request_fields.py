"""Do the requests of node.yaml use the fields of their verbs? Pure.

A `get` without `{key}` asks for the same key each time; `{value}` in it has no value. Knows nothing
of protocols: a template may stand anywhere in a request.
"""

from __future__ import annotations

from kvsim.config.names import REQUEST_FIELDS, REQUEST_NAMES
from kvsim.config.schema import Validation, Values
from kvsim.config.template import TOKEN
from kvsim.config.yaml_nodes import Fields, Tree, scalars_in

# Requests of kvsim itself: they have no fields.
WITHOUT_FIELDS = ("ping", "status")
FIELDS_OF_VERB = {**REQUEST_FIELDS, **dict.fromkeys(WITHOUT_FIELDS, ())}


def check_request_fields(values: Values, validation: Validation) -> None:
    """Report each request that lacks a field of its verb, or names a field of another verb."""
    requests = values.node_of("requests")
    if not values.is_written("requests") or not isinstance(requests, Fields):
        return
    wrong = {(problem.line, problem.column) for problem in validation.problems}
    for verb, tree in requests.entries:
        fields = FIELDS_OF_VERB.get(verb.text)
        trees = (tree, *scalars_in(tree))
        places = {(part.location.line, part.location.column) for part in trees}
        # A name that is misspelt is reported already.
        if fields is None or places & wrong:
            continue
        used = _fields_in(tree)
        for name in fields:
            if name not in used:
                message = f"requests.{verb.text}: {{{name}}} is missing: {REQUEST_NAMES[name]}"
                validation.report(tree, message)
        for name in sorted(used - set(fields)):
            has = ", ".join(f"{{{field}}}" for field in fields) or "no fields"
            message = (
                f"requests.{verb.text}: {{{name}}} has no value in a {verb.text}: it has {has}"
            )
            validation.report(tree, message)


def _fields_in(tree: Tree) -> set[str]:
    """The fields of requests that the templates of the tree name, in any form."""
    names = (
        match[2].partition(".")[0]
        for scalar in scalars_in(tree)
        for match in TOKEN.finditer(scalar.text)
        if match[2]
    )
    return {name for name in names if name in REQUEST_NAMES}
