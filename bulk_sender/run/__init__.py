"""One run from its input to its results.

options      what a caller asks for: guards, callbacks, sandbox, name
settings     the configuration, turned once into what each room needs
facts        what the run was started with, frozen in its journal
folder       names and places of runs
target       where requests go, and with which key
deadline     the moment after which a run must not begin
caller       the caller's limits, confirmation prompt and callbacks
preview      what is about to be sent, for the confirmation prompt
standing     how a run stands that no process is sending
reopening    a run of this name exists: the same, finished, or refused
execution    from batches to a closed account; the only module that knows all parts
closing      the account when sending has ended
control      stop a running send from any thread
"""
