"""Many submissions against one plan: isolated runs, points, and what is kept for the teacher. Knows trials; knows nothing of steps."""
