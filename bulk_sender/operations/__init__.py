"""The public functions, one module for each verb, the same for Python callers and the command line.

Each takes its ``config`` as a path, a table or a ``Config``, and returns typed results. Before anything is sent,
expected trouble is a ``BulkSenderError``. After that it is in the ``Summary``: ``state``, ``reason``, ``exit_code``.
"""
