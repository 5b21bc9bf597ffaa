"""How the nodes behaved in one run: checks of its record, grouped by subject.

Each check is a function from a RunRecord to (how many it judged, findings), declared with
`run_check`. `kvsim.checks.registry` finds every declaration in this package: to add a check, add
a function to one of the files, or a new file.
"""
