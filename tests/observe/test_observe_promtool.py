"""What Prometheus itself says of our exposition."""

import subprocess

from doubles.need import need

from relay.observe import metrics


def test_promtool_accepts_what_we_tell():
    promtool = need("promtool")
    metrics.know_engines(["testpatterns"])
    ran = subprocess.run([promtool, "check", "metrics"], input=metrics.exposition(), capture_output=True)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, b"")
