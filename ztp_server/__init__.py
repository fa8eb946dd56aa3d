"""Zero-touch provisioning for desk phones."""

__version__ = "0.1.0"
