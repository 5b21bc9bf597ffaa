"""Real processes, the ports they listen on, and how both end.

Knows nothing of keys, roles, YAML or log files.
"""
