"""Settings of the engines that tests run on this machine."""

# Nothing is reported; and workers are no nicer than others (Ray adds 15), or a machine that is busy
# with other tests lets them start after minutes.
RAY_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
