"""`python -m joblot.delivery`: see `child`."""

from joblot.delivery.child import main

main()
