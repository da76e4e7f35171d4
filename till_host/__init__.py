"""Programs that hosts run, as one package; pyproject.toml beside this file lists them."""
