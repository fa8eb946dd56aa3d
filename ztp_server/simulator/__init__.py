"""Phones that are not there: they boot as vendor.toml declares, against a running server, and say what came of it."""
