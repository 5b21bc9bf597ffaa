"""One file a planted bug: a changed part of the reference store, and `run(argv)` to start it."""
