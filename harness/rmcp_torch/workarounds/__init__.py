"""Ways around a broken convolution, as axis values and for users' own training code."""
