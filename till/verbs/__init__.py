"""Contents pages: what each verb does, top to bottom."""
