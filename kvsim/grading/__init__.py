"""Grade many submissions against one plan: sandboxed runs, points, and records for the teacher.

Knows trials; knows nothing of steps.
"""
