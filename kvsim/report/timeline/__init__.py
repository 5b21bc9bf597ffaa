"""The timeline of a run: one self-contained page of everything that happened, on one clock.

Reads run directories; judges nothing. The Python modules make the page's data, the scripts draw it.
"""
