"""Who may say so: keys, SSH signatures, the trust root and its versions."""
