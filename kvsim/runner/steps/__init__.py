"""The verbs of scenarios: their fields, their typed steps, and the functions that carry them out.

Every `StepVerb` at the top level of a module of this package is a verb: a new file is enough to add
one.
"""
