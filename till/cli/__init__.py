"""Words, arguments, tables: one file for each family of verbs."""
