"""`python -m metalearn` is the command `metalearn`."""

import sys


def main() -> None:
    """The entry point. What takes long to load is loaded here, where Ctrl-C is answered."""
    try:
        from metalearn.cli import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        print("metalearn: stopped; nothing was begun", file=sys.stderr)
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
