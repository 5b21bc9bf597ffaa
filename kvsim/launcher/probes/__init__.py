"""The kinds of readiness probe. A new module in this package is enough to add a kind.

A module declares its kinds with the decorator `probe_kind` of `declaration`; `PROBE_KINDS` of
`readiness` finds them. A probe tries once and answers with evidence, or with what it observed
instead. It waits for nothing and starts no node.
"""
