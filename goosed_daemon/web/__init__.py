"""The daemon's network face: HTTP in, calls of the core out."""
