"""A cluster that is driven from Python: real processes on ports of their own, recorded and judged like any run."""
