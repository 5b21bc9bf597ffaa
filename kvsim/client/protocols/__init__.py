"""The protocols that kvsim speaks: one module per protocol, found by its file name.

A new file is a new protocol: `mine.py` here is `speak: mine`. The first line of its docstring
describes it. It has a table `SETTINGS` of its settings, and a function `connect(program, host,
port, names)` that returns a `kvsim.client.exchange.Client` and raises UsageError for mistakes in
node.yaml.
"""
