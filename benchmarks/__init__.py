"""Figures of this server beside nginx serving the same bytes, in the same run: ratios, because machines differ."""
