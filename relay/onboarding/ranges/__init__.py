"""Microsoft's address ranges: asked for, looked at, remembered."""
