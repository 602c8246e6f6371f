"""``python -m lvc`` is the command line."""

from lvc.cli import run

if __name__ == "__main__":
    run()
