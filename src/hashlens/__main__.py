"""``python -m hashlens``."""

from hashlens.cli import main

if __name__ == "__main__":
    main()
