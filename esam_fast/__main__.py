"""``python -m esam_fast``: the command ``esam-fast``."""

from esam_fast.cli import main

if __name__ == "__main__":
    main(prog_name="python -m esam_fast")
