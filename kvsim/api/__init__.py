"""The Python API: a cluster of real processes for tests, recorded and judged as any run."""
