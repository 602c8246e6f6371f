"""``python -m lvc`` is the command line."""

from lvc.cli import main

if __name__ == "__main__":
    main(prog_name="lvc")
