"""A program's physical: what a store does when it is treated as the world will treat it. One small file an examination."""
