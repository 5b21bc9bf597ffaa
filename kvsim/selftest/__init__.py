"""The test of the tester: planted bugs must be caught, and the correct store must pass everything.

bugs_file  the planted bugs, and the check that must catch each (bugs.yaml)
assess     the runs of a selftest; what each shows of the tester: caught, missed, false alarm
report     the result as a table and as JSON
"""
