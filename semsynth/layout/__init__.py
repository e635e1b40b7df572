"""Layout editing: pairs with known motion, and the marks that a user would make in them."""
