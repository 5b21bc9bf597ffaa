"""Is what the clients observed allowed by what the program guarantees? From a history to a report.

`check.check` is the entry. Every check is declared in a module of this package; modules of
`inferred/` judge without the leader's log, and `kvsim.checks.linearizability` decides one key.
Pure.
"""
