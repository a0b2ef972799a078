"""Volumes that only their recipients can read: the age format."""
