"""``python -m coursekit.cli``: the command, where its script is not on the path."""

from coursekit.cli import main

if __name__ == "__main__":
    main()
