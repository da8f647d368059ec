"""Crash tests: runs killed at every failpoint, failing disks, damaged journals and changed inputs.

The sender is the command line in separate processes, the server is ``tests.faults``. ``Scene`` has both; ``audit``
compares what the run says with what the server truly took.
"""
