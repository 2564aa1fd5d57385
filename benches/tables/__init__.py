"""The tables of `make bench`, a module for each."""
