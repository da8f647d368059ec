"""A run survives anything: killed at every place, on a disk that fails, with a damaged journal, an input that changes.

The sender is the command line in processes of its own, the server ``tests.faults``; ``Scene`` holds both, ``audit``
compares what the run says with what the server truly took.
"""
