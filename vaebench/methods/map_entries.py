"""Entries of the registry: sentences rewritten by maps of codes, or without any code."""
from vaebench.methods.entry import Entry

METHODS: dict[str, Entry] = {}
