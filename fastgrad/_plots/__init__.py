"""Pictures of results, one module for each; matplotlib is imported when one is drawn."""
