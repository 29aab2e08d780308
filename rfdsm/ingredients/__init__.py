"""The ingredients: what a problem is made of."""
