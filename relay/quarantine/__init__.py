"""Mail that is withheld: kept on disk before the sender hears 250."""
