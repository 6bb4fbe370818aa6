"""Functions of one variable, f along a direction or w . F along one: evaluated, and their slope judged."""
