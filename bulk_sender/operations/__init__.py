"""The public functions, one module for each verb, the same for Python callers and the command line.

Each takes its ``config`` as a path, a table or a ``Config``, returns typed results, and raises only
``BulkSenderError`` for expected trouble before anything is sent. Once sending has begun, trouble is reported in the
``Summary``: its ``state``, ``reason`` and ``exit_code``.
"""
