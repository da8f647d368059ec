"""Fuzz test that runs ``check`` on thousands of damaged files; see ``__main__``."""
