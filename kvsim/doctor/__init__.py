"""Diagnostics of a program: how a store behaves when clients and machines treat it badly.

`registry` finds the diagnostics in `diagnostics/`. `discovery` describes an unknown program.
"""
