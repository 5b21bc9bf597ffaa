"""A first meeting with a store nobody has described yet: try what is usual, keep what works, write it down."""
