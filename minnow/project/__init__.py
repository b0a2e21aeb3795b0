"""A project that SAM deploys, and the function as a zip: both without a checkout."""
