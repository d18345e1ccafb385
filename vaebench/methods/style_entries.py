"""Entries of the registry: models that take style and content apart."""
from vaebench.methods.entry import Entry

METHODS: dict[str, Entry] = {}
