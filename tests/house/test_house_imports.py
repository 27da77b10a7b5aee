"""What must not be imported early: with several workers, the metrics' folder is named before prometheus-client is."""

import subprocess
import sys

from house.documents import ROOT


def test_serving_names_the_folder_of_the_metrics_before_they_are_imported():
    code = "import sys, relay.cli.app, relay.serve; print(*(name for name in sys.modules if 'prometheus' in name))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
