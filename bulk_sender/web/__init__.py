"""The page that ``bulk-sender web`` serves: runs in a browser, for people without a terminal.

It uses the public API of the library only. Needs the extra ``web``; templates are Jinja2.
"""
