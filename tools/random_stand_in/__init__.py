"""Air-gapped stand-in of Pulumi's provider `random`, for the resources that Till uses.

Same resource tokens and property names as the official plugin 4.21.4, results secret, so that
state made here stays readable there. Put in place by tools/setup only where the official plugin
can't be had.
"""
