"""From media to verified content: what lies there, the checks of a head, the scan of a volume."""
