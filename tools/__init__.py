"""What the machine needs before Till can run: found, installed, pinned, recorded.

Everything here uses the standard library only, since it runs before `.venv` exists.
`random_stand_in` is the exception: it runs in `.venv`, under Pulumi.
"""
