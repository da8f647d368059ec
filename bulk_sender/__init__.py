"""bulk-sender: send large recipient files to Braze, with an account of every row."""

__version__ = "0.1.0"
