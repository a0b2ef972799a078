"""A disk that dies at the worst moment: what a process does to files, counted, stopped, refused,
recorded, and what a power loss may leave of it."""
