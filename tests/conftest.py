"""What holds for every test: no site, no key and no setting of this machine leaks in."""

from __future__ import annotations

import os

import hypothesis

from tests.parts import in_ci

pytest_plugins = ["tests.no_skips", "tests.s3_server", "tests.disk.fixtures"]

# A site that no test set up cannot be opened or made: the path leads through a file.
os.environ["GOOSE_HOME"] = "/dev/null/no-site-was-given"

for name in list(os.environ):
    # Proxies: every request of a test goes to this machine.
    if name.startswith(("GOOSED_", "S3_", "OTEL_")) or name.lower().endswith("_proxy"):
        del os.environ[name]
for name in (
    "GOOSE_SERVER",
    "GOOSE_TOKEN",
    "GOOSE_TOKEN_FILE",
    "GOOSE_CA",
    "DB_DSN",
    "NATS_URL",
    "SOURCE_DATE_EPOCH",
    "SSH_AUTH_SOCK",
):
    os.environ.pop(name, None)

# A shared machine is no measure of time; and what CI says about a change must be repeatable.
hypothesis.settings.register_profile("goose", deadline=None, derandomize=in_ci())
hypothesis.settings.load_profile("goose")
