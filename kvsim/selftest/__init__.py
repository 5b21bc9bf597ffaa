"""The tester is tested: stores with one planted bug each must be caught, and the correct store must pass everything.

table   which bugs there are, and which check must catch each (bugs.yaml)
pool    runs of kvsim in processes of their own, several at once
judge   what a run's proof says of the tester: caught, missed, false alarm. Pure
tasks   what has to be run, and how each run is judged. Pure
matrix  the result for people and for machines. Pure
"""
