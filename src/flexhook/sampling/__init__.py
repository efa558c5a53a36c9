"""Which windows and expressions are trained, validated and scored, and the tracking noise training adds to them."""
