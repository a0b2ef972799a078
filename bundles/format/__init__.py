"""What the bytes of a bundle mean: documents and tar, each with one form. No I/O, no trust."""
