"""Is what the clients saw allowed by what the program promises? Pure: from a history to a report.

`judge.check` is the door. `linear/` decides linearizability of one key; every other file is one check.
"""
