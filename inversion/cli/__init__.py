"""The commands of `python -m inversion`: one module each, with main(argv) -> exit status."""
