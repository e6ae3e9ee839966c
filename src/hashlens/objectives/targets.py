"""How targets say that an item has no label."""

NO_LABEL = -1
