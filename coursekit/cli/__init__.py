"""The ``coursekit`` command.

main
    What the command runs; its subcommands stand in one file each.
"""

from coursekit.cli.app import main

__all__ = ["main"]
