"""Real processes: start them, identify them, find their ports and descendants, end them.

Knows nothing of keys, roles, YAML or log files.
"""
