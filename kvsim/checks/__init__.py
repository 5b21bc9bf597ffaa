"""Checks: pure functions from what a run recorded to findings. They read no file and no network."""
