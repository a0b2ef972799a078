"""The command line: words in, words out."""

__version__ = "0.1.0"
