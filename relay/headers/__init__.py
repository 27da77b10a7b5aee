"""DRESS: what is taken off a message's header section and what is put before it; everything else stays as it is."""
