"""Commerce: products and the orders of them, the example domain of agents with tools."""
