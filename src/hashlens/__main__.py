"""``hashlens``, and ``python -m hashlens``."""

import sys


def main() -> None:
    """Run the command line; who interrupts it, even while it is loaded, sees no traceback."""
    try:
        from hashlens.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)  # as shells have it


if __name__ == "__main__":
    main()
