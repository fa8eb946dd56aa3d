"""Our own certificates, TLS contexts, and whom a phone's factory certificate belongs to."""
