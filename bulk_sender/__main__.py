"""``python -m bulk_sender``."""

from bulk_sender.cli import main

if __name__ == "__main__":
    main()
