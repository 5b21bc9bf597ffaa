"""One file a planted bug: a changed piece of the reference store, and `run(argv)` that starts a node with it."""
