"""`python -m app.cli` is `sdc-docker`."""

from app.cli import main

main()
