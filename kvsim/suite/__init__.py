"""Everything that kvsim can ask of one program, as one test: its parts, their order, the result."""
