"""`python -m relay.cli` is `sluice`."""

from relay.cli import main

main()
