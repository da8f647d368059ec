"""Damaged files, thousands of them, through ``check``: see ``__main__``."""
