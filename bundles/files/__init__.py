"""Files, written durably or not at all, and read with care; nothing here knows a bundle."""
